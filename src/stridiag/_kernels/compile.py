"""The one place where compiler flags stand.

``contract`` lets a multiply and an add fuse, ``nsz`` ignores the sign of zero. Flags that let NaN or infinity
pass a test (``nnan``, ``ninf``) or that reorder sums (``reassoc``) must never be added: kernels test pivots.

Error-free transformations go without any flag: they recover a rounding error by repeating an operation, and a fused
multiply and add would round differently the second time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

__all__ = ["compiled_form", "inlined", "kernel", "literal_inlined", "literal_kernel"]

F = TypeVar("F", bound=Callable[..., Any])

_FAST = {"contract", "nsz"}


def kernel(function: F) -> F:
    """Compile a kernel: no Python objects, the interpreter's lock released, cached on disk."""
    return cast("F", numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)(function))


def inlined(function: F) -> F:
    """Compile a scalar helper that disappears into the kernels that call it."""
    inline = numba.njit(nogil=True, error_model="numpy", fastmath=_FAST, forceinline=True)
    return cast("F", inline(function))


def compiled_form(helper: F) -> Callable[[F], F]:
    """Register what a plain helper becomes in a kernel: a function of the arguments' types that returns its body."""
    from numba.extending import overload

    options: Any = {"nogil": True, "error_model": "numpy", "fastmath": _FAST, "forceinline": True}
    # The bodies carry no annotations.
    return cast("Callable[[F], F]", overload(helper, jit_options=options, strict=False))


def literal_kernel(function: F) -> F:
    """Compile a kernel whose roundings are those that are written: no flag, nothing fused."""
    # Said aloud, or numba would take over the flags of a kernel that calls this one.
    return cast("F", numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=False)(function))


def literal_inlined(function: F) -> F:
    """Compile a scalar helper for kernels whose roundings are those that are written."""
    inline = numba.njit(nogil=True, error_model="numpy", fastmath=False, forceinline=True)
    return cast("F", inline(function))
