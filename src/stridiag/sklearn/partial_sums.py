"""Fitting in parts: rows are measured anywhere, their sums added in any order, and a model takes the total.

`StridiagClassifier.partial_fit` on all chunks one after another is the same, up to rounding, as

    measurer = model.measurer()                       # after the first call of partial_fit; small, can be pickled
    parts = [measurer(X_i, y_i) for ...]              # anywhere: threads, processes, machines
    model.absorb(functools.reduce(operator.add, parts))

Statistics are what `stridiag.nn.Tally` says: one for each network of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag.nn.storage import storable
from stridiag.nn.tally import Gauge, Tally

if TYPE_CHECKING:
    from stridiag.sklearn.predictor import StridiagPredictor

__all__ = ["Gauges", "Measurer", "PartialSums"]

Array = NDArray[Any]


@storable
@dataclass(frozen=True, slots=True, eq=False)
class PartialSums:
    """What a model needs to know of some rows; ``PartialSums()`` is of none.

    Parameters
    ----------
    tallies : tuple of stridiag.nn.Tally
        One for each network of the model; none if there are no rows.
    bounds : tuple of ndarray, (q,), optional
        Least and greatest targets, where the model's predictions stop at these.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.sklearn import StridiagRegressor
    >>> X = np.random.default_rng(0).standard_normal((600, 3))
    >>> model = StridiagRegressor(units=16, layers=1, random_state=0).partial_fit(X[:200], X[:200, 0])
    >>> measurer = model.measurer()
    >>> sums = measurer(X[200:300], X[200:300, 0]) + measurer(X[300:], X[300:, 0])
    >>> sums.rows, sums.nbytes
    (400, 3208)
    >>> model.absorb(sums).predict(X).shape
    (600,)
    """

    tallies: tuple[Tally, ...] = ()
    bounds: tuple[Array, Array] | None = None

    @property
    def empty(self) -> bool:
        """Whether there are no rows."""
        return not self.tallies

    @property
    def rows(self) -> int:
        """How many rows of positive weight there are."""
        return 0 if self.empty else self.tallies[0].statistics.count

    @property
    def nbytes(self) -> int:
        """Bytes of the statistics: 8 (p^2 + p q + 2 q + p) for each network of p features and q targets."""
        kept = (tally.statistics for tally in self.tallies)
        return sum(
            part.nbytes for s in kept for part in (s.row_mean, s.target_mean, s.scatter, s.cross, s.target_scatter)
        )

    def __add__(self, other: PartialSums) -> PartialSums:
        """Return the sums of both sets of rows together; of one model, or ValueError."""
        if not isinstance(other, PartialSums):
            return NotImplemented
        if self.empty or other.empty:
            return other if self.empty else self
        if len(self.tallies) != len(other.tallies) or (self.bounds is None) != (other.bounds is None):
            raise ValueError(
                f"sums must be of one model, got sums of {len(self.tallies)} and of {len(other.tallies)} networks"
            )
        bounds = None
        if self.bounds is not None and other.bounds is not None:
            bounds = np.minimum(self.bounds[0], other.bounds[0]), np.maximum(self.bounds[1], other.bounds[1])
        return PartialSums(tuple(a + b for a, b in zip(self.tallies, other.tallies, strict=True)), bounds)


@dataclass(frozen=True, slots=True, eq=False)
class Gauges:
    """The frozen parts of a model, which measure rows; made by ``Online.gauges``.

    Parameters
    ----------
    parts : tuple of stridiag.nn.Gauge
        One for each network.
    bounded : bool
        Whether bounds of the targets are wanted.
    outputs : int or None
        Number of columns that targets must have; None for labels.
    """

    parts: tuple[Gauge, ...]
    bounded: bool
    outputs: int | None

    def measure(self, x: Array, y: Array, weights: Array | None) -> PartialSums:
        """Return the sums of these rows, labels or targets (n, q), of positive weight."""
        if not x.shape[0]:
            return PartialSums()
        if self.outputs is not None and y.shape[1] != self.outputs:
            raise ValueError(f"y must have {self.outputs} columns, as the first rows had, got {y.shape[1]}")
        bounds = (y.min(axis=0), y.max(axis=0)) if self.bounded else None
        return PartialSums(tuple(part.measure(x, y, weights) for part in self.parts), bounds)


class Measurer:
    """Callable that measures rows for a model: ``measurer(X, y, sample_weight=None)`` gives `PartialSums`.

    Made by `StridiagClassifier.measurer` or `StridiagRegressor.measurer`. It checks rows as `partial_fit` does, and has
    the frozen parts and no statistics, so that it is small; it can be pickled. Rows of no weight, or no rows at all,
    give empty sums.

    Parameters
    ----------
    checker : StridiagClassifier or StridiagRegressor
        Without a model; knows what rows must be like.
    gauges : Gauges
        Measure them.
    """

    __slots__ = ("_checker", "_gauges")

    def __init__(self, checker: StridiagPredictor, gauges: Gauges) -> None:
        self._checker = checker
        self._gauges = gauges

    def __call__(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> PartialSums:
        """Measure rows.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Rows; n_samples may be 0.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
            Targets, or labels, which may be new.
        sample_weight : array_like, (n_samples,), optional
            Nonnegative.

        Returns
        -------
        PartialSums

        Raises
        ------
        ValueError, TypeError
            As `partial_fit`.
        """
        # scikit-learn's checks insist on rows.
        if not len(X):
            return PartialSums()
        return self._gauges.measure(*self._checker._rows_to_measure(X, y, sample_weight))
