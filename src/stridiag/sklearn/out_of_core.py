"""Fits and predictions on more rows than fit into memory."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from stridiag.nn import storage
from stridiag.nn.options import check_name
from stridiag.nn.training import Progress, ProgressHook
from stridiag.sklearn.checkpoint import Checkpoint, load_checkpoint, remove_leftovers
from stridiag.sklearn.classifier import StridiagClassifier
from stridiag.sklearn.predictor import StridiagPredictor
from stridiag.sklearn.progress import reporter
from stridiag.sklearn.row_sample import draw_rows
from stridiag.sklearn.saved import from_saved, to_saved
from stridiag.tables.source import START, Chunk, Position, RowSource

__all__ = ["Reports", "fit_stream", "predict_stream", "resumable"]

Array = NDArray[Any]
P = TypeVar("P", bound=StridiagPredictor)

# Seconds between two reports: of a bar, and of lines.
_BAR, _LINES = 0.2, 10.0


def fit_stream(
    estimator: P,
    source: RowSource,
    *,
    sample_rows: int = 20_000,
    sample: Literal["random", "first"] = "random",
    sample_seed: int = 0,
    classes: ArrayLike | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 60.0,
    progress: bool | Callable[[Progress], object] = False,
) -> P:
    """Fit an estimator to all rows of a source, a chunk in memory at a time, resumable after a kill.

    The same, up to rounding, as ``partial_fit`` on a sample of the rows and then on all the others: transform, hidden
    part, penalty and temperature are of the sample, the readout is of all rows.

    Parameters
    ----------
    estimator : StridiagClassifier or StridiagRegressor
        Is fitted anew; as it was if anything fails.
    source : stridiag.tables.RowSource
        What `open_tables`, `open_arrays` or `open_chunks` returned.
    sample_rows : int, default 20000
        Rows of the sample, which lies in memory as a whole; all rows if there are fewer.
    sample : {"random", "first"}, default "random"
        "random" draws them without replacement, which reads all rows once more, except for ``.npy`` files. "first"
        takes the first ones: right for rows in no order, and only for these.
    sample_seed : int, default 0
        Draws the sample. What the estimator draws, its `random_state` says.
    classes : array_like, optional
        For a classifier: labels that will come, should the sample have fewer than two. Others may appear at any time.
    checkpoint : path, optional
        Where the state is kept. If the file is there, the fit goes on where it stopped, and the result is the same,
        bit for bit on the same machine; a finished one gives its result at once. Killed at any time, the last state
        that was written is whole.
    checkpoint_every : float, default 60
        Seconds between two writings.
    progress : bool or callable, default False
        True shows a bar, where rich is installed and the output is a terminal, else a line every ten seconds. A
        callable gets a `stridiag.nn.Progress` after every chunk: its `step` of `steps` count rows, and `steps` is 0
        where nobody knows. `stage` is "sample", while that is read, and then "rows".

    Returns
    -------
    estimator
        Ordinarily fitted; `partial_fit` takes more rows. It knows names of columns if the source does.

    Raises
    ------
    ValueError
        If the checkpoint is of another source or of other options, the source has no rows or no targets, or
        something in it is bad: see ``stridiag.tables``.
    TypeError
        If estimator or source are of other kinds.
    FileFormatError
        If the checkpoint is damaged.

    Notes
    -----
    Cost: that of ``partial_fit``, n D^2 flops for n rows and D features, and reading. Memory does not grow with n:
    about 16 ``sample_rows`` (p + D) bytes for the fit of the sample, rows being of p columns; then three chunks, 48 D^2
    bytes for each network, and 100 MB for a block of features.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.sklearn import StridiagRegressor, fit_stream
    >>> from stridiag.tables import open_chunks
    >>> def make(first):
    ...     for i in range(first, 20):
    ...         X = np.random.default_rng(i).standard_normal((500, 3))
    ...         yield X, X[:, 0] * X[:, 1]
    >>> source = open_chunks(make, key="products of normal numbers")
    >>> model = fit_stream(StridiagRegressor(units=64, layers=1, random_state=0), source, sample_rows=2000)
    >>> X, y = next(make(20 - 1))
    >>> bool(model.score(X, y) > 0.95)
    True
    """
    _check_kinds(estimator, source)
    _check(sample_rows, sample_seed, checkpoint_every)
    check_name(sample, "sample", ("random", "first"))
    if classes is not None and not isinstance(estimator, StridiagClassifier):
        raise ValueError("classes are for a classifier")
    settings = _settings(estimator, sample_rows, sample, sample_seed, classes)

    def begin(report: Reports) -> Checkpoint:
        return _started(estimator, source, sample_rows, sample, sample_seed, classes, settings, report)

    model, _ = resumable(
        begin, lambda state: source, settings, source.fingerprint, checkpoint, checkpoint_every, progress
    )
    options = estimator.get_params(deep=False)
    for name in [name for name in vars(estimator) if name not in options]:
        delattr(estimator, name)
    for name in [name for name in vars(model) if name not in options]:
        setattr(estimator, name, getattr(model, name))
    if source.columns is not None:
        # Not before: the arrays above carry no names, and scikit-learn would miss them.
        estimator.feature_names_in_ = np.asarray(source.columns, object)
    return estimator


def resumable(
    begin: Callable[[Reports], Checkpoint],
    source_of: Callable[[Checkpoint], RowSource],
    settings: dict[str, Any],
    fingerprint: dict[str, Any],
    checkpoint: str | os.PathLike[str] | None,
    every: float,
    progress: bool | Callable[[Progress], object],
) -> tuple[Any, Checkpoint]:
    """Go through all rows from where a checkpoint stands, or from the start.

    Parameters
    ----------
    begin : callable
        Gives the state before the first row.
    source_of : callable
        Gives the rows.
    settings, fingerprint : dict
        What the result depends on, and what tells the rows from others: those of a checkpoint must be the same.
    checkpoint, every, progress
        See `fit_stream`.

    Returns
    -------
    tuple
        The fitted estimator, and the last state.
    """
    file = None if checkpoint is None else Path(checkpoint)
    with Reports(progress) as report:
        state = None
        if file is not None:
            # A place that can not be written is better told of before the work than after it.
            if not file.parent.is_dir():
                raise FileNotFoundError(f"there is no folder {file.parent} for the checkpoint")
            remove_leftovers(file)
            if file.exists():
                state = load_checkpoint(file)
                state.check(settings, fingerprint, file)
        if state is None:
            state = begin(report)
            if file is not None:
                # What goes on is always what a file held, so that going on later is no different: arrays come back in
                # one order in memory, on which products may depend in the last digit.
                storage.save(state, file)
                state = load_checkpoint(file)
        model = from_saved(state.model, "the checkpoint")
        if not state.finished:
            state = _all_rows(model, source_of(state), state, file, every, report)
    return model, state


def _check_kinds(estimator: object, source: object) -> None:
    if not isinstance(estimator, StridiagPredictor):
        raise TypeError(f"estimator must be a StridiagClassifier or StridiagRegressor, got {type(estimator).__name__}")
    if not isinstance(source, RowSource):
        raise TypeError(
            f"source must be what stridiag.tables.open_tables, open_arrays or open_chunks returns, got "
            f"{type(source).__name__}"
        )


def _check(sample_rows: int, seed: int, every: float) -> None:
    for name, value, least in (("sample_rows", sample_rows, 2), ("sample_seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    if not (isinstance(every, int | float) and 0.0 <= every < math.inf):
        raise ValueError(f"checkpoint_every must be a number of seconds of at least 0, got {every!r}")


def _settings(
    estimator: StridiagPredictor, sample_rows: int, sample: str, seed: int, classes: ArrayLike | None
) -> dict[str, Any]:
    """Return, in words, all that the result depends on beside the source."""
    told = to_saved(estimator).options
    kept = {name: repr(value) for name, value in told.items() if name not in ("verbose", "callback")}
    mine = {"sample_rows": int(sample_rows), "sample": sample, "sample_seed": int(seed)}
    named = None if classes is None else repr(np.asarray(classes).tolist())
    return {**kept, "estimator": type(estimator).__name__, **mine, "classes": named}


def _started(
    estimator: StridiagPredictor,
    source: RowSource,
    rows: int,
    how: Literal["random", "first"],
    seed: int,
    classes: ArrayLike | None,
    settings: dict[str, Any],
    report: Reports,
) -> Checkpoint:
    """Draw the sample and fit an estimator to it."""
    drawn = draw_rows(source, rows, how, seed, lambda seen: report(seen, source.rows, "sample"))
    x, y, weights = drawn.piece
    if y.shape[1:] == (0,):
        raise ValueError("the source has no targets: open it with some")
    # Not `clone`, which copies callbacks with all that they hold.
    model: Any = type(estimator)(**estimator.get_params(deep=False))
    named = {} if classes is None else {"classes": classes}
    model.partial_fit(x, y, sample_weight=weights, **named)
    place = (START.file, START.row)
    return Checkpoint(
        to_saved(model), settings, source.fingerprint, source.columns, place, 0, drawn.total, drawn.numbers, False
    )


def _all_rows(
    model: Any, source: RowSource, state: Checkpoint, file: Path | None, every: float, report: Reports
) -> Checkpoint:
    """Take all rows from the state on that are not in the sample; return the last state."""
    rows, position = state.rows, Position(*state.position)
    written = time.monotonic()
    source.counts.clear()
    source.counts.update(state.counts)

    def keep(*, finished: bool) -> Checkpoint:
        total = rows if finished else state.total
        place = (position.file, position.row)
        told = replace(state, position=place, rows=rows, total=total, finished=finished, counts=dict(source.counts))
        if file is not None:
            told = replace(told, model=to_saved(model))
            storage.save(told, file)
        return told

    for chunk in source.read(position):
        _take(model, chunk, rows, state.sample)
        rows, position = rows + chunk.rows.shape[0], chunk.after
        report(rows, state.total, "rows")
        if time.monotonic() - written >= every:
            keep(finished=False)
            written = time.monotonic()
    report(rows, rows, "rows", last=True)
    return keep(finished=True)


def _take(model: Any, chunk: Chunk, before: int, sample: Array) -> None:
    """Give the rows of a chunk to a model that are not in the sample and weigh something."""
    count = chunk.rows.shape[0]
    low, high = np.searchsorted(sample, (before, before + count))
    new = np.ones(count, bool)
    new[sample[low:high] - before] = False
    if chunk.weights is not None:
        new &= chunk.weights > 0.0
    if new.all():
        model.partial_fit(chunk.rows, chunk.targets, sample_weight=chunk.weights)
    elif new.any():
        weights = None if chunk.weights is None else chunk.weights[new]
        model.partial_fit(chunk.rows[new], chunk.targets[new], sample_weight=weights)


class Reports:
    """Tells a hook of rows, not more often than it wants to hear, and of the last ones always."""

    def __init__(self, progress: bool | Callable[[Progress], object]) -> None:
        if not (isinstance(progress, bool) or callable(progress)):
            raise TypeError(f"progress must be True, False or callable, got {progress!r}")
        self._every = 0.0
        if progress is True:
            self._every = _BAR if sys.stdout.isatty() else _LINES
        self._manager = reporter("fit_stream", int(progress is True), progress if callable(progress) else None)
        self._hook: ProgressHook | None = None
        self._start = self._told = 0.0

    def __enter__(self) -> Reports:
        self._hook = self._manager.__enter__()
        self._start = self._told = time.monotonic()
        return self

    def __exit__(self, *error: Any) -> None:
        self._manager.__exit__(*error)

    def __call__(self, rows: int, total: int | None, stage: str, *, last: bool = False) -> None:
        """Report that so many of so many rows have passed."""
        now = time.monotonic()
        if self._hook is not None and (last or now - self._told >= self._every):
            self._told = now
            self._hook(Progress(stage, rows, total or 0, now - self._start))


def predict_stream(
    estimator: StridiagPredictor,
    source: RowSource,
    *,
    method: Literal["predict", "predict_proba", "decision_function"] = "predict",
) -> Iterator[Array]:
    """Yield the predictions for the rows of a source, a chunk at a time.

    Parameters
    ----------
    estimator : StridiagClassifier or StridiagRegressor
        Fitted.
    source : stridiag.tables.RowSource
        Its targets are not used; ``target=None`` opens files without any.
    method : {"predict", "predict_proba", "decision_function"}, default "predict"
        What to ask.

    Raises
    ------
    ValueError
        If the columns are not those of the fit.
    TypeError
        If estimator or source are of other kinds.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from stridiag.sklearn import StridiagRegressor, predict_stream
    >>> from stridiag.tables import open_arrays
    >>> path = os.path.join(tempfile.mkdtemp(), "rows.npy")
    >>> X = np.random.default_rng(0).standard_normal((500, 3))
    >>> np.save(path, X)
    >>> model = StridiagRegressor(units=32, layers=1, random_state=0).fit(X, X[:, 0])
    >>> [part.shape for part in predict_stream(model, open_arrays(path, None, chunk_rows=300))]
    [(300,), (200,)]
    """
    check_name(method, "method", ("predict", "predict_proba", "decision_function"))
    _check_kinds(estimator, source)
    check_is_fitted(estimator)
    if not hasattr(estimator, method):
        raise ValueError(f"a {type(estimator).__name__} has no {method}")
    known = getattr(estimator, "feature_names_in_", None)
    if known is not None and source.columns is not None and list(known) != list(source.columns):
        raise ValueError(
            f"the rows must have the columns of the fit, in their order, got {list(source.columns)[:8]} for "
            f"{list(known)[:8]}: open the source with columns=list(estimator.feature_names_in_)"
        )
    if source.width != estimator.n_features_in_:
        raise ValueError(f"rows must have {estimator.n_features_in_} columns, got {source.width}")
    bare = type(estimator)(**estimator.get_params(deep=False))
    # A readout that is not solved yet is solved once, for both.
    _ = estimator.model_
    options = estimator.get_params(deep=False)
    for name in [name for name in vars(estimator) if name not in options and name != "feature_names_in_"]:
        setattr(bare, name, getattr(estimator, name))
    ask = getattr(bare, method)
    return (ask(chunk.rows) for chunk in source.read())
