"""The probe of the sweeps was the same, but for its sign, in the last row of each segment.

A null vector with two equal entries, in the rows of two links, cancelled it in half of the cases: a singular matrix
was solved without a warning.
"""

import numpy as np
import pytest

import stridiag
from stridiag import linalg

N = 13_001


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("rows", [(300, 8000), (5000, 8000), (300, 12_000)])
def test_two_links_in_a_circle_that_make_the_matrix_singular(rows, sign):
    i, j = rows
    structure = stridiag.Structure(N, (-1, 0, 1), ([i, j], [j, i]))
    rng = np.random.default_rng(0)
    values = rng.uniform(0.5, 1.0, structure.nnz)
    values[structure.diagonal_slots(0)] = 4.0
    entry_rows, columns = structure.coordinates()
    # Rows i and j are cut free of the chain: (1, sign; sign, 1).
    cut = np.isin(entry_rows, rows)
    values[cut] = 0.0
    values[cut & (entry_rows == columns)] = 1.0
    values[structure.starts[-1] :] = sign
    A = stridiag.StridiagMatrix(structure, values)
    with pytest.warns(stridiag.IllConditionedWarning):
        linalg.solve(A, rng.normal(size=N))
