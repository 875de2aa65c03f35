r"""The readout of images in several moved copies: ridge regression whose penalty leaves out all copies at once.

A fit without an image knows it nearly as well as before if its copies stay, so errors of rows left out one by one say
nothing. Here a whole block of rows goes, the K copies of one image, each with 1/K of its weight. With columns
standardised to deviation 1, A = V S V' their correlation matrix, w the total weight, P = H V, and an image that weighs
at least one observation, the errors of the fit without one observation of it are exactly

.. math:: (I - M)^{-1} E, \qquad M = \frac{1}{K w} \bigl(1 1^T + P_B (S + \alpha I)^{-1} P_B^T\bigr)

(means, deviations and the penalty are those of the whole). What counts is the error of the first copy, the image
itself, for it is such that come later.

Networks whose mean is taken get one penalty together, by the errors of the mean: it is lower than that of each alone,
for what varies between them cancels.

Cost, n images, p columns, q outputs: 9 p^3 flops for eigenvalues, 4 n K p^2 for products and projections, and
2 n K p (K + q) for each penalty that is tried; 24 n K p bytes.

References: D. M. Allen, "The relationship between variable selection and data augmentation and a method for
prediction", Technometrics 16 (1974); B. Schölkopf, C. Burges, V. Vapnik, "Incorporating invariances in support vector
learning machines", ICANN 1996 (virtual examples).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.margins import surplus
from stridiag.nn.operations import statistics_operations
from stridiag.nn.readout import LEAST_SPREAD, Readout
from stridiag.nn.ridge_forms import of_statistics
from stridiag.nn.statistics import Statistics

__all__ = ["ALPHAS", "CopiesFit", "choose_together", "copies_operations", "fit_copies"]

Array = NDArray[Any]

# What is tried; beyond, nothing is gained on images (docs/theory/images.md).
ALPHAS = 10.0 ** np.arange(-4.0, 0.25, 0.5)


class CopiesFit(NamedTuple):
    """Ridge regressions of images and their copies at some penalties.

    Parameters
    ----------
    alphas : ndarray, (penalties,)
        Per unit of weight, on standardised columns.
    coefficients, intercepts : ndarray, (penalties, p, q) and (penalties, q)
        In the units of the columns.
    freedom : ndarray, (penalties,)
        Traces of the hat matrices, the intercept included.
    left_out : ndarray, (penalties, n, q)
        What the fit without an image and its copies says of the image.
    """

    alphas: Array
    coefficients: Array
    intercepts: Array
    freedom: Array
    left_out: Array

    def readout(self, place: int, score: Array) -> Readout:
        """Return the readout at the penalty of that index, of which a score (q,) is told."""
        outputs = score.size
        return Readout(
            self.coefficients[place],
            self.intercepts[place],
            np.full(outputs, self.alphas[place]),
            np.full(outputs, self.freedom[place]),
            score,
            "loo",
            np.ones(outputs),
        )


def fit_copies(rows: Array, targets: Array, weights: Array, alphas: Array) -> CopiesFit:
    """Solve the ridge regressions of images and their copies.

    Parameters
    ----------
    rows : ndarray, (n, K, p)
        Features of each image, and of its copies.
    targets : ndarray, (n, q)
        The same for an image and its copies.
    weights : ndarray, (n,)
        Numbers of observations, of mean at least 1.
    alphas : ndarray, (penalties,)
        More than 0.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn.copies_readout import fit_copies
    >>> H = np.random.default_rng(0).standard_normal((60, 1, 3)) + np.zeros((60, 2, 1))
    >>> fit = fit_copies(H, H[:, 0] @ [[1.0], [2.0], [3.0]], np.ones(60), np.array([1e-9]))
    >>> fit.coefficients.ravel().round(3)
    array([1., 2., 3.])
    """
    count, copies, columns = rows.shape
    flat = np.asarray(rows, np.float64).reshape(-1, columns)
    share = np.repeat(weights / copies, copies)
    statistics = Statistics.from_rows(flat, np.repeat(targets, copies, axis=0), share)
    system = of_statistics(statistics, LEAST_SPREAD)
    squares, vectors = np.linalg.eigh(system.matrix)
    # Rounding may leave an eigenvalue of 0 below it.
    squares = np.maximum(squares, 0.0)
    along = vectors.T @ system.right
    onto = system.inverse_scale[:, None] * vectors
    basis = ((flat - system.row_mean) @ onto).reshape(count, copies, columns)
    # Of an image that weighs less than one observation all is left out, of one that weighs more only one.
    one = (np.minimum(1.0, weights) / (copies * statistics.weight))[:, None, None]
    centred = (targets - system.target_mean)[:, None]
    coefficients, freedom, left_out = [], [], []
    for alpha in alphas:
        solution = along / (squares + alpha)[:, None]
        hat = (1.0 + (basis / (squares + alpha)) @ np.swapaxes(basis, 1, 2)) * one
        errors = np.linalg.solve(np.eye(copies) - hat, centred - basis @ solution)[:, 0]
        left_out.append(targets - errors)
        coefficients.append(onto @ solution)
        freedom.append(1.0 + float((squares / (squares + alpha)).sum()))
    made = np.stack(coefficients)
    return CopiesFit(alphas, made, system.target_mean - system.row_mean @ made, np.array(freedom), np.stack(left_out))


def choose_together(
    fits: Sequence[CopiesFit], targets: Array, weights: Array, *, classification: bool
) -> tuple[list[Readout], Array]:
    """Choose the penalty that is best for the mean of some fits: one network alone would want a larger one.

    Parameters
    ----------
    fits : sequence of CopiesFit
        At the same penalties, for the same images.
    targets : ndarray, (n, q)
        Standardised.
    weights : ndarray, (n,)
        Numbers of observations.
    classification : bool
        Whether scores beyond indicators of classes are no error.

    Returns
    -------
    list of Readout
        One for each fit; their score is that of the mean.
    ndarray, (n, q)
        What the mean of the fits says of images without them.
    """
    said = np.mean([fit.left_out for fit in fits], axis=0)
    errors = said - targets
    if classification:
        errors -= [surplus(scores, targets) for scores in said]
    scores = np.einsum("n,anq->aq", weights / weights.sum(), np.square(errors))
    # From the largest penalty down, so that ties choose it.
    place = scores.shape[0] - 1 - int(np.argmin(scores.sum(axis=1)[::-1]))
    return [fit.readout(place, scores[place]) for fit in fits], said[place]


def copies_operations(shape: tuple[int, int, int], outputs: int, penalties: int) -> int:
    """Return the operations of `fit_copies` for rows of a shape (n, K, p) and so many penalties."""
    count, copies, columns = shape
    rows = count * copies
    return (
        9 * columns**3
        + statistics_operations(rows, columns, outputs)
        + 2 * rows * columns**2
        + 2 * rows * columns * (copies + outputs) * penalties
    )
