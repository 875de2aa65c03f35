"""Diagonals, links and right-hand sides as users have them, made alike: row by row, in the same chunks."""

# Dask has types, but not all over.
# mypy: allow-untyped-calls

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import VALUE_TYPES, as_values, require_finite
from stridiag.dask.partition_tasks import Piece
from stridiag.errors import StructureError
from stridiag.planning.partition import partitions
from stridiag.structure import Structure

__all__ = ["DaskChain", "right_sides"]

Index = NDArray[np.int64]
Diagonal = da.Array | NDArray[Any]


@dataclass(frozen=True, eq=False)
class DaskChain:
    """A chain with links, cut into partitions.

    Attributes
    ----------
    n, offset : int
    rows : tuple of int
        Rows of each partition, none of them 0.
    diagonals : tuple of dask array, (n,) each, or ndarray, ()
        ``A[i, i - p]``, ``A[i, i]`` and ``A[i, i + p]`` by row i, zeros where there is none; chunks `rows`. Numbers
        stay numbers: made into arrays, they would travel.
    links, on_chains : tuple of ndarray
        Rows, columns and values: off the three diagonals by (row, column), each place once; and on them.
    dtype : dtype
        Of the matrix.
    """

    n: int
    offset: int
    rows: tuple[int, ...]
    diagonals: tuple[Diagonal, Diagonal, Diagonal]
    links: tuple[Index, Index, NDArray[Any]]
    on_chains: tuple[Index, Index, NDArray[Any]]
    dtype: np.dtype[Any]

    @classmethod
    def of(
        cls,
        lower: da.Array | ArrayLike,
        diagonal: da.Array | ArrayLike,
        upper: da.Array | ArrayLike,
        links: tuple[ArrayLike, ArrayLike, ArrayLike] | None,
        offset: int,
        b: da.Array | ArrayLike | None,
    ) -> DaskChain:
        """Check everything that can be told without computing."""
        named = {"diagonal": diagonal, "lower": lower, "upper": upper, **({} if b is None else {"b": b})}
        n, given = _order_and_chunks(named, offset)
        g = _checked_offset(offset, n)
        rows = tuple(size for size in given if size)
        lengths = {"lower": n - g, "diagonal": n, "upper": n - g}
        parts = {name: _as_diagonal(named[name], name, size, rows) for name, size in lengths.items()}
        diagonals = (
            _by_row(parts["lower"], rows, before=g),
            _by_row(parts["diagonal"], rows),
            _by_row(parts["upper"], rows, behind=g),
        )
        off, on = _as_links(links, n, g)
        # Python's own numbers do not widen the type, as in numpy.
        weak = [named[name] for name in lengths if type(named[name]) in (int, float, complex)]
        types = [parts[name].dtype for name in lengths if type(named[name]) not in (int, float, complex)]
        dtype = np.result_type(*types, *weak, *(() if links is None else (off[2].dtype,)))
        return cls(n, g, rows, diagonals, off, on, dtype if dtype in VALUE_TYPES else np.dtype(np.float64))

    def pieces(self, work: np.dtype[Any]) -> list[Piece]:
        """Return the partitions, with their links' values of the type `work`."""
        bounds = np.concatenate(([0], np.cumsum(self.rows))).astype(np.int64)
        rows, columns, values = self.links
        result = []
        for partition, mine in partitions(self.n, self.offset, bounds, rows, columns):
            on = (self.on_chains[0] >= partition.start) & (self.on_chains[0] < partition.stop)
            on_rows, on_columns, on_values = (part[on] for part in self.on_chains)
            result.append(Piece(partition, values[mine].astype(work), (on_rows, on_columns, on_values.astype(work))))
        return result


def right_sides(b: da.Array | ArrayLike, chain: DaskChain) -> tuple[da.Array, Callable[[da.Array], da.Array]]:
    """Return right-hand sides as (n, k), a chunk for each partition, and what gives a solution b's chunks."""
    given = b if isinstance(b, da.Array) else as_values(b, "b")
    if given.ndim not in (1, 2) or given.shape[0] != chain.n:
        raise ValueError(f"b must have shape ({chain.n},) or ({chain.n}, k), got {given.shape}")
    if isinstance(given, da.Array):
        right = _of_value_type(given, "b")
        chunks = given.chunks
    else:
        chunks = (chain.rows, *((size,) for size in given.shape[1:]))
        right = da.from_array(given, chunks=chunks)
    vector = right.ndim == 1
    columns = right[:, None] if vector else right
    columns = columns.rechunk((chain.rows, -1), method="tasks")

    def finish(x: da.Array) -> da.Array:
        result: da.Array = (x[:, 0] if vector else x).rechunk(chunks, method="tasks")
        return result

    return columns, finish


def _order_and_chunks(named: dict[str, Any], offset: int) -> tuple[int, tuple[int, ...]]:
    """Return n and the chunks of the rows: those of the first Dask array, `diagonal` and `b` before the others."""
    chunked = {name: part for name, part in named.items() if isinstance(part, da.Array)}
    if not chunked:
        raise TypeError(f"one of {', '.join(named)} must be a Dask array; for arrays in memory there is linalg.solve")
    for name, part in chunked.items():
        if any(np.isnan(size) for sizes in part.chunks for size in sizes):
            raise ValueError(
                f"{name} has chunks of unknown size {part.chunks}; call {name}.compute_chunk_sizes() first"
            )
        if part.ndim == 0 or (part.ndim != 1 and name != "b"):
            raise StructureError(f"{name} must be one-dimensional, got shape {part.shape}")
    for name in ("diagonal", "b"):
        if name in chunked:
            return chunked[name].shape[0], chunked[name].chunks[0]
    sizes: tuple[int, ...] = next(iter(chunked.values())).chunks[0]
    # Rows that `lower` or `upper` do not have.
    return sum(sizes) + operator.index(offset), (*sizes, operator.index(offset))


def _checked_offset(offset: int, n: int) -> int:
    result = operator.index(offset)
    if not 1 <= result < n:
        raise StructureError(f"offset must be at least 1 and less than the order {n}, got {result}")
    return result


def _as_diagonal(part: Any, name: str, size: int, rows: tuple[int, ...]) -> Diagonal:
    if not isinstance(part, da.Array):
        values = as_values(part, name)
        if values.ndim == 0:
            return values
        part = da.from_array(values, chunks=max(rows)) if values.ndim == 1 else values
    if part.shape != (size,):
        raise StructureError(f"{name} must have shape ({size},), got {part.shape}")
    return _of_value_type(part, name)


def _by_row(part: Diagonal, rows: tuple[int, ...], before: int = 0, behind: int = 0) -> Diagonal:
    """Return a diagonal with so many zeros before or behind it, in the chunks of the rows; a number as it is."""
    if not isinstance(part, da.Array):
        return part
    zeros = [da.zeros(size, dtype=part.dtype, chunks=size) if size else None for size in (before, behind)]
    pieces = [piece for piece in (zeros[0], part, zeros[1]) if piece is not None]
    # By tasks: but for a few entries at the seams, chunks stay where they are.
    result: da.Array = da.concatenate(pieces).rechunk((rows,), method="tasks")
    return result


def _of_value_type(part: da.Array, name: str) -> da.Array:
    """Return a Dask array of one of the four types, as `as_values` converts."""
    kind = as_values(np.empty(0, part.dtype), name).dtype
    assert kind in VALUE_TYPES
    return part if part.dtype == kind else part.astype(kind)


def _as_links(
    links: tuple[ArrayLike, ArrayLike, ArrayLike] | None, n: int, g: int
) -> tuple[tuple[Index, Index, NDArray[Any]], tuple[Index, Index, NDArray[Any]]]:
    """Return rows, columns and values of the links off the three diagonals, each place once, and of those on them."""
    if links is None:
        links = ([], [], [])
    if len(links) != 3:
        raise StructureError(f"links must be (rows, columns, values), got {len(links)} arrays")
    values = as_values(links[2], "link values")
    structure = Structure(n, (-g, 0, g), (links[0], links[1]))
    slots = structure.slots(links[0], links[1])
    if values.shape != slots.shape:
        raise StructureError(f"links need as many values as places, got {values.shape} for {slots.size}")
    require_finite(values, "link values")
    rows, columns = np.asarray(links[0], np.int64), np.asarray(links[1], np.int64)
    beside = slots < structure.starts[-1]
    summed = np.zeros(structure.link_count, values.dtype)
    np.add.at(summed, slots[~beside] - structure.starts[-1], values[~beside])
    return (structure.link_rows, structure.link_columns, summed), (rows[beside], columns[beside], values[beside])
