"""Determinants from the factors: a product of many numbers, as phase and logarithm."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.determinant import log_product, unit_product

__all__ = ["phase_and_log", "sign_of_flips"]


def phase_and_log(factors: NDArray[Any], phase: complex = 1.0) -> tuple[Any, float]:
    """Return phase and log of the magnitude of `phase`, of magnitude one, times the product of all factors, (k,)."""
    log = log_product(np.abs(factors))
    if log == -np.inf:
        return complex(phase) * 0 if factors.dtype.kind == "c" else 0.0, log
    if factors.dtype.kind == "c":
        return unit_product(factors, complex(phase)), log
    return float(phase.real) * sign_of_flips(int(np.count_nonzero(factors < 0))), log


def sign_of_flips(count: int) -> int:
    """Return the determinant of so many interchanges, or of so many reflections."""
    return -1 if count % 2 else 1
