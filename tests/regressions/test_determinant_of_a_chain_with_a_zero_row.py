"""A chain with links and a row of zeros had a determinant that was a product of rounding errors."""

import numpy as np
import pytest

import stridiag
from stridiag import linalg


@pytest.mark.parametrize("by_rows", [True, False])
@pytest.mark.parametrize(("n", "g", "links"), [(1600, 1, 1), (1775, 64, 3), (2384, 1, 40), (60_000, 1, 5)])
def test_a_row_or_column_of_stored_zeros(n, g, links, by_rows):
    A = stridiag.random(n, (-g, 0, g), links, rng=n)
    for zero in (0, n // 3, n - 1):
        values = A.values.copy()
        values[A.structure.coordinates()[0 if by_rows else 1] == zero] = 0.0
        singular = A.with_values(values)
        assert singular.factor().singular
        for sign, log in (linalg.slogdet(singular), singular.factor().slogdet()):
            assert sign == 0
            assert log == -np.inf
        assert linalg.det(singular) == 0
    # Stored zeros elsewhere change nothing.
    values = A.values.copy()
    values[A.structure.diagonal_slots(0).start + 5] = 0.0
    sign, log = linalg.slogdet(A.with_values(values))
    expected = (
        np.linalg.slogdet(A.with_values(values).toarray()) if n < 3000 else A.with_values(values).factor().slogdet()
    )
    assert sign == expected[0]
    assert log == pytest.approx(expected[1], rel=1e-12)
