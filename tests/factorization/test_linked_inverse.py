"""The inverse on the pattern of dominant chains with links: that of the chains, changed near links, or left alone."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels import linked_inverse as kernels
from stridiag._kernels.compile import COMPILES
from stridiag.factorization import linked_inverse
from stridiag.factorization.condensation import Condensation
from stridiag.factorization.linked_inverse import linked_diagonal, linked_pattern
from stridiag.planning.chain import ChainLayout
from stridiag.structure import StridiagMatrix, Structure

EPS = np.finfo(np.float64).eps
N = 160


def linked(rows, columns, links, *, n=N, stride=1, dominant="rows", seed=0):
    """A chain that is dominant by rows or by columns, and links that its main diagonal does not allow for."""
    rng = np.random.default_rng(seed)
    dl, du = rng.normal(size=(2, n - stride))
    sizes = np.zeros(n)
    by_rows = dominant == "rows"
    sizes[stride:] += np.abs(dl if by_rows else du)
    sizes[:-stride] += np.abs(du if by_rows else dl)
    d = rng.choice([-1.0, 1.0], n) * (sizes + 1.0)
    order = np.lexsort((columns, rows))
    places = np.array(rows)[order], np.array(columns)[order]
    structure = Structure((n, n), (-stride, 0, stride), places)
    return StridiagMatrix(structure, np.concatenate((dl, d, du, np.array(links, float)[order])))


def inverse(M):
    """Return the inverse, entries correct beyond double precision where that of the platform allows."""
    Z = np.linalg.inv(M).astype(np.longdouble)
    for _ in range(2):
        Z += Z @ (np.eye(len(M)) - M.astype(np.longdouble) @ Z)
    return Z.astype(np.float64)


def check(A, stride=1, bound=40.0, dominant="rows"):
    """Compare with the dense inverse; return whether it was found."""
    layout = ChainLayout(A.structure, stride)
    M = A.toarray().astype(np.float64)
    Z = inverse(M)
    rows, columns = A.structure.coordinates()
    # The error of each entry, as that of an entry of a dense inverse; and where columns (rows, if these fall) end.
    largest = np.abs(Z).max(axis=0 if dominant == "rows" else 1, keepdims=True)
    unit = np.finfo(A.dtype).eps * (np.abs(Z) @ np.abs(M) @ np.abs(Z) + 0.01 * largest)
    found = linked_diagonal(layout, A.values)
    both = [linked_pattern(layout, A.values, transpose=transpose) for transpose in (False, True)]
    assert (found is None) == (both[0] is None) == (both[1] is None)
    if found is None:
        return False
    assert found.dtype == both[0].dtype == both[1].dtype == A.dtype
    assert (np.abs(found - Z.diagonal()) <= bound * unit.diagonal()).all()
    assert (np.abs(both[0] - Z[rows, columns]) <= bound * unit[rows, columns]).all()
    assert (np.abs(both[1] - Z[columns, rows]) <= bound * unit[columns, rows]).all()
    return True


@pytest.mark.parametrize("dominant", ["rows", "columns"])
@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("links", [1, 5, 30])
def test_links_anywhere(dominant, stride, links):
    rng = np.random.default_rng(links)
    taken = 0
    for trial in range(6):
        rows, columns = rng.integers(0, N, (2, links))
        keep = ~np.isin(np.abs(rows - columns), (0, stride))
        places = np.unique(np.column_stack((rows, columns))[keep], axis=0)
        if not len(places):
            continue
        values = 10.0 ** -rng.integers(0, 3) * rng.normal(size=len(places))
        A = linked(*places.T, values, stride=stride, dominant=dominant, seed=trial)
        taken += check(A, stride, dominant=dominant)
    assert taken >= (3 if links < 30 else 1)


def test_links_near_each_other():
    rng = np.random.default_rng(2)
    rows = [10, 50, 90, 91, 91, 91, 0, N - 1, 0, N - 1, 70, 71, 72, 130, 134]
    columns = [53, 87, 12, 14, 10, 94, N - 1, 0, 4, 120, 72, 74, 69, 132, 130]
    taken = 0
    for seed, size in enumerate((0.0, 1e-300, 1e-8, 0.01, 0.1, 0.3, 1.0)):
        for dominant in ("rows", "columns"):
            A = linked(rows, columns, size * rng.normal(size=len(rows)), dominant=dominant, seed=seed)
            taken += check(A, dominant=dominant)
    assert taken >= 11


def test_strong_links():
    """From what changes nothing to what is next to singular, and beyond: right, or left to the other way."""
    chain = linked([], [], [])
    near = inverse(chain.toarray())
    above = np.abs(near.diagonal(1))
    # Where entries beside the diagonal are largest.
    i, j = 20 + above[20:50].argmax(), 90 + above[90:120].argmax()
    chain = linked([i + 1, j + 1], [j, i], [0.0, 0.0])
    taken = []
    for size in (1e-8, 0.1, 0.5, 0.9, 1.0 - 1e-9, 1.0, 1.1, 30.0, 1e6):
        values = chain.values.copy()
        values[-2:] = 0.8 / near[j, j + 1], size / (0.8 * near[i, i + 1])
        taken.append(linked_diagonal(ChainLayout(chain.structure, 1), values) is not None)
        if size != 1.0:
            assert taken[-1] == check(chain.with_values(values))
    assert taken[:3] == [True] * 3
    # The determinant changes its sign where the product of both is 1.
    assert taken[5:] == [False] * 4
    # A strong link that meets no other changes nothing but its own entry.
    assert check(linked([30], [100], [10.0]))
    assert not check(linked([30], [100], [1e9]))


def test_what_is_left_alone():
    rng = np.random.default_rng(0)

    def found(values, structure):
        return linked_diagonal(ChainLayout(structure, 1), values)

    A = linked([60, 61], [103, 100], [0.1, 0.2])
    assert found(A.values, A.structure) is not None
    starts = A.structure.starts
    assert found(rng.normal(size=A.nnz), A.structure) is None
    for row in (0, 1, 77, N - 2, N - 1):
        for number in (0.0, 0.01, np.nan):
            values = A.values.copy()
            values[starts[1] + row] = number
            assert found(values, A.structure) is None
    for bad in (np.nan, np.inf):
        for place in (5, starts[2] + 5, A.nnz - 1):
            values = A.values.copy()
            values[place] = bad
            assert found(values, A.structure) is None
    # Dominant, but columns reach further than is looked at.
    n = 2000
    far = Structure((n, n), (-1, 0, 1), ([400], [1500]))
    second = np.concatenate((-np.ones(n - 1), 2.0 * np.ones(n), -np.ones(n - 1), [0.1]))
    assert found(second, far) is None
    # Singular chains.
    zero = second.copy()
    zero[:] = 0.0
    assert found(zero, far) is None


def test_graded_and_decoupled_chains():
    n = 150
    rng = np.random.default_rng(1)
    for power in (5.0, 30.0, 90.0):
        A = linked([20, 25, 120], [140, 22, 118], [0.3, -0.2, 0.1], n=n, seed=5)
        scale = 2.0 ** np.round(power * np.sin(np.arange(n) / 30.0))
        rows, _ = A.structure.coordinates()
        # Rows that are scaled remain dominant.
        assert check(A.with_values(A.values * scale[rows]))
        values = A.values.copy()
        for start in (0, A.structure.starts[2]):
            values[start + rng.integers(0, n - 1, 30)] = 0.0
        assert check(A.with_values(values))


def test_single_precision():
    A = linked([20, 25, 120], [140, 22, 118], [0.3, -0.2, 0.1]).astype(np.float32)
    assert check(A)


@pytest.mark.skipif(not COMPILES, reason="long matrices")
@pytest.mark.parametrize("stride", [1, 8])
def test_what_a_factor_says(stride, monkeypatch):
    n = 20_000
    A = stridiag.random(n, (-stride, 0, stride), 100, rng=1, dominant=True)
    taken = []
    kernel = kernels.add_links
    monkeypatch.setattr(kernels, "add_links", lambda *given: taken.append(kernel(*given)) or taken[-1])
    quick = A.factor().inverse_diagonal(), *(A.factor().inverse_on_pattern(transpose=t).values for t in (False, True))
    assert taken == [True] * 3
    monkeypatch.setattr(linked_inverse, "_filled", lambda *_, **__: None)
    slow = A.factor().inverse_diagonal(), *(A.factor().inverse_on_pattern(transpose=t).values for t in (False, True))
    for one, two in zip(quick, slow, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=20.0 * EPS * np.abs(two).max())


@pytest.mark.skipif(not COMPILES, reason="long matrices")
def test_dominant_matrices_need_no_stored_factor(monkeypatch):
    A = stridiag.random(60_000, (-1, 0, 1), 100, rng=1, dominant=True)

    def refuse(*_, **__):
        raise AssertionError("a factor that is stored")

    monkeypatch.setattr(Condensation, "__init__", refuse)
    assert np.isfinite(A.factor().inverse_diagonal()).all()
    assert np.isfinite(A.factor().inverse_on_pattern().values).all()
