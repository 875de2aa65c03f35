"""Rotations ordered the columns anew where zeros were stored, and could fill more than the plan had promised."""

import numpy as np

from stridiag import StridiagMatrix, Structure


def test_factors_with_stored_zeros_stay_within_the_bytes_of_the_plan():
    rng = np.random.default_rng(0)
    structure = Structure(60, (-3, -2, -1, 0, 1))
    regular = 0
    for _ in range(200):
        F = StridiagMatrix(structure, rng.choice([-1.0, 0.0, 1.0, 2.0], structure.nnz, p=[0.3, 0.2, 0.3, 0.2])).factor(
            method="sparse-qr"
        )
        if not F.singular:
            regular += 1
            assert F.nbytes <= F.plan.bytes
    assert regular > 20
