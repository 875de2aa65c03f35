"""Operations counted by running a kernel's own loops on numbers that count.

A kernel is Python that numba compiles; its plain-loop twin is the same Python, run by the interpreter. On numbers of
the class `Counted` it does the same sweeps, and every addition, subtraction, multiplication, division and square root
is counted. Comparisons, signs and powers of two are not, as `stridiag.planning.cost` defines.
"""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Counted", "count", "counted", "plain_twin", "recording"]


class Counted:
    """A float that counts the operations it takes part in, in `Counted.total`."""

    total = 0

    def __init__(self, value: float) -> None:
        self.value = float(value)

    def __repr__(self) -> str:
        return f"Counted({self.value})"

    def __neg__(self) -> Counted:
        return Counted(-self.value)

    def __abs__(self) -> Counted:
        return Counted(abs(self.value))

    def __float__(self) -> float:
        return self.value

    def __bool__(self) -> bool:
        return self.value != 0.0

    def __lt__(self, other: Any) -> bool:
        return self.value < float(other)

    def __le__(self, other: Any) -> bool:
        return self.value <= float(other)

    def __gt__(self, other: Any) -> bool:
        return self.value > float(other)

    def __ge__(self, other: Any) -> bool:
        return self.value >= float(other)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counted | float | int) and self.value == float(other)

    __hash__ = None  # type: ignore[assignment]

    def conjugate(self) -> Counted:
        """Return itself: a real number."""
        return self

    @property
    def real(self) -> Counted:
        """Itself."""
        return self

    @property
    def imag(self) -> float:
        """Zero."""
        return 0.0

    def __add__(self, other: Any) -> Counted:
        return _operate(float.__add__, self, other)

    def __sub__(self, other: Any) -> Counted:
        return _operate(float.__sub__, self, other)

    def __mul__(self, other: Any) -> Counted:
        return _multiply(self, other)

    def __truediv__(self, other: Any) -> Counted:
        return _operate(_divide, self, other)

    def __radd__(self, other: Any) -> Counted:
        return _operate(float.__add__, other, self)

    def __rsub__(self, other: Any) -> Counted:
        return _operate(float.__sub__, other, self)

    def __rmul__(self, other: Any) -> Counted:
        return _multiply(other, self)

    def __rtruediv__(self, other: Any) -> Counted:
        return _operate(_divide, other, self)


def _divide(x: float, y: float) -> float:
    # As compiled code does it.
    if y == 0.0:
        return math.nan if x == 0.0 or math.isnan(x) else math.copysign(math.inf, x) * math.copysign(1.0, y)
    return x / y


def _operate(function: Callable[[float, float], float], x: Any, y: Any) -> Counted:
    # Kernels write x * 0, x + 0 and x * 0 + 1 for a zero or a one of the right type: no arithmetic.
    if not any(isinstance(part, int) and part in (0, 1) for part in (x, y)):
        Counted.total += 1
    return Counted(function(float(x), float(y)))


def _multiply(x: Any, y: Any) -> Counted:
    # By a plain power of two, which is a shift of the exponent, or by the zero that stands for one too small.
    if any(isinstance(part, float) and part != 1.0 and abs(math.frexp(part)[0]) in (0.0, 0.5) for part in (x, y)):
        return Counted(float(x) * float(y))
    return _operate(float.__mul__, x, y)


def _sqrt(x: Any) -> Counted:
    Counted.total += 1
    return Counted(math.sqrt(float(x)))


def _frexp(x: Any) -> tuple[Any, int]:
    mantissa, exponent = math.frexp(float(x))
    return (Counted(mantissa) if isinstance(x, Counted) else mantissa), exponent


def _ldexp(x: Any, exponent: int) -> Any:
    result = math.ldexp(float(x), exponent)
    return Counted(result) if isinstance(x, Counted) else result


class _Math:
    """The functions of `math` that kernels use."""

    inf, nan, e, pi = math.inf, math.nan, math.e, math.pi
    sqrt = staticmethod(_sqrt)
    frexp = staticmethod(_frexp)
    ldexp = staticmethod(_ldexp)
    copysign = staticmethod(lambda x, y: Counted(math.copysign(float(x), float(y))))
    isfinite = staticmethod(lambda x: math.isfinite(float(x)))
    isnan = staticmethod(lambda x: math.isnan(float(x)))
    log = staticmethod(lambda x: Counted(math.log(float(x))))


class _Numpy:
    """Numpy, except for the square root."""

    sqrt = staticmethod(_sqrt)
    isfinite = staticmethod(lambda x: math.isfinite(float(x)))
    isnan = staticmethod(lambda x: math.isnan(float(x)))

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def plain_twin(kernel: Any) -> Any:
    """Return the Python body of a kernel, which calls the bodies of other kernels and mathematics that counts.

    Parameters
    ----------
    kernel : callable
        A function made by the decorators of ``stridiag._kernels.compile``.
    """
    return _twin(kernel, {})


def _twin(kernel: Any, known: dict[int, Any]) -> Any:
    # Of a kernel on vectors, the loops that do the same.
    kernel = getattr(kernel, "plain", kernel)
    body = getattr(kernel, "py_func", kernel)
    if id(body) in known:
        return known[id(body)]
    scope: dict[str, Any] = {}
    # What a helper encloses, the two forms of one that may have nothing to do, is known when this one is.
    cells = tuple(types.CellType() for _ in body.__closure__ or ())
    twin = types.FunctionType(body.__code__, scope, body.__name__, body.__defaults__, cells or None)
    known[id(body)] = twin
    for cell, original in zip(cells, body.__closure__ or (), strict=True):
        value = original.cell_contents
        cell.cell_contents = _twin(value, known) if _is_kernel(value) else value
    for name, value in body.__globals__.items():
        if value is math:
            scope[name] = _Math
        elif value is np:
            scope[name] = _Numpy()
        elif name in body.__code__.co_names and _is_kernel(value):
            scope[name] = _twin(value, known)
        else:
            scope[name] = value
    return twin


def _is_kernel(value: Any) -> bool:
    if hasattr(value, "py_func"):
        return True
    return isinstance(value, types.FunctionType) and value.__module__.startswith("stridiag._kernels")


def counted(array: ArrayLike) -> NDArray[Any]:
    """Return an array of `Counted` with the same numbers."""
    numbers = np.asarray(array)
    result = np.empty(numbers.shape, object)
    for place, value in np.ndenumerate(numbers):
        result[place] = Counted(float(value))
    return result


def count(kernel: Any, *arguments: Any) -> int:
    """Return the operations that a kernel executes on these arguments, whose numbers are `Counted`.

    Examples
    --------
    >>> from stridiag._kernels import determinant
    >>> count(determinant.log_product, counted([2.0, 3.0, 4.0]))
    4
    """
    Counted.total = 0
    plain_twin(kernel)(*arguments)
    return Counted.total


class _Recorder:
    """Stands for a kernel: runs its counting twin on copies, and puts the numbers back."""

    def __init__(self, kernel: Any, tally: list[int], known: dict[int, Any]) -> None:
        self.py_func = kernel.py_func
        # What the twin of another kernel finds here.
        self.plain = getattr(kernel, "plain", kernel)
        self._tally = tally
        self._known = known

    def __call__(self, *arguments: Any) -> Any:
        copies: dict[int, tuple[Any, Any]] = {}

        def replaced(argument: Any) -> Any:
            if isinstance(argument, tuple):
                return tuple(map(replaced, argument))
            if isinstance(argument, np.ndarray) and argument.dtype.kind == "f":
                # The same array under two names stays one array.
                return copies.setdefault(id(argument), (argument, counted(argument)))[1]
            return argument

        passed = [replaced(argument) for argument in arguments]
        Counted.total = 0
        # Of all kernels a few are called: twins are made when they are.
        result = _twin(self.plain, self._known)(*passed)
        self._tally[0] += Counted.total
        for original, copy in copies.values():
            if original.flags.writeable:
                original[...] = copy.astype(original.dtype)
        if isinstance(result, tuple):
            return tuple(float(part) if isinstance(part, Counted) else part for part in result)
        return float(result) if isinstance(result, Counted) else result


@cache
def _import_rooms() -> None:
    """Import now what would bring compiled kernels in later, when first needed."""
    for room in ("planning", "factorization", "linalg"):
        package = import_module(f"stridiag.{room}")
        for info in iter_modules(package.__path__):
            import_module(f"stridiag.{room}.{info.name}")


@contextmanager
def recording() -> Iterator[list[int]]:
    """Count what all kernels of the library execute, whoever calls them, on real double numbers.

    Yields
    ------
    list of int
        Its only entry grows with every kernel that runs. Results are what they would be without.

    Examples
    --------
    >>> import stridiag
    >>> A = stridiag.random(30, rng=0)
    >>> F = A.factor()
    >>> F.singular                         # factors, which chains do when first asked
    False
    >>> with recording() as executed:
    ...     x = F.slogdet()
    >>> executed[0] == F.plan.operations.slogdet
    True
    """
    _import_rooms()
    tally = [0]
    known: dict[int, Any] = {}
    replaced: list[tuple[Any, str, Any]] = []
    try:
        # Vectors hold no numbers that count: the loops that do the same are counted. And plans promise reflections.
        for name in ("columns", "sweeps", "front_householder", "band_again"):
            module: Any = import_module(f"stridiag.factorization.{name}")
            replaced.append((module, "COMPILES", module.COMPILES))
            module.COMPILES = False
        for name, module in list(sys.modules.items()):
            if name == "stridiag" or name.startswith("stridiag."):
                for attribute, value in list(vars(module).items()):
                    if hasattr(value, "py_func") and value.__module__.startswith("stridiag._kernels"):
                        replaced.append((module, attribute, value))
                        setattr(module, attribute, _Recorder(value, tally, known))
        yield tally
    finally:
        for module, attribute, value in replaced:
            setattr(module, attribute, value)
