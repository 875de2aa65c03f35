"""Models of tables that do not fit into memory: columns are read as a sample shows them, then all rows pass by once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.options import check_name
from stridiag.nn.storage import storable
from stridiag.nn.training import Progress
from stridiag.sklearn.checkpoint import Checkpoint
from stridiag.sklearn.out_of_core import Reports, resumable
from stridiag.sklearn.row_sample import least_keys, numbers_of
from stridiag.sklearn.saved import to_saved
from stridiag.sklearn.table_encoding import TableEncoding
from stridiag.sklearn.table_model import TableModel
from stridiag.sklearn.table_targets import Target, Task
from stridiag.sklearn.table_training import facts_of, made_estimator, prepare, read_all_targets, split_rows, usable
from stridiag.tables.csv_text import SEEN, CsvForm
from stridiag.tables.files import TableFiles
from stridiag.tables.paths import Files
from stridiag.tables.source import Piece, RowSource, grid_rows
from stridiag.tables.values import arrow, cleaned, require_apart, typed

__all__ = ["fit_tables"]

Array = NDArray[Any]

_CHUNK = 1 << 14
_CHUNK_BYTES = 1 << 25
_LEFT_OUT = "rows left out"
_NEW = "new in "


@storable
@dataclass(frozen=True, slots=True, eq=False)
class SampleFacts:
    """What the sample has decided, beside the estimator.

    Parameters
    ----------
    encoding, targets, task
        How columns are read.
    facts : dict
        Of the fit of the sample.
    categories : dict of list
        All texts in its columns of categories.
    held_x, held_y : ndarray
        Rows held out.
    """

    encoding: TableEncoding
    targets: tuple[Target, ...]
    task: str
    facts: dict[str, Any]
    categories: dict[str, Any]
    held_x: Array
    held_y: Array


class EncodedRows(RowSource):
    """Rows of files as an encoding makes them; those without a target weigh nothing."""

    columns = None

    def __init__(self, files: TableFiles, sample: SampleFacts, weight: str | None) -> None:
        self._files, self._sample, self._weight = files, sample, weight
        encoding, targets = sample.encoding, sample.targets
        own = [column.name for column in encoding.columns]
        more = [weight] if weight else []
        self._read = {*own, *(target.name for target in targets), *more}
        self._numbers = {column.name for column in encoding.columns if column.kind == "number"} | set(more)
        self._numbers |= {target.name for target in targets if target.kind in ("number", "integer")}
        pa = arrow()
        self._known = {name: pa.array(texts, pa.string()) for name, texts in sample.categories.items()}
        self.width = len(encoding.names)
        self.rows = files.rows
        self.chunk_rows = grid_rows(self.width, _CHUNK, _CHUNK_BYTES)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """That of the files: the encoding follows from it."""
        return self._files.fingerprint

    def _parts(self, first: int) -> Iterator[tuple[int, Any]]:
        return self._files.parts(first)

    def _pieces(self, part: Any, row: int) -> Iterator[Piece]:
        # Pieces end where chunks do, so that what is counted is of the chunks so far and of no row behind them.
        kinds = dict.fromkeys(self._numbers, arrow().float64())
        for first, table, form in self._files.tables(part, self._read, kinds, row, self.chunk_rows):
            try:
                yield self._piece(cleaned(table, form, self._numbers), first)
            except ValueError as error:
                raise ValueError(f"{part}: {error}") from None

    def _piece(self, table: Any, first: int) -> Piece:
        sample = self._sample
        task: Task = "classification" if sample.task == "classification" else "regression"
        x = sample.encoding.transform(table, first_row=first)
        y = read_all_targets(table, sample.targets, task, first_row=first)
        there, weights = usable(table, sample.targets, self._weight)
        if weights is not None and (weights < 0.0).any():
            raise ValueError(f"row {first + int((weights < 0.0).argmax()) + 1} has a negative weight")
        self._count(_LEFT_OUT, int((~there).sum()))
        pc = arrow().compute
        for name, known in self._known.items():
            texts = pc.cast(table[name], known.type)
            new = pc.and_(pc.invert(pc.is_in(texts, value_set=known)), pc.is_valid(texts))
            self._count(_NEW + name, pc.sum(new).as_py() or 0)
        y = np.where(there if y.ndim == 1 else there[:, None], y, y.dtype.type())
        return Piece(x, y, there * (1.0 if weights is None else np.nan_to_num(weights)))

    def _count(self, name: str, more: int) -> None:
        if more:
            self.counts[name] = self.counts.get(name, 0) + more


def fit_tables(
    files: Files,
    target: str | Sequence[str],
    *,
    task: Literal["auto", "classification", "regression"] = "auto",
    options: Mapping[str, Any] | None = None,
    weight: str | None = None,
    categorical: Collection[str] = (),
    drop: Collection[str] = (),
    keep: Collection[str] = (),
    max_categories: int = 50,
    holdout: float = 0.0,
    form: CsvForm = SEEN,
    sample_rows: int = 20_000,
    sample: Literal["random", "first"] = "random",
    sample_seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 60.0,
    progress: bool | Callable[[Progress], object] = False,
    note: Callable[[str], object] | None = None,
) -> TableModel:
    r"""Fit a model to tables that do not fit into memory, resumable after a kill.

    How columns are read, hidden layers and penalty are those of a sample; the readout is that of all rows. The same,
    up to rounding, as ``TableModel.fit(sample, ..., updatable=True)`` and `TableModel.update` with all other rows.

    Parameters
    ----------
    files : path, pattern with wildcards, folder, or list of these
        Parquet, Arrow, CSV or JSON lines, all of one format and with the same columns.
    target, task, options, weight, categorical, drop, keep, max_categories, note
        See `TableModel.fit`. A category that the sample has not seen counts as rare, and a note says how many there
        were.
    holdout : float, default 0
        Share of the sample that no fit sees, for scores, and for intervals with a promise.
    form : CsvForm, optional
        How CSV is written.
    sample_rows, sample, sample_seed, checkpoint, checkpoint_every, progress
        See `fit_stream`.

    Raises
    ------
    ValueError
        If columns are not there, a row is not like those of the sample, or the checkpoint is of other data or options.
    FileFormatError
        If a file is no table, or the checkpoint is damaged.

    Notes
    -----
    Memory does not grow with the number of rows: see `fit_stream`; the sample lies in memory as texts, too.

    Examples
    --------
    >>> import os, tempfile
    >>> from stridiag.sklearn import fit_tables
    >>> path = os.path.join(tempfile.mkdtemp(), "houses.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("size,town,price\n")
    ...     for k in range(3000):
    ...         _ = file.write(f"{k % 50},{'Rome' if k % 3 else 'Oslo'},{k % 50 + 100 * (k % 3 == 0)}\n")
    >>> model = fit_tables(path, "price", options={"units": 32, "layers": 1, "random_state": 0}, sample_rows=500)
    >>> model.facts["rows"], model.updatable
    (3000, True)
    >>> [round(float(price)) for price in model.predict({"size": [10, 10], "town": ["Rome", "Oslo"]})]
    [10, 110]
    """
    started = time.perf_counter()
    say = note or (lambda sentence: None)
    check_name(sample, "sample", ("random", "first"))
    if isinstance(sample_rows, bool) or not isinstance(sample_rows, int) or sample_rows < 2:
        raise ValueError(f"sample_rows must be an integer of at least 2, got {sample_rows!r}")
    if not 0.0 <= holdout < 1.0:
        raise ValueError(f"holdout must be a share of rows, at least 0 and below 1, got {holdout}")
    opened = TableFiles(files, form)
    for path, schema in zip(opened.files, opened.schemas, strict=True):
        require_apart(schema.names)
        if set(schema.names) != set(opened.schemas[0].names):
            odd = sorted(set(schema.names) ^ set(opened.schemas[0].names))[0]
            raise ValueError(f"{path} and {opened.files[0]} have other columns: {odd!r} is in one of them only")
    named = [target] if isinstance(target, str) else list(target)
    told = {
        **{name: repr(value) for name, value in (options or {}).items() if name not in ("callback", "verbose")},
        "columns": repr((named, task, weight, sorted(categorical), sorted(drop), sorted(keep), max_categories)),
        "sample": repr((sample_rows, sample, sample_seed, holdout)),
    }

    def begin(report: Reports) -> Checkpoint:
        notes: list[str] = []

        def decide(sentence: str) -> None:
            notes.append(sentence)
            say(sentence)

        table, numbers, total = _drawn(opened, sample_rows, sample, sample_seed, report)
        table = typed(table, opened.form, categorical)
        read = prepare(table, target, task, weight, categorical, drop, keep, max_categories, decide)
        estimator = made_estimator(read.task, options)
        kept, held = split_rows(read.y, holdout, read.task)
        weights = None if read.weights is None else read.weights[kept]
        estimator.partial_fit(read.x[kept], read.y[kept], sample_weight=weights)
        texts = [column.name for column in read.encoding.columns if column.kind == "category"]
        categories = {
            name: arrow().compute.unique(arrow().compute.cast(read.inputs[name], arrow().string())).to_pylist()
            for name in texts
        }
        facts = facts_of(read, estimator, read.y[kept]) | {"sample": int(kept.size), "notes": notes}
        beside = SampleFacts(
            read.encoding, read.targets, read.task, facts, categories, read.x[held], np.asarray(read.y[held])
        )
        own = numbers[read.there]
        return Checkpoint(to_saved(estimator), told, opened.fingerprint, None, (0, 0), 0, total, own, False, {}, beside)

    def source_of(state: Checkpoint) -> EncodedRows:
        return EncodedRows(opened, _beside(state), weight)

    estimator, state = resumable(begin, source_of, told, opened.fingerprint, checkpoint, checkpoint_every, progress)
    beside = _beside(state)
    held = int(beside.held_y.shape[0])
    left_out = state.counts.get(_LEFT_OUT, 0)
    facts = beside.facts | {"rows": state.rows - left_out - held, _LEFT_OUT: left_out}
    model = TableModel(estimator, beside.encoding, beside.targets, facts)
    for name, count in state.counts.items():
        if name.startswith(_NEW):
            say(f"{count:,} values of column {name.removeprefix(_NEW)!r} are in no row of the sample and count as rare")
    if left_out:
        say(f"{left_out:,} of {state.rows:,} rows have no target or no weight and are left out")
    if held:
        model.check_on(beside.held_x, beside.held_y)
    facts["seconds"] = round(time.perf_counter() - started, 3)
    return model


def _beside(state: Checkpoint) -> SampleFacts:
    if not isinstance(state.beside, SampleFacts):
        # What is wrong is the file, not the type of an argument.
        raise ValueError("the checkpoint is one of fit_stream, not of tables: take another file")  # noqa: TRY004
    return state.beside


def _drawn(
    files: TableFiles, rows: int, how: Literal["random", "first"], seed: int, report: Reports
) -> tuple[Any, Array, int | None]:
    """Return rows of the tables as they stand there, but cleaned; their numbers; and how many rows there are."""
    pa = arrow()

    def watch(seen: int) -> None:
        report(seen, files.rows, "sample")

    def pieces() -> Iterator[tuple[int, Any]]:
        names = files.schemas[0].names
        for _, path in files.parts(0):
            for _, table, form in files.tables(path, names, {}, 0, _CHUNK):
                yield table.num_rows, cleaned(table.select(names), form)

    def pick(table: Any, index: Array) -> Any:
        return table.take(pa.array(index))

    def join(tables: list[Any]) -> Any:
        return pa.concat_tables(tables, promote_options="permissive")

    index = numbers_of(files.rows, rows, how, seed)
    if index is None:
        return least_keys(pieces(), pick, join, rows, seed, watch)
    found, seen = [], 0
    for count, table in pieces():
        low, high = np.searchsorted(index, (seen, seen + count))
        if high > low:
            found.append(pick(table, index[low:high] - seen))
        seen += count
        watch(seen)
        if high == index.size:
            break
    if not found:
        raise ValueError(f"there are no rows in {files.files[0]}")
    table = join(found)
    return table, index[: table.num_rows], files.rows
