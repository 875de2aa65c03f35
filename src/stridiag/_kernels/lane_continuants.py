r"""Determinants of chains by continuants, a segment of the rows in each lane.

The continuant of the rows before row j, :math:`F_j`, follows from two earlier ones,

.. math:: F_{j+1} = d_j F_j - \beta_{j-1} F_{j-1}, \qquad \beta_j = l_j u_j,

without any division. A segment of rows is a linear map of such pairs, so segments can be worked on at the same time,
each from two starting pairs, and be joined afterwards.

**Not any two starting pairs do.** A pair that shrinks over a segment, where others grow, is then a difference of large
numbers; and two such places, one at either end, would square the condition number in the error. So one of the two
pairs is (nearly) the one that will arrive, `guess`; the other stands in for what is wrong with it. The guess comes
from the same recurrence, begun some rows before the segment (`warm` of them): where continuants grow, they forget
where they began. What arrives is :math:`\alpha\,\mathrm{guess} + \mu\,\mathrm{other}`, and as long as
:math:`|\mu|` times what the other grew to, at any time, is small against :math:`|\alpha|` times the first, rounding
errors are those of the plain recurrence. That is checked, block by block (`GROWTH`). Where it fails, a second pass
takes the pairs that the first has found as guesses, and what is wrong with them is of the size of rounding errors.

**Range.** Both pairs are divided by the same power of two every 8 rows. The d_j and beta_j are to be zero or
at least 2^-80, and of a pair no number may fall 2^-300 behind the other (`LEAST`); then nothing underflows. What
overflows becomes infinite or NaN, and stays so. Whoever calls looks at both, and has another way.

A group is 16 segments: two vectors, since one would wait for its own results.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import inlined, kernel
from stridiag._kernels.gathered_products import gather_products
from stridiag._kernels.shared_units import Units, take
from stridiag._kernels.vector_numbers import spread
from stridiag._kernels.vectors import (
    both,
    choose,
    exponent_of,
    gather,
    least_of,
    less,
    load,
    magnitude,
    power_below,
    prefetch,
    store,
)

__all__ = ["BLOCK", "FIELDS", "GROUP", "TILE", "join", "run_lanes", "run_plain"]

Array = NDArray[Any]
Index = NDArray[np.int64]

GROUP = 16
"""Segments of a group."""
BLOCK = 8
"""Rows between two scalings."""

TILE = 2 * BLOCK * GROUP
"""Numbers of the work array."""

# What is found of a segment: the pair that it begins with and what this becomes, the other pair and what that becomes,
# the power of two that both results are to be multiplied with, the largest square of the ratio of the two, and the
# smallest entry (0 where numbers fell too far behind).
GUESS, TO, OTHER, OTHER_TO, EXPONENT, GROWTH, LEAST = 0, 2, 4, 6, 8, 9, 10
FIELDS = 11

# Rows by which the processor is told what will be needed: it does not follow 48 streams by itself.
_AHEAD = 32
_TINY = 2.0**-300
_SMALLEST = 2.0**-80
# Shares of the other pair, in what arrives, up to which the first carries the digits.
_SHARE = 2.0**-4


@inlined
def _ratio(x: Any, x0: Any, y: Any, y0: Any, beta: Any) -> Any:
    """Return the square of the ratio of two pairs' sizes."""
    weight = magnitude(beta)
    return (y * y + weight * (y0 * y0)) / (x * x + weight * (x0 * x0))


@inlined
def _larger(x: Any, y: Any) -> Any:
    return choose(less(y, x), x, y)


@inlined
def _smaller(x: Any, y: Any) -> Any:
    return choose(less(x, y), x, y)


@inlined
def _not_behind(least: Any, x: Any, before: Any) -> Any:
    """Return `least`, or 0 if one number of the pair is lost beside the other."""
    size = _smaller(magnitude(x), magnitude(before))
    return choose(both(less(0.0, size), less(size, _TINY)), size * 0.0, least)


@inlined
def _scaled(
    x: Any, x0: Any, y: Any, y0: Any, beta: Any, e: Any, growth: Any, least: Any
) -> tuple[Any, Any, Any, Any, Any, Any, Any]:
    """Divide two pairs by one power of two and look at what became of them."""
    size = _larger(magnitude(x), magnitude(x0))
    share = 1.0 / power_below(size)
    e = e + exponent_of(size)
    x, x0, y, y0 = x * share, x0 * share, y * share, y0 * share
    growth = _larger(growth, _ratio(x, x0, y, y0, beta))
    return x, x0, y, y0, e, growth, _not_behind(least, x, x0)


@inlined
def _other(x: Any, x0: Any, beta: Any) -> tuple[Any, Any]:
    """Return the unit pair that differs most from a given one."""
    wide = less(magnitude(beta) * (x0 * x0), x * x)
    zero = x * 0.0
    return choose(wide, zero, zero + 1.0), choose(wide, zero + 1.0, zero)


@kernel
def run_lanes(
    dl: Array,
    d: Array,
    du: Array,
    start: Index,
    length: int,
    warm: int,
    guess: Array | None,
    units: Units,
    from_end: bool,
    tile: Array,
    found: Array,
) -> None:
    """Run the groups that are taken: see `stridiag._kernels.shared_units`.

    Parameters
    ----------
    dl, d, du : ndarray, (n - 1,) or longer, (n,), (n - 1,) or longer
        The chains, one behind another; zeros in `dl` or `du` between them.
    start : ndarray of int64, (segments,)
        First rows, at least ``warm + 1``; segments is a multiple of 16.
    length, warm : int
        Rows of every segment, and rows before it to begin with: multiples of 8.
    guess : ndarray, (2, segments), or None
        Pairs to begin with, the larger number about 1; then `warm` counts for nothing.
    tile : ndarray, (TILE,)
        Work: 2 arrays of 8 rows and 16 segments.
    found : ndarray, (11, segments)
    """
    segments = start.size
    group = take(units, from_end)
    while group >= 0:
        s = GROUP * group
        one = spread(tile, 1.0)
        zero = one - one
        x, x0, y, y0, e, growth, least = one, zero, zero, zero, zero, zero, one
        xx, xx0, yy, yy0, ee, ggrowth, lleast = one, zero, zero, zero, zero, zero, one
        beta, bbeta = zero, zero
        begin = -warm
        if guess is not None:
            begin = 0
            x, x0 = load(guess, s), load(guess, segments + s)
            xx, xx0 = load(guess, s + 8), load(guess, segments + s + 8)
        for row in range(begin, length, BLOCK):
            for lane in range(s, s + GROUP):
                ahead = start[lane] + row + _AHEAD
                prefetch(dl, ahead)
                prefetch(d, ahead)
                prefetch(du, ahead)
            gather_products(dl, du, start, s, row - 1, tile, 0, GROUP)
            gather_products(dl, du, start, s + 8, row - 1, tile, 8, GROUP)
            gather(d, start, s, row, tile, 128, GROUP)
            gather(d, start, s + 8, row, tile, 136, GROUP)
            if row == 0:
                beta, bbeta = load(tile, 0), load(tile, 8)
                y, y0 = _other(x, x0, beta)
                yy, yy0 = _other(xx, xx0, bbeta)
                growth, ggrowth = _ratio(x, x0, y, y0, beta), _ratio(xx, xx0, yy, yy0, bbeta)
                e, ee = zero, zero
                for k, (left, right) in enumerate(((x, xx), (x0, xx0))):
                    store(found, (GUESS + k) * segments + s, left)
                    store(found, (GUESS + k) * segments + s + 8, right)
                for k, (left, right) in enumerate(((y, yy), (y0, yy0))):
                    store(found, (OTHER + k) * segments + s, left)
                    store(found, (OTHER + k) * segments + s + 8, right)
            if row < 0:
                for r in range(BLOCK):
                    at = GROUP * r
                    beta, bbeta = load(tile, at), load(tile, at + 8)
                    x, x0 = load(tile, 128 + at) * x - beta * x0, x
                    xx, xx0 = load(tile, 136 + at) * xx - bbeta * xx0, xx
            else:
                for r in range(BLOCK):
                    at = GROUP * r
                    beta, main = load(tile, at), load(tile, 128 + at)
                    least = least_of(least_of(least, beta), main)
                    x, x0 = main * x - beta * x0, x
                    y, y0 = main * y - beta * y0, y
                    bbeta, main = load(tile, at + 8), load(tile, 136 + at)
                    lleast = least_of(least_of(lleast, bbeta), main)
                    xx, xx0 = main * xx - bbeta * xx0, xx
                    yy, yy0 = main * yy - bbeta * yy0, yy
            x, x0, y, y0, e, growth, least = _scaled(x, x0, y, y0, beta, e, growth, least)
            xx, xx0, yy, yy0, ee, ggrowth, lleast = _scaled(xx, xx0, yy, yy0, bbeta, ee, ggrowth, lleast)
        for k, (left, right) in enumerate(((x, xx), (x0, xx0))):
            store(found, (TO + k) * segments + s, left)
            store(found, (TO + k) * segments + s + 8, right)
        for k, (left, right) in enumerate(((y, yy), (y0, yy0), (e, ee), (growth, ggrowth), (least, lleast))):
            store(found, (OTHER_TO + k) * segments + s, left)
            store(found, (OTHER_TO + k) * segments + s + 8, right)
        group = take(units, from_end)


@kernel
def run_plain(
    dl: Array,
    d: Array,
    du: Array,
    start: Index,
    length: int,
    warm: int,
    guess: Array | None,
    units: Units,
    from_end: bool,
    found: Array,
) -> None:
    """Do what `run_lanes` does, one segment after another."""
    group = take(units, from_end)
    while group >= 0:
        for s in range(GROUP * group, GROUP * (group + 1)):
            x, x0, y, y0, e, growth, least, beta = 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0
            begin = -warm
            if guess is not None:
                begin = 0
                x, x0 = guess[0, s], guess[1, s]
            for row in range(begin, length, BLOCK):
                j = start[s] + row
                if row == 0:
                    beta = dl[j - 1] * du[j - 1]
                    y, y0 = _other(x, x0, beta)
                    growth = _ratio(x, x0, y, y0, beta)
                    e, least = 0.0, 1.0
                    found[GUESS, s], found[GUESS + 1, s] = x, x0
                    found[OTHER, s], found[OTHER + 1, s] = y, y0
                for r in range(BLOCK):
                    below, above, main = dl[j + r - 1], du[j + r - 1], d[j + r]
                    beta = below * above
                    least = least_of(least_of(least, beta), main)
                    x, x0 = main * x - beta * x0, x
                    y, y0 = main * y - beta * y0, y
                x, x0, y, y0, e, growth, least = _scaled(x, x0, y, y0, beta, e, growth, least)
            found[TO, s], found[TO + 1, s] = x, x0
            found[OTHER_TO, s], found[OTHER_TO + 1, s] = y, y0
            found[EXPONENT, s], found[GROWTH, s], found[LEAST, s] = e, growth, least
        group = take(units, from_end)


@kernel
def join(dl: Array, d: Array, du: Array, head: int, found: Array, guess: Array) -> tuple[float, float, float]:
    """Go through the rows before the segments, `head` of them, and through the segments.

    Returns m, e and a number: the determinant is m 2^e, and its digits are those of the plain recurrence, if that
    number is below 1. Otherwise `guess`, (2, segments), holds what a second pass may begin with. m is 0 where the range
    of numbers did not suffice, or the determinant is zero.
    """
    x, x0, e, least = 1.0, 0.0, 0.0, 1.0
    for j in range(head):
        beta = 0.0
        if j > 0:
            beta = dl[j - 1] * du[j - 1]
        least = least_of(least_of(least, beta), d[j])
        x, x0 = d[j] * x - beta * x0, x
        if j % BLOCK == BLOCK - 1:
            size = _larger(magnitude(x), magnitude(x0))
            share = 1.0 / power_below(size)
            e += exponent_of(size)
            x, x0 = x * share, x0 * share
            least = _not_behind(least, x, x0)
    worst = 0.0
    for s in range(found.shape[1]):
        size = _larger(magnitude(x), magnitude(x0))
        share = 1.0 / power_below(size)
        e += exponent_of(size)
        x, x0 = x * share, x0 * share
        least = _not_behind(least, x, x0)
        guess[0, s], guess[1, s] = x, x0
        v, v0 = found[GUESS, s], found[GUESS + 1, s]
        if found[OTHER, s] == 0.0:
            alpha = x / v
            mu = x0 - alpha * v0
        else:
            alpha = x0 / v0
            mu = x - alpha * v
        share = magnitude(mu) * math.sqrt(found[GROWTH, s]) / (_SHARE * magnitude(alpha))
        # The other way round, so that what is no number is kept.
        if not share <= worst:
            worst = share
        x = alpha * found[TO, s] + mu * found[OTHER_TO, s]
        x0 = alpha * found[TO + 1, s] + mu * found[OTHER_TO + 1, s]
        e += found[EXPONENT, s]
        least = _smaller(least, found[LEAST, s])
    if not (least >= _SMALLEST and magnitude(x) < np.inf):
        return 0.0, 0.0, worst
    return x, e, worst
