"""A memory made ready for single rows: what `Memory.correction` makes for each call is made once and kept.

Its own numbers beside the memory's: 4 bytes for each of the n d coordinates, or the k-d tree of up to 8 columns. Found
are the same neighbours, except where more training rows lie at one distance, to the last bit, than are wanted.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.memory_row import CANDIDATES, LANES, add_weighted, nearest_row
from stridiag.nn.forward import read_only
from stridiag.nn.memory import TREE_COLUMNS, Memory

__all__ = ["CompiledMemory"]

Array = NDArray[Any]

# Left-over places of the last block: their squares neither overflow nor are least.
_FAR = 1e17


class CompiledMemory:
    """Adds a memory's correction to the outputs of single rows, and keeps them within bounds.

    Parameters
    ----------
    memory : Memory
        Whose correction it is.
    lower, upper : ndarray, (q,)
        The bounds.
    """

    def __init__(self, memory: Memory, lower: Array, upper: Array) -> None:
        self._memory = memory
        self._bounds = read_only(np.ascontiguousarray(lower, float)), read_only(np.ascontiguousarray(upper, float))
        self._residuals = read_only(np.ascontiguousarray(memory.residuals, float))
        self._shape = n, d = memory.rows.shape
        self._local = threading.local()
        self._wide = min(n, memory.neighbours + CANDIDATES)
        self._tree = None
        if d <= TREE_COLUMNS:
            from scipy.spatial import cKDTree

            self._tree = cKDTree(memory.rows)
            # A list, so that one neighbour comes as an array too.
            self._ranks = list(range(1, memory.neighbours + 1))
            return
        rows = np.ascontiguousarray(memory.rows, float)
        centre = rows.mean(axis=0)
        blocks = np.full((-(-n // LANES) * LANES, d), _FAR, np.float32)
        blocks[:n] = rows - centre
        blocks = np.ascontiguousarray(blocks.reshape(-1, LANES, d).swapaxes(1, 2))
        metric = np.ascontiguousarray(np.atleast_2d(memory.metric), float)
        self._searched = tuple(map(read_only, (blocks.ravel(), rows, centre, metric)))

    def add_to(self, y: Array, t: Array) -> None:
        """Add the correction for one transformed row, at the front of `t`, to its outputs, (q,)."""
        memory = self._memory
        if self._tree is not None:
            x = t[: self._shape[1]]
            x = x * memory.metric if memory.metric.ndim == 1 else x @ memory.metric
            try:
                found: Any = self._tree.query(x, self._ranks)
            except ValueError:
                # What is no number has no neighbours.
                y.fill(np.nan)
                return
            distances, places = found
        else:
            try:
                distances, places, scratch = self._local.scratch
            except AttributeError:
                distances, places, scratch = self._local.scratch = self._made()
            (blocks, rows, centre, metric), (query, single, rough, candidates) = self._searched, scratch
            nearest_row(
                blocks, rows, centre, metric, t, self._wide, query, single, rough, candidates, distances, places
            )
        lower, upper = self._bounds
        add_weighted(distances, places, memory.neighbours, self._residuals, memory.power, memory.alpha, lower, upper, y)

    def _made(self) -> tuple[Array, Array, tuple[Array, ...]]:
        d, wide = self._shape[1], self._wide
        scratch = np.empty(d), np.empty(d, np.float32), np.empty(LANES + wide, np.float32), np.empty(wide, np.int64)
        return np.empty(wide), np.empty(wide, np.int64), scratch
