"""Random matrices: what was asked for, reproducibly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stridiag
from stridiag import Structure, StructureError
from stridiag.testing.strategies import structures


@given(structures(), st.floats(0, 1), st.integers(0, 5))
def test_structure_is_as_asked(structure, share, seed):
    bare = Structure(structure.shape, structure.offsets)
    links = int(share * (structure.shape[0] * structure.shape[1] - bare.nnz))
    A = stridiag.random(structure.shape, structure.offsets, links, rng=seed)
    assert A.shape == structure.shape
    assert A.offsets == structure.offsets
    assert A.structure.link_count == links
    assert (A.values != 0).all()
    assert stridiag.random(structure.shape, structure.offsets, links, rng=seed).equals(A)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_values_are_standard_normal(dtype):
    A = stridiag.random(4000, rng=0, dtype=dtype)
    assert A.dtype == dtype
    # 12,000 draws: mean and variance within five standard deviations.
    assert abs(A.values.mean()) < 5 / np.sqrt(A.nnz)
    assert abs((abs(A.values) ** 2).mean() - 1) < 5 * np.sqrt(2 / A.nnz)
    if A.dtype.kind == "c":
        assert abs((A.values.real**2).mean() - 0.5) < 5 * np.sqrt(0.5 / A.nnz)


def test_seeds_and_generators():
    generator = np.random.default_rng(5)
    first = stridiag.random(9, links=3, rng=generator)
    second = stridiag.random(9, links=3, rng=generator)
    assert not first.equals(second), "a generator goes on"
    assert first.equals(stridiag.random(9, links=3, rng=5))
    assert not stridiag.random(9).equals(stridiag.random(9)), "no seed: fresh numbers"
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - it is the global state that must not move
    stridiag.random(9)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("shape", [1, 30, (30, 20), (20, 30), 0])
def test_dominant(shape, dtype):
    offsets = (-2, 0, 1) if shape not in (0, 1) else (0,)
    A = stridiag.random(shape, offsets, links=10 if shape not in (0, 1) else 0, rng=0, dominant=True, dtype=dtype)
    dense = abs(A.toarray())
    main = A.diagonal()
    rest = dense.sum(axis=1)[: main.size] - abs(main)
    assert (main.real >= 1 + rest - 1e-5).all()
    assert (main.imag == 0).all()


def test_links_are_spread_evenly():
    counts = np.zeros((6, 6))
    for seed in range(2000):
        A = stridiag.random(6, links=2, rng=seed)
        counts[A.structure.link_rows, A.structure.link_columns] += 1
    expected = 2 * 2000 / 20
    free = abs(np.subtract.outer(np.arange(6), np.arange(6))) > 1
    assert counts[~free].sum() == 0
    # Five standard deviations of a binomial count.
    assert (abs(counts[free] - expected) < 5 * np.sqrt(expected)).all()


def test_nearly_full_and_very_sparse():
    assert stridiag.random(5, links=12, rng=0).structure.link_count == 12
    A = stridiag.random(1_000_000, (0,), links=50, rng=0)
    assert A.structure.link_count == 50


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((5, (-1, 0, 1), 13), {}, StructureError, r"links must lie in 0 \.\.\. 12 for .*, got 13"),
        ((5, (-1, 0, 1), -1), {}, StructureError, r"links must lie in 0 \.\.\. 12 for .*, got -1"),
        ((0, (0,), 1), {}, StructureError, r"links must lie in 0 \.\.\. 0"),
        ((5, (5,)), {}, StructureError, r"offset 5 lies outside"),
        ((5, (-1, 1)), {"dominant": True}, StructureError, r"needs the main diagonal, got offsets \(-1, 1\)"),
        ((5,), {"dtype": int}, TypeError, r"dtype must be float32, .*, got int64"),
    ],
)
def test_refusals(arguments, options, error, message):
    with pytest.raises(error, match=message):
        stridiag.random(*arguments, **options)
