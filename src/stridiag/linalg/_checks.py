"""Checks that the functions of this room share."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import double_type
from stridiag._validate import check_option
from stridiag.errors import StructureError
from stridiag.factorization import Factor, factorize
from stridiag.structure import StridiagMatrix

__all__ = ["Assumption", "factor_assuming", "in_precision_of", "require_matrix", "require_single"]


Assumption = Literal["gen", "pos"]


def factor_assuming(matrix: StridiagMatrix, assume_a: Assumption, *, check_finite: bool = True) -> Factor:
    """Factor a matrix of which nothing is known, or one that is promised to be Hermitian positive definite."""
    check_option(assume_a, "assume_a", ("gen", "pos"))
    return factorize(matrix, method="cholesky" if assume_a == "pos" else "auto", check_finite=check_finite)


def require_matrix(candidate: Any) -> StridiagMatrix:
    """Return the candidate if it is a StridiagMatrix; say how to make one otherwise."""
    if not isinstance(candidate, StridiagMatrix):
        raise TypeError(
            f"expected a StridiagMatrix, got {type(candidate).__name__}; "
            "make one with StridiagMatrix.from_dense or StridiagMatrix.from_scipy"
        )
    return candidate


def in_precision_of(matrix: StridiagMatrix, right: NDArray[Any]) -> StridiagMatrix:
    """Return the matrix in double precision if the right-hand side is double, as numpy's functions compute."""
    if matrix.dtype.itemsize == 4 * (1 + (matrix.dtype.kind == "c")) and right.dtype in (np.float64, np.complex128):
        return matrix.astype(double_type(matrix.dtype))
    return matrix


def require_single(candidate: Any, function: str) -> StridiagMatrix:
    """Return the candidate if it is one StridiagMatrix, not a batch."""
    matrix = require_matrix(candidate)
    if matrix.batch_shape:
        raise StructureError(f"{function} takes a single matrix, got a batch of shape {matrix.batch_shape}")
    return matrix
