"""One partition of chains with links: condensed onto its kept columns, and its interior recovered.

The elimination is that of `stridiag.factorization.condensation`, or of `stridiag.factorization.sweeps` for a few real
right-hand sides of a long partition; what is left out is the reduced system. Its rows are handed out, with the columns
of the whole matrix that they belong to, and its solution is taken in. See docs/dask-systems.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.scatter import scatter
from stridiag.errors import NonFiniteError
from stridiag.factorization.condensation import Condensation
from stridiag.factorization.reduced import factor_reduced
from stridiag.factorization.singularity import Singularity, singular_error
from stridiag.factorization.sweeps import Sweeps
from stridiag.planning.partition import Partition
from stridiag.planning.reduced_method import ReducedMethod
from stridiag.planning.summed import SummedColumns, summed_columns

__all__ = [
    "Carried",
    "Equations",
    "condense",
    "condense_for_determinant",
    "determinant",
    "gather",
    "recover",
    "require_finite_chunk",
    "solve_reduced",
]

Array = NDArray[Any]
Index = NDArray[np.int64]

_FEW = 3
"""Right-hand sides that are swept one after another, as in `stridiag.factorization.swept`."""


@dataclass(frozen=True, slots=True)
class Equations:
    """What a partition hands to the reduced system.

    Attributes
    ----------
    core : ndarray of int64, (r,)
        Kept columns of the whole matrix that its rows touch; -1 for one that is in no equation.
    rows, columns : ndarray of int64, (entries,)
        Kept column that stands for the equation, and column, of each entry.
    entries : ndarray, (entries,)
    own : ndarray of int64, (equations,)
        Kept columns that stand for its equations: those of the partition.
    sides : ndarray, (equations, m + 1)
        Right-hand sides, the last one of random numbers.
    largest : float
        Largest magnitude in its rows of the matrix.
    singular : int or None
        A column of the whole matrix that was seen to depend on others.
    log : tuple
        Phase and logarithm of its part of the determinant, if that was asked for.
    """

    core: Index
    rows: Index
    columns: Index
    entries: Array
    own: Index
    sides: Array
    largest: float
    singular: int | None
    log: tuple[Any, float] = (1.0, 0.0)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        arrays = (self.core, self.rows, self.columns, self.entries, self.own, self.sides)
        return sum(array.nbytes for array in arrays)


Carried = tuple[Array, list[Array]]
"""Nodes of the separator trees and what `Sweeps.down` made of each right-hand side: what shortens the way up."""


class _OpenSweeps(Sweeps):
    """Sweeps that leave the reduced system to others."""

    entries: Array | None = None

    def _take(self, entries: Array) -> None:
        self.entries = entries

    @property
    def carried(self) -> Array | None:
        """What belongs to the separator trees, once there was a way down."""
        return self._nodes

    def resume(self, nodes: Array) -> None:
        """Take what another object `carried`."""
        self._nodes = nodes


class _OpenCondensation(Condensation):
    """A condensation that leaves the reduced system to others."""

    entries: Array

    def _take(self, entries: Array) -> None:
        self.entries = entries
        # Nothing is asked of it but whether it is singular, which is not known here.
        self._reduced = _Elsewhere()  # type: ignore[assignment]

    def down(self, x: Array) -> Array:
        """Overwrite `x`, (n, m), in chain order, by its reflections; return the sides of the reduced system."""
        self._down(x)
        return np.asarray(x[self._layout.leftover])

    def up(self, x: Array, core: Array) -> None:
        """Overwrite what `down` left of `x` by the solution."""
        self._up(x, core)

    def determinant(self) -> tuple[Any, float]:
        """Return phase and logarithm of the part that is not the reduced system's."""
        return self._slogdet_of_interior()


class _Elsewhere:
    """Stands for the factor of a reduced system that is made elsewhere."""

    singularity: Singularity | None = None
    nbytes = 0


# ---------------------------------------------------------------------- the matrix


def gather(
    partition: Partition,
    lower: Array,
    diagonal: Array,
    upper: Array,
    links: Array,
    on_chains: tuple[Index, Index, Array],
    *,
    check_finite: bool,
) -> Array:
    """Return the values of a partition by the slots of its structure.

    Parameters
    ----------
    partition : Partition
    lower, diagonal, upper : ndarray, (rows,)
        Entries of its rows; of `lower` and `upper` anything where a row has none.
    links : ndarray, (links,)
        In the order of the partition's own links; of the type of the result.
    on_chains : tuple of ndarray
        Rows and columns, in the whole matrix, and values of what is added to entries of the diagonals.
    check_finite : bool
        Whether to look for NaN and infinity.

    Raises
    ------
    NonFiniteError
        It names the diagonal, and the index in the whole of it.
    """
    structure = partition.layout.chain.structure
    values = np.zeros(structure.nnz, links.dtype)
    g, before, rows, start = partition.stride, partition.before, partition.rows, partition.start
    on_lower, on_diagonal, on_upper = (values[structure.diagonal_slots(k)] for k in (-g, 0, g))
    absent = min(g - before, rows)
    on_lower[before + absent - g : before + rows - g] = lower[absent:]
    on_diagonal[before : before + rows] = diagonal
    present = max(min(rows, partition.n - g - start), 0)
    on_upper[before : before + present] = upper[:present]
    values[structure.starts[-1] :] = links
    added = structure.slots(on_chains[0] - partition.first, on_chains[1] - partition.first)
    np.add.at(values, added, on_chains[2])
    # A sum is finite whenever all of its terms are, short of overflow.
    if check_finite:
        with np.errstate(over="ignore", invalid="ignore"):
            fine = np.isfinite(values.sum())
        if not fine:
            _name_the_place(partition, lower[absent:], diagonal, upper[:present], start + absent)
    return values


def _name_the_place(partition: Partition, lower: Array, diagonal: Array, upper: Array, first_row: int) -> None:
    places = (first_row - partition.stride, partition.start, partition.start)
    for name, part, offset in zip(("lower", "diagonal", "upper"), (lower, diagonal, upper), places, strict=True):
        require_finite_chunk(part, name, offset)


def require_finite_chunk(chunk: Array, name: str, offset: int) -> None:
    """Raise `NonFiniteError` with the index in the whole array unless all entries of a chunk of it are finite."""
    bad = ~np.isfinite(chunk)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        index = ", ".join(str(i) for i in (place[0] + offset, *place[1:]))
        raise NonFiniteError(f"{name} must be finite, got {chunk[place]} at index [{index}]")


# ---------------------------------------------------------------------- the two passes


def condense(partition: Partition, values: Array, b: Array) -> tuple[Carried | None, Equations]:
    """Eliminate the interior columns of a partition.

    Parameters
    ----------
    partition : Partition
    values : ndarray, (nnz,)
        See `gather`.
    b : ndarray, (rows, m)
        Right-hand sides, of the type of the values.

    Returns
    -------
    tuple or None
        For `recover`: some two bytes a row and right-hand side, or nothing where `recover` eliminates again.
    Equations
    """
    if _sweeps_serve(partition, values, b.shape[1]):
        sweeps = _open_sweeps(partition, values)
        flats, cores = [], []
        for column in range(b.shape[1]):
            flat, core = sweeps.down(_chained(partition, b[:, column]), probing=column == 0)
            flats.append(flat)
            cores.append(core)
        if sweeps.regular and sweeps.carried is not None:
            # The random numbers went along with the first right-hand side.
            sides = np.concatenate((cores[0][:, :1], *cores[1:], cores[0][:, 1:]), axis=1)
            return (sweeps.carried, flats), _equations(partition, values, sweeps.entries, sides, None)
    condensed = _OpenCondensation(partition.layout, values)
    sides = condensed.down(_with_probe(partition, b))
    return None, _equations(partition, values, condensed.entries, sides, _whole_column(partition, condensed))


def recover(partition: Partition, values: Array, b: Array, carried: Carried | None, core: Array) -> tuple[Array, float]:
    """Return the solution in the partition's rows, (rows, m), and the norm of that for random numbers.

    Parameters
    ----------
    partition, values, b
        As for `condense`.
    carried : tuple or None
        What `condense` returned.
    core : ndarray, (r, m + 1)
        The reduced system's solution at the columns ``Equations.core``.
    """
    own = slice(partition.before, partition.before + partition.rows)
    chain = partition.layout.chain
    if carried is None:
        condensed = _OpenCondensation(partition.layout, values)
        x = _with_probe(partition, b)
        condensed.down(x)
        condensed.up(x, core)
        x = chain.from_chains(x)[own]
        return x[:, :-1], float(np.linalg.norm(x[:, -1]))
    sweeps = _open_sweeps(partition, values)
    nodes, flats = carried
    sweeps.resume(nodes)
    result, size = np.empty_like(b), 0.0
    for column, flat in enumerate(flats):
        known = core[:, [0, -1]] if column == 0 else core[:, column : column + 1]
        x, found = sweeps.up(_chained(partition, b[:, column]), flat, known, probing=column == 0)
        result[:, column] = chain.vector_from_chains(x)[own]
        size = found if column == 0 else size
    return result, size


def condense_for_determinant(partition: Partition, values: Array) -> Equations:
    """Eliminate the interior columns of a partition, with what they are in the determinant."""
    none = np.empty((partition.layout.core.size, 0), values.dtype)
    if _sweeps_serve(partition, values, 1):
        found = _open_sweeps(partition, values).slogdet_of_interior()
        if found is not None:
            sign, log, entries = found
            return _equations(partition, values, entries, none, None, (sign, log))
    condensed = _OpenCondensation(partition.layout, values)
    column = _whole_column(partition, condensed)
    return _equations(partition, values, condensed.entries, none, column, condensed.determinant())


def _sweeps_serve(partition: Partition, values: Array, columns: int) -> bool:
    return partition.layout.swept and values.dtype.kind == "f" and 0 < columns <= _FEW


def _open_sweeps(partition: Partition, values: Array) -> _OpenSweeps:
    layout = partition.layout
    return _OpenSweeps(layout, layout.chain.entries(values), values)


def _chained(partition: Partition, b: Array) -> Array:
    """Return right-hand sides of the rows, (rows, ...), in chain order, with zeros for the rows that are none."""
    chain = partition.layout.chain
    x = np.zeros((chain.n, *b.shape[1:]), b.dtype)
    x[partition.before : partition.before + partition.rows] = b
    return chain.to_chains(x)


def _with_probe(partition: Partition, b: Array) -> Array:
    numbers = np.empty(partition.rows, b.dtype)
    scatter(numbers, 0)
    return _chained(partition, np.column_stack((b, numbers)))


def _whole_column(partition: Partition, condensed: _OpenCondensation) -> int | None:
    found = condensed.singularity
    # An interior column: one of the partition's own.
    return None if found is None or found.column is None else partition.first + found.column


def _equations(
    partition: Partition,
    values: Array,
    data: Array | None,
    sides: Array,
    singular: int | None,
    log: tuple[Any, float] = (1.0, 0.0),
) -> Equations:
    """Name the rows and columns of a partition's reduced system, and drop its rows of zeros."""
    core = partition.core
    mine = (core >= partition.start) & (core < partition.stop)
    if data is None:
        rows = columns = np.empty(0, np.int64)
        entries = np.empty(0, values.dtype)
    else:
        listed = partition.layout.reduced.compressed(data).tocoo()
        row, column = (index.astype(np.int64) for index in listed.coords)
        real = mine[row] & (core[column] >= 0)
        rows, columns, entries = core[row[real]], core[column[real]], listed.data[real]
    if values.dtype.kind == "c":
        largest = float(np.abs(values).max(initial=0.0))
    else:
        largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    return Equations(core, rows, columns, entries, core[mine], sides[mine], largest, singular, log)


# ---------------------------------------------------------------------- the reduced system


def _assemble(parts: Sequence[Equations]) -> tuple[Index, SummedColumns, Array]:
    labels = np.sort(np.concatenate([part.own for part in parts]))
    place = partial(np.searchsorted, labels)
    rows, columns = (np.concatenate([place(getattr(part, of)) for part in parts]) for of in ("rows", "columns"))
    pattern = SummedColumns(*summed_columns(rows.astype(np.int64), columns.astype(np.int64), labels.size))
    return labels, pattern, pattern.sum_up(np.concatenate([part.entries for part in parts]))


def solve_reduced(parts: Sequence[Equations]) -> list[Array]:
    """Solve the reduced system of all partitions, in the order of their rows.

    Returns
    -------
    list of ndarray, (r, m + 1)
        For each partition the solution at its columns ``core``; zeros where that is -1.

    Raises
    ------
    SingularMatrixError
        If a column depends on others.
    """
    for part in parts:
        if part.singular is not None:
            raise singular_error(Singularity(column=part.singular))
    labels, pattern, entries = _assemble(parts)
    sides = np.concatenate([part.sides for part in parts])
    sides[np.searchsorted(labels, np.concatenate([part.own for part in parts]))] = sides.copy()
    if labels.size:
        factor = factor_reduced(entries, ReducedMethod.choose(pattern))
        if factor.singularity is not None:
            column = factor.singularity.column
            raise singular_error(Singularity(column=None if column is None else int(labels[column])))
        sides = factor.solve(sides)
    # One more row, of zeros, for what is in no equation.
    sides = np.concatenate((sides, np.zeros((1, sides.shape[1]), sides.dtype)))
    return [sides[np.where(part.core >= 0, np.searchsorted(labels, part.core), labels.size)] for part in parts]


def determinant(parts: Sequence[Equations]) -> tuple[Any, float]:
    """Return sign, or complex phase, and logarithm of the magnitude of the determinant."""
    labels, pattern, entries = _assemble(parts)
    factors = [part.log for part in parts]
    if labels.size:
        factor = factor_reduced(entries, ReducedMethod.choose(pattern))
        factors.append(factor.slogdet() if factor.singularity is None else (0.0, -np.inf))
    phase = np.prod([phase for phase, _ in factors])
    log = float(np.sum([log for _, log in factors]))
    return (phase * 0.0, -np.inf) if any(part.singular is not None for part in parts) else (phase, log)
