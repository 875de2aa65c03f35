"""Layers' products and triangular solves on rows of samples, against dense algebra and their plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from stridiag import StridiagMatrix, Structure
from stridiag._kernels import layer_products, triangle_rows

SIZES = [1, 2, 5, 16, 33, 100]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def _where(structure):
    starts = np.array(structure.starts, np.int64)
    return np.array(structure.offsets, np.int64), starts, structure.link_rows, structure.link_columns


def _matrix(shape, offsets, links, dtype, rng):
    structure = Structure(shape, [o for o in offsets if -shape[0] < o < shape[1]], links)
    return StridiagMatrix(structure, rng.uniform(0.5, 1.0, structure.nnz).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("samples", [1, 3, 4, 9])
@pytest.mark.parametrize("rows", [1, 7, 70, 1100])
def test_layer_rows(rows, samples, dtype, rng):
    columns = rows + 3
    links = ([0, rows - 1, rows - 1], [columns - 1, 1, 2])
    matrix = _matrix((rows, columns), (-5, -1, 0, 2, 3), links, dtype, rng)
    x = rng.standard_normal((samples, columns)).astype(dtype)
    dense = matrix.toarray().astype(np.float64)
    for bias in (rng.standard_normal(rows).astype(dtype), np.empty(0, dtype)):
        expected = x.astype(np.float64) @ dense.T + (bias if bias.size else 0.0)
        bound = 20 * np.finfo(dtype).eps * (np.abs(x.astype(np.float64)) @ np.abs(dense).T + 3.0)
        found = []
        for kernel in (layer_products.layer_rows, *([layer_products._plain_layer_rows] if dtype is np.float64 else [])):
            y = np.full((samples, rows), np.nan, dtype)
            kernel(matrix.values, *_where(matrix.structure), x, bias, y, 0, rows)
            assert (np.abs(y - expected) <= bound).all()
            found.append(y)
        if rows > 1024:
            y = np.full((samples, rows), np.nan, dtype)
            for first, last in ((1024, rows), (0, 1024)):
                layer_products.layer_rows(matrix.values, *_where(matrix.structure), x, bias, y, first, last)
            np.testing.assert_array_equal(y, found[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_solve_rows(n, upper, dtype, rng):
    side = 1 if upper else -1
    links = ([0, 1], [n - 1, n - 2]) if n > 8 else ([], [])
    links = links if upper else links[::-1]
    matrix = _matrix((n, n), [0, side, 3 * side], links, dtype, rng)
    values = matrix.values.copy()
    values[matrix.structure.diagonal_slots(0)] += dtype(2)
    values[matrix.structure.diagonal_slots(0).start] = 1
    dense = StridiagMatrix(matrix.structure, values).toarray().astype(np.float64)
    width = triangle_rows.tile_width(np.dtype(dtype).itemsize)
    for samples in (1, width - 1, width, 2 * width + 3):
        b = rng.standard_normal((samples, n)).astype(dtype)
        for shift in (rng.standard_normal(n).astype(dtype), np.empty(0, dtype)):
            right = b - shift if shift.size else b
            for kernel in (
                triangle_rows.solve_rows,
                *([triangle_rows._plain_solve_rows] if dtype is np.float64 else []),
            ):
                x = np.full_like(b, np.nan)
                tile, places = np.empty((n, width), dtype), np.empty(width, np.int64)
                kernel(values, *_where(matrix.structure), upper, b, shift, x, tile, places, 0, samples)
                exact = x.astype(np.float64)
                residual = np.abs(exact @ dense.T - right)
                bound = 30 * np.finfo(dtype).eps * (np.abs(exact) @ np.abs(dense).T + np.abs(right))
                assert (residual <= bound).all()
