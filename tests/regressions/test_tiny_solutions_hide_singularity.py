"""A matrix of large numbers has tiny solutions, whose squares were lost: a singular one looked well conditioned."""

import numpy as np
import pytest

import stridiag
from stridiag import linalg


def nearly_singular(n, offsets, power):
    """A dominant matrix, but for two rows and columns that nothing joins to others, multiples of each other."""
    A = stridiag.random(n, offsets, rng=n, dominant=True)
    values, k, i = A.values.copy(), offsets[-1], n // 2
    for offset in offsets:
        kept = A.structure.diagonal_slots(offset)
        rows = np.arange(max(0, -offset), min(n, n - offset))
        near = np.isin(rows, (i, i + k)) | np.isin(rows + offset, (i, i + k))
        values[kept][near] = 0.0
    for row, column, value in ((i, i, 1.1), (i, i + k, 0.7), (i + k, i, 0.9), (i + k, i + k, 0.9 * 0.7 / 1.1)):
        offset = column - row
        values[A.structure.starts[offsets.index(offset)] + row - max(0, -offset)] = value
    return A.with_values(np.ldexp(values, power))


@pytest.mark.parametrize("offsets", [(-1, 0, 1), (-8, 0, 8), (-2, -1, 0, 1, 2)])
@pytest.mark.parametrize("n", [500, 30_000, 60_000])
@pytest.mark.parametrize("power", [0, 700, 750])
def test_a_nearly_singular_matrix_is_told(offsets, n, power):
    A = nearly_singular(n, offsets, power)
    b = np.random.default_rng(1).normal(size=n)
    for solve in (lambda: linalg.solve(A, b), lambda: A.factor().solve(b)):
        # Which of the two depends on what rounding leaves of a pivot.
        with pytest.raises((stridiag.SingularMatrixError, stridiag.IllConditionedWarning)):
            solve()


@pytest.mark.parametrize("offsets", [(-1, 0, 1), (-8, 0, 8), (-2, -1, 0, 1, 2)])
def test_a_matrix_of_large_numbers_is_solved(offsets):
    n = 60_000
    A = stridiag.random(n, offsets, rng=3, dominant=True)
    b = np.random.default_rng(1).normal(size=n)
    for solve in (linalg.solve, lambda A, b: A.factor().solve(b)):
        scaled = solve(A.with_values(np.ldexp(A.values, 750)), b)
        np.testing.assert_allclose(np.ldexp(scaled, 750), solve(A, b), rtol=1e-12, atol=1e-15)
