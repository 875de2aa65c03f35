"""Entries of the inverse of what is factored in a window: those of a band are known to the factors of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag.factorization.band import BandLU
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.inverse_entries import diagonal_by_solves

if TYPE_CHECKING:
    from stridiag.planning.window_shape import WindowShape

__all__ = ["AsBand"]

Array = NDArray[Any]


class AsBand(Decomposition):
    """A decomposition whose matrix is a band, if there are no links."""

    _layout: WindowShape
    _values: Array
    _dtype: np.dtype[Any]

    @cached_property
    def _band(self) -> BandLU | None:
        """The factors of the band that the matrix is, which know entries of the inverse; None if there are links."""
        plain = self._layout.plain
        return None if plain is None else BandLU(plain, self._values)

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`; for bands without links."""
        return None if self._band is None else self._band.inverse_on_pattern(transpose=transpose)

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`; by solves if there are links."""
        if self._band is not None:
            return self._band.inverse_diagonal()
        return diagonal_by_solves(self, self._layout.n, self._dtype)
