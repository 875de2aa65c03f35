"""The types that go with a value type."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

__all__ = ["double_type", "eps_of", "real_type"]


def real_type(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the type of the magnitudes of such numbers: float32 for complex64."""
    return np.dtype(np.finfo(np.dtype(dtype)).dtype)


def double_type(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the type of double precision that holds such numbers: complex128 for complex64."""
    return np.dtype(np.complex128 if np.dtype(dtype).kind == "c" else np.float64)


@lru_cache
def eps_of(dtype: np.dtype[Any]) -> float:
    """Return the distance of 1 to the next number of the type; numpy takes long to say so."""
    return float(np.finfo(dtype).eps)
