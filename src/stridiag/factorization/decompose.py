"""Numbers put into a plan: which decomposition serves which layout."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag.planning import Plan

if TYPE_CHECKING:
    from stridiag.factorization.decomposition import Decomposition
    from stridiag.planning.band import BandLayout
    from stridiag.planning.band_condensation import BandCondensationLayout
    from stridiag.planning.dense import DenseLayout
    from stridiag.planning.sparse_layout import SparseLayout

__all__ = ["decompose", "from_band", "from_dense", "from_linked_band", "from_sparse"]

Array = NDArray[Any]


def decompose(planned: Plan, values: Array) -> Decomposition:
    """Put the values of one matrix, (nnz,), into a plan."""
    return _decomposition(type(planned.layout).__name__)(planned.layout, values)


@cache
def _decomposition(layout: str) -> Callable[[Any, Array], Decomposition]:
    # A module and its kernels are imported when a plan first asks for them.
    module, _, name = _DECOMPOSITIONS[layout].partition(".")
    return getattr(import_module(f"stridiag.factorization.{module}"), name)  # type: ignore[no-any-return]


def from_band(layout: BandLayout, values: Array) -> Decomposition:
    """Factor in lanes where that serves, by LU elsewhere."""
    from stridiag.factorization.band import factor_band
    from stridiag.factorization.two_ended_band import TwoEndedLU

    return TwoEndedLU.of(layout, values) or factor_band(layout, values)


def from_linked_band(layout: BandCondensationLayout, values: Array) -> Decomposition:
    """Condense in lanes where that serves."""
    from stridiag.factorization.band_condensation import BandCondensation
    from stridiag.factorization.linked_lanes import LinkedLanes

    return LinkedLanes.of(layout, values) or BandCondensation(layout, values)


def from_sparse(layout: SparseLayout, values: Array) -> Decomposition:
    """Factor by SuperLU, checked, or by rotations."""
    from stridiag.factorization.sparse_lu import factor_sparse
    from stridiag.factorization.sparse_qr import SparseQR

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


def from_dense(layout: DenseLayout, values: Array) -> Decomposition:
    """Factor by LAPACK."""
    from stridiag.factorization.dense import factor_dense

    return factor_dense(layout.compressed.fill(values).toarray())


# What factors each class of layout: a module of this room, and a name in it.
_DECOMPOSITIONS = {
    "TriangularLayout": "triangular.triangle",
    "CyclicLayout": "cyclic.CyclicLU",
    "TridiagonalLayout": "tridiagonal.TridiagonalLU",
    "SweptLayout": "swept.sweep",
    "CondensationLayout": "swept.condense",
    "BandCondensationLayout": "decompose.from_linked_band",
    "BandLayout": "decompose.from_band",
    "WindowLayout": "window.factor_window",
    "BorderedLayout": "bordered.BorderedLU",
    "ForestLayout": "forest.Forest",
    "SparseLayout": "decompose.from_sparse",
    "DenseLayout": "decompose.from_dense",
    "ChainCholeskyLayout": "cholesky.ChainCholesky",
    "CholeskyLayout": "cholesky.SparseCholesky",
}
