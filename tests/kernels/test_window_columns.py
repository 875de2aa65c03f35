"""Columns of the inverse near the diagonal: in lanes, by plain loops, and by LAPACK."""

import numpy as np
import pytest

from stridiag._kernels.compile import COMPILES
from stridiag._kernels.window_columns import columns, plain_columns

pytestmark = pytest.mark.skipif(not COMPILES, reason="explicit vectors exist in compiled code only")

EPS = np.finfo(np.float64).eps
KINDS = ("dominant", "normal", "graded", "constant", "signs")


def chains(n, stride, kind, seed=0):
    rng = np.random.default_rng(seed)
    dl, d, du = (rng.normal(size=size) for size in (n - stride, n, n - stride))
    if kind == "dominant":
        d += np.copysign(8.0, d)
    elif kind == "graded":
        dl, d, du = (part * 10.0 ** rng.uniform(-4, 4, part.size) for part in (dl, d, du))
    elif kind == "constant":
        dl[:], d[:], du[:] = -0.9, 0.99, 1.0
    elif kind == "signs":
        dl, d, du = (np.sign(part) for part in (dl, d, du))
    return dl, d, du


def found(kernel, dl, d, du, stride, margin, rows, near=True):
    made = np.full((rows.size, 2 * margin + 1), 7.0) if near else None
    sizes, ended = np.full((2, rows.size), 7.0)
    kernel(dl, d, du, stride, margin, rows, made, sizes, ended)
    return made, sizes, ended


def places(n, count, seed):
    """Return different rows, with both ends among them."""
    inner = np.random.default_rng(seed).choice(np.arange(1, n - 1), count - 2, replace=False)
    return np.concatenate(([0], np.sort(inner), [n - 1]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("n", "stride", "margin", "count"),
    [(5000, 1, 64, 21), (5001, 8, 32, 16), (300, 1, 192, 3), (777, 3, 96, 9), (30_000, 64, 32, 25)],
)
def test_lanes_do_what_plain_loops_do(n, stride, margin, count, kind):
    given = (*chains(n, stride, kind), stride, margin, places(n, count, margin))
    near, sizes, ended = found(columns, *given)
    plain, plain_sizes, plain_ended = found(plain_columns, *given)
    scale = abs(plain).max(axis=1)
    # Of chains that are not dominant some columns are ill-conditioned.
    loss = 1.0 if kind == "dominant" else 1e5
    assert (abs(near - plain).max(axis=1) <= 1e-14 * loss * scale).all()
    np.testing.assert_allclose(sizes, plain_sizes, rtol=1e-13 * loss)
    np.testing.assert_allclose(ended, plain_ended, rtol=1e-10 * loss, atol=1e-14 * loss)
    without = found(columns, *given, near=False)
    assert without[0] is None
    np.testing.assert_array_equal(without[1], sizes)
    np.testing.assert_array_equal(without[2], ended)


@pytest.mark.parametrize("kernel", [columns, plain_columns])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "stride", "margin"), [(900, 1, 128), (700, 3, 160), (40, 1, 64)])
def test_they_solve_the_equations_of_their_windows(n, stride, margin, kind, kernel):
    dl, d, du = chains(n, stride, kind, seed=2)
    rows = places(n, 12, 5)
    near, sizes, ended = found(kernel, dl, d, du, stride, margin, rows)
    for z, row, size, end in zip(near, rows, sizes, ended, strict=True):
        at = row + stride * np.arange(-margin, margin + 1)
        inside = (at >= 0) & (at < n)
        assert (z[~inside] == 0).all()
        at, x = at[inside], z[inside]
        right = (at == row).astype(float)
        inner = (at[:-1] + stride == at[1:]).all()
        assert inner
        residual, total = d[at] * x - right, abs(d[at] * x) + right
        for beside, own, entries in ((1, slice(None, -1), du[at[:-1]]), (0, slice(1, None), dl[at[:-1]])):
            other = x[1:] if beside else x[:-1]
            residual[own] += entries * other
            total[own] += abs(entries * other)
        assert abs(residual).max() <= 8 * EPS * total.max()
        assert size == pytest.approx(abs(z).sum(), rel=1e-12)
        assert end == pytest.approx(max(abs(z[0]), abs(z[-1])) / abs(z).max(), rel=1e-12)


def test_columns_of_dominant_chains_are_those_of_the_inverse():
    n, stride, margin = 900, 3, 96
    dl, d, du = chains(n, stride, "dominant")
    inverse = np.linalg.inv(np.diag(d) + np.diag(dl, -stride) + np.diag(du, stride))
    rows = places(n, 17, 1)
    near, _, ended = found(columns, dl, d, du, stride, margin, rows)
    for z, row in zip(near, rows, strict=True):
        at = row + stride * np.arange(-margin, margin + 1)
        inside = (at >= 0) & (at < n)
        np.testing.assert_allclose(z[inside], inverse[at[inside], row], rtol=1e-12, atol=1e-16)
    assert ended.max() < 1e-30
    # The transpose has the rows of the inverse.
    near, _, _ = found(columns, du, d, dl, stride, margin, rows)
    np.testing.assert_allclose(near[:, margin], inverse[rows, rows], rtol=1e-12)


def test_what_is_singular_is_not_finite():
    dl, d, du = chains(900, 1, "normal")
    dl[399], du[400], d[400], dl[400], du[399] = 0.0, 0.0, 0.0, 0.0, 0.0
    near, sizes, _ = found(columns, dl, d, du, 1, 64, np.array([400, 800]))
    assert not np.isfinite(near[0]).all()
    assert not np.isfinite(sizes[0])
    assert np.isfinite(near[1]).all()


@pytest.mark.parametrize("power", [-600, 600])
def test_numbers_far_from_one_do_no_harm(power):
    dl, d, du = chains(900, 1, "normal")
    rows = places(900, 9, 1)
    near, _, _ = found(columns, dl, d, du, 1, 64, rows)
    scaled, _, _ = found(columns, *(np.ldexp(part, power) for part in (dl, d, du)), 1, 64, rows)
    np.testing.assert_allclose(np.ldexp(scaled, power), near, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_seen(bad):
    for part in range(3):
        given = chains(900, 1, "normal")
        given[part][400] = bad
        near, sizes, ended = found(columns, *given, 1, 64, np.array([100, 401]))
        assert np.isfinite(near[0]).all()
        assert not (np.isfinite(sizes[1]) and ended[1] <= 1.0 and np.isfinite(near[1]).all()) or bad == np.inf
