"""Elimination before a window: compiled kernels against their plain twins, and which diagonals are taken."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels import thinned_rows
from stridiag.planning.band import BandLayout
from stridiag.planning.window_thinning import thin
from stridiag.testing import plain_twin


@pytest.mark.parametrize("offsets", [(-29, 0, 17), (-7, -3, 0, 2, 11)])
def test_elimination_is_that_of_its_plain_twin(offsets):
    A = stridiag.random(600, offsets=offsets, links=5, rng=0, dominant=True)
    thinning = thin(A.structure, BandLayout.without_links(A.structure))
    # Rows with a loop, and both kinds without.
    assert {2, 3} < set(thinning.counts[:, 1].tolist())
    results = []
    for eliminate in (thinned_rows.eliminate, plain_twin(thinned_rows.eliminate)):
        numbers = np.concatenate((A.values, np.zeros(thinning.slots - A.nnz)))
        parts = [np.empty(size) for size in (thinning.lower.size, thinning.upper.size, thinning.order.size)]
        lists = (thinning.order, thinning.main, thinning.counts, thinning.lower, thinning.upper, thinning.targets)
        slope, largest = eliminate(numbers, *lists, 16.0, *parts)
        assert slope < 16.0
        results.append(np.concatenate((numbers, *parts, [slope, largest])))
    np.testing.assert_allclose(*results, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("flat", [thinned_rows.flat, plain_twin(thinned_rows.flat)])
def test_flat_looks_at_every_entry(flat):
    structure = stridiag.random(40, offsets=(-29, -2, 0, 17), links=5, rng=0).structure
    columns = structure.coordinates()[1]
    parts = np.array(structure.offsets), np.array(structure.starts), structure.link_columns
    main = structure.diagonal_slots(0)
    rng = np.random.default_rng(0)
    values = rng.choice([-1.0, 1.0], structure.nnz)
    values[main] *= rng.uniform(1.0, 2.0, 40)
    assert flat(values, *parts, 1.0)
    for slot in range(structure.nnz):
        kept = values[slot]
        if not main.start <= slot < main.stop:
            limit = abs(values[main][columns[slot]])
            values[slot] = limit
            assert flat(values, *parts, 1.0)
            values[slot] = np.nextafter(limit, 3.0)
            assert not flat(values, *parts, 1.0)
        values[slot] = np.nan
        assert not flat(values, *parts, 1.0)
        values[slot] = kept
