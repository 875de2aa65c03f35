"""Long bands with links: orthogonal condensation of many segments at a time."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag._kernels.band_condensation import FIRST, PLACE
from stridiag._kernels.noted_band_solve import subtract_links
from stridiag._results import unfilled
from stridiag.factorization.band_again import BandAgain
from stridiag.factorization.band_condensation import BandCondensation
from stridiag.factorization.band_lanes import Lanes, is_finite, rows_from_chains, rows_to_chains
from stridiag.factorization.beside import SolvesFewSides
from stridiag.factorization.linked_bands import LinkedTwoEnded
from stridiag.factorization.probing import Probed, beside_probes, split
from stridiag.factorization.reduced import factor_reduced
from stridiag.factorization.singularity import Singularity
from stridiag.planning.band_condensation import BandCondensationLayout

__all__ = ["LinkedLanes"]

Array = NDArray[Any]
Index = NDArray[np.int64]

_LONG = 50_000
"""Rows from which on one random vector leaves open, as a rule, whether random values are ill-conditioned: two go along,
which takes a fifth longer. One more on its own would take as long as three fifths of the first solution."""


class LinkedLanes(Probed, SolvesFewSides):
    """Bands with links, condensed with nothing stored of the size of the matrix; or not at all where they dominate.

    The same algorithm as `BandCondensation`, which does what this does not: it is made when that is needed. Where the
    main diagonal dominates, `LinkedTwoEnded` solves.
    """

    name = BandCondensation.name

    def __init__(self, layout: BandCondensationLayout, values: Array, order: Index, x: Array | None = None) -> None:
        self.singularity: Singularity | None = None
        self._n, self._kind = layout.n, values.dtype
        self._adjoint: LinkedLanes | None = None
        self._again: BandAgain | None = None
        self._layout, self._values = layout, values
        self._links = values[layout.link_slots]
        # Where the main diagonal dominates, nothing has to be condensed; and two sides go along.
        apart = LinkedTwoEnded.of(layout.apart, values, None if x is None else x[:2])
        self._apart = apart if apart is not None and apart.trusted else None
        # What went along with it is used up; without links or with them, the matrix is as good as singular.
        used_up = apart is not None and not apart.trusted and x is not None
        self.trusted = self._apart is not None or (not used_up and self._condense(order, x))

    def _condense(self, order: Index, x: Array | None) -> bool:
        """Condense, right-hand sides too; return whether the numbers can be believed."""
        layout, values = self._layout, self._values
        band, reduced = layout.band, layout.reduced
        flat, base = band.diagonals(values)
        places = layout.segments[order, PLACE]
        self._lanes = Lanes(
            band.lower, band.width, flat, base, layout.segments[order, FIRST], layout.lengths[order], places
        )
        leftover, entering, self._carried, fine = self._lanes.eliminate(x)
        turned = np.empty_like(order)
        turned[order] = np.arange(order.size)
        leftover, entering = leftover[turned], entering[turned]
        entries = reduced.assemble(leftover, entering, self._links, reduced.outer_entries(flat, base), values)
        self._reduced = factor_reduced(entries, layout.reduced_method)
        return fine and self._reduced.singularity is None

    @classmethod
    def of(cls, layout: BandCondensationLayout, values: Array) -> Self | None:
        """Return it for a layout that it serves; None for others, and where its numbers cannot be believed."""
        order = layout.alike
        if order is None or values.dtype.kind == "c":
            return None
        made = cls(layout, values, order)
        return made if made.trusted else None

    @classmethod
    def factor_and_solve(
        cls, layout: BandCondensationLayout, values: Array, b: Array
    ) -> tuple[Self, Array, float] | None:
        """See `stridiag.factorization.two_ended_band.TwoEndedLU.factor_and_solve`."""
        order = layout.alike
        if order is None:
            return None
        chain = layout.band.chain
        sides = beside_probes(chain, b, 2 if layout.n >= _LONG else 1)
        made = cls(layout, values, order, sides)
        if not made.trusted:
            return None
        if made._apart is not None:
            # That such a matrix may be ill-conditioned is rare.
            sides = sides[:2]
        made.solve_chains(sides, begun=True)
        x, probed = split(chain, sides)
        size = made._note(probed)
        return (made, x, size) if is_finite(x) else None

    def solve_vector(self, b: Array) -> Array | None:
        """See `stridiag.factorization.single.SolvesAtOnce`."""
        if self._apart is not None:
            return self._apart.solve_vector(b)
        again, chain = self._noted(b.dtype), self._layout.band.chain
        x = unfilled(b.shape, b.dtype)
        if again is not None:
            return chain.from_chains(x) if again.solve(chain.to_chains(b), x) else None
        x[:] = b
        x = self.solve_rows(x[None])[0]
        return x if is_finite(x) else None

    def _noted(self, kind: np.dtype[Any]) -> BandAgain | None:
        """Return what replays notes, from the second right-hand side on."""
        if self._again is None:
            self._again = BandAgain.of(self._layout, self._lanes, self._links, self._reduced, kind)
        return self._again

    def solve_chains(self, x: Array, *, begun: bool = False) -> None:
        """Overwrite right-hand sides in class order, (r, n), with the solutions.

        `begun`: whether they are those that were eliminated together with the matrix.
        """
        if self._apart is not None:
            self._apart.solve_chains(x, begun=begun)
            return
        layout, lanes = self._layout, self._lanes
        if not begun and x.shape[0] == 1 and x.flags.c_contiguous:
            again = self._noted(x.dtype)
            if again is not None:
                again.solve(x[0], x[0])
                return
        carried = self._carried if begun else lanes.carry(x)
        z = self._reduced.solve(lanes.gather(x, carried, layout.columns, layout.own))
        right = lanes.place(z, x)
        # Links of the last rows of segments, whose unknowns are kept ones.
        subtract_links(layout.link_rows, layout.link_kept, self._links, z, x)
        lanes.substitute(x, right)
        x[:, layout.columns] = z.T

    def solve_spared(self, b: Array) -> tuple[Array, bool]:
        """See `stridiag.factorization.decomposition.Sparing`."""
        return super().solve_spared(b) if self._apart is None else self._apart.solve_spared(b)

    def spares(self, columns: int, *, adjoint: bool) -> bool:
        """See `stridiag.factorization.decomposition.Sparing`."""
        if self._apart is None or adjoint:
            return super().spares(columns, adjoint=adjoint)
        return self._apart.spares(columns)

    @cached_property
    def _stored(self) -> BandCondensation:
        return BandCondensation(self._layout, self._values)

    def solve_rows(self, x: Array, *, adjoint: bool = False) -> Array:
        """See `stridiag.factorization.decomposition.SolvesRows`."""
        chain, begun = self._layout.band.chain, False
        x = rows_to_chains(chain, x)
        other = self
        if adjoint:
            if self._adjoint is None:
                # A decomposition of the transpose; what is solved for first is carried along.
                layout, source = self._layout.transposed
                order = layout.alike
                assert order is not None
                given, begun = x.copy(), True
                self._adjoint = LinkedLanes(layout, self._values[source], order, x)
                x = x if self._adjoint.trusted else given
            other = self._adjoint
        if not other.trusted:
            stored = self._stored.solve(np.ascontiguousarray(rows_from_chains(chain, x).T), adjoint=adjoint)
            return np.ascontiguousarray(stored.T)
        other.solve_chains(x, begun=begun)
        return rows_from_chains(chain, x)

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        if self._apart is not None:
            return self._apart.nbytes
        again = 0 if self._again is None else self._again.nbytes
        return self._reduced.nbytes + self._links.nbytes + self._lanes.nbytes + again
