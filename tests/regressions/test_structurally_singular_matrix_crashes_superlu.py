"""SuperLU writes out of bounds on patterns without a perfect matching, and the process dies.

`plan(...).unmatched` knows that such a matrix is singular, but `Factor` asks it only after SuperLU has run.
"""

import subprocess
import sys

import pytest

_SCRIPT = """
import sys
import numpy as np
from stridiag import StridiagMatrix, Structure, plan
rng = np.random.default_rng(int(sys.argv[1]))
for _ in range(400):
    offsets = sorted({int(k) for k in rng.integers(-299, 300, 3)} - {0})
    S = Structure(300, offsets, (rng.integers(0, 300, 6), rng.integers(0, 300, 6)))
    if plan(S).unmatched is None:
        continue
    A = StridiagMatrix(S, rng.choice([-1, 1.0], S.nnz).astype(sys.argv[2]))
    assert A.factor().singular
"""


@pytest.mark.parametrize(("seed", "dtype"), [(0, "f8"), (1, "c16"), (2, "f4")])
def test_structurally_singular_matrices_leave_the_process_alive(seed, dtype):
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(seed), dtype], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "illegal value" not in done.stdout + done.stderr
