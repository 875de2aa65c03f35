"""Where entries may be: the shape, the diagonals and the links, without any number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_index
from stridiag.errors import StructureError

__all__ = ["Structure"]

Index = NDArray[np.int64]


def diagonal_length(shape: tuple[int, int], offset: int) -> int:
    """Return the number of entries on the diagonal `offset` of a matrix of that shape."""
    rows, columns = shape
    return max(0, min(rows + min(offset, 0), columns - max(offset, 0)))


class Structure:
    r"""Shape, diagonal offsets and link positions of a matrix: frozen, hashable, without values.

    The offset of an entry is its column minus its row: ``+p`` for a super-diagonal, ``-q`` for a
    sub-diagonal. A *link* is a position off the diagonals. Links on one of the diagonals fold into it,
    duplicates fold into one another: `slots` says where each has gone.

    Values belong to *slots*, in this order: diagonals by ascending offset, by row within a diagonal, then
    links by (row, column). With :math:`k` diagonals of lengths :math:`l_1, \dots, l_k` and :math:`m` distinct
    links there are :math:`l_1 + \dots + l_k + m` slots.

    Parameters
    ----------
    shape : int or tuple of int
        ``(rows, columns)``, or ``n`` for ``(n, n)``. Zero is allowed.
    offsets : iterable of int
        Distinct diagonal offsets, each between ``-rows + 1`` and ``columns - 1`` (0 is always allowed).
    links : tuple of array_like, optional
        ``(rows, columns)`` of the links: two integer arrays of one length. Negative indices are not accepted.

    Raises
    ------
    StructureError
        If an offset or a link lies outside the matrix, an offset appears twice, or arrays do not match.

    Examples
    --------
    >>> from stridiag import Structure
    >>> S = Structure(6, offsets=(-1, 0, 2), links=([5, 0], [0, 1]))
    >>> S
    Structure(6 x 6, offsets (-1, 0, 2), 2 links, 17 slots)
    >>> S.slots([0, 5, 3], [0, 0, 3])     # a diagonal entry, a link, a diagonal entry
    array([ 5, 16,  8])
    """

    __slots__ = ("_hash", "_link_columns", "_link_rows", "_longest_line", "_nnz", "_offsets", "_shape", "_starts")

    _shape: tuple[int, int]
    _offsets: tuple[int, ...]
    _link_rows: Index
    _link_columns: Index
    _starts: tuple[int, ...]
    _hash: int
    _nnz: int
    _longest_line: int | None

    def __init__(
        self,
        shape: int | tuple[int, int],
        offsets: Iterable[int] = (0,),
        links: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        full = _as_shape(shape)
        ordered = _as_offsets(offsets, full)
        rows, columns = _as_links(links, full)
        if rows.size:
            off = ~np.isin(columns - rows, np.array(ordered, np.int64))
            # Not numpy's unique: it hashes, which on keys as regular as these takes many times as long as sorting.
            keys = np.sort(rows[off] * max(full[1], 1) + columns[off])
            keys = keys[np.diff(keys, prepend=-1) > 0]
            rows, columns = np.divmod(keys, max(full[1], 1))
        rows.setflags(write=False)
        columns.setflags(write=False)
        starts = np.cumsum([0] + [diagonal_length(full, offset) for offset in ordered])
        write = object.__setattr__
        write(self, "_shape", full)
        write(self, "_offsets", ordered)
        write(self, "_link_rows", rows)
        write(self, "_link_columns", columns)
        write(self, "_starts", tuple(int(start) for start in starts))
        write(self, "_nnz", int(starts[-1]) + int(rows.size))
        write(self, "_longest_line", None)
        write(self, "_hash", hash((full, ordered, rows.tobytes(), columns.tobytes())))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Structure is frozen: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Structure is frozen: cannot delete {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Structure, (self._shape, self._offsets, (self._link_rows, self._link_columns))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Structure):
            return NotImplemented
        return (
            self._hash == other._hash
            and self._shape == other._shape
            and self._offsets == other._offsets
            and _same(self._link_rows, other._link_rows)
            and _same(self._link_columns, other._link_columns)
        )

    def __repr__(self) -> str:
        rows, columns = self._shape
        links = f"{self.link_count} link{'' if self.link_count == 1 else 's'}"
        return f"Structure({rows} x {columns}, offsets {self._offsets}, {links}, {self.nnz} slots)"

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self._shape

    @property
    def offsets(self) -> tuple[int, ...]:
        """Diagonal offsets (column minus row), ascending."""
        return self._offsets

    @property
    def link_rows(self) -> Index:
        """Rows of the links, (links,), read-only, sorted by (row, column)."""
        return self._link_rows

    @property
    def link_columns(self) -> Index:
        """Columns of the links, (links,), read-only, in the order of `link_rows`."""
        return self._link_columns

    @property
    def link_count(self) -> int:
        """Number of distinct links off the diagonals."""
        return int(self._link_rows.size)

    @property
    def nnz(self) -> int:
        """Number of slots: stored entries, explicit zeros included."""
        return self._nnz

    @property
    def is_square(self) -> bool:
        """Whether there are as many rows as columns."""
        return self._shape[0] == self._shape[1]

    @property
    def starts(self) -> tuple[int, ...]:
        """First slot of each diagonal, in the order of `offsets`, and last the first slot of the links."""
        return self._starts

    @property
    def longest_line(self) -> int:
        """More slots than that no row and no column holds."""
        if self._longest_line is None:
            longest = len(self._offsets)
            if self.link_count:
                longest += max(_most_repeats(self._link_rows), _most_repeats(np.sort(self._link_columns)))
            # It follows from the rest, and is kept because each first solve asks for it.
            object.__setattr__(self, "_longest_line", longest)
            return longest
        return self._longest_line

    def diagonal_slots(self, offset: int) -> slice:
        """Return the slots of one stored diagonal.

        Raises
        ------
        StructureError
            If `offset` is not one of `offsets`.
        """
        try:
            k = self._offsets.index(offset)
        except ValueError:
            raise StructureError(f"no diagonal at offset {offset}; stored are {self._offsets}") from None
        return slice(self._starts[k], self._starts[k + 1])

    def coordinates(self) -> tuple[Index, Index]:
        """Return row and column of every slot, two arrays of length `nnz`."""
        rows = np.empty(self.nnz, np.int64)
        columns = np.empty(self.nnz, np.int64)
        for k, offset in enumerate(self._offsets):
            here = slice(self._starts[k], self._starts[k + 1])
            rows[here] = np.arange(here.stop - here.start) - min(offset, 0)
            columns[here] = rows[here] + offset
        rows[self._starts[-1] :] = self._link_rows
        columns[self._starts[-1] :] = self._link_columns
        return rows, columns

    def slots(self, rows: ArrayLike, columns: ArrayLike) -> Index:
        """Return the slot of each given position, -1 where nothing is stored.

        Parameters
        ----------
        rows, columns : array_like of int, (k,)
            Positions inside the matrix, in any order, repeats allowed.

        Returns
        -------
        ndarray of int64, (k,)
        """
        row, column = _as_links((rows, columns), self._shape)
        found = np.full(row.size, -1, np.int64)
        if self._offsets:
            offsets = np.array(self._offsets, np.int64)
            kind = np.minimum(np.searchsorted(offsets, column - row), offsets.size - 1)
            on = offsets[kind] == column - row
            first = np.array(self._starts[:-1], np.int64) + np.minimum(offsets, 0)
            found[on] = first[kind[on]] + row[on]
        if self.link_count:
            width = max(self._shape[1], 1)
            keys = self._link_rows * width + self._link_columns
            wanted = row * width + column
            place = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
            hit = keys[place] == wanted
            found[hit] = self._starts[-1] + place[hit]
        return found

    def transposed(self) -> tuple[Structure, Index | slice]:
        """Return the structure of the transpose, and which slot of this one each of its slots takes.

        A diagonal keeps its inner order when it changes sides, so only whole diagonals and the links move.
        """
        other = Structure(
            (self._shape[1], self._shape[0]),
            tuple(-offset for offset in self._offsets),
            (self._link_columns, self._link_rows),
        )
        pieces = [np.arange(self._starts[k], self._starts[k + 1]) for k in reversed(range(len(self._offsets)))]
        pieces.append(self._starts[-1] + np.lexsort((self._link_rows, self._link_columns)))
        return other, np.concatenate(pieces)

    def union(self, other: Structure) -> Structure:
        """Return the smallest structure that holds the slots of both.

        Raises
        ------
        StructureError
            If the shapes differ.
        """
        if self._shape != other._shape:
            raise StructureError(f"shapes must agree, got {self._shape} and {other._shape}")
        if self == other:
            return self
        return Structure(
            self._shape,
            sorted({*self._offsets, *other._offsets}),
            (
                np.concatenate((self._link_rows, other._link_rows)),
                np.concatenate((self._link_columns, other._link_columns)),
            ),
        )


# Numbers whose copying takes less time than calling on numpy.
_FEW = 256


def _same(a: Index, b: Index) -> bool:
    if a.size != b.size:
        return False
    # A few are compared as bytes in a tenth of the time: plans are looked up that way.
    return a.tobytes() == b.tobytes() if a.size <= _FEW else bool((a == b).all())


def _as_shape(shape: int | tuple[int, int]) -> tuple[int, int]:
    several = isinstance(shape, tuple | list | np.ndarray) and np.ndim(shape) > 0
    pair: tuple[Any, ...] = tuple(shape) if several else (shape, shape)  # type: ignore[arg-type]
    if len(pair) != 2 or not all(isinstance(k, int | np.integer) and not isinstance(k, bool) and k >= 0 for k in pair):
        raise StructureError(f"shape must be n or (rows, columns), integers of 0 or more, got {shape!r}")
    rows, columns = (int(k) for k in pair)
    if max(rows, columns, rows * columns) > np.iinfo(np.int64).max:
        raise StructureError(f"shape {rows} x {columns} has more positions than an int64 can number")
    return rows, columns


def _as_offsets(offsets: Iterable[int], shape: tuple[int, int]) -> tuple[int, ...]:
    given = list(offsets)
    if not all(isinstance(k, int | np.integer) and not isinstance(k, bool) for k in given):
        raise StructureError(f"offsets must be integers, got {given}")
    ordered = tuple(sorted(int(k) for k in given))
    if len(set(ordered)) != len(ordered):
        raise StructureError(f"offsets must be distinct, got {given}")
    for offset in ordered:
        if offset != 0 and not -shape[0] < offset < shape[1]:
            raise StructureError(
                f"offset {offset} lies outside a {shape[0]} x {shape[1]} matrix: "
                f"offsets go from {1 - shape[0]} to {shape[1] - 1}"
            )
    return ordered


def _as_links(links: tuple[ArrayLike, ArrayLike] | None, shape: tuple[int, int]) -> tuple[Index, Index]:
    if links is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if len(links) != 2:
        raise StructureError(f"link positions must be (rows, columns), got {len(links)} arrays")
    rows, columns = as_index(links[0], "link rows"), as_index(links[1], "link columns")
    if rows.shape != columns.shape:
        raise StructureError(f"links need as many rows as columns, got {rows.size} and {columns.size}")
    for name, index, size in (("row", rows, shape[0]), ("column", columns, shape[1])):
        if index.size and not (index.min() >= 0 and index.max() < size):
            raise StructureError(f"link {name}s must lie in 0 ... {size - 1}, got {index.min()} ... {index.max()}")
    return rows, columns


def _most_repeats(ascending: Index) -> int:
    """Return how often the most frequent of one or more sorted numbers occurs."""
    last = np.flatnonzero(ascending[1:] != ascending[:-1])
    if last.size == ascending.size - 1:
        return 1
    return int(np.diff(np.concatenate(([-1], last, [ascending.size - 1]))).max())
