r"""Ridge regression whose penalty is found by a short walk, one Cholesky factorization a step.

With A the correlation matrix of n observations' features, one factorization :math:`A + \alpha I = L L^T` gives
coefficients, residuals e and leverages h (see `leverages`), and so the exact leave-one-out error e_i / (1 - h_i) of any
row. The walk goes by decades of :math:`\alpha` while the mean square of these errors falls, and ends at the vertex of
the parabola through the last three, at most half a decade away. They are taken at *some* rows, the judges: an unbiased
estimate of the whole PRESS, which some hundred rows decide as well at a fraction of its cost; and unlike generalised
cross-validation it does not take leverages to be equal (see `readout`). Some of the judges may choose between
penalties, and all of them judge the chosen one.

**Fewer rows than columns.** Where all rows are judges, the n x n matrix K of products of rows says the same:
with x the solution of :math:`(K + \alpha I) x = z`, residuals are :math:`\alpha x`, and what a row leaves of its own is
:math:`\alpha` times a diagonal entry of the inverse, each row times the root of its share of the weight.

**Single precision** where the penalty allows. Leverages from 1e-9 on, see `leverages`. The factor itself from 1e-3 on:
its rounding is about 1e-5 of the penalty's size there at most, and two refinements against the matrix in double
precision leave coefficients those of a factor in double precision to some 1e-9.

Cost for p columns and s judges: p^3 / 3 + s p^2 for each of about four penalties, or for one where the penalty of a
regression of the same kind is taken over; by rows 2/3 n^3. The eigendecomposition behind `solve_ridge` costs about
9 p^3 once, and 2 n p^2 more for leaving every row out.

References: as for `readout`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.leverages import Leverages, left_of, sketched
from stridiag.nn.readout import FREEDOM_LIMIT, LEAST_LEFT, Readout
from stridiag.nn.ridge_forms import of_rows
from stridiag.nn.statistics import Statistics

__all__ = ["LOWEST", "START", "Judges", "Walked", "solve_by_walk", "solve_rows_by_walk"]

Array = NDArray[Any]
Index = NDArray[np.int64]

START = -3.0
LOWEST, _HIGHEST = -10.0, 2.0
# From this penalty on leverages in single precision are good to 1e-4.
_LEAST_SINGLE = 1e-9
# From this one on the factor is, too, and so many refinements make coefficients those of double precision.
_FACTOR_SINGLE, _REFINEMENTS = 1e-3, 2
# A vertex nearer than this to a penalty that was tried says nothing new.
_NEARLY = 0.15
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
    choosers : ndarray of int64, optional
        Those that choose between penalties; all of them judge the chosen one.
    """

    features: Array
    targets: Array
    counts: Array
    choosers: Index | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Walked:
    """A solved readout, and what it says of rows without them.

    Parameters
    ----------
    readout : Readout
        Its score is the mean of the judges' squared leave-one-out errors.
    left_out : ndarray, (s, q)
        Those errors: exact residuals of the judges, each in a fit without it; in the fit with it where it leaves
        nothing of its own.
    leverages : Leverages or None
        Of other rows; None by rows, where all rows are judges.
    """

    readout: Readout
    left_out: Array
    leverages: Leverages | None


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
    rough: bool = False,
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
        Whether a penalty within half a decade is tried in the end.
    least_spread : float, default 0.0
        Columns of less deviation count as if they had it. A unit that is almost dead, 1e-9 at one training row and 0 at
        the others, would else be scaled up without bound, and speak loudly where there are no training rows.
    settle : bool, default False
        Whether `start`, the penalty of another regression of the same kind, is taken without a walk if leave-one-out
        errors exist there.
    single : bool, default False
        Whether leverages are taken in single precision where the penalty is at least 1e-9, and the factor from 1e-3
        on.
    lowest : float, default -10.0
        Power of ten below which the walk does not go.
    rough : bool, default False
        Whether small leverages are sketched where they choose between penalties, and stay so where all judges choose.

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
    gram = statistics.scatter * (inverse / statistics.weight)
    gram *= inverse[:, None]
    right = statistics.cross * (inverse / statistics.weight)[:, None]
    rows = judges.features - statistics.row_mean
    rows *= inverse
    errors = judges.targets - statistics.target_mean
    slim = rows.astype(np.float32) if single else rows

    @cache
    def narrow() -> Array:
        return gram.astype(np.float32) if single else gram

    chosen = None if settle or alpha is not None else judges.choosers
    some = slice(None) if chosen is None else chosen
    asked = rows[some], slim[some], errors[some], judges.counts[some]

    def attempt(penalty: float) -> _Trial:
        coarse = narrow() if penalty >= _FACTOR_SINGLE else gram
        wide, thin, targets, counts = asked
        read = thin if penalty >= _LEAST_SINGLE else wide
        left = sketched if rough else left_of
        return _try(gram, coarse, right, wide, read, targets, counts, statistics.weight, penalty, left)

    best = _best(attempt, alpha, start, fine=fine, settle=settle, lowest=lowest)
    factor = best.factor
    assert factor is not None
    if chosen is not None:
        left = left_of(factor, slim if factor.dtype == np.float32 else rows, judges.counts, statistics.weight)
        error = errors - rows @ best.beta
        best = _Trial.judge(best.alpha, factor, best.beta, error, left, judges.counts, statistics.weight)
    coefficients = best.beta * inverse[:, None]
    intercept = statistics.target_mean - statistics.row_mean @ coefficients
    leverages = Leverages(factor, statistics.row_mean, inverse, statistics.weight)
    return Walked(_readout(best, coefficients, intercept), best.left_out, leverages)


def solve_rows_by_walk(
    rows: Judges,
    alpha: float | None = None,
    *,
    start: float = START,
    fine: bool = True,
    least_spread: float = 0.0,
    settle: bool = False,
    lowest: float = LOWEST,
) -> Walked:
    """Solve the ridge regression of rows that are all judges, by products of rows: less work where they are few.

    Parameters and errors are those of `solve_by_walk`, to whose answer this one is equal up to rounding.
    """
    system, _ = of_rows(rows.features, rows.targets, rows.counts, least_spread)
    root = np.sqrt(rows.counts / rows.counts.sum())[:, None]
    weight = float(rows.counts.sum())

    def attempt(penalty: float) -> _Trial:
        return _try_rows(system.matrix, system.right, root, rows.counts, weight, penalty)

    best = _best(attempt, alpha, start, fine=fine, settle=settle, lowest=lowest)
    coefficients = system.back(best.beta)
    return Walked(
        _readout(best, coefficients, system.target_mean - system.row_mean @ coefficients), best.left_out, None
    )


def _best(
    attempt: Callable[[float], _Trial], alpha: float | None, start: float, *, fine: bool, settle: bool, lowest: float
) -> _Trial:
    tried: dict[float, _Trial] = {}

    def trial(exponent: float) -> _Trial:
        if exponent not in tried:
            tried[exponent] = attempt(10.0**exponent)
        return tried[exponent]

    if alpha is not None:
        best = attempt(alpha)
    elif settle and trial(start).judged < np.inf:
        best = trial(start)
    else:
        best = trial(_walk(lambda exponent: trial(exponent).judged, start, fine=fine, lowest=lowest))
    if best.factor is None:
        raise ValueError(f"alpha {alpha} is too small: the regression is singular up to rounding")
    return best


def _readout(best: _Trial, coefficients: Array, intercept: Array) -> Readout:
    outputs = intercept.size
    alpha, freedom = np.full(outputs, best.alpha), np.full(outputs, best.freedom)
    return Readout(coefficients, intercept, alpha, freedom, best.score, "loo", np.ones(outputs))


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    alpha: float
    factor: Array | None
    beta: Array
    left_out: Array
    score: Array
    freedom: float
    judged: float

    @classmethod
    def failed(cls, alpha: float, right: Array) -> _Trial:
        worst = np.full(right.shape[1], np.inf)
        return cls(alpha, None, np.zeros_like(right), np.empty((0, right.shape[1])), worst, np.inf, np.inf)

    @classmethod
    def judge(
        cls, alpha: float, factor: Array, beta: Array, error: Array, left: Array, counts: Array, weight: float
    ) -> _Trial:
        """Make the trial from residuals, which are overwritten, and what each observation leaves of its own."""
        good = left > LEAST_LEFT
        error /= np.where(good, left, 1.0)[:, None]
        share = counts / counts.sum()
        score = share @ np.square(error)
        # The trace of the hat matrix, from the judges' leverages: exact where they are all rows.
        freedom = float(share @ ((1.0 - left) * np.maximum(1.0, 1.0 / counts))) * weight
        # Nearer to interpolation both sides of the quotients vanish, and pairs of duplicate rows decide.
        allowed = good.all() and freedom <= FREEDOM_LIMIT * weight
        return cls(alpha, factor, beta, error, score, freedom, float(score.sum()) if allowed else np.inf)


def _try(
    gram: Array,
    coarse: Array,
    right: Array,
    rows: Array,
    read: Array,
    targets: Array,
    counts: Array,
    weight: float,
    alpha: float,
    left: Callable[[Array, Array, Array, float], Array],
) -> _Trial:
    """Solve at one penalty: a factor of the precision of `coarse`, leverages by `left` of that of `read`."""
    from scipy.linalg import lapack

    single = coarse.dtype == np.float32
    # Symmetric: the transposed view is in Fortran's order, and a copy of it is one stretch of memory.
    damped = coarse.T.copy(order="F")
    damped[np.diag_indices_from(damped)] += alpha
    factor, info = (lapack.spotrf if single else lapack.dpotrf)(damped, lower=1, overwrite_a=1)
    if info:
        return _Trial.failed(alpha, right)
    if single:
        beta = np.asarray(lapack.spotrs(factor, right, lower=1)[0], np.float64)
        for _ in range(_REFINEMENTS):
            rest = right - gram @ beta
            rest -= alpha * beta
            beta += lapack.spotrs(factor, rest, lower=1)[0]
    else:
        beta, _ = lapack.dpotrs(factor, right, lower=1)
    factor = factor.astype(read.dtype, copy=False)
    own = left(factor, read, counts, weight)
    return _Trial.judge(alpha, factor, beta, targets - rows @ beta, own, counts, weight)


def _try_rows(products: Array, right: Array, root: Array, counts: Array, weight: float, alpha: float) -> _Trial:
    from scipy.linalg import lapack

    damped = products.T.copy(order="F")
    damped[np.diag_indices_from(damped)] += alpha
    # Clean: what lies above the triangle would else be added up.
    factor, info = lapack.dpotrf(damped, lower=1, clean=1, overwrite_a=1)
    if info:
        return _Trial.failed(alpha, right)
    beta, _ = lapack.dpotrs(factor, right, lower=1)
    inverse, _ = lapack.dtrtri(factor, lower=1)
    # By how much one observation's own residual exceeds that of the fit without it; of a light row all is left out.
    own = 1.0 - alpha * np.einsum("ij,ij->j", inverse, inverse)
    left = 1.0 - np.minimum(counts, 1.0) / weight - own * np.minimum(1.0, 1.0 / counts)
    return _Trial.judge(alpha, factor, beta, alpha * beta / root, left, counts, weight)


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
    if not fine:
        return at
    below, here, above = error(max(at - 1.0, lowest)), error(at), error(min(at + 1.0, _HIGHEST))
    vertex = at + _vertex(below, here, above)
    if abs(vertex - at) < _NEARLY:
        return at
    # Equal errors go to the larger penalty.
    return min(sorted((max(vertex, lowest), at), reverse=True), key=error)


def _vertex(below: float, here: float, above: float) -> float:
    """Return where the parabola through the logarithms of errors at -1, 0, 1 is least, within half a unit of 0."""
    if not (0.0 < here < np.inf and 0.0 < below < np.inf and 0.0 < above < np.inf):
        return 0.5
    down, up = np.log(below / here), np.log(above / here)
    bend = down + up
    return float(np.clip(0.5 * (down - up) / bend, -0.5, 0.5)) if bend > 0.0 else 0.5
