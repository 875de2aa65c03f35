r"""The inverse of one chain on its pattern where entries are tame: zero, or between 2^-40 and 2^40 in size.

Of complex entries this is asked of both parts.

As `stridiag._kernels.continuants`, whose notation this takes, in fewer looks at exponents and in less memory. F_j and
:math:`\beta_{j-1} F_{j-1}` share one power of two, moved when the larger of both leaves 2^-100 ... 2^100; so neither
falls out of the range of doubles before it is lost beside the other. The G_j are made on the way back and not kept. In
an entry all powers of two cancel, but for that between F_j and F_(j-1).

Where D_j, in these units, lies outside 2^-300 ... 2^300, which takes a deep cancellation, the row is named, and
`stridiag._kernels.continuants` is to do it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.extended_range import DOWN, LARGE, SMALL, UP, size_of
from stridiag._kernels.extremes import MAGNITUDE

__all__ = ["TAME", "all_tame", "leading", "tame_diagonal", "tame_pattern"]

Array = NDArray[Any]

TAME = np.array([2.0**-40, 2.0**40]).view(np.uint64)
"""Bits of the smallest and of the largest tame number."""
_FAR_ABOVE, _FAR_BELOW = 2.0**300, 2.0**-300


@kernel
def all_tame(bits: NDArray[np.uint64], tame: NDArray[np.uint64]) -> bool:
    """Whether the numbers of these bits are tame; `tame` holds those of the smallest and of the largest that are.

    Magnitudes are ordered as their bits, see `stridiag._kernels.extremes`.
    """
    largest = np.uint64(0)
    smallest = MAGNITUDE
    for i in range(bits.size):
        size = bits[i] & MAGNITUDE
        largest = max(largest, size)
        smallest = min(smallest, size if size > np.uint64(0) else MAGNITUDE)
    return bool(largest <= tame[1] and smallest >= tame[0])


@inlined
def _following(lower: Any, main: Any, upper: Any, this: Any, share: Any, unit: int) -> tuple[Any, Any, int]:
    """Return the continuant with one more row, the one without it, times what joins it to the next, and their unit."""
    if lower == 0.0 and upper == 0.0:
        zero = this * 0
        return zero + 1, zero, 0
    this, share = main * this - share, lower * upper * this
    size = size_of(this)
    if not SMALL <= size <= LARGE:
        size = max(size, size_of(share))
        if size > LARGE:
            return this * DOWN, share * DOWN, unit + 1
        if 0.0 < size < SMALL:
            return this * UP, share * UP, unit - 1
    return this, share, unit


@kernel
def leading(dl: Array, d: Array, du: Array, f: Array, before: Array, units: Array) -> None:
    """Fill `f` and `before` with F_j and beta_(j-1) F_(j-1), and `units`, all (n,), with their exponents."""
    n = d.size
    this = d[0] * 0 + 1
    share = d[0] * 0
    unit = 0
    for j in range(n):
        f[j], before[j], units[j] = this, share, unit
        if j == n - 1:
            break
        this, share, unit = _following(dl[j], d[j], du[j], this, share, unit)


@kernel
def tame_diagonal(dl: Array, d: Array, du: Array, f: Array, before: Array, out: Array) -> int:
    """Fill `out`, (n,), with the diagonal of the inverse. Returns -1, or a row where D_j is far off."""
    n = d.size
    g = d[0] * 0 + 1
    behind = d[0] * 0
    unit = 0
    for j in range(n - 1, -1, -1):
        whole = (d[j] * g - behind) * f[j] - before[j] * g
        if not _FAR_BELOW <= size_of(whole) <= _FAR_ABOVE:
            return j
        out[j] = f[j] * g / whole
        if j > 0:
            g, behind, unit = _following(dl[j - 1], d[j], du[j - 1], g, behind, unit)
    return -1


@kernel
def tame_pattern(
    dl: Array,
    d: Array,
    du: Array,
    f: Array,
    before: Array,
    units: Array,
    lower: Array,
    main: Array,
    upper: Array,
) -> int:
    """Fill in the entries (j + 1, j), (j, j) and (j, j + 1) of the inverse: `main`, (n,), the others (n - 1,) at least.

    Returns -1, or a row where D_j is far off.
    """
    n = d.size
    g = d[0] * 0 + 1
    behind = d[0] * 0
    unit = 0
    for j in range(n - 1, -1, -1):
        whole = (d[j] * g - behind) * f[j] - before[j] * g
        if not _FAR_BELOW <= size_of(whole) <= _FAR_ABOVE:
            return j
        m = g / whole
        main[j] = f[j] * m
        if j > 0:
            below, above = dl[j - 1], du[j - 1]
            m = -f[j - 1] * m
            # Where nothing couples two rows, units begin anew, and zeros come out.
            if units[j - 1] != units[j] and not (below == 0.0 and above == 0.0):
                m = m * (UP if units[j - 1] > units[j] else DOWN)
            lower[j - 1], upper[j - 1] = below * m, above * m
            g, behind, unit = _following(below, d[j], above, g, behind, unit)
    return -1
