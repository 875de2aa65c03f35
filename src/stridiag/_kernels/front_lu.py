r"""Sparse LU of a square matrix by dense fronts, with pivots that may be put off.

The fronts are those of an elimination on the diagonal: see `stridiag._kernels.front_tree`. A front gathers the entries
of its own columns and rows, and what its children pass on; it may eliminate with any of its own rows in any of its own
columns. A column is eliminated by the largest entry in these rows, if that is at least `threshold` times the largest in
the column; then no multiplier exceeds 1 / threshold. Otherwise the column and a row wait: the parent gets them as its
own. At a root all rows are its own, and rows are exchanged as in a dense matrix.

So the operations depend on the numbers: each column that is put off makes the fronts above it wider by one. LU with
such pivots is backward stable unless numbers grow, which has to be checked.

Storage: for each front, in `head`, (fronts, 5), its pivots, its rows and columns in all, where its numbers begin in
`values` and its ids in `ids`, and how wide it would be had nothing been put off. The numbers are U's rows, (pivots,
width), with L's columns, without their ones, left of and below the diagonal; then L's rows below, (width - pivots,
pivots). The ids are the rows', then the columns', (width,) each, the pivots' first.

References: I. S. Duff and J. K. Reid, SIAM J. Sci. Stat. Comput. 5 (1984) 633-641 (unsymmetric multifrontal LU);
P. R. Amestoy, I. S. Duff, J. Koster and J.-Y. L'Excellent, SIAM J. Matrix Anal. Appl. 23 (2001) 15-41 (pivots put off).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, kernel
from stridiag._kernels.front_block import MARGIN, PANEL, eliminate_window, subtract_products
from stridiag._kernels.front_tree import CHILDREN, ENTRY_START, FIRST, PARENT, PIVOT_COUNT, WIDTH
from stridiag._kernels.stretches import SPILL, add_stretch, clear, copy_stretch

__all__ = [
    "DONE",
    "HEAD",
    "IDS",
    "NO_ROOM",
    "SIZE",
    "VALUES",
    "factor",
    "row_step",
]

Array = NDArray[Any]

# Columns of `head`.
DONE, SIZE, VALUES, IDS, DUE = range(5)
HEAD = 5

_BLOCK = 32
"""Columns of a block: some panels."""

_TOGETHER = 5
"""Places in a row, in the mean, that are worth vectors."""

NO_ROOM = -2
"""What `factor` returns if one of its arrays is too short."""


@borrowing
def row_step(width: int) -> int:
    """Return how far apart the rows of a front begin: an odd number of vectors, so that columns spread in caches."""
    return (width + MARGIN + 7) // 16 * 16 + 8


@borrowing
def _swap_rows(a: Array, step: int, one: int, other: int, width: int) -> None:
    for c in range(width):
        kept = a[one * step + c]
        a[one * step + c] = a[other * step + c]
        a[other * step + c] = kept


@borrowing
def _swap_columns(a: Array, step: int, one: int, other: int, width: int) -> None:
    for i in range(width):
        kept = a[i * step + one]
        a[i * step + one] = a[i * step + other]
        a[i * step + other] = kept


@borrowing
def _swap(ids: Array, one: int, other: int) -> None:
    kept = ids[one]
    ids[one] = ids[other]
    ids[other] = kept


@borrowing
def _best_row(a: Array, step: int, k: int, own: int, width: int, threshold: float) -> int:
    """Return the row with the largest entry of column k among rows k ... own - 1; -1 if it is too small."""
    largest, best = 0.0, k
    for i in range(k, own):
        size = abs(a[i * step + k])
        if size > largest:
            largest = size
            best = i
    other = 0.0
    for i in range(own, width):
        other = max(other, abs(a[i * step + k]))
    # Accepts the good, so that NaN is put off too.
    return best if 0.0 < largest < np.inf and largest >= threshold * other else -1


@borrowing
def _bring_up_to_date(a: Array, step: int, first: int, k: int, left: int, right: int, width: int) -> None:
    """Subtract from the columns ``left ... right - 1`` what the pivots ``first ... k - 1`` ask for."""
    if left < right and k > first:
        for i in range(first + 1, k):
            subtract_products(a, step, i, i + 1, first, i, left, right)
        subtract_products(a, step, k, width, first, k, left, right)


@kernel
def _eliminate(
    a: Array, step: int, own: int, width: int, threshold: float, rows: Array, columns: Array, buffer: Array
) -> int:
    """Eliminate what may be eliminated of the first `own` columns; return how many, which come first then."""
    k, end = 0, own
    accepted = 0
    while True:
        while k < end:
            # What stands behind a block is brought up to date once for each block; what stands in it, for each panel.
            outer = k
            stop = min(outer + _BLOCK, width)
            good = True
            while good and k < min(stop, end):
                top = k
                while k < min(top + PANEL, end):
                    best = _best_row(a, step, k, own, width, threshold)
                    good = best >= 0
                    if not good:
                        break
                    if best != k:
                        _swap_rows(a, step, k, best, width)
                        _swap(rows, k, best)
                    for c in range(PANEL):
                        buffer[c] = a[k * step + top + c] if top + c > k else a[k * step + k] * 0
                    eliminate_window(a, step, k + 1, width, k, top, buffer)
                    k += 1
                _bring_up_to_date(a, step, top, k, top + PANEL, stop, width)
            _bring_up_to_date(a, step, outer, k, stop, width, width)
            if not good:
                end -= 1
                if k != end:
                    _swap_columns(a, step, k, end, width)
                    _swap(columns, k, end)
        # Columns that were put off may have become good by what was eliminated since.
        if k in (own, accepted):
            return k
        accepted = k
        end = own


@borrowing
def _extend_add(stack: Array, top: int, size: int, a: Array, step: int, place: Array, run: Array) -> None:
    """Add a square of so many rows, which begins at `top`, to the rows and columns ``place[: size]`` of a front.

    Places that follow one another are taken together, if they mostly do; `run`, (size,), is work space.
    """
    runs = 0
    end = size
    for j in range(size - 1, -1, -1):
        if j == size - 1 or place[j + 1] != place[j] + 1:
            end = j + 1
            runs += 1
        run[j] = end
    together = _TOGETHER * runs <= size
    for i in range(size):
        row, source = place[i] * step, top + i * size
        if together:
            j = 0
            while j < size:
                add_stretch(stack, source + j, run[j] - j, a, row + place[j])
                j = run[j]
        else:
            for j in range(size):
                # Unsigned, or each place would be looked at whether it counts from the end.
                a[np.uint64(row + place[j])] += stack[np.uint64(source + j)]


@kernel
def factor(
    data: Array,
    tree: Array,
    columns: Array,
    relative: Array,
    entries: Array,
    places: Array,
    threshold: float,
    a: Array,
    stack: Array,
    stack_ids: Array,
    work: Array,
    buffer: Array,
    head: Array,
    values: Array,
    ids: Array,
) -> tuple[int, int, int]:
    """Factor; return -1, `NO_ROOM` or the column that cannot be eliminated, and what is used of `values` and `ids`.

    Parameters
    ----------
    data : (nnz,)
        The entries.
    tree, columns, relative, entries, places
        From `stridiag._kernels.front_tree`.
    threshold : float
    a : (room,)
        Work space for the largest front, whose rows are `MARGIN` longer than it is wide.
    stack, stack_ids : (room,)
        Work space for what is passed on, and its rows, columns, and how many.
    work : (4, widest)
        Work space.
    buffer : (PANEL,)
        Work space.
    head, values, ids
        Become the factors.
    """
    top = top_ids = used = used_ids = 0
    rows, cols, place, run = work[0], work[1], work[2], work[3]
    for f in range(tree.shape[0]):
        first, pivots, due = tree[f, FIRST], tree[f, PIVOT_COUNT], tree[f, WIDTH]
        # The last three ids on the stack: the front that passes on, how many columns it put off, and of how many.
        late, at = 0, top_ids
        for _ in range(tree[f, CHILDREN]):
            late += stack_ids[at - 2]
            at -= 2 * stack_ids[at - 1] + 3
        own, width = pivots + late, due + late
        step = row_step(width)
        if width > rows.size or width * step > a.size:
            return NO_ROOM, used, used_ids
        clear(a, 0, width * step)
        for k in range(pivots):
            rows[k] = columns[first + k]
            cols[k] = columns[first + k]
        for k in range(pivots, due):
            rows[late + k] = columns[first + k]
            cols[late + k] = columns[first + k]
        last_entry = tree[f + 1, ENTRY_START] if f + 1 < tree.shape[0] else entries.size
        for e in range(tree[f, ENTRY_START], last_entry):
            i, j = places[e, 0], places[e, 1]
            i += late if i >= pivots else 0
            j += late if j >= pivots else 0
            a[i * step + j] += data[entries[e]]
        waiting = pivots
        for _ in range(tree[f, CHILDREN]):
            late_of, size, child = stack_ids[top_ids - 2], stack_ids[top_ids - 1], stack_ids[top_ids - 3]
            top_ids -= 2 * size + 3
            top -= size * size
            for k in range(late_of):
                rows[waiting + k] = stack_ids[top_ids + k]
                cols[waiting + k] = stack_ids[top_ids + size + k]
                place[k] = waiting + k
            waiting += late_of
            begin = tree[child, FIRST] + tree[child, PIVOT_COUNT]
            for k in range(size - late_of):
                to = relative[begin + k]
                place[late_of + k] = to + late if to >= pivots else to
            _extend_add(stack, top, size, a, step, place, run)
        whole = tree[f, PARENT] < 0
        done = _eliminate(a, step, own, width, 0.0 if whole else threshold, rows, cols, buffer)
        if whole and done < own:
            return cols[done], used, used_ids
        rest = width - done
        if used + done * (width + rest) + SPILL > values.size or used_ids + 2 * width > ids.size:
            return NO_ROOM, used, used_ids
        if top + rest * rest + SPILL > stack.size or top_ids + 2 * rest + 3 > stack_ids.size:
            return NO_ROOM, used, used_ids
        head[f, DONE], head[f, SIZE], head[f, VALUES], head[f, IDS], head[f, DUE] = done, width, used, used_ids, due
        for k in range(width):
            ids[used_ids + k] = rows[k]
            ids[used_ids + width + k] = cols[k]
        used_ids += 2 * width
        for i in range(done):
            copy_stretch(a, i * step, width, values, used)
            used += width
        for i in range(done, width):
            copy_stretch(a, i * step, done, values, used)
            used += done
            copy_stretch(a, i * step + done, rest, stack, top)
            top += rest
        if not whole:
            for k in range(rest):
                stack_ids[top_ids + k] = rows[done + k]
                stack_ids[top_ids + rest + k] = cols[done + k]
            top_ids += 2 * rest + 3
            stack_ids[top_ids - 3], stack_ids[top_ids - 2], stack_ids[top_ids - 1] = f, own - done, rest
    return -1, used, used_ids
