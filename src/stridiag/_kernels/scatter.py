r"""Numbers that look random, made from their places: equal on every machine, and never the same twice in a row.

Each place goes through two rounds of shift, exclusive or, and multiplication modulo :math:`2^{32}` by an odd constant,
which carry every bit of it to every other; the result is centred and scaled to variance one. A few integer operations
a number, none of which waits for the number before.

Reference: multiplicative hashing with shifts, D. E. Knuth, *The Art of Computer Programming*, vol. 3, section 6.4.
"""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["scatter"]

Array = NDArray[Any]

_MASK = 0xFFFFFFFF
_ODD = 0x45D9F3B
_WIDTH = math.sqrt(12.0) / 2.0**32


@kernel
def scatter(out: Array, first: int) -> None:
    """Fill `out`, (n,), with numbers first ... first + n - 1 of a sequence of mean zero and variance one.

    Evenly spread between the square roots of three, none of them zero.
    """
    for i in range(out.size):
        bits = (first + i + 1) & _MASK
        bits = ((bits >> 16 ^ bits) * _ODD) & _MASK
        bits = ((bits >> 16 ^ bits) * _ODD) & _MASK
        bits = bits >> 16 ^ bits
        out[i] = (bits - 2147483647.5) * _WIDTH
