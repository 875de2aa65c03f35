"""Factors of chains can be pickled and copied; those of SuperLU cannot, and the reduced one inside a chain neither."""

import pickle

import numpy as np

import stridiag


def test_a_superlu_factor_survives_pickling():
    F = stridiag.random(500, (-3, 0, 2), 3, rng=0, dominant=True).factor()
    G = pickle.loads(pickle.dumps(F))
    np.testing.assert_array_equal(G.solve(np.ones(500)), F.solve(np.ones(500)))
