"""Sums of magnitudes by column, in one pass over a matrix's values.

Some thousand columns at a time, whose sums stay in the first cache while one diagonal after the other is added.

Cost: 2 operations an entry.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import borrowing_kernel

__all__ = ["add_magnitudes"]

Array = NDArray[Any]

_BLOCK = 2048


@borrowing_kernel
def add_magnitudes(values: Array, starts: Array, offsets: Array, link_columns: Array, sums: Array) -> None:
    """Add the magnitudes of entries, by slot, to the sums of their columns.

    Diagonal d has the slots ``starts[d] ... starts[d + 1] - 1``; behind the last one come the links.
    """
    count = offsets.size
    for begin in range(0, sums.size, _BLOCK):
        for d in range(count):
            # The slot of column 0, if there were one.
            origin = starts[d] - max(offsets[d], 0)
            first, last = max(begin, starts[d] - origin), min(begin + _BLOCK, starts[d + 1] - origin)
            if first < last:
                some, entries = sums[first:last], values[origin + first : origin + last]
                for j in range(entries.size):
                    some[j] += abs(entries[j])
    for k in range(link_columns.size):
        sums[link_columns[k]] += abs(values[starts[count] + k])
