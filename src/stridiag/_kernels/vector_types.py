"""What intrinsics that work on explicit vectors are made of: their numba type, and LLVM's instructions for it.

For makers of intrinsics; kernels use `stridiag._kernels.vectors`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import extending
from numba.core import types
from numba.extending import models, register_model

__all__ = [
    "BYTES",
    "INT32",
    "Vector",
    "address_of",
    "intrinsic",
    "llvm_type",
    "load_at",
    "require_flat",
    "spread_number",
    "store_at",
    "transposed",
    "vector_of",
]

BYTES = 64
"""Bytes of one vector."""

# Its own annotations describe the function that is decorated, not the one that comes out.
intrinsic: Any = extending.intrinsic

INT32 = ir.IntType(32)
_LLVM = {types.float64: ir.DoubleType(), types.float32: ir.FloatType(), types.boolean: ir.IntType(1)}


class Vector(types.Type):
    """The numba type of `count` numbers of one type: float64, float32, or boolean (what a comparison gives)."""

    def __init__(self, element: Any, count: int) -> None:
        self.element = element
        self.count = count
        super().__init__(name=f"Vector({element}, {count})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, llvm_type(kind))


def llvm_type(kind: Vector) -> Any:
    return ir.VectorType(_LLVM[kind.element], kind.count)


def vector_of(element: Any) -> Vector:
    return Vector(element, BYTES * 8 // element.bitwidth)


def spread_number(builder: Any, kind: Vector, number: Any) -> Any:
    """Return the vector that holds a number in every lane."""
    nothing = ir.Constant(llvm_type(kind), ir.Undefined)
    one = builder.insert_element(nothing, number, ir.Constant(INT32, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(INT32, kind.count), [0] * kind.count))


def address_of(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Return the address of an entry of a contiguous array, counted as if it were flat."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def load_at(builder: Any, kind: Vector, address: Any) -> Any:
    loaded = builder.load(builder.bitcast(address, llvm_type(kind).as_pointer()))
    loaded.align = kind.element.bitwidth // 8
    return loaded


def store_at(builder: Any, kind: Vector, vector: Any, address: Any) -> Any:
    stored = builder.store(vector, builder.bitcast(address, llvm_type(kind).as_pointer()))
    stored.align = kind.element.bitwidth // 8
    return stored


def require_flat(*kinds: Any) -> None:
    for kind in kinds:
        if not (isinstance(kind, types.Array) and kind.layout == "C"):
            raise TypeError(f"a vector is loaded from, or stored into, a C-contiguous array, got {kind}")


def transposed(builder: Any, kind: Vector, rows: list[Any]) -> list[Any]:
    """Return the columns of the square table whose rows are given: bit by bit, the place in a row becomes the row's."""
    count = kind.count
    rows = list(rows)
    step = 1
    while step < count:
        for i in (i for i in range(count) if not i & step):
            a, b = rows[i], rows[i | step]
            low = [k if not k & step else count + (k ^ step) for k in range(count)]
            high = [k | step if not k & step else count + k for k in range(count)]
            mask = ir.VectorType(INT32, count)
            rows[i] = builder.shuffle_vector(a, b, ir.Constant(mask, low))
            rows[i | step] = builder.shuffle_vector(a, b, ir.Constant(mask, high))
        step *= 2
    return rows
