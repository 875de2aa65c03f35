"""Operations of sweeps over segments: `stridiag._kernels.lane_condensation` and `stridiag._kernels.lane_substitution`.

Counted in double precision by running the loops of the plain twins on numbers that count. Entries beyond 1e+-140 take a
few more, since they are scaled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stridiag.planning.cost import Cost, Operations

if TYPE_CHECKING:
    from stridiag.planning.condensation import CondensationLayout

__all__ = ["swept_cost"]

# For each interior column, for each eighth of them, for each segment: with one right-hand side down, and up again.
_DOWN, _DOWN_STEADY, _DOWN_SEGMENT = 54, 10, 4
_UP, _UP_STEADY, _UP_SEGMENT = 45, 6, 1

# For each segment that begins its chain, whose two leftover rows become one, with a look at what is lost; for each that
# does not, to move the kept columns to its left to the right-hand side.
_UNITE, _MOVE = 29, 6

# To eliminate a node of the trees.
_NODE = 168


def swept_cost(layout: CondensationLayout, slogdet: int, inverse: int) -> Cost:
    """Return the cost of a condensation whose segments are eliminated anew for each right-hand side.

    `slogdet` and `inverse` are what the determinant and the dense inverse take, which do without sweeps. To
    factor is to factor what belongs to the kept columns: what the segments leave over is made by the first solution on
    its way. These are the operations of reflections; where pivots are taken as they come, and from the second solution
    on, by notes, there are fewer.
    """
    length = layout.last - layout.first + 1
    interior, eighths = int(length.sum()), int((length // 8).sum())
    segments, nodes = length.size, layout.tree.tail.size
    begins = int(np.count_nonzero(layout.neighbours[:, 1] < 0))
    links = layout.link_slots.size
    reduced = layout.reduced_method.cost
    inner = reduced.operations
    factor = _NODE * nodes + layout.reduced.assembly
    sweeps = (_DOWN + _UP) * interior + (_DOWN_STEADY + _UP_STEADY) * eighths + (_DOWN_SEGMENT + _UP_SEGMENT) * segments
    ends = _UNITE * begins + _MOVE * (segments - begins)
    solve = sweeps + ends + layout.node_operations + 2 * links
    operations = Operations(
        factor + inner.factor,
        solve + inner.solve,
        slogdet,
        inverse,
        exact=inner.exact,
    )
    stored = 160 * nodes + 8 * links + reduced.bytes
    # Sixteen columns at a time; the price of the reduced system is its own.
    own = 0.06 * (factor + solve)
    overhead = 6e4 + own + reduced.price - reduced.rate * (operations.factor + operations.solve)
    return Cost(operations, stored, reduced.rate, overhead)
