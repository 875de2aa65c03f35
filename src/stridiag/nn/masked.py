r"""Masked least squares: the values of a structured layer, one small ridge problem per neuron.

Neuron j may read the columns S (its row of the structure). With centred statistics C, B (see `statistics`),

.. math:: w_j = (C[S, S] + \lambda\, w\, D_S^2)^{-1} B[S, j], \qquad b_j = \bar z_j - w_j^T \bar h_S,

where w is the total weight and D the columns' standard deviations: the penalty is one on standardised
columns, so it does not depend on their units; the bias is not penalised. This is exactly ridge regression
with all other entries of the row held at zero. Neurons are grouped by the size k of their support and solved
as batches.

Cost: k^3 / 3 + 3 k^2 flops a neuron, after the statistics.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_index
from stridiag.errors import StructureError
from stridiag.nn.options import check_penalty
from stridiag.nn.statistics import Statistics
from stridiag.structure import Structure

__all__ = ["masked_least_squares"]

Array = NDArray[Any]

# Numbers in one batch of small matrices: 32 MB.
_BATCH = 1 << 22


def masked_least_squares(
    statistics: Statistics, structure: Structure, alpha: float, source: ArrayLike | None = None
) -> tuple[Array, Array]:
    """Return the values and biases of a structured layer by one ridge regression per row.

    Parameters
    ----------
    statistics : Statistics
        Of the layer's inputs (p columns) and its target pre-activations (as many as `structure` has rows).
    structure : Structure
        Where the weights are; p columns, or as many as `source` has entries.
    alpha : float
        Penalty per unit of weight on standardised columns; 0 gives plain least squares, of minimum norm (of
        the standardised coefficients) where a support is linearly dependent.
    source : array_like of int, optional
        Which input each column of the structure reads.

    Returns
    -------
    values : ndarray, (structure.nnz,)
        By slot.
    bias : ndarray, (rows,)

    Raises
    ------
    StructureError
        If shapes do not match, or `source` holds anything but indices of columns.
    ValueError
        If `alpha` is not a finite number of at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag import StridiagMatrix
    >>> from stridiag.nn import Statistics, masked_least_squares, wrapped_structure
    >>> H = np.random.default_rng(0).standard_normal((50, 4))
    >>> S = wrapped_structure((4, 4), (0, 1))
    >>> Z = H @ StridiagMatrix(S, np.arange(1.0, 9.0)).toarray().T + 3
    >>> values, bias = masked_least_squares(Statistics.from_rows(H, Z), S, 0.0)
    >>> values.round(10), bias.round(10)
    (array([1., 2., 3., 4., 5., 6., 7., 8.]), array([3., 3., 3., 3.]))
    """
    check_penalty(alpha, ())
    if source is not None:
        source = as_index(source, "source")
        if not (source.min(initial=0) >= 0 and source.max(initial=-1) < statistics.row_mean.size):
            raise StructureError(
                f"source must hold indices from 0 to {statistics.row_mean.size - 1}, "
                f"got {source.min()} to {source.max()}"
            )
    rows, columns = structure.shape
    inputs = columns if source is None else source.size
    if (rows, columns) != (statistics.target_mean.size, inputs) or (
        source is None and columns != statistics.row_mean.size
    ):
        raise StructureError(
            f"structure must be {statistics.target_mean.size} x {statistics.row_mean.size} "
            f"(or x the length of source), got {structure}"
        )
    row, column = structure.coordinates()
    column = column if source is None else source[column]
    scale = statistics.column_scale()
    inverse_scale = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    values = np.zeros(structure.nnz)
    bias = statistics.target_mean.copy()
    by_row = np.argsort(row, kind="stable")
    counts = np.bincount(row, minlength=rows)
    starts = np.concatenate(([0], np.cumsum(counts)))
    for k in np.unique(counts[counts > 0]):
        members = np.flatnonzero(counts == k)
        for group in np.array_split(members, max(1, -(-members.size * int(k) ** 2 // _BATCH))):
            slots = by_row[starts[group][:, None] + np.arange(k)]
            support = column[slots]
            small = statistics.scatter[support[:, :, None], support[:, None, :]] / statistics.weight
            shrink = inverse_scale[support]
            small *= shrink[:, :, None] * shrink[:, None, :]
            right = statistics.cross[support, group[:, None]] / statistics.weight * shrink
            solution = _solve_small(small, right, alpha) * shrink
            values[slots] = solution
            bias[group] -= np.einsum("ij,ij->i", solution, statistics.row_mean[support])
    return values, bias


def _solve_small(small: Array, right: Array, alpha: float) -> Array:
    """Solve (small + alpha I) x = right for a batch of correlation matrices, (g, k, k) and (g, k)."""
    k = small.shape[1]
    small[:, np.arange(k), np.arange(k)] += alpha
    # Correlation matrices have entries of at most 1: below this, the Cholesky pivots are rounding.
    if alpha > 8 * k * np.finfo(np.float64).eps:
        factor = np.linalg.cholesky(small)
        return _substitute(factor, right)
    inverse = np.linalg.pinv(small, rcond=16 * k * np.finfo(np.float64).eps, hermitian=True)
    return np.asarray(np.einsum("ijk,ik->ij", inverse, right))


def _substitute(factor: Array, right: Array) -> Array:
    """Solve L L' x = b for a batch, the loop over the few columns and not over the many members."""
    x = right.copy()
    k = x.shape[1]
    for i in range(k):
        x[:, i] = (x[:, i] - np.einsum("gj,gj->g", factor[:, i, :i], x[:, :i])) / factor[:, i, i]
    for i in reversed(range(k)):
        x[:, i] = (x[:, i] - np.einsum("gj,gj->g", factor[:, i + 1 :, i], x[:, i + 1 :])) / factor[:, i, i]
    return x
