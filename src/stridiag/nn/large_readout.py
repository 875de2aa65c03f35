r"""The readout of thousands of columns: products in single precision, summed in double, solved by Cholesky.

With rows H of n observations, weights D and targets Z, all centred, it solves

.. math:: (H^T D H + \alpha n I)\, C = H^T D Z .

Products of a few thousand rows are taken in float32, at twice the speed of float64, of columns that have been
shifted near mean 0 before (float32 products of columns of large mean would drown in it), and are added up in float64.
Their rounding is about 1e-7 of the largest eigenvalue, so penalties below `SAFE` take the products in float64. The
columns should be of about unit spread: they are penalised as they are.

The penalty is chosen on rows that are held out: their products are kept apart, the walk over powers of ten compares
squared errors on them, and the last solve has all rows. The features must not have seen the targets of these rows.

Cost: n p^2 flops in float32, p^3 / 3 in float64 for each penalty tried, 12 p^2 bytes.

References: N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., ch. 10; M. F. Hutchinson,
"A stochastic estimator of the trace of the influence matrix", 1989 (degrees of freedom).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from stridiag.nn.calibration import leave_one_out
from stridiag.nn.options import check_penalty
from stridiag.nn.readout import Readout
from stridiag.nn.shifted_products import SAFE, ShiftedProducts

__all__ = ["LargeChunk", "LargePenalty", "SolvedLarge", "solve_large"]

Array = NDArray[Any]
LargePenalty = float | Literal["holdout"]

# Powers of ten, walked from the middle.
_ALPHAS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# Columns copied at once when the matrix is restored.
_PANEL = 256
# Random signs with which the trace of the hat matrix is estimated: to about 1 %.
_PROBES = 32


class LargeChunk(NamedTuple):
    """Some rows of features (n, p), their targets (n, q), weights (n,), and which of them are held out (n,)."""

    rows: Array
    targets: Array
    weights: Array
    held: NDArray[np.bool_]


class SolvedLarge(NamedTuple):
    """A readout, and what it says of the rows that were held out, in the order in which they came, (m, q)."""

    readout: Readout
    held_out: Array


class _System:
    """The matrix of the normal equations: kept above the diagonal, factored below it, once for each penalty."""

    def __init__(self, products: ShiftedProducts) -> None:
        self.weight = products.weight
        self.row_mean, self.target_mean = products.row_sum / self.weight, products.target_sum / self.weight
        # Means are near 0, so that little cancels here.
        gram = products.complete()
        for start in range(0, gram.shape[0], _PANEL):
            gram[start : start + _PANEL] -= np.outer(self.weight * self.row_mean[start : start + _PANEL], self.row_mean)
        # LAPACK reads by columns; the matrix is symmetric.
        self.matrix = gram.T
        self.diagonal = np.diagonal(gram).copy()
        self.right = products.cross - np.outer(self.row_mean, products.target_sum)
        self.squares = products.target_squares - self.weight * self.target_mean**2

    def restore(self) -> None:
        """Copy what is above the diagonal below it."""
        a, n = self.matrix, self.diagonal.size
        for start in range(0, n, _PANEL):
            end = min(start + _PANEL, n)
            block = a[start:end, start:end]
            upper = np.triu(block, 1)
            np.copyto(block, upper + upper.T)
            a[end:, start:end] = a[start:end, end:].T
        a[np.arange(n), np.arange(n)] = self.diagonal

    def solve(self, alpha: float) -> Array | None:
        """Return the coefficients, or None where rounding has left the matrix indefinite."""
        at = np.arange(self.diagonal.size)
        self.matrix[at, at] = self.diagonal + alpha * self.weight
        _, info = lapack.dpotrf(self.matrix, lower=1, clean=0, overwrite_a=1)
        if info != 0:
            return None
        solution: Array = lapack.dpotrs(self.matrix, self.right, lower=1)[0]
        return solution

    def freedom(self, alpha: float) -> float:
        """Estimate the trace of the hat matrix from the factor of the last solve, the intercept included."""
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(self.diagonal.size, _PROBES))
        solved = lapack.dpotrs(self.matrix, signs, lower=1)[0]
        inverse_trace = float(np.einsum("ij,ij->", signs, solved)) / _PROBES
        return 1.0 + self.diagonal.size - alpha * self.weight * inverse_trace

    def intercept(self, coefficients: Array, centre: Array) -> Array:
        return np.asarray(self.target_mean - (self.row_mean + centre) @ coefficients)


def solve_large(
    read: Callable[[], Iterable[LargeChunk]], shape: tuple[int, int], alpha: LargePenalty, centre: Array
) -> SolvedLarge:
    """Solve the ridge regression of chunks of rows with many columns.

    Parameters
    ----------
    read : callable
        Gives the chunks; called once, or once more in the rare case that penalties need float64.
    shape : tuple of int
        Number of columns p and of outputs q.
    alpha : float or "holdout"
        Penalty per unit of weight on the columns as they are, or how it is chosen. For a number rows that are marked
        as held out count like all others.
    centre : ndarray, (p,)
        About the mean of the columns.

    Returns
    -------
    SolvedLarge
        The readout is of criterion "holdout" or, for a given penalty, "gcv". Its degrees of freedom are estimated to
        about 1 %.

    Raises
    ------
    ValueError
        If `alpha` is neither "holdout" nor a number of more than 0, or with "holdout" no row is held out or all are.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn.large_readout import LargeChunk, solve_large
    >>> H = np.random.default_rng(0).standard_normal((500, 3))
    >>> chunk = LargeChunk(H, H @ [[1.0], [2.0], [3.0]] + 4, np.ones(500), np.arange(500) % 10 == 0)
    >>> fit, held_out = solve_large(lambda: [chunk], (3, 1), "holdout", np.zeros(3))
    >>> fit.coefficients.ravel().round(2), fit.intercept.round(2), fit.criterion
    (array([1., 2., 3.]), array([4.]), 'holdout')
    """
    check_penalty(alpha, ("holdout",))
    if not isinstance(alpha, str) and not alpha > 0.0:
        raise ValueError(f"alpha must be 'holdout' or more than 0 with this many columns, got {alpha!r}")
    if isinstance(alpha, str):
        return _by_holdout(read, shape, centre, np.float32)
    kind: type[np.floating[Any]] = np.float32 if alpha >= SAFE else np.float64
    return _given(read, shape, float(alpha), centre, kind)


def _given(
    read: Callable[[], Iterable[LargeChunk]],
    shape: tuple[int, int],
    alpha: float,
    centre: Array,
    kind: type[np.floating[Any]],
) -> SolvedLarge:
    products = ShiftedProducts(*shape, centre, kind)
    kept: list[tuple[Array, Array, Array]] = []
    for rows, targets, weights, held in read():
        if held.any():
            kept.append((rows[held], targets[held], weights[held]))
        products.add(rows, targets, weights)
    system = _System(products)
    coefficients = system.solve(alpha)
    if coefficients is None:
        if kind is np.float64:
            raise ValueError(f"alpha = {alpha} is lost in rounding: columns depend on each other; choose a larger one")
        return _given(read, shape, alpha, centre, np.float64)
    freedom = system.freedom(alpha)
    # C' A C = C' (R - alpha w C), so the residual needs no matrix.
    fitted = np.einsum("ij,ij->j", coefficients, system.right) + alpha * system.weight * np.einsum(
        "ij,ij->j", coefficients, coefficients
    )
    left = 1.0 - freedom / system.weight
    error = np.maximum(system.squares - fitted, 0.0) / system.weight
    score = error / left**2 if left > 0.0 else np.full(shape[1], np.inf)
    readout = _readout(system, coefficients, centre, alpha, freedom, score, "gcv")
    # These rows took part: what they left of themselves is the mean of all.
    fitted_rows = _outputs(kept, coefficients, readout.intercept)
    truth = np.concatenate([part[1] for part in kept]) if kept else fitted_rows
    return SolvedLarge(readout, leave_one_out(truth, fitted_rows, np.full((1, shape[1]), max(left, 0.0))))


def _by_holdout(
    read: Callable[[], Iterable[LargeChunk]], shape: tuple[int, int], centre: Array, kind: type[np.floating[Any]]
) -> SolvedLarge:
    rest = ShiftedProducts(*shape, centre, kind)
    kept: list[tuple[Array, Array, Array]] = []
    for rows, targets, weights, held in read():
        if held.any():
            kept.append((rows[held], targets[held], weights[held]))
        if not held.all():
            rest.add(rows[~held], targets[~held], weights[~held])
    if not kept or rest.weight == 0.0:
        raise ValueError("alpha='holdout' needs rows that are held out and rows that are not")
    system = _System(rest)
    truth = np.concatenate([part[1] for part in kept])
    share = np.concatenate([part[2] for part in kept])
    share /= share.sum()
    scores: dict[int, Array] = {}
    outputs: dict[int, Array] = {}

    def score(place: int) -> float:
        if place not in scores:
            coefficients = system.solve(_ALPHAS[place])
            if coefficients is None:
                scores[place] = np.full(shape[1], np.inf)
            else:
                outputs[place] = _outputs(kept, coefficients, system.intercept(coefficients, centre))
                scores[place] = share @ np.square(outputs[place] - truth)
            system.restore()
        return float(scores[place].sum())

    best = len(_ALPHAS) // 2
    score(best)
    # Ties go to the larger penalty.
    for step in (-1, 1):
        while 0 <= best + step < len(_ALPHAS) and (
            score(best + step) < score(best) or (step > 0 and score(best + step) <= score(best))
        ):
            best += step
    _release(rest, system)
    for part in kept:
        rest.add(*part)
    kept.clear()
    system = _System(rest)
    coefficients = system.solve(_ALPHAS[best])
    if coefficients is None:
        return _by_holdout(read, shape, centre, np.float64)
    freedom = system.freedom(_ALPHAS[best])
    readout = _readout(system, coefficients, centre, _ALPHAS[best], freedom, scores[best], "holdout")
    return SolvedLarge(readout, outputs[best])


def _release(products: ShiftedProducts, system: _System) -> None:
    """Undo in place what `_System` did to the sums: the matrix may be a gigabyte, and there is only one."""
    for start in range(0, system.diagonal.size, _PANEL):
        part = slice(start, start + _PANEL)
        products.gram[part] += np.outer(system.weight * system.row_mean[part], system.row_mean)


def _outputs(parts: list[tuple[Array, Array, Array]], coefficients: Array, intercept: Array) -> Array:
    """Return the outputs for some rows, (m, q)."""
    narrow = {kind: coefficients.astype(kind) for kind in {rows.dtype for rows, _, _ in parts}}
    made = [rows @ narrow[rows.dtype] + intercept for rows, _, _ in parts]
    return np.concatenate(made) if made else np.empty((0, intercept.size))


def _readout(
    system: _System,
    coefficients: Array,
    centre: Array,
    alpha: float,
    freedom: float,
    score: Array,
    criterion: Literal["gcv", "holdout"],
) -> Readout:
    outputs = coefficients.shape[1]
    return Readout(
        np.ascontiguousarray(coefficients),
        system.intercept(coefficients, centre),
        np.full(outputs, alpha),
        np.full(outputs, freedom),
        score,
        criterion,
        np.ones(outputs),
    )
