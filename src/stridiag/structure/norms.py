"""Sums of magnitudes by column and by row, which give the norms that need no factorization."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import real_type
from stridiag._kernels.column_sums import add_magnitudes
from stridiag.structure.matrix import StridiagMatrix

__all__ = ["column_sums", "one_norm"]


def column_sums(matrix: StridiagMatrix) -> NDArray[Any]:
    """Return the sum of magnitudes of each column, (..., columns), of a matrix or a batch."""
    structure = matrix.structure
    sums = np.zeros((*matrix.batch_shape, structure.shape[1]), real_type(matrix.dtype))
    starts, offsets = (np.array(part, np.int64) for part in (structure.starts, structure.offsets))
    for place in np.ndindex(matrix.batch_shape):
        add_magnitudes(matrix.values[place], starts, offsets, structure.link_columns, sums[place])
    return sums


def one_norm(matrix: StridiagMatrix) -> float:
    """Return the largest column sum of magnitudes of a single matrix; 0 if it has no columns."""
    return float(column_sums(matrix).max(initial=0.0))
