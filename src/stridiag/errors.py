"""Errors and warnings: each is the standard error too, and carries the data that explains it."""

from __future__ import annotations

import numpy as np

__all__ = [
    "AmbiguousRankWarning",
    "ConvergenceError",
    "FileFormatError",
    "IllConditionedWarning",
    "NonFiniteError",
    "SingularMatrixError",
    "SizeLimitError",
    "StridiagError",
    "StructureError",
]


class StridiagError(Exception):
    """Base of every error that this library raises by itself."""


class StructureError(StridiagError, ValueError):
    """A shape, offset or link that no matrix can have, or that does not fit its partner."""


class NonFiniteError(StridiagError, ValueError):
    """NaN or infinity where finite numbers are needed."""


class SizeLimitError(StridiagError, ValueError):
    """A computation that would exceed a stated limit of size; the message names the limit."""


class ConvergenceError(StridiagError, np.linalg.LinAlgError):
    """An iteration that did not settle within its stated limit."""


class FileFormatError(StridiagError, ValueError):
    """A file that is not one of ours, is of a newer version, or is damaged."""


class SingularMatrixError(StridiagError, np.linalg.LinAlgError):
    """The matrix has no inverse.

    Parameters
    ----------
    message : str
        What happened and what to do.
    row : int or None
        The original row without a pivot, if that is what is known.
    column : int or None
        The original column that depends on the others, if that is what is known.
    """

    def __init__(self, message: str, *, row: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.row = row
        self.column = column

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_singular, (str(self), self.row, self.column)


def _rebuild_singular(message: str, row: int | None, column: int | None) -> SingularMatrixError:
    return SingularMatrixError(message, row=row, column=column)


class IllConditionedWarning(RuntimeWarning):
    """The reciprocal condition number is below the rounding unit: digits of the answer may all be wrong."""


class AmbiguousRankWarning(RuntimeWarning):
    """A singular value lies so near the cutoff that rounding decides the rank."""
