"""Which methods there are, and which of them is predicted to be the cheapest for a structure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

from stridiag.planning.chain import ChainLayout, best_stride
from stridiag.planning.layout import Layout, NotApplicable
from stridiag.planning.triangular import CyclicLayout, TriangularLayout
from stridiag.structure import Structure
from stridiag.structure.structure import diagonal_length

if TYPE_CHECKING:
    from stridiag.planning.condensation import CondensationLayout
    from stridiag.planning.forest import ForestLayout
    from stridiag.planning.sparse_layout import SparseLayout

__all__ = ["BUILDERS", "ONLY_ASKED_FOR", "Method", "cheapest"]

Method = Literal[
    "auto",
    "triangular",
    "cyclic",
    "chain",
    "condensation",
    "band",
    "bordered",
    "forest",
    "sparse-lu",
    "sparse-qr",
    "dense",
    "cholesky",
]

# The methods' modules, and their kernels with them, are imported when a structure first needs them: a program that
# solves with chains alone starts sooner.

# A price of so many nanoseconds, and so many for each entry, is taken without asking for methods whose analysis alone
# would cost as much.
_GOOD, _GOOD_EACH = 1e5, 60.0

# The least that an analysis of the pattern and SuperLU take, so many nanoseconds and so many for each entry.
_ANALYSED, _ANALYSED_EACH = 2e5, 150.0

# Up to so many entries the band is asked for, too: an order that makes links a narrow one is found at once.
_FEW = 2000

# So many rows for each link, for each chain, and in all leave no doubt that links are best condensed. A link keeps four
# columns at most: with eight rows for each, half of them.
_ROWS_A_LINK, _ROWS_A_CHAIN, _LONG = 8, 64, 2000

# Trees are peeled off a core if at least one row in so many is on them: the core is a matrix of its own to set up.
_LEAST_TREES = 5


def cheapest(structure: Structure) -> tuple[Layout, str]:
    """Return the layout of the lowest predicted price, and why it was chosen.

    Where the pattern is triangular but for simple cycles, or all of it lies on chains or trees, nothing else is asked.
    Methods that need a costly analysis are asked only if the others are dear.
    """
    stride, links = best_stride(structure)
    if _evidently_chains(structure, stride, links):
        chain = ChainLayout(structure, stride)
        if links == 0:
            return _without_links(chain), _REASONS["chain"]
        return _condensed_later(chain), f"{links:,} entries lie off long chains, too few for another method"
    # Where there are no links the chain is as good as the forest that it is.
    forest = () if links == 0 else (_forest_alone,)
    special = _first_applicable((*forest, TriangularLayout.build, CyclicLayout.build), structure)
    if links == 0:
        special.append(_chain(structure))
    if special:
        best = _lowest(special)
        return best, _REASONS[best.method]
    bands = [_band_condensation, _band] if structure.link_count else [_band, _band_condensation]
    asked = 2 if structure.nnz <= _FEW else 1
    layouts = _applicable((_dense, _worthwhile_chain, *bands[:asked]), structure)
    if _lowest(layouts).cost.price > _GOOD + _GOOD_EACH * structure.nnz:
        layouts += _applicable((_worthwhile_forest, *bands[asked:], _bordered), structure)
    if _lowest(layouts).cost.price > _ANALYSED + _ANALYSED_EACH * structure.nnz:
        # First, since with too much fill for an analysis the dense bound stands for theirs: SuperLU stays far below it.
        layouts = [*_sparse(structure), *layouts]
    return _lowest(layouts), f"the lowest predicted price; {links:,} entries lie off the best chains"


def _evidently_chains(structure: Structure, stride: int, links: int) -> bool:
    """Whether long and complete chains have so few links that nothing else has to be asked.

    They close cycles (an entry and its mirror image are one), so nothing is triangular; and a forest, which they may
    be, takes as many operations a row but cannot work on many rows at a time.
    """
    n = structure.shape[0]
    return (
        _ROWS_A_LINK * links <= n
        and structure.offsets == (-stride, 0, stride)
        and _ROWS_A_CHAIN * stride <= n
        and n >= _LONG
    )


_REASONS = {
    "triangular": "no entries close a cycle, so rows and columns can be put into triangular order",
    "cyclic": "entries close simple cycles only, which do not meet",
    "chain": "every entry lies on a chain",
    "forest": "the entries off the diagonal close no cycle",
}


def _lowest(layouts: list[Layout]) -> Layout:
    return min(layouts, key=lambda layout: layout.cost.price)


def _applicable(builders: tuple[Callable[[Structure], Layout], ...], structure: Structure) -> list[Layout]:
    """Return the layouts of the methods that serve the structure."""
    layouts = []
    for build in builders:
        try:
            layouts.append(build(structure))
        except NotApplicable:
            continue
    return layouts


def _first_applicable(builders: tuple[Callable[[Structure], Layout], ...], structure: Structure) -> list[Layout]:
    """Return the layout of the first method that serves the structure, in a list; or an empty list."""
    for build in builders:
        try:
            return [build(structure)]
        except NotApplicable:
            continue
    return []


def _condensed(chain: ChainLayout) -> CondensationLayout:
    from stridiag.planning.condensation import CondensationLayout

    return CondensationLayout.build(chain)


def _condensed_later(chain: ChainLayout) -> CondensationLayout:
    from stridiag.planning.condensation import CondensationLayout

    return CondensationLayout.later(chain)


def _forest(structure: Structure) -> ForestLayout:
    from stridiag.planning.forest import ForestLayout

    return ForestLayout.build(structure)


def _sparse(structure: Structure) -> tuple[SparseLayout, SparseLayout]:
    from stridiag.planning.sparse_layout import SparseLayout

    return SparseLayout.both(structure)


def _dense(structure: Structure) -> Layout:
    from stridiag.planning.dense import DenseLayout

    return DenseLayout(structure)


def _band(structure: Structure) -> Layout:
    from stridiag.planning.window import band_or_window

    return band_or_window(structure)


def _band_condensation(structure: Structure) -> Layout:
    from stridiag.planning import band_condensation

    return band_condensation.build(structure)


def _bordered(structure: Structure) -> Layout:
    from stridiag.planning.bordered import BorderedLayout

    return BorderedLayout.build(structure)


def _cholesky(structure: Structure) -> Layout:
    from stridiag.planning.cholesky import cholesky_layout

    return cholesky_layout(structure)


def _chain(structure: Structure) -> Layout:
    stride, links = best_stride(structure)
    chain = ChainLayout(structure, stride)
    return _condensed(chain) if links else _without_links(chain)


def _without_links(chain: ChainLayout) -> Layout:
    from stridiag.planning.swept import swept

    return swept(chain)


def _worthwhile_chain(structure: Structure) -> Layout:
    """Return the chains with their links condensed, unless it is plain that most columns would be kept."""
    n = structure.shape[0]
    stride, _ = best_stride(structure)
    # The rows of links are kept: a long diagonal off the chains settles the question without a layout.
    longest = max(
        (diagonal_length(structure.shape, k) for k in structure.offsets if abs(k) not in (0, stride)),
        default=0,
    )
    if 2 * longest > n:
        raise NotApplicable("most columns would be kept")
    layout = _condensed(ChainLayout(structure, stride))
    if 2 * layout.columns.size > n:
        raise NotApplicable(f"{layout.columns.size} of {n} columns would be kept")
    return layout


def _forest_alone(structure: Structure) -> Layout:
    """Return the trees of a pattern without cycles; or the triangle that it is if no two entries mirror each other."""
    if _least_edges(structure) >= structure.shape[0]:
        raise NotApplicable("there are more edges than a forest has")
    layout = _forest(structure)
    if layout.core is not None:
        raise NotApplicable("the graph has a cycle")
    try:
        # Cheaper, if every edge has one direction only.
        return TriangularLayout.build(structure)
    except NotApplicable:
        return layout


def _least_edges(structure: Structure) -> int:
    """Count the edges that the graph has at least: a link may be the mirror image of another, or of a diagonal."""
    lengths: dict[int, int] = {}
    for k in structure.offsets:
        if k:
            lengths[abs(k)] = max(lengths.get(abs(k), 0), diagonal_length(structure.shape, k))
    if not structure.link_count:
        return sum(lengths.values())
    distance = np.abs(structure.link_columns - structure.link_rows)
    alone = int(np.count_nonzero(~np.isin(distance, [0, *lengths])))
    return sum(lengths.values()) + -(-alone // 2)


def _worthwhile_forest(structure: Structure) -> Layout:
    """Return the trees and their core, unless there is little else but the core."""
    layout = _forest(structure)
    if _LEAST_TREES * layout.trees < structure.shape[0]:
        raise NotApplicable(f"only {layout.trees} of {structure.shape[0]} rows are on trees")
    return layout


BUILDERS: dict[str, Callable[[Structure], Layout]] = {
    "triangular": TriangularLayout.build,
    "cyclic": CyclicLayout.build,
    "chain": _chain,
    "condensation": _band_condensation,
    "band": _band,
    "bordered": _bordered,
    "forest": _forest,
    "sparse-lu": lambda structure: _sparse(structure)[0],
    "sparse-qr": lambda structure: _sparse(structure)[1],
    "dense": _dense,
    "cholesky": _cholesky,
}

ONLY_ASKED_FOR = ("cholesky",)
"""Methods that need a promise about values: the structure alone cannot offer them as alternatives."""
