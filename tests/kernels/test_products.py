"""The product kernels against exact integer arithmetic, at block borders and extreme offsets."""

from __future__ import annotations

import os

import numpy as np
import pytest

from stridiag import StridiagMatrix, Structure
from stridiag._kernels import compile as compiler
from stridiag._kernels import product_lanes, products
from stridiag._kernels.products import BLOCK


def rows_by_loops(*arguments):
    products.multiply_rows(*arguments, 0, arguments[-1].shape[1])


def columns_by_loops(*arguments):
    products.multiply_columns(*arguments, 0, arguments[-1].shape[0])


def rows_by_lanes(*arguments):
    product_lanes.multiply_rows(*arguments, 0, arguments[-1].shape[1])


def columns_by_lanes(*arguments):
    product_lanes.multiply_columns(*arguments, 0, arguments[-1].shape[0], False)


# Kernels for vectors stored as rows, and as columns.
PAIRS = {"loops": (rows_by_loops, columns_by_loops)}
if compiler.COMPILES:
    PAIRS["lanes"] = (rows_by_lanes, columns_by_lanes)

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


def run_both(structure, dtype, count, rng, way="loops"):
    """Return the expected product and what both kernels give, started from garbage."""
    multiply_rows, multiply_columns = PAIRS[way]
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
@pytest.mark.parametrize("way", PAIRS)
def test_exact_on_integers(n, dtype, way):
    if way == "lanes" and dtype.startswith("c"):
        pytest.skip("complex numbers take the loops")
    rng = np.random.default_rng(n)
    ends = sorted({k for k in (1 - n, -n // 2, -1, 0, 1, 2, n // 3, n - 1) if abs(k) < n})
    links = (rng.integers(0, n, 2 * n), rng.integers(0, n, 2 * n))
    for structure in (Structure(n, ends), Structure(n, (0,), links), Structure(n, (), links)):
        for count in (0, 1, 3, 8, 93 if n > 1000 else 16):
            expected, by_rows, by_columns = run_both(structure, dtype, count, rng, way)
            assert np.array_equal(by_rows, expected)
            assert np.array_equal(by_columns, expected)


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (4, 9), (9, 4), (SIZES[-2], 7), (7, SIZES[-2]), (0, 3), (3, 0)])
@pytest.mark.parametrize("way", PAIRS)
def test_rectangular(shape, way):
    rng = np.random.default_rng(0)
    rows, columns = shape
    offsets = sorted({k for k in (1 - rows, -2, -1, 0, 1, 3, columns - 1) if k == 0 or -rows < k < columns})
    links = (rng.integers(0, rows, 5), rng.integers(0, columns, 5)) if rows * columns else None
    for structure in (Structure(shape, offsets, links), Structure(shape, ())):
        expected, by_rows, by_columns = run_both(structure, "float64", 2, rng, way)
        assert np.array_equal(by_rows, expected)
        assert np.array_equal(by_columns, expected)


@pytest.mark.parametrize("way", PAIRS)
@pytest.mark.parametrize("n", [9, 64, 77])
def test_nothing_outside_is_read_or_written(way, n):
    """With NaN just beyond every array, a read outside would show; sentinels show a write outside."""
    multiply_rows, multiply_columns = PAIRS[way]
    rng = np.random.default_rng(0)
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


@pytest.mark.parametrize("form", ["rows", "columns"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lanes_loops_and_interpreter_agree(form, dtype):
    if not compiler.COMPILES:
        pytest.skip("the compiler is switched off")
    rng = np.random.default_rng(0)
    structure = Structure((300, 250), (-40, 0, 1), ([290, 0], [0, 20]))
    values, *rest = arguments(structure, dtype, rng)
    values = values * rng.standard_normal(values.size).astype(dtype)
    values.setflags(write=False)
    shapes = ((3, 250), (3, 300)) if form == "rows" else ((250, 70), (300, 70))
    x = rng.standard_normal(shapes[0]).astype(dtype)
    results = []
    for run in (*(pair[form == "columns"] for pair in PAIRS.values()), None):
        y = np.empty(shapes[1], dtype)
        if run is None:
            getattr(products, f"multiply_{form}").py_func(values, *rest, x, y, 0, 300)
        else:
            run(values, *rest, x, y)
        results.append(y)
    loops, lanes, plain = results
    # The compiler may fuse a multiply and an add: one rounding less a term, six terms of size 10 at most.
    bound = 6 * np.finfo(dtype).eps * 60
    assert abs(loops - plain).max() <= bound
    assert abs(lanes - plain).max() <= bound


@pytest.mark.parametrize("way", PAIRS)
@pytest.mark.parametrize("form", ["rows", "columns"])
def test_pieces_do_not_change_a_bit(way, form):
    rng = np.random.default_rng(0)
    n = 3 * BLOCK + 70 if compiler.COMPILES else BLOCK + 70
    structure = Structure(n, (-1500, -3, 0, 1, n - 1000), (rng.integers(0, n, 60), rng.integers(0, n, 60)))
    where = arguments(structure, "float64", rng)
    where = (where[0] * rng.standard_normal(where[0].size), *where[1:])
    shape = (2, n) if form == "rows" else (n, 45)
    x = rng.standard_normal(shape)
    kernel = getattr(product_lanes if way == "lanes" else products, f"multiply_{form}")
    further = (False,) if way == "lanes" and form == "columns" else ()
    whole, pieces = np.full(shape, np.nan), np.full(shape, np.nan)
    kernel(*where, x, whole, 0, n, *further)
    for first in range(0, n, BLOCK):
        kernel(*where, x, pieces, first, min(n, first + BLOCK), *further)
    assert np.array_equal(whole, pieces)
    if further:
        # Rows of 360 bytes do not all begin at a multiple of 64: the other way to store is tested with 64 columns.
        x = np.concatenate((x, x[:, :19]), axis=1)
        plain, past = np.empty((n, 64)), np.empty(n * 64 + 8)
        past = past[-past.ctypes.data % 64 // 8 :][: n * 64].reshape(n, 64)
        kernel(*where, x, plain, 0, n, False)
        kernel(*where, x, past, 0, n, True)
        assert np.array_equal(plain, past)
        assert np.array_equal(plain[:, :32], whole[:, :32])


@pytest.mark.parametrize("way", PAIRS)
def test_special_values_pass_through(way):
    multiply_rows, multiply_columns = PAIRS[way]
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
