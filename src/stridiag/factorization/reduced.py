"""The reduced system of a condensation, factored as it was planned."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.front_householder import FrontHouseholder
from stridiag.factorization.front_lu import FrontLU
from stridiag.factorization.small_qr import SmallQR
from stridiag.factorization.sparse_lu import factor_sparse
from stridiag.planning.reduced_method import ReducedMethod

__all__ = ["factor_reduced"]

Array = NDArray[Any]


def factor_reduced(data: Array, method: ReducedMethod) -> Decomposition:
    """Factor a small or sparse square matrix with these entries, (entries,), of the pattern of `method`."""
    if method.fronts is not None:
        return FrontHouseholder(data, method.fronts)
    matrix = method.pattern.compressed(data)
    if method.pivots is not None:
        found = FrontLU.believed(method.pivots, matrix)
        if found is not None:
            return found
    if method.kind == "dense":
        return SmallQR(matrix.toarray())
    return factor_sparse(matrix)
