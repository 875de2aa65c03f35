"""Taking away rows that were never added looked at the diagonal of one matrix only, and let rounding pass for weight."""

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
    parts = [
        Statistics.from_rows(h[k : k + 30], z[k : k + 30], np.full(30, w)) for k, w in ((0, 0.1), (30, 0.2), (60, 0.3))
    ]
    with pytest.raises(ValueError, match="cannot take weight"):
        parts[0] + parts[1] + parts[2] - parts[0] - parts[1] - parts[2]
