"""The excess of the diagonal: against dense sums, and as a bound of the inverse."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels.dominance import least_excess
from stridiag.testing import plain_twin

CASES = [(1, (0,), 0), (9, (-2, 0, 1), 4), (60, (-29, 0, 17), 5), (100, (0, 3), 30), (200, (-5, -1, 0), 0)]


def excess(A, *, by_columns, kernel=least_excess):
    structure = A.structure
    links = structure.link_columns if by_columns else structure.link_rows
    offsets, starts = np.array(structure.offsets), np.array(structure.starts)
    return kernel(A.values, offsets, starts, links, by_columns, np.empty(structure.shape[0]))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize(("n", "offsets", "links"), CASES)
def test_it_is_that_of_dense_sums_and_bounds_the_inverse(n, offsets, links, by_columns, dtype):
    A = stridiag.random(n, offsets=offsets, links=links, rng=n, dtype=dtype, dominant=True)
    A = A.T if by_columns else A
    sizes = np.abs(A.toarray()).astype(float)
    diagonal = np.diag(sizes).copy()
    expected = (2 * diagonal - sizes.sum(axis=0 if by_columns else 1)).min()
    found = excess(A, by_columns=by_columns)
    assert np.isclose(found, expected, rtol=1e-3 if dtype in ("float32", "complex64") else 1e-10)
    assert np.isclose(excess(A, by_columns=by_columns, kernel=plain_twin(least_excess)), found, rtol=1e-5)
    inverse = np.abs(np.linalg.inv(A.toarray().astype(complex)))
    assert inverse.sum(axis=0 if by_columns else 1).max() <= 1.001 / found


@pytest.mark.parametrize("factor", [1.0, 1.0001, 0.0, np.nan])
def test_what_is_not_clear_is_zero(factor):
    A = stridiag.random(50, offsets=(-3, 0, 2), links=4, rng=0, dominant=True)
    assert excess(A, by_columns=False) > 0.0
    main = A.structure.diagonal_slots(0)
    values = A.values.copy()
    sizes = np.abs(A.toarray()[17])
    values[main.start + 17] = (sizes.sum() - sizes[17]) * factor
    structure = A.structure
    given = (np.array(structure.offsets), np.array(structure.starts), structure.link_rows, False, np.empty(50))
    assert least_excess(values, *given) == 0.0
