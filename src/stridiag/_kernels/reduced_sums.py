"""The entries of a condensation's reduced system: sums over what segments leave, links bring, and outer rows hold.

Each source is named by where it stands: in what the segments and the separators' nodes leave over, flat; among the
chains' entries; or by its slot. `stridiag.planning.reduced.ReducedPattern` lists them.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import literal_kernel

__all__ = ["CARRIED", "PRODUCTS", "add_up"]

Array = NDArray[Any]

# Where the sources of each kind end: entries that were left over, products of one with a link, entries of ``dl``, ``d``
# and ``du``, and links in rows outside all segments, which go to the end of all.
CARRIED, PRODUCTS, BELOW, MAIN, ABOVE = range(5)


@literal_kernel
def add_up(
    values: Array,
    dl: Array,
    d: Array,
    du: Array,
    leftover: Array,
    links: Array,
    place: Array,
    source: Array,
    linked: Array,
    ends: Array,
    sums: Array,
) -> None:
    """Add every source to its place among `sums`, (entries,), which are zero before.

    `links` are those in last rows of segments, of which `linked` names the one in each product. No product is fused
    with the sum that it goes into, whatever the number type.
    """
    flat = leftover.reshape(leftover.size)
    for k in range(ends[CARRIED]):
        sums[place[k]] += flat[source[k]]
    for k in range(ends[CARRIED], ends[PRODUCTS]):
        sums[place[k]] += flat[source[k]] * links[linked[k - ends[CARRIED]]]
    for k in range(ends[PRODUCTS], ends[BELOW]):
        sums[place[k]] += dl[source[k]]
    for k in range(ends[BELOW], ends[MAIN]):
        sums[place[k]] += d[source[k]]
    for k in range(ends[MAIN], ends[ABOVE]):
        sums[place[k]] += du[source[k]]
    for k in range(ends[ABOVE], source.size):
        sums[place[k]] += values[source[k]]
