"""Tables with named columns as matrices of numbers, by scikit-learn's own transformers; and how that is stored.

Numbers, truth values and dates (days since 1970) go through `SimpleImputer`: a missing one becomes the column's median,
and where a column missed some in training, another column says so. Texts go through `OneHotEncoder`: a column for each
frequent category, one for all rare ones together; a missing text is a category like others, and one that training never
saw counts as rare.

A file must hold no code, so no transformer is stored but what it has learned: medians, and frequent categories. The
transformers are made from these, for training as for prediction, by fitting them to a few made-up rows that say just
that. So what a loaded model computes is what the saved one did.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag._cached import cached_property
from stridiag.nn.storage import storable
from stridiag.tables.values import Kind, as_numbers, as_table, as_texts, kind_of, require_columns

__all__ = ["Column", "Dropped", "TableEncoding"]

Array = NDArray[Any]

# A weight that fewer rows speak for is noise.
_LEAST_ROWS = 5
# A text column of more categories than one-hot columns and almost a new one in each row names rows.
_DISTINCT_SHARE = 0.5
# On average, of what numbers rows.
_LONGEST_STEP = 1.25


@storable
@dataclass(frozen=True, slots=True)
class Column:
    """A column that the model reads.

    Parameters
    ----------
    name : str
        As in the table.
    kind : {"number", "boolean", "date", "category"}
        How it is read.
    missing : bool
        Whether some values were missing in training.
    fill : float
        Median; what a missing number becomes.
    frequent : tuple of str or None
        Categories with a column of their own, None for missing ones.
    rare : bool
        Whether there is a column for all others.
    """

    name: str
    kind: Literal["number", "boolean", "date", "category"]
    missing: bool
    fill: float = 0.0
    frequent: tuple[str | None, ...] = ()
    rare: bool = False

    @property
    def width(self) -> int:
        """How many numbers it becomes."""
        return len(self.frequent) + self.rare if self.kind == "category" else 1 + self.missing


@storable
@dataclass(frozen=True, slots=True)
class Dropped:
    """A column that the model does not read, and why."""

    name: str
    reason: str


@storable
@dataclass(frozen=True, eq=False)
class TableEncoding:
    """How rows of a table become rows of numbers; made by `TableEncoding.fit`.

    Parameters
    ----------
    columns : tuple of Column
        What is read, in the order of the training table.
    dropped : tuple of Dropped
        What is not.

    Examples
    --------
    >>> from stridiag.sklearn.table_encoding import TableEncoding
    >>> table = {"age": [30, None, 50] * 4, "sex": ["f", "m", "f"] * 4, "id": list(range(12))}
    >>> encoding = TableEncoding.fit(table)
    >>> encoding.names
    ('age', 'age is missing', 'sex=f', 'rare in sex')
    >>> encoding.transform({"age": [None, 20.0], "sex": ["m", "f"]})
    array([[40.,  1.,  0.,  1.],
           [20.,  0.,  1.,  0.]])
    >>> encoding.dropped
    (Dropped(name='id', reason='it numbers the rows'),)
    """

    columns: tuple[Column, ...]
    dropped: tuple[Dropped, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"an encoding needs columns of different names, got {names[:10]}")
        for column in self.columns:
            if column.kind == "category" and not column.frequent:
                raise ValueError(f"column {column.name!r} has no category")

    @classmethod
    def fit(
        cls,
        rows: Any,
        *,
        categorical: Collection[str] = (),
        keep: Collection[str] = (),
        max_categories: int = 50,
    ) -> TableEncoding:
        """Learn it from the rows of a table, all of whose columns are inputs.

        Parameters
        ----------
        rows : table
            See `as_table`.
        categorical : collection of str
            Columns of numbers that are names in truth.
        keep : collection of str
            Columns that are read even if they number the rows or differ in each of them.
        max_categories : int, default 50
            One-hot columns of a column of texts; less frequent categories count as rare.

        Raises
        ------
        ValueError
            If no column is left.
        """
        table = as_table(rows)
        require_columns([*categorical, *keep], table.column_names)
        if max_categories < 2:
            raise ValueError(f"max_categories must be at least 2, got {max_categories}")
        columns: list[Column] = []
        dropped: list[Dropped] = []
        for name in table.column_names:
            values = table[name]
            kind = kind_of(values, name)
            if kind is None:
                dropped.append(Dropped(name, "it is empty"))
                continue
            if kind == "text" or name in categorical:
                found = _category(name, as_texts(values), max_categories, keep=name in keep)
            else:
                found = _number(name, as_numbers(values, name, kind), kind, keep=name in keep)
            (columns if isinstance(found, Column) else dropped).append(found)  # type: ignore[arg-type]
        if not columns:
            reasons = "; ".join(f"{one.name!r}: {one.reason}" for one in dropped[:5])
            raise ValueError(f"no column is left to learn from{f' ({reasons})' if reasons else ''}")
        return cls(tuple(columns), tuple(dropped))

    def transform(self, rows: Any, *, first_row: int = 0) -> Array:
        """Return the numbers, (n, sum of widths); further columns of the table are not looked at.

        Parameters
        ----------
        rows : table
            See `as_table`.
        first_row : int, default 0
            Number of its first row, for messages.

        Raises
        ------
        ValueError
            If a column is not there, or holds what it must not; the message says where.
        """
        table = as_table(rows)
        self.require(table.column_names)
        blocks = []
        if self._numbers:
            numbers = np.empty((table.num_rows, len(self._numbers)))
            for k, column in enumerate(self._numbers):
                kind: Kind = column.kind  # type: ignore[assignment]
                numbers[:, k] = as_numbers(table[column.name], column.name, kind, first_row=first_row)
            blocks.append(self._imputer.transform(numbers) if table.num_rows else numbers[:, :0])
        if self._categories:
            texts = np.empty((table.num_rows, len(self._categories)), object)
            for k, column in enumerate(self._categories):
                texts[:, k] = as_texts(table[column.name])
            blocks.append(self._one_hot.transform(texts) if table.num_rows else texts[:, :0])
        if not table.num_rows:
            return np.empty((0, len(self.names)))
        return np.hstack(blocks)

    def require(self, names: Collection[str]) -> None:
        """Complain if a column is not among the names."""
        require_columns([column.name for column in self.columns], names)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of `transform`."""
        result = [column.name for column in self._numbers]
        result += [f"{column.name} is missing" for column in self._numbers if column.missing]
        for column in self._categories:
            shown = ["missing" if one is None else one for one in column.frequent]
            result += [f"{column.name}={one}" for one in shown] + [f"rare in {column.name}"] * column.rare
        return tuple(result)

    @property
    def digest(self) -> str:
        """A short hash of columns, kinds, medians and categories."""
        told = json.dumps([asdict(column) for column in self.columns])
        return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()

    @property
    def _numbers(self) -> list[Column]:
        return [column for column in self.columns if column.kind != "category"]

    @property
    def _categories(self) -> list[Column]:
        return [column for column in self.columns if column.kind == "category"]

    @cached_property
    def _imputer(self) -> Any:
        from sklearn.impute import SimpleImputer

        fill = np.array([column.fill for column in self._numbers])
        gaps = np.where([column.missing for column in self._numbers], np.nan, fill)
        # The commonest value, since a median of equal numbers would be their sum, halved: near the largest, infinite.
        return SimpleImputer(strategy="most_frequent", add_indicator=True).fit(np.vstack((fill, gaps)))

    @cached_property
    def _one_hot(self) -> Any:
        # Each frequent category stands in two rows, one that never comes in a single one.
        columns = self._categories
        height = max(2 * len(column.frequent) + 1 for column in columns)
        rows = np.empty((height, len(columns)), object)
        known = []
        for k, column in enumerate(columns):
            told: list[str | None] = [*column.frequent, *column.frequent]
            other = "rare"
            while other in column.frequent:
                other += "'"
            listed = [one for one in column.frequent if one is not None] + [other] * column.rare
            rows[:, k] = (told + [other] * column.rare + [column.frequent[0]] * height)[:height]
            # Missing ones go last, as scikit-learn wants it.
            known.append(np.array([*listed, *([None] if None in column.frequent else [])], object))
        return _one_hot_encoder(2, None, known).fit(rows)


def _one_hot_encoder(least: int, most: int | None, categories: Any = "auto") -> Any:
    from sklearn.preprocessing import OneHotEncoder

    return OneHotEncoder(
        categories=categories,
        handle_unknown="infrequent_if_exist",
        min_frequency=least,
        max_categories=most,
        sparse_output=False,
    )


def _number(name: str, values: Array, kind: Kind, *, keep: bool) -> Column | Dropped:
    missing = np.isnan(values)
    there = values[~missing]
    if there.size == 0:
        return Dropped(name, "it is empty")
    if not missing.any() and there.min() == there.max():
        return Dropped(name, f"it is {there[0]:.15g} in all rows")
    if kind == "integer" and not keep and _numbers_rows(values):
        return Dropped(name, "it numbers the rows")
    stored: Any = "number" if kind == "integer" else kind
    with np.errstate(over="ignore"):
        fill = float(np.median(there))
    return Column(name, stored, bool(missing.any()), fill if np.isfinite(fill) else float(there[0]))


def _numbers_rows(values: Array) -> bool:
    """Whether whole numbers go up or down row by row, by 1 but for a few rows that were left out."""
    steps = np.diff(values)
    in_order = (steps > 0.0).all() or (steps < 0.0).all()
    return values.size > 2 and bool(in_order) and bool(np.abs(steps).sum() <= _LONGEST_STEP * steps.size)


def _category(name: str, values: Array, most: int, *, keep: bool) -> Column | Dropped:
    distinct = len(set(values.tolist()))
    if distinct == 1:
        return Dropped(name, f"it is {values[0]!r} in all rows")
    if distinct > max(most, _DISTINCT_SHARE * values.size) and not keep:
        return Dropped(name, f"it is text with {distinct:,} different values in {values.size:,} rows")
    encoder = _one_hot_encoder(_LEAST_ROWS, most).fit(values[:, None])
    (rest,) = encoder.infrequent_categories_
    rare = set() if rest is None else set(rest.tolist())
    frequent = tuple(one for one in encoder.categories_[0].tolist() if one not in rare)
    if not frequent:
        return Dropped(name, f"it is text, and none of its values is in {_LEAST_ROWS} rows")
    return Column(name, "category", None in values, 0.0, frequent, bool(rare))
