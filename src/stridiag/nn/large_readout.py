r"""The readout of thousands of columns: products in single precision, summed in double, solved by Cholesky.

With rows H of n observations, weights D and targets Z, all centred, it solves

.. math:: (H^T D H + \alpha n I)\, C = H^T D Z .

Products of a few thousand rows are taken in float32, at twice the speed of float64, of columns that have been
shifted near mean 0 before (float32 products of columns of large mean would drown in it), and are added up in float64.
Their rounding is about 1e-7 of the largest eigenvalue, so penalties below `SAFE` take the products in float64. The
columns should be of about unit spread: they are penalised as they are.

The penalty is chosen on rows that are held out: their products are kept apart, the walk over powers of ten compares
squared errors on them, and the last solve has all rows. The features must not have seen the targets of these rows.

Scores of classes may be let exceed their targets (see `margins`). Errors that do not count leave room for a larger
penalty: it is the chosen one times the root of ten. That factor, like the stride, was found on training images
(docs/theory/images.md).

Cost: n p^2 flops in float32, p^3 / 3 in float64 for each penalty tried, 12 p^2 bytes; one more pass over the rows
for each round of moving targets.

References: N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., ch. 10; M. F. Hutchinson,
"A stochastic estimator of the trace of the influence matrix", 1989 (degrees of freedom).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from stridiag.nn.calibration import leave_one_out
from stridiag.nn.margins import Aim, Sums, exceed, surplus
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
# By how much the chosen penalty is raised where scores may exceed their targets.
_RAISED = 10.0**0.5
# Rows that keep less of themselves than this, in the mean, are hardly held out by `Aim.freed`.
_LEAST_LEFT = 0.25


_Part = tuple[Array, Array, Array]


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
        return self.again(self.right)

    def again(self, right: Array) -> Array:
        """Return the solution for other right-hand sides by the factor of the last solve."""
        solution: Array = lapack.dpotrs(self.matrix, right, lower=1)[0]
        return solution

    def aim(self, coefficients: Array, centre: Array) -> Aim:
        """Return a solution whose targets can be moved."""
        return Aim(coefficients, Sums(self.weight, self.row_mean + centre, self.weight * self.target_mean))

    def freedom(self, alpha: float) -> float:
        """Estimate the trace of the hat matrix from the factor of the last solve, the intercept included."""
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(self.diagonal.size, _PROBES))
        solved = lapack.dpotrs(self.matrix, signs, lower=1)[0]
        inverse_trace = float(np.einsum("ij,ij->", signs, solved)) / _PROBES
        return 1.0 + self.diagonal.size - alpha * self.weight * inverse_trace

    def intercept(self, coefficients: Array, centre: Array) -> Array:
        return np.asarray(self.target_mean - (self.row_mean + centre) @ coefficients)


def solve_large(
    read: Callable[[], Iterable[LargeChunk]],
    shape: tuple[int, int],
    alpha: LargePenalty,
    centre: Array,
    *,
    rounds: int = 0,
    scored: int | None = None,
) -> SolvedLarge:
    """Solve the ridge regression of chunks of rows with many columns.

    Parameters
    ----------
    read : callable
        Gives the chunks, the same in each call; called once, or once more in the rare case that penalties need
        float64, and once for each round.
    shape : tuple of int
        Number of columns p and of outputs q.
    alpha : float or "holdout"
        Penalty per unit of weight on the columns as they are, or how it is chosen. For a number rows that are marked
        as held out count like all others.
    centre : ndarray, (p,)
        About the mean of the columns.
    rounds : int, default 0
        How often targets are moved to where scores exceed them; more than 0 only for standardised indicators of
        classes.
    scored : int, optional
        Of so many of the rows that are held out, the first ones, outputs are wanted; of all by default.

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
        return _by_holdout(read, shape, centre, np.float32, rounds, scored)
    kind: type[np.floating[Any]] = np.float32 if alpha >= SAFE else np.float64
    return _given(read, shape, float(alpha), centre, kind, rounds, scored)


def _given(
    read: Callable[[], Iterable[LargeChunk]],
    shape: tuple[int, int],
    alpha: float,
    centre: Array,
    kind: type[np.floating[Any]],
    rounds: int,
    scored: int | None,
) -> SolvedLarge:
    products = ShiftedProducts(*shape, centre, kind)
    kept: list[_Part] = []
    for rows, targets, weights, held in read():
        if held.any():
            kept.append((rows[held], targets[held], weights[held]))
        products.add(rows, targets, weights)
    kept = _first(kept, scored)
    system = _System(products)
    coefficients = system.solve(alpha)
    if coefficients is None:
        if kind is np.float64:
            raise ValueError(f"alpha = {alpha} is lost in rounding: columns depend on each other; choose a larger one")
        return _given(read, shape, alpha, centre, np.float64, rounds, scored)
    freedom = system.freedom(alpha)
    # C' A C = C' (R - alpha w C), so the residual needs no matrix.
    fitted = np.einsum("ij,ij->j", coefficients, system.right) + alpha * system.weight * np.einsum(
        "ij,ij->j", coefficients, coefficients
    )
    left = 1.0 - freedom / system.weight
    error = np.maximum(system.squares - fitted, 0.0) / system.weight
    score = error / left**2 if left > 0.0 else np.full(shape[1], np.inf)
    aim = system.aim(coefficients, centre)
    exceed(_weighed(read), system.again, aim, None, system.weight, rounds)
    # These rows took part: what they left of themselves is the mean of all.
    outputs = _outputs(kept, aim.coefficients, aim.intercept)
    truth = np.concatenate([part[1] for part in kept]) if kept else outputs
    if rounds:
        truth = truth + surplus(outputs, truth)
    return SolvedLarge(
        _readout(aim, alpha, freedom, score, "gcv"),
        leave_one_out(truth, outputs, np.full((1, shape[1]), max(left, 0.0))),
    )


def _by_holdout(
    read: Callable[[], Iterable[LargeChunk]],
    shape: tuple[int, int],
    centre: Array,
    kind: type[np.floating[Any]],
    rounds: int,
    scored: int | None,
) -> SolvedLarge:
    rest = ShiftedProducts(*shape, centre, kind)
    kept: list[_Part] = []
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
    solutions: dict[int, Array] = {}

    def score(place: int) -> float:
        if place not in scores:
            coefficients = system.solve(_ALPHAS[place])
            if coefficients is None:
                scores[place] = np.full(shape[1], np.inf)
            else:
                solutions[place] = coefficients
                outputs = _outputs(kept, coefficients, system.intercept(coefficients, centre))
                scores[place] = share @ np.square(outputs - truth)
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
    alpha, apart = _ALPHAS[best], solutions.get(best)
    if rounds and apart is not None:
        alpha *= _RAISED
        apart = system.solve(alpha)
        system.restore()
    part = None if apart is None else system.aim(apart, centre)
    _release(rest, system)
    for chunk in kept:
        rest.add(*chunk)
    kept = _first(kept, scored)
    system = _System(rest)
    coefficients = system.solve(alpha)
    if coefficients is None or part is None:
        return _by_holdout(read, shape, centre, np.float64, rounds, scored)
    freedom = system.freedom(alpha)
    aim = system.aim(coefficients, centre)
    exceed(_weighed(read), system.again, aim, part, system.weight, rounds)
    readout = _readout(aim, alpha, freedom, scores[best], "holdout")
    return SolvedLarge(readout, _outputs(kept, *part.freed(max(_LEAST_LEFT, 1.0 - freedom / system.weight))))


def _weighed(read: Callable[[], Iterable[LargeChunk]]) -> Callable[[], Iterator[tuple[_Part, Array]]]:
    """Return the chunks as `exceed` reads them: with weights of 0 for rows that are held out beside their own."""

    def chunks() -> Iterator[tuple[_Part, Array]]:
        for rows, targets, weights, held in read():
            yield (rows, targets, weights), np.where(held, 0.0, weights)

    return chunks


def _first(parts: list[_Part], count: int | None) -> list[_Part]:
    """Return so many rows of some parts, all of them for None; the other parts are freed with the list."""
    if count is None:
        return parts
    left, result = count, []
    for part in parts:
        if left > 0:
            result.append((part[0][:left], part[1][:left], part[2][:left]))
            left -= len(part[2])
    return result


def _release(products: ShiftedProducts, system: _System) -> None:
    """Undo in place what `_System` did to the sums: the matrix may be a gigabyte, and there is only one."""
    for start in range(0, system.diagonal.size, _PANEL):
        part = slice(start, start + _PANEL)
        products.gram[part] += np.outer(system.weight * system.row_mean[part], system.row_mean)


def _outputs(parts: list[_Part], coefficients: Array, intercept: Array) -> Array:
    """Return the outputs for some rows, (m, q)."""
    narrow = {kind: coefficients.astype(kind) for kind in {rows.dtype for rows, _, _ in parts}}
    made = [rows @ narrow[rows.dtype] + intercept for rows, _, _ in parts]
    return np.concatenate(made) if made else np.empty((0, intercept.size))


def _readout(aim: Aim, alpha: float, freedom: float, score: Array, criterion: Literal["gcv", "holdout"]) -> Readout:
    outputs = aim.intercept.size
    return Readout(
        np.ascontiguousarray(aim.coefficients),
        aim.intercept,
        np.full(outputs, alpha),
        np.full(outputs, freedom),
        score,
        criterion,
        np.ones(outputs),
    )
