"""Residuals against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

import stridiag
from stridiag._kernels.residual import subtract_product, subtract_product_twofold


def where(structure):
    return (
        np.array(structure.offsets, np.int64),
        np.array(structure.starts, np.int64),
        structure.link_rows,
        structure.link_columns,
    )


def exact_residual(A, x, b, transposed):
    rows, columns = A.structure.coordinates()
    if transposed:
        rows, columns = columns, rows
    result = [[Fraction(float(v)) for v in line] for line in b]
    for value, i, j in zip(A.values, rows, columns, strict=True):
        for c in range(x.shape[1]):
            result[i][c] -= Fraction(float(value)) * Fraction(float(x[j, c]))
    return result


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("offsets", "links"), [((-1, 0, 1), 3), ((-2, 1), 0), ((), 6), ((-3, 0, 2), 5)])
def test_twofold_residuals_are_those_of_rational_arithmetic(offsets, links, transposed):
    n = 12
    A = stridiag.random(n, offsets, links, rng=links)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 3)) * 10.0 ** rng.integers(-8, 8, (n, 3))
    # Right up to rounding, so that nearly everything cancels.
    b = (A.T if transposed else A) @ x
    high, low = b.copy(), np.zeros_like(b)
    subtract_product_twofold(A.values, *where(A.structure), transposed, x, high, low)
    size = np.abs((A.T if transposed else A).toarray()) @ np.abs(x)
    truth = exact_residual(A, x, b, transposed)
    for i in range(n):
        for c in range(3):
            error = abs(Fraction(float(high[i, c])) + Fraction(float(low[i, c])) - truth[i][c])
            assert error <= (20 * 2.0**-53) ** 2 * (size[i, c] + abs(b[i, c]))


def test_the_error_of_a_product_is_exact():
    # One entry: the residual is b minus a product of 106 bits. A fused multiply and add would get it wrong.
    S = stridiag.Structure(1, (0,))
    a, x = 1.0 + 2.0**-52, 1.0 + 2.0**-51
    high, low = np.array([[1.0]]), np.zeros((1, 1))
    subtract_product_twofold(np.array([a]), *where(S), False, np.array([[x]]), high, low)
    assert Fraction(float(high[0, 0])) + Fraction(float(low[0, 0])) == 1 - Fraction(a) * Fraction(x)


@pytest.mark.parametrize("transposed", [False, True])
def test_single_products_summed_in_double_precision(transposed):
    A = stridiag.random(15, (-2, 0, 1), 4, rng=0, dtype="float32")
    x = np.random.default_rng(1).standard_normal((15, 2)).astype("float32")
    b = ((A.T if transposed else A) @ x).astype("float64")
    r = b.copy()
    subtract_product(A.values.astype("float64"), *where(A.structure), transposed, x.astype("float64"), r)
    truth = np.array([[float(v) for v in line] for line in exact_residual(A, x, b, transposed)])
    np.testing.assert_allclose(r, truth, atol=1e-14)
