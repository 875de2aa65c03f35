"""The reduced system of a condensation, factored as it was planned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.front_householder import FrontHouseholder
from stridiag.factorization.front_lu import FrontLU
from stridiag.factorization.small_qr import SmallQR
from stridiag.factorization.sparse_lu import factor_sparse
from stridiag.planning.reduced_method import ReducedMethod

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["factor_reduced"]


def factor_reduced(matrix: csc_array[Any], method: ReducedMethod) -> Decomposition:
    """Factor a small or sparse square matrix, whose pattern `method` was chosen for."""
    if method.fronts is not None:
        return FrontHouseholder(matrix.data, method.fronts)
    if method.pivots is not None:
        found = FrontLU.believed(method.pivots, matrix)
        if found is not None:
            return found
    if method.kind == "dense":
        return SmallQR(matrix.toarray())
    return factor_sparse(matrix)
