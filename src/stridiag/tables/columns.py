"""Which columns are rows, targets and weights, and tables of Arrow as arrays of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import NonFiniteError
from stridiag.tables.csv_text import CsvForm
from stridiag.tables.paths import close_names
from stridiag.tables.source import Piece, check_numbers
from stridiag.tables.values import Kind, as_numbers, as_texts, cleaned, first_odd, is_text

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

    def piece(self, table: pa.Table, place: str, first: int, form: CsvForm, kinds: Mapping[str, Any]) -> Piece:
        """Return the columns of a table as arrays.

        Parameters
        ----------
        table : pyarrow.Table
            From a file.
        place : str
            That file, for messages.
        first : int
            Number of the table's first row within it.
        form, kinds : CsvForm, mapping
            How texts mean numbers, and what labels in CSV looked like at first.
        """
        # Not labels, which are what stands there.
        numeric = [name for name in self.all if name not in self.targets or not self.labels]
        numbers = cleaned(table.select(numeric), form, numeric)
        rows = _numbers(numbers, self.rows, place, first, kinds)
        if self.labels and self.targets:
            labels = [_labels(table, name, place, first, self.labels, kinds.get(name)) for name in self.targets]
            targets = np.column_stack(labels)
        else:
            targets = _numbers(numbers, self.targets, place, first, kinds)
        targets = targets[:, 0] if len(self.targets) == 1 else targets
        if self.weight is None:
            return Piece(rows, targets, None)
        weights = _numbers(numbers, (self.weight,), place, first, kinds)[:, 0]
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
    # A column without a value, or a first block of CSV without one, says nothing of its type.
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
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


def _numbers(table: pa.Table, names: tuple[str, ...], place: str, first: int, kinds: Mapping[str, Any]) -> Array:
    values = np.empty((table.num_rows, len(names)))
    for i, name in enumerate(names):
        column = _present(table, name, place, first)
        kind: Kind = "boolean" if str(kinds.get(name)) == "bool" else "number"
        if is_text(column.type) and (row := first_odd(column, kind)) >= 0:
            value = column[row].as_py()[:80]
            if kind == "boolean":
                raise ValueError(
                    f"{place}: column {name!r} held true and false at first, then row {first + row} has {value!r}: "
                    "write 1 and 0"
                )
            raise ValueError(
                f"{place}: row {first + row} of column {name!r} has {value!r}, which is no number: {not_numbers_cure()}"
            )
        values[:, i] = as_numbers(column, name, kind, finite=False)
    check_numbers(values, place, names, first)
    return values


def _present(table: pa.Table, name: str, place: str, first: int) -> Any:
    column = table.column(name)
    if column.null_count:
        row = first + int(np.argmax(column.is_null().to_numpy()))
        raise NonFiniteError(
            f"{place}: row {row} has no value in column {name!r} ({column.null_count} of {table.num_rows} rows there; "
            "rows count from 0): fill or drop such rows first"
        )
    return column


def _labels(table: pa.Table, name: str, place: str, first: int, labels: Labels, kind: Any) -> Array:
    """Return labels as they are stored; `kind` is what the first ones of CSV looked like."""
    import pyarrow as pa

    column = _present(table, name, place, first)
    if labels == "text":
        column = column.cast(pa.string())
    if not is_text(column.type):
        require_numbers(column.type, name, place)
        values = np.asarray(column.to_numpy())
        if values.dtype.kind == "f":
            check_numbers(values[:, None], place, (name,), first)
        return values
    if kind is not None and not is_text(kind):
        row = next((k for k, text in enumerate(column) if not _can_be(text, kind)), 0)
        raise ValueError(
            f"{place}: labels in column {name!r} looked like {kind} at first, then row {first + row} of it has "
            f"{column[row].as_py()[:80]!r}: labels='text' reads all of them as text"
        )
    values = as_texts(column).astype(str)
    if values.size and not np.char.str_len(values).all():
        row = first + int(np.argmin(np.char.str_len(values)))
        raise NonFiniteError(f"{place}: row {row} has no label in column {name!r} (rows count from 0)")
    return values


def _can_be(text: Any, kind: Any) -> bool:
    import pyarrow as pa

    try:
        text.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
