r"""Rows measured where they lie: statistics of a frozen part's features that add up, whatever the cut and the order.

A `Gauge` is all that measuring needs: transform, hidden part, the classes so far. It holds no rows and no statistics,
so it is small and travels well to other processes. What it makes of rows is a `Tally`, p^2 + p q + 2 q + p + 2 numbers
for p features and q targets however many rows there were; tallies of one frozen part add up by ``+``, and
`Stream.absorb` takes the sum. Sums are those of one measure of all rows, up to rounding: entries of the centred
products differ by at most about k eps of the root of the product of their two diagonal entries in sums of k tallies.

**Classes.** Each tally has a column for every class that its gauge knew or its rows had, and ``+`` takes the union:
for rows without a class the target of that class is known to be -1, so that columns are added exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._arrays import as_array
from stridiag.nn.chunks import indicators, read_chunks
from stridiag.nn.hidden import Hidden
from stridiag.nn.network import FeatureMap
from stridiag.nn.statistics import Statistics
from stridiag.nn.storage import storable
from stridiag.nn.transforms import Transform

__all__ = ["Gauge", "Tally", "labels_of"]

Array = NDArray[Any]


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Statistics of some rows, and the classes that their targets are indicators of; made by `Gauge.measure`.

    Parameters
    ----------
    statistics : Statistics
        Of features and targets.
    classes : ndarray, (q,), optional
        Sorted labels, one for each target.

    Raises
    ------
    ValueError
        If there are not as many classes as targets.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Architecture, Gauge, fit_random
    >>> X = np.random.default_rng(0).standard_normal((300, 4))
    >>> net = fit_random(X[:100], X[:100, :1], Architecture(units=16, layers=1), rng=0)
    >>> gauge = Gauge(net.inputs, net.hidden, np.array(["a", "b"]))
    >>> both = gauge.measure(X[:200], ["a", "b"] * 100) + gauge.measure(X[200:], ["b", "c"] * 50)
    >>> both.statistics.count, both.classes
    (300, array(['a', 'b', 'c'], dtype='<U1'))
    """

    statistics: Statistics
    classes: Array | None

    def __post_init__(self) -> None:
        if self.classes is not None and self.classes.shape != self.statistics.target_mean.shape:
            raise ValueError(
                f"{self.classes.size} classes need as many targets, got {self.statistics.target_mean.size}"
            )

    def __add__(self, other: Tally) -> Tally:
        """Return the tally of both sets of rows together.

        Raises
        ------
        ValueError
            If the two are of different numbers of features or targets.
        TypeError
            If one has classes and the other has not, or labels are of another kind.
        """
        if not isinstance(other, Tally):
            return NotImplemented
        if (self.classes is None) != (other.classes is None):
            raise TypeError("a tally of classes cannot be added to one of numbers")
        mine, theirs = self, other
        if self.classes is not None and other.classes is not None:
            mine, theirs = self.with_classes(other.classes), other.with_classes(self.classes)
        return Tally(mine.statistics + theirs.statistics, mine.classes)

    def with_classes(self, labels: ArrayLike) -> Tally:
        """Return a tally that has a column for each of these labels too; as it is where it has no classes.

        Raises
        ------
        TypeError
            If labels are of another kind than the classes.
        """
        if self.classes is None:
            return self
        together, new = _union(self.classes, labels_of(labels))
        if not new.size:
            return self
        order = np.argsort(together, kind="stable")
        wide = self.statistics.with_constant_targets(np.full(new.size, -1.0)).with_targets(order)
        return Tally(wide, together[order])


@dataclass(frozen=True, slots=True, eq=False)
class Gauge:
    """A frozen transform and hidden part, and the classes so far: what measuring rows needs, and no more.

    Parameters
    ----------
    inputs : Transform
        Applied to rows as they come.
    hidden : Hidden
        Makes the features.
    classes : ndarray, (q,), optional
        Sorted labels, for a classifier: targets are +1 in the column of a row's class and -1 elsewhere.
    """

    inputs: Transform
    hidden: Hidden
    classes: Array | None = None

    def measure(self, X: Any, y: Any, weights: ArrayLike | None = None) -> Tally:
        """Measure some rows, a chunk of 32 MB of features at a time.

        Parameters
        ----------
        X : array_like, sparse matrix, data frame or memory-mapped array, (n, inputs)
            Rows, at least one of positive weight.
        y : of the same kinds, (n,) or (n, q)
            Targets, or labels, which may be new, if there are classes.
        weights : array_like, (n,), optional
            Sample weights.

        Raises
        ------
        StructureError, ValueError
            If shapes or weights are bad.
        NonFiniteError
            If a number is NaN or infinite.
        TypeError
            If labels are of another kind than the classes.
        """
        if self.classes is None:
            return self.measure_known(X, y, weights)
        together, _ = _union(self.classes, labels_of(y))
        return replace(self, classes=np.sort(together)).measure_known(X, y, weights)

    def measure_known(self, X: Any, y: Any, weights: ArrayLike | None = None) -> Tally:
        """Measure rows that have no label but the classes so far; otherwise as `measure`.

        Raises
        ------
        ValueError
            If there is another label.
        """
        width = max(self.inputs.inputs, self.hidden.columns)
        chunks = read_chunks(X, y, weights, features=FeatureMap(self.inputs, self.hidden).features, width=width)
        if self.classes is None:
            return Tally(Statistics.from_chunks(chunks), None)
        known = self.classes
        return Tally(Statistics.from_chunks((h, indicators(z, known), d) for h, z, d in chunks), known)


def labels_of(y: Any) -> Array:
    """Return the labels there are, sorted; strings as such, also where a data frame holds them as objects."""
    labels = np.unique(as_array(y, "labels"))
    if labels.dtype.kind == "O":
        if not all(isinstance(label, str) for label in labels):
            raise TypeError(f"labels must be all numbers or all strings, got {labels[:5]}")
        labels = labels.astype(str)
    return labels


def _union(classes: Array, labels: Array) -> tuple[Array, Array]:
    """Return the classes with the new labels behind them, and the new labels."""
    if (labels.dtype.kind in "US") != (classes.dtype.kind in "US"):
        raise TypeError(f"labels must be of the kind of the classes {classes.dtype}, got {labels.dtype}")
    new = np.setdiff1d(labels, classes)
    return (np.concatenate((classes, new)) if new.size else classes), new
