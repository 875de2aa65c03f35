"""Rank: which singular values count as zero, and how clear that is.

Singular values up to ``max(atol, rtol * sigma_max)`` count as zero, as in numpy; sigma_max is that of the whole matrix,
and rtol is max(m, n) eps unless given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._validate import warn_user
from stridiag.errors import AmbiguousRankWarning
from stridiag.linalg._checks import require_matrix, require_single
from stridiag.linalg.blocks import SingularBlocks, svd
from stridiag.structure import StridiagMatrix

__all__ = ["RankInfo", "decide", "matrix_rank", "rank_info", "singular_values"]

Array = NDArray[Any]

# A singular value within this factor of the cutoff could fall on either side by rounding alone.
_AMBIGUOUS = 2.0


@dataclass(frozen=True, slots=True)
class RankInfo:
    """How the rank was decided.

    Attributes
    ----------
    rank : int
        Number of singular values above the cutoff.
    shape : tuple of int
        Of the matrix.
    cutoff : float
        max(atol, rtol * sigma_max).
    sigma_max : float
        Largest singular value, 0 for a zero or empty matrix.
    smallest_kept, largest_dropped : float or None
        The singular values next to the cutoff; zeros that follow from the structure count as 0.0.
    ambiguous : bool
        Whether one of them lies within a factor of two of the cutoff: then rounding may decide the rank.
    """

    rank: int
    shape: tuple[int, int]
    cutoff: float
    sigma_max: float
    smallest_kept: float | None
    largest_dropped: float | None
    ambiguous: bool

    def __str__(self) -> str:
        kept = "none" if self.smallest_kept is None else f"{self.smallest_kept:.3g}"
        dropped = "none" if self.largest_dropped is None else f"{self.largest_dropped:.3g}"
        verdict = "AMBIGUOUS: choose rtol in a gap of the singular values" if self.ambiguous else "clear"
        return (
            f"rank {self.rank} of {self.shape[0]} x {self.shape[1]}: cutoff {self.cutoff:.3g}, "
            f"smallest kept {kept}, largest dropped {dropped} ({verdict})"
        )


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
    return decide(singular_values(svd(matrix)), matrix, rtol, atol, rcond)


def singular_values(blocks: list[SingularBlocks]) -> Array:
    """Return all singular values of the blocks, descending."""
    parts = [stack.sigma.ravel() for stack in blocks]
    return np.sort(np.concatenate(parts))[::-1] if parts else np.zeros(0)


def decide(sigma: Array, matrix: StridiagMatrix, rtol: float | None, atol: float, rcond: float | None) -> RankInfo:
    """Decide the rank from all singular values, descending; warn if it is ambiguous."""
    m, n = matrix.structure.shape
    if rtol is not None and rcond is not None:
        raise ValueError("rtol and rcond are two names for one thing: give one of them")
    relative = rtol if rtol is not None else rcond
    if relative is None:
        relative = max(m, n) * float(np.finfo(matrix.dtype).eps)
    if not relative >= 0.0 or not atol >= 0.0:
        raise ValueError(f"tolerances must be 0 or more, got rtol={relative} and atol={atol}")
    sigma_max = float(sigma[0]) if sigma.size else 0.0
    cutoff = max(float(atol), relative * sigma_max)
    rank = int((sigma > cutoff).sum())
    smallest_kept = float(sigma[rank - 1]) if rank else None
    largest_dropped = None
    if rank < min(m, n):
        largest_dropped = float(sigma[rank]) if rank < sigma.size else 0.0
    ambiguous = (smallest_kept is not None and smallest_kept < _AMBIGUOUS * cutoff) or (
        largest_dropped is not None and largest_dropped > cutoff / _AMBIGUOUS
    )
    info = RankInfo(rank, (m, n), cutoff, sigma_max, smallest_kept, largest_dropped, ambiguous)
    if ambiguous:
        warn_user(f"the rank is ambiguous: {info}", AmbiguousRankWarning)
    return info
