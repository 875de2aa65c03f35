r"""A ridge regression as one symmetric system, and how its penalty is chosen.

With standardised columns, A = D^-1 C D^-1 / w their correlation matrix and B the products with the targets, either

.. math:: (A + \alpha I)\, x = D^{-1} B / w, \quad \beta = D^{-1} x
   \qquad\text{or}\qquad (K + \alpha I)\, x = Z, \quad \beta = D^{-1} H^T x ,

with K = H H' the products of the standardised rows (each times the root of its share of the weight): the first where
rows outnumber columns, the second where they do not. A *form* decomposes that matrix and tells, for each penalty of a
grid, fits, leverages and degrees of freedom; `choose` does the rest, the same for all forms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.statistics import Statistics

__all__ = ["ALPHAS", "FREEDOM_LIMIT", "LEAST_LEFT", "Chunk", "Form", "System", "choose", "of_rows", "of_statistics"]

Array = NDArray[Any]
Chunk = tuple[Array, Array, Array]

ALPHAS = np.logspace(-9.0, 3.0, 49)
FREEDOM_LIMIT = 0.9
# A row that keeps less than this of itself is interpolated up to rounding: its quotient means nothing.
LEAST_LEFT = 1e-12
# Numbers of projected rows in one block: 32 MB.
_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class System:
    """One of the two systems.

    Parameters
    ----------
    matrix : ndarray, (m, m)
        A or K; a form may overwrite it.
    right : ndarray, (m, q)
        Right-hand sides.
    by_rows : bool
        Whether it is the second one.
    columns : int
        Number of columns of the regression: the trace of the matrix.
    squares : ndarray, (q,)
        Weighted mean of the targets' squared deviations.
    observations : float
        How many the rows count for.
    row_mean, target_mean : ndarray
        (p,) and (q,).
    inverse_scale : ndarray, (p,)
        Reciprocal deviations (or norms) of columns, 0 for constant ones.
    back : callable
        From solutions x to coefficients.
    """

    matrix: Array
    right: Array
    by_rows: bool
    columns: int
    squares: Array
    observations: float
    row_mean: Array
    target_mean: Array
    inverse_scale: Array
    back: Callable[[Array], Array]


class Form(Protocol):
    """A decomposed system at the penalties of a grid."""

    def freedom(self) -> Array:
        """Return the trace of the hat matrix, (penalties,), without the intercept."""

    def residuals(self) -> Array:
        """Return weighted means of squared residuals, (penalties, outputs)."""

    def project(self, rows: Array | None) -> Array:
        """Return centred and weighted rows, (n, p), in the form's own basis; None stands for those of K."""

    def leverages(self, basis: Array) -> Array:
        """Return leverages, (n, penalties), of projected rows, without the intercept's."""

    def fits(self, basis: Array, output: int) -> Array:
        """Return fits of one output, (n, penalties), to projected rows."""

    def solution(self, chosen: Array) -> Array:
        """Return the system's solution, (m, outputs), each output at the penalty of that index."""


def _inverse_scale(scale: Array, least_spread: float) -> Array:
    """Return what columns are multiplied by; 0 for constant ones."""
    return np.divide(1.0, np.maximum(scale, least_spread), out=np.zeros_like(scale), where=scale > 0.0)


def of_statistics(statistics: Statistics, least_spread: float = 0.0) -> System:
    """Return the first system; columns of less deviation than `least_spread` count as if they had it."""
    inverse = _inverse_scale(statistics.column_scale(), least_spread)
    weight = statistics.weight
    matrix = statistics.scatter * (inverse / weight)
    matrix *= inverse[:, None]
    return System(
        matrix,
        statistics.cross * (inverse / weight)[:, None],
        False,
        inverse.size,
        statistics.target_scatter / weight,
        max(weight, float(statistics.count)),
        statistics.row_mean,
        statistics.target_mean,
        inverse,
        lambda x: x * inverse[:, None],
    )


def of_rows(rows: Array, targets: Array, weights: Array, least_spread: float = 0.0) -> tuple[System, list[Chunk]]:
    """Return the second system; and its targets and numbers of observations, with no rows before them."""
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
    inverse = _inverse_scale(scale, least_spread)
    h *= inverse
    observations = max(float(weights.sum()), float(weights.size))
    system = System(
        h @ h.T,
        z,
        True,
        inverse.size,
        np.einsum("ij,ij->j", z, z),
        observations,
        row_mean,
        targets[0] + target_shift,
        inverse,
        lambda x: (h.T @ x) * inverse[:, None],
    )
    return system, [(np.empty((0, 0)), z, observations * share)]


@dataclass(frozen=True, slots=True)
class Choice:
    """What `choose` found, for each output: index of the penalty, score, degrees of freedom, and 1 - leverage."""

    index: Array
    score: Array
    freedom: Array
    left: Array


def choose(
    form: Form, system: System, parts: Iterable[Chunk] | None, alphas: Array, *, per_output: bool, keep: bool
) -> Choice:
    """Choose penalties: by exact leave-one-out errors at the rows of `parts`, or by GCV where that is None.

    Parameters
    ----------
    form : Form
        Of the system, at these penalties.
    system : System
        What it is a form of.
    parts : iterable of tuple, optional
        Centred rows, targets (both times the root of their share of weight), and the observations each stands for.
    alphas : ndarray, (penalties,)
        Ascending.
    per_output : bool
        Whether each output gets its own.
    keep : bool
        Whether `Choice.left` is wanted, (n, outputs); else it is (1, outputs), of NaN under leave-one-out.
    """
    outputs = system.target_mean.size
    freedom = 1.0 + form.freedom()
    if parts is None:
        left = np.broadcast_to(1.0 - freedom / system.observations, (1, alphas.size))
        good = left[0][:, None] > LEAST_LEFT
        score = np.where(good, form.residuals() / np.where(good, left[0][:, None], 1.0) ** 2, np.inf)
    else:
        score, left = _press(form, system, parts, alphas.size, keep=keep)
    allowed = freedom[:, None] <= FREEDOM_LIMIT * system.observations
    judged = np.where(allowed, score, np.inf)
    if not per_output:
        judged = np.repeat(judged.sum(axis=1, keepdims=True), outputs, axis=1)
    # From the largest penalty down, so that ties (and a column of infinities) choose it.
    index = alphas.size - 1 - np.argmin(judged[::-1], axis=0)
    return Choice(index, score[index, np.arange(outputs)], freedom[index], left[:, index])


def _press(form: Form, system: System, parts: Iterable[Chunk], penalties: int, *, keep: bool) -> tuple[Array, Array]:
    """Return the leave-one-out scores, (penalties, outputs), and 1 - leverage, (n, penalties) if kept."""
    outputs = system.target_mean.size
    score = np.zeros((penalties, outputs))
    kept = [] if keep else [np.full((1, penalties), np.nan)]
    for rows, targets, counts in parts:
        basis = form.project(None if system.by_rows else rows)
        step = max(1, _BLOCK // max(1, basis.shape[1]))
        for start in range(0, basis.shape[0], step):
            p, count = basis[start : start + step], counts[start : start + step, None]
            # Of a row that weighs less than one observation all is left out, of one that weighs more only one.
            left = form.leverages(p)
            left *= np.minimum(1.0, 1.0 / count)
            left += np.minimum(1.0, count) / system.observations
            np.subtract(1.0, left, out=left)
            # A row that is interpolated has no error without itself: the penalty is out of the question.
            inverse = np.divide(1.0, left, out=np.full_like(left, np.nan), where=left > LEAST_LEFT)
            for j in range(outputs):
                error = form.fits(p, j)
                np.subtract(targets[start : start + step, j, None], error, out=error)
                error *= inverse
                score[:, j] += np.einsum("ij,ij->j", error, error)
            if keep:
                kept.append(left)
    return np.where(np.isnan(score), np.inf, score), np.concatenate(kept)
