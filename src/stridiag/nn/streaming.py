r"""Models that take rows and give them back: a frozen hidden part, and the statistics of its features.

Transform and hidden part stay as they were fitted; weight, means and centred products of the features (`Statistics`)
add up, so after any number of updates, in any order and cut, the readout is that of one fit on the union of all rows
with the same frozen parts. The penalty is kept, or chosen anew by generalised cross-validation: the only criterion that
statistics can tell (leave-one-out needs rows, which are not kept).

**Classes that appear.** The target of a class is +1 for its rows and -1 for all others, so for every row before the
first of a new class it is known to be -1: mean -1, no deviation, no products. The column is added exactly.

**Taking rows back.** Statistics subtract; what is left is checked to be possible (no negative squares, up to rounding),
which finds rows that were never there where they stick out, not always. The readout then is that of the rows left,
*given the frozen parts*, and those have seen the rows that they were made of. Rows that a model holds copies of or was
bent to (anchors of hidden units, stored neighbours) can be registered by their hash: these are refused, and a new fit
without them is the only way.

Cost of an update or a removal of m rows with p features: m p^2 flops and three passes over p^2 numbers, and the
definiteness check, p^3 / 3 flops, for a removal; the readout is solved when asked for. An update is a measure of the
rows (`stridiag.nn.tally`), which can be made elsewhere, and its absorption, p^2 flops.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_floats
from stridiag.nn.chunks import read_chunks
from stridiag.nn.hidden import Hidden
from stridiag.nn.network import Network
from stridiag.nn.options import check_penalty
from stridiag.nn.readout import LEAST_SPREAD, Penalty, Readout, ridge
from stridiag.nn.statistics import Statistics
from stridiag.nn.storage import storable
from stridiag.nn.tally import Gauge, Tally, labels_of
from stridiag.nn.transforms import Transform

__all__ = ["Stream", "row_keys"]

Array = NDArray[Any]

_KEY_BYTES = 16


def row_keys(rows: ArrayLike) -> Array:
    """Return a 128-bit hash of each row, (n, 16) of uint8: equal for equal numbers.

    Parameters
    ----------
    rows : array_like, (n, p)
        As they come to a model, before any transform; read as float64. -0.0 is 0.0.

    References
    ----------
    BLAKE2, RFC 7693.

    Examples
    --------
    >>> from stridiag.nn import row_keys
    >>> keys = row_keys([[1.0, 0.0], [1.0, -0.0], [2.0, 0.0]])
    >>> keys.shape, bool((keys[0] == keys[1]).all()), bool((keys[0] == keys[2]).all())
    ((3, 16), True, False)
    """
    x = as_floats(rows, "rows")
    if x.ndim != 2:
        raise ValueError(f"rows must be two-dimensional, got shape {x.shape}")
    # Adding zero makes -0.0 positive.
    plain = np.ascontiguousarray(x + 0.0)
    keys = b"".join(hashlib.blake2b(row.data, digest_size=_KEY_BYTES).digest() for row in plain)
    return np.frombuffer(keys, np.uint8).reshape(-1, _KEY_BYTES).copy()


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """A frozen transform and hidden part with the statistics of all rows so far; made by `Stream.begin`.

    Methods return a new object and leave this one as it was.

    Parameters
    ----------
    inputs : Transform
        Applied to rows as they come.
    hidden : Hidden
        Makes the features.
    statistics : Statistics
        Of features and targets.
    classes : ndarray, (q,), optional
        Sorted labels, for a classifier: targets are +1 in the column of a row's class and -1 elsewhere.
    held : ndarray of uint8, (m, 16)
        `row_keys` of rows that the frozen parts hold or were bent to; `forget` refuses these.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Architecture, Stream, fit_random
    >>> X = np.random.default_rng(0).standard_normal((500, 4))
    >>> Z = np.tanh(X[:, :1] * X[:, 1:2])
    >>> net = fit_random(X[:200], Z[:200], Architecture(units=32, layers=1), rng=0)
    >>> stream = Stream.begin(net.inputs, net.hidden, X[:200], Z[:200]).update(X[200:], Z[200:])
    >>> stream.rows, stream.network("gcv").decision(X).shape
    (500, (500, 1))
    >>> stream.forget(X[:100], Z[:100]).rows
    400
    """

    inputs: Transform
    hidden: Hidden
    statistics: Statistics
    classes: Array | None
    held: Array

    def __post_init__(self) -> None:
        if self.statistics.row_mean.size != self.hidden.columns:
            raise ValueError(
                f"statistics must be of {self.hidden.columns} features, got {self.statistics.row_mean.size}"
            )
        # It asks for one class for each target.
        _ = self.tally
        if self.held.ndim != 2 or self.held.shape[1] != _KEY_BYTES or self.held.dtype != np.uint8:
            raise ValueError(f"held must be (m, {_KEY_BYTES}) of uint8, got {self.held.shape} of {self.held.dtype}")

    @classmethod
    def begin(
        cls,
        inputs: Transform,
        hidden: Hidden,
        X: Any,
        y: Any,
        weights: ArrayLike | None = None,
        *,
        classify: bool = False,
        held: ArrayLike | None = None,
    ) -> Stream:
        """Start a stream with its first rows.

        Parameters
        ----------
        inputs, hidden
            The frozen parts, of a fitted network for example.
        X : array_like, sparse matrix, data frame or memory-mapped array, (n, inputs)
            Rows, read a chunk at a time.
        y : of the same kinds, (n,) or (n, q)
            Targets, or labels if `classify`.
        weights : array_like, (n,), optional
            Sample weights.
        classify : bool, default False
            Whether y holds labels, of any type that sorts.
        held : array_like, (m, inputs), optional
            Rows that the frozen parts hold or were bent to: anchors, stored neighbours. Only their hashes are kept.
        """
        keys = np.empty((0, _KEY_BYTES), np.uint8) if held is None else row_keys(held)
        first = Gauge(inputs, hidden, labels_of(y) if classify else None).measure_known(X, y, weights)
        return cls(inputs, hidden, first.statistics, first.classes, keys)

    @property
    def rows(self) -> int:
        """How many rows of positive weight there are."""
        return self.statistics.count

    @property
    def gauge(self) -> Gauge:
        """What measures rows for `absorb`: the frozen parts and the classes, without the statistics."""
        return Gauge(self.inputs, self.hidden, self.classes)

    @property
    def tally(self) -> Tally:
        """Statistics and classes of all rows so far."""
        return Tally(self.statistics, self.classes)

    def measure(self, X: Any, y: Any, weights: ArrayLike | None = None) -> Tally:
        """Return what `absorb` needs to know of these rows; ``gauge.measure`` is the same elsewhere."""
        return self.gauge.measure(X, y, weights)

    def absorb(self, tally: Tally) -> Stream:
        """Return a stream that has the rows of a tally too, or those of a sum of several.

        Raises
        ------
        TypeError, ValueError
            If the tally is of other features or another kind of targets.
        """
        total = self.tally + tally
        return replace(self, statistics=total.statistics, classes=total.classes)

    def update(self, X: Any, y: Any, weights: ArrayLike | None = None) -> Stream:
        """Return a stream that has these rows too; labels may be new.

        Parameters
        ----------
        X, y, weights
            As for `begin`.

        Raises
        ------
        StructureError, ValueError
            If shapes or weights are bad.
        NonFiniteError
            If a number is NaN or infinite.
        TypeError
            If labels are of another kind than the classes.
        """
        return self.absorb(self.measure(X, y, weights))

    def forget(self, X: Any, y: Any, weights: ArrayLike | None = None) -> Stream:
        """Return a stream without these rows, which must have come with the same targets and weights.

        Exact for the readout given the frozen parts; what these have seen of the rows stays in them. Classes stay,
        also without rows.

        Raises
        ------
        ValueError
            If a row is held by the frozen parts, a label never came, nothing would be left, or what would be left is
            not possible: then the rows were never there. Not every such case can be noticed.
        """
        if self.held.size:
            for rows, _, _ in read_chunks(X, y, weights):
                held = np.isin(_packed(row_keys(rows)), _packed(self.held))
                if held.any():
                    raise ValueError(
                        f"{int(held.sum())} of these rows are held by the hidden part, as anchors or memory, such as "
                        f"{rows[int(np.argmax(held))][:4]}: they cannot be taken back; fit anew without them"
                    )
        return replace(self, statistics=self.statistics - self.gauge.measure_known(X, y, weights).statistics)

    def readout(self, alpha: Penalty = "gcv", *, per_output: bool = False) -> Readout:
        """Solve the readout for all rows so far.

        Parameters
        ----------
        alpha : float or "gcv", default "gcv"
            The penalty per unit of weight on standardised features (on those of large images as they are, as in
            `fit_images`), as `Readout.alpha` tells it; or chosen by generalised cross-validation, which is unsafe
            where few rows lie far out (see `ridge`).
        per_output : bool, default False
            Whether each output gets a penalty of its own.
        """
        check_penalty(alpha, ("gcv",))
        # Outputs are judged in units of their spread, as in a fit.
        spread = np.sqrt(self.statistics.target_scatter / self.statistics.weight)
        unit = np.where(spread > 0.0, spread, 1.0)
        scaled = replace(
            self.statistics,
            target_mean=self.statistics.target_mean / unit,
            cross=self.statistics.cross / unit,
            target_scatter=self.statistics.target_scatter / unit**2,
        )
        least, square = LEAST_SPREAD, 1.0
        if getattr(self.hidden, "of_one_scale", False):
            # Where all columns count as if they had the deviation of the largest, none is standardised.
            least = float(self.statistics.column_scale().max(initial=0.0)) or 1.0
            square = least**2
        given: Penalty = alpha if isinstance(alpha, str) else alpha / square
        solved = ridge(scaled, given, per_output=per_output, least_spread=least)
        return replace(
            solved,
            alpha=solved.alpha * square,
            coefficients=solved.coefficients * unit,
            intercept=solved.intercept * unit,
            score=solved.score * unit**2,
        )

    def network(self, alpha: Penalty = "gcv", *, per_output: bool = False) -> Network:
        """Return the frozen parts with the readout of all rows so far; the parameters are those of `readout`."""
        return Network(self.inputs, self.hidden, self.readout(alpha, per_output=per_output))

    def with_classes(self, y: Any) -> Stream:
        """Return a stream that has a column for each class in y too."""
        wide = self.tally.with_classes(y)
        return replace(self, statistics=wide.statistics, classes=wide.classes)


def _packed(keys: Array) -> Array:
    """Return keys as one opaque number each."""
    return np.ascontiguousarray(keys).view(np.dtype([("a", np.uint64), ("b", np.uint64)]))[:, 0].view("V16")
