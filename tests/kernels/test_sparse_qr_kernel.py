"""The kernels of the sparse QR: structure against sets, rotations against their definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stridiag._kernels import sparse_qr as kernels
from stridiag._kernels.permutations import permutation_sign


def compress(rows):
    """Return CSR pointers and indices of a list of sets."""
    pointers = np.cumsum([0] + [len(row) for row in rows]).astype(np.int64)
    return pointers, np.array([j for row in rows for j in row], dtype=np.int32)


def merge(rows, room):
    """Run the kernel in `room` entries more each time; return m_k and the rows of R."""
    n = len(rows)
    pointers, indices = compress(rows)
    own_first = np.full(n + 1, -1, np.int32)
    own_next = np.full(n, -1, np.int32)
    active = np.zeros(n, np.int32)
    for i in reversed(range(n)):
        if rows[i]:
            k = min(rows[i])
            own_next[i], own_first[k] = own_first[k], i
            active[k] += 1
    lists = [np.full(n, -1, np.int32) for _ in range(3)]
    r_pointers = np.zeros(n + 1, np.int64)
    columns = np.empty(room, np.int32)
    reached = stops = 0
    while True:
        state = (own_first, own_next, lists[0], lists[1], active, lists[2])
        reached = kernels.merge_rows(pointers, indices, *state, r_pointers, columns, reached)
        if reached == n:
            break
        stops += 1
        columns = np.concatenate([columns, np.empty(room, np.int32)])
    return active, [columns[a:b].tolist() for a, b in itertools.pairwise(r_pointers)], stops


def merge_sets(rows):
    """Return the same from the recurrence as it is written."""
    n = len(rows)
    waiting = [[(row, 1) for row in rows if row and min(row) == k] for k in range(n)]
    active, result = [], []
    for k in range(n):
        union = set().union(*(row for row, _ in waiting[k]))
        count = sum(number for _, number in waiting[k])
        active.append(count)
        result.append(union)
        rest = union - {k}
        if count > 1 and rest:
            waiting[min(rest)].append((rest, count - 1))
    return active, result


def random_rows(n, rng):
    return [{int(j) for j in rng.integers(0, n, rng.integers(0, 4))} for _ in range(n)]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 10, 50])
@pytest.mark.parametrize("room", [1, 7, 10_000])
def test_structure_is_that_of_the_recurrence(n, room):
    rng = np.random.default_rng(n)
    for _ in range(5):
        rows = random_rows(n, rng)
        active, found, stops = merge(rows, room)
        expected_active, expected = merge_sets(rows)
        assert active.tolist() == expected_active
        assert [set(row) for row in found] == expected
        assert sum(map(len, found)) == sum(map(len, expected))
        for k, row in enumerate(found):
            assert not row or (row[0] == k and row[1:2] == sorted(row[1:])[:1])
        assert (stops > 0) == (room < sum(map(len, expected)))


def rotate(f, g, dtype):
    """Return c, s and the new pivot for the column (f, g)."""
    number = np.dtype(dtype)
    data = np.array([f, g, 1], dtype=number)
    r_values = np.zeros(3, number)
    starts, others, first = np.empty(3, np.int64), np.empty(2, np.int32), np.empty(1, np.int32)
    cosines, sines = np.zeros(1, data.real.dtype), np.zeros(1, number)
    count = kernels.factor_rows(
        np.array([0, 1, 3]),
        np.array([0, 0, 1], np.int32),
        data,
        np.arange(2),
        np.array([0, 0], np.int32),
        np.array([0, 2, 3]),
        np.array([0, 1, 1], np.int32),
        r_values,
        np.zeros(2, number),
        np.zeros(2, np.uint8),
        starts,
        others,
        first,
        cosines,
        sines,
    )
    assert count == 1
    return cosines[0], sines[0], r_values[0]


SIZES = {
    "f4": [0.0, 1e-45, 1e-38, 1e-20, 1.0, 1e20, 1e38],
    "f8": [0.0, 5e-324, 1e-310, 1e-300, 1e-160, 1e-140, 1.0, 1e140, 1e160, 1e300],
}


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_rotations_are_unitary_and_exact_at_all_scales(dtype):
    eps = np.finfo(dtype).eps
    tiny = np.finfo(dtype).smallest_subnormal
    phases = [1.0, -1.0] if dtype[0] == "f" else [1.0, 1j, np.exp(2.5j), np.exp(-0.3j)]
    real = "f4" if dtype in ("f4", "c8") else "f8"
    for a, b in itertools.product(SIZES[real], SIZES[real][1:]):
        for u, v in itertools.product(phases, phases):
            f, g = np.array([a * u, b * v], dtype=dtype).astype(np.clongdouble)
            c, s, r = (x.astype(np.clongdouble) for x in rotate(a * u, b * v, dtype))
            size = np.hypot(abs(f), abs(g))
            assert abs(c**2 + abs(s) ** 2 - 1) < 8 * eps
            assert abs(c * g - np.conj(s) * f) <= 8 * eps * size
            assert abs(c * f + s * g - r) <= 8 * eps * size + tiny
            assert c.real >= 0


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 10, 50])
def test_permutation_sign(n):
    rng = np.random.default_rng(n)
    for _ in range(6):
        permutation = rng.permutation(n).astype(np.int32)
        sign = permutation_sign(permutation, np.zeros(n, np.uint8))
        assert sign == round(np.linalg.det(np.eye(n)[permutation]))
