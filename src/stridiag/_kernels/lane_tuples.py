"""Rows of a band in lanes: a tuple of vectors for each, as long as is known when a kernel is compiled.

For `stridiag._kernels.band_windows`. What is done to each vector of a tuple is a recursion over types, which leaves
straight code. Most of these helpers exist in compiled code only.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import compiled_form
from stridiag._kernels.lane_window_steps import larger
from stridiag._kernels.narrow_band import reduce
from stridiag._kernels.two_ended_solve import less_products
from stridiag._kernels.vectors import load, magnitude, multiply_add, splat, store

__all__ = [
    "alike",
    "count_of",
    "largest_of",
    "less_held",
    "loaded_row",
    "magnitudes",
    "rights_of",
    "scaled",
    "squared_probe",
    "stored_row",
    "tile_row",
    "unknowns",
]

Array = NDArray[Any]
Row = tuple[Any, ...]
Widths = tuple[int, ...]


def count_of(present: Row) -> int:
    """Return how many diagonals there are."""
    return sum(each is not None for each in present)


@compiled_form(count_of)
def _count_of(present: Any) -> Any:
    count = sum(str(kind) != "none" for kind in present)
    return lambda present: count


def tile_row(tile: Array, at: int, part: int, zero: Any, present: Row) -> Any:
    """Return a row's vectors in the tile, one part behind the other, zeros for diagonals that are absent."""
    raise NotImplementedError


@compiled_form(tile_row)
def _tile_row(tile: Any, at: Any, part: Any, zero: Any, present: Any) -> Any:
    if len(present) == 0:
        return lambda tile, at, part, zero, present: ()
    if str(present[0]) == "none":
        return lambda tile, at, part, zero, present: (zero, *tile_row(tile, at, part, zero, present[1:]))
    return lambda tile, at, part, zero, present: (
        load(tile, at),
        *tile_row(tile, at + part, part, zero, present[1:]),
    )


def alike(like: Row, value: Any) -> Any:
    """Return a value as often as there are numbers in `like`."""
    return tuple(value for _ in like)


@compiled_form(alike)
def _alike(like: Any, value: Any) -> Any:
    if len(like) == 0:
        return lambda like, value: ()
    return lambda like, value: (value, *alike(like[1:], value))


def rights_of(sides: Widths, vector: Any, probe: Array, row: int, weights: Any) -> Any:
    """Return a row's right-hand sides: a vector, and the probe's."""
    raise NotImplementedError


@compiled_form(rights_of)
def _rights_of(sides: Any, vector: Any, probe: Any, row: Any, weights: Any) -> Any:
    if len(sides) == 1:
        return lambda sides, vector, probe, row, weights: (vector,)
    return lambda sides, vector, probe, row, weights: (vector, splat(probe, row) * weights)


def less_held(entries: Row, rights: Row, held: tuple[tuple[Row, Row], ...]) -> tuple[Row, Row]:
    """Return a row, from its pivot on, less its multiples of the pivot rows that are held, the oldest first."""
    raise NotImplementedError


@compiled_form(less_held)
def _less_held(entries: Any, rights: Any, held: Any) -> Any:
    if len(held) == 0:
        return lambda entries, rights, held: (entries, rights)
    width = len(held[0][0])

    def first_and_rest(entries: Any, rights: Any, held: Any) -> Any:
        row, beside = held[0]
        by = entries[0]
        following = entries[1:]
        left = (*reduce(following[:width], by, row), *following[width:])
        return less_held(left, reduce(rights, by, beside), held[1:])

    return first_and_rest


def scaled(row: Row, by: Any) -> Row:
    """Return the numbers of a row times one."""
    return tuple(value * by for value in row)


@compiled_form(scaled)
def _scaled(row: Any, by: Any) -> Any:
    if len(row) == 0:
        return lambda row, by: ()
    return lambda row, by: (row[0] * by, *scaled(row[1:], by))


def magnitudes(row: Row, like: Any) -> Any:
    """Return the sum of the magnitudes of a row; `like` is a zero."""
    return sum(map(abs, row), like)


@compiled_form(magnitudes)
def _magnitudes(row: Any, like: Any) -> Any:
    if len(row) == 0:
        return lambda row, like: like
    return lambda row, like: magnitude(row[0]) + magnitudes(row[1:], like)


def largest_of(row: Row, most: Any, present: Row) -> Any:
    """Return the largest magnitude, also of a row's numbers of diagonals that are present."""
    raise NotImplementedError


@compiled_form(largest_of)
def _largest_of(row: Any, most: Any, present: Any) -> Any:
    if len(row) == 0:
        return lambda row, most, present: most
    if str(present[0]) == "none":
        return lambda row, most, present: largest_of(row[1:], most, present[1:])
    return lambda row, most, present: largest_of(row[1:], larger(most, magnitude(row[0])), present[1:])


def stored_row(row: Row, array: Array, place: int, step: int) -> None:
    """Put vectors at a place, one step behind the other."""
    raise NotImplementedError


@compiled_form(stored_row)
def _stored_row(row: Any, array: Any, place: Any, step: Any) -> Any:
    if len(row) == 0:
        return lambda row, array, place, step: None

    def first_and_rest(row: Any, array: Any, place: Any, step: Any) -> None:
        store(array, place, row[0])
        stored_row(row[1:], array, place + step, step)

    return first_and_rest


def loaded_row(like: Row, array: Array, place: int, step: int) -> Any:
    """Return as many vectors as `like` has numbers, as `stored_row` has put them."""
    raise NotImplementedError


@compiled_form(loaded_row)
def _loaded_row(like: Any, array: Any, place: Any, step: Any) -> Any:
    if len(like) == 0:
        return lambda like, array, place, step: ()
    return lambda like, array, place, step: (load(array, place), *loaded_row(like[1:], array, place + step, step))


def unknowns(rights: Row, row: Row, known: tuple[Row, ...]) -> Any:
    """Return, for each right-hand side, a row's unknown and those behind it, the last one left out."""
    raise NotImplementedError


@compiled_form(unknowns)
def _unknowns(rights: Any, row: Any, known: Any) -> Any:
    if len(rights) == 0:
        return lambda rights, row, known: ()
    return lambda rights, row, known: (
        (less_products(rights[0], row, known[0]), *known[0][:-1]),
        *unknowns(rights[1:], row, known[1:]),
    )


def squared_probe(known: tuple[Row, ...], total: Any) -> Any:
    """Return a sum, and the square of the probe's unknown, if there is a probe."""
    raise NotImplementedError


@compiled_form(squared_probe)
def _squared_probe(known: Any, total: Any) -> Any:
    if len(known) == 1:
        return lambda known, total: total
    return lambda known, total: multiply_add(known[1][0], known[1][0], total)
