"""Rows in ``.npy`` files, which are never read as a whole."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag.errors import FileFormatError
from stridiag.tables.paths import Files, file_marks, found_files
from stridiag.tables.source import Piece, RowSource, check_numbers, grid_rows, joined, number_of

__all__ = ["ArrayRows", "open_arrays"]

Array = NDArray[Any]


class _Stored(NamedTuple):
    """Where an array lies in a file."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int

    def mapped(self) -> Array:
        # Mapped anew for every chunk: pages of a map that stays count as this process's memory as long as it stays.
        order: Any = "F" if self.fortran else "C"
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order)

    def rows(self, index: slice | Array) -> Array:
        return np.array(self.mapped()[index])


def _stored(path: Path) -> _Stored:
    with path.open("rb") as stream:
        try:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(stream)
        except ValueError as error:
            raise FileFormatError(f"{path} is not an array file of NumPy: {error}") from None
        offset = stream.tell()
    if dtype.kind not in "biufUS":
        raise FileFormatError(f"{path} holds {dtype}: expected real numbers, or strings for labels")
    needed, there = math.prod(shape) * dtype.itemsize, os.stat(path).st_size - offset
    if there < needed:
        raise FileFormatError(f"{path} is cut off: shape {shape} of {dtype} takes {needed} bytes, {there} are there")
    if not shape or len(shape) > 2:
        raise FileFormatError(f"{path} must hold one or two dimensions, got shape {shape}")
    return _Stored(path, shape, dtype, fortran, offset)


class ArrayRows(RowSource):
    """A source of rows in ``.npy`` files; see `open_arrays`."""

    columns = None

    def __init__(
        self,
        rows: list[_Stored],
        targets: list[_Stored] | Array,
        weights: list[_Stored] | None,
        labels: bool,
        limits: tuple[int, int],
    ) -> None:
        self._rows, self._targets, self._weights, self._labels = rows, targets, weights, labels
        whole = rows[0].shape[1]
        own = targets if isinstance(targets, np.ndarray) else np.empty(0, np.intp)
        self._kept = np.setdiff1d(np.arange(whole), own)
        self.width = self._kept.size
        self._names = tuple(str(i) for i in self._kept)
        self.rows = sum(part.shape[0] for part in rows)
        self.chunk_rows = grid_rows(whole + 2, *limits)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Names, sizes and times of the files, and how they are read."""
        lists = [self._rows, *(p for p in (self._targets, self._weights) if isinstance(p, list))]
        return {
            "kind": "arrays",
            "files": [file_marks(part.path for part in parts) for parts in lists],
            "target": self._targets.tolist() if isinstance(self._targets, np.ndarray) else None,
            "labels": self._labels,
            "chunk_rows": self.chunk_rows,
        }

    def _parts(self, first: int) -> Iterator[tuple[int, Any]]:
        return ((i, i) for i in range(first, len(self._rows)))

    def _pieces(self, part: Any, row: int) -> Iterator[Piece]:
        for start in range(row, self._rows[part].shape[0], self.chunk_rows):
            yield self._piece(part, slice(start, start + self.chunk_rows), start)

    def _piece(self, part: int, index: slice | Array, first: int | Array) -> Piece:
        stored = self._rows[part]
        values = stored.rows(index)
        if isinstance(self._targets, np.ndarray):
            targets, origin = values[:, self._targets], stored
            values = values[:, self._kept]
            targets = targets[:, 0] if self._targets.size == 1 else targets
        else:
            origin = self._targets[part]
            targets = origin.rows(index)
        rows = np.ascontiguousarray(values, np.float64)
        check_numbers(rows, str(stored.path), self._names, first)
        if not self._labels:
            targets = targets.astype(np.float64)
        if targets.dtype.kind == "f":
            flat = targets.reshape(rows.shape[0], -1)
            check_numbers(flat, str(origin.path), tuple(f"target {i}" for i in range(flat.shape[1])), first)
        weights = None
        if self._weights is not None:
            weights = self._weights[part].rows(index).astype(np.float64)
            check_numbers(weights[:, None], str(self._weights[part].path), ("weight",), first)
            if weights.size and weights.min() < 0.0:
                raise ValueError(
                    f"{self._weights[part].path}: row {number_of(int(weights.argmin()), first)} has the weight "
                    f"{weights.min()}: weights must be nonnegative"
                )
        return Piece(rows, targets, weights)

    def take(self, index: ArrayLike, watch: Callable[[int], object] | None = None) -> Piece:
        """Return rows by their numbers, counted through all files; only these are read."""
        wanted = np.asarray(index, np.int64)
        found, seen = [], 0
        for part, stored in enumerate(self._rows):
            low, high = np.searchsorted(wanted, (seen, seen + stored.shape[0]))
            if high > low:
                own = wanted[low:high] - seen
                # In as many maps as rows would be read in: scattered rows touch almost every page.
                for some in np.split(own, np.flatnonzero(np.diff(own // self.chunk_rows)) + 1):
                    found.append(self._piece(part, some, some))
            seen += stored.shape[0]
            if watch is not None:
                watch(seen)
        return joined(found)


def open_arrays(
    rows: Files,
    targets: Files | int | list[int] | None,
    weights: Files | None = None,
    *,
    labels: bool = False,
    chunk_rows: int = 1 << 17,
    chunk_bytes: int = 1 << 25,
) -> ArrayRows:
    """Return a source of rows in ``.npy`` files.

    Parameters
    ----------
    rows : path, pattern, folder or list of paths
        Arrays (n, p) of numbers.
    targets : the same for arrays (n,) or (n, q), or int, or list of int
        Numbers are columns of `rows` that are the targets; -1 is the last. None for rows to predict: then the targets
        are (n, 0).
    weights : as `rows`, optional
        Arrays (n,), nonnegative.
    labels : bool, default False
        Whether targets are kept as they are stored: classes, integers or strings. Else they become float64.
    chunk_rows, chunk_bytes : int
        No chunk has more rows, or more bytes of rows in float64.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If one is empty, cut off or no array of numbers.
    ValueError
        If shapes do not match.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from stridiag.tables import open_arrays
    >>> path = os.path.join(tempfile.mkdtemp(), "all.npy")
    >>> np.save(path, np.arange(12.0).reshape(4, 3))
    >>> source = open_arrays(path, -1)
    >>> source.rows, source.width, next(source.read()).targets
    (4, 2, array([ 2.,  5.,  8., 11.]))
    """
    x = [_stored(path) for path in found_files(rows)]
    for part in x:
        if len(part.shape) != 2 or part.dtype.kind not in "biuf":
            raise ValueError(f"{part.path} must hold a table (n, p) of numbers, got shape {part.shape} of {part.dtype}")
        if part.shape[1] != x[0].shape[1]:
            raise ValueError(f"{part.path} has {part.shape[1]} columns, {x[0].path} has {x[0].shape[1]}")
    if not any(part.shape[0] for part in x):
        raise ValueError(f"there are no rows in {x[0].path}{' and the others' if len(x) > 1 else ''}")
    z: list[_Stored] | Array
    if targets is None:
        z = np.empty(0, np.intp)
    elif isinstance(targets, bool):
        raise TypeError(f"targets must be files, or numbers of columns, got {targets}")
    elif isinstance(targets, int | np.integer) or (
        isinstance(targets, list) and targets and all(isinstance(t, int | np.integer) for t in targets)
    ):
        columns = [int(t) for t in (targets if isinstance(targets, list) else [targets])]
        width = x[0].shape[1]
        bad = [c for c in columns if not -width <= c < width]
        if bad or len({c % width for c in columns}) < len(columns) or len(columns) >= width:
            raise ValueError(f"targets must be different columns of the {width} in {x[0].path}, not all, got {targets}")
        z = np.array([c % width for c in columns], np.intp)
    else:
        z = _beside(x, targets, "targets")  # type: ignore[arg-type]
        if z[0].dtype.kind in "US" and not labels:
            raise ValueError(f"{z[0].path} holds text: open it with labels=True")
    d = None if weights is None else _beside(x, weights, "weights")
    if d is not None and any(len(part.shape) != 1 or part.dtype.kind not in "biuf" for part in d):
        raise ValueError(f"weights must be arrays (n,) of numbers, got shape {d[0].shape} of {d[0].dtype}")
    return ArrayRows(x, z, d, labels, (chunk_rows, chunk_bytes))


def _beside(x: list[_Stored], files: Files, name: str) -> list[_Stored]:
    """Return arrays that go with those of the rows, one for one."""
    parts = [_stored(path) for path in found_files(files)]
    if [part.shape[0] for part in parts] != [part.shape[0] for part in x]:
        raise ValueError(
            f"rows and {name} must be as many in each file, got {[part.shape[0] for part in x]} and "
            f"{[part.shape[0] for part in parts]}"
        )
    kinds = {(part.shape[1:], part.dtype.kind in "US") for part in parts}
    if len(kinds) > 1:
        raise ValueError(f"{name} must be of one shape and kind in all files, got {kinds}")
    return parts
