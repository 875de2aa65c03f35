"""Dense inverses written in vectors: the same numbers as the loops that they stand for, wherever the result lies."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels.compile import COMPILES
from stridiag.factorization import band, chain_inverse, condensed_inverse, panels

pytestmark = pytest.mark.skipif(not COMPILES, reason="vectors exist in compiled code only")

OFFSETS = {"chain": ((-1, 0, 1), 0), "condensed": ((-1, 0, 1), 6), "band": ((-2, 0, 3), 0)}


def by_loops(monkeypatch, factor):
    with monkeypatch.context() as patch:
        for module in (band, chain_inverse, condensed_inverse):
            patch.setattr(module, "writes_panels", lambda out: False)
        return factor.inverse()


@pytest.mark.parametrize("kind", OFFSETS)
@pytest.mark.parametrize("n", [40, 77, 600])
@pytest.mark.parametrize("behind", [0, 3])
def test_vectors_write_what_loops_write(monkeypatch, kind, n, behind):
    offsets, links = OFFSETS[kind]
    F = stridiag.random(n, offsets, links, rng=n, dominant=n == 600).factor()
    expected = by_loops(monkeypatch, F)
    out = np.full(n * n + 8, np.nan)[behind : behind + n * n].reshape(n, n)
    for cache in (panels._CACHE, 0):
        monkeypatch.setattr(panels, "_CACHE", cache)
        assert F.inverse(out=out) is out
        sizes = np.abs(expected)
        tolerance = 0.0 if kind == "chain" else 1e-13
        normal = np.finfo(float).tiny
        assert (np.abs(out - expected) <= tolerance * sizes.max() + normal).all()
        assert not ((np.abs(out) < normal) & (out != 0)).any()


@pytest.mark.parametrize("kind", OFFSETS)
def test_the_number_of_threads_changes_nothing(kind):
    offsets, links = OFFSETS[kind]
    F = stridiag.random(700, offsets, links, rng=2).factor()
    one = np.empty((700, 700))
    F.inverse(out=one)
    with panels_on_one_thread():
        np.testing.assert_array_equal(F.inverse(), one)


class panels_on_one_thread:
    """Run every piece on the calling thread."""

    def __enter__(self):
        self.patch = pytest.MonkeyPatch()
        for name in ("chain_inverse", "condensed_inverse"):
            self.patch.setattr(
                f"stridiag.factorization.{name}.run_ranges", lambda function, count, **_: function(0, count)
            )
        self.patch.setattr("stridiag._kernels.threads.run_ranges", lambda function, count, **_: function(0, count))

    def __exit__(self, *_):
        self.patch.undo()


def test_decoupled_and_decaying_chains_have_zeros_where_they_should():
    rng = np.random.default_rng(1)
    n = 1500
    d, a, b = 9.0 + rng.random(n), rng.random(n - 1), rng.random(n - 1)
    a[::100], b[50::100] = 0.0, 0.0
    Z = stridiag.StridiagMatrix.from_diagonals({0: d, 1: a, -1: b}).factor().inverse()
    assert Z[0, 1] == 0.0
    assert (Z[:101, 101:] == 0.0).all()
    residual = (np.diag(d) + np.diag(a, 1) + np.diag(b, -1)) @ Z - np.eye(n)
    assert np.abs(residual).max() < 1e-14
