r"""Masked least squares: the values of a structured layer, one small ridge problem per neuron.

Neuron j may read the columns S (its row of the structure). With centred statistics C, B (see `statistics`),

.. math:: w_j = (C[S, S] + \lambda\, w\, D_S^2)^{-1} B[S, j], \qquad b_j = \bar z_j - w_j^T \bar h_S,

where w is the total weight and D the columns' standard deviations: the penalty is one on standardised
columns, so it does not depend on their units; the bias is not penalised. This is exactly ridge regression
with all other entries of the row held at zero. Sample weights enter through the statistics.

**When a unit's system is singular.** Its matrix without penalty is the correlation matrix of the columns that it
reads, over the rows of positive weight. That is singular exactly if some combination of these columns is constant
on these rows: a constant column, one read twice, columns that add up (indicators of all categories), or a support of
as many columns as there are distinct rows, or more. With lambda > 0 no system is: its eigenvalues lie between
lambda and lambda + k, so its condition is at most 1 + k / lambda. `unit_conditions` tells the condition of each.

Cost: k^3 / 3 + 5 k^2 / 2 flops a neuron (2 k^3 / 3 beyond 128), after the statistics; about 10 k^3 where it is
singular to 1e-8 and there is no penalty. No array larger than the values is made for supports of at most 128
columns; beyond, and for singular ones, matrices are gathered 32 MB at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._kernels.masked_ridge import masked_ridge
from stridiag._validate import as_index
from stridiag.errors import StructureError
from stridiag.nn.options import check_penalty
from stridiag.nn.statistics import Statistics
from stridiag.structure import Structure

__all__ = ["masked_least_squares", "solve_supports", "unit_conditions"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Numbers in one batch of small matrices: 32 MB.
_BATCH = 1 << 22
# Supports up to this size are factored by our kernel; larger ones fill LAPACK's blocks.
_SMALL = 128
# Without penalty, a Cholesky pivot below this of a correlation matrix hands the unit to an eigendecomposition.
_WEAK = 1e-8


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
    by_row, starts, columns = _supports(statistics, structure, source)
    solution = solve_supports(statistics, starts, columns, alpha)
    values = np.empty(structure.nnz)
    values[by_row] = solution
    units = np.repeat(np.arange(structure.shape[0]), np.diff(starts))
    explained = np.bincount(units, solution * statistics.row_mean[columns], minlength=structure.shape[0])
    return values, statistics.target_mean - explained


def solve_supports(statistics: Statistics, starts: Index, columns: Index, alpha: float) -> Array:
    """Return the coefficients of one ridge regression per target, each on columns of its own, as `columns`.

    Parameters
    ----------
    statistics : Statistics
        Of p columns and q targets.
    starts : ndarray of int64, (q + 1,)
        Target j reads ``columns[starts[j]:starts[j + 1]]``.
    columns : ndarray of int64
        Indices below p; a target may name a column twice.
    alpha : float
        As for `masked_least_squares`.
    """
    scale = _inverse_scale(statistics) / np.sqrt(statistics.weight)
    sizes = np.diff(starts)
    values = np.empty(columns.size)
    weak = np.zeros(sizes.size, np.bool_)
    largest = int(sizes.max(initial=0))
    # Eigenvalues of at least alpha: above this bound, and only above it, pivots are more than rounding.
    penalised = alpha > 8 * largest * np.finfo(np.float64).eps
    room = min(_SMALL, largest)
    least = 0.0 if penalised else _WEAK
    work = np.empty((room, room))
    left = masked_ridge(
        statistics.scatter, statistics.cross, scale, starts, columns, float(alpha), least, work, values, weak
    )
    if left:
        for group, slots in _by_size(starts, np.flatnonzero(weak)):
            support = columns[slots]
            shrink = scale[support]
            small = _gather(statistics.scatter, support, shrink)
            right = statistics.cross[support, group[:, None]] * shrink
            values[slots] = _solve_small(small, right, alpha) * shrink
    return values


def unit_conditions(
    statistics: Statistics, structure: Structure, alpha: float = 0.0, source: ArrayLike | None = None
) -> Array:
    """Return the 2-norm condition number of each unit's system; infinite where it is singular to rounding.

    Parameters
    ----------
    statistics, structure, alpha, source
        As for `masked_least_squares`; the targets do not matter.

    Returns
    -------
    ndarray, (rows,)
        Of the correlation matrix of the columns that the unit reads, plus alpha; 1 for a unit that reads none.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Statistics, unit_conditions, wrapped_structure
    >>> H = np.random.default_rng(0).standard_normal((50, 4))
    >>> H[:, 1] = 2 * H[:, 0]
    >>> S = wrapped_structure((4, 4), (0, 1))
    >>> unit_conditions(Statistics.from_rows(H, H), S).round(1)
    array([inf, 1.2, 1.6, 1.5])
    >>> unit_conditions(Statistics.from_rows(H, H), S, alpha=0.01).round(1)
    array([201. ,   1.2,   1.6,   1.5])
    """
    check_penalty(alpha, ())
    _, starts, columns = _supports(statistics, structure, source)
    scale = _inverse_scale(statistics) / np.sqrt(statistics.weight)
    result = np.ones(starts.size - 1)
    for group, slots in _by_size(starts, np.arange(starts.size - 1)):
        support = columns[slots]
        squares = np.linalg.eigvalsh(_gather(statistics.scatter, support, scale[support]))
        low, high = squares[:, 0], squares[:, -1]
        low = np.where(low > 16 * support.shape[1] * np.finfo(np.float64).eps, low, 0.0) + alpha
        result[group] = np.divide(high + alpha, low, out=np.full_like(low, np.inf), where=low > 0.0)
    return result


def _supports(statistics: Statistics, structure: Structure, source: ArrayLike | None) -> tuple[Index, Index, Index]:
    """Return the slots by row, where each row starts among them, and the input that each of them reads."""
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
    by_row = np.argsort(row, kind="stable")
    starts = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=rows)))).astype(np.int64)
    column = column[by_row]
    return by_row, starts, np.ascontiguousarray(column if source is None else source[column], np.int64)


def _by_size(starts: Index, units: Index) -> Iterator[tuple[Index, Index]]:
    """Yield units of equal supports, (g,), with the places of these, (g, k): as many as fit into one batch."""
    sizes = np.diff(starts)[units]
    for k in np.unique(sizes[sizes > 0]):
        members = units[sizes == k]
        for group in np.array_split(members, max(1, -(-members.size * int(k) ** 2 // _BATCH))):
            yield group, starts[group][:, None] + np.arange(k)


def _inverse_scale(statistics: Statistics) -> Array:
    scale = statistics.column_scale()
    return np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)


def _gather(scatter: Array, support: Index, shrink: Array) -> Array:
    """Return the scaled products of the columns of each support, (g, k, k)."""
    small = scatter[support[:, :, None], support[:, None, :]]
    small *= shrink[:, :, None]
    small *= shrink[:, None, :]
    return small


def _solve_small(small: Array, right: Array, alpha: float) -> Array:
    """Solve (small + alpha I) x = right for a batch of correlation matrices, (g, k, k) and (g, k)."""
    k = small.shape[1]
    small[:, np.arange(k), np.arange(k)] += alpha
    # Correlation matrices have entries of at most 1: below this, the Cholesky pivots are rounding.
    if alpha > 8 * k * np.finfo(np.float64).eps:
        return np.asarray(np.linalg.solve(small, right[..., None])[..., 0])
    inverse = np.linalg.pinv(small, rcond=16 * k * np.finfo(np.float64).eps, hermitian=True)
    return np.asarray(np.einsum("ijk,ik->ij", inverse, right))
