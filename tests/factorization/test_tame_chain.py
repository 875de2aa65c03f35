"""The inverse of chains on the pattern: the quick kernels give what those with an exponent for each number give."""

import numpy as np
import pytest

from stridiag._kernels import extended_range, tame_chain
from stridiag.factorization import chain_inverse
from stridiag.planning.chain import TridiagonalLayout
from stridiag.planning.plan import plan
from stridiag.structure import StridiagMatrix


def families():
    rng = np.random.default_rng(0)
    for n in (2, 3, 40, 3000):
        dl, du = rng.standard_normal((2, n - 1))
        d = rng.standard_normal(n)
        yield f"random {n}", dl, d, du
        yield f"complex {n}", dl + 1j, d * 1j, du - 2j
        yield f"growing {n}", dl, d * 1e10, du
        yield f"shrinking {n}", dl * 1e-7, d * 1e-7, du * 1e-7
        yield f"signs {n}", np.sign(dl), np.sign(d), np.sign(du)
        apart = dl.copy(), d + 9.0, du.copy()
        apart[0][::7] = apart[2][::7] = 0.0
        yield f"apart {n}", *apart
        dominant = 3.0 + np.abs(d)
        yield f"triangle {n}", 0.0 * dl, dominant, du
        yield f"graded {n}", dl, dominant * 2.0 ** (30.0 * np.sin(np.arange(n))), du


@pytest.mark.parametrize(("name", "dl", "d", "du"), [pytest.param(*family, id=family[0]) for family in families()])
def test_agreement(name, dl, d, du, monkeypatch):
    A = StridiagMatrix.from_diagonals({-1: dl, 0: d, 1: du}, shape=d.size)
    layout = plan(A.structure).layout
    if not isinstance(layout, TridiagonalLayout):
        pytest.skip("no chain")
    chain, taken = layout.chain, []
    kernel = tame_chain.tame_pattern
    monkeypatch.setattr(tame_chain, "tame_pattern", lambda *given: taken.append(kernel(*given)) or taken[-1])
    quick = chain_inverse.chain_diagonal(chain, A.values), chain_inverse.chain_pattern(chain, A.values, transpose=True)
    with monkeypatch.context() as patch:
        patch.setattr(chain_inverse, "_tame_continuants", lambda *_: None)
        slow = (
            chain_inverse.chain_diagonal(chain, A.values),
            chain_inverse.chain_pattern(chain, A.values, transpose=True),
        )
    for one, two in zip(quick, slow, strict=True):
        if two is None:
            assert one is None
        else:
            # The same operations, fused or not, times powers of two.
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-13 * np.abs(two).max())
    assert len(taken) == 1


def test_wild_entries_and_far_determinants_are_left_alone():
    for d in ([1.0, 1e300], [1.0, -np.nan], [1.0, np.inf], [0.0, -1e-300], [-(2.0**41)], [1j, 1e-300 + 1j]):
        assert not tame_chain.all_tame(np.array(d).view(np.uint64), tame_chain.TAME)
    for d in ([0.0, 1e12, -1e-12], [-0.0], [2.0**40, -(2.0**-40)], [1j, 2.0 - 1j]):
        assert tame_chain.all_tame(np.array(d).view(np.uint64), tame_chain.TAME)
    # Singular: D_j is zero.
    dl, d, du = np.ones(1), np.ones(2), np.ones(1)
    f, before, units = np.empty(2), np.empty(2), np.empty(2, np.int32)
    tame_chain.leading(dl, d, du, f, before, units)
    assert tame_chain.tame_diagonal(dl, d, du, f, before, np.empty(2)) >= 0
    assert tame_chain.tame_pattern(dl, d, du, f, before, units, np.empty(1), np.empty(2), np.empty(1)) >= 0


def test_units_follow_what_grows():
    n = 5000
    dl, d, du = np.ones(n - 1), np.full(n, 2.0**20), np.ones(n - 1)
    f, before, units = np.empty(n), np.empty(n), np.empty(n, np.int32)
    tame_chain.leading(dl, d, du, f, before, units)
    assert units[-1] == pytest.approx(20 * n / extended_range.UNIT, abs=1)
    assert np.abs(np.log2(f)).max() <= 120
