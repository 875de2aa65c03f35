r"""The readout of images in several moved copies: ridge regression whose penalty leaves out all copies at once.

A fit without an image knows it nearly as well as before if its copies stay, so errors of rows left out one by one say
nothing. Here a whole block of rows goes, the K copies of one image, each with 1/K of its weight. With columns
standardised to deviation 1, A = V S V' their correlation matrix, w the total weight, P = H V, and an image that weighs
at least one observation, the errors of the fit without one observation of it are exactly

.. math:: (I - M)^{-1} E, \qquad M = \frac{1}{K w} \bigl(1 1^T + P_B (S + \alpha I)^{-1} P_B^T\bigr)

(means, deviations and the penalty are those of the whole). What counts is the error of the first copy, the image
itself, for it is such that come later.

Cost, n images, p columns, q outputs: 9 p^3 flops for eigenvalues, 4 n K p^2 for products and projections, and
2 n K p (K + q) for each penalty that is tried: a walk over half decades, four or five of them; 24 n K p bytes.

References: D. M. Allen, "The relationship between variable selection and data augmentation and a method for
prediction", Technometrics 16 (1974); B. Schölkopf, C. Burges, V. Vapnik, "Incorporating invariances in support vector
learning machines", ICANN 1996 (virtual examples).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.operations import statistics_operations
from stridiag.nn.readout import LEAST_SPREAD, Readout
from stridiag.nn.ridge_forms import of_statistics
from stridiag.nn.statistics import Statistics

__all__ = ["SolvedCopies", "copies_operations", "solve_copies"]

Array = NDArray[Any]

# Half decades, walked from 1e-3.
_ALPHAS = 10.0 ** np.arange(-6.0, 1.5, 0.5)
_START = 6


class SolvedCopies(NamedTuple):
    """A readout, and what it would say of each image without it and its copies, (n, q)."""

    readout: Readout
    left_out: Array


def solve_copies(rows: Array, targets: Array, weights: Array, alpha: float | None) -> SolvedCopies:
    """Solve the ridge regression of images and their copies.

    Parameters
    ----------
    rows : ndarray, (n, K, p)
        Features of each image, and of its copies.
    targets : ndarray, (n, q)
        The same for an image and its copies.
    weights : ndarray, (n,)
        Numbers of observations, of mean at least 1.
    alpha : float or None
        Penalty per unit of weight on standardised columns; None chooses it.

    Returns
    -------
    SolvedCopies
        The readout is of criterion "loo".

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn.copies_readout import solve_copies
    >>> H = np.random.default_rng(0).standard_normal((60, 1, 3)) + np.zeros((60, 2, 1))
    >>> solve_copies(H, H[:, 0] @ [[1.0], [2.0], [3.0]], np.ones(60), 1e-9).readout.coefficients.ravel().round(3)
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
    basis = ((flat - system.row_mean) @ (system.inverse_scale[:, None] * vectors)).reshape(count, copies, columns)
    # Of an image that weighs less than one observation all is left out, of one that weighs more only one.
    left_out = (np.minimum(1.0, weights) / (copies * statistics.weight))[:, None, None]
    centred = (targets - system.target_mean)[:, None]
    tried: dict[float, Array] = {}

    def errors(penalty: float) -> Array:
        if penalty not in tried:
            hat = (1.0 + (basis / (squares + penalty)) @ np.swapaxes(basis, 1, 2)) * left_out
            residual = centred - basis @ (along / (squares + penalty)[:, None])
            tried[penalty] = np.linalg.solve(np.eye(copies) - hat, residual)[:, 0]
        return tried[penalty]

    def score(place: int) -> float:
        return float((weights @ np.square(errors(float(_ALPHAS[place])))).sum())

    if alpha is None:
        best = _START
        # Ties go to the larger penalty.
        for step in (-1, 1):
            while 0 <= best + step < _ALPHAS.size and (
                score(best + step) < score(best) or (step > 0 and score(best + step) <= score(best))
            ):
                best += step
        alpha = float(_ALPHAS[best])
    coefficients = system.back(vectors @ (along / (squares + alpha)[:, None]))
    outputs = targets.shape[1]
    readout = Readout(
        coefficients,
        system.target_mean - system.row_mean @ coefficients,
        np.full(outputs, alpha),
        np.full(outputs, 1.0 + float((squares / (squares + alpha)).sum())),
        weights @ np.square(errors(alpha)) / statistics.weight,
        "loo",
        np.ones(outputs),
    )
    return SolvedCopies(readout, targets - errors(alpha))


def copies_operations(shape: tuple[int, int, int], outputs: int, penalties: int) -> int:
    """Return the operations of `solve_copies` for rows of a shape (n, K, p) and so many penalties."""
    count, copies, columns = shape
    rows = count * copies
    return (
        9 * columns**3
        + statistics_operations(rows, columns, outputs)
        + 2 * rows * columns**2
        + 2 * rows * columns * (copies + outputs) * penalties
    )
