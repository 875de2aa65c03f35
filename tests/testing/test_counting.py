"""Counting what the library executes."""

import subprocess
import sys

PROGRAM = """
import stridiag
from stridiag.testing import recording

A = stridiag.random(30, offsets=(-1, 0, 2), rng=0)
with recording() as executed:
    F = A.factor()
    F.singular
print(executed[0], F.plan.operations.factor, F.plan.operations.exact)
"""


def test_recording_counts_before_anything_has_been_factored():
    # The rooms that call kernels are imported when first needed: inside the recording they would bring compiled ones.
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    executed, predicted, exact = run.stdout.split()
    assert int(executed) == int(predicted) > 0
    assert exact == "True"
