"""Explicit vectors: several numbers in one register, for kernels that do the same to many systems at once.

The compiler leaves loops over 8 ... 32 lanes scalar, since it cannot prove that the arrays do not overlap. Here a numba
type stands for the LLVM vector ``<n x double>`` or ``<n x float>``, and LLVM turns what is done with it into the
instructions of the processor that it compiles for: AVX-512, AVX2, NEON. Nothing here is specific to one of them.

A vector is made by `load`, `splat` or arithmetic, and leaves by `store`. Between two vectors, or a vector and a number,
there are ``+ - * /``, and the unary minus. `square_root`, `magnitude`, `with_sign_of`, `power_below`,
`exponent_of`, `least_of`, `less`, `both`, `choose` and `every` take vectors and plain numbers alike: one body serves a
vector kernel and its plain-loop twin.

A vector has 64 bytes: 8 doubles or 16 floats.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

from stridiag._kernels.compile import compiled_form
from stridiag._kernels.vector_moves import (
    gather,
    load,
    prefetch,
    scatter,
    splat,
    store,
    store_past_caches,
    total_of,
)
from stridiag._kernels.vector_types import BYTES, Vector, intrinsic, llvm_type, spread_number

__all__ = [
    "BYTES",
    "both",
    "choose",
    "every",
    "exponent_of",
    "gather",
    "least_of",
    "less",
    "load",
    "magnitude",
    "multiply_add",
    "power_below",
    "prefetch",
    "scatter",
    "splat",
    "square_root",
    "store",
    "store_past_caches",
    "total_of",
    "two_to",
    "with_sign_of",
]

# ------------------------------------------------------------------------------------------------ arithmetic


def _operands(context: Any, builder: Any, sig: Any, args: Any) -> list[Any]:
    """Return the operands as vectors: a plain number becomes one."""
    kind = next(given for given in sig.args if isinstance(given, Vector))
    return [
        value
        if isinstance(given, Vector)
        else spread_number(builder, kind, context.cast(builder, value, given, kind.element))
        for given, value in zip(sig.args, args, strict=True)
    ]


def _define(symbol: Callable[..., Any], instruction: str) -> None:
    """Make an operator work on two vectors, and on a vector and a number."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            kinds = {arg for arg in args if isinstance(arg, Vector)}
            others = [arg for arg in args if not isinstance(arg, Vector)]
            if kws or len(args) != 2 or len(kinds) != 1 or not all(isinstance(arg, types.Number) for arg in others):
                return None
            return signature(kinds.pop(), *args)

    infer_global(symbol)(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*_operands(context, builder, sig, args))

    for pair in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(symbol, *pair)(lower)


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define(_symbol, _instruction)


@infer_global(operator.neg)
class _Negative(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(args[0], args[0]) if len(args) == 1 and isinstance(args[0], Vector) else None


@lower_builtin(operator.neg, Vector)
def _negative(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.fneg(args[0])


def _call(builder: Any, name: str, kind: Vector, args: Any) -> Any:
    """Call LLVM's own function `name` on vectors of one kind."""
    llvm = llvm_type(kind)
    full = f"{name}.v{kind.count}f{kind.element.bitwidth}"
    return builder.call(
        cgutils.get_or_insert_function(builder.module, ir.FunctionType(llvm, [llvm] * len(args)), full), args
    )


@intrinsic
def _root(typing: Any, x: Any) -> Any:
    return x(x), lambda context, builder, sig, args: _call(builder, "llvm.sqrt", x, args)


@intrinsic
def _absolute(typing: Any, x: Any) -> Any:
    return x(x), lambda context, builder, sig, args: _call(builder, "llvm.fabs", x, args)


@intrinsic
def _copy_sign(typing: Any, x: Any, y: Any) -> Any:
    return x(x, y), lambda context, builder, sig, args: _call(builder, "llvm.copysign", x, args)


@intrinsic
def _multiply_add(typing: Any, x: Any, y: Any, z: Any) -> Any:
    if isinstance(x, Vector):
        return x(x, y, z), lambda context, builder, sig, args: _call(builder, "llvm.fmuladd", x, args)
    kind = max((x, y, z), key=lambda number: number.bitwidth)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        llvm = context.get_value_type(kind)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(llvm, [llvm] * 3), f"llvm.fmuladd.f{kind.bitwidth}"
        )
        return builder.call(function, args)

    return kind(kind, kind, kind), emit


_BIAS = {64: 1023, 32: 127}
_DIGITS = {64: 52, 32: 23}


def _width(kind: Any) -> int:
    width: int = (kind.element if isinstance(kind, Vector) else kind).bitwidth
    return width


def _bits(builder: Any, kind: Any, x: Any, keep: int) -> tuple[Any, Callable[[int], Any]]:
    """Return some of the bits of numbers as integers, and a maker of constants for these."""
    whole = ir.IntType(_width(kind))
    llvm = ir.VectorType(whole, kind.count) if isinstance(kind, Vector) else whole

    def constant(number: int) -> Any:
        return ir.Constant(llvm, [number] * kind.count if isinstance(kind, Vector) else number)

    return builder.and_(builder.bitcast(x, llvm), constant(keep)), constant


def _exponent_bits(builder: Any, kind: Any, x: Any) -> tuple[Any, Callable[[int], Any]]:
    width = _width(kind)
    return _bits(builder, kind, x, ((1 << (width - 1 - _DIGITS[width])) - 1) << _DIGITS[width])


@intrinsic
def _power(typing: Any, x: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(_exponent_bits(builder, x, args[0])[0], args[0].type)

    return x(x), emit


@intrinsic
def _exponent(typing: Any, x: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width = _width(x)
        bits, constant = _exponent_bits(builder, x, args[0])
        shifted = builder.lshr(bits, constant(_DIGITS[width]))
        return builder.sitofp(builder.sub(shifted, constant(_BIAS[width])), args[0].type)

    return x(x), emit


@intrinsic
def _two_to(typing: Any, x: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width = _width(x)
        bits, constant = _bits(builder, x, args[0], (1 << width) - 1)
        # The integer stands in the last digits, in two's complement: what is above it is shifted out.
        power = builder.shl(builder.add(bits, constant(_BIAS[width])), constant(_DIGITS[width]))
        return builder.bitcast(power, args[0].type)

    return x(x), emit


@intrinsic
def _least(typing: Any, x: Any, y: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        size, constant = _bits(builder, y, args[1], (1 << (_width(y) - 1)) - 1)
        # Positive numbers are ordered as their bits; that of zero becomes the largest of all.
        size = builder.sub(size, constant(1))
        old = builder.bitcast(args[0], size.type)
        return builder.bitcast(builder.select(builder.icmp_unsigned("<", size, old), size, old), args[0].type)

    return x(x, y), emit


@intrinsic
def _compare(typing: Any, x: Any, y: Any) -> Any:
    kind = x if isinstance(x, Vector) else y

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fcmp_ordered("<", *_operands(context, builder, sig, args))

    return Vector(types.boolean, kind.count)(x, y), emit


@intrinsic
def _and(typing: Any, x: Any, y: Any) -> Any:
    return x(x, y), lambda context, builder, sig, args: builder.and_(*args)


@intrinsic
def _select(typing: Any, condition: Any, x: Any, y: Any) -> Any:
    kind = x if isinstance(x, Vector) else y

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        given = signature(kind, *sig.args[1:])
        return builder.select(args[0], *_operands(context, builder, given, args[1:]))

    return kind(condition, x, y), emit


@intrinsic
def _all(typing: Any, x: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = ir.IntType(x.count)
        return builder.icmp_unsigned("==", builder.bitcast(args[0], bits), ir.Constant(bits, 2**x.count - 1))

    return types.boolean(x), emit


# ------------------------------------------------------------- what vectors and plain numbers both understand


def square_root(x: Any) -> Any:
    """Return the square root, lane by lane."""
    return math.sqrt(x)


def multiply_add(x: Any, y: Any, z: Any) -> Any:
    """Return x y + z, in one operation where the processor has it.

    Of a sum of two products the compiler fuses one or the other by itself, and not the same one everywhere.
    """
    return x * y + z


def magnitude(x: Any) -> Any:
    """Return the absolute value, lane by lane."""
    return abs(x)


def with_sign_of(x: Any, y: Any) -> Any:
    """Return x >= 0 with the sign of y, lane by lane."""
    return math.copysign(x, y)


def power_below(x: Any) -> Any:
    """Return the largest power of two that is not above the magnitude, lane by lane; 0 for zero and subnormals."""
    if x == 0 or not math.isfinite(x):
        return abs(x)
    return math.ldexp(1.0, math.frexp(x)[1] - 1)


def exponent_of(x: Any) -> Any:
    """Return the exponent of `power_below`, itself a number of the type, lane by lane; meaningless for its zeros."""
    return float(math.frexp(x)[1] - 1)


def two_to(x: Any) -> Any:
    """Return 2^k, lane by lane, for ``x = k + 1.5 * 2^52`` (float32: ``2^23``): a sum that rounds to an integer k.

    k lies between the exponents of the smallest and of the largest normal number; for NaN the result means nothing.
    """
    return math.ldexp(1.0, int(x - 1.5 * 2.0**52))


def least_of(x: Any, y: Any) -> Any:
    """Return the smaller one of x >= 0 and the number just below the magnitude of y, lane by lane.

    Where y is zero or no number, that is x.
    For a search for the smallest number that is not zero: three operations on integers.
    """
    return x if y == 0 or math.isnan(y) else min(x, math.nextafter(abs(y), 0.0))


def less(x: Any, y: Any) -> Any:
    """Return whether x < y, lane by lane; False for NaN."""
    return x < y


def both(x: Any, y: Any) -> Any:
    """Return whether two conditions hold, lane by lane."""
    return x and y


def choose(condition: Any, x: Any, y: Any) -> Any:
    """Return x where a condition holds and y elsewhere; both have been computed."""
    return x if condition else y


def every(condition: Any) -> Any:
    """Return whether a condition holds in every lane."""
    return condition


def _is_vector(*kinds: Any) -> bool:
    return any(isinstance(kind, Vector) for kind in kinds)


@compiled_form(square_root)
def _square_root(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return (lambda x: _root(x)) if _is_vector(x) else (lambda x: math.sqrt(x))


@compiled_form(multiply_add)
def _fused(x, y, z):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    real = all(isinstance(kind, types.Float) for kind in (x, y, z))
    return (lambda x, y, z: _multiply_add(x, y, z)) if _is_vector(x) or real else (lambda x, y, z: x * y + z)


@compiled_form(magnitude)
def _magnitude(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return (lambda x: _absolute(x)) if _is_vector(x) else (lambda x: abs(x))


@compiled_form(with_sign_of)
def _with_sign_of(x, y):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return (lambda x, y: _copy_sign(x, y)) if _is_vector(x) else (lambda x, y: math.copysign(x, y))


@compiled_form(power_below)
def _power_below(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return lambda x: _power(x)


@compiled_form(exponent_of)
def _exponent_of(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return lambda x: _exponent(x)


@compiled_form(two_to)
def _power_of_two(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return lambda x: _two_to(x)


@compiled_form(least_of)
def _least_of(x, y):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return lambda x, y: _least(x, y)


@compiled_form(less)
def _less(x, y):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return (lambda x, y: _compare(x, y)) if _is_vector(x, y) else (lambda x, y: x < y)


@compiled_form(both)
def _both(x, y):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return (lambda x, y: _and(x, y)) if _is_vector(x) else (lambda x, y: x and y)


@compiled_form(choose)
def _choose(condition, x, y):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if _is_vector(condition):
        return lambda condition, x, y: _select(condition, x, y)
    return lambda condition, x, y: x if condition else y


@compiled_form(every)
def _every(condition):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return (lambda condition: _all(condition)) if _is_vector(condition) else (lambda condition: condition)
