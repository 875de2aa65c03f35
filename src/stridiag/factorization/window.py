"""Bands with links, by elimination in a moving window: which of the ways serves the values. See `factor_window`."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag.factorization.band import TAME_GROWTH, believed_or_rotated
from stridiag.factorization.corrected import Corrected
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.thinned_window import ThinnedLU
from stridiag.factorization.window_lu import WindowLU
from stridiag.planning.window import WindowLayout

__all__ = ["factor_window"]


def factor_window(layout: WindowLayout, values: NDArray[Any]) -> Decomposition:
    """Factor with pivots from the diagonal, or else by LU with partial pivoting, or else by rotations.

    Each if it can be believed: see `stridiag.factorization.thinned_window`, and
    `stridiag.factorization.band.believed_or_rotated`.

    Parameters
    ----------
    layout : WindowLayout
    values : ndarray, (nnz,)
        By slot.

    Returns
    -------
    ThinnedLU, WindowLU, Corrected or SparseQR

    Raises
    ------
    SizeLimitError
        If LU failed, and rotations would need more than `stridiag.factorization.sparse_qr.MAX_FILL_BYTES`.
    """
    thinned = ThinnedLU.believed(layout, values)
    if thinned is None:
        return believed_or_rotated(WindowLU(layout, values), layout, values)
    return thinned if thinned.growth <= TAME_GROWTH else Corrected(thinned, layout.compressed.fill(values))
