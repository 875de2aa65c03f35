r"""The readout: ridge regression on standardised columns, its penalty by leaving one row out.

With columns standardised to deviation 1 and per unit of weight, A = D^-1 C D^-1 / w is their correlation
matrix and

.. math:: \beta = (A + \alpha I)^{-1} D^{-1} B / w .

One eigendecomposition A = V S V' serves all penalties of a grid of quarter decades. Let P be the left singular
vectors of the standardised rows, each row times the root of its share of the weight, and u = P' Z the targets'
coordinates along them. Degrees of freedom (intercept included) and residuals are

.. math:: \nu(\alpha) = 1 + \sum_k \frac{s_k}{s_k + \alpha}, \qquad
          E(\alpha) = Z - P\, \frac{s}{s + \alpha}\, u .

**Leave-one-out** ("loo", PRESS) needs the rows: the error at each of them of the fit without it, exactly,

.. math:: \mathrm{PRESS}(\alpha) = \sum_i \frac{d_i}{w} \Bigl(\frac{e_i}{1 - h_i}\Bigr)^2, \qquad
          h_i = \frac1w + \frac{1}{d_i} \sum_k \frac{s_k}{s_k + \alpha} P_{ik}^2 ,

with h_i the leverage of one observation: a row of weight 2 is two of them, and leaves one behind; of a row that
weighs less than one observation all is left out. ("Without it" keeps means, deviations of columns and the penalty
n alpha of the whole.) Where rows outnumber columns, P = H_std V S^-1/2 takes a second pass over the rows.

**Generalised cross-validation** ("gcv") needs statistics only: every h_i is replaced by their mean nu / n. Rows far
out, which in truth decide their own fit, then seem to be predicted well: on heavy-tailed columns, or columns of few
levels, it chooses penalties that are too small by orders of magnitude. Prefer "loo" wherever there are rows.

Under both, penalties with nu > 0.9 n are not considered: nearer to interpolation both sides of the quotients
vanish, and pairs of duplicate rows decide. Where even the largest exceeds that, it is taken. Equal scores go to the
larger penalty. Where rows are fewer than columns, P comes from the n x n matrix of the rows' products: same answer,
less work.

Cost: about 9 m^3 flops for the eigendecomposition, m the smaller of rows and columns; "loo" adds 2 N m (49 (q + 1))
for q outputs, and 2 N p^2 where rows outnumber columns.

References: D. M. Allen, "The relationship between variable selection and data augmentation and a method for
prediction", Technometrics 16 (1974) (PRESS); G. H. Golub, M. Heath, G. Wahba, "Generalized cross-validation as a
method for choosing a good ridge parameter", Technometrics 21 (1979).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.options import check_penalty
from stridiag.nn.statistics import Statistics
from stridiag.nn.storage import storable

__all__ = [
    "CRITERIA",
    "LEAST_LEFT",
    "Criterion",
    "Penalty",
    "Readout",
    "Solved",
    "ridge",
    "ridge_from_rows",
    "solve_ridge",
]

Array = NDArray[Any]
Criterion = Literal["loo", "gcv"]
Penalty = float | Criterion
Chunk = tuple[Array, Array, Array]

CRITERIA = ("loo", "gcv")
ALPHAS = np.logspace(-9.0, 3.0, 49)
FREEDOM_LIMIT = 0.9
# A row that keeps less than this of itself is interpolated up to rounding: its quotient means nothing.
LEAST_LEFT = 1e-12
# Numbers of P in one block: 32 MB.
_BLOCK = 1 << 22


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Readout:
    """A fitted linear map: outputs are ``(H @ coefficients + intercept) * unit``.

    Parameters
    ----------
    coefficients : ndarray, (p, q)
        In the units of the columns; 0 for constant columns.
    intercept : ndarray, (q,)
        Not penalised.
    alpha : ndarray, (q,)
        Penalty used for each output, per unit of weight on standardised columns.
    degrees_of_freedom : ndarray, (q,)
        Trace of the hat matrix at that penalty, the intercept included.
    score : ndarray, (q,)
        An estimate of the mean squared error on new rows at that penalty. Infinite where the fit interpolates,
        or where squares of the targets are outside the number range.
    criterion : {"loo", "gcv"}
        What `score` is: "loo", the exact mean of squared leave-one-out errors, or "gcv", the generalised
        cross-validation score, which is too low where leverages differ.
    unit : ndarray, (q,)
        1, or a power of two for targets near the ends of the number range, where coefficients would leave it.
    """

    coefficients: Array
    intercept: Array
    alpha: Array
    degrees_of_freedom: Array
    score: Array
    criterion: Criterion
    unit: Array = field(default_factory=lambda: np.ones(1))

    def apply(self, rows: Array) -> Array:
        """Return the outputs for rows of features, (n, q); they stop at the largest number."""
        largest = np.finfo(np.float64).max / np.maximum(self.unit, 1.0)
        result = rows @ self.coefficients
        result += self.intercept
        np.clip(result, -largest, largest, out=result)
        result *= self.unit
        return np.asarray(result)


class Solved(NamedTuple):
    """A readout, and what each observation leaves of its own residual: 1 - leverage, (n, q) or (1, q)."""

    readout: Readout
    left: Array


@dataclass(frozen=True, slots=True)
class _Spectrum:
    """Squared singular values, the targets' coordinates, and the way back to coefficients."""

    squares: Array
    coordinates: Array
    outside: Array
    observations: float
    row_mean: Array
    target_mean: Array
    back: Callable[[Array], Array]


# Rows of P, of the targets (both times the root of their share of weight), and the observations each row stands for.
_Parts = Iterable[Chunk]


def ridge(statistics: Statistics, alpha: Penalty = "gcv", *, per_output: bool = False) -> Readout:
    """Solve the ridge regression that some statistics define.

    Without rows there is no exact leave-one-out error: see `ridge_from_rows` where they are at hand.

    Parameters
    ----------
    statistics : Statistics
        Of the rows and targets.
    alpha : float or "gcv", default "gcv"
        Penalty per unit of weight on standardised columns, at least 0 (0: least squares of minimum norm). "gcv"
        chooses by generalised cross-validation, which is unsafe where few rows lie far out.
    per_output : bool, default False
        Choose a penalty for each output instead of one for the sum of their scores.

    Returns
    -------
    Readout
        Of criterion "gcv". The number of observations is the total weight or the number of rows, whichever is
        more.

    Raises
    ------
    ValueError
        If `alpha` is neither "gcv" nor a finite number of at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Statistics, ridge
    >>> H = np.random.default_rng(0).standard_normal((200, 3))
    >>> ridge(Statistics.from_rows(H, H @ [1.0, 2.0, 3.0] + 4), 0.0).coefficients.ravel().round(10)
    array([1., 2., 3.])
    """
    if isinstance(alpha, str) and alpha == "loo":
        raise ValueError("alpha must be 'gcv' or a number for statistics: 'loo' needs rows, see ridge_from_rows")
    check_penalty(alpha, ("gcv",))
    spectrum, _ = _of_statistics(statistics)
    return _solve(spectrum, None, alpha, per_output, keep=False).readout


def ridge_from_rows(
    rows: Array, targets: Array, weights: Array, alpha: Penalty = "loo", *, per_output: bool = False
) -> Readout:
    """Solve the ridge regression of some rows, through the smaller of its two forms.

    Parameters
    ----------
    rows : ndarray, (n, p)
        float64.
    targets : ndarray, (n, q)
        float64.
    weights : ndarray, (n,)
        Nonnegative, not all zero. A row of weight 2 counts as two rows; weights of mean below 1 as one row each,
        on average.
    alpha : float, "loo" or "gcv", default "loo"
        Penalty per unit of weight on standardised columns, at least 0. "loo" chooses by exact leave-one-out
        errors, "gcv" by generalised cross-validation.
    per_output : bool, default False
        Choose a penalty for each output instead of one for the sum of their scores.

    Returns
    -------
    Readout
        Of criterion "gcv" if that is the `alpha`, else "loo".

    Raises
    ------
    ValueError
        If `alpha` is neither of these.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import ridge_from_rows
    >>> H = np.random.default_rng(0).standard_normal((200, 3))
    >>> fit = ridge_from_rows(H, H @ [[1.0], [2.0], [3.0]] + 4, np.ones(200))
    >>> fit.criterion, bool(fit.score[0] < 1e-12)
    ('loo', True)
    """
    some = weights > 0.0
    if not some.all():
        rows, targets, weights = rows[some], targets[some], weights[some]

    def read() -> Iterator[Chunk]:
        yield rows, targets, weights

    return solve_ridge(read, rows.shape, alpha, per_output=per_output).readout


def solve_ridge(
    read: Callable[[], Iterable[Chunk]],
    shape: tuple[int, int],
    alpha: Penalty,
    *,
    per_output: bool = False,
    keep: bool = False,
) -> Solved:
    """Solve the ridge regression of chunks of rows that can be read twice.

    Parameters
    ----------
    read : callable
        Returns ``(rows, targets, weights)`` chunks, weights positive, the same ones in each call. It is called
        once where rows are no more than columns (all in memory at a time) or the penalty is by "gcv".
    shape : tuple of int
        Number of rows and of columns.
    alpha, per_output
        As for `ridge_from_rows`.
    keep : bool, default False
        Whether `Solved.left` is wanted; (1, q) of NaN otherwise.
    """
    check_penalty(alpha, CRITERIA)
    if shape[0] <= shape[1]:
        chunks = [np.concatenate(parts) for parts in zip(*read(), strict=True)]
        spectrum, parts = _of_rows(*chunks)
        return _solve(spectrum, parts, alpha, per_output, keep=keep)
    statistics = Statistics.from_chunks(read())
    spectrum, onto = _of_statistics(statistics)
    return _solve(spectrum, _project(read, statistics, onto, spectrum.observations), alpha, per_output, keep=keep)


def _of_statistics(statistics: Statistics) -> tuple[_Spectrum, Array]:
    """Return the spectrum and the map V S^-1/2 from centred rows to rows of P."""
    scale = statistics.column_scale()
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    weight = statistics.weight
    squares, vectors = np.linalg.eigh(statistics.scatter * (inverse / weight) * inverse[:, None])
    # A correlation matrix is known to about eps times its trace.
    keep = squares > 4 * np.finfo(np.float64).eps * max(1, scale.size)
    squares, vectors = squares[keep], vectors[:, keep] * inverse[:, None]
    coordinates = vectors.T @ (statistics.cross / weight) / np.sqrt(squares)[:, None]
    outside = statistics.target_scatter / weight - (coordinates**2).sum(axis=0)
    spectrum = _Spectrum(
        squares,
        coordinates,
        np.maximum(outside, 0.0),
        max(weight, float(statistics.count)),
        statistics.row_mean,
        statistics.target_mean,
        lambda c: vectors @ (np.sqrt(squares)[:, None] * c),
    )
    return spectrum, vectors / np.sqrt(squares)


def _of_rows(rows: Array, targets: Array, weights: Array) -> tuple[_Spectrum, _Parts]:
    share = weights / weights.max()
    share /= share.sum()
    # Deviations from the first row: exactly 0 in a constant column, where those from a rounded mean are not.
    h, z = rows - rows[0], targets - targets[0]
    row_shift, target_shift = share @ h, share @ z
    root = np.sqrt(share)[:, None]
    h -= row_shift
    h *= root
    z -= target_shift
    z *= root
    row_mean = rows[0] + row_shift
    scale = np.sqrt(np.einsum("ij,ij->j", h, h))
    scale[~(scale > 64 * np.finfo(np.float64).eps * np.abs(row_mean))] = 0.0
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    h *= inverse
    squares, vectors = np.linalg.eigh(h @ h.T)
    keep = squares > 4 * np.finfo(np.float64).eps * max(1, scale.size)
    squares, vectors = squares[keep], vectors[:, keep]
    coordinates = vectors.T @ z
    outside = np.einsum("ij,ij->j", z, z) - (coordinates**2).sum(axis=0)
    observations = max(float(weights.sum()), float(weights.size))
    spectrum = _Spectrum(
        squares,
        coordinates,
        np.maximum(outside, 0.0),
        observations,
        row_mean,
        targets[0] + target_shift,
        lambda c: (h.T @ (vectors @ c)) * inverse[:, None],
    )
    return spectrum, [(vectors, z, observations * share)]


def _project(
    read: Callable[[], Iterable[Chunk]], statistics: Statistics, onto: Array, observations: float
) -> Iterator[Chunk]:
    for rows, targets, weights in read():
        share = weights / statistics.weight
        root = np.sqrt(share)[:, None]
        h = rows - statistics.row_mean
        h *= root
        yield h @ onto, (targets - statistics.target_mean) * root, observations * share


def _solve(spectrum: _Spectrum, parts: _Parts | None, alpha: Penalty, per_output: bool, *, keep: bool) -> Solved:
    outputs = spectrum.target_mean.size
    alphas = ALPHAS if isinstance(alpha, str) else np.array([float(alpha)])
    observations = spectrum.observations
    shrink = spectrum.squares / (spectrum.squares + alphas[:, None])
    freedom = 1.0 + shrink.sum(axis=1)
    if parts is None or alpha == "gcv":
        criterion: Criterion = "gcv"
        left = np.broadcast_to(1.0 - freedom / observations, (1, alphas.size))
        score = _gcv(spectrum, shrink, left[0])
    else:
        criterion = "loo"
        score, left = _press(spectrum, parts, shrink, keep=keep)
    allowed = freedom[:, None] <= FREEDOM_LIMIT * observations
    judged = np.where(allowed, score, np.inf)
    if not per_output:
        judged = np.repeat(judged.sum(axis=1, keepdims=True), outputs, axis=1)
    # From the largest penalty down, so that ties (and a column of infinities) choose it.
    chosen = alphas.size - 1 - np.argmin(judged[::-1], axis=0)
    s = spectrum.squares[:, None]
    coefficients = spectrum.back(spectrum.coordinates / (s + alphas[chosen]))
    readout = Readout(
        coefficients,
        spectrum.target_mean - spectrum.row_mean @ coefficients,
        alphas[chosen],
        freedom[chosen],
        score[chosen, np.arange(outputs)],
        criterion,
        np.ones(outputs),
    )
    return Solved(readout, left[:, chosen])


def _gcv(spectrum: _Spectrum, shrink: Array, left: Array) -> Array:
    """Return the generalised cross-validation scores, (penalties, outputs)."""
    residual = (1.0 - shrink) ** 2 @ spectrum.coordinates**2 + spectrum.outside
    good = left[:, None] > LEAST_LEFT
    return np.where(good, residual / np.where(good, left[:, None], 1.0) ** 2, np.inf)


def _press(spectrum: _Spectrum, parts: _Parts, shrink: Array, *, keep: bool) -> tuple[Array, Array]:
    """Return the leave-one-out scores, (penalties, outputs), and 1 - leverage, (n, penalties) if kept."""
    outputs = spectrum.target_mean.size
    score = np.zeros((shrink.shape[0], outputs))
    kept = [] if keep else [np.full((1, shrink.shape[0]), np.nan)]
    for basis, targets, counts in parts:
        step = max(1, _BLOCK // max(1, basis.shape[1]))
        for start in range(0, basis.shape[0], step):
            p, count = basis[start : start + step], counts[start : start + step, None]
            # Of a row that weighs less than one observation all is left out, of one that weighs more only one.
            left = (p * p) @ shrink.T
            left *= np.minimum(1.0, 1.0 / count)
            left += np.minimum(1.0, count) / spectrum.observations
            np.subtract(1.0, left, out=left)
            # A row that is interpolated has no error without itself: the penalty is out of the question.
            inverse = np.divide(1.0, left, out=np.full_like(left, np.nan), where=left > LEAST_LEFT)
            for j in range(outputs):
                error = p @ (shrink * spectrum.coordinates[:, j]).T
                np.subtract(targets[start : start + step, j, None], error, out=error)
                error *= inverse
                score[:, j] += np.einsum("ij,ij->j", error, error)
            if keep:
                kept.append(left)
    return np.where(np.isnan(score), np.inf, score), np.concatenate(kept)
