"""SuperLU writes out of bounds on patterns without a perfect matching, and the process dies.

`plan(...).unmatched` knows that such a matrix is singular, but `Factor` asked it only after SuperLU had run.
"""

import subprocess
import sys

# One process for all types. The method is asked for: left to itself, a plan takes SuperLU for few of these.
_SCRIPT = """
import numpy as np
from stridiag import StridiagMatrix, Structure
from stridiag.planning.matching import unmatched_column
found = 0
for seed, dtype in enumerate(("f8", "c16", "f4")):
    rng = np.random.default_rng(seed)
    for _ in range(150):
        offsets = sorted({int(k) for k in rng.integers(-299, 300, 3)} - {0})
        S = Structure(300, offsets, (rng.integers(0, 300, 6), rng.integers(0, 300, 6)))
        if unmatched_column(*S.coordinates(), 300) is not None:
            A = StridiagMatrix(S, rng.choice([-1, 1.0], S.nnz).astype(dtype))
            assert A.factor(method="sparse-lu").singular
            found += 1
assert found > 300, found
"""


def test_structurally_singular_matrices_leave_the_process_alive():
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "illegal value" not in done.stdout + done.stderr
