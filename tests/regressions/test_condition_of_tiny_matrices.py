"""The condition number of a well-conditioned matrix was infinite where its inverse is beyond the range of its type."""

import numpy as np
import pytest

from stridiag import StridiagMatrix, Structure, linalg

METHODS = ("auto", "cyclic", "band", "forest", "sparse-lu", "sparse-qr", "dense", "cholesky")


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [3, 10])
def test_condition_does_not_depend_on_the_size_of_the_numbers(dtype, method, n):
    diagonals = {-1: -np.ones(n - 1), 0: 2.0 + 2.0**-5 * np.arange(n), 1: -np.ones(n - 1)}
    if method == "cyclic":
        n += n % 2
        diagonals = {-1: 0.5 * np.ones(n - 1), 1: 1.5 * np.ones(n - 1)}
    A = StridiagMatrix.from_diagonals(diagonals, dtype=dtype)
    expected = A.factor(method=method)
    for power in (np.finfo(dtype).minexp + 6, np.finfo(dtype).maxexp - 6):
        scaled = A.with_values(np.ldexp(A.values.real, power).astype(dtype)).factor(method=method)
        for p in (1, np.inf):
            np.testing.assert_allclose(scaled.cond(p), expected.cond(p), rtol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("offsets", [(-60, 0, 4), (-29, 0, 17), (-2, 0, 3)])
def test_condition_of_matrices_of_the_smallest_numbers(offsets, dtype):
    # A division of one by the order, times the size of the numbers, was zero, and so was the norm of the inverse.
    structure = Structure(3000, offsets)
    values = np.random.default_rng(0).integers(-1, 2, structure.nnz).astype(dtype)
    values[structure.diagonal_slots(0)] = 5
    expected = StridiagMatrix(structure, values).factor()
    tiny = StridiagMatrix(structure, values * np.finfo(dtype).smallest_subnormal).factor()
    for p in (1, np.inf):
        np.testing.assert_allclose(tiny.cond(p), expected.cond(p), rtol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("p", ["fro", -1, -np.inf])
def test_orders_that_form_the_inverse(dtype, p):
    # The inverse, or the sum of its squares, lay beyond the range, and the condition number was infinite or NaN.
    A = StridiagMatrix.from_diagonals({-1: [1.0, -2.0, 1.0], 0: [4.0, 3.0, 5.0, 4.0], 1: [1.0, 1.0, -1.0]}, dtype=dtype)
    expected = np.linalg.cond(A.toarray(), p)
    for power in (np.finfo(dtype).minexp - 4, np.finfo(dtype).minexp + 6, np.finfo(dtype).maxexp - 6):
        scaled = A.with_values(np.ldexp(A.values.real, power).astype(dtype))
        assert linalg.cond(scaled, p) == pytest.approx(expected, rel=100 * float(np.finfo(dtype).eps))
