"""Vectors of several registers: a stretch of a row of right-hand sides.

LLVM cuts them into the registers of the processor, so one body of a kernel serves a stretch of `COLUMNS` columns, which
keeps the units of the processor busy, and one of a single register for the columns that remain: its first argument is
a vector of zeros, and what it loads is as long as that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from stridiag._kernels.compile import borrowing, inlined
from stridiag._kernels.vector_moves import prefetch, store, store_past_caches
from stridiag._kernels.vector_types import BYTES, Vector, address_of, intrinsic, llvm_type, load_at, require_flat

__all__ = [
    "COLUMNS",
    "ask_for",
    "column_of",
    "lanes_of",
    "load_like",
    "move",
    "over",
    "put",
    "units_of",
    "wide_zeros",
    "zeros",
]

COLUMNS = 32
"""Columns of a wide stretch: four registers of doubles for what is carried, and as many again, leave some free."""


def _nothing(count: int | None) -> Any:
    def typed(typing: Any, array: Any) -> Any:
        kind = Vector(array.dtype, count or BYTES * 8 // array.dtype.bitwidth)

        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return ir.Constant(llvm_type(kind), [0.0] * kind.count)

        return kind(array), emit

    return intrinsic(typed)


zeros = _nothing(None)
"""Return a vector of one register, of the type of an array's numbers, that holds zeros."""

wide_zeros = _nothing(COLUMNS)
"""Return a vector of `COLUMNS` zeros, of the type of an array's numbers."""


def _lanes_of(typing: Any, vector: Any) -> Any:
    return types.intp(vector), lambda context, builder, sig, args: context.get_constant(types.intp, vector.count)


def _load_like(typing: Any, pattern: Any, array: Any, index: Any) -> Any:
    require_flat(array)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = context.cast(builder, args[2], sig.args[2], types.intp)
        return load_at(builder, pattern, address_of(context, builder, array, args[1], place))

    return pattern(pattern, array, index), emit


lanes_of: Any = intrinsic(_lanes_of)
"""Return how many numbers a vector holds."""

load_like: Any = intrinsic(_load_like)
"""Return the vector, as long as the first one, of what stands at a place of a contiguous array, counted as if flat."""


@inlined
def column_of(unit: Any, m: Any, lanes: Any) -> Any:
    """Return the first column of a unit: wide ones come first, then those of one register, the last one up to m.

    So the last two may overlap, and what both do is the same.
    """
    wide = m // COLUMNS
    return unit * COLUMNS if unit < wide else min(wide * COLUMNS + (unit - wide) * lanes, m - lanes)


@inlined
def units_of(m: Any, lanes: Any) -> Any:
    """Return how many units m columns are, as many as one register has lanes, or more."""
    return m // COLUMNS + -(-(m % COLUMNS) // lanes)


@inlined
def over(value: Any, pivot: Any) -> Any:
    """Return a vector divided by a number: the product with its reciprocal, as long as that is finite."""
    reciprocal = 1.0 / pivot
    return value * reciprocal if np.isfinite(reciprocal) else value / pivot


@borrowing
def put(x: Any, place: Any, value: Any, past: Any) -> None:
    """Store a vector, past the caches if asked to."""
    if past:
        store_past_caches(x, place, value)
    else:
        store(x, place, value)


@borrowing
def move(like: Any, work: Any, source: Any, target: Any, count: Any) -> None:
    """Copy so many vectors as long as `like` to a place in front of them, or behind all of them."""
    width = lanes_of(like)
    for k in range(count):
        store(work, target + k * width, load_like(like, work, source + k * width))


@borrowing
def ask_for(like: Any, b: Any, place: Any) -> None:
    """Prefetch what a vector as long as `like` holds."""
    for k in range(0, lanes_of(like), lanes_of(zeros(b))):
        prefetch(b, place + k)
