"""Solving a small linked chain once: LU in a fixed order, whose solution is accepted only if its residual proves it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._frozen import writable
from stridiag._kernels import static_lu as kernels
from stridiag._kernels import static_order
from stridiag.factorization.condition import probe

if TYPE_CHECKING:
    from stridiag.planning.condensation import CondensationLayout

__all__ = ["solve_once"]

Array = NDArray[Any]

# Neighbours, and pairs of them, for each unknown, beyond which the stable way is as quick.
_NEIGHBOURS, _PAIRS = 16, 64


def solve_once(layout: CondensationLayout, values: Array, b: Array, x: Array) -> tuple[float, float, float] | None:
    """See `stridiag.factorization.single.SolvesOnce`; for layouts that are `fused`."""
    program = _program(layout)
    if program is None:
        return None
    found: tuple[float, float, float] = kernels.solve_once(program, values, writable(b), x)
    return found


# As many as there are plans.
@lru_cache(maxsize=16)
def _program(layout: CondensationLayout) -> NDArray[np.uint32] | None:
    """Return the order of elimination as `stridiag._kernels.static_lu` takes it; None where numbers fill in."""
    structure, g = layout.structure, layout.chain.stride
    n, rows, columns = structure.shape[0], structure.link_rows, structure.link_columns
    if 2 * g > n:
        return None
    node, start, near = np.empty(n, np.int64), np.empty(n + 1, np.int64), np.empty(_NEIGHBOURS * n, np.int64)
    pairs = static_order.eliminate(n, g, rows, columns, node, start, near)
    if not 0 <= pairs <= _PAIRS * n:
        return None
    near = near[: start[n]]
    pair, slot = np.empty(pairs, np.int64), np.empty(structure.nnz - n, np.int64)
    static_order.places(n, g, rows, columns, node, start, near, pair, slot)
    sizes = np.array([g, rows.size, near.size, pairs])
    assert sizes.size == kernels.HEAD
    places = np.concatenate((node, start, near, pair, slot, rows, columns)).astype(np.uint32)
    return np.concatenate((sizes.astype(np.uint32), probe(n, np.dtype(np.float64)).view(np.uint32), places))
