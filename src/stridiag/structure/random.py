"""Random structured matrices, for experiments and tests."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import DTypeLike

from stridiag._validate import VALUE_TYPES
from stridiag.errors import StructureError
from stridiag.structure.matrix import StridiagMatrix
from stridiag.structure.structure import Structure

__all__ = ["random"]


def random(
    shape: int | tuple[int, int],
    offsets: Iterable[int] = (-1, 0, 1),
    links: int = 0,
    *,
    rng: int | np.random.Generator | None = None,
    dominant: bool = False,
    dtype: DTypeLike = np.float64,
) -> StridiagMatrix:
    """Draw a random matrix with standard normal entries.

    Parameters
    ----------
    shape : int or tuple of int
        ``(rows, columns)``, or ``n`` for ``(n, n)``.
    offsets : iterable of int, default (-1, 0, 1)
        The diagonals.
    links : int, default 0
        Number of distinct entries off the diagonals, placed uniformly.
    rng : int, numpy.random.Generator or None
        Seed or generator; None draws a fresh seed.
    dominant : bool, default False
        Make each row strictly diagonally dominant: the main diagonal becomes 1 plus the sum of the magnitudes
        of the row's other entries. Needs offset 0.
    dtype : dtype, default float64
        One of the four value types; complex entries have unit variance.

    Returns
    -------
    StridiagMatrix

    Raises
    ------
    StructureError
        If there is no room for that many links, or `dominant` has no main diagonal to work on.

    Examples
    --------
    >>> import stridiag
    >>> stridiag.random(1000, offsets=(-3, 0, 2), links=40, rng=0)
    StridiagMatrix(1000 x 1000, float64, offsets (-3, 0, 2), 40 links)
    """
    kind = np.dtype(dtype)
    if kind not in VALUE_TYPES:
        raise TypeError(f"dtype must be float32, float64, complex64 or complex128, got {kind}")
    generator = np.random.default_rng(rng)
    bare = Structure(shape, offsets)
    structure = Structure(bare.shape, bare.offsets, _draw_links(bare, links, generator))
    values = generator.standard_normal(structure.nnz)
    if kind.kind == "c":
        values = (values + 1j * generator.standard_normal(structure.nnz)) / np.sqrt(2.0)
    if dominant:
        if 0 not in structure.offsets:
            raise StructureError(f"dominant=True needs the main diagonal, got offsets {structure.offsets}")
        main = structure.diagonal_slots(0)
        values[main] = 0
        rows, _ = structure.coordinates()
        sums = np.bincount(rows, np.abs(values), minlength=structure.shape[0])
        values[main] = 1.0 + sums[: main.stop - main.start]
    return StridiagMatrix(structure, values.astype(kind), copy=False)


def _draw_links(bare: Structure, count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = bare.shape
    room = rows * columns - bare.nnz
    if not 0 <= count <= room:
        raise StructureError(f"links must lie in 0 ... {room} for {bare}, got {count}")
    keys = np.empty(0, np.int64)
    on = np.array(bare.offsets, np.int64)
    if count > room // 2:
        # Nearly full: draw from the list of free positions, which is then no longer than twice the answer.
        free = np.arange(rows * columns)
        free = free[~np.isin(free % columns - free // columns, on)]
        keys = generator.choice(free, count, replace=False)
    while keys.size < count:
        row = generator.integers(0, rows, 2 * (count - keys.size))
        column = generator.integers(0, columns, row.size)
        fresh = (row * columns + column)[~np.isin(column - row, on)]
        merged = np.concatenate((keys, fresh))
        # Keep the first of each, in the order drawn: sorting first would favour small indices.
        _, first = np.unique(merged, return_index=True)
        keys = merged[np.sort(first)][:count]
    return np.divmod(keys, max(columns, 1))
