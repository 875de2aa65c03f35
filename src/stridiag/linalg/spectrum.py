"""Which singular values of a matrix count as zero, found block by block.

Singular values up to ``max(atol, rtol * sigma_max)`` count as zero, as in numpy; sigma_max is that of the whole matrix,
and rtol is max(m, n) eps unless given. So the largest singular values of all blocks come first, then the cutoff, then
what each large block makes of it. A large block for which the direct way does not serve is decomposed as a dense
matrix if it is not too large for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._validate import warn_user
from stridiag.errors import AmbiguousRankWarning, ConvergenceError, SizeLimitError
from stridiag.linalg.blocks import BLOCK_LIMIT, LargeBlock, SingularBlocks, fits, require_total, split, stacked, svd
from stridiag.linalg.direct import DirectBlock, Neighbours
from stridiag.structure import StridiagMatrix

__all__ = ["RankInfo", "Spectrum", "examine", "relative_tolerance"]

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
        The singular values next to the cutoff; zeros that follow from the structure count as 0.0. In large blocks
        they are enclosed to one part in a thousand, and what is below eps sigma_max is given as that.
    ambiguous : bool
        Whether one of them lies within a factor of two of the cutoff: then rounding may decide the rank.
    certified : bool
        Whether the number of singular values above the cutoff is known, by decomposition or by counting. False if
        in a large block, which was too expensive to count, it is an estimate by inverse iteration: the rank can then
        only be too high.
    """

    rank: int
    shape: tuple[int, int]
    cutoff: float
    sigma_max: float
    smallest_kept: float | None
    largest_dropped: float | None
    ambiguous: bool
    certified: bool = True

    def __str__(self) -> str:
        kept = "none" if self.smallest_kept is None else f"{self.smallest_kept:.3g}"
        dropped = "none" if self.largest_dropped is None else f"{self.largest_dropped:.3g}"
        verdict = "AMBIGUOUS: choose rtol in a gap of the singular values" if self.ambiguous else "clear"
        verdict += "" if self.certified else ", an estimate"
        return (
            f"rank {self.rank} of {self.shape[0]} x {self.shape[1]}: cutoff {self.cutoff:.3g}, "
            f"smallest kept {kept}, largest dropped {dropped} ({verdict})"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """The blocks of a matrix, decomposed, and what counts as zero in them.

    Attributes
    ----------
    small : list of SingularBlocks
    large : list of DirectBlock
    info : RankInfo
    """

    small: list[SingularBlocks]
    large: list[DirectBlock]
    info: RankInfo

    @property
    def singular_values(self) -> Array | None:
        """All min(m, n) singular values, descending; None if there are large blocks."""
        if self.large:
            return None
        parts = [stack.sigma.ravel() for stack in self.small]
        found = np.sort(np.concatenate(parts))[::-1] if parts else np.zeros(0)
        padded = np.zeros(min(self.info.shape), found.dtype)
        padded[: found.size] = found
        return padded


def examine(matrix: StridiagMatrix, rtol: float | None, atol: float, rcond: float | None, *, vectors: bool) -> Spectrum:
    """Decompose a single matrix by blocks and decide its rank; warn if that is ambiguous.

    Parameters
    ----------
    matrix : StridiagMatrix, (m, n)
    rtol, atol, rcond : float or None
        The tolerances as the user gave them.
    vectors : bool
        Whether the large blocks will be asked for products or null vectors.

    Raises
    ------
    SizeLimitError, ConvergenceError
        If a block is too large for a dense decomposition and the direct way does not serve.
    NonFiniteError, ValueError
        For bad values and bad tolerances.
    """
    relative = relative_tolerance(matrix, rtol, atol, rcond)
    stacks, alone = split(matrix)
    small = svd(stacks)
    large = [DirectBlock(block.rows, block.columns, block.entries) for block in alone]
    sigma_max = max(
        [float(stack.sigma.max(initial=0.0)) for stack in small] + [block.sigma_max for block in large], default=0.0
    )
    cutoff = max(float(atol), relative * sigma_max)
    found: list[Neighbours] = []
    served: list[DirectBlock] = []
    used = sum(stack.left.size + stack.right.size for stack in small)
    for block, entries in zip(large, alone, strict=True):
        try:
            neighbours = block.neighbours(cutoff)
            if vectors:
                block.prepare()
        except (SizeLimitError, ConvergenceError) as error:
            used += block.shape[1] * max(block.shape)
            small += svd([_as_dense(entries, used, error)])
        else:
            found.append(neighbours)
            served.append(block)
    info = _decide(small, served, found, matrix.structure.shape, cutoff, sigma_max)
    if info.ambiguous:
        warn_user(f"the rank is ambiguous: {info}", AmbiguousRankWarning)
    return Spectrum(small, served, info)


def relative_tolerance(matrix: StridiagMatrix, rtol: float | None, atol: float, rcond: float | None) -> float:
    """Return the relative tolerance that the user gave, under either name, or the default; refuse bad tolerances."""
    if rtol is not None and rcond is not None:
        raise ValueError("rtol and rcond are two names for one thing: give one of them")
    relative = rtol if rtol is not None else rcond
    if relative is None:
        relative = max(matrix.structure.shape) * float(np.finfo(matrix.dtype).eps)
    if not relative >= 0.0 or not atol >= 0.0:
        raise ValueError(f"tolerances must be 0 or more, got rtol={relative} and atol={atol}")
    return relative


def _as_dense(block: LargeBlock, used: int, error: SizeLimitError | ConvergenceError) -> Any:
    if not fits(block.entries.shape):
        r, c = block.entries.shape
        raise type(error)(
            f"the matrix has a connected block of {r} x {c}, and the direct way does not serve: {error}. A dense "
            f"singular value decomposition is made of blocks up to {BLOCK_LIMIT} positions (2048 x 2048). If the "
            "matrix is square and nonsingular, A.factor().solve has no such limit"
        ) from error
    require_total(used)
    return stacked(block)


def _decide(
    small: list[SingularBlocks],
    large: list[DirectBlock],
    found: list[Neighbours],
    shape: tuple[int, int],
    cutoff: float,
    sigma_max: float,
) -> RankInfo:
    sigma = np.concatenate([np.zeros(0), *(stack.sigma.ravel() for stack in small)])
    kept = sigma[sigma > cutoff]
    dropped = sigma[sigma <= cutoff]
    rank = kept.size + sum(min(block.shape) - part.dropped for block, part in zip(large, found, strict=True))
    kept_values = [float(kept.min())] if kept.size else []
    kept_values += [part.smallest_kept for part in found if part.smallest_kept is not None]
    dropped_values = [float(dropped.max())] if dropped.size else []
    dropped_values += [part.largest_dropped for part in found if part.largest_dropped is not None]
    smallest_kept = min(kept_values, default=None)
    # Zero rows and columns bring no singular values, but the count goes up to min(m, n).
    largest_dropped = max(dropped_values, default=0.0) if rank < min(shape) else None
    ambiguous = (smallest_kept is not None and smallest_kept < _AMBIGUOUS * cutoff) or (
        largest_dropped is not None and largest_dropped > cutoff / _AMBIGUOUS
    )
    certified = all(part.certified for part in found)
    return RankInfo(rank, shape, cutoff, sigma_max, smallest_kept, largest_dropped, ambiguous, certified)
