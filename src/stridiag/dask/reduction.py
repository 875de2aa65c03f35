"""Sums over partitions by a tree of fixed shape: Dask's own reduction of bags."""

# Dask has types, but not all over.
# mypy: allow-untyped-calls

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from functools import reduce

import dask.bag as bag
from dask.delayed import Delayed

from stridiag.sklearn.partial_sums import PartialSums

__all__ = ["tree_sum"]


def tree_sum(parts: Sequence[Delayed], fan_in: int) -> Delayed:
    """Return the sum of the parts, `PartialSums` in lists, as a delayed one.

    The tree follows the order of the partitions, not that in which they are done: the sum is the same to the last bit
    whoever adds, and however often. It is ceil(log(k) / log(fan_in)) deep for k parts.
    """
    total = bag.from_delayed(parts).reduction(_added, _added, split_every=fan_in, name="stridiag-sums")
    # A bag's optimisation gives other tasks the names that those of an earlier pass over the same partitions have, of
    # which a cluster may still know the old ones (dask/dask#9888); partitions come optimised.
    delayed: Delayed = total.to_delayed(optimize_graph=False)
    return delayed


def _added(parts: Iterable[PartialSums]) -> PartialSums:
    return reduce(operator.add, parts, PartialSums())
