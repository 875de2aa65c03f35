"""Partitions: stretches of rows of chains with links, each of which is condensed by itself.

A partition owns the rows and columns ``start .. stop - 1``. Around each boundary between two partitions the g columns
before it and the g columns behind it are kept, g being the stride of the chains. A column that is not kept is then
touched by rows of its own partition only: what condensation asks of a segment holds for all segments of a partition,
and none reaches over a boundary.

As a matrix, a partition is square: its rows, rows of zeros for the columns of its neighbours that it touches (the
*margins*) and for those far away where its links stand, and g more between these two kinds, so that no link comes to
lie on a chain. Rows of zeros are no equations. They have kept columns only, and so they leave the elimination, and its
count of signs, as they came.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag.planning.chain import ChainLayout
from stridiag.planning.condensation import CondensationLayout
from stridiag.structure import Structure

__all__ = ["Partition", "partitions"]

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Partition:
    """One stretch of rows, and what it knows of the rest.

    Attributes
    ----------
    n, stride : int
        Order of the whole matrix, and offset of the diagonals beside the main one.
    start, stop : int
        Rows and columns of its own.
    kept : ndarray of int64
        Columns, ascending and counted from `first`, that are to stay in the reduced system.
    link_rows, link_columns : ndarray of int64
        Its links, by (row, column): rows counted from `first`; columns as well, those outside of the margins behind
        `width`, by their place in `remote`.
    remote : ndarray of int64
        The columns, in the whole matrix, outside of the margins.
    """

    n: int
    stride: int
    start: int
    stop: int
    kept: Index
    link_rows: Index
    link_columns: Index
    remote: Index

    @property
    def rows(self) -> int:
        """Number of its rows."""
        return self.stop - self.start

    @property
    def before(self) -> int:
        """Columns of the margin before its own."""
        return min(self.stride, self.start)

    @property
    def first(self) -> int:
        """First column of the margin before its own."""
        return self.start - self.before

    @property
    def width(self) -> int:
        """Its own columns, the margins, and the rows of zeros before remote columns."""
        return _width(self.before, self.rows, self.after, self.stride, self.remote.size)

    @property
    def after(self) -> int:
        """Columns of the margin behind its own."""
        return min(self.stride, self.n - self.stop)

    @cached_property
    def layout(self) -> CondensationLayout:
        """How it is condensed; partitions that look alike share it."""
        links = (self.link_rows.tobytes(), self.link_columns.tobytes())
        return _layout(self.before, self.rows, self.after, self.stride, self.remote.size, self.kept.tobytes(), links)

    @property
    def core(self) -> Index:
        """Columns of the whole matrix that make up `layout.core`; -1 for a row of zeros that is no margin."""
        chain, layout = self.layout.chain, self.layout
        place = layout.columns[layout.core]
        of = np.searchsorted(chain.starts, place, side="right") - 1
        local = of + (place - chain.starts[of]) * chain.stride
        names = np.full(self.width + self.remote.size, -1, np.int64)
        near = self.before + self.rows + self.after
        names[:near] = np.arange(self.first, self.first + near)
        names[self.width :] = self.remote
        return names[local]


def _width(before: int, rows: int, after: int, stride: int, remote: int) -> int:
    return before + rows + after + (stride if remote else 0)


# As many as there are kinds of partitions: first, middle and last ones, and those with links.
@lru_cache(maxsize=64)
def _layout(
    before: int, rows: int, after: int, stride: int, remote: int, kept: bytes, links: tuple[bytes, bytes]
) -> CondensationLayout:
    width = _width(before, rows, after, stride, remote)
    positions = tuple(np.frombuffer(part, np.int64) for part in links)
    chain = ChainLayout(Structure(width + remote, (-stride, 0, stride), (positions[0], positions[1])), stride)
    # Columns without an equation, and therefore without a pivot.
    empty = np.arange(before + rows + after, width + remote)
    wanted = np.concatenate((np.frombuffer(kept, np.int64), empty))
    return CondensationLayout.build(chain, kept=chain.positions(wanted))


def partitions(
    n: int, stride: int, bounds: Index, link_rows: Index, link_columns: Index
) -> list[tuple[Partition, Index]]:
    """Cut chains with links into partitions.

    Parameters
    ----------
    n, stride : int
        Order, and offset of the two diagonals beside the main one: ``1 <= stride < n``.
    bounds : ndarray of int64, (partitions + 1,)
        Ascending from 0 to `n`: where partitions begin, and where the last one ends. None is empty.
    link_rows, link_columns : ndarray of int64, (links,)
        Sorted by (row, column), without repeats, none on one of the three diagonals.

    Returns
    -------
    list of (Partition, ndarray of int64)
        And which of the links stand in its rows, in the order of its own links.
    """
    result = []
    ends = np.searchsorted(link_rows, bounds)
    targets = np.unique(link_columns)
    inner = bounds[1:-1]
    for k, (start, stop) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        first, end = max(start - stride, 0), min(stop + stride, n)
        near = inner[np.searchsorted(inner, first - stride) : np.searchsorted(inner, end + stride, side="right")]
        around = (near[:, None] + np.arange(-stride, stride)).ravel()
        wanted = targets[np.searchsorted(targets, first) : np.searchsorted(targets, end)]
        kept = np.unique(np.concatenate((around[(around >= first) & (around < end)], wanted)))
        mine = slice(int(ends[k]), int(ends[k + 1]))
        columns = link_columns[mine]
        far = (columns < first) | (columns >= end)
        remote = np.unique(columns[far])
        width = end - first + (stride if remote.size else 0)
        local = np.where(far, width + np.searchsorted(remote, columns), columns - first)
        rows = link_rows[mine] - first
        order = np.lexsort((local, rows))
        part = Partition(n, stride, start, stop, kept - first, rows[order], local[order], remote)
        # Far columns come last, so the order of columns within a row may have changed.
        result.append((part, mine.start + order))
    return result
