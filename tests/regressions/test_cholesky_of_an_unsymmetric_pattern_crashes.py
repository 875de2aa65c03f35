"""Patterns with as many entries in each row as in its column passed for symmetric, and the process could die."""

import pytest

from stridiag import Structure, StructureError, plan

CASES = [
    Structure(6, (-1, 5)),
    Structure(5, (-3, 2)),
    Structure(6, (-4, 0, 2)),
    Structure(4, (0,), ([0, 1, 2, 3], [1, 2, 3, 0])),
    Structure(30, (-28, 0, 2), ([0], [0])),
]


@pytest.mark.parametrize("structure", CASES, ids=str)
def test_a_pattern_with_equal_counts_need_not_be_symmetric(structure):
    with pytest.raises(StructureError, match="its pattern is not symmetric: entry"):
        plan(structure, method="cholesky")


def test_a_symmetric_pattern_of_links_is_still_taken():
    structure = Structure(4, (0,), ([0, 1, 2, 3, 1, 2, 3, 0], [1, 2, 3, 0, 0, 1, 2, 3]))
    assert plan(structure, method="cholesky").operations.exact
