r"""Ridge regression whose penalty is found by a short walk, one Cholesky factorization a step.

With A the correlation matrix of n observations' features and x_i a row of standardised features, one factorization
:math:`A + \alpha I = L L^T` gives coefficients, residuals e and leverages

.. math:: h_i = \frac1n + \frac1n \lVert L^{-1} x_i \rVert^2 ,

and so the exact leave-one-out error e_i / (1 - h_i) of any row. The walk goes by decades of :math:`\alpha` while the
mean square of these errors falls, and ends with half a decade to either side. They are taken at *some* rows, the
judges: an unbiased estimate of the whole PRESS, which a thousand rows decide as well at a fraction of its cost; and
unlike generalised cross-validation it does not take leverages to be equal (see `readout`).

Leverages may be taken in single precision where the penalty allows: a row's triangular solve is backward stable, so
its relative error is below :math:`2^{-24} \sqrt{p / \alpha}` and in practice a thousandth of that.

Cost for p columns and s judges: p^3 / 3 + s p^2 for each of about five penalties, or for one where the penalty of a
regression of the same kind is taken over. The eigendecomposition behind `solve_ridge` costs about 9 p^3 once, and
2 n p^2 more for leaving every row out.

References: as for `readout`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.readout import FREEDOM_LIMIT, LEAST_LEFT, Readout
from stridiag.nn.statistics import Statistics

__all__ = ["LOWEST", "START", "Judges", "Walked", "solve_by_walk"]

Array = NDArray[Any]

START = -3.0
LOWEST, _HIGHEST = -10.0, 2.0
# From this penalty on leverages in single precision are good to 1e-4.
_LEAST_SINGLE = 1e-9
# A smaller penalty has to lower the error by this share: less is noise, and the larger one is the safer.
_GAIN = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Judges:
    """Rows whose leave-one-out errors are the criterion.

    Parameters
    ----------
    features, targets : ndarray, (s, p) and (s, q)
        As the statistics saw them.
    counts : ndarray, (s,)
        How many observations each stands for.
    """

    features: Array
    targets: Array
    counts: Array


@dataclass(frozen=True, slots=True, eq=False)
class Walked:
    """A solved readout, and the factor that leverages come from.

    Parameters
    ----------
    readout : Readout
        Its score is the mean of the judges' squared leave-one-out errors.
    factor : ndarray, (p, p)
        L in the lower triangle, Fortran order; in single precision where leverages are.
    row_mean, inverse : ndarray, (p,)
        Standardise features.
    weight : float
        Number of observations, n.
    """

    readout: Readout
    factor: Array
    row_mean: Array
    inverse: Array
    weight: float

    def left(self, features: Array, counts: Array) -> Array:
        """Return what one observation of each row leaves of its own residual, 1 - leverage, (s,).

        Of a row that weighs less than one observation all is left out.
        """
        kind = self.factor.dtype
        x = features.astype(kind)
        x -= self.row_mean.astype(kind)
        x *= self.inverse.astype(kind)
        return _left(self.factor, x, counts, self.weight)


def solve_by_walk(
    statistics: Statistics,
    judges: Judges,
    alpha: float | None = None,
    *,
    start: float = START,
    fine: bool = True,
    least_spread: float = 0.0,
    settle: bool = False,
    single: bool = False,
    lowest: float = LOWEST,
) -> Walked:
    """Solve the ridge regression.

    Parameters
    ----------
    statistics : Statistics
        Of features and targets.
    judges : Judges
        Some or all of their rows.
    alpha : float or None
        Penalty per observation on standardised columns, positive; None: by the walk.
    start : float, default -3.0
        Power of ten at which the walk begins.
    fine : bool, default True
        Whether half decades are tried in the end.
    least_spread : float, default 0.0
        Columns of less deviation count as if they had it. A unit that is almost dead, 1e-9 at one training row and 0 at
        the others, would else be scaled up without bound, and speak loudly where there are no training rows.
    settle : bool, default False
        Whether `start`, the penalty of another regression of the same kind, is taken without a walk if leave-one-out
        errors exist there.
    single : bool, default False
        Whether leverages are taken in single precision where the penalty is at least 1e-9.
    lowest : float, default -10.0
        Power of ten below which the walk does not go.

    Returns
    -------
    Walked

    Raises
    ------
    ValueError
        If `alpha` is so small that the regression is singular up to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Statistics
    >>> from stridiag.nn.penalty_walk import Judges, solve_by_walk
    >>> H = np.random.default_rng(0).standard_normal((200, 3))
    >>> Z = H @ [[1.0], [2.0], [3.0]] + 4
    >>> fit = solve_by_walk(Statistics.from_rows(H, Z), Judges(H, Z, np.ones(200)), 1e-9)
    >>> fit.readout.coefficients.ravel().round(6)
    array([1., 2., 3.])
    """
    scale = statistics.column_scale()
    spread = np.maximum(scale, least_spread)
    inverse = np.divide(1.0, spread, out=np.zeros_like(scale), where=scale > 0.0)
    gram = statistics.scatter * (inverse / statistics.weight) * inverse[:, None]
    right = statistics.cross * (inverse / statistics.weight)[:, None]
    rows = (judges.features - statistics.row_mean) * inverse
    errors = judges.targets - statistics.target_mean
    tried: dict[float, _Trial] = {}

    def trial(exponent: float) -> _Trial:
        if exponent not in tried:
            tried[exponent] = attempt(10.0**exponent)
        return tried[exponent]

    def attempt(penalty: float) -> _Trial:
        kind = np.float32 if single and penalty >= _LEAST_SINGLE else np.float64
        return _try(gram, right, rows, errors, judges.counts, statistics.weight, penalty, kind)

    if alpha is not None:
        best = attempt(alpha)
    elif settle and trial(start).judged < np.inf:
        best = trial(start)
    else:
        best = trial(_walk(lambda exponent: trial(exponent).judged, start, fine=fine, lowest=lowest))
    if best.factor is None:
        raise ValueError(f"alpha {alpha} is too small: the regression is singular up to rounding")
    coefficients = best.beta * inverse[:, None]
    outputs = right.shape[1]
    readout = Readout(
        coefficients,
        statistics.target_mean - statistics.row_mean @ coefficients,
        np.full(outputs, best.alpha),
        np.full(outputs, best.freedom),
        best.score,
        "loo",
        np.ones(outputs),
    )
    return Walked(readout, best.factor, statistics.row_mean, inverse, statistics.weight)


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    alpha: float
    factor: Array | None
    beta: Array
    score: Array
    freedom: float
    judged: float


def _try(
    gram: Array,
    right: Array,
    rows: Array,
    targets: Array,
    counts: Array,
    weight: float,
    alpha: float,
    kind: type[np.floating[Any]],
) -> _Trial:
    from scipy.linalg import lapack

    # Symmetric: the transposed view is in Fortran's order, and a copy of it is one stretch of memory.
    damped = gram.T.copy(order="F")
    damped[np.diag_indices_from(damped)] += alpha
    factor, info = lapack.dpotrf(damped, lower=1, overwrite_a=1)
    if info:
        worst = np.full(right.shape[1], np.inf)
        return _Trial(alpha, None, np.zeros_like(right), worst, np.inf, np.inf)
    beta, _ = lapack.dpotrs(factor, right, lower=1)
    factor = factor.astype(kind, copy=False)
    left = _left(factor, rows.astype(kind, copy=False), counts, weight)
    error = targets - rows @ beta
    good = left > LEAST_LEFT
    error /= np.where(good, left, 1.0)[:, None]
    share = counts / counts.sum()
    score = share @ np.square(error)
    # The trace of the hat matrix, from the judges' leverages: exact where they are all rows.
    freedom = float(share @ ((1.0 - left) * np.maximum(1.0, 1.0 / counts))) * weight
    # Nearer to interpolation both sides of the quotients vanish, and pairs of duplicate rows decide.
    allowed = good.all() and freedom <= FREEDOM_LIMIT * weight
    return _Trial(alpha, factor, beta, score, freedom, float(score.sum()) if allowed else np.inf)


def _left(factor: Array, rows: Array, counts: Array, weight: float) -> Array:
    from scipy.linalg import blas

    solve = blas.strsm if factor.dtype == np.float32 else blas.dtrsm
    half = solve(1.0, factor, rows.T, lower=1)
    leverage = 1.0 + np.einsum("ij,ij->j", half, half)
    return np.asarray(1.0 - leverage * np.minimum(counts, 1.0) / weight, np.float64)


def _walk(error: Callable[[float], float], start: float, *, fine: bool, lowest: float = LOWEST) -> float:
    """Return the exponent of ten at which the walk ends."""
    at = min(max(start, lowest), _HIGHEST)
    if at > lowest and error(at - 1.0) < (1.0 - _GAIN) * error(at):
        at -= 1.0
        while at > lowest and error(at - 1.0) < (1.0 - _GAIN) * error(at):
            at -= 1.0
    else:
        while at < _HIGHEST and error(at + 1.0) <= error(at):
            at += 1.0
    # Equal errors go to the larger penalty.
    return min((at + 0.5, at, max(at - 0.5, lowest)), key=error) if fine else at
