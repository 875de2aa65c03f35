"""Rows of many kinds of containers, read a chunk at a time into float64 arrays.

Nothing here imports pandas, polars, Arrow or the like: a container is taken by what it can do. It needs a number of
rows (``shape`` or ``len``), a way to cut rows (``iloc``, ``slice`` or ``[a:b]``), and to become an array (sparse ones
by ``toarray``, others by ``__array__``). Only the rows of one chunk are ever converted, so memory-mapped arrays and
HDF5 data sets stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._arrays import as_array
from stridiag._validate import as_floats

__all__ = ["indicators", "labelled", "read_chunks"]

Array = NDArray[Any]
Chunk = tuple[Array, Array, Array]

# Numbers in one chunk: 32 MB.
_CHUNK = 1 << 22


def read_chunks(
    rows: Any,
    targets: Any = None,
    weights: Any = None,
    *,
    features: Callable[[Array], Array] | None = None,
    width: int = 1,
) -> Iterator[Chunk]:
    """Yield ``(rows, targets, weights)`` chunks of about 32 MB; see `Statistics.from_data` for the parameters.

    Rows are float64, targets as they come. `width` is how many numbers `features` makes of a row, where that is known:
    then that counts too.
    """
    if targets is None:
        if weights is not None:
            raise ValueError("weights of chunks belong into the chunks: (rows, targets, weights)")
        if not isinstance(rows, Iterable) or _is_container(rows):
            raise TypeError(f"without targets, rows must be an iterable of (rows, targets) chunks, got {_told(rows)}")
        for chunk in rows:
            if not (isinstance(chunk, tuple | list) and len(chunk) in (2, 3) and chunk[1] is not None):
                raise TypeError(f"a chunk must be (rows, targets) or (rows, targets, weights), got {_told(chunk)}")
            yield from read_chunks(*chunk, features=features, width=width)
        return
    x, z = _cuttable(rows), _cuttable(targets)
    n = _length(x)
    d = np.ones(n) if weights is None else as_floats(_dense(_cuttable(weights)), "weights")
    if _length(z) != n or d.shape != (n,):
        raise ValueError(f"rows, targets and weights must be as many, got {n}, {_length(z)} and {d.shape}")
    step = max(1, _CHUNK // max(1, width, _width(x)))
    for start in range(0, n, step):
        end = min(start + step, n)
        values = as_floats(_dense(_cut(x, start, end)), "rows")
        if values.ndim != 2:
            raise ValueError(f"rows must be two-dimensional, got shape {values.shape}")
        made = values if features is None else features(values)
        yield made, as_array(_dense(_cut(z, start, end)), "targets"), d[start:end]


def labelled(
    chunks: Iterable[Chunk], classes: ArrayLike, class_weights: Mapping[Any, float] | None = None
) -> Iterator[Chunk]:
    """Turn the labels of chunks into indicators, and multiply weights by those of the classes."""
    known = as_array(classes, "classes")
    factors = np.ones(known.size)
    for label, factor in (class_weights or {}).items():
        place = np.flatnonzero(known == label)
        if place.size != 1:
            raise ValueError(f"class_weights has the label {label!r}, which is not among the classes {known}")
        factors[place] = factor
    if not (factors.min(initial=0.0) >= 0.0 and factors.max(initial=0.0) < np.inf):
        raise ValueError(f"class_weights must be finite and nonnegative, got {factors}")
    for rows, labels, weights in chunks:
        targets = indicators(labels, known)
        yield rows, targets, weights * factors[targets.argmax(axis=1)]


def indicators(labels: ArrayLike, classes: ArrayLike) -> Array:
    """Return +1 where a row has the class of a column and -1 elsewhere, (n, classes).

    Raises
    ------
    ValueError
        If a label is not among the classes, or labels are not one-dimensional.
    """
    y, known = as_array(labels, "labels"), as_array(classes, "classes")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise ValueError(f"labels must be one-dimensional, got shape {y.shape}")
    same = y[:, None] == known
    if not same.any(axis=1).all():
        raise ValueError(f"label {y[int(np.argmin(same.any(axis=1)))]!r} is not among the classes {known}")
    return np.where(same, 1.0, -1.0)


def _told(value: Any) -> str:
    return f"{type(value).__name__}{f' of length {len(value)}' if isinstance(value, tuple | list) else ''}"


def _is_container(value: Any) -> bool:
    return any(hasattr(value, name) for name in ("__array__", "to_numpy", "toarray", "__arrow_c_stream__"))


def _cuttable(value: Any) -> Any:
    """Return something that has rows to cut; lists become arrays."""
    # Sparse matrices in other formats than by rows cannot be cut, or only slowly.
    if hasattr(value, "tocsr"):
        return value.tocsr()
    if _is_container(value):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return np.asarray(value)
    raise TypeError(f"expected an array, a sparse matrix or a data frame, got {_told(value)}")


def _length(value: Any) -> int:
    shape = getattr(value, "shape", None)
    return int(shape[0]) if shape is not None and len(shape) else len(value)


def _width(value: Any) -> int:
    shape = getattr(value, "shape", None)
    return int(shape[1]) if shape is not None and len(shape) > 1 else 1


def _cut(value: Any, start: int, end: int) -> Any:
    if hasattr(value, "iloc"):
        return value.iloc[start:end]
    # Not a numpy array's: these have none.
    if callable(getattr(value, "slice", None)):
        return value.slice(start, end - start)
    return value[start:end]


def _dense(value: Any) -> Any:
    return value.toarray() if hasattr(value, "toarray") else value
