"""Errors of solutions in the rows of a plan that are watched, where the numbers of a matrix are alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import eps_of, real_type
from stridiag._kernels.watched_rows import alike, look
from stridiag.planning import Plan
from stridiag.planning.watched_rows import WatchedRows
from stridiag.structure import StridiagMatrix

__all__ = ["SUSPICIOUS", "errors_in", "sound", "watched_by"]

Array = NDArray[Any]

SUSPICIOUS = 2.0
"""Units of rounding in these rows from which on all rows are looked at."""


def watched_by(planned: Plan, matrix: StridiagMatrix) -> tuple[WatchedRows, WatchedRows] | None:
    """Return the rows to be watched, of a single matrix and of its transpose; None where errors do not add up."""
    layout: Any = planned.layout
    if not hasattr(type(layout), "watched") or not alike(matrix.values, np.array(matrix.structure.starts, np.int64)):
        return None
    found: tuple[WatchedRows, WatchedRows] = layout.watched
    return found


def sound(watched: WatchedRows, values: Array, b: Array, x: Array) -> bool:
    """Whether a solution, (n,), in double precision, shows nothing to be mended."""
    error = errors_in(watched, values, b[:, None], x[:, None], conjugate=False)[0]
    return not error > SUSPICIOUS * eps_of(x.dtype)


def errors_in(watched: WatchedRows, values: Array, b: Array, x: Array, *, conjugate: bool) -> Array:
    """Return the backward errors, (m,), of solutions `x`, (n, m), contiguous; all arrays but indices of one type."""
    m = x.shape[1]
    work = np.empty((3, m), real_type(x.dtype))
    look(*watched, conjugate, values, b, x, np.empty(m, x.dtype), work)
    return np.asarray(work[0])
