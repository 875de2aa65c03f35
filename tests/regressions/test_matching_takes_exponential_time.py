"""scipy's maximum matching takes time exponential in the size of some patterns: 300 rows took it nine seconds."""

import time

import numpy as np

from stridiag import Structure
from stridiag.planning.matching import unmatched_column


def test_a_matching_is_found_in_no_time():
    links = [36, 88, 139, 248, 254, 265], [140, 172, 148, 263, 52, 174]
    S = Structure(300, (-61, 1, 62), links)
    # Compiled before the clock starts.
    unmatched_column(np.array([0]), np.array([1]), 2)
    start = time.process_time()
    assert unmatched_column(*S.coordinates(), 300) is None
    assert time.process_time() - start < 1.0
