r"""Orthogonal condensation of many segments at a time, one segment in each lane of a vector.

The mathematics is that of `stridiag._kernels.condensation`: a segment [a, b] of interior columns is eliminated by one
reflection of three rows for each column, over the rows a - 1 ... b + 1, and two rows are left over, in the kept columns
a - 2, a - 1, b + 1, b + 2. What differs is what is stored: nothing. A first sweep, `reduce`, keeps the leftover rows
alone; when the kept columns are known, a second one, `expand`, eliminates again, with right-hand sides from which the
known columns have been subtracted (so that there is no fill), and substitutes back while its rows are still in a cache.
Recomputing costs less than the nine numbers a row that would have to be stored and fetched.

Segments are taken in *groups*: two vectors, so that one works while the other waits for its square root. Segments of
one group may differ in length: all end together, and a lane whose segment is shorter keeps its state until its first
column comes. The rows reach the lanes through a tile of 32 rows, transposed in registers.

Every eighth step the two rows that are carried along are multiplied by a number near one, right-hand sides included.
That changes nothing but the rounding errors: on a chain of constant coefficients the carried rows converge, and without
it each step would make the same error again, so that the errors would add up instead of averaging out.

Squares neither overflow nor vanish while the entries of a reflection lie between 1e-140 and 1e140 (1e-15 and 1e15 in
single precision). A group with entries beyond is reported, and left to the plain loops `reduce_one` and `expand_one`,
which scale, and which also serve complex numbers.

References: `stridiag._kernels.condensation`. Recomputing instead of storing, segments as lanes: L.-W. Chang, J. A.
Stratton, H.-S. Kim, W.-M. W. Hwu, "A scalable, numerically stable, high-performance tridiagonal solver using GPUs",
SC 2012, who do so for diagonal pivoting.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.core.types import Complex, NoneType
from numpy.typing import NDArray

from stridiag._kernels.compile import compiled_form, inlined, kernel
from stridiag._kernels.condensation import LEFT1, LEFT2, RIGHT1, RIGHT2
from stridiag._kernels.vectors import (
    BYTES,
    Vector,
    both,
    choose,
    conjugate,
    every,
    gather,
    less,
    load,
    magnitude,
    scatter,
    splat,
    square_root,
    store,
    with_sign_of,
)

__all__ = ["STEADY", "expand", "expand_one", "group_size", "reduce", "reduce_one"]

Array = NDArray[Any]

ROWS = 32
"""Rows of a tile."""

STEADY = 8
"""Steps between two multiplications of the carried rows."""

_LEVELS = 2.0 ** (0.8 * ((np.arange(65) % 64 * 0.6180339887498949) % 1.0 - 0.5))
FACTORS = _LEVELS[1:] / _LEVELS[:-1]
"""What the carried rows are multiplied by: their size stays within a factor of 1.4, and no step sees the same twice."""

# Places, in the scratch of a group, of what its two carried rows begin with, one vector for each half of the lanes.
P0, PW1, PW2, PB, PZ, Q0, Q1, QW2, QB, QZ, BEGIN, SIGN = range(12)


def group_size(dtype: np.dtype[Any]) -> int:
    """Return how many segments a group has."""
    return 2 * BYTES // dtype.itemsize


def _reflector(x0: Any, x1: Any, x2: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Return v1, v2, tau, 1 / d with H (x0, x1, x2) = (d, 0, 0), and the sum of squares; that of vectors may overflow.

    The sum is zero, or not finite, only where x is; then the others mean nothing.
    """
    if isinstance(x0, complex):
        return _complex_reflector(x0, x1, x2)
    return _scaled_reflector(x0, x1, x2)


@inlined
def _real_reflector(x0: Any, x1: Any, x2: Any) -> tuple[Any, Any, Any, Any, Any]:
    square = x0 * x0 + (x1 * x1 + x2 * x2)
    towards = with_sign_of(square_root(square), x0)
    head = x0 + towards
    over = 1.0 / (head * towards)
    common = towards * over
    ratio = head * over
    return x1 * common, x2 * common, head * ratio, -ratio, square


@inlined
def _scaled_reflector(x0: Any, x1: Any, x2: Any) -> tuple[Any, Any, Any, Any, Any]:
    size = max(abs(x0), abs(x1), abs(x2))
    if 1e-140 < size < 1e140:
        return _real_reflector(x0, x1, x2)
    # Accepts the good, so that NaN goes on as it is.
    if not 0.0 < size < np.inf:
        return x0, x0, x0, x0, size
    v1, v2, tau, over, _ = _real_reflector(x0 / size, x1 / size, x2 / size)
    return v1, v2, tau, over / size, size


@inlined
def _complex_reflector(x0: Any, x1: Any, x2: Any) -> tuple[Any, Any, Any, Any, Any]:
    size = max(abs(x0), abs(x1), abs(x2))
    if not 0.0 < size < np.inf:
        return x0, x0, size, x0, size
    x0, x1, x2 = x0 / size, x1 / size, x2 / size
    large = abs(x0)
    norm = math.sqrt(large * large + (x1 * np.conj(x1)).real + (x2 * np.conj(x2)).real)
    phase = x0 / large if large > 0.0 else x0 + 1.0
    head = large + norm
    towards = np.conj(phase) / head
    return x1 * towards, x2 * towards, head / norm, -np.conj(phase) / norm / size, size


@compiled_form(_reflector)
def _compiled_reflector(x0, x1, x2):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if isinstance(x0, Vector):
        return lambda x0, x1, x2: _real_reflector(x0, x1, x2)
    if isinstance(x0, Complex):
        return lambda x0, x1, x2: _complex_reflector(x0, x1, x2)
    return lambda x0, x1, x2: _scaled_reflector(x0, x1, x2)


def _carried(v1: Any, v2: Any, tau: Any, p: Any, q: Any, n: Any) -> tuple[Any, Any, Any]:
    """Apply a reflection to one column of three rows; None stands for a column that is not asked for."""
    if p is None:
        return None, None, None
    share = tau * (p + conjugate(v1) * q + conjugate(v2) * n)
    return p - share, q - v1 * share, n - v2 * share


def _filled(v1: Any, v2: Any, tau: Any, p: Any, q: Any) -> tuple[Any, Any, Any]:
    """Apply a reflection to one column in which the new row has no entry."""
    if p is None:
        return None, None, None
    share = tau * (p + conjugate(v1) * q)
    return p - share, q - v1 * share, -(v2 * share)


def _times(x: Any, factor: Any) -> Any:
    return None if x is None else x * factor


def _either(active: Any, new: Any, old: Any) -> Any:
    return None if new is None else choose(active, new, old)


def _given(asked: Any, x: Any) -> Any:
    """Return x, or None if that for which it is asked is None."""
    return None if asked is None else x


def _entry(array: Any, place: Any) -> Any:
    return 0.0 if array is None else array[place]


# What these become in kernels. The compiler prunes a branch for None only where None is all that an argument can be.


@compiled_form(_carried)
def _compiled_carried(v1, v2, tau, p, q, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def full(v1, v2, tau, p, q, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        share = tau * (p + conjugate(v1) * q + conjugate(v2) * n)
        return p - share, q - v1 * share, n - v2 * share

    return (lambda v1, v2, tau, p, q, n: (None, None, None)) if isinstance(p, NoneType) else full


@compiled_form(_filled)
def _compiled_filled(v1, v2, tau, p, q):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def full(v1, v2, tau, p, q):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        share = tau * (p + conjugate(v1) * q)
        return p - share, q - v1 * share, -(v2 * share)

    return (lambda v1, v2, tau, p, q: (None, None, None)) if isinstance(p, NoneType) else full


@compiled_form(_times)
def _compiled_times(x, factor):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return (lambda x, factor: None) if isinstance(x, NoneType) else (lambda x, factor: x * factor)


@compiled_form(_either)
def _compiled_either(active, new, old):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if isinstance(new, NoneType):
        return lambda active, new, old: None
    return lambda active, new, old: choose(active, new, old)


@compiled_form(_given)
def _compiled_given(asked, x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return (lambda asked, x: None) if isinstance(asked, NoneType) else (lambda asked, x: x)


@compiled_form(_entry)
def _compiled_entry(array, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return (lambda array, place: 0.0) if isinstance(array, NoneType) else (lambda array, place: array[place])


@inlined
def _step(state: Any, n0: Any, n1: Any, n2: Any, nb: Any, nz: Any) -> tuple[Any, Any]:
    """Eliminate one column: return the two rows carried on, and what the pivot row and the reflection are."""
    p0, p1, pw1, pw2, pb, pz, q0, q1, qw1, qw2, qb, qz = state
    v1, v2, tau, over, square = _reflector(p0, q0, n0)
    u1, p0, q0 = _carried(v1, v2, tau, p1, q1, n1)
    share = tau * (conjugate(v2) * n2)
    p1, q1 = -(v1 * share), n2 - v2 * share
    _, pw1, qw1 = _filled(v1, v2, tau, pw1, qw1)
    _, pw2, qw2 = _filled(v1, v2, tau, pw2, qw2)
    yb, pb, qb = _carried(v1, v2, tau, pb, qb, nb)
    yz, pz, qz = _carried(v1, v2, tau, pz, qz, nz)
    return (p0, p1, pw1, pw2, pb, pz, q0, q1, qw1, qw2, qb, qz), (v1, v2, tau, over, u1, -share, yb, yz, square)


@inlined
def _scaled(state: Any, factor: Any) -> Any:
    """Multiply the rows carried along, right-hand sides included."""
    p0, p1, pw1, pw2, pb, pz, q0, q1, qw1, qw2, qb, qz = state
    return (
        p0 * factor,
        p1 * factor,
        _times(pw1, factor),
        _times(pw2, factor),
        _times(pb, factor),
        _times(pz, factor),
        q0 * factor,
        q1 * factor,
        _times(qw1, factor),
        _times(qw2, factor),
        _times(qb, factor),
        _times(qz, factor),
    )


@inlined
def _held(active: Any, new: Any, old: Any) -> Any:
    """Return the new rows where the segment has begun, the old ones elsewhere."""
    a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11 = new
    b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11 = old
    return (
        choose(active, a0, b0),
        choose(active, a1, b1),
        _either(active, a2, b2),
        _either(active, a3, b3),
        _either(active, a4, b4),
        _either(active, a5, b5),
        choose(active, a6, b6),
        choose(active, a7, b7),
        _either(active, a8, b8),
        _either(active, a9, b9),
        _either(active, a10, b10),
        _either(active, a11, b11),
    )


@inlined
def _aligned(array: Any) -> Any:
    """Return the first place of an array at a multiple of 64 bytes; it has room for a vector more than is used."""
    return (-(array.ctypes.data // array.itemsize)) % (BYTES // array.itemsize)


@inlined
def _bring(array: Any, starts: Any, shift: Any, rows: Any, safe: Any, tile: Any, place: Any, size: Any) -> None:
    """Bring `rows` rows of all lanes of a group into the tile, from `shift` behind the lanes' starts."""
    if array is None:
        return
    half = size // 2
    if safe:
        for row in range(0, rows, half):
            gather(array, starts, 0, shift + row, tile, place + row * size, size)
            gather(array, starts, half, shift + row, tile, place + row * size + half, size)
    else:
        for lane in range(size):
            for row in range(rows):
                at = starts[lane] + shift + row
                tile[place + row * size + lane] = array[at] if 0 <= at < array.size else 0.0


@inlined
def _set_out(
    dl: Any,
    d: Any,
    du: Any,
    b: Any,
    probe: Any,
    known: Any,
    first: Any,
    last: Any,
    kept: Any,
    lanes: Any,
    group: Any,
    size: Any,
    starts: Any,
    scratch: Any,
    line: Any,
) -> tuple[Any, Any, Any]:
    """Write down where the lanes of a group begin, and with which two rows.

    Returns the number of steps, that of those which not all lanes take, and whether vectors may be loaded throughout.
    """
    longest = 0
    shortest = d.size
    low, high = d.size, 0
    for lane in range(size):
        s = lanes[min(group * size + lane, lanes.size - 1)]
        longest = max(longest, last[s] - first[s] + 1)
        shortest = min(shortest, last[s] - first[s] + 1)
    half = size // 2
    steps = (longest + half - 1) // half * half
    for lane in range(size):
        s = lanes[min(group * size + lane, lanes.size - 1)]
        a = first[s]
        starts[lane] = last[s] + 1 - steps
        low = min(low, starts[lane])
        high = max(high, last[s] + 1)
        p0, pw1, pw2, pb, pz, q0, q1, qw2, qb, qz = _first_rows(dl, d, du, b, probe, known, a, kept[s, LEFT1] >= 0, s)
        at = line + lane
        scratch[at + P0 * size], scratch[at + PW1 * size], scratch[at + PW2 * size] = p0, pw1, pw2
        scratch[at + Q0 * size], scratch[at + Q1 * size], scratch[at + QW2 * size] = q0, q1, qw2
        scratch[at + PB * size], scratch[at + PZ * size], scratch[at + QB * size], scratch[at + QZ * size] = pb, pz, qb, qz
        scratch[at + BEGIN * size] = steps - (last[s] - a + 1)
        scratch[at + SIGN * size] = _sign(s)
    return steps, steps - shortest, low >= 0 and high < d.size


@inlined
def _sign(s: Any) -> float:
    """Return 1 or -1, as if by chance, for the probe in the rows of a segment."""
    return 1.0 - 2.0 * (((s * 40503) >> 7) & 1)


@inlined
def _begun(scratch: Any, at: Any, size: Any, b: Any, probe: Any, fill: Any) -> Any:
    """Return the two rows that half a group begins with."""
    zero = load(scratch, at + Q0 * size) * 0.0
    return (
        load(scratch, at + P0 * size),
        zero,
        _given(fill, load(scratch, at + PW1 * size)),
        _given(fill, load(scratch, at + PW2 * size)),
        _given(b, load(scratch, at + PB * size)),
        _given(probe, load(scratch, at + PZ * size)),
        load(scratch, at + Q0 * size),
        load(scratch, at + Q1 * size),
        _given(fill, zero),
        _given(fill, load(scratch, at + QW2 * size)),
        _given(b, load(scratch, at + QB * size)),
        _given(probe, load(scratch, at + QZ * size)),
    )


@inlined
def _load_tile(
    dl: Any, d: Any, du: Any, b: Any, starts: Any, step: Any, rows: Any, safe: Any, tile: Any, place: Any, size: Any
) -> None:
    """Bring the rows that come in at `rows` steps into the tile: row j + 1 at the step of column j."""
    _bring(dl, starts, step, rows, safe, tile, place, size)
    _bring(d, starts, step + 1, rows, safe, tile, place + ROWS * size, size)
    _bring(du, starts, step + 1, rows, safe, tile, place + 2 * ROWS * size, size)
    _bring(b, starts, step + 1, rows, safe, tile, place + 3 * ROWS * size, size)


@inlined
def _end_chains(lanes: Any, group: Any, size: Any, kept: Any, tile: Any, place: Any) -> None:
    """Clear the last row of the tile in the lanes of segments that end their chain: no row comes in there."""
    for lane in range(size):
        if kept[lanes[min(group * size + lane, lanes.size - 1)], RIGHT1] < 0:
            for part in range(4):
                tile[place + part * ROWS * size + lane] = 0.0


@inlined
def _in_bounds(square: Any, tiny: Any) -> Any:
    return both(less(tiny, square), less(square, 1.0 / tiny))


def _keep_side(side: Any, sides: Any, s: Any, row: Any, which: Any) -> None:
    """Write down the right-hand side of a leftover row, if there is one."""
    if side is not None:
        sides[s, row, which] = side


def _unite(one: Any, other: Any, x: Any, y: Any) -> Any:
    """Return the row that two parallel rows are multiples, x and y, of; None if there is none."""
    return None if one is None else conjugate(x) * one + conjugate(y) * other


def _probed(probe: Any, place: Any, signs: Any) -> Any:
    """Return what the probe has in a row, with the signs of the segments, or None if there is none."""
    return None if probe is None else splat(probe, place) * signs


def _loaded(asked: Any, tile: Any, place: Any) -> Any:
    """Return a vector of the tile, or None if that for which it is asked is None."""
    return None if asked is None else load(tile, place)


@compiled_form(_keep_side)
def _compiled_keep_side(side, sides, s, row, which):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def full(side, sides, s, row, which):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        sides[s, row, which] = side

    return (lambda side, sides, s, row, which: None) if isinstance(side, NoneType) else full


@compiled_form(_unite)
def _compiled_unite(one, other, x, y):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if isinstance(one, NoneType):
        return lambda one, other, x, y: None
    return lambda one, other, x, y: conjugate(x) * one + conjugate(y) * other


@compiled_form(_probed)
def _compiled_probed(probe, place, signs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if isinstance(probe, NoneType):
        return lambda probe, place, signs: None
    return lambda probe, place, signs: splat(probe, place) * signs


@compiled_form(_loaded)
def _compiled_loaded(asked, tile, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if isinstance(asked, NoneType):
        return lambda asked, tile, place: None
    return lambda asked, tile, place: load(tile, place)


@inlined
def _finish(state: Any, share0: Any, share1: Any, left: Any, s: Any, leftover: Any, sides: Any) -> None:
    """Write down the two leftover rows of a segment; without left neighbours they are parallel, and become one."""
    p0, p1, pw1, pw2, pb, pz, q0, q1, qw1, qw2, qb, qz = state
    if left:
        leftover[s, 0, LEFT2], leftover[s, 0, LEFT1], leftover[s, 0, RIGHT1], leftover[s, 0, RIGHT2] = pw1, pw2, p0, p1
        leftover[s, 0, 4] = share0
        _keep_side(pb, sides, s, 0, 0)
        _keep_side(pz, sides, s, 0, 1)
    else:
        # From the largest entries of both. Of a segment that is its whole chain nothing is left over.
        x, y = p0, q0
        if abs(p1) + abs(q1) > abs(x) + abs(y):
            x, y = p1, q1
        if abs(share0) + abs(share1) > abs(x) + abs(y):
            x, y = share0, share1
        size = math.hypot(abs(x), abs(y))
        if size > 0.0:
            x, y = x / size, y / size
        q0, q1, share1 = _unite(p0, q0, x, y), _unite(p1, q1, x, y), _unite(share0, share1, x, y)
        qb, qz = _unite(pb, qb, x, y), _unite(pz, qz, x, y)
        qw1, qw2 = qw1 * 0.0, qw2 * 0.0
        leftover[s, 0, :] = 0.0
    leftover[s, 1, LEFT2], leftover[s, 1, LEFT1], leftover[s, 1, RIGHT1], leftover[s, 1, RIGHT2] = qw1, qw2, q0, q1
    leftover[s, 1, 4] = share1
    _keep_side(qb, sides, s, 1, 0)
    _keep_side(qz, sides, s, 1, 1)


@inlined
def _first_rows(dl: Any, d: Any, du: Any, b: Any, probe: Any, known: Any, a: Any, left: Any, s: Any) -> Any:
    """Return the two rows that a segment begins with, a - 1 and a, in double precision."""
    zero = d[a] * 0.0
    p0 = pw1 = pw2 = qw2 = zero
    pb, pz, qb, qz = zero, zero, zero + _entry(b, a), zero + _entry(probe, 1) * _sign(s)
    if left:
        p0, pw2, qw2 = zero + du[a - 1], zero + d[a - 1], zero + dl[a - 1]
        if a >= 2:
            pw1 = zero + dl[a - 2]
        pb, pz = zero + _entry(b, a - 1), zero + _entry(probe, 0) * _sign(s)
        if known is not None:
            # The kept columns to the left go to the right-hand sides.
            pb -= pw1 * known[s, LEFT2, 0] + pw2 * known[s, LEFT1, 0]
            qb -= qw2 * known[s, LEFT1, 0]
            if probe is not None:
                pz -= pw1 * known[s, LEFT2, 1] + pw2 * known[s, LEFT1, 1]
                qz -= qw2 * known[s, LEFT1, 1]
    return p0, pw1, pw2, pb, pz, zero + d[a], zero + du[a], qw2, qb, qz


@kernel
def reduce_one(
    dl: Array,
    d: Array,
    du: Array,
    b: Array | None,
    probe: Array | None,
    first: Array,
    last: Array,
    kept: Array,
    s: int,
    leftover: Array,
    sides: Array | None,
) -> int:
    """Do what `reduce` does to one segment; returns -1, or the first column that depends on others."""
    info = -1
    a, end = first[s], last[s]
    left, right = kept[s, LEFT1] >= 0, kept[s, RIGHT1] >= 0
    p0, pw1, pw2, pb, pz, q0, q1, qw2, qb, qz = _first_rows(dl, d, du, b, probe, None, a, left, s)
    zero = q0 * 0.0
    state = (
        p0,
        zero,
        pw1,
        pw2,
        _given(b, pb),
        _given(probe, pz),
        q0,
        q1,
        zero,
        qw2,
        _given(b, qb),
        _given(probe, qz),
    )
    share0, share1 = zero, zero
    for j in range(a, end + 1):
        there = j < end or right
        after = j + 1 if there else j
        n0, n1, n2, nb = zero, zero, zero, zero
        if there:
            n0, n1, n2, nb = zero + dl[j], zero + d[after], zero + du[after], zero + _entry(b, after)
        nz = zero + _entry(probe, 2 + end - j + 1) * _sign(s)
        if (end - j + 1) % STEADY == 0:
            state = _scaled(state, FACTORS[(end - j + 1) // STEADY % 64])
        state, found = _step(state, n0, n1, n2, _given(b, nb), _given(probe, nz))
        v1, v2, tau, _, _, _, _, _, square = found
        if not 0.0 < square < np.inf and info < 0:
            info = j
        share1 = tau * conjugate(v2)
        share0, share1 = -v1 * share1, 1.0 - v2 * share1
    _finish(state, share0, share1, left, s, leftover, sides)
    return info


@inlined
def _put_down(state: Any, last: Any, scratch: Any, at: Any, size: Any) -> None:
    p0, p1, pw1, pw2, pb, pz, q0, q1, qw1, qw2, qb, qz = state
    v1, v2, tau = last
    share = tau * v2
    store(scratch, at, p0)
    store(scratch, at + size, p1)
    store(scratch, at + 2 * size, pw1)
    store(scratch, at + 3 * size, pw2)
    store(scratch, at + 4 * size, q0)
    store(scratch, at + 5 * size, q1)
    store(scratch, at + 6 * size, qw1)
    store(scratch, at + 7 * size, qw2)
    store(scratch, at + 8 * size, -(v1 * share))
    store(scratch, at + 9 * size, 1.0 - v2 * share)
    _stored(scratch, at + 10 * size, pb)
    _stored(scratch, at + 11 * size, qb)
    _stored(scratch, at + 12 * size, pz)
    _stored(scratch, at + 13 * size, qz)


def _stored(array: Any, place: Any, x: Any) -> None:
    if x is not None:
        store(array, place, x)


@compiled_form(_stored)
def _compiled_stored(array, place, x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if isinstance(x, NoneType):
        return lambda array, place, x: None
    return lambda array, place, x: store(array, place, x)


@inlined
def _taken_up(scratch: Any, at: Any, size: Any, b: Any, probe: Any) -> tuple[Any, Any, Any]:
    """Return, of one lane, the two leftover rows and the shares of the links in them."""
    state = (
        scratch[at],
        scratch[at + size],
        scratch[at + 2 * size],
        scratch[at + 3 * size],
        _given(b, scratch[at + 10 * size]),
        _given(probe, scratch[at + 12 * size]),
        scratch[at + 4 * size],
        scratch[at + 5 * size],
        scratch[at + 6 * size],
        scratch[at + 7 * size],
        _given(b, scratch[at + 11 * size]),
        _given(probe, scratch[at + 13 * size]),
    )
    return state, scratch[at + 8 * size], scratch[at + 9 * size]


@kernel
def reduce(
    dl: Array,
    d: Array,
    du: Array,
    b: Array | None,
    probe: Array | None,
    first: Array,
    last: Array,
    kept: Array,
    lanes: Array,
    begin: int,
    end: int,
    leftover: Array,
    sides: Array | None,
    dependent: Array,
) -> None:
    """Eliminate the segments of the groups `begin` ... `end` - 1, and keep what is left over.

    `lanes` orders the segments, those of one group about equally long. Fills `leftover` as
    `stridiag._kernels.condensation.condense` does, and `sides`, (segments, 2, 1 or 2), with the right-hand sides of the
    two leftover rows: `b`, and a pseudo-random one made of the numbers `probe`, of which there are at least as many as
    the longest segment has columns, and 20. ``dependent[group]`` becomes -1, or a column that depends on others.
    """
    size = 2 * BYTES // d.itemsize
    half = size // 2
    # The square of the smallest entry that is trusted; its reciprocal for the largest.
    tiny = 1e-280 if d.itemsize == 8 else 1e-30
    starts = np.empty(size, np.int64)
    tile = np.empty(4 * ROWS * size + half, d.dtype)
    place = _aligned(tile)
    scratch = np.empty(14 * size + half, d.dtype)
    line = _aligned(scratch)
    for group in range(begin, end):
        steps, apart, safe = _set_out(
            dl, d, du, b, probe, None, first, last, kept, lanes, group, size, starts, scratch, line
        )
        one = _begun(scratch, line, size, b, probe, d)
        other = _begun(scratch, line + half, size, b, probe, d)
        begun, begun_other = load(scratch, line + BEGIN * size), load(scratch, line + BEGIN * size + half)
        signs, signs_other = load(scratch, line + SIGN * size), load(scratch, line + SIGN * size + half)
        fine = less(begun, np.inf)
        last_one = (begun, begun, begun)
        last_other = last_one
        for chunk in range(0, steps, ROWS):
            rows = min(ROWS, steps - chunk)
            _load_tile(dl, d, du, b, starts, chunk, rows, safe, tile, place, size)
            if chunk + rows == steps:
                _end_chains(lanes, group, size, kept, tile, place + (rows - 1) * size)
            for row in range(rows):
                step = chunk + row
                before, before_other = one, other
                if row % STEADY == 0:
                    factor = FACTORS[(steps - step) // STEADY % 64]
                    one, other = _scaled(one, factor), _scaled(other, factor)
                at = place + row * size
                rest = 2 + steps - step
                one, found = _step(
                    one,
                    load(tile, at),
                    load(tile, at + ROWS * size),
                    load(tile, at + 2 * ROWS * size),
                    _loaded(b, tile, at + 3 * ROWS * size),
                    _probed(probe, rest, signs),
                )
                last_one = (found[0], found[1], found[2])
                valid = _in_bounds(found[8], tiny)
                other, found = _step(
                    other,
                    load(tile, at + half),
                    load(tile, at + ROWS * size + half),
                    load(tile, at + 2 * ROWS * size + half),
                    _loaded(b, tile, at + 3 * ROWS * size + half),
                    _probed(probe, rest, signs_other),
                )
                last_other = (found[0], found[1], found[2])
                valid_other = _in_bounds(found[8], tiny)
                if step < apart:
                    late, late_other = less(begun, step + 0.5), less(begun_other, step + 0.5)
                    one, other = _held(late, one, before), _held(late_other, other, before_other)
                    valid, valid_other = choose(late, valid, fine), choose(late_other, valid_other, fine)
                fine = both(fine, both(valid, valid_other))
        info = -1
        if every(fine):
            _put_down(one, last_one, scratch, line, size)
            _put_down(other, last_other, scratch, line + half, size)
            for lane in range(min(size, lanes.size - group * size)):
                s = lanes[group * size + lane]
                state, share0, share1 = _taken_up(scratch, line + lane, size, b, probe)
                _finish(state, share0, share1, kept[s, LEFT1] >= 0, s, leftover, sides)
        else:
            for lane in range(min(size, lanes.size - group * size)):
                s = lanes[group * size + lane]
                found_at = reduce_one(dl, d, du, b, probe, first, last, kept, s, leftover, sides)
                if found_at >= 0 and info < 0:
                    info = found_at
        dependent[group] = info


def _entry_of(probe: Any, known: Any, s: Any) -> Any:
    """Return what the links of the last row contribute to the probe."""
    return 0.0 if probe is None else known[s, 4, 1]


def _keep_row(yz: Any, rows: Any, row: Any) -> None:
    if yz is not None:
        rows[row, 4] = yz


@compiled_form(_entry_of)
def _compiled_entry_of(probe, known, s):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return (lambda probe, known, s: 0.0) if isinstance(probe, NoneType) else (lambda probe, known, s: known[s, 4, 1])


@compiled_form(_keep_row)
def _compiled_keep_row(yz, rows, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def full(yz, rows, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        rows[row, 4] = yz

    return (lambda yz, rows, row: None) if isinstance(yz, NoneType) else full


@inlined
def _keep_pivot_row(stored: Any, at: Any, size: Any, found: Any) -> None:
    _, _, _, over, u1, u2, yb, yz, _ = found
    store(stored, at, over)
    store(stored, at + size, u1)
    store(stored, at + 2 * size, u2)
    store(stored, at + 3 * size, yb)
    _stored(stored, at + 4 * size, yz)


@inlined
def _substituted(stored: Any, at: Any, side: Any, size: Any, x1: Any, x2: Any) -> Any:
    """Return the next unknown of back substitution, given the two behind it."""
    rest = load(stored, side) - load(stored, at + 2 * size) * x2
    return (rest - load(stored, at + size) * x1) * load(stored, at)


@inlined
def _take_back(
    x: Any,
    starts: Any,
    top: Any,
    rows: Any,
    apart: Any,
    tile: Any,
    place: Any,
    size: Any,
    used: Any,
    scratch: Any,
    line: Any,
) -> None:
    """Bring `rows` rows of the tile to x, but for those that come before the segment of a lane, and idle lanes."""
    half = size // 2
    for row in range(0, rows, half):
        if top + row >= apart and used == size:
            scatter(x, starts, 0, top + row, tile, place + row * size, size)
            scatter(x, starts, half, top + row, tile, place + row * size + half, size)
        else:
            for lane in range(used):
                for each in range(row, row + half):
                    if top + each >= scratch[line + BEGIN * size + lane]:
                        x[starts[lane] + top + each] = tile[place + each * size + lane]


def _square_sum(
    probe: Any,
    stored: Any,
    origin: Any,
    width: Any,
    steps: Any,
    apart: Any,
    scratch: Any,
    line: Any,
    size: Any,
    used: Any,
) -> float:
    """Substitute back for the probe, and return the sum of the squares over the lanes in use."""
    return 0.0


@compiled_form(_square_sum)
def _compiled_square_sum(  # type: ignore[no-untyped-def]  # noqa: ANN202
    probe,  # noqa: ANN001
    stored,  # noqa: ANN001
    origin,  # noqa: ANN001
    width,  # noqa: ANN001
    steps,  # noqa: ANN001
    apart,  # noqa: ANN001
    scratch,  # noqa: ANN001
    line,  # noqa: ANN001
    size,  # noqa: ANN001
    used,  # noqa: ANN001
):
    if isinstance(probe, NoneType):
        return lambda probe, stored, origin, width, steps, apart, scratch, line, size, used: 0.0

    def full(probe, stored, origin, width, steps, apart, scratch, line, size, used):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        half = size // 2
        x1, x2 = load(scratch, line + 2 * size), load(scratch, line + 3 * size)
        y1, y2 = load(scratch, line + 2 * size + half), load(scratch, line + 3 * size + half)
        begun, begun_other = load(scratch, line + BEGIN * size), load(scratch, line + BEGIN * size + half)
        zero = begun * 0.0
        total, total_other = zero, zero
        for step in range(steps - 1, -1, -1):
            at = origin + step * width
            x1, x2 = _substituted(stored, at, at + 4 * size, size, x1, x2), x1
            y1, y2 = _substituted(stored, at + half, at + 4 * size + half, size, y1, y2), y1
            if step >= apart:
                total, total_other = total + x1 * x1, total_other + y1 * y1
            else:
                total = choose(less(begun, step + 0.5), total + x1 * x1, total)
                total_other = choose(less(begun_other, step + 0.5), total_other + y1 * y1, total_other)
        store(scratch, line, total)
        store(scratch, line + half, total_other)
        result = 0.0
        for lane in range(used):
            result += scratch[line + lane]
        return result

    return full


@kernel
def expand_one(
    dl: Array,
    d: Array,
    du: Array,
    b: Array,
    probe: Array | None,
    known: Array,
    first: Array,
    last: Array,
    kept: Array,
    s: int,
    x: Array,
) -> float:
    """Do what `expand` does to one segment; returns the sum of the squares of the probe's solution."""
    a, end = first[s], last[s]
    left, right = kept[s, LEFT1] >= 0, kept[s, RIGHT1] >= 0
    p0, _, _, pb, pz, q0, q1, _, qb, qz = _first_rows(dl, d, du, b, probe, known, a, left, s)
    zero = q0 * 0.0
    state = (p0, zero, None, None, pb, _given(probe, pz), q0, q1, None, None, qb, _given(probe, qz))
    rows = np.empty((end - a + 1, 5), known.dtype)
    for j in range(a, end + 1):
        there = j < end or right
        after = j + 1 if there else j
        n0, n1, n2, nb, nz = zero, zero, zero, zero, zero
        if there:
            n0, n1, n2, nb = zero + dl[j], zero + d[after], zero + du[after], zero + b[after]
            nz = zero + _entry(probe, 2 + end - j + 1) * _sign(s)
        if j == end:
            nb -= known[s, 4, 0]
            nz -= _entry_of(probe, known, s)
        if (end - j + 1) % STEADY == 0:
            state = _scaled(state, FACTORS[(end - j + 1) // STEADY % 64])
        state, found = _step(state, n0, n1, n2, nb, _given(probe, nz))
        _, _, _, over, u1, u2, yb, yz, _ = found
        rows[j - a, 0], rows[j - a, 1], rows[j - a, 2], rows[j - a, 3] = over, u1, u2, yb
        _keep_row(yz, rows, j - a)
    x1, x2 = zero + known[s, RIGHT1, 0], zero + known[s, RIGHT2, 0]
    for j in range(end, a - 1, -1):
        over, u1, u2 = rows[j - a, 0], rows[j - a, 1], rows[j - a, 2]
        x1, x2 = (rows[j - a, 3] - u1 * x1 - u2 * x2) * over, x1
        x[j] = x1
    total = 0.0
    if probe is not None:
        x1, x2 = zero + known[s, RIGHT1, 1], zero + known[s, RIGHT2, 1]
        for j in range(end, a - 1, -1):
            over, u1, u2 = rows[j - a, 0], rows[j - a, 1], rows[j - a, 2]
            x1, x2 = (rows[j - a, 4] - u1 * x1 - u2 * x2) * over, x1
            total += abs(x1) * abs(x1)
    return total


@kernel
def expand(
    dl: Array,
    d: Array,
    du: Array,
    b: Array,
    probe: Array | None,
    known: Array,
    first: Array,
    last: Array,
    kept: Array,
    lanes: Array,
    begin: int,
    end: int,
    x: Array,
    squares: Array,
) -> None:
    """Fill in `x`, (n,), at the columns of the segments of the groups `begin` ... `end` - 1, from the kept columns.

    ``known[s]``, (5, 1 or 2), holds what is known around segment s, for `b` and for the probe: x at the kept columns
    a - 2, a - 1, b + 1, b + 2 (zero where there is none), and the sum of the links in row b + 1 times x. With a probe,
    ``squares[group]`` becomes the sum of the squares of its solution.
    """
    size = 2 * BYTES // d.itemsize
    half = size // 2
    tiny = 1e-280 if d.itemsize == 8 else 1e-30
    starts = np.empty(size, np.int64)
    tile = np.empty(4 * ROWS * size + half, d.dtype)
    place = _aligned(tile)
    scratch = np.empty(14 * size + half, d.dtype)
    line = _aligned(scratch)
    # What the pivot rows of a group are, five vectors and five for each step.
    longest = 0
    for group in range(begin, end):
        for lane in range(size):
            s = lanes[min(group * size + lane, lanes.size - 1)]
            longest = max(longest, last[s] - first[s] + 1)
    width = 5 * size
    stored = np.empty((longest + half) * width + half, d.dtype)
    origin = _aligned(stored)
    for group in range(begin, end):
        steps, apart, safe = _set_out(
            dl, d, du, b, probe, known, first, last, kept, lanes, group, size, starts, scratch, line
        )
        one = _begun(scratch, line, size, b, probe, None)
        other = _begun(scratch, line + half, size, b, probe, None)
        begun, begun_other = load(scratch, line + BEGIN * size), load(scratch, line + BEGIN * size + half)
        signs, signs_other = load(scratch, line + SIGN * size), load(scratch, line + SIGN * size + half)
        fine = less(begun, np.inf)
        for chunk in range(0, steps, ROWS):
            rows = min(ROWS, steps - chunk)
            _load_tile(dl, d, du, b, starts, chunk, rows, safe, tile, place, size)
            if chunk + rows == steps:
                _end_chains(lanes, group, size, kept, tile, place + (rows - 1) * size)
                for lane in range(size):
                    s = lanes[min(group * size + lane, lanes.size - 1)]
                    tile[place + (3 * ROWS + rows - 1) * size + lane] -= known[s, 4, 0]
            for row in range(rows):
                step = chunk + row
                before, before_other = one, other
                if row % STEADY == 0:
                    factor = FACTORS[(steps - step) // STEADY % 64]
                    one, other = _scaled(one, factor), _scaled(other, factor)
                at = place + row * size
                to = origin + step * width
                rest = 2 + steps - step
                one, found = _step(
                    one,
                    load(tile, at),
                    load(tile, at + ROWS * size),
                    load(tile, at + 2 * ROWS * size),
                    load(tile, at + 3 * ROWS * size),
                    _probed(probe, rest, signs),
                )
                _keep_pivot_row(stored, to, size, found)
                valid = _in_bounds(found[8], tiny)
                other, found = _step(
                    other,
                    load(tile, at + half),
                    load(tile, at + ROWS * size + half),
                    load(tile, at + 2 * ROWS * size + half),
                    load(tile, at + 3 * ROWS * size + half),
                    _probed(probe, rest, signs_other),
                )
                _keep_pivot_row(stored, to + half, size, found)
                valid_other = _in_bounds(found[8], tiny)
                if step < apart:
                    late, late_other = less(begun, step + 0.5), less(begun_other, step + 0.5)
                    one, other = _held(late, one, before), _held(late_other, other, before_other)
                    valid, valid_other = choose(late, valid, fine), choose(late_other, valid_other, fine)
                fine = both(fine, both(valid, valid_other))
        used = min(size, lanes.size - group * size)
        if not every(fine):
            total = 0.0
            for lane in range(used):
                s = lanes[group * size + lane]
                total += expand_one(dl, d, du, b, probe, known, first, last, kept, s, x)
            squares[group] = total
            continue
        for lane in range(size):
            s = lanes[min(group * size + lane, lanes.size - 1)]
            for which in range(known.shape[2]):
                scratch[line + 2 * which * size + lane] = known[s, RIGHT1, which]
                scratch[line + (2 * which + 1) * size + lane] = known[s, RIGHT2, which]
        x1, x2 = load(scratch, line), load(scratch, line + size)
        y1, y2 = load(scratch, line + half), load(scratch, line + size + half)
        for top in range((steps - 1) // ROWS * ROWS, -1, -ROWS):
            rows = min(ROWS, steps - top)
            for row in range(rows - 1, -1, -1):
                at = origin + (top + row) * width
                x1, x2 = _substituted(stored, at, at + 3 * size, size, x1, x2), x1
                y1, y2 = _substituted(stored, at + half, at + 3 * size + half, size, y1, y2), y1
                store(tile, place + row * size, x1)
                store(tile, place + row * size + half, y1)
            _take_back(x, starts, top, rows, apart, tile, place, size, used, scratch, line)
        squares[group] = _square_sum(probe, stored, origin, width, steps, apart, scratch, line, size, used)
