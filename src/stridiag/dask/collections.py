"""Dask arrays and data frames as lists of partitions that lie side by side."""

# Dask has types, but not all over.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
from dask.base import compute, is_dask_collection
from dask.delayed import Delayed, delayed
from dask.utils import is_dataframe_like, is_series_like
from numpy.typing import NDArray

__all__ = ["as_rows", "is_frame", "lengths", "side_by_side"]

Array = NDArray[Any]


def is_frame(value: Any) -> bool:
    """Whether it is a Dask data frame or one of its columns."""
    return bool(is_dask_collection(value) and (is_dataframe_like(value) or is_series_like(value)))


def as_rows(X: Any) -> Any:
    """Return rows that are cut between rows only, a Dask array or data frame.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If it has not two axes.
    """
    if is_frame(X):
        if is_series_like(X):
            raise ValueError("X must be a Dask data frame, got one column of it: use X.to_frame()")
        return X
    return _cut_by_rows(_as_array(X, "X", (2,)))


def side_by_side(X: Any, y: Any, sample_weight: Any) -> list[Delayed]:
    """Return the partitions, each a tuple of rows, targets and weights or None.

    Arrays of known sizes are cut as X is; what has unknown sizes must have as many partitions, of the same lengths.

    Raises
    ------
    TypeError, ValueError
        If something is no Dask collection, or partitions cannot belong together.
    """
    rows = as_rows(X)
    given = [rows, _like(rows, y, "y", (1, 2))]
    if sample_weight is not None:
        given.append(_like(rows, sample_weight, "sample_weight", (1,)))
    # In one collection, so that what X and y come from is made once, and in one task with what reads it.
    # (`dask.optimize` on several data frames mixes them up, and each by itself may be optimised to another number of
    # partitions.)
    if all(map(is_frame, given)):
        import dask.dataframe as frames

        together = frames.map_partitions(
            _packed, *given, align_dataframes=False, enforce_metadata=False, meta=(None, object)
        )
        return list(together.to_delayed())
    if not any(map(is_frame, given)):
        columns = iter("jk")
        indexed = [part for one in given for part in (one, "i" if one.ndim == 1 else f"i{next(columns)}")]
        return _parts(
            da.blockwise(
                _packed, "i", *indexed, dtype=object, meta=np.empty(0, object), align_arrays=False, concatenate=True
            )
        )
    pack = delayed(_packed, pure=False)
    return [pack(*parts) for parts in zip(*map(_parts, given), strict=True)]


def lengths(X: Any, parts: list[Delayed], **options: Any) -> NDArray[np.int64]:
    """Return how many rows each partition has; those of unknown sizes are counted, in one pass over the data."""
    if not is_frame(X) and not np.isnan(X.chunks[0]).any():
        return np.asarray(X.chunks[0], np.int64)
    count = delayed(_rows_of, pure=False)
    (counts,) = compute([count(part) for part in parts], **options)
    return np.asarray(counts, np.int64)


def _packed(rows: Any, targets: Any, weights: Any = None) -> tuple[Any, Any, Any]:
    """Return what belongs together; runs where the partition is, the first place that knows unknown sizes."""
    for name, part in (("y", targets), ("sample_weight", weights)):
        if part is not None and len(part) != len(rows):
            raise ValueError(
                f"X and {name} must have as many rows in each partition, got {len(rows)} and {len(part)} in one: "
                "filter both alike"
            )
    return rows, targets, weights


def _rows_of(part: tuple[Any, Any, Any]) -> int:
    return len(part[0])


def _as_array(value: Any, name: str, axes: tuple[int, ...]) -> da.Array:
    if not isinstance(value, da.Array):
        raise TypeError(f"{name} must be a Dask array or data frame, got {type(value).__name__}")
    if value.ndim not in axes:
        raise ValueError(f"{name} must have {' or '.join(map(str, axes))} axes, got shape {value.shape}")
    return value


def _cut_by_rows(array: da.Array) -> da.Array:
    return array if array.ndim == 1 or array.numblocks[1] == 1 else array.rechunk({1: -1})


def _like(rows: Any, value: Any, name: str, axes: tuple[int, ...]) -> Any:
    """Return targets or weights in partitions like those of the rows."""
    if is_frame(value):
        if is_frame(rows) and rows.known_divisions and value.known_divisions and rows.divisions != value.divisions:
            raise ValueError(f"X and {name} must have the same divisions: take both from one frame, or align them")
    else:
        value = _cut_by_rows(_as_array(value, name, axes))
        known = not (is_frame(rows) or np.isnan(rows.chunks[0]).any() or np.isnan(value.chunks[0]).any())
        if known:
            if rows.shape[0] != value.shape[0]:
                raise ValueError(f"X and {name} must have as many rows, got {rows.shape[0]} and {value.shape[0]}")
            value = value.rechunk({0: rows.chunks[0]})
    count, expected = (part.npartitions if is_frame(part) else part.numblocks[0] for part in (value, rows))
    if count != expected:
        raise ValueError(f"X and {name} must have as many partitions, got {expected} and {count}")
    return value


def _parts(collection: Any) -> list[Delayed]:
    return list(np.ravel(np.asarray(collection.to_delayed(), object)))
