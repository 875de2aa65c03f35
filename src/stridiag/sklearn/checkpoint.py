"""How far a pass over rows has come, in a file: the model with its statistics, and where to go on.

The file is one of `stridiag.nn.storage`, written beside its place and moved there: whenever the process is killed,
there is the old checkpoint or the new one, whole.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import FileFormatError
from stridiag.nn import storage
from stridiag.sklearn.predictor import StridiagPredictor
from stridiag.sklearn.saved import SavedEstimator, from_saved

__all__ = ["Checkpoint", "load_checkpoint", "remove_leftovers"]

Array = NDArray[Any]


@storage.storable
@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What `fit_stream` needs to go on; read by `load_checkpoint`.

    Parameters
    ----------
    model : SavedEstimator
        The estimator with the statistics of the rows so far.
    settings : dict
        Options of the estimator and of the pass, in words: a pass with others is not resumed.
    source : dict
        What tells the source from others.
    columns : tuple of str or None
        Names of the columns, where the source has them.
    position : tuple of int
        ``(file, row)``, behind the last chunk that is in the statistics.
    rows : int
        How many rows were read up to there.
    total : int or None
        How many rows there are, where that is known.
    sample : ndarray of int, (m,)
        Numbers of the rows that transform and hidden part were made of.
    finished : bool
        Whether the pass is done.
    counts : dict
        What the source has counted up to there.
    beside : object
        What the sample has told besides: see `fit_tables`.
    """

    model: SavedEstimator
    settings: dict[str, Any]
    source: dict[str, Any]
    columns: tuple[str, ...] | None
    position: tuple[int, int]
    rows: int
    total: int | None
    sample: NDArray[np.int64]
    finished: bool
    counts: dict[str, int] = field(default_factory=dict)
    beside: Any = None

    def __post_init__(self) -> None:
        if min(self.position) < 0 or self.rows < 0:
            raise ValueError(f"position and rows must not be negative, got {self.position} and {self.rows}")

    def __str__(self) -> str:
        """Tell how far it is."""
        if self.finished:
            return f"finished: all {self.rows} rows"
        file, row = self.position
        of = "" if self.total is None else f" of {self.total}"
        return f"not finished: {self.rows}{of} rows, up to row {row} of file {file}"

    def estimator(self) -> StridiagPredictor:
        """Return the estimator of the rows so far, those of the sample included."""
        estimator = cast(StridiagPredictor, from_saved(self.model, "the checkpoint"))
        if self.columns is not None:
            estimator.feature_names_in_ = np.asarray(self.columns, object)
        return estimator

    def check(self, settings: dict[str, Any], source: dict[str, Any], file: Path) -> None:
        """Raise ValueError unless settings and source are those that the checkpoint was made with."""
        for name, given, kept in (("options", settings, self.settings), ("data", source, self.source)):
            other = sorted(key for key in given.keys() | kept.keys() if given.get(key) != kept.get(key))
            if other:
                # An option that only another class has says less than the class.
                key = "estimator" if "estimator" in other else other[0]
                raise ValueError(
                    f"the checkpoint {file} is of other {name}: {', '.join(other)} differ, such as {key}: "
                    f"{_short(kept.get(key))} then, {_short(given.get(key))} now; take another file, or delete this "
                    "one to start anew"
                )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def load_checkpoint(file: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint of `fit_stream`; ``print`` tells how far it is, ``estimator()`` is the model so far.

    Raises
    ------
    FileFormatError
        If it is no checkpoint, or damaged.
    OSError
        If there is none.
    """
    found = storage.load(file)
    if not isinstance(found, Checkpoint):
        raise FileFormatError(f"{os.fspath(file)} holds a {type(found).__name__}, not a checkpoint")
    return found


def remove_leftovers(file: Path) -> None:
    """Remove what writers of this file left beside it that were killed while they wrote."""
    pattern = re.compile(rf"\.{re.escape(file.name)}\.[0-9a-f]{{16}}")
    if file.parent.is_dir():
        for path in file.parent.iterdir():
            if pattern.fullmatch(path.name):
                path.unlink(missing_ok=True)
