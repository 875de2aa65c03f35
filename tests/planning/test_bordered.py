"""Operations of bands with hubs, against what is executed."""

import numpy as np
import pytest

import stridiag
from stridiag.testing import recording


@pytest.mark.parametrize("by_rows", [True, False])
@pytest.mark.parametrize("hub", [0, 60, 119])
@pytest.mark.parametrize("offsets", [(0,), (-1, 0, 1)])
def test_counts_of_one_hub_are_exact(offsets, hub, by_rows):
    n = 120
    links = (np.full(n, hub), np.arange(n)) if by_rows else (np.arange(n), np.full(n, hub))
    structure = stridiag.Structure(n, offsets, links)
    predicted = stridiag.plan(structure, method="bordered").operations
    assert predicted.exact
    A = stridiag.StridiagMatrix(structure, np.random.default_rng(0).standard_normal(structure.nnz))
    with recording() as factor:
        F = A.factor(method="bordered")
    F.solve(np.ones(n))  # the first solve looks at the condition too
    executed = [factor[0]]
    for work in (lambda: F.solve(np.ones(n)), lambda: F.solve(np.ones(n), trans="T"), F.slogdet, F.inverse):
        with recording() as tally:
            work()
        executed.append(tally[0])
    assert executed == [predicted.factor, predicted.solve, predicted.solve, predicted.slogdet, predicted.inverse]


def test_more_hubs_make_a_wider_band_and_a_bound():
    n = 200
    links = (np.repeat([3, 90], n), np.tile(np.arange(n), 2))
    structure = stridiag.Structure(n, (-1, 0, 1), links)
    predicted = stridiag.plan(structure, method="bordered").operations
    assert not predicted.exact
    A = stridiag.StridiagMatrix(structure, np.random.default_rng(0).standard_normal(structure.nnz))
    with recording() as factor:
        A.factor(method="bordered")
    assert 0 < factor[0] <= predicted.factor
