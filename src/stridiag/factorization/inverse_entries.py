"""The inverse, its entries and its norm: by what a decomposition offers for it, else by solves.

A decomposition may know a shorter way than solving for columns of the identity. It says so by having one of the
methods of the protocols below, each of which may still answer None (or False) for the values at hand.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.scaled import Scaled, times_power
from stridiag.structure import Structure

__all__ = [
    "KnowsEntries",
    "KnowsInverse",
    "KnowsNorm",
    "KnowsPattern",
    "SelectedInverse",
    "diagonal_by_solves",
    "entries_by_solves",
    "entries_of_inverse",
    "known_pattern",
    "norm_of_inverse",
    "pattern_of_inverse",
    "write_inverse",
]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Numbers of one block of right-hand sides: 32 MB in double precision.
_BLOCK = 1 << 22


@runtime_checkable
class KnowsInverse(Protocol):
    """Writes its dense inverse."""

    def write_inverse(self, out: Array) -> bool:
        """Fill `out`, (n, n), C- or F-contiguous, with the inverse; False if that has to be left to solves."""
        ...


@runtime_checkable
class KnowsPattern(Protocol):
    """Finds the entries of its inverse at the pattern of the matrix."""

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """Return, by slot, the entries of the inverse or, if `transpose`, of its transpose, (nnz,)."""
        ...


@runtime_checkable
class KnowsEntries(Protocol):
    """Finds any entries of its inverse."""

    def inverse_entries(self, rows: Index, columns: Index) -> Array | None:
        """Return entries of the inverse, (k,)."""
        ...


@runtime_checkable
class SelectedInverse(Protocol):
    """A decomposition that finds some entries of the inverse all at once."""

    @property
    def selected_worth(self) -> int:
        """Solves that take as long as `selected_entries`."""
        ...

    def selected_entries(self, rows: Index, columns: Index) -> tuple[Array, NDArray[np.bool_]]:
        """Return entries of the inverse at given positions, (k,), and which of them are known."""
        ...


@runtime_checkable
class KnowsNorm(Protocol):
    """Finds the norm of its inverse, up to rounding."""

    def inverse_norm(self, *, adjoint: bool) -> tuple[float, int] | None:
        """Return the 1-norm of the inverse, or of its adjoint, as (m, e) for m 2^e."""
        ...


def write_inverse(decomposition: Decomposition, out: Array) -> None:
    """Fill `out`, (n, n), C- or F-contiguous and of the decomposition's type, with the inverse."""
    if isinstance(decomposition, Scaled):
        write_inverse(decomposition.inner, out)
        out[...] = times_power(out, -decomposition.exponent)
        return
    if isinstance(decomposition, KnowsInverse) and decomposition.write_inverse(out):
        return
    n = out.shape[0]
    width = max(1, _BLOCK // max(n, 1))
    for start in range(0, n, width):
        size = min(width, n - start)
        right = np.zeros((n, size), out.dtype)
        right[np.arange(start, start + size), np.arange(size)] = 1
        out[:, start : start + size] = decomposition.solve(right)


def pattern_of_inverse(
    decomposition: Decomposition, structure: Structure, dtype: np.dtype[Any], *, transpose: bool
) -> Array:
    """Return, by slot, the entries of the inverse at the pattern; of its transpose if `transpose`."""
    if isinstance(decomposition, Scaled):
        inner = pattern_of_inverse(decomposition.inner, structure, dtype, transpose=transpose)
        return times_power(inner, -decomposition.exponent)
    found = known_pattern(decomposition, transpose=transpose)
    if found is not None:
        return found
    rows, columns = structure.coordinates()
    if transpose:
        rows, columns = columns, rows
    return entries_of_inverse(decomposition, structure.shape[0], dtype, rows, columns)


def known_pattern(decomposition: Decomposition, *, transpose: bool) -> Array | None:
    """Return what `pattern_of_inverse` does, unless that takes solves: then None."""
    return decomposition.inverse_on_pattern(transpose=transpose) if isinstance(decomposition, KnowsPattern) else None


def entries_of_inverse(
    decomposition: Decomposition, n: int, dtype: np.dtype[Any], rows: Index, columns: Index
) -> Array:
    """Return entries of the inverse at given positions, (k,), in the cheapest way."""
    if isinstance(decomposition, Scaled):
        return times_power(entries_of_inverse(decomposition.inner, n, dtype, rows, columns), -decomposition.exponent)
    if isinstance(decomposition, KnowsEntries):
        found = decomposition.inverse_entries(rows, columns)
        if found is not None:
            return found
    if isinstance(decomposition, SelectedInverse):
        lines = min(np.unique(rows).size, np.unique(columns).size)
        if lines > decomposition.selected_worth:
            result, known = decomposition.selected_entries(rows, columns)
            result[~known] = entries_by_solves(decomposition, n, dtype, rows[~known], columns[~known])
            return result
    return entries_by_solves(decomposition, n, dtype, rows, columns)


def norm_of_inverse(decomposition: Decomposition, *, adjoint: bool) -> tuple[float, int] | None:
    """Return the 1-norm of the inverse, or of its adjoint, as (m, e) for m 2^e; None if it can only be estimated."""
    if isinstance(decomposition, Scaled):
        found = norm_of_inverse(decomposition.inner, adjoint=adjoint)
        return None if found is None else (found[0], found[1] - decomposition.exponent)
    if isinstance(decomposition, KnowsNorm):
        found = decomposition.inverse_norm(adjoint=adjoint)
        return found if found is not None and math.isfinite(found[0]) else None
    return None


def entries_by_solves(decomposition: Decomposition, n: int, dtype: np.dtype[Any], rows: Index, columns: Index) -> Array:
    """Return entries of the inverse at given positions, (k,), by one solve for each distinct column, or row if fewer.

    A row of the inverse is the conjugate of a column of the adjoint's inverse.
    """
    distinct, which = np.unique(columns, return_inverse=True)
    others, which_other = np.unique(rows, return_inverse=True)
    adjoint = others.size < distinct.size
    if adjoint:
        distinct, which, rows = others, which_other, columns
    result = np.empty(rows.size, dtype)
    width = max(1, _BLOCK // max(n, 1))
    order = np.argsort(which, kind="stable")
    bounds = np.searchsorted(which[order], np.arange(0, distinct.size + width, width))
    for block, start in enumerate(range(0, distinct.size, width)):
        wanted = distinct[start : start + width]
        right = np.zeros((n, wanted.size), dtype)
        right[wanted, np.arange(wanted.size)] = 1
        solution = decomposition.solve(right, adjoint=adjoint)
        here = order[bounds[block] : bounds[block + 1]]
        result[here] = solution[rows[here], which[here] - start]
    return result.conj() if adjoint else result


def diagonal_by_solves(decomposition: Decomposition, n: int, dtype: np.dtype[Any]) -> Array:
    """Return the diagonal of the inverse, (n,), by n solves."""
    index = np.arange(n)
    return entries_by_solves(decomposition, n, dtype, index, index)
