r"""Phase and logarithm of a product of many numbers, without overflow.

Magnitudes are multiplied while their product stays in the middle of the exponent range, and only then is a
logarithm taken: one multiplication a factor, and an error of a few units in the last place for each of the
few logarithms instead of one for every factor.
"""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["log_product"]

Array = NDArray[Any]


@kernel
def log_product(factors: Array, phase: Any) -> tuple[Any, float]:
    """Return the phase of, and log of the magnitude of, ``phase * prod(factors)``.

    `phase` sets the type: 1.0 for real factors, 1 + 0j for complex ones. A zero factor gives (0, -inf).
    """
    product = 1.0
    log = 0.0
    for i in range(factors.size):
        # A float even for single precision, whose own range the bounds below exceed.
        size = float(abs(factors[i]))
        if size == 0.0:
            return phase * 0, -math.inf
        phase = phase * (factors[i] / size)
        if 1e-100 < size < 1e100:
            product *= size
            if not 1e-200 < product < 1e200:
                log += math.log(product)
                product = 1.0
        else:
            log += math.log(size)
    # Rounding moves a complex phase off the unit circle by n eps: put it back.
    return phase / abs(phase), log + math.log(product)
