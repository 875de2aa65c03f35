"""Checks of what comes in from outside. Each accepts what is good, so that NaN fails."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._arrays import as_array
from stridiag.errors import NonFiniteError, StructureError

__all__ = [
    "VALUE_TYPES",
    "as_floats",
    "as_index",
    "as_values",
    "check_option",
    "nearest",
    "require_finite",
    "warn_user",
]

VALUE_TYPES = (np.dtype("f4"), np.dtype("f8"), np.dtype("c8"), np.dtype("c16"))

T = TypeVar("T")


def as_values(array: ArrayLike, name: str) -> NDArray[Any]:
    """Give `array`, of any library, one of the four value types; integers and booleans become float64."""
    result = as_array(array, name)
    if result.dtype in VALUE_TYPES and result.dtype.isnative:
        return result
    if result.dtype.kind in "biu":
        return result.astype(np.float64)
    if result.dtype.newbyteorder("=") in VALUE_TYPES:
        return result.astype(result.dtype.newbyteorder("="))
    if result.dtype.newbyteorder("=") == np.float16:
        return result.astype(np.float32)
    raise TypeError(
        f"{name} must hold float32, float64, complex64, complex128, integers or booleans, "
        f"got dtype {result.dtype}; convert it with .astype first"
    )


def as_floats(array: ArrayLike, name: str) -> NDArray[np.float64]:
    """Give `array`, of real numbers, in float64; arrays of other libraries as `as_array` takes or refuses them."""
    result = as_array(array, name)
    if result.dtype.kind == "c":
        raise TypeError(f"{name} must hold real numbers, got {result.dtype}")
    try:
        return result.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must hold numbers, got {result.dtype}: {error}") from error


def as_index(array: ArrayLike, name: str) -> NDArray[np.int64]:
    """Give `array` as a one-dimensional int64 array; a float with a fraction is refused, not rounded."""
    result = as_array(array, name)
    if result.ndim != 1:
        raise StructureError(f"{name} must be one-dimensional, got shape {result.shape}")
    if result.size == 0:
        return np.empty(0, np.int64)
    if result.dtype.kind not in "iu":
        raise StructureError(f"{name} must hold integers, got dtype {result.dtype}")
    return result.astype(np.int64)


def require_finite(array: NDArray[Any], name: str) -> None:
    """Raise `NonFiniteError`, naming the first place, unless every entry is finite."""
    # The sum is finite whenever all entries are, short of overflow: then look closer.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):
            return
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        place = np.unravel_index(bad[0], array.shape)
        index = ", ".join(str(int(i)) for i in place)
        raise NonFiniteError(f"{name} must be finite, got {array[place]} at index [{index}] ({bad.size} such entries)")


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn, and point at the caller's line: the first frame outside this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(f"{__package__}."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def check_option(value: T, name: str, allowed: Iterable[T]) -> T:
    """Return `value` if it is one of `allowed`; an unknown option is an error that lists the known ones."""
    choices = tuple(allowed)
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence that names the likeliest meaning; empty where nothing is near.

    Examples
    --------
    >>> from stridiag._validate import nearest
    >>> nearest("Pirce", ["price", "rooms"])
    "; did you mean 'price'?"
    """
    lowered: dict[str, str] = {}
    for other in names:
        lowered.setdefault(other.lower(), other)
    near = [lowered[found] for found in difflib.get_close_matches(name.lower(), lowered, n=2, cutoff=0.6)]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
