"""Vectors in chain order and back: a transposition of a table that has a column for each chain.

In chain order the residue classes modulo g stand one behind the other, at ``starts``, (g + 1,). Blocks of as many rows
and chains as a vector has numbers are transposed in registers; what remains at the edges goes one by one.

Cost: each number is read and written once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel, vector_kernel
from stridiag._kernels.vectors import BYTES, gather, scatter

__all__ = ["from_chains", "plain_from_chains", "plain_to_chains", "to_chains"]

Array = NDArray[Any]
Index = NDArray[np.int64]


@kernel
def plain_to_chains(b: Array, starts: Index, x: Array) -> None:
    """Do what `to_chains` does, chain by chain."""
    g = starts.size - 1
    for c in range(g):
        for k in range(starts[c + 1] - starts[c]):
            x[starts[c] + k] = b[k * g + c] if k * g + c < b.size else 0.0


@kernel
def plain_from_chains(x: Array, starts: Index, b: Array) -> None:
    """Do what `from_chains` does, chain by chain."""
    g = starts.size - 1
    for c in range(g):
        for k in range(starts[c + 1] - starts[c]):
            b[k * g + c] = x[starts[c] + k]


@vector_kernel(plain_to_chains)
def to_chains(b: Array, starts: Index, x: Array) -> None:
    """Fill `x`, (n,), with the real numbers `b` in chain order; zeros end the chains if there are only n - g."""
    g, lanes = starts.size - 1, BYTES // b.itemsize
    full, height = g // lanes * lanes, b.size // g // lanes * lanes
    for chain in range(0, full, lanes):
        for row in range(0, height, lanes):
            scatter(x, starts, chain, row, b, row * g + chain, g)
    for c in range(g):
        for k in range(height if c < full else 0, starts[c + 1] - starts[c]):
            x[starts[c] + k] = b[k * g + c] if k * g + c < b.size else 0.0


@vector_kernel(plain_from_chains)
def from_chains(x: Array, starts: Index, b: Array) -> None:
    """Fill `b`, (n,), with `x`, (n,), which is in chain order; real numbers."""
    g, lanes = starts.size - 1, BYTES // x.itemsize
    full, height = g // lanes * lanes, b.size // g // lanes * lanes
    for chain in range(0, full, lanes):
        for row in range(0, height, lanes):
            gather(x, starts, chain, row, b, row * g + chain, g)
    for c in range(g):
        for k in range(height if c < full else 0, starts[c + 1] - starts[c]):
            b[k * g + c] = x[starts[c] + k]
