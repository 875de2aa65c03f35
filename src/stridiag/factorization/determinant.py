"""Determinants from the factors: a product of many numbers, as phase and logarithm."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.determinant import log_product

__all__ = ["phase_and_log", "sign_of_flips"]


def phase_and_log(factors: NDArray[Any], phase: complex = 1.0) -> tuple[Any, float]:
    """Return phase and log of the magnitude of `phase`, of magnitude one, times the product of all factors, (k,)."""
    return log_product(factors, complex(phase) if factors.dtype.kind == "c" else float(phase.real))


def sign_of_flips(count: int) -> int:
    """Return the determinant of so many interchanges, or of so many reflections."""
    return -1 if count % 2 else 1
