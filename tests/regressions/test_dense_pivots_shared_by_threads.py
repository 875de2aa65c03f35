"""scipy's getrs counts the pivots it is given up to Fortran's numbering and down again, with the lock released.

Two threads that solved with one factor at once read pivots in between, and the process died.
"""

import concurrent.futures

import numpy as np

import stridiag


def test_threads_share_a_dense_factor():
    F = stridiag.random(60, (-3, 0, 2), 3, rng=0, dominant=True).factor(method="dense")
    b = np.random.default_rng(0).standard_normal((60, 2))
    expected = F.solve(b)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for x in pool.map(F.solve, [b] * 400):
            np.testing.assert_array_equal(x, expected)
