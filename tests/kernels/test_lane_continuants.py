"""Continuants of many segments at once, against the same loops over plain numbers, and against exact arithmetic."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from numba import config

from stridiag._kernels import lane_continuants as lanes
from stridiag._kernels.shared_units import new_units

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="vectors exist in compiled code only")

N, LENGTH, GROUPS = 2200, 56, 2
SEGMENTS = lanes.GROUP * GROUPS
HEAD = N - SEGMENTS * LENGTH
START = np.arange(HEAD, N, LENGTH, np.int64)


def chain(kind):
    rng = np.random.default_rng(3)
    dl, d, du = rng.standard_normal((3, N))
    constant = {"decaying": (-0.9, 0.99, 1.0), "oscillating": (1.0, 0.7345, 1.0), "difference": (-1.0, 2.0, -1.0)}
    constant["period six"] = (-1.0, 1.0, -1.0)
    if kind in constant:
        dl[:], d[:], du[:] = constant[kind]
    elif kind == "dominant":
        d += 4 * np.sign(d)
    elif kind == "signs":
        dl, d, du = np.sign((dl, d, du))
    elif kind == "graded":
        scale = 10.0 ** rng.uniform(-6, 6, N)
        d, du, dl = d * scale, du * scale, dl * np.append(scale[1:], 1.0)
    elif kind == "several":
        dl[::97] = 0.0
    elif kind in ("between", "within"):
        # States near zero, each held by one row; between two of them every pair of continuants shrinks, then grows.
        dl[:], d[:], du[:] = -1.0, 3.0, -1.0
        place = START - 1 if kind == "between" else START - (LENGTH // 2) * (np.arange(SEGMENTS) % 2)
        d[place] = (3 - np.sqrt(5)) * (1 + 1e-9 * rng.uniform(-1, 1, SEGMENTS))
    elif kind == "nearly singular":
        with localcontext(prec=60):
            d[-1] = 0
            rest, all_but_last = exact(dl, d, du), exact(dl[:-1], d[:-1], du[:-1])
            d[-1] = float(-rest / all_but_last) * (1 + 1e-13)
    return dl[:-1].copy(), d, du[:-1].copy()


def exact(dl, d, du):
    x, before = Decimal(1), Decimal(0)
    for j in range(d.size):
        beta = Decimal(float(dl[j - 1])) * Decimal(float(du[j - 1])) if j else Decimal(0)
        x, before = Decimal(float(d[j])) * x - beta * before, x
    return x


def passes(dl, d, du, *, plain=False):
    """Return what `join` says after the first pass and, if it takes one, after the second."""
    found, guess = np.empty((lanes.FIELDS, SEGMENTS)), np.empty((2, SEGMENTS))
    answers = []
    for guesses in (None, guess):
        given = None if guesses is None else guesses.copy()
        if plain:
            lanes.run_plain(dl, d, du, START, LENGTH, 32, given, new_units(0, GROUPS), False, found)
        else:
            tile = np.empty(lanes.TILE)
            for group in range(GROUPS):
                lanes.run_lanes(dl, d, du, START, LENGTH, 32, given, new_units(group, group + 1), False, tile, found)
        answers.append(lanes.join(dl, d, du, HEAD, found, guess))
        if answers[-1][2] < 1.0:
            break
    return answers


KINDS = ["random", "dominant", "decaying", "oscillating", "difference", "period six", "signs", "graded", "several"]
KINDS += ["between", "within", "nearly singular"]


@pytest.mark.parametrize("kind", KINDS)
def test_lanes_are_what_plain_loops_are_and_as_accurate_as_one_recurrence(kind):
    dl, d, du = chain(kind)
    answers = passes(dl, d, du)
    np.testing.assert_array_equal(answers, passes(dl, d, du, plain=True))
    m, e, trust = answers[-1]
    assert trust < 1.0
    one, power, _ = lanes.join(dl, d, du, N, np.empty((lanes.FIELDS, 0)), np.empty((2, 0)))
    with localcontext(prec=200, Emax=10**9, Emin=-(10**9)):
        truth = exact(dl, d, du)
        error = abs(Decimal(m) * Decimal(2) ** int(e) / truth - 1)
        error_of_one = abs(Decimal(one) * Decimal(2) ** int(power) / truth - 1)
    assert error < Decimal("0.1")  # and so the sign is right
    assert error <= 30 * error_of_one + Decimal("3e-16") * N


@pytest.mark.parametrize(("kind", "count"), [("dominant", 1), ("decaying", 1), ("difference", 2), ("oscillating", 2)])
def test_where_continuants_grow_one_pass_is_enough(kind, count):
    assert len(passes(*chain(kind))) == count


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300, 1e-40])
@pytest.mark.parametrize("place", [0, HEAD - 1, HEAD + 5, N - 2])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_what_leaves_the_range_is_told(bad, place, part):
    parts = chain("dominant")
    parts[part][place] = bad
    m, _, trust = passes(*parts)[-1]
    assert m == 0.0 or not trust < 1.0 or (bad == 1e300 and np.isfinite(m))


def test_a_zero_determinant_is_left_to_others():
    for k in (0, HEAD, HEAD + 100):
        dl, d, du = chain("random")
        d[k] = 0.0
        du[k : k + 1] = 0.0
        du[max(k - 1, 0)] = 0.0
        assert passes(dl, d, du)[-1][0] == 0.0 or not passes(dl, d, du)[-1][2] < 1.0
