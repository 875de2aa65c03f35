"""The one place where compiler flags stand.

``contract`` lets a multiply and an add fuse, ``nsz`` ignores the sign of zero. Flags that let NaN or infinity
pass a test (``nnan``, ``ninf``) or that reorder sums (``reassoc``) must never be added: kernels test pivots.

Error-free transformations go without any flag: they recover a rounding error by repeating an operation, and a fused
multiply and add would round differently the second time.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, TypeVar, cast


def _load_numba() -> Any:
    """Import numba and have it load all that its first compiled function needs.

    That makes half a million objects and hardly any garbage. A collector that looks through them again and again
    takes a seventh of a second, a fifth of the time to the first result in a fresh process, and finds nothing.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        numba: Any = import_module("numba")
        # Numba's own modules, which may move: if so, the first call loads what it needs.
        with suppress(ImportError, AttributeError):
            target = import_module("numba.core.registry").cpu_target
            if not numba.config.DISABLE_JIT:
                target.typing_context.refresh()
                target.target_context.refresh()
    finally:
        if collecting:
            if gc.get_freeze_count() == 0:
                # Both together count all objects as old, where they would be after a few collections anyway.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
    return numba


numba = _load_numba()

COMPILES = not numba.config.DISABLE_JIT
"""Whether kernels are compiled; explicit vectors exist in compiled code only."""

__all__ = [
    "COMPILES",
    "borrowing",
    "borrowing_form",
    "borrowing_kernel",
    "compiled_form",
    "inlined",
    "kernel",
    "literal_inlined",
    "literal_kernel",
    "spliced",
    "vector_kernel",
]

F = TypeVar("F", bound=Callable[..., Any])

_FAST = {"contract", "nsz"}


def _stored(**options: Any) -> Callable[[F], F]:
    """Compile, and keep on disk what was compiled, if there is a folder that may be written to."""

    def compiled(function: F) -> F:
        try:
            return cast("F", numba.njit(cache=True, no_cfunc_wrapper=True, **options)(function))
        except RuntimeError:
            # Neither NUMBA_CACHE_DIR nor the package nor the home can be written to: compiled anew in each process.
            return cast("F", numba.njit(no_cfunc_wrapper=True, **options)(function))

    return compiled


def kernel(function: F) -> F:
    """Compile a kernel: no Python objects, the interpreter's lock released, cached on disk."""
    # Said aloud, or numba would take over from a `borrowing_kernel` that calls this one that nothing is counted.
    return _stored(nogil=True, error_model="numpy", fastmath=_FAST, _nrt=True)(function)


def borrowing_kernel(function: F) -> F:
    """Compile a kernel that reads and writes its arrays, and views of them, but neither makes nor returns any.

    References to arrays are not counted: a third less to compile, and less to do for each array at each call.
    """
    return _stored(nogil=True, error_model="numpy", fastmath=_FAST, _nrt=False)(function)


def vector_kernel(plain: F) -> Callable[[F], F]:
    """Compile a kernel on explicit vectors, whose plain-loop twin is given: what runs where nothing is compiled."""

    def decorate(function: F) -> F:
        if not COMPILES:
            return plain
        compiled: Any = kernel(function)
        compiled.plain = plain
        return cast("F", compiled)

    return decorate


def _helper(function: F, **options: Any) -> F:
    """Compile what kernels alone call, without the two functions that others get for callers in Python and in C.

    Those take as long to compile as a small helper itself. Called from Python, a helper runs as plain Python.
    """
    helper = numba.njit(
        nogil=True, error_model="numpy", forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options
    )(function)
    if COMPILES:
        # Nothing is entered into the table of what Python may call; what is not there is compiled, and then called.
        helper._insert = lambda *entry, **more: None
        helper._compile_for_args = lambda *args, **named: function
    return cast("F", helper)


def inlined(function: F) -> F:
    """Compile a scalar helper that disappears into the kernels that call it."""
    return _helper(function, fastmath=_FAST)


def borrowing(function: F) -> F:
    """Compile a helper as `inlined` does, for one that reads and writes its arrays but neither makes nor returns any.

    Its arguments are not counted as references, which takes two atomic operations an array and call otherwise: the
    compiler sees through them in straight code only.
    """
    return _helper(function, fastmath=_FAST, _nrt=False)


def spliced(function: F) -> F:
    """Put a helper's lines into the functions that call it before these are compiled.

    For one that returns views, which needs their references counted if it is a function of its own.
    """
    return cast("F", numba.njit(inline="always")(function))


def compiled_form(helper: F) -> Callable[[F], F]:
    """Register what a plain helper becomes in a kernel: a function of the arguments' types that returns its body."""
    return _form(helper)


def borrowing_form(helper: F) -> Callable[[F], F]:
    """Register a form as `compiled_form` does, for a helper as `borrowing` takes it."""
    return _form(helper, _nrt=False)


def _form(helper: F, **more: bool) -> Callable[[F], F]:
    from numba.extending import overload

    options: Any = {"nogil": True, "error_model": "numpy", "fastmath": _FAST, "forceinline": True, **more}
    # The bodies carry no annotations.
    return cast("Callable[[F], F]", overload(helper, jit_options=options, strict=False))


def literal_kernel(function: F) -> F:
    """Compile a kernel whose roundings are those that are written: no flag, nothing fused."""
    # Said aloud, or numba would take over the flags of a kernel that calls this one.
    return _stored(nogil=True, error_model="numpy", fastmath=False, _nrt=True)(function)


def literal_inlined(function: F) -> F:
    """Compile a scalar helper for kernels whose roundings are those that are written."""
    return _helper(function, fastmath=False)
