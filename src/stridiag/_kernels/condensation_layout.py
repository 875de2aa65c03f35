r"""Which columns a condensation keeps, which segments and trees lie between them, and what the reduced system is.

Everything is decided from the positions of the links and the first positions of the chains: nothing of the length of
the chains is read or written. Kept columns come in ascending order, those of a link (r, c) being r, r + 1 and c (see
`stridiag._kernels.condensation`), and a pair of dummy separators wherever a stretch of interior columns would be too
long.

Cost: linear in the numbers of links, chains, segments and entries of the reduced system, but for a bisection for each
link.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing, borrowing_kernel, kernel
from stridiag._kernels.reduced_sums import BELOW, CARRIED, PRODUCTS

__all__ = ["by_length", "compress", "grow_trees", "lay_out", "lay_out_reduced"]

Array = NDArray[Any]


@borrowing
def _find(ascending: Array, count: int, value: int) -> int:
    """Return the index of a value that is there."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@borrowing
def _keep(starts: Array, rows: Array, targets: Array, kept: Array) -> int:
    """List what is kept: rows, the positions behind them within their chains, and columns; return their number."""
    links, columns = rows.size, targets.size
    count = i = j = t = chain = 0
    while i < links or j < links or t < columns:
        low = np.int64(9223372036854775807)
        if i < links:
            low = min(low, rows[i])
        if j < links:
            while starts[chain + 1] <= rows[j]:
                chain += 1
            if rows[j] + 1 == starts[chain + 1]:
                j += 1
                continue
            low = min(low, rows[j] + 1)
        if t < columns:
            low = min(low, targets[t])
        if i < links and rows[i] == low:
            i += 1
        elif t < columns and targets[t] == low:
            t += 1
        else:
            j += 1
        if count == 0 or kept[count - 1] != low:
            kept[count] = low
            count += 1
    return count


@borrowing_kernel
def lay_out(
    starts: Array,
    rows: Array,
    sorted_columns: Array,
    columns: Array,
    longest: int,
    kept: Array,
    order: Array,
    among: Array,
    core: Array,
    first: Array,
    last: Array,
    neighbours: Array,
    joined: Array,
    link_start: Array,
    link_order: Array,
    link_kept: Array,
    sizes: Array,
) -> None:
    """Lay out kept columns and segments.

    Parameters
    ----------
    starts : (chains + 1,)
        First position of each chain.
    rows, columns : (links,)
        Of the links, by (row, column).
    sorted_columns : (links or more,)
        The columns of the links, and others to be kept, ascending; repeats allowed.
    longest : int
        Longest segment, 3 or more.
    kept : (2 links + sorted columns,)
        Work space.
    order, among, core : (columns,)
        Become the kept columns, their index among those of the reduced system (-1 for dummies), and those indices.
    first, last, neighbours, joined
        Become the segments, with the indices in `order` of their neighbours, and whether a dummy stands behind.
    link_start, link_order, link_kept
        Become the links in the last rows of segments, and behind them those in rows outside all segments; and the index
        of each link's column in `order`.
    sizes : (4,)
        Becomes the numbers of kept columns, columns of the reduced system, segments, and links in last rows.
    """
    count = _keep(starts, rows, sorted_columns, kept)
    at = 0
    width = inner = segments = 0
    for chain in range(starts.size - 1):
        begin, end = starts[chain], starts[chain + 1] - 1
        a = begin
        while a <= end:
            separator = kept[at] if at < count and kept[at] <= end else end + 1
            length = separator - a
            if length > 0:
                # Each cut takes two columns of its own.
                pieces = (length + longest + 3) // (longest + 2)
                top = a
                for piece in range(1, pieces + 1):
                    bottom = a + (piece * (length + 2)) // pieces - 3
                    first[segments] = top
                    last[segments] = bottom
                    neighbours[segments, 0] = width - 2 if top - 1 > begin else -1
                    neighbours[segments, 1] = width - 1 if top > begin else -1
                    neighbours[segments, 2] = width if bottom < end else -1
                    neighbours[segments, 3] = width + 1 if bottom + 1 < end else -1
                    joined[segments] = piece < pieces
                    segments += 1
                    if piece < pieces:
                        order[width] = bottom + 1
                        order[width + 1] = bottom + 2
                        among[width] = -1
                        among[width + 1] = -1
                        width += 2
                    top = bottom + 3
            a = separator
            if a <= end:
                # A column that stands alone keeps its right neighbour too.
                behind = a in (begin, end) or (at > 0 and kept[at - 1] == a - 1)
                behind = behind or (at + 1 < count and kept[at + 1] == a + 1)
                for position in range(a, a + (1 if behind else 2)):
                    order[width] = position
                    among[width] = inner
                    core[inner] = width
                    inner += 1
                    width += 1
                a += 1 if behind else 2
                at += 1
    link = entering = 0
    outer = rows.size
    for s in range(segments):
        link_start[s] = entering
        row = last[s] + 1 if neighbours[s, 2] >= 0 else -1
        while link < rows.size and rows[link] <= row:
            if rows[link] == row:
                link_order[entering] = link
                entering += 1
            else:
                outer -= 1
                link_order[outer] = link
            link += 1
    while link < rows.size:
        outer -= 1
        link_order[outer] = link
        link += 1
    link_start[segments] = entering
    for k in range((rows.size - outer) // 2):
        link_order[outer + k], link_order[rows.size - 1 - k] = link_order[rows.size - 1 - k], link_order[outer + k]
    for k in range(rows.size):
        link_kept[k] = _find(order, width, columns[link_order[k]])
    sizes[0], sizes[1], sizes[2], sizes[3] = width, inner, segments, entering


@borrowing_kernel
def grow_trees(
    joined: Array,
    last: Array,
    neighbours: Array,
    ids: Array,
    heads: Array,
    tails: Array,
    children: Array,
    slots: Array,
    places: Array,
    around: Array,
    tail: Array,
) -> tuple[int, int]:
    """Pair the segments of every run, then the pairs, and so on; return the numbers of nodes and of roots.

    `ids`, `heads` and `tails`, (segments,), become the roots with their first and last segments; the other arrays are
    filled for each node. A run ends with a segment that is not `joined` to the next.
    """
    segments = last.size
    for s in range(segments):
        ids[s] = s
        heads[s] = s
        tails[s] = s
    count, nodes, before = segments, 0, -1
    while nodes != before:
        before = nodes
        left = rest = 0
        while left < count:
            h, t, one = heads[left], tails[left], ids[left]
            left += 1
            if joined[t] and left < count:
                middle, end = heads[left], tails[left]
                children[nodes, 0] = one
                children[nodes, 1] = ids[left]
                slots[nodes, 0] = last[t] + 1
                slots[nodes, 1] = last[middle]
                slots[nodes, 2] = last[h] if neighbours[h, 1] >= 0 else -1
                slots[nodes, 3] = last[end] + 1 if neighbours[end, 2] >= 0 else -1
                places[nodes, 0] = 2 * t + 1
                places[nodes, 1] = 2 * middle
                places[nodes, 2] = 2 * h if slots[nodes, 2] >= 0 else -1
                places[nodes, 3] = 2 * end + 1 if slots[nodes, 3] >= 0 else -1
                around[nodes, 0] = neighbours[t, 2]
                around[nodes, 1] = neighbours[t, 3]
                around[nodes, 2] = neighbours[h, 0]
                around[nodes, 3] = neighbours[h, 1]
                around[nodes, 4] = neighbours[end, 2]
                around[nodes, 5] = neighbours[end, 3]
                tail[nodes] = end
                one = segments + nodes
                t = end
                nodes += 1
                left += 1
            ids[rest] = one
            heads[rest] = h
            tails[rest] = t
            rest += 1
        count = rest
    return nodes, count


@borrowing_kernel
def lay_out_reduced(
    starts: Array,
    columns: Array,
    core: Array,
    among: Array,
    last: Array,
    neighbours: Array,
    roots: Array,
    heads: Array,
    tails: Array,
    link_start: Array,
    links: Array,
    around: Array,
    leftover: Array,
    places: Array,
    entries: Array,
    linked: Array,
    ends: Array,
) -> int:
    """List the sources of the reduced system, and return how many; see `stridiag.planning.reduced.ReducedPattern`.

    `links`, (3, links), are the slots, the rows, as positions, and the columns, as indices among those of the reduced
    system, of all links in the order of `lay_out`. `entries`, (3, room), becomes row, column and source of each;
    `leftover` and `places` name the rows of the system, as in `stridiag.planning.condensation.CondensationLayout`.
    """
    size = core.size
    rows, targets, sources = entries[0], entries[1], entries[2]
    for i in range(size):
        leftover[i] = columns[core[i]]
        places[i] = -1
    count = 0
    for root in range(roots.size):
        head, tail = heads[root], tails[root]
        for side in range(4):
            near = neighbours[head if side < 2 else tail, side]
            around[root, side] = among[near] if near >= 0 else -1
        for carry in range(2):
            at = around[root, 1 + carry]
            if at >= 0:
                places[at] = 2 * tail + 1 if carry else 2 * head
                if carry == 0:
                    leftover[at] = last[head]
                for side in range(4):
                    if around[root, side] >= 0:
                        sources[count] = (roots[root] * 2 + carry) * 5 + side
                        rows[count] = at
                        targets[count] = around[root, side]
                        count += 1
    ends[CARRIED] = count
    for carry in range(2):
        for root in range(roots.size):
            at = around[root, 1 + carry]
            if at >= 0:
                for link in range(link_start[tails[root]], link_start[tails[root] + 1]):
                    linked[count - ends[CARRIED]] = link
                    sources[count] = roots[root] * 10 + 4 + 5 * carry
                    rows[count] = at
                    targets[count] = links[2, link]
                    count += 1
    ends[PRODUCTS] = count
    # Rows outside all segments: their neighbours in the chain are kept, and not dummies.
    for part in range(3):
        chain = 0
        for i in range(size):
            if places[i] < 0:
                position = columns[core[i]]
                while starts[chain + 1] <= position:
                    chain += 1
                if (part > 0 or position > starts[chain]) and (part < 2 or position + 1 < starts[chain + 1]):
                    sources[count] = position - 1 if part == 0 else position
                    rows[count] = i
                    targets[count] = i - 1 + part
                    count += 1
        ends[BELOW + part] = count
    for link in range(link_start[last.size], links.shape[1]):
        sources[count] = links[0, link]
        rows[count] = among[_find(columns, columns.size, links[1, link])]
        targets[count] = links[2, link]
        count += 1
    return count


@borrowing_kernel
def compress(
    rows: Array, columns: Array, indptr: Array, indices: Array, place: Array, work: Array, next_: Array
) -> int:
    """Sort entries by column and row, equal ones together; return how many distinct ones there are.

    `work`, (2, entries), and `next_`, (order + 1,), are work space. Fills `indptr`, (order + 1,), `indices`, and the
    `place` of each entry.
    """
    order, count = indptr.size - 1, rows.size
    for k in range(order + 1):
        next_[k] = 0
        indptr[k] = 0
    for e in range(count):
        next_[rows[e] + 1] += 1
        indptr[columns[e] + 1] += 1
    for k in range(order):
        next_[k + 1] += next_[k]
        indptr[k + 1] += indptr[k]
    for e in range(count):
        row = rows[e]
        work[0, next_[row]] = e
        next_[row] += 1
    for k in range(order + 1):
        next_[k] = indptr[k]
    for k in range(count):
        e = work[0, k]
        column = columns[e]
        work[1, next_[column]] = e
        next_[column] += 1
    distinct = 0
    k = 0
    for column in range(order):
        end = indptr[column + 1]
        indptr[column] = distinct
        before = -1
        while k < end:
            e = work[1, k]
            if rows[e] != before:
                before = rows[e]
                indices[distinct] = before
                distinct += 1
            place[e] = distinct - 1
            k += 1
    indptr[order] = distinct
    return distinct


@kernel
def by_length(first: Array, last: Array, counts: Array, order: Array) -> None:
    """Fill `order` with the segments sorted by length, then as given; `counts`, (longest + 2,), is work space."""
    for k in range(counts.size):
        counts[k] = 0
    for s in range(first.size):
        counts[last[s] - first[s] + 2] += 1
    for k in range(1, counts.size):
        counts[k] += counts[k - 1]
    for s in range(first.size):
        key = last[s] - first[s] + 1
        order[counts[key]] = s
        counts[key] += 1
