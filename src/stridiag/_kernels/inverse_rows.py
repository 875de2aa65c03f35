"""The inverse of one chain from its generators, in explicit vectors: see `stridiag._kernels.continuants`.

Rows are independent of one another, and nearly all of the time goes into writing: so large results are written past
the caches, and what would be subnormal is written as zero, since some processors take a hundred times as long for it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.continuants import V, X
from stridiag._kernels.extended_range import UNIT
from stridiag._kernels.vectors import choose, less, load, magnitude, splat, store, store_past_caches

__all__ = ["write_rows"]

Array = NDArray[Any]
Index = NDArray[np.int64]

_LANES = 8
_NORMAL = 2.0**-1022
# Outside, a product of two numbers may leave the range of a double in more than one step.
_PLAIN = 2


@inlined
def _product(scaled: Any, m: Any, one: Any, other: Any, least: Any) -> Any:
    """Return the product of four numbers, or 0 where the first three give less than `least`."""
    product = scaled * m * one
    return choose(less(magnitude(product), least), product * 0.0, product) * other


@inlined
def _powers(e: int) -> tuple[float, float, float]:
    """Return two powers of two whose product is 2^(200 e), and below what the second one makes a subnormal number."""
    half = min(max(e, -2), 2)
    rest = min(max(e - half, -5), 5)
    other = math.ldexp(1.0, UNIT * rest)
    return math.ldexp(1.0, UNIT * half), other, _NORMAL / min(other, 1.0)


@kernel
def write_rows(
    mantissa: Array,
    exponent: Index,
    dl: Array,
    du: Array,
    upper: Array,
    upper_start: Index,
    upper_unit: Index,
    lower: Array,
    lower_start: Index,
    lower_unit: Index,
    shift: int,
    past: bool,
    begin: int,
    end: int,
    out: Array,
) -> None:
    """Fill the rows `begin` ... `end` - 1 of `out`, (n, n), with those of the inverse.

    As `stridiag._kernels.continuants.write_inverse` for a single chain. `shift` is how many numbers `out` lies behind
    a multiple of 64 bytes; `past` whether to write past the caches.
    """
    n = out.shape[1]
    zero = splat(dl, 0) * 0.0
    first_upper, first_lower, run = 0, 0, 0
    for i in range(end):
        if i == 0 or dl[i - 1] == 0.0:
            run = i
            while lower_start[first_lower] < i:
                first_lower += 1
        while upper_start[first_upper + 1] <= i:
            first_upper += 1
        if i < begin:
            continue
        base = i * n
        b, right = first_lower, False
        j = 0
        while j < n:
            # A stretch of one factor: zeros, blocks to the left, blocks from the diagonal on, zeros.
            if not right and j >= i:
                right, b = True, first_upper
            ended = right and j > i and du[j - 1] == 0.0
            if j < run or ended:
                stop = run if j < run else n
                m, e, none = 0.0, 0, True
            else:
                if right:
                    stop = upper_start[b + 1]
                    m, e = mantissa[X, i], exponent[X, i] + upper_unit[b]
                else:
                    stop = min(lower_start[b + 1], i)
                    m, e = mantissa[V, i], exponent[V, i] + lower_unit[b]
                b += 1
                none = e < -7 or m == 0.0
            inside = min(stop, j + (-(shift + base + j)) % _LANES)
            rest = stop - (stop - inside) % _LANES
            source = upper if right else lower
            if none:
                for k in range(j, inside):
                    out[i, k] = 0.0
                if past:
                    for k in range(inside, rest, _LANES):
                        store_past_caches(out, base + k, zero)
                else:
                    for k in range(inside, rest, _LANES):
                        store(out, base + k, zero)
                for k in range(rest, stop):
                    out[i, k] = 0.0
            elif -_PLAIN <= e <= _PLAIN:
                m = m * math.ldexp(1.0, UNIT * int(e))
                for k in range(j, inside):
                    out[i, k] = source[k] * m
                if past:
                    for k in range(inside, rest, _LANES):
                        store_past_caches(out, base + k, load(source, k) * m)
                else:
                    for k in range(inside, rest, _LANES):
                        store(out, base + k, load(source, k) * m)
                for k in range(rest, stop):
                    out[i, k] = source[k] * m
            else:
                one, other, least = _powers(int(e))
                for k in range(j, inside):
                    out[i, k] = _product(source[k], m, one, other, least)
                if past:
                    for k in range(inside, rest, _LANES):
                        store_past_caches(out, base + k, _product(load(source, k), m, one, other, least))
                else:
                    for k in range(inside, rest, _LANES):
                        store(out, base + k, _product(load(source, k), m, one, other, least))
                for k in range(rest, stop):
                    out[i, k] = _product(source[k], m, one, other, least)
            j = stop
