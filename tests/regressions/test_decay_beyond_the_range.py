"""How fast a chain forgets was raised to a power that left the range: an OverflowError in place of a warning."""

import numpy as np
import pytest

import stridiag
from stridiag import linalg


def test_multipliers_whose_product_is_huge():
    n = 50_001
    rng = np.random.default_rng(0)
    # Without super-diagonal entries all pivots can be taken as they come.
    A = stridiag.StridiagMatrix.from_diagonals(
        {-1: np.full(n - 1, 1e6), 0: rng.uniform(1.0, 2.0, n), 1: np.zeros(n - 1)}
    )
    b = rng.normal(size=n)
    for solve in (lambda: linalg.solve(A, b), lambda: A.factor().solve(b)):
        with pytest.raises((stridiag.SingularMatrixError, stridiag.IllConditionedWarning)):
            solve()
