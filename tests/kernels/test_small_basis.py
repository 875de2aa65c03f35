"""Long vectors against a few orthonormal ones, and small dense triangles, against numpy."""

import numpy as np
import pytest

from stridiag._kernels import small_basis as kernels

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n", [3, 8, 50])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_bases(n, k):
    block = RNG.standard_normal((k, n)) * 1e200
    # Nearly parallel: one pass would not do.
    block[1:] = block[0] * (1.0 + 1e-9 * RNG.standard_normal((k - 1, n)))
    span = block / 1e200
    kernels.orthonormalize(block, 2)
    gram = np.empty((k, k))
    kernels.inner_products(block, block, gram)
    assert np.abs(gram - np.eye(k)).max() < 1e-14
    np.testing.assert_allclose(block @ block.T, gram, atol=1e-15)
    assert np.abs(span - (span @ block.T) @ block).max() < 1e-14 * np.abs(span).max()
    x = RNG.standard_normal((n, 5))
    one = x[:, 0].copy()
    expected = x - block.T @ (block @ x)
    kernels.project(block, x, np.empty((k, 5)))
    kernels.project_vector(block, one)
    np.testing.assert_allclose(x, expected, atol=1e-14)
    np.testing.assert_allclose(one, expected[:, 0], atol=1e-14)


def test_products_and_triangles():
    a, x = RNG.standard_normal((7, 4)), RNG.standard_normal((4, 3))
    y = np.empty((7, 3))
    kernels.multiply(a, x, y)
    np.testing.assert_allclose(y, a @ x, atol=1e-14)
    z = np.empty((4, 3))
    kernels.multiply_transposed(a, y, z)
    np.testing.assert_allclose(z, a.T @ y, atol=1e-13)
    triangle = np.triu(RNG.standard_normal((4, 4))) + 3.0 * np.eye(4)
    # What stands below the diagonal is not read.
    dirty = triangle + np.tril(np.full((4, 4), np.nan), -1)
    for kernel, matrix in ((kernels.solve_triangle, triangle), (kernels.solve_triangle_transposed, triangle.T)):
        w = x.copy()
        kernel(dirty, w)
        np.testing.assert_allclose(matrix @ w, x, atol=1e-14)


def test_corrections_are_added_and_judged():
    x = np.array([[1.0, -4.0], [2.0, 0.0]])
    assert kernels.add(np.array([[0.25, 0.0], [0.0, -0.5]]), x, 0.125)
    np.testing.assert_array_equal(x, [[1.25, -4.0], [2.0, -0.5]])
    assert not kernels.add(np.array([[0.0, 0.0], [0.0, -0.5625]]), x, 0.125)


@pytest.mark.parametrize("width", [1, 8, 31, 32, 64, 75])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_vectors_project_as_loops_do(count, width):
    n = 203
    basis = np.ascontiguousarray(np.linalg.qr(RNG.standard_normal((n, count)))[0].T)
    x = RNG.standard_normal((n, width))
    work = np.empty((count, width))
    one, other = x.copy(), x.copy()
    kernels.project(basis, one, work)
    kernels.project_plain(basis, other, work)
    expected = x - basis.T @ (basis @ x)
    bound = 8 * np.finfo(float).eps * np.abs(x).max() * np.sqrt(n)
    assert np.abs(one - other).max() <= bound
    assert np.abs(one - expected).max() <= bound
    assert np.abs(basis @ one).max() <= bound
