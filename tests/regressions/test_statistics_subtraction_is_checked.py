"""Taking away rows that were never added was checked on one diagonal only, and rounding passed for weight left."""

import numpy as np
import pytest

from stridiag.nn import Statistics


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    h = rng.standard_normal((100, 4))
    return h, h @ [1.0, 2.0, 3.0, 4.0] + 1.0


def test_targets_that_were_not_part(data):
    h, z = data
    with pytest.raises(ValueError, match="not part"):
        Statistics.from_rows(h, z) - Statistics.from_rows(h[:50], 100 * z[:50])


def test_rows_that_leave_an_indefinite_scatter(data):
    h, z = data
    line = np.random.default_rng(5).standard_normal((50, 1))
    with pytest.raises(ValueError, match="not part"):
        Statistics.from_rows(h, z) - Statistics.from_rows(1.2 * line.repeat(4, axis=1), 0.1 * line)


def test_nothing_left_is_nothing(data):
    h, z = data
    cuts = [slice(0, 30), slice(30, 60), slice(60, 90)]
    a, b, c = (Statistics.from_rows(h[s], z[s], np.full(30, w)) for s, w in zip(cuts, (0.1, 0.2, 0.3), strict=True))
    with pytest.raises(ValueError, match="cannot take weight"):
        a + b + c - a - b - c
