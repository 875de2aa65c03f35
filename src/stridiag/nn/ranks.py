r"""Ranks of columns: each column through its own distribution function, beside its standardised values.

With weights d of sum w, the rank of x in a column c is the mid-point of the step of its distribution function,

.. math:: F(x) = \frac1w \Bigl( \sum_{c_i < x} d_i + \tfrac12 \sum_{c_i = x} d_i \Bigr),

kept at no more than 257 of the column's values and interpolated linearly between them, then standardised. Skewed and
heavy-tailed columns become uniform, so that units bend where rows are; the standardised column beside it keeps the
distances that ranks forget. Columns of four or fewer different quantiles (indicators, small codes) have no ranks: there
the two would be the same up to scale.

Cost: sorting, n log n for each column; `apply` takes 9 comparisons an entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import StructureError
from stridiag.nn.parts import require_array, require_columns, require_count
from stridiag.nn.storage import storable
from stridiag.nn.transforms import Standardization

__all__ = ["FAR", "Both", "Ranks"]

Array = NDArray[Any]

# Knots of a column's distribution function: 256 intervals tell 0.4 % apart.
_KNOTS = 257
# Columns with no more different quantiles than this have no ranks.
_FEW = 4
FAR = 5.0
"""Standardised values stop here: entries far out drive every unit that reads them to saturation."""


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """Empirical distribution functions of some columns, standardised.

    Parameters
    ----------
    inputs : int
        Number of columns of the rows.
    picked : ndarray of int64, (columns,)
        Which of them have ranks.
    starts : ndarray of int64, (columns + 1,)
        Where each picked column's knots begin.
    knots, values : ndarray, (starts[-1],)
        Ascending entries of the column, and what they map to.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Ranks
    >>> x = np.array([[1.0, 0.0], [10.0, 1.0], [100.0, 0.0], [1e3, 1.0], [1e9, 0.0]])
    >>> ranks = Ranks.fit(x, np.ones(5))
    >>> ranks.picked
    array([0])
    >>> ranks.apply(x).ravel()[:2].round(3)
    array([-1.414, -0.707])
    """

    inputs: int
    picked: NDArray[np.int64]
    starts: NDArray[np.int64]
    knots: Array
    values: Array

    def __post_init__(self) -> None:
        require_count(self.inputs, "inputs")
        require_array(self.picked, "picked", (self.picked.size,), "i")
        require_array(self.starts, "starts", (self.picked.size + 1,), "i")
        length = self.knots.size
        for name in ("knots", "values"):
            require_array(getattr(self, name), name, (length,))
        if not (self.picked.min(initial=0) >= 0 and self.picked.max(initial=-1) < self.inputs):
            raise StructureError(f"picked must hold indices below {self.inputs}")
        # Each column has a knot, or nothing could be interpolated.
        if self.starts[0] != 0 or self.starts[-1] != length or (np.diff(self.starts) < 1).any():
            raise StructureError(f"starts must ascend from 0 to {length}")

    @classmethod
    def fit(cls, rows: Array, weights: Array) -> Ranks:
        """Measure the columns of ``rows``, (n, p), finite, each row counting by its positive weight."""
        picked, knots, values = [], [], []
        for j in range(rows.shape[1]):
            column = np.ascontiguousarray(rows[:, j])
            # Indicators, of which there may be many, need no sorting.
            if ((column == column.min()) | (column == column.max())).all():
                continue
            distinct, place = np.unique(column, return_inverse=True)
            mass = np.bincount(place, weights, minlength=distinct.size)
            below = np.cumsum(mass) / mass.sum()
            kept = np.searchsorted(below, np.linspace(0.0, 1.0, _KNOTS) * (1.0 - 1e-12), side="right")
            kept = np.unique(np.minimum(kept, distinct.size - 1))
            if kept.size <= _FEW:
                continue
            share = mass / mass.sum()
            at = (below - 0.5 * share)[kept]
            # Standardised as the rows will be, not as the knots are.
            exact = np.interp(distinct, distinct[kept], at)
            mean = share @ exact
            at -= mean
            at /= np.sqrt(share @ (exact - mean) ** 2)
            picked.append(j)
            knots.append(distinct[kept])
            values.append(at)
        starts = np.cumsum([0, *(k.size for k in knots)]).astype(np.int64)
        return cls(
            rows.shape[1],
            np.array(picked, np.int64),
            starts,
            np.concatenate([np.empty(0), *knots]),
            np.concatenate([np.empty(0), *values]),
        )

    @property
    def columns(self) -> int:
        """Number of columns that `apply` makes."""
        return self.picked.size

    def apply(self, rows: Array) -> Array:
        """Return the ranks of the picked columns, (n, columns); entries beyond the training range count as its ends."""
        result = np.empty((rows.shape[0], self.columns))
        for i, j in enumerate(self.picked):
            own = slice(self.starts[i], self.starts[i + 1])
            result[:, i] = np.interp(rows[:, j], self.knots[own], self.values[own])
        return result


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Both:
    """Standardised columns, cut off at 5 deviations, then ranks.

    Parameters
    ----------
    standard : Standardization
        Of all columns.
    ranks : Ranks
        Of those with more than four different quantiles.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Both
    >>> x = np.random.default_rng(0).lognormal(size=(100, 3))
    >>> both = Both.fit(x, np.ones(100))
    >>> both.inputs, both.columns
    (3, 6)
    >>> bool(np.abs(both.apply(x).mean(axis=0)[3:]).max() < 1e-12)
    True
    """

    standard: Standardization
    ranks: Ranks

    def __post_init__(self) -> None:
        require_columns(self.standard.columns, self.ranks.inputs, "the part with ranks")

    @classmethod
    def fit(cls, rows: Array, weights: Array) -> Both:
        """Measure the columns of ``rows``, (n, p), each row counting by its positive weight."""
        return cls(Standardization.fit(rows, weights), Ranks.fit(rows, weights))

    @property
    def inputs(self) -> int:
        """Number of columns that `apply` reads."""
        return self.ranks.inputs

    @property
    def columns(self) -> int:
        """Number of columns that `apply` makes."""
        return self.ranks.inputs + self.ranks.columns

    def apply(self, rows: Array) -> Array:
        """Return ``[standardised | ranks]``, (n, columns)."""
        result = np.empty((rows.shape[0], self.columns))
        np.clip(self.standard.apply(rows), -FAR, FAR, out=result[:, : self.inputs])
        result[:, self.inputs :] = self.ranks.apply(rows)
        return result
