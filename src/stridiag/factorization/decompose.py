"""Numbers put into a plan: which decomposition serves which layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.factorization.band import factor_band
from stridiag.factorization.band_condensation import BandCondensation
from stridiag.factorization.band_lanes import LaneBandQR
from stridiag.factorization.bordered import BorderedLU
from stridiag.factorization.cholesky import ChainCholesky, SparseCholesky
from stridiag.factorization.condensation import Condensation
from stridiag.factorization.cyclic import CyclicLU
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.dense import factor_dense
from stridiag.factorization.forest import Forest
from stridiag.factorization.linked_lanes import LinkedLanes
from stridiag.factorization.sparse_lu import factor_sparse
from stridiag.factorization.sparse_qr import SparseQR
from stridiag.factorization.triangular import triangle
from stridiag.factorization.tridiagonal import TridiagonalLU
from stridiag.planning import Plan
from stridiag.planning.band import BandLayout
from stridiag.planning.band_condensation import BandCondensationLayout
from stridiag.planning.bordered import BorderedLayout
from stridiag.planning.chain import TridiagonalLayout
from stridiag.planning.cholesky import ChainCholeskyLayout, CholeskyLayout
from stridiag.planning.condensation import CondensationLayout
from stridiag.planning.dense import DenseLayout
from stridiag.planning.forest import ForestLayout
from stridiag.planning.sparse_layout import SparseLayout
from stridiag.planning.triangular import CyclicLayout, TriangularLayout

__all__ = ["decompose"]

Array = NDArray[Any]


def decompose(planned: Plan, values: Array) -> Decomposition:
    """Put the values of one matrix, (nnz,), into a plan."""
    return _DECOMPOSITIONS[type(planned.layout)](planned.layout, values)


def _band(layout: BandLayout, values: Array) -> Decomposition:
    return LaneBandQR.of(layout, values) or factor_band(layout, values)


def _condensation(layout: BandCondensationLayout, values: Array) -> Decomposition:
    return LinkedLanes.of(layout, values) or BandCondensation(layout, values)


def _sparse(layout: SparseLayout, values: Array) -> Decomposition:
    matrix = layout.compressed.fill(values)
    if not layout.orthogonal:
        return factor_sparse(matrix, order=lambda: layout.analysis.order)
    if np.count_nonzero(values) == values.size:
        return SparseQR(matrix, layout.analysis)
    # Stored zeros would fill R like any other entry. A copy, since the pattern is the plan's.
    matrix = matrix.copy()
    matrix.eliminate_zeros()
    # Another order than the plan's could fill more than the plan's bound.
    return SparseQR(matrix, order=layout.analysis.order)


def _dense(layout: DenseLayout, values: Array) -> Decomposition:
    return factor_dense(layout.compressed.fill(values).toarray())


_DECOMPOSITIONS: dict[type, Callable[[Any, Array], Decomposition]] = {
    TriangularLayout: triangle,
    CyclicLayout: CyclicLU,
    TridiagonalLayout: TridiagonalLU,
    CondensationLayout: Condensation,
    BandCondensationLayout: _condensation,
    BandLayout: _band,
    BorderedLayout: BorderedLU,
    ForestLayout: Forest,
    SparseLayout: _sparse,
    DenseLayout: _dense,
    ChainCholeskyLayout: ChainCholesky,
    CholeskyLayout: SparseCholesky,
}
