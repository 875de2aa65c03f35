"""`diagonals` was written out as a list before it was cut to what fits: 1e30 of them took all memory."""

import tracemalloc

from stridiag.nn import layer_offsets


def test_many_diagonals_cost_no_more_than_fit():
    tracemalloc.start()
    try:
        (offsets,) = layer_offsets("ternary", [(8, 8)], diagonals=300_000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert len(offsets) == 8
