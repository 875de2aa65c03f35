r"""Phase and logarithm of a product of many numbers, without overflow.

Magnitudes are multiplied; whenever their product leaves the middle of the exponent range, its power of two is taken
out and counted as an integer. One multiplication a factor, whatever the values, and a single logarithm at the end:
the relative error of the product is at most n eps.
"""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["log_product", "unit_product"]

Array = NDArray[Any]

_LOG2 = math.log(2.0)


@kernel
def log_product(factors: Array) -> float:
    """Return the logarithm of the product of the real, nonnegative `factors`; -inf if one is zero."""
    product = 1.0
    exponent = 0
    for i in range(factors.size):
        factor = factors[i]
        if factor == 0.0:
            return -math.inf
        if not 1e-150 < factor < 1e150:
            factor, shift = math.frexp(factor)
            exponent += shift
        product = product * factor
        if not 1e-150 < product < 1e150:
            product, shift = math.frexp(product)
            exponent += shift
    return exponent * _LOG2 + math.log(product)


@kernel
def unit_product(factors: Array, phase: Any) -> Any:
    """Return `phase` times the product of the complex `factors`, each of which is divided by its magnitude first."""
    for i in range(factors.size):
        phase = phase * (factors[i] / abs(factors[i]))
    # Rounding moves it off the unit circle by n eps: put it back.
    return phase / abs(phase)
