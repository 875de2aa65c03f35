"""Long chains without links, cut into segments by separators that stand for nothing in the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stridiag._cached import cached_property
from stridiag.planning.chain import SWEPT, ChainLayout, TridiagonalLayout
from stridiag.planning.cost import Cost
from stridiag.planning.layout import plural
from stridiag.planning.sweep_cost import swept_cost

if TYPE_CHECKING:
    from stridiag.planning.condensation import CondensationLayout

__all__ = ["SweptLayout", "swept"]

# Rows of a chain that make it long enough to be cut.
_LONG = 32


def swept(chain: ChainLayout) -> TridiagonalLayout:
    """Return the layout of chains without links: in segments where they are long enough, as they are otherwise."""
    if chain.n >= SWEPT and chain.n >= _LONG * chain.stride:
        return SweptLayout(chain)
    return TridiagonalLayout(chain)


class SweptLayout(TridiagonalLayout):
    """Chains without links: `stridiag._kernels.lane_condensation`; complex ones by LU, as `TridiagonalLayout`.

    So are matrices and right-hand sides of many columns, and what else needs stored factors.
    """

    @cached_property
    def segments(self) -> CondensationLayout:
        """Where the chains are cut."""
        from stridiag.planning.condensation import CondensationLayout

        return CondensationLayout.build(self.chain)

    @cached_property
    def cost(self) -> Cost:
        """See `Layout`."""
        stored = super().cost.operations
        return swept_cost(self.segments, stored.slogdet, stored.inverse)

    def describe(self) -> str:
        """See `Layout`."""
        chains = plural(self.chain.starts.size - 1, "tridiagonal chain")
        return f"{chains} in {plural(self.segments.first.size, 'segment')}, orthogonal condensation"
