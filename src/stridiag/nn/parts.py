"""Checks that the parts of a model fit one another; what was read from a file is used without any others.

Kernels read and write by the sizes that a model claims. A part that is made by hand, or by a file, must not get to them
with arrays of other sizes or other kinds of numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import StructureError

__all__ = ["require_array", "require_columns", "require_count"]

_WORDS = {"f": "floats", "i": "integers", "b": "truth values"}


def require_array(array: NDArray[Any], name: str, shape: tuple[int, ...], kind: str = "f") -> None:
    """Raise StructureError unless an array has that shape and kind of dtype, native.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn.parts import require_array
    >>> require_array(np.ones(3), "bias", (4,))
    Traceback (most recent call last):
        ...
    stridiag.errors.StructureError: bias must have shape (4,) and hold floats, got (3,) of float64
    """
    if array.shape != shape or array.dtype.kind != kind or not array.dtype.isnative:
        raise StructureError(
            f"{name} must have shape {shape} and hold {_WORDS[kind]}, got {array.shape} of {array.dtype}"
        )


def require_columns(made: int, read: int, what: str) -> None:
    """Raise StructureError unless as many columns come as are read."""
    if made != read:
        raise StructureError(f"{what} reads {read} columns, but {made} come to it")


def require_count(count: int, name: str) -> None:
    """Raise StructureError for a negative number of things, and for one that no array can have."""
    if not 0 <= count <= np.iinfo(np.int64).max:
        raise StructureError(f"{name} must be a number of at least 0, got {count}")
