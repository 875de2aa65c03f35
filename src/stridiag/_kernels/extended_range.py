r"""Numbers far outside the range of doubles: products of many entries, and sums of such.

A number is a pair (m, e), which stands for :math:`m\,2^{200 e}`, with m = 0 or :math:`2^{-100} \le |m| \le 2^{100}`:
sums and products of pairs neither overflow nor lose a digit to underflow, whatever the entries and the order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stridiag._kernels.compile import inlined

__all__ = ["DOWN", "LARGE", "SMALL", "UNIT", "UP", "ZERO_UNIT", "normal", "number", "one", "plus", "size_of"]

UNIT = 200
"""Exponents count powers of two to this."""

ZERO_UNIT = -(1 << 40)
"""The exponent of zero: so low that no sum notices it."""

UP, DOWN = 2.0**UNIT, 2.0**-UNIT
LARGE, SMALL = 2.0 ** (UNIT // 2), 2.0 ** -(UNIT // 2)


@inlined
def one(like: Any) -> Any:
    """Return a one of the same type."""
    return like * 0 + 1


@inlined
def size_of(m: Any) -> float:
    """Return the magnitude within a factor of two; without the root that that of a complex number takes."""
    size: float = max(abs(m.real), abs(m.imag))
    return size


@inlined
def normal(m: Any, e: int) -> tuple[Any, int]:
    """Bring a mantissa into its range."""
    size = size_of(m)
    if not SMALL <= size <= LARGE:
        if size == 0.0:
            return m, ZERO_UNIT
        while size < SMALL:
            m, size, e = m * UP, size * UP, e - 1
        # NaN, which no number of steps would bring there, passes.
        while np.inf > size > LARGE:
            m, size, e = m * DOWN, size * DOWN, e + 1
    return m, e


@inlined
def _share(distance: int) -> float:
    """Return the power of two for a term so many units below the other; 0 where rounding loses it."""
    if distance == 1:
        return DOWN
    if distance == 2:
        return DOWN * DOWN
    return DOWN * DOWN * DOWN if distance == 3 else 0.0


@inlined
def plus(m: Any, e: int, other: Any, f: int) -> tuple[Any, int]:
    """Return the sum of two terms, each a product of at most three numbers in range."""
    if e == f:
        return normal(m + other, e)
    if e > f:
        return normal(m + other * _share(e - f), e)
    return normal(m * _share(f - e) + other, f)


@inlined
def number(m: Any, e: int) -> Any:
    """Return a pair as an ordinary number; its mantissa may be a product of three."""
    while e > 0 and size_of(m) < np.inf and size_of(m) > 0.0:
        m, e = m * UP, e - 1
    while e < 0 and size_of(m) > 0.0:
        # The last step rounds, where the result is subnormal; no earlier one may.
        if e < -1 and size_of(m) < DOWN * DOWN:
            return m * 0
        m, e = m * DOWN, e + 1
    return m
