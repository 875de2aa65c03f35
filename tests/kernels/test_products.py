"""The product kernels against exact integer arithmetic, at block borders and extreme offsets."""

from __future__ import annotations

import os

import numpy as np
import pytest

from stridiag import StridiagMatrix, Structure
from stridiag._kernels.products import multiply_columns, multiply_rows

DTYPES = ["float32", "float64", "complex64", "complex128"]
# The interpreter takes a microsecond per flop: only small sizes then.
SIZES = [1, 2, 5, 40] if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1" else [1, 2, 5, 1023, 1024, 1025, 2050]


def integers(size, dtype, rng):
    values = rng.integers(-8, 9, size).astype(float)
    return (values + 1j * rng.integers(-8, 9, size) if np.dtype(dtype).kind == "c" else values).astype(dtype)


def arguments(structure, dtype, rng):
    values = integers(structure.nnz, dtype, rng)
    values.setflags(write=False)
    offsets = np.array(structure.offsets, np.int64)
    starts = np.array(structure.starts, np.int64)
    return values, offsets, starts, structure.link_rows, structure.link_columns


def run_both(structure, dtype, count, rng):
    """Return the expected product and what both kernels give, started from garbage."""
    where = arguments(structure, dtype, rng)
    rows, columns = structure.shape
    x = integers((count, columns), dtype, rng)
    by_rows = np.full((count, rows), np.nan, dtype)
    multiply_rows(*where, x, by_rows)
    by_columns = np.full((rows, count), np.nan, dtype)
    multiply_columns(*where, np.ascontiguousarray(x.T), by_columns)
    # Small integers: every sum is exact, in any order, also in single precision.
    expected = np.zeros((count, rows), dtype)
    i, j = structure.coordinates()
    np.add.at(expected.T, i, where[0][:, None] * x.T[j])
    return expected, by_rows, by_columns.T


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_exact_on_integers(n, dtype):
    rng = np.random.default_rng(n)
    ends = sorted({k for k in (1 - n, -n // 2, -1, 0, 1, 2, n // 3, n - 1) if abs(k) < n})
    links = (rng.integers(0, n, 2 * n), rng.integers(0, n, 2 * n))
    for structure in (Structure(n, ends), Structure(n, (0,), links), Structure(n, (), links)):
        for count in (0, 1, 3):
            expected, by_rows, by_columns = run_both(structure, dtype, count, rng)
            assert np.array_equal(by_rows, expected)
            assert np.array_equal(by_columns, expected)


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (4, 9), (9, 4), (SIZES[-2], 7), (7, SIZES[-2]), (0, 3), (3, 0)])
def test_rectangular(shape):
    rng = np.random.default_rng(0)
    rows, columns = shape
    offsets = sorted({k for k in (1 - rows, -2, -1, 0, 1, 3, columns - 1) if k == 0 or -rows < k < columns})
    links = (rng.integers(0, rows, 5), rng.integers(0, columns, 5)) if rows * columns else None
    for structure in (Structure(shape, offsets, links), Structure(shape, ())):
        expected, by_rows, by_columns = run_both(structure, "float64", 2, rng)
        assert np.array_equal(by_rows, expected)
        assert np.array_equal(by_columns, expected)


def test_nothing_outside_is_read_or_written():
    """With NaN just beyond every array, a read outside would show; sentinels show a write outside."""
    rng = np.random.default_rng(0)
    n = 9
    structure = Structure(n, (1 - n, -3, 0, 2, n - 1), ([0, 8], [4, 1]))
    where = arguments(structure, "float64", rng)
    padded = np.full(structure.nnz + 8, np.nan)
    padded[4:-4] = where[0]
    inside = padded[4:-4]
    inside.setflags(write=False)
    for kernel, form in ((multiply_rows, (1, n)), (multiply_columns, (n, 1))):
        x = np.full(n + 8, np.nan)
        x[4:-4] = integers(n, "float64", rng)
        y = np.full(n + 8, 7.0)
        kernel(inside, *where[1:], x[4:-4].reshape(form), y[4:-4].reshape(form))
        dense = StridiagMatrix(structure, where[0]).toarray()
        assert np.array_equal(y[4:-4], dense @ x[4:-4])
        assert (y[:4] == 7).all()
        assert (y[-4:] == 7).all()


@pytest.mark.parametrize("kernel", [multiply_rows, multiply_columns], ids=["rows", "columns"])
def test_compiled_and_interpreted_agree(kernel):
    if not hasattr(kernel, "py_func"):
        pytest.skip("the compiler is switched off")
    rng = np.random.default_rng(0)
    structure = Structure((30, 25), (-4, 0, 1), ([29, 0], [0, 20]))
    values, *rest = arguments(structure, "float64", rng)
    values = values * rng.standard_normal(values.size)
    values.setflags(write=False)
    shapes = ((3, 25), (3, 30)) if kernel is multiply_rows else ((25, 3), (30, 3))
    x = rng.standard_normal(shapes[0])
    compiled, plain = np.empty(shapes[1]), np.empty(shapes[1])
    kernel(values, *rest, x, compiled)
    kernel.py_func(values, *rest, x, plain)
    # The compiler may fuse a multiply and an add: one rounding less a term, six terms of size 10 at most.
    assert abs(compiled - plain).max() <= 6 * np.finfo(float).eps * 60


def test_special_values_pass_through():
    structure = Structure(3, (0, 1))
    values = np.array([1.0, 1.0, np.inf, 0.0, np.nan])
    values.setflags(write=False)
    rest = (np.array([0, 1]), np.array(structure.starts), structure.link_rows, structure.link_columns)
    for kernel, form in ((multiply_rows, (1, 3)), (multiply_columns, (3, 1))):
        y = np.empty(form)
        # The interpreted kernel warns, the compiled one does not.
        with np.errstate(invalid="ignore"):
            kernel(values, *rest, np.array([1.0, np.inf, 2.0]).reshape(form), y)
        y = y.ravel()
        assert np.isnan(y[0]), "0 * inf"
        assert np.isnan(y[1]), "inf + nan"
        assert y[2] == np.inf
