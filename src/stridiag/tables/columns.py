"""Which columns are rows, targets and weights, and record batches of Arrow as arrays of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import NonFiniteError
from stridiag.tables.paths import close_names
from stridiag.tables.source import Piece, check_numbers

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Choice", "Labels", "choose"]

Array = NDArray[Any]
Labels = bool | Literal["text"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Names of columns: of the rows, of the targets, of the weight."""

    rows: tuple[str, ...]
    targets: tuple[str, ...]
    weight: str | None
    labels: Labels

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that is read."""
        return (*self.rows, *self.targets, *([] if self.weight is None else [self.weight]))

    def check(self, schema: pa.Schema, place: str) -> None:
        """Raise ValueError unless the columns are there, once, and hold numbers where they must."""
        for name in self.all:
            found = schema.names.count(name)
            if found != 1:
                told = "no column" if not found else f"{found} columns"
                raise ValueError(f"{place} has {told} called {name!r}{close_names(name, schema.names)}")
            if name not in self.targets or not self.labels:
                require_numbers(schema.field(name).type, name, place)

    def piece(self, batch: pa.RecordBatch, place: str, first: int) -> Piece:
        """Return the columns of a batch as arrays; `first` is the number of its first row within the file."""
        rows = _numbers(batch, self.rows, place, first)
        if self.labels and self.targets:
            targets = np.column_stack([_labels(batch, name, place, first, self.labels) for name in self.targets])
        else:
            targets = _numbers(batch, self.targets, place, first)
        targets = targets[:, 0] if len(self.targets) == 1 else targets
        if self.weight is None:
            return Piece(rows, targets, None)
        weights = _numbers(batch, (self.weight,), place, first)[:, 0]
        if weights.size and weights.min() < 0.0:
            raise ValueError(
                f"{place}: row {first + int(weights.argmin())} has the weight {weights.min()}: weights must be "
                "nonnegative"
            )
        return Piece(rows, targets, weights)


def choose(
    names: Sequence[str],
    target: str | Sequence[str] | None,
    columns: Sequence[str] | None,
    weight: str | None,
    labels: Labels,
) -> Choice:
    """Return the choice that the options make among the names of columns; without `columns` all others are rows.

    Raises
    ------
    ValueError
        If no column is left for the rows, or one would be two things at once.
    """
    targets = (target,) if isinstance(target, str) else tuple(target or ())
    if isinstance(columns, str):
        raise TypeError(f"columns must be a list of names, got the string {columns!r}")
    other = {*targets, weight}
    rows = tuple(name for name in names if name not in other) if columns is None else tuple(columns)
    choice = Choice(rows, targets, weight, labels)
    if not rows:
        raise ValueError(f"no column is left for the rows besides the target {targets} and the weight {weight!r}")
    twice = sorted({name for name in choice.all if choice.all.count(name) > 1})
    if twice:
        raise ValueError(f"each column is one thing only: {twice} stand twice among rows, targets and weight")
    return choice


def require_numbers(kind: pa.DataType, name: str, place: str) -> None:
    """Raise ValueError unless a column of that type holds real numbers or truth values."""
    import pyarrow as pa

    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    if any(test(inner) for test in tests):
        return
    if pa.types.is_temporal(inner):
        cure = "make numbers of times first, such as seconds, hour or weekday"
    else:
        cure = not_numbers_cure()
    raise ValueError(f"{place}: column {name!r} holds {kind}, not numbers: {cure}")


def not_numbers_cure() -> str:
    """Return what to do about a column that is not made of numbers."""
    return (
        "choose columns=[...] without it, or encode categories first, as the command line does, or scikit-learn's "
        "OneHotEncoder and OrdinalEncoder; classes to predict need labels=True"
    )


def _numbers(batch: pa.RecordBatch, names: tuple[str, ...], place: str, first: int) -> Array:
    values = np.empty((batch.num_rows, len(names)))
    for i, name in enumerate(names):
        values[:, i] = _float64(_present(batch, name, place, first))
    check_numbers(values, place, names, first)
    return values


def _present(batch: pa.RecordBatch, name: str, place: str, first: int) -> Any:
    column = batch.column(name)
    if column.null_count:
        row = first + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise NonFiniteError(
            f"{place}: row {row} has no value in column {name!r} ({column.null_count} of {batch.num_rows} rows there; "
            "rows count from 0): fill or drop such rows first"
        )
    return column


def _float64(column: Any) -> Array:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _labels(batch: pa.RecordBatch, name: str, place: str, first: int, labels: Labels) -> Array:
    import pyarrow as pa

    column = _present(batch, name, place, first)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if labels == "text":
        column = column.cast(pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        values = np.asarray(column.to_numpy(zero_copy_only=False)).astype(str)
        if values.size and not np.char.str_len(values).all():
            row = first + int(np.argmin(np.char.str_len(values)))
            raise NonFiniteError(f"{place}: row {row} has no label in column {name!r} (rows count from 0)")
        return values
    require_numbers(column.type, name, place)
    values = np.asarray(column.to_numpy(zero_copy_only=False))
    if values.dtype.kind == "f":
        check_numbers(values[:, None], place, (name,), first)
    return values
