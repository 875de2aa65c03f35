"""One entry on the main diagonal made `detect` store all of it, as zeros; SuperLU takes them for entries.

The pattern of an off-diagonal matrix (bayer10 of the collections: 3 of 13,436 diagonal entries) then fills in:
11 seconds and 310 MB in place of 0.1 seconds and 5 MB.
"""

import numpy as np
import scipy.sparse as sp

import stridiag


def almost_permutation(n):
    target = np.random.default_rng(0).permutation(n)
    rows = np.concatenate((np.arange(n), np.arange(n), [1, 5, 9]))
    columns = np.concatenate((target, target[(np.arange(n) + 1) % n], [1, 5, 9]))
    values = np.concatenate((np.ones(n), np.full(n, 0.1), np.full(3, 0.5)))
    return sp.coo_array((values, (rows, columns)), shape=(n, n)).tocsr()


def test_an_almost_empty_main_diagonal_is_left_as_links():
    assert stridiag.detect(almost_permutation(1000)).padding < 100


def test_stored_zeros_do_not_fill_the_factor():
    S = almost_permutation(1000)
    padded = stridiag.StridiagMatrix.from_scipy(S).factor()
    bare = stridiag.StridiagMatrix.from_scipy(S, offsets=()).factor()
    assert padded.nbytes < 4 * bare.nbytes
