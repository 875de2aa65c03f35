"""From any dense or sparse matrix to a structured one: find the diagonals that hold most of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_values
from stridiag.errors import StructureError
from stridiag.structure.matrix import StridiagMatrix, is_scipy_sparse
from stridiag.structure.structure import Structure, diagonal_length

__all__ = ["Detection", "assemble", "detect"]


@dataclass(frozen=True, slots=True)
class Detection:
    """What `detect` found.

    Attributes
    ----------
    matrix : StridiagMatrix
        The given matrix, without loss.
    offsets : tuple of int
        The diagonals that were stored as such, ascending.
    coverage : float
        Share of the nonzeros that lies on them, 1.0 for a matrix without nonzeros.
    links : int
        Number of entries left as links.
    padding : int
        Number of explicit zeros that complete the diagonals.
    """

    matrix: StridiagMatrix
    offsets: tuple[int, ...]
    coverage: float
    links: int
    padding: int

    def __str__(self) -> str:
        return (
            f"offsets {self.offsets} hold {self.coverage:.1%} of the nonzeros; "
            f"{self.links} link{'' if self.links == 1 else 's'}; {self.padding} zeros of padding"
        )


def detect(matrix: Any, *, offsets: Iterable[int] | None = None, min_fill: float = 0.5) -> Detection:
    """Find the diagonals that hold most of a matrix, and keep the rest as links.

    Stored as diagonals are the main diagonal, the super-diagonal and the sub-diagonal with most nonzeros (the nearer
    one on a tie), each unless less than half of `min_fill` of it is nonzero: padding it with zeros would cost more
    than it saves. So is every other diagonal of which at least `min_fill` is nonzero, if it is not a short one near
    a corner. The rest becomes links. One exception: where the nonzeros form a forest, and padding would close cycles in
    it, only the main diagonal and diagonals without a zero are stored as such, since forests are solved faster than
    anything else.

    Parameters
    ----------
    matrix : array_like (m, n), scipy sparse array or matrix, or StridiagMatrix
        Zeros stored in a sparse matrix are entries; duplicates add up.
    offsets : iterable of int, optional
        Store exactly these diagonals instead.
    min_fill : float, default 0.5
        Between 0 (exclusive) and 1.

    Returns
    -------
    Detection
        ``.matrix``, ``.offsets``, ``.coverage``, ``.links``, ``.padding``.

    Raises
    ------
    StructureError
        If the matrix does not have two axes.
    TypeError
        If its dtype is not a supported one.

    Notes
    -----
    Cost: O(nonzeros) for sparse input, O(m n) for dense input.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag import detect
    >>> M = np.eye(6) + np.eye(6, k=3) + np.eye(6, k=-2)
    >>> M[5, 0] = 1.0
    >>> print(detect(M))
    offsets (-2, 0, 3) hold 92.9% of the nonzeros; 1 link; 0 zeros of padding
    """
    if not 0.0 < min_fill <= 1.0:
        raise ValueError(f"min_fill must lie in (0, 1], got {min_fill}")
    rows, columns, entries, shape = _entries(matrix)
    diagonal = columns - rows
    structure = Structure(shape, _choose(diagonal, shape, min_fill) if offsets is None else offsets, (rows, columns))
    if offsets is None and _padding_closes_cycles(structure, rows, columns):
        full = (k for k in structure.offsets if k == 0 or (diagonal == k).sum() == diagonal_length(shape, k))
        structure = Structure(shape, full, (rows, columns))
    values = np.zeros(structure.nnz, entries.dtype)
    # Positions are distinct here, so plain assignment adds nothing up.
    values[structure.slots(rows, columns)] = entries
    on = int(np.isin(diagonal, np.array(structure.offsets, np.int64)).sum())
    return Detection(
        matrix=StridiagMatrix(structure, values, copy=False),
        offsets=structure.offsets,
        coverage=on / entries.size if entries.size else 1.0,
        links=structure.link_count,
        padding=structure.nnz - entries.size,
    )


def _entries(matrix: Any) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any], tuple[int, int]]:
    """Return distinct rows, columns and values of the stored entries, and the shape."""
    if isinstance(matrix, StridiagMatrix):
        matrix._require_single("detect")
        rows, columns = matrix.structure.coordinates()
        return rows, columns, matrix.values, matrix.structure.shape
    if is_scipy_sparse(matrix):
        if len(matrix.shape) != 2:
            raise StructureError(f"a matrix has two axes, got shape {matrix.shape}")
        # scipy drops the zeros of a DIA array on the way to any other format.
        coordinate = _dia_to_coo(matrix) if matrix.format == "dia" else matrix.tocoo(copy=True)
        coordinate.sum_duplicates()
        entries = as_values(coordinate.data, "the matrix")
        return (
            coordinate.row.astype(np.int64),
            coordinate.col.astype(np.int64),
            entries,
            (int(coordinate.shape[0]), int(coordinate.shape[1])),
        )
    dense = as_values(matrix, "the matrix")
    if dense.ndim != 2:
        raise StructureError(f"a matrix has two axes, got shape {dense.shape}")
    row, column = np.nonzero(dense)
    return row.astype(np.int64), column.astype(np.int64), dense[row, column], dense.shape


def _dia_to_coo(matrix: Any) -> Any:
    """Return the entries of a scipy DIA array, stored zeros included, as a COO array."""
    import scipy.sparse

    columns, offsets = np.meshgrid(np.arange(matrix.data.shape[1]), matrix.offsets.astype(np.int64))
    rows = columns - offsets
    inside = (rows >= 0) & (rows < matrix.shape[0]) & (columns < matrix.shape[1])
    return scipy.sparse.coo_array((matrix.data[inside], (rows[inside], columns[inside])), shape=matrix.shape)


def _choose(diagonal: NDArray[np.int64], shape: tuple[int, int], min_fill: float) -> tuple[int, ...]:
    present, counts = np.unique(diagonal, return_counts=True)
    lengths = np.array([diagonal_length(shape, int(k)) for k in present], np.int64)
    # Diagonals near a corner are short, so that a single entry fills them: that is a link.
    several = min(2, min(shape) - 1)
    enough = counts >= max(several, min(shape) / 8)
    chosen = set(present[(counts >= min_fill * lengths) & enough].tolist())
    for side in (0, 1, -1):
        here = np.sign(present) == side
        if here.any():
            # Most nonzeros first, then nearest to the main diagonal.
            best = np.lexsort((np.abs(present[here]), -counts[here]))[0]
            if counts[here][best] >= max(several, 0.5 * min_fill * lengths[here][best]):
                chosen.add(int(present[here][best]))
    return tuple(sorted(int(k) for k in chosen))


def _padding_closes_cycles(structure: Structure, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> bool:
    """Return whether the graph of the entries is a forest, and that of the structure that holds them is not."""
    n = structure.shape[0]
    # A forest has fewer edges than vertices, each with at most two entries. No link, no cycle by padding.
    if not structure.is_square or structure.link_count == 0 or structure.nnz == rows.size:
        return False
    if np.count_nonzero(rows != columns) > 2 * n:
        return False
    # Imported late: numba is not needed for anything else here.
    from stridiag._kernels.peeling import peel

    def has_cycle(row: NDArray[np.int64], column: NDArray[np.int64]) -> bool:
        queue, parent = np.empty((2, n), np.int64)
        return peel(row, column, np.empty((n, 3), np.int64), queue, parent) < n

    return not has_cycle(rows, columns) and has_cycle(*structure.coordinates())


def assemble(
    diagonals: Mapping[int, ArrayLike],
    links: tuple[ArrayLike, ArrayLike, ArrayLike] | None,
    shape: int | tuple[int, int] | None,
) -> tuple[Structure, NDArray[Any]]:
    """Return structure and values of the matrix with given diagonals and links: `StridiagMatrix.from_diagonals`."""
    given = {offset: as_values(entries, f"diagonal {offset}") for offset, entries in diagonals.items()}
    if not all(isinstance(offset, int | np.integer) for offset in given):
        raise StructureError(f"offsets must be integers, got {list(given)}")
    if links is not None and len(links) != 3:
        raise StructureError(f"links must be (rows, columns, values), got {len(links)} arrays")
    for offset, entries in given.items():
        if entries.ndim > 1:
            raise StructureError(f"diagonal {offset} must be one-dimensional, got shape {entries.shape}")
    if shape is None:
        sizes = {entries.size + abs(offset) for offset, entries in given.items() if entries.ndim == 1}
        if len(sizes) != 1:
            told = {offset: entries.shape for offset, entries in given.items()}
            raise StructureError(
                "without shape, a diagonal at offset k must have n - |k| entries, with one n for all; got lengths "
                f"{told} (a number stands for a constant diagonal only with shape)"
            )
        shape = sizes.pop()
    positions = None if links is None else (links[0], links[1])
    structure = _structure(shape, tuple(given), positions)
    link_values = None if links is None else as_values(links[2], "link values")
    parts = [*given.values()] + ([] if link_values is None else [link_values])
    kind = np.result_type(*parts) if parts else np.dtype(np.float64)
    values = np.zeros(structure.nnz, as_values(np.empty(0, kind), "values").dtype)
    for offset, entries in given.items():
        length = diagonal_length(structure.shape, offset)
        if entries.ndim == 1 and entries.size != length:
            rows, columns = structure.shape
            raise StructureError(
                f"diagonal {offset} of a {rows} x {columns} matrix has {length} entries, got {entries.size}"
            )
        values[structure.diagonal_slots(offset)] = entries
    if positions is not None and link_values is not None:
        slots = structure.slots(*positions)
        if link_values.ndim > 1 or link_values.size not in (1, slots.size):
            raise StructureError(f"expected {slots.size} link values, got shape {link_values.shape}")
        np.add.at(values, slots, link_values)
    return structure, values


def _structure(
    shape: int | tuple[int, int], offsets: tuple[int, ...], positions: tuple[ArrayLike, ArrayLike] | None
) -> Structure:
    numbers = (*shape, *offsets) if type(shape) is tuple else (shape, *offsets)
    # True would be taken for 1.
    if positions is None and all(type(k) is int for k in numbers):
        return _of_diagonals(shape, offsets)
    return Structure(shape, offsets, positions)


# One structure for all matrices of the same diagonals: it takes no time to make, nor to find the plan for it.
@lru_cache(maxsize=64)
def _of_diagonals(shape: int | tuple[int, int], offsets: tuple[int, ...]) -> Structure:
    return Structure(shape, offsets)
