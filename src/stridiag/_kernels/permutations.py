"""The sign of a permutation, by its cycles: each of even length turns it. Linear time."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["permutation_sign"]

Array = NDArray[Any]


@kernel
def permutation_sign(permutation: Array, seen: Array) -> int:
    """Return 1 for an even permutation, -1 for an odd one; `seen` (n,) starts as zeros."""
    sign = 1
    for start in range(permutation.size):
        if seen[start] == 0:
            length = 0
            i = start
            while seen[i] == 0:
                seen[i] = 1
                i = permutation[i]
                length += 1
            if length % 2 == 0:
                sign = -sign
    return sign
