"""Bands with links where the main diagonal dominates: LU of the diagonals, and corrections around the links' rows.

See `stridiag._kernels.linked_bands`. An offer for what is ordinary: where it does not hold what is said there,
`stridiag.factorization.linked_lanes` condenses.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import linked_bands as kernels
from stridiag.factorization.two_ended_band import TwoEndedLU
from stridiag.planning.chain import ChainLayout
from stridiag.planning.links_apart import LinksApart

__all__ = ["LinkedTwoEnded"]

Array = NDArray[Any]
Around = tuple[Array, Array, Array, Array, Array, Array, Array, Array, Array]

# Rows on either side of a link's that are looked at: first, and where these are too few.
_MARGINS = (112, 224)
# Pairs of links that may feel each other, for each link.
_PAIRS = 16


class LinkedTwoEnded:
    """LU of a band from both ends, with corrections for links.

    Parameters
    ----------
    lu : TwoEndedLU
        Of the diagonals.
    chain : ChainLayout
        Its classes.
    around : Around
        What `stridiag._kernels.linked_bands.correct` takes.

    Attributes
    ----------
    trusted : bool
        Whether the diagonals are not singular.
    """

    def __init__(self, lu: TwoEndedLU, chain: ChainLayout, around: Around) -> None:
        self._lu, self._chain, self._around = lu, chain, around
        self.trusted = lu.trusted

    @classmethod
    def of(cls, apart: LinksApart | None, values: Array, sides: Array | None = None) -> Self | None:
        """Return it for values by slot; None where it does not serve. See `TwoEndedLU` for `sides`.

        They are used up once it is made, even if it cannot be trusted.
        """
        if apart is None or values.dtype != np.float64:
            return None
        around = _around(apart, values)
        if around is None:
            return None
        # More do not go along at once, and a kernel for each number of them would be compiled.
        along = sides if sides is not None and sides.shape[0] == 2 else None
        lu = TwoEndedLU(apart.layout, values[: apart.layout.structure.nnz], apart.band, along)
        return cls(lu, apart.band.chain, around)

    def solve_vector(self, b: Array) -> Array | None:
        """See `stridiag.factorization.single.SolvesAtOnce`."""
        x = self._lu.solve_chain(self._chain.to_chains(b))
        # What is not changed is finite.
        if x is None or not kernels.correct(*self._around, x[None]):
            return None
        return self._chain.from_chains(x)

    def solve_chains(self, x: Array, *, begun: bool = False) -> None:
        """Overwrite right-hand sides in class order, (r, n), with the solutions.

        `begun`: whether they are the `sides` that went along with the factorization.
        """
        self._lu.solve_chains(x, begun=begun)
        kernels.correct(*self._around, x)

    def spares(self, columns: int) -> bool:
        """Whether `solve_spared` serves for so many right-hand sides."""
        return self._lu.spares(columns, adjoint=False)

    def solve_spared(self, b: Array) -> tuple[Array, bool]:
        """See `stridiag.factorization.decomposition.Sparing`."""
        x, finite = self._lu.solve_spared(b)
        columns, links, rows = self._around[:3]
        order = self._chain.order
        kernels.correct_columns(self._chain.stride, order[columns], links, order[rows], *self._around[3:], x)
        return x, finite

    @property
    def nbytes(self) -> int:
        """Bytes that are kept between solutions."""
        return self._lu.nbytes + sum(part.nbytes for part in self._around)


def _around(apart: LinksApart, values: Array) -> Around | None:
    """Return what corrections are made of, if they can be trusted."""
    flat, base = apart.band.diagonals(values)
    links, count = values[apart.slots], apart.slots.size
    pairs, pair_rows = np.empty(_PAIRS * count), np.empty(_PAIRS * count, np.int64)
    rows, (ends, pair_ends) = np.empty(count, np.int64), np.empty((2, count + 1), np.int64)
    spans = np.empty((count, 2), np.int64)
    for margin in _MARGINS:
        near = np.empty((count, 2 * margin + 1))
        made = (rows, ends, near, spans, pair_ends, pair_rows, pairs)
        given = (flat, base, apart.band.lower, apart.band.n, margin, apart.rows, apart.columns, links)
        found = kernels.columns_near(*given, *made)
        if found > 0:
            return (apart.columns, links, rows[:found], *made[1:])
        if found == 0:
            return None
    return None
