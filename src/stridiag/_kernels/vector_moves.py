"""Vectors come from arrays and go back: see `stridiag._kernels.vectors`."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from stridiag._kernels.vector_types import (
    BYTES,
    INT32,
    address_of,
    intrinsic,
    load_at,
    require_flat,
    spread_number,
    store_at,
    transposed,
    vector_of,
)

__all__ = ["gather", "load", "prefetch", "scatter", "splat", "store", "store_past_caches", "total_of"]


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """Return the vector of what stands at a place of a contiguous array, counted as if it were flat, and behind it."""
    require_flat(array)
    kind = vector_of(array.dtype)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = context.cast(builder, args[1], sig.args[1], types.intp)
        return load_at(builder, kind, address_of(context, builder, array, args[0], place))

    return kind(array, index), emit


def _storing(typing: Any, array: Any, index: Any, vector: Any, *, past: bool) -> Any:
    require_flat(array)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = context.cast(builder, args[1], sig.args[1], types.intp)
        stored = store_at(builder, vector, args[2], address_of(context, builder, array, args[0], place))
        if past:
            stored.align = BYTES
            stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(INT32, 1)]))
        return context.get_dummy_value()

    return types.void(array, index, vector), emit


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Put a vector at a place of a contiguous array, counted as if it were flat."""
    return _storing(typing, array, index, vector, past=False)


@intrinsic
def store_past_caches(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Put a vector at a place whose address is a multiple of 64, for an array too large to stay in a cache."""
    return _storing(typing, array, index, vector, past=True)


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Ask for what stands at a place of a contiguous array before it is needed; places outside do no harm."""
    require_flat(array)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, INT32, INT32, INT32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        place = context.cast(builder, args[1], sig.args[1], types.intp)
        address = builder.bitcast(address_of(context, builder, array, args[0], place), byte)
        # For reading, to be kept in all caches, data rather than instructions.
        builder.call(function, [address, *(ir.Constant(INT32, k) for k in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, index), emit


@intrinsic
def total_of(typing: Any, x: Any) -> Any:
    """Return the sum of a vector's numbers: of its halves, of the halves of that, and so on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector, count = args[0], x.count
        while count > 1:
            count //= 2
            nothing = ir.Constant(vector.type, ir.Undefined)
            low, high = (
                builder.shuffle_vector(
                    vector, nothing, ir.Constant(ir.VectorType(INT32, count), list(range(first, first + count)))
                )
                for first in (0, count)
            )
            vector = builder.fadd(low, high)
        return builder.extract_element(vector, ir.Constant(INT32, 0))

    return x.element(x), emit


@intrinsic
def splat(typing: Any, array: Any, index: Any) -> Any:
    """Return the vector that holds one entry of a contiguous array in every lane."""
    require_flat(array)
    kind = vector_of(array.dtype)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = context.cast(builder, args[1], sig.args[1], types.intp)
        return spread_number(builder, kind, builder.load(address_of(context, builder, array, args[0], place)))

    return kind(array, index), emit


def _moving(array: Any, starts: Any, first: Any, shift: Any, tile: Any, place: Any, stride: Any, *, into: bool) -> Any:
    require_flat(array, starts, tile)
    kind = vector_of(tile.dtype)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        first_, shift_, place_, stride_ = (
            context.cast(builder, args[k], sig.args[k], types.intp) for k in (2, 3, 5, 6)
        )
        lanes = []
        for lane in range(kind.count):
            number = builder.add(first_, ir.Constant(first_.type, lane))
            start = builder.load(address_of(context, builder, starts, args[1], number))
            lanes.append(address_of(context, builder, array, args[0], builder.add(start, shift_)))
        places = []
        for row in range(kind.count):
            step = builder.mul(stride_, ir.Constant(stride_.type, row))
            places.append(address_of(context, builder, tile, args[4], builder.add(place_, step)))
        sources, targets = (lanes, places) if into else (places, lanes)
        moved = transposed(builder, kind, [load_at(builder, kind, address) for address in sources])
        for vector, address in zip(moved, targets, strict=True):
            store_at(builder, kind, vector, address)
        return context.get_dummy_value()

    return types.void(array, starts, first, shift, tile, place, stride), emit


@intrinsic
def gather(typing: Any, array: Any, starts: Any, first: Any, shift: Any, tile: Any, place: Any, stride: Any) -> Any:
    """Bring as many rows of as many systems as a vector has lanes into a tile, system by lane.

    Lane k of the vector at ``place + r * stride`` of `tile` becomes ``array[starts[first + k] + shift + r]``.
    """
    return _moving(array, starts, first, shift, tile, place, stride, into=True)


@intrinsic
def scatter(typing: Any, array: Any, starts: Any, first: Any, shift: Any, tile: Any, place: Any, stride: Any) -> Any:
    """Bring rows from a tile back, the reverse of `gather`."""
    return _moving(array, starts, first, shift, tile, place, stride, into=False)
