"""Rows of numbers, each a vector with a place for every lane: tuples, taken apart when a kernel is compiled.

With one lane a number is a plain one, and the same kernels are the plain loops that the vectors are compared with. What
stands one behind the other in memory, segment by segment, is brought into tiles, where the lanes stand side by side.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from stridiag._kernels.compile import compiled_form, inlined
from stridiag._kernels.vector_types import BYTES, Vector, address_of, intrinsic, llvm_type, load_at
from stridiag._kernels.vectors import gather, multiply_add, prefetch, scatter, store

__all__ = [
    "TILE",
    "ask",
    "bring",
    "dot",
    "fetch",
    "has_many",
    "lessen",
    "nothing",
    "put",
    "read",
    "reduce",
    "take_out",
    "write",
    "zeros_like",
]

Array = NDArray[Any]
Row = tuple[Any, ...]

TILE = 16
"""Rows that are brought into a tile at a time."""

# ---------------------------------------------------------------------------------- numbers in memory, lane by lane


def fetch(array: Array, place: int, lanes: tuple[int, ...]) -> Any:
    """Return what stands at a place of an array: as many numbers as there are lanes."""
    return array[place]


def put(array: Array, place: int, value: Any, lanes: tuple[int, ...]) -> None:
    """Store numbers at a place."""
    array[place] = value


def _fetch_as_vector(typing: Any, array: Any, place: Any, lanes: Any) -> Any:
    kind = Vector(array.dtype, len(lanes))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        return load_at(builder, kind, address_of(context, builder, array, args[0], index))

    return kind(array, place, lanes), emit


def _zero_as_vector(typing: Any, array: Any, lanes: Any) -> Any:
    kind = Vector(array.dtype, len(lanes))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(llvm_type(kind), [0.0] * kind.count)

    return kind(array, lanes), emit


_fetch_wide, _zero_wide = intrinsic(_fetch_as_vector), intrinsic(_zero_as_vector)


@compiled_form(fetch)
def _fetch(array: Any, place: Any, lanes: Any) -> Any:
    if len(lanes) == 1:
        return lambda array, place, lanes: array[place]
    return lambda array, place, lanes: _fetch_wide(array, place, lanes)


@compiled_form(put)
def _put(array: Any, place: Any, value: Any, lanes: Any) -> Any:
    if len(lanes) > 1:
        return lambda array, place, value, lanes: store(array, place, value)

    def one(array: Any, place: Any, value: Any, lanes: Any) -> None:
        array[place] = value

    return one


def nothing(array: Array, lanes: tuple[int, ...]) -> Any:
    """Return zeros of an array's type."""
    return array[0] * 0


@compiled_form(nothing)
def _nothing(array: Any, lanes: Any) -> Any:
    if len(lanes) == 1:
        return lambda array, lanes: array[0] * 0
    return lambda array, lanes: _zero_wide(array, lanes)


# ---------------------------------------------------------------------------------- rows of such numbers


def read(array: Array, place: int, like: Row, lanes: tuple[int, ...]) -> Row:
    """Return what stands at a place and behind it, as many as `like` has."""
    return tuple(fetch(array, place + k * len(lanes), lanes) for k in range(len(like)))


@compiled_form(read)
def _read(array: Any, place: Any, like: Any, lanes: Any) -> Any:
    if len(like) == 0:
        return lambda array, place, like, lanes: ()
    step = len(lanes)
    return lambda array, place, like, lanes: (
        fetch(array, place, lanes),
        *read(array, place + step, like[1:], lanes),
    )


def write(array: Array, place: int, row: Row, lanes: tuple[int, ...]) -> None:
    """Store a row at a place and behind it."""
    for k, value in enumerate(row):
        put(array, place + k * len(lanes), value, lanes)


@compiled_form(write)
def _write(array: Any, place: Any, row: Any, lanes: Any) -> Any:
    if len(row) == 0:
        return lambda array, place, row, lanes: None
    step = len(lanes)

    def first_and_rest(array: Any, place: Any, row: Any, lanes: Any) -> None:
        put(array, place, row[0], lanes)
        write(array, place + step, row[1:], lanes)

    return first_and_rest


def zeros_like(row: Row, zero: Any) -> Row:
    """Return so many zeros."""
    return (zero,) * len(row)


@compiled_form(zeros_like)
def _zeros_like(row: Any, zero: Any) -> Any:
    if len(row) == 0:
        return lambda row, zero: ()
    return lambda row, zero: (zero, *zeros_like(row[1:], zero))


def dot(x: Row, y: Row, total: Any) -> Any:
    """Return `total` and the sum of the products, rounded alike in whichever kernel."""
    for a, b in zip(x, y, strict=True):
        total = multiply_add(a, b, total)
    return total


@compiled_form(dot)
def _dot(x: Any, y: Any, total: Any) -> Any:
    if len(x) == 0:
        return lambda x, y, total: total
    if not x[0] == y[0] == total:
        # One of the rows has numbers for every lane, and the other the same for all.
        return lambda x, y, total: dot(x[1:], y[1:], total + x[0] * y[0])
    return lambda x, y, total: dot(x[1:], y[1:], multiply_add(x[0], y[0], total))


def reduce(row: Row, multiplier: Any, by: Row) -> Row:
    """Return ``row - multiplier * by``."""
    return tuple(entry - multiplier * other for entry, other in zip(row, by, strict=True))


@compiled_form(reduce)
def _reduce(row: Any, multiplier: Any, by: Any) -> Any:
    if len(row) == 0:
        return lambda row, multiplier, by: ()
    return lambda row, multiplier, by: (
        row[0] - multiplier * by[0],
        *reduce(row[1:], multiplier, by[1:]),
    )


def lessen(total: Any, x: Row, y: Row) -> Any:
    """Return `total` less the products, the first of them last: what has just been found keeps nothing else waiting."""
    for a, b in zip(x[::-1], y[::-1], strict=True):
        total = multiply_add(-a, b, total)
    return total


@compiled_form(lessen)
def _lessen(total: Any, x: Any, y: Any) -> Any:
    if len(x) == 0:
        return lambda total, x, y: total
    return lambda total, x, y: multiply_add(-x[0], y[0], lessen(total, x[1:], y[1:]))


# ---------------------------------------------------------------------------------- bringing rows in


@inlined
def bring(
    source: Array, first_place: int, starts: Array, first: int, shift: int, lanes: tuple[int, ...], tile: Array, at: int
) -> None:
    """Bring TILE rows of every lane into a tile: ``source[first_place + starts[...] + shift + r]``.

    Places outside of the source are zeros.
    """
    count = len(lanes)
    highest = starts[first]
    for k in range(1, count):
        highest = max(highest, starts[first + k])
    if first_place + highest + shift + TILE <= source.size and has_many(tile, lanes):
        _bring_inside(source, first_place + shift, starts, first, lanes, tile, at)
        return
    for k in range(count):
        place = first_place + starts[first + k] + shift
        for r in range(TILE):
            inside = place + r < source.size
            tile[at + r * count + k] = source[place + r] if inside else tile[0] * 0


def has_many(tile: Array, lanes: tuple[int, ...]) -> bool:
    """Return whether there are whole vectors of lanes."""
    return False


@compiled_form(has_many)
def _compiledhas_many(tile: Any, lanes: Any) -> Any:
    many = len(lanes) > 1
    return lambda tile, lanes: many


def _bring_inside(
    source: Array, shift: int, starts: Array, first: int, lanes: tuple[int, ...], tile: Array, at: int
) -> None:
    raise NotImplementedError("one lane is brought in number by number")


@compiled_form(_bring_inside)
def _compiled_bring(source: Any, shift: Any, starts: Any, first: Any, lanes: Any, tile: Any, at: Any) -> Any:
    count = len(lanes)
    if count == 1:
        return lambda source, shift, starts, first, lanes, tile, at: None
    one = BYTES * 8 // tile.dtype.bitwidth

    def gathered(source: Any, shift: Any, starts: Any, first: Any, lanes: Any, tile: Any, at: Any) -> None:
        for r in range(0, TILE, one):
            for k in range(0, count, one):
                gather(source, starts, first + k, shift + r, tile, at + r * count + k, count)

    return gathered


def take_out(
    target: Array, shift: int, starts: Array, first: int, lanes: tuple[int, ...], tile: Array, at: int
) -> None:
    raise NotImplementedError("one lane is taken out number by number")


@compiled_form(take_out)
def _compiled_take_out(target: Any, shift: Any, starts: Any, first: Any, lanes: Any, tile: Any, at: Any) -> Any:
    count = len(lanes)
    if count == 1:
        return lambda target, shift, starts, first, lanes, tile, at: None
    one = BYTES * 8 // tile.dtype.bitwidth

    def scattered(target: Any, shift: Any, starts: Any, first: Any, lanes: Any, tile: Any, at: Any) -> None:
        for k in range(0, count, one):
            scatter(target, starts, first + k, shift, tile, at + k, count)

    return scattered


def ask(source: Array, place: int, lanes: tuple[int, ...]) -> None:
    """Ask for the next TILE rows of as many segments as there are lanes: they follow one another in memory."""


@compiled_form(ask)
def _compiled_ask(source: Any, place: Any, lanes: Any) -> Any:
    count = len(lanes)
    if count == 1:
        return lambda source, place, lanes: None
    line = BYTES * 8 // source.dtype.bitwidth

    def asked(source: Any, place: Any, lanes: Any) -> None:
        for k in range(0, TILE * count, line):
            prefetch(source, place + k)

    return asked
