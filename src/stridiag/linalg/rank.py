"""Rank: how many singular values lie above the cutoff, and how clear that is."""

from __future__ import annotations

from typing import Any

import numpy as np

from stridiag.linalg._checks import require_matrix, require_single
from stridiag.linalg.spectrum import RankInfo, examine
from stridiag.structure import StridiagMatrix

__all__ = ["RankInfo", "matrix_rank", "rank_info"]


def matrix_rank(
    a: StridiagMatrix,
    *,
    rtol: float | None = None,
    atol: float = 0.0,
    rcond: float | None = None,
) -> Any:
    """Count the singular values above the cutoff.

    Parameters
    ----------
    a : StridiagMatrix, (..., m, n)
    rtol, atol, rcond : float, optional
        As in `pinv`.

    Returns
    -------
    int, or ndarray of int over the batch

    Raises
    ------
    SizeLimitError, NonFiniteError, ValueError
        As `pinv`.

    Warns
    -----
    AmbiguousRankWarning
        As `pinv`; `rank_info` explains.

    Notes
    -----
    Large connected blocks are counted, in time linear in their size if they have few links; the number of singular
    values that are dropped does not matter here, as it does for `pinv`.

    Examples
    --------
    >>> from stridiag import StridiagMatrix, linalg
    >>> linalg.matrix_rank(StridiagMatrix.from_diagonals({0: [1.0, 0.0, 2.0], 1: [0.0, 3.0]}))
    2
    """
    matrix = require_matrix(a)
    if not matrix.batch_shape:
        return rank_info(matrix, rtol=rtol, atol=atol, rcond=rcond).rank
    ranks = [rank_info(member, rtol=rtol, atol=atol, rcond=rcond).rank for member in matrix.members]
    return np.array(ranks).reshape(matrix.batch_shape)


def rank_info(
    a: StridiagMatrix,
    *,
    rtol: float | None = None,
    atol: float = 0.0,
    rcond: float | None = None,
) -> RankInfo:
    """Say how the rank of a matrix is decided: the cutoff, the singular values beside it, and how clear it is.

    Arguments, errors and warnings as `matrix_rank`; a single matrix.

    Examples
    --------
    >>> from stridiag import StridiagMatrix, linalg
    >>> print(linalg.rank_info(StridiagMatrix.from_diagonals({0: [1.0, 0.5, 1e-20]})))
    rank 2 of 3 x 3: cutoff 6.66e-16, smallest kept 0.5, largest dropped 1e-20 (clear)
    """
    matrix = require_single(a, "rank_info")
    return examine(matrix, rtol, atol, rcond, vectors=False).info
