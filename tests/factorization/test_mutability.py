"""Kernels are compiled once for each type of numbers, whether or not a caller's arrays may be written to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from numba.core import types

import stridiag
from stridiag import StridiagMatrix, linalg
from stridiag._kernels.compile import COMPILES

CASES = [
    (100, (-1, 0, 1), 0, True),
    (6000, (-1, 0, 1), 0, False),
    (60_000, (-8, 0, 8), 0, True),
    (100, (-1, 0, 1), 10, True),
    (6000, (-1, 0, 1), 10, True),
    (6000, (-3, 0, 2), 0, True),
    (6000, (-3, 0, 2), 3, True),
    (1000, (-29, 0, 17), 3, True),
]


def kernels_called():
    modules = [module for name, module in sys.modules.items() if name.startswith("stridiag._kernels.")]
    return {thing for module in modules for thing in vars(module).values() if hasattr(thing, "signatures")}


def alike(kind):
    """Return a type without whether it may be written to."""
    if isinstance(kind, types.Array):
        return kind.copy(readonly=False)
    return types.Tuple([alike(one) for one in kind]) if isinstance(kind, types.BaseTuple) else kind


def given(array, *, read_only):
    array = array.copy()
    array.setflags(write=not read_only)
    return array


def call_all(matrix, vector, columns):
    linalg.solve(matrix, vector)
    factor = matrix.factor()
    # The second solution notes what those after it replay.
    for right in (vector, vector, vector, columns):
        factor.solve(right)
    factor.solve(vector, trans="T")
    matrix.factor().solve(columns)
    linalg.slogdet(matrix)
    matrix @ vector
    matrix @ columns


def compiled_twice():
    """Solve in every case, and return the names of kernels with two forms that differ in nothing else."""
    rng = np.random.default_rng(1)
    for n, offsets, links, dominant in CASES:
        matrix = stridiag.random(n, offsets, links, rng=0, dominant=dominant)
        vector, columns = rng.standard_normal(n), rng.standard_normal((n, 16))
        for read_only in (False, True):
            values, *right = (given(part, read_only=read_only) for part in (matrix.values, vector, columns))
            call_all(StridiagMatrix(matrix.structure, values, copy=False), *right)
    forms = Counter((kernel, tuple(map(alike, form))) for kernel in kernels_called() for form in kernel.signatures)
    return sorted({f"{kernel.__module__}.{kernel.__name__}" for (kernel, _), count in forms.items() if count > 1})


@pytest.mark.skipif(not COMPILES, reason="nothing is compiled")
def test_no_kernel_is_compiled_twice():
    # In a process of its own: other tests call kernels by themselves.
    done = subprocess.run([sys.executable, __file__], env=dict(os.environ), capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


if __name__ == "__main__":
    print(*compiled_twice())
