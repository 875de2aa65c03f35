"""The inverse of chains without links, from continuants: see `stridiag._kernels.continuants`.

In double precision, whatever that of the values. Every function answers None where the determinant, expanded at some
row, is exactly zero or not a number: rounding can make it so where the condition number is 1 / eps or more, and then
the caller solves instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import double_type
from stridiag._kernels import continuants as kernels
from stridiag._kernels import inverse_rows, tame_chain
from stridiag._kernels.extended_range import UNIT
from stridiag._kernels.threads import run_ranges
from stridiag._recycled import recycled
from stridiag._results import unfilled
from stridiag.factorization.determinant import chain_diagonals, is_as_it_stands
from stridiag.factorization.panels import numbers_beyond, passes_caches, writes_panels
from stridiag.planning.chain import ChainLayout

__all__ = [
    "chain_diagonal",
    "chain_entries",
    "chain_norm",
    "chain_pattern",
    "fill_pattern",
    "in_slots",
    "room_for_pattern",
    "slots_of_chains",
    "write_chain_inverse",
]

# Entries that take some 30 microseconds to write.
_GRAIN = 1 << 16
# Rows whose continuants, or whose part of the inverse, take some 30 microseconds.
_ROWS = 8192

Array = NDArray[Any]
Index = NDArray[np.int64]


def chain_diagonal(layout: ChainLayout, values: Array) -> Array | None:
    """Return the diagonal of the inverse, (n,), in the original order."""
    dl, d, du = chain_diagonals(layout, values)
    out, forwards = unfilled(d.shape, d.dtype), _tame_continuants(dl, d, du)
    if forwards is not None and tame_chain.tame_diagonal(dl, d, du, *forwards[:2], out) < 0:
        return layout.from_chains(out).astype(values.dtype, copy=False)
    found = _continuants(dl, d, du)
    if _somewhere(lambda first, last: kernels.chain_diagonal(d, *found, out, first, last), d.size):
        return None
    return layout.from_chains(out).astype(values.dtype, copy=False)


def chain_pattern(layout: ChainLayout, values: Array, *, transpose: bool) -> Array | None:
    """Return the entries of the inverse, or of its transpose, at the pattern of the matrix, by slot."""
    dl, d, du = chain_diagonals(layout, values)
    result, parts = room_for_pattern(layout, values.dtype, transpose=transpose)
    return (
        in_slots(layout, result, parts, values.dtype, transpose=transpose) if fill_pattern(dl, d, du, *parts) else None
    )


def room_for_pattern(
    layout: ChainLayout, dtype: np.dtype[Any], *, transpose: bool
) -> tuple[Array | None, tuple[Array, Array, Array]]:
    """Return room for what stands below, on and above the diagonal of an inverse, in chain order.

    And, where these are views of it, the result by slot, whose links are not filled; else None.
    """
    if is_as_it_stands(layout) and dtype == double_type(dtype):
        result = unfilled((layout.structure.nnz,), dtype)
        lower, main, upper = (result[layout.structure.diagonal_slots(k)] for k in (-1, 0, 1))
        return result, (upper, main, lower) if transpose else (lower, main, upper)
    lower, main, upper = parts = unfilled((3, layout.n), double_type(dtype))
    parts[:, -1:] = 0
    return None, (lower, main, upper)


def fill_pattern(dl: Array, d: Array, du: Array, lower: Array, main: Array, upper: Array) -> bool:
    """Fill in what stands below, on and above the diagonal of the inverse of chains; False if that cannot be done."""
    forwards = _tame_continuants(dl, d, du)
    if forwards is not None and tame_chain.tame_pattern(dl, d, du, *forwards, lower, main, upper) < 0:
        return True
    found = _continuants(dl, d, du)
    return not _somewhere(
        lambda first, last: kernels.chain_pattern(dl, d, du, *found, lower, main, upper, first, last), d.size
    )


def in_slots(
    layout: ChainLayout,
    result: Array | None,
    parts: tuple[Array, Array, Array],
    dtype: np.dtype[Any],
    *,
    transpose: bool,
) -> Array:
    """Return by slot what `room_for_pattern` has room for, now filled; anything in the slots off the chains."""
    if result is not None:
        return result
    lower, main, upper = parts
    return slots_of_chains(layout, (upper, main, lower) if transpose else parts, dtype)


def slots_of_chains(layout: ChainLayout, parts: tuple[Array, Array, Array], dtype: np.dtype[Any]) -> Array:
    """Return by slot what stands below, on and above the diagonal in chain order; 0 in the slots off the chains."""
    structure = layout.structure
    result = np.zeros(structure.nnz, dtype)
    for k, part in zip((-layout.stride, 0, layout.stride), parts, strict=True):
        if k in structure.offsets:
            slots = structure.diagonal_slots(k)
            result[slots] = layout.from_chains(part)[: slots.stop - slots.start]
        if k in layout.folded:
            slot, place = layout.folded[k]
            result[slot] = part[place]
    return result


def chain_entries(layout: ChainLayout, values: Array, rows: Index, columns: Index) -> Array | None:
    """Return entries of the inverse at given positions, (k,)."""
    dl, d, du = _wide(layout, values)
    found = _generators(dl, d, du)
    if found is None:
        return None
    upper, lower = (np.concatenate(([0], np.cumsum(part == 0.0)))[: d.size] for part in (du, dl))
    out = np.empty(rows.size, d.dtype)
    kernels.chain_entries(*found, upper, lower, layout.positions(rows), layout.positions(columns), out)
    return out.astype(values.dtype, copy=False)


def chain_norm(layout: ChainLayout, values: Array, *, adjoint: bool) -> tuple[float, int] | None:
    """Return the 1-norm of the inverse, or of its adjoint, as (m, e) for m 2^e: it may exceed the range of a double."""
    dl, d, du = _wide(layout, values)
    if adjoint:
        dl, du = du, dl
    n = d.size
    work = np.empty(n), np.empty(n, np.int64)
    mantissa, unit, info = kernels.largest_column_sum(dl, d, du, *_continuants(dl, d, du), *work)
    return None if info >= 0 else (mantissa, UNIT * unit)


def write_chain_inverse(layout: ChainLayout, values: Array, out: Array) -> bool:
    """Fill `out`, (n, n), C- or F-contiguous, with the inverse; False, and nothing written, where it cannot be done."""
    dl, d, du = _wide(layout, values)
    if not out.flags.c_contiguous:
        out, dl, du = out.T, du, dl
    found = _generators(dl, d, du)
    if found is None:
        return False
    upper = _blocks(*found, kernels.Y, du)
    lower = _blocks(*found, kernels.W, dl)
    if layout.stride > 1 or not writes_panels(out):
        kernels.write_inverse(layout.starts, *found, dl, du, *upper, *lower, out)
        return True
    shift, past = numbers_beyond(out), passes_caches(out)

    def write(first: int, last: int) -> None:
        inverse_rows.write_rows(*found, dl, du, *upper, *lower, shift, past, first, last, out)

    run_ranges(write, layout.n, grain=max(1, _GRAIN // layout.n), pieces_per_thread=4)
    return True


def _blocks(mantissa: Array, exponent: Index, letter: int, coupling: Array) -> tuple[Array, Index, Index]:
    n = coupling.size
    scaled, start, unit = np.empty_like(coupling), np.empty(n + 1, np.int64), np.empty(n, np.int64)
    kernels.block_columns(mantissa[letter], exponent[letter], coupling, scaled, start, unit)
    return scaled, start, unit


def _wide(layout: ChainLayout, values: Array) -> tuple[Array, Array, Array]:
    """Return dl, d and du with a number more beside the diagonal, which some kernels look at."""
    return layout.tridiagonal(values.astype(double_type(values.dtype), copy=False))


def _tame_continuants(dl: Array, d: Array, du: Array) -> tuple[Array, Array, NDArray[np.int32]] | None:
    """Return the continuants from the first row on, for `tame_chain`; None unless it serves."""
    if not d.size or not all(tame_chain.all_tame(part.view(np.uint64), tame_chain.TAME) for part in (dl, d, du)):
        return None
    f, before = unfilled((2, d.size), d.dtype)
    units = recycled(d.size, np.int32)
    tame_chain.leading(dl, d, du, f, before, units)
    return f, before, units


def _continuants(dl: Array, d: Array, du: Array) -> tuple[Array, Index]:
    mantissa, exponent = unfilled((4, d.size), d.dtype), recycled((4, d.size), np.int64)
    both = (kernels.leading, kernels.trailing)

    def run(first: int, last: int) -> None:
        for kernel in both[first:last]:
            kernel(dl, d, du, mantissa, exponent)

    run_ranges(run, 2, grain=1 if d.size >= _ROWS else 2)
    return mantissa, exponent


def _somewhere(kernel: Callable[[int, int], int], n: int) -> bool:
    """Run a kernel over ranges of n rows; tell whether it has named a row, 0 or more, anywhere."""
    named = []

    def run(first: int, last: int) -> None:
        named.append(kernel(first, last))

    run_ranges(run, n, grain=_ROWS)
    return max(named, default=-1) >= 0


def _generators(dl: Array, d: Array, du: Array) -> tuple[Array, Index] | None:
    found = _continuants(dl, d, du)
    return found if kernels.generators(dl, d, du, *found) < 0 else None
