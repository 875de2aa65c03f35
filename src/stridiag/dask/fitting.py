"""Fits on Dask collections: a model of a sample, and sums of all other rows, measured where they lie."""

# Dask has types, but not all over.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from dask.base import compute
from dask.delayed import Delayed, delayed
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from stridiag.dask.collections import lengths, side_by_side
from stridiag.dask.reduction import tree_sum
from stridiag.dask.threads import task_threads
from stridiag.sklearn import StridiagClassifier, StridiagRegressor
from stridiag.sklearn.partial_sums import Measurer, PartialSums

__all__ = ["fit", "partial_fit"]

Array = NDArray[Any]
Index = NDArray[np.int64]
Part = tuple[Any, Any, Any]
E = TypeVar("E", StridiagClassifier, StridiagRegressor)


def fit(
    estimator: E,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    sample_rows: int = 20_000,
    sample_seed: int = 0,
    classes: ArrayLike | None = None,
    fan_in: int = 8,
    threads_per_task: int = 1,
    retries: int = 0,
) -> E:
    """Fit a classifier or regressor to all rows of a Dask array or data frame.

    The hidden part is made of a sample of rows, which comes to the client. All others are measured where they lie, a
    partition at a time, and their sums added by a tree; the client gets one sum and solves the readout. The result is
    what ``partial_fit`` on the sample and then on all other rows gives on one machine, up to rounding.

    Parameters
    ----------
    estimator : StridiagClassifier or StridiagRegressor
        Its options are taken; it is left as it is.
    X : dask.array.Array, (n_samples, n_features), or dask.dataframe.DataFrame
        Finite numbers. Sizes of partitions may be unknown; they are counted first then.
    y : dask.array.Array, (n_samples,) or (n_samples, n_outputs), or a Dask data frame or one of its columns
        Targets, or labels, which need not be in every partition. In partitions like those of X.
    sample_weight : dask.array.Array, (n_samples,), or a column, optional
        Nonnegative.
    sample_rows : int, default 20_000
        How many rows the hidden part is made of, all if there are fewer. Which ones depends on the number of rows and
        on `sample_seed`, and not on how rows are partitioned.
    sample_seed : int, default 0
        Draws the sample. What the estimator draws, its `random_state` says.
    classes : array_like, optional
        Labels that there are, for a classifier; those that the sample lacks may also just appear.
    fan_in : int, default 8
        How many sums are added at a time.
    threads_per_task : int, default 1
        Threads that a task may use, in our kernels and in BLAS. More than 1 is for workers that run fewer tasks at a
        time than they have processors.
    retries : int, default 0
        How often a task that failed is tried again; needs a ``distributed.Client``. (What a lost worker had done is
        done again in any case.)

    Returns
    -------
    StridiagClassifier or StridiagRegressor
        A fitted one that needs no Dask: it predicts, takes more rows and is saved like any other.

    Raises
    ------
    TypeError, ValueError
        If a collection or option is bad, or as the estimator's ``partial_fit``.

    Notes
    -----
    Cost: two passes over the data, one for the sample and one for the sums, and one more if sizes are unknown: use
    ``X.persist()`` where they fit into the workers' memory. See the how-to page on Dask for bytes and operations.

    Examples
    --------
    >>> import dask
    >>> import dask.array as da
    >>> from sklearn.datasets import load_digits
    >>> from stridiag.sklearn import StridiagClassifier
    >>> import stridiag.dask as sd
    >>> X, y = load_digits(return_X_y=True)
    >>> with dask.config.set(scheduler="synchronous"):
    ...     model = sd.fit(
    ...         StridiagClassifier(units=200, layers=2, random_state=0),
    ...         da.from_array(X[:1300], chunks=(200, 64)),
    ...         da.from_array(y[:1300], chunks=200),
    ...         sample_rows=500,
    ...     )
    >>> bool(model.score(X[1300:], y[1300:]) > 0.92)
    True
    """
    _check_estimator(estimator)
    for value, name, least in (
        (sample_rows, "sample_rows", 2),
        (sample_seed, "sample_seed", 0),
        (fan_in, "fan_in", 2),
        (threads_per_task, "threads_per_task", 1),
        (retries, "retries", 0),
    ):
        _check_count(value, name, least)
    if classes is not None and not isinstance(estimator, StridiagClassifier):
        raise ValueError("classes are for a classifier")
    options = _compute_options(retries)
    parts = side_by_side(X, y, sample_weight)
    taken = _draw(lengths(X, parts, **options), sample_rows, sample_seed)
    model: E = clone(estimator)
    _fit_sample(model, parts, taken, classes, options)
    return _absorb(model, parts, taken, fan_in, threads_per_task, options)


def partial_fit(
    estimator: E,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    fan_in: int = 8,
    threads_per_task: int = 1,
    retries: int = 0,
) -> E:
    """Take all rows of a Dask array or data frame into an estimator that `fit` or its own ``partial_fit`` started.

    Parameters
    ----------
    estimator : StridiagClassifier or StridiagRegressor
        It is changed, as by its own ``partial_fit``; only the readout is.
    X, y, sample_weight, fan_in, threads_per_task, retries
        As for `fit`.

    Returns
    -------
    estimator

    Raises
    ------
    TypeError, ValueError
        As for `fit`; or if the estimator has no statistics to add to. It is as it was then.
    """
    _check_estimator(estimator)
    for value, name, least in (
        (fan_in, "fan_in", 2),
        (threads_per_task, "threads_per_task", 1),
        (retries, "retries", 0),
    ):
        _check_count(value, name, least)
    parts = side_by_side(X, y, sample_weight)
    return _absorb(estimator, parts, [_NONE] * len(parts), fan_in, threads_per_task, _compute_options(retries))


_NONE: Index = np.empty(0, np.int64)


def _check_estimator(estimator: object) -> None:
    if not isinstance(estimator, StridiagClassifier | StridiagRegressor):
        raise TypeError(f"estimator must be a StridiagClassifier or StridiagRegressor, got {type(estimator).__name__}")


def _check_count(value: object, name: str, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def _compute_options(retries: int) -> dict[str, Any]:
    """Return what ``dask.compute`` is told; only clusters try again."""
    if not retries:
        return {}
    from distributed import get_client

    try:
        return {"scheduler": get_client(), "retries": retries}
    except ValueError:
        raise ValueError(f"retries={retries} needs a distributed.Client: other schedulers do not try again") from None


def _draw(counts: Index, rows: int, seed: int) -> list[Index]:
    """Return the places of the sampled rows within each partition: a draw from all rows without replacement."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if ends.size else 0
    if not total:
        raise ValueError("X must have at least one row, got none")
    places = np.random.default_rng(seed).choice(total, min(rows, total), replace=False, shuffle=False)
    cuts = np.searchsorted(np.sort(places), ends)
    pieces = np.split(np.sort(places), cuts[:-1])
    return [piece - start for piece, start in zip(pieces, ends - counts, strict=True)]


def _fit_sample(
    model: Any, parts: list[Delayed], taken: list[Index], classes: ArrayLike | None, options: dict[str, Any]
) -> None:
    take = delayed(_take, pure=False)
    wanted = [take(part, places) for part, places in zip(parts, taken, strict=True) if places.size]
    (found,) = compute(wanted, **options)
    x, y, weights = (_joined(pieces) for pieces in zip(*found, strict=True))
    given: dict[str, Any] = {} if classes is None else {"classes": classes}
    model.partial_fit(x, y, sample_weight=weights, **given)


def _absorb(
    model: E, parts: list[Delayed], taken: list[Index], fan_in: int, threads: int, options: dict[str, Any]
) -> E:
    # A key of its own in the graph: sent once to each worker, and made again from the graph if that worker is lost.
    measurer = delayed(model.measurer(), traverse=False, pure=False)
    measure = delayed(_measure, pure=False)
    sums = [measure(measurer, part, places, threads) for part, places in zip(parts, taken, strict=True)]
    (total,) = compute(tree_sum(sums, fan_in), **options)
    return model.absorb(total)


def _rows(value: Any, which: Array) -> Any:
    return value.iloc[which] if hasattr(value, "iloc") else value[which]


def _take(part: Part, places: Index) -> Part:
    """Return the rows at these places; runs where the partition is."""
    x, y, weights = part
    return _rows(x, places), _rows(y, places), None if weights is None else _rows(weights, places)


def _measure(measurer: Measurer, part: Part, without: Index, threads: int) -> list[PartialSums]:
    """Measure a partition but for the rows that were sampled; runs where the partition is."""
    if without.size:
        keep = np.ones(len(part[0]), bool)
        keep[without] = False
        part = _take(part, np.flatnonzero(keep))
    with task_threads(threads):
        return [measurer(*part)]


def _joined(pieces: tuple[Any, ...]) -> Any:
    """Return the sampled rows of all partitions in order."""
    if pieces[0] is None:
        return None
    if hasattr(pieces[0], "iloc"):
        import pandas as pd

        return pd.concat(pieces)
    return np.concatenate(pieces)
