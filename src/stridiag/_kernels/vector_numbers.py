"""Single numbers of vectors: put in, taken out, moved between lanes.

For kernels whose vector holds one row of one system, where `stridiag._kernels.vectors` has one number of many systems.
Arrays are contiguous and counted as if they were flat; no index counts from the end, which saves looking. Tuples stand
for their lengths, which are known when a kernel is compiled.
"""

# Made of numba's extension points, which are not annotated.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from stridiag._kernels.vector_types import INT32, Vector, address_of, intrinsic, llvm_type, spread_number, vector_of

__all__ = [
    "first_moved_out",
    "front",
    "numbers_at",
    "put_number",
    "put_numbers",
    "spread",
    "spread_front",
    "with_numbers",
]


def _shuffled(builder: Any, kind: Vector, x: Any, places: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(INT32, kind.count), places)
    return builder.shuffle_vector(x, ir.Constant(llvm_type(kind), [0.0] * kind.count), mask)


@intrinsic
def spread(typing: Any, array: Any, value: Any) -> Any:
    """Return the vector, of the type of an array's numbers, that holds a number in every lane."""
    kind = vector_of(array.dtype)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return spread_number(builder, kind, context.cast(builder, args[1], sig.args[1], array.dtype))

    return kind(array, value), emit


@intrinsic
def front(typing: Any, x: Any) -> Any:
    """Return the number in the first lane."""
    return x.element(x), lambda context, builder, sig, args: builder.extract_element(args[0], ir.Constant(INT32, 0))


@intrinsic
def spread_front(typing: Any, x: Any) -> Any:
    """Return the number in the first lane, in every lane."""
    return x(x), lambda context, builder, sig, args: _shuffled(builder, x, args[0], [0] * x.count)


@intrinsic
def first_moved_out(typing: Any, x: Any, like: Any) -> Any:
    """Move the first numbers, as many as `like` has, one lane to the front, the first one out; a zero follows."""
    w = len(like)
    places = [*range(1, w), x.count, *range(w, x.count)]
    return x(x, like), lambda context, builder, sig, args: _shuffled(builder, x, args[0], places)


@intrinsic
def numbers_at(typing: Any, flat: Any, starts: Any, d: Any, at: Any, like: Any) -> Any:
    """Return a vector of the numbers ``flat[starts[d + k] + at]``, a zero where `like` has None, then zeros."""
    kind = vector_of(flat.dtype)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        d_, at_ = (context.cast(builder, args[k], sig.args[k], types.intp) for k in (2, 3))
        result = ir.Constant(llvm_type(kind), [0.0] * kind.count)
        for k, present in enumerate(like):
            if isinstance(present, types.NoneType):
                continue
            place = builder.add(d_, ir.Constant(d_.type, k))
            start = builder.load(address_of(context, builder, starts, args[1], place))
            number = builder.load(address_of(context, builder, flat, args[0], builder.add(start, at_)))
            result = builder.insert_element(result, number, ir.Constant(INT32, k))
        return result

    return kind(flat, starts, d, at, like), emit


@intrinsic
def with_numbers(typing: Any, x: Any, before: Any, array: Any, place: Any, stride: Any, like: Any) -> Any:
    """Put numbers from places a stride apart, as many as `like` has, behind as many lanes as `before` has."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place_, stride_ = (context.cast(builder, args[k], sig.args[k], types.intp) for k in (3, 4))
        result = args[0]
        for lane in range(len(before), len(before) + len(like)):
            number = builder.load(address_of(context, builder, array, args[2], place_))
            result = builder.insert_element(result, number, ir.Constant(INT32, lane))
            place_ = builder.add(place_, stride_)
        return result

    return x(x, before, array, place, stride, like), emit


@intrinsic
def put_number(typing: Any, array: Any, place: Any, value: Any) -> Any:
    """Set one entry."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = context.cast(builder, args[2], sig.args[2], array.dtype)
        place_ = context.cast(builder, args[1], sig.args[1], types.intp)
        builder.store(number, address_of(context, builder, array, args[0], place_))
        return context.get_dummy_value()

    return types.void(array, place, value), emit


@intrinsic
def put_numbers(typing: Any, x: Any, before: Any, array: Any, place: Any, stride: Any, like: Any) -> Any:
    """Write what `with_numbers` puts into a vector."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place_, stride_ = (context.cast(builder, args[k], sig.args[k], types.intp) for k in (3, 4))
        for lane in range(len(before), len(before) + len(like)):
            number = builder.extract_element(args[0], ir.Constant(INT32, lane))
            builder.store(number, address_of(context, builder, array, args[2], place_))
            place_ = builder.add(place_, stride_)
        return context.get_dummy_value()

    return types.void(x, before, array, place, stride, like), emit
