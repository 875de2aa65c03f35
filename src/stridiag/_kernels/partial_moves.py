"""Moves between rows of many systems and a tile, as `gather` and `scatter` of `stridiag._kernels.vectors`, of parts.

At the ends of an array, and where systems begin at different steps, only some numbers of a vector may be touched. They
are moved under a mask: LLVM has one for every processor, in one instruction where there is such.
"""

# Made of numba's extension points, which are not annotated.
# mypy: disallow-untyped-decorators=False, disallow-untyped-calls=False

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from stridiag._kernels.vector_types import (
    INT32,
    address_of,
    intrinsic,
    llvm_type,
    load_at,
    require_flat,
    store_at,
    transposed,
    vector_of,
)

__all__ = ["gather_inside", "scatter_from"]


def _clamped(builder: Any, count: int, number: Any) -> Any:
    """Return a number as one of 0 ... count, of 32 bits."""
    for compare, bound in ((">", count), ("<", 0)):
        limit = ir.Constant(number.type, bound)
        number = builder.select(builder.icmp_signed(compare, number, limit), limit, number)
    return builder.trunc(number, INT32)


def _from(builder: Any, count: int, first: Any) -> Any:
    """Return the mask of the lanes from `first` on, of 32 bits."""
    lanes = ir.VectorType(INT32, count)
    nothing = ir.Constant(lanes, ir.Undefined)
    one = builder.insert_element(nothing, first, ir.Constant(INT32, 0))
    spread = builder.shuffle_vector(one, nothing, ir.Constant(lanes, [0] * count))
    return builder.icmp_signed(">=", ir.Constant(lanes, list(range(count))), spread)


def _masked(builder: Any, kind: Any, name: str, result: Any, arguments: tuple[Any, ...]) -> Any:
    """Call what LLVM has for a masked move."""
    number = "f64" if kind.element.bitwidth == 64 else "f32"
    function = ir.FunctionType(result, [argument.type for argument in arguments])
    full = f"llvm.masked.{name}.v{kind.count}{number}.p0"
    return builder.call(cgutils.get_or_insert_function(builder.module, function, full), arguments)


def _places(context: Any, builder: Any, kind: Any, tile: Any, table: Any, place: Any, stride: Any) -> list[Any]:
    """Return the addresses of the rows of a tile."""
    steps = (builder.mul(stride, ir.Constant(stride.type, row)) for row in range(kind.count))
    return [address_of(context, builder, table, tile, builder.add(place, step)) for step in steps]


def _at_lane(context: Any, builder: Any, table: Any, array: Any, first: Any, lane: int) -> Any:
    return builder.load(address_of(context, builder, table, array, builder.add(first, ir.Constant(first.type, lane))))


@intrinsic
def gather_inside(
    typing: Any, array: Any, starts: Any, first: Any, shift: Any, tile: Any, place: Any, stride: Any
) -> Any:
    """Do what `gather` does; what would stand outside the array is zero."""
    require_flat(array, starts, tile)
    kind = vector_of(tile.dtype)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        first_, shift_, place_, stride_ = (
            context.cast(builder, args[k], sig.args[k], types.intp) for k in (2, 3, 5, 6)
        )
        size = context.make_array(array)(context, builder, args[0]).nitems
        align, zeros = ir.Constant(INT32, kind.element.bitwidth // 8), ir.Constant(llvm_type(kind), None)
        rows = []
        for lane in range(kind.count):
            at = builder.add(_at_lane(context, builder, starts, args[1], first_, lane), shift_)
            begun = _from(builder, kind.count, _clamped(builder, kind.count, builder.neg(at)))
            over = _from(builder, kind.count, _clamped(builder, kind.count, builder.sub(size, at)))
            address = builder.bitcast(address_of(context, builder, array, args[0], at), llvm_type(kind).as_pointer())
            arguments = (address, align, builder.and_(begun, builder.not_(over)), zeros)
            rows.append(_masked(builder, kind, "load", llvm_type(kind), arguments))
        places = _places(context, builder, kind, args[4], tile, place_, stride_)
        for vector, address in zip(transposed(builder, kind, rows), places, strict=True):
            store_at(builder, kind, vector, address)
        return context.get_dummy_value()

    return types.void(array, starts, first, shift, tile, place, stride), emit


@intrinsic
def scatter_from(
    typing: Any,
    array: Any,
    starts: Any,
    first: Any,
    shift: Any,
    tile: Any,
    place: Any,
    stride: Any,
    begins: Any,
    begin: Any,
) -> Any:
    """Do what `scatter` does, from that row on which ``begins[begin + k]`` says of lane k, counted as `shift` is."""
    require_flat(array, starts, tile, begins)
    kind = vector_of(tile.dtype)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        first_, shift_, place_, stride_, begin_ = (
            context.cast(builder, args[k], sig.args[k], types.intp) for k in (2, 3, 5, 6, 8)
        )
        places = _places(context, builder, kind, args[4], tile, place_, stride_)
        moved = transposed(builder, kind, [load_at(builder, kind, address) for address in places])
        align = ir.Constant(INT32, kind.element.bitwidth // 8)
        for lane, vector in enumerate(moved):
            own = _at_lane(context, builder, begins, args[7], begin_, lane)
            own = context.cast(builder, own, begins.dtype, types.intp)
            mask = _from(builder, kind.count, _clamped(builder, kind.count, builder.sub(own, shift_)))
            at = builder.add(_at_lane(context, builder, starts, args[1], first_, lane), shift_)
            address = builder.bitcast(address_of(context, builder, array, args[0], at), llvm_type(kind).as_pointer())
            _masked(builder, kind, "store", ir.VoidType(), (vector, address, align, mask))
        return context.get_dummy_value()

    return types.void(array, starts, first, shift, tile, place, stride, begins, begin), emit
