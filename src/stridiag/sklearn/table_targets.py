"""Targets in tables: classes or numbers, and in which form they were written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.storage import storable
from stridiag.tables.values import Kind, as_numbers, as_texts, kind_of

__all__ = ["Target", "Task", "decide_task"]

Array = NDArray[Any]
Task = Literal["classification", "regression"]

# Marks and grades are classes, counts are not; where the line is drawn has to be somewhere.
_FEW = 10


@storable
@dataclass(frozen=True, slots=True)
class Target:
    """A column that the model predicts.

    Parameters
    ----------
    name : str
        As in the table.
    kind : {"number", "integer", "boolean", "text"}
        What it holds.
    """

    name: str
    kind: Literal["number", "integer", "boolean", "text"]

    @classmethod
    def of(cls, values: Any, name: str) -> Target:
        """Look at the column of an Arrow table.

        Raises
        ------
        ValueError
            If it is empty or holds what cannot be predicted.
        """
        kind = kind_of(values, name)
        if kind is None:
            raise ValueError(f"target {name!r} is empty")
        if kind == "date":
            raise ValueError(f"target {name!r} holds dates: give it as numbers")
        return cls(name, kind)

    def read(self, values: Any, task: Task, *, first_row: int = 0) -> tuple[Array, Array]:
        """Return labels or numbers, and where they are missing.

        Raises
        ------
        ValueError
            If a value is of another kind.
        """
        if self.kind == "text":
            if task == "regression":
                raise ValueError(f"target {self.name!r} is text: regression needs numbers")
            texts = as_texts(values)
            missing = np.array([text is None for text in texts], bool)
            return np.where(missing, "", texts).astype(str), missing
        kind: Kind = self.kind
        numbers = as_numbers(values, self.name, kind, first_row=first_row)
        missing = np.isnan(numbers)
        if task == "regression":
            return numbers, missing
        plain = np.where(missing, 0.0, numbers)
        if self.kind == "boolean":
            return plain.astype(bool), missing
        return (plain.astype(np.int64) if (plain == np.rint(plain)).all() else plain), missing


def decide_task(targets: tuple[Target, ...], columns: list[Array]) -> tuple[Task, str]:
    """Return the task that the targets suggest, and why.

    Parameters
    ----------
    targets : tuple of Target
        What there is to predict.
    columns : list of ndarray
        Their values, without missing ones, read as for classification.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.sklearn.table_targets import Target, decide_task
    >>> decide_task((Target("grade", "integer"),), [np.array([1, 2, 3, 2])])
    ('classification', "'grade' has 3 different whole numbers")
    >>> decide_task((Target("price", "number"),), [np.array([1.5, 2.0])])
    ('regression', "'price' has numbers with fractions")
    """
    for target, values in zip(targets, columns, strict=True):
        if target.kind == "text":
            return "classification", f"{target.name!r} is text"
        if target.kind == "boolean":
            continue
        if values.dtype.kind == "f":
            return "regression", f"{target.name!r} has numbers with fractions"
        if np.unique(values).size > _FEW:
            return "regression", f"{target.name!r} has more than {_FEW} different whole numbers"
    first = targets[0]
    if first.kind == "boolean":
        return "classification", f"{first.name!r} is true or false"
    return "classification", f"{first.name!r} has {np.unique(columns[0]).size} different whole numbers"
