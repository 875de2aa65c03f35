"""Solutions of adjoint systems around a few rows: the entries of whole solutions, and zero where these are small."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels import two_ended_near
from stridiag.factorization.decompose import decompose
from stridiag.factorization.two_ended_band import TwoEndedLU
from stridiag.testing import plain_twin

N = 9001
EPS = np.finfo(float).eps


def band(offsets=(-3, 0, 2), kind="random", n=N):
    A = stridiag.random(n, offsets=offsets, rng=3, dominant=kind == "dominant")
    if kind == "constant":
        # Of the second difference: entries of the inverse fall off no faster than a line does.
        A = stridiag.StridiagMatrix.from_diagonals({-2: -1.0, -1: 0.0, 0: 2.0, 2: -1.0}, shape=n)
    D = decompose(stridiag.plan(A.structure, method="band"), A.values)
    assert isinstance(D, TwoEndedLU)
    return D


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("first", [0, 17, 3000, 7500, N - 700, N - 40])
@pytest.mark.parametrize(
    ("offsets", "kind"), [((-3, 0, 2), "random"), ((-3, 0, 2), "dominant"), ((-1, 0, 4), "dominant")]
)
def test_the_entries_are_those_of_a_whole_solution(offsets, kind, first, plain, monkeypatch):
    D = band(offsets, kind)
    if plain:
        monkeypatch.setattr(two_ended_near, "solve_near_adjoint", plain_twin(two_ended_near.solve_near_adjoint))
    b = np.sign(np.random.default_rng(first).standard_normal(40))
    whole = np.zeros((1, N))
    whole[0, first : first + 40] = b
    whole = D.solve_rows(whole, adjoint=True)[0]
    found, begin = D.solve_near_adjoint(b, first)
    assert 40 <= found.size < N // 2
    around = np.zeros(N)
    around[begin : begin + found.size] = found
    # A right-hand side that differs by the precision gives a solution that differs by so much.
    missed = 40 * EPS * np.abs(whole).max() if kind == "dominant" else EPS * D.rough_norm()
    np.testing.assert_allclose(around, whole, rtol=0, atol=missed)


def test_none_where_a_whole_solution_is_called_for():
    D = band()
    assert D.solve_near_adjoint(np.ones(40), N // 2 - 20) is None
    assert D.solve_near_adjoint(np.full(40, np.nan), 100) is None
    # What does not decay reaches the core.
    slow = band((-2, 0, 2), "constant")
    assert slow.solve_near_adjoint(np.ones(40), 100) is None
    # Classes, whose rows lie apart in the matrix.
    assert band((-6, 0, 4)).solve_near_adjoint(np.ones(40), 100) is None
