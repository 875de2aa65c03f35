"""Plans of bands that go to LAPACK counted a byte for each pivot, where LAPACK takes four."""

import pytest

import stridiag
from stridiag.planning.band import COMPILED_WIDTH


@pytest.mark.parametrize("width", [COMPILED_WIDTH, COMPILED_WIDTH + 1, 184, 255, 256])
def test_a_wide_band_stays_within_the_bytes_of_its_plan(width):
    F = stridiag.random(3 * width // 2, (-width, 0, width), 600, rng=0, dominant=True).factor(method="band")
    assert F.nbytes <= F.plan.bytes
