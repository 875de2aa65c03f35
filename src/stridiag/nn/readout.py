r"""The readout: ridge regression on standardised columns, its penalty by leaving one row out.

With columns standardised to deviation 1 and per unit of weight, A = D^-1 C D^-1 / w is their correlation
matrix and

.. math:: \beta = (A + \alpha I)^{-1} D^{-1} B / w .

One decomposition serves all penalties of a grid of quarter decades: eigenvalues A = V S V' up to 500 columns or
rows, whichever are fewer, a tridiagonal matrix A = Q T Q' beyond (the same numbers in half the time); one penalty
that is given takes one Cholesky factor (see `eigen_ridge`, `tridiagonal_ridge`, `cholesky_ridge`). Let P be the left
singular vectors of the standardised rows, each row times the root of its share of the weight, and u = P' Z the
targets' coordinates along them. Degrees of freedom (intercept included) and residuals are

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

Cost, m the smaller of rows and columns: about 9 m^3 flops for eigenvalues, 4/3 m^3 for a tridiagonal matrix (as long
as five Cholesky factors and their inverses), 2/3 m^3 for one penalty; "loo" adds 2 N m (49 (q + 1)) for q outputs,
and 2 N p^2 where rows outnumber columns (N p^2 for one penalty).

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

from stridiag.errors import StructureError
from stridiag.nn.cholesky_ridge import CholeskyForm
from stridiag.nn.eigen_ridge import EigenForm
from stridiag.nn.options import check_penalty
from stridiag.nn.parts import require_array
from stridiag.nn.ridge_forms import (
    ALPHAS,
    FREEDOM_LIMIT,
    LEAST_LEFT,
    Chunk,
    Form,
    System,
    choose,
    of_rows,
    of_statistics,
)
from stridiag.nn.statistics import Statistics
from stridiag.nn.storage import storable
from stridiag.nn.tridiagonal_ridge import TridiagonalForm

__all__ = [
    "ALPHAS",
    "CRITERIA",
    "FREEDOM_LIMIT",
    "LEAST_LEFT",
    "LEAST_SPREAD",
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

CRITERIA = ("loo", "gcv")
# Hidden values are of order 1: what varies less than this is as good as dead.
LEAST_SPREAD = 0.01
# Up to this many rows or columns, whichever is less, by eigenvalues; beyond, by what is faster.
EIGEN_LIMIT = 500


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
    criterion : {"loo", "gcv", "holdout"}
        What `score` is: "loo", the exact mean of squared leave-one-out errors, "gcv", the generalised
        cross-validation score, which is too low where leverages differ, or "holdout", the mean on rows that were
        left out (see `large_readout`).
    unit : ndarray, (q,)
        1, or a power of two for targets near the ends of the number range, where coefficients would leave it.
    """

    coefficients: Array
    intercept: Array
    alpha: Array
    degrees_of_freedom: Array
    score: Array
    criterion: Criterion | Literal["holdout"]
    unit: Array = field(default_factory=lambda: np.ones(1))

    def __post_init__(self) -> None:
        if self.coefficients.ndim != 2:
            raise StructureError(f"coefficients must be (columns, outputs), got {self.coefficients.shape}")
        require_array(self.coefficients, "coefficients", self.coefficients.shape)
        outputs = self.coefficients.shape[1]
        require_array(self.intercept, "intercept", (outputs,))
        # What only tells of the fit may be of a larger one.
        for name in ("alpha", "degrees_of_freedom", "score"):
            require_array(getattr(self, name), name, (getattr(self, name).size,))
        require_array(self.unit, "unit", (1 if self.unit.shape == (1,) else outputs,))

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


def ridge(
    statistics: Statistics, alpha: Penalty = "gcv", *, per_output: bool = False, least_spread: float = 0.0
) -> Readout:
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
    least_spread : float, default 0.0
        Columns of less deviation count as if they had it. A unit that is almost dead, 1e-9 at one row and 0 at the
        others, would else be scaled up without bound, and speak loudly where there were no rows.

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
    return _solve(of_statistics(statistics, least_spread), None, "gcv", alpha, per_output, keep=False).readout


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
    least_spread: float = 0.0,
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
    least_spread : float, default 0.0
        As for `ridge`.
    """
    check_penalty(alpha, CRITERIA)
    criterion: Criterion = "gcv" if alpha == "gcv" else "loo"
    parts: Iterable[Chunk] | None
    if shape[0] <= shape[1]:
        rows, targets, weights = (np.concatenate(parts) for parts in zip(*read(), strict=True))
        system, parts = of_rows(rows, targets, weights, least_spread=least_spread)
    else:
        statistics = Statistics.from_chunks(read())
        system = of_statistics(statistics, least_spread)
        parts = _centred(read, statistics, system.observations)
    return _solve(system, None if criterion == "gcv" else parts, criterion, alpha, per_output, keep=keep)


def _centred(read: Callable[[], Iterable[Chunk]], statistics: Statistics, observations: float) -> Iterator[Chunk]:
    for rows, targets, weights in read():
        share = weights / statistics.weight
        root = np.sqrt(share)[:, None]
        h = rows - statistics.row_mean
        h *= root
        yield h, (targets - statistics.target_mean) * root, observations * share


def _solve(
    system: System,
    parts: Iterable[Chunk] | None,
    criterion: Criterion,
    alpha: Penalty,
    per_output: bool,
    *,
    keep: bool,
) -> Solved:
    alphas = ALPHAS if isinstance(alpha, str) else np.array([float(alpha)])
    form = _form(system, alphas)
    choice = choose(form, system, parts, alphas, per_output=per_output, keep=keep)
    coefficients = system.back(form.solution(choice.index))
    readout = Readout(
        coefficients,
        system.target_mean - system.row_mean @ coefficients,
        alphas[choice.index],
        choice.freedom,
        choice.score,
        criterion,
        np.ones(system.target_mean.size),
    )
    return Solved(readout, choice.left)


def _form(system: System, alphas: Array) -> Form:
    """Return the cheapest decomposition that is safe at these penalties."""
    # A matrix is known to eps times its trace; nearer to 0 than this, only eigenvalues tell rounding from numbers.
    safe = alphas.min() > 8 * np.finfo(np.float64).eps * max(1, system.columns)
    if system.matrix.shape[0] <= EIGEN_LIMIT or not safe:
        return EigenForm(system, alphas)
    return CholeskyForm(system, alphas) if alphas.size == 1 else TridiagonalForm(system, alphas)
