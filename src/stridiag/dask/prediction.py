"""Predictions for Dask collections, a partition at a time and only when they are computed."""

# Dask has types, but not all over.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

import numpy as np
from dask.delayed import delayed
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from stridiag.dask.collections import as_rows, is_frame
from stridiag.dask.threads import task_threads
from stridiag.sklearn import StridiagClassifier, StridiagRegressor, StridiagTransformer

__all__ = ["decision_function", "predict", "predict_proba", "transform"]

Array = NDArray[Any]


def predict(estimator: StridiagClassifier | StridiagRegressor, X: Any, *, threads_per_task: int = 1) -> Any:
    """Predict labels or numbers, lazily.

    Parameters
    ----------
    estimator : StridiagClassifier or StridiagRegressor
        A fitted one, from `fit` or from anywhere else.
    X : dask.array.Array, (n_samples, n_features), or dask.dataframe.DataFrame
        Rows. Sizes of partitions may be unknown, and partitions may be empty.
    threads_per_task : int, default 1
        Threads that a task may use, in our kernels and in BLAS.

    Returns
    -------
    dask.array.Array, or a column called "prediction" with the index of X
        What ``estimator.predict`` returns, partition by partition, of its dtype; for several outputs an array of two
        axes, or a data frame of columns 0, 1, ...

    Raises
    ------
    TypeError, ValueError
        If X is no Dask collection of rows, has another number of features, or the estimator is of another kind or not
        fitted.

    Examples
    --------
    >>> import dask
    >>> import dask.array as da
    >>> import numpy as np
    >>> from stridiag.sklearn import StridiagRegressor
    >>> import stridiag.dask as sd
    >>> X = np.random.default_rng(0).standard_normal((300, 3))
    >>> model = StridiagRegressor(units=32, layers=1, random_state=0).fit(X, X[:, 0] * X[:, 1])
    >>> lazy = sd.predict(model, da.from_array(X, chunks=(100, 3)))
    >>> lazy.chunks, lazy.dtype
    (((100, 100, 100),), dtype('float64'))
    >>> with dask.config.set(scheduler="synchronous"):
    ...     bool(np.allclose(lazy, model.predict(X), rtol=1e-13))
    True
    """
    return _by_partition(estimator, "predict", X, threads_per_task)


def predict_proba(estimator: StridiagClassifier, X: Any, *, threads_per_task: int = 1) -> Any:
    """Return probabilities of classes, lazily; the parameters are those of `predict`.

    Returns
    -------
    dask.array.Array, (n_samples, n_classes), or dask.dataframe.DataFrame whose columns are the classes
    """
    return _by_partition(estimator, "predict_proba", X, threads_per_task)


def decision_function(estimator: StridiagClassifier, X: Any, *, threads_per_task: int = 1) -> Any:
    """Return scores of classes, lazily; the parameters are those of `predict`.

    Returns
    -------
    dask.array.Array, (n_samples, n_classes), or dask.dataframe.DataFrame whose columns are the classes
        For two classes (n_samples,), or a column called "score".
    """
    return _by_partition(estimator, "decision_function", X, threads_per_task)


def transform(estimator: StridiagTransformer, X: Any, *, threads_per_task: int = 1) -> Any:
    """Return the features of a fitted `StridiagTransformer`, lazily; the parameters are those of `predict`.

    Returns
    -------
    dask.array.Array, (n_samples, columns), or dask.dataframe.DataFrame with the transformer's names of features
    """
    return _by_partition(estimator, "transform", X, threads_per_task)


_NAMES = {"predict": "prediction", "decision_function": "score"}


def _by_partition(estimator: Any, method: str, X: Any, threads: int) -> Any:
    if not (
        isinstance(estimator, StridiagClassifier | StridiagRegressor | StridiagTransformer)
        and hasattr(estimator, method)
    ):
        raise TypeError(f"{method} needs an estimator of this library that has it, got {type(estimator).__name__}")
    check_is_fitted(estimator)
    rows = as_rows(X)
    # One row tells dtype and shape, which differ with classes and outputs; names of features, and their number, are
    # checked by the estimator.
    example: Any = _example(rows) if is_frame(rows) else np.zeros((1, rows.shape[1]))
    if not isinstance(estimator, StridiagTransformer):
        estimator = estimator.without_statistics()
    answer = np.asarray(getattr(estimator, method)(example))
    model = delayed(estimator, traverse=False, pure=False)
    if is_frame(rows):
        meta = _framed(answer[:0], example.index[:0], estimator, method)
        return rows.map_partitions(
            _answer, model, method, threads, meta, meta=meta, enforce_metadata=False, token=f"stridiag-{method}"
        )
    empty = answer[:0]
    shape: dict[str, Any] = {"drop_axis": 1} if answer.ndim == 1 else {"chunks": (rows.chunks[0], (answer.shape[1],))}
    return rows.map_blocks(
        _answer,
        model,
        method,
        threads,
        empty,
        dtype=answer.dtype,
        meta=empty,
        name=None,
        token=f"stridiag-{method}",
        **shape,
    )


def _example(frame: Any) -> Any:
    """Return a row like those of a data frame; columns of objects, of which Dask knows nothing, hold numbers."""
    row = frame._meta_nonempty.iloc[:1]
    return row.assign(**{name: 0.0 for name, kind in row.dtypes.items() if kind == np.dtype(object)})


def _answer(part: Any, estimator: Any, method: str, threads: int, empty: Any) -> Any:
    """Return the answers for a partition; runs where it is."""
    if not len(part):
        return empty
    with task_threads(threads):
        answer = getattr(estimator, method)(part)
    return _framed(answer, part.index, estimator, method) if hasattr(part, "iloc") else answer


def _framed(answer: Array, index: Any, estimator: Any, method: str) -> Any:
    """Return answers with an index and names."""
    import pandas as pd

    if answer.ndim == 1:
        return pd.Series(answer, index=index, name=_NAMES[method])
    if method == "transform":
        columns = list(estimator.get_feature_names_out())
    elif method == "predict":
        columns = list(range(answer.shape[1]))
    else:
        columns = estimator.classes_.tolist()
    return pd.DataFrame(answer, index=index, columns=columns)
