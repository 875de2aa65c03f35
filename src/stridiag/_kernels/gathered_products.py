"""Products of two arrays' numbers, brought into lanes: what `stridiag._kernels.vectors.gather` does with one array.

The products are made where the numbers stand beside one another in memory, so that one table is turned, not two: to
turn it takes as many operations as eight rows of a recurrence.
"""

# Made of numba's extension points, which are not annotated.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from stridiag._kernels.vector_types import (
    address_of,
    intrinsic,
    load_at,
    require_flat,
    store_at,
    transposed,
    vector_of,
)

__all__ = ["gather_products"]


@intrinsic
def gather_products(
    typing: Any, array: Any, other: Any, starts: Any, first: Any, shift: Any, tile: Any, place: Any, stride: Any
) -> Any:
    """Bring products of as many rows of as many systems as a vector has lanes into a tile, system by lane.

    Lane k of the vector at ``place + r * stride`` of `tile` becomes ``array[at] * other[at]`` with
    ``at = starts[first + k] + shift + r``.
    """
    require_flat(array, other, starts, tile)
    kind = vector_of(tile.dtype)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        first_, shift_, place_, stride_ = (
            context.cast(builder, args[k], sig.args[k], types.intp) for k in (3, 4, 6, 7)
        )

        def loaded(of: Any, data: Any, at: Any) -> Any:
            return load_at(builder, kind, address_of(context, builder, of, data, at))

        rows = []
        for lane in range(kind.count):
            number = builder.add(first_, ir.Constant(first_.type, lane))
            at = builder.add(builder.load(address_of(context, builder, starts, args[2], number)), shift_)
            rows.append(builder.fmul(loaded(array, args[0], at), loaded(other, args[1], at)))
        for row, vector in enumerate(transposed(builder, kind, rows)):
            step = builder.mul(stride_, ir.Constant(stride_.type, row))
            store_at(builder, kind, vector, address_of(context, builder, tile, args[5], builder.add(place_, step)))
        return context.get_dummy_value()

    return types.void(array, other, starts, first, shift, tile, place, stride), emit
