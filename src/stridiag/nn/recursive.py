r"""Recursive least squares: weights that follow a stream, one sample after another, in square-root form.

After T samples the weights minimise

.. math:: \sum_{t \le T} f^{T - t}\, \|y_t - W x_t\|^2 + \sum_j p_j\, \|W_{\cdot j} - a_j\|^2 ,

f the forgetting factor. Kept is the triangular factor R of the matrix of this problem, updated by Givens rotations;
neither it nor its inverse is ever formed, so rounding does not accumulate. Forgetting alone would let R fade wherever
inputs are zero, or repeat themselves, until the weights blow up (*windup*). So the penalty is kept up: coordinates
take turns, one a sample, to get back what theirs has lost, hence penalty :math:`\ge p_j \ge` penalty :math:`f^k` at all
times. It pulls towards a = 0, or with ``hold=True`` towards what the weight was at that turn, which leaves weights
as they are while nothing comes in.

`RecursiveLeastSquares` is dense: any number of outputs of one input vector, 3 k^2 operations a sample.
`RecursiveLayer` has a small problem of its own for each row of a structure: for n rows of k entries 9 n k^2 operations
a sample, all rows side by side, where a dense one of the same size would take 3 n^2 and more.

References: see `stridiag._kernels.rank_one`.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._kernels.rank_one import back_substitute, update_many, update_one
from stridiag._validate import as_floats, as_index, require_finite
from stridiag.errors import StructureError
from stridiag.nn.options import is_integer, is_number
from stridiag.nn.recursive_state import FrozenRecursiveLayer, FrozenRecursiveLeastSquares
from stridiag.nn.storage import storable
from stridiag.structure import StridiagMatrix, Structure

__all__ = ["RecursiveLayer", "RecursiveLeastSquares"]

Array = NDArray[Any]

# Squares of larger numbers overflow.
_LARGE = 1e150


def _checked(forgetting: float, penalty: float, hold: bool) -> tuple[float, float]:
    if not (is_number(forgetting) and 0.0 < forgetting <= 1.0):
        raise ValueError(f"forgetting must be a number above 0 and at most 1, got {forgetting!r}")
    if not (is_number(penalty) and 0.0 < penalty < np.inf):
        raise ValueError(f"penalty must be a positive finite number, got {penalty!r}")
    if not 1e-200 < forgetting * penalty < _LARGE:
        raise ValueError(f"penalty must be between 1e-200 and {_LARGE}, got {penalty!r}")
    if not isinstance(hold, bool | np.bool_):
        raise ValueError(f"hold must be True or False, got {hold!r}")  # noqa: TRY004 - an option
    return float(forgetting), float(penalty)


def _samples(array: ArrayLike, columns: int, name: str) -> Array:
    """Return samples as rows; one of them may come as a vector."""
    rows = np.ascontiguousarray(as_floats(array, name))
    rows = rows[None] if rows.ndim == 1 and rows.size == columns else rows
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise ValueError(f"{name} must have shape (samples, {columns}) or ({columns},), got {np.shape(array)}")
    require_finite(rows, name)
    if not np.abs(rows).max(initial=0.0) < _LARGE:
        raise ValueError(f"{name} must be below {_LARGE} in magnitude: bring them to another unit")
    return rows


@storable
class RecursiveLeastSquares:
    """Dense recursive least squares: ``y ~ x @ weights``.

    Parameters
    ----------
    inputs, outputs : int
        Sizes k and q.
    forgetting : float, default 1.0
        Factor f of the past's weight at each sample, above 0 and at most 1; 0.99 remembers about 100 samples.
    penalty : float, default 1e-6
        Positive; in the squared unit of the inputs.
    hold : bool, default False
        Whether the penalty pulls towards the weights as they are instead of 0. It costs up to k^2 q / 2 more operations
        a sample.

    Notes
    -----
    A sample costs 3 k (k + 2 q) operations, and as many to keep up the penalty where f < 1; k (k + q) numbers are kept.
    `weights` costs k^2 q once after an update. There is no intercept: give a column of ones.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import RecursiveLeastSquares
    >>> X = np.random.default_rng(0).standard_normal((100, 3))
    >>> model = RecursiveLeastSquares(3, 1, forgetting=0.99)
    >>> model.update(X, X @ [[1.0], [2.0], [3.0]])
    >>> model.weights.ravel().round(5)
    array([1., 2., 3.])
    """

    def __init__(
        self, inputs: int, outputs: int = 1, *, forgetting: float = 1.0, penalty: float = 1e-6, hold: bool = False
    ) -> None:
        for name, value in (("inputs", inputs), ("outputs", outputs)):
            if not is_integer(value) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
        self._forgetting, self._start = _checked(forgetting, penalty, hold)
        self._hold = bool(hold)
        self._turn = 0
        self._triangle = np.sqrt(self._start) * np.eye(inputs)
        self._right = np.zeros((inputs, outputs))
        self._kept = np.full(inputs, self._start)
        self._weights: Array | None = np.zeros((inputs, outputs))

    @property
    def weights(self) -> Array:
        """The weights, (inputs, outputs); read-only."""
        if self._weights is None:
            self._weights = np.empty(self._right.shape)
            back_substitute(self._triangle, self._right, 0, self._weights)
            self._weights.setflags(write=False)
        return self._weights

    @property
    def penalties(self) -> Array:
        """What p_j is now, (inputs,): between ``penalty * forgetting**inputs`` and ``penalty``."""
        return self._kept.copy()

    def update(self, X: ArrayLike, Y: ArrayLike) -> None:
        """Take samples, one after another.

        Parameters
        ----------
        X : array_like, (samples, inputs) or (inputs,)
            Inputs.
        Y : array_like, (samples, outputs) or (outputs,)
            Targets.

        Raises
        ------
        ValueError
            If shapes do not match or numbers are beyond 1e150.
        NonFiniteError
            If a number is NaN or infinite. Nothing is then taken.
        """
        x, y = _samples(X, self._right.shape[0], "X"), _samples(Y, self._right.shape[1], "Y")
        if x.shape[0] != y.shape[0]:
            raise ValueError(f"X and Y must hold as many samples, got {x.shape[0]} and {y.shape[0]}")
        k, q = self._right.shape
        scratch = np.empty(k), np.empty(q), np.empty((k, q))
        options = self._forgetting, self._start, self._hold, self._turn
        self._turn = update_one(x, y, *options, self._triangle, self._right, self._kept, *scratch)
        self._weights = None

    def predict(self, X: ArrayLike) -> Array:
        """Return the outputs, (samples, outputs), for X of shape (samples, inputs) or (inputs,)."""
        return np.asarray(_samples(X, self._right.shape[0], "X") @ self.weights)

    def frozen(self) -> FrozenRecursiveLeastSquares:
        """Return what this is now: what `stridiag.nn.save` writes."""
        arrays = self._triangle.copy(), self._right.copy(), self._kept.copy()
        return FrozenRecursiveLeastSquares(self._forgetting, self._start, self._hold, self._turn, *arrays)

    @classmethod
    def resumed(cls, state: FrozenRecursiveLeastSquares) -> Self:
        """Return an object that goes on where another was frozen, to the last bit."""
        options: dict[str, Any] = {name: getattr(state, name) for name in ("forgetting", "penalty", "hold")}
        model = cls(*state.right.shape, **options)
        model._turn, model._weights = state.turn, None
        model._triangle, model._right, model._kept = state.triangle.copy(), state.right.copy(), state.kept.copy()
        return model


@storable
class RecursiveLayer:
    """Structured recursive least squares: ``y ~ W x + b`` with W on a structure, each row a problem of its own.

    Parameters
    ----------
    structure : Structure
        Where the weights are: (outputs, columns).
    source : array_like of int, optional
        Which input each column reads; column j reads input j by default.
    inputs : int, optional
        Number of inputs, where `source` is given.
    bias : bool, default True
        Whether there is a constant, penalised like a weight.
    forgetting, penalty, hold
        As for `RecursiveLeastSquares`; `hold` costs nothing here.

    Notes
    -----
    Rows of fewer entries than the longest are padded by inputs of zero. With k the entries of the longest row and the
    bias, a sample costs 9 n k^2 operations for n rows.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import RecursiveLayer, wrapped_structure
    >>> layer = RecursiveLayer(wrapped_structure((4, 4), (0, 1)), forgetting=0.999)
    >>> X = np.random.default_rng(0).standard_normal((200, 4))
    >>> errors = layer.update(X, X + 2.0 * np.roll(X, -1, axis=1) + 3.0)
    >>> layer.weight[0, 0].round(5), layer.weight[3, 0].round(5), layer.bias.round(5)
    (np.float64(1.0), np.float64(2.0), array([3., 3., 3., 3.]))
    """

    def __init__(
        self,
        structure: Structure,
        source: ArrayLike | None = None,
        inputs: int | None = None,
        *,
        bias: bool = True,
        forgetting: float = 1.0,
        penalty: float = 1e-6,
        hold: bool = False,
    ) -> None:
        if not isinstance(structure, Structure):
            raise TypeError(f"structure must be a Structure, got {type(structure).__name__}")
        n, columns = structure.shape
        reads = np.arange(columns) if source is None else as_index(source, "source")
        size = columns if inputs is None else inputs
        if not (is_integer(size) and reads.shape == (columns,) and reads.min(initial=0) >= 0):
            raise StructureError(f"source must hold {columns} indices of inputs, got shape {reads.shape}")
        if not reads.max(initial=-1) < size:
            raise StructureError(f"source must hold indices below {size}, got {reads.max()}; say inputs")
        if not (n and structure.nnz):
            raise StructureError(f"a layer that learns needs at least one weight, got {structure}")
        self._forgetting, self._penalty = _checked(forgetting, penalty, hold)
        self._hold, self._bias, self._turn = bool(hold), bool(bias), 0
        self._structure, self._inputs, self._reads = structure, int(size), reads
        row, column = structure.coordinates()
        order = np.argsort(row, kind="stable")
        counts = np.bincount(row, minlength=n)
        place = np.empty(structure.nnz, np.int64)
        place[order] = np.arange(structure.nnz) - np.repeat(np.cumsum(counts) - counts, counts)
        self._slots = place, row
        k = int(counts.max()) + self._bias
        self._source = np.full((k, n), -1, np.int64)
        self._source[place, row] = reads[column]
        self._triangle = np.zeros((k, k, n))
        self._triangle[np.arange(k), np.arange(k)] = np.sqrt(self._penalty)
        self._right, self._weights, self._kept = np.zeros((k, n)), np.zeros((k, n)), np.full(k, self._penalty)
        self._scratch = np.empty((k, n)), np.empty(n), np.empty((2, n))

    @property
    def weight(self) -> StridiagMatrix:
        """W as it is now."""
        return StridiagMatrix(self._structure, self._weights[self._slots])

    @property
    def bias(self) -> Array:
        """The constants b, (outputs,)."""
        return self._weights[-1].copy() if self._bias else np.zeros(self._weights.shape[1])

    @property
    def penalties(self) -> Array:
        """What the penalty is now, (k,), for the first, second ... entry of each row, and last the bias."""
        return self._kept.copy()

    def update(self, X: ArrayLike, Y: ArrayLike) -> Array:
        """Take samples, one after another.

        Parameters
        ----------
        X : array_like, (samples, inputs) or (inputs,)
            Inputs.
        Y : array_like, (samples, outputs) or (outputs,)
            Targets.

        Returns
        -------
        ndarray, (samples, outputs)
            Errors ``y - W x - b`` of the weights just before each sample: what an adaptive filter puts out.

        Raises
        ------
        ValueError
            If shapes do not match or numbers are beyond 1e150.
        NonFiniteError
            If a number is NaN or infinite. Nothing is then taken.
        """
        x, y = _samples(X, self._inputs, "X"), _samples(Y, self._right.shape[1], "Y")
        if x.shape[0] != y.shape[0]:
            raise ValueError(f"X and Y must hold as many samples, got {x.shape[0]} and {y.shape[0]}")
        errors = np.empty(y.shape)
        self._turn = update_many(
            x,
            y,
            self._source,
            self._bias,
            self._forgetting,
            self._penalty,
            self._hold,
            self._turn,
            self._triangle,
            self._right,
            self._kept,
            *self._scratch,
            self._weights,
            errors,
        )
        return errors

    def predict(self, X: ArrayLike) -> Array:
        """Return ``W x + b``, (samples, outputs), for X of shape (samples, inputs) or (inputs,)."""
        x = _samples(X, self._inputs, "X")
        result = np.zeros((x.shape[0], self._right.shape[1]))
        for weights, reads in zip(self._weights, self._source, strict=True):
            result += weights * np.where(reads >= 0, x[:, reads], 0.0)
        return result + self.bias

    def frozen(self) -> FrozenRecursiveLayer:
        """Return what this is now: what `stridiag.nn.save` writes."""
        arrays = self._triangle.copy(), self._right.copy(), self._kept.copy(), self._weights.copy()
        options = self._forgetting, self._penalty, self._hold, self._turn
        made_of = self._structure, self._reads, self._inputs, self._bias
        return FrozenRecursiveLayer(*made_of, *options, *arrays)

    @classmethod
    def resumed(cls, state: FrozenRecursiveLayer) -> Self:
        """Return an object that goes on where another was frozen, to the last bit."""
        options: dict[str, Any] = {name: getattr(state, name) for name in ("bias", "forgetting", "penalty", "hold")}
        layer = cls(state.structure, state.source, state.inputs, **options)
        layer._turn = state.turn
        layer._triangle, layer._right = state.triangle.copy(), state.right.copy()
        layer._kept, layer._weights = state.kept.copy(), state.weights.copy()
        return layer
