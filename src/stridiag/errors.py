"""Errors and warnings: each is the standard error too, and carries the data that explains it."""

from __future__ import annotations

import numpy as np

__all__ = [
    "AmbiguousRankWarning",
    "ConvergenceError",
    "FileFormatError",
    "IllConditionedWarning",
    "NonFiniteError",
    "NotHermitianError",
    "NotPositiveDefiniteError",
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


class NotHermitianError(StridiagError, ValueError):
    """A matrix that was promised to be Hermitian, and is not.

    Parameters
    ----------
    message : str
        What happened and what to do.
    row, column : int
        An entry that is not the conjugate of its mirror image.
    member : tuple of int
        Which matrix of a batch; empty for a single one.
    """

    def __init__(self, message: str, *, row: int, column: int, member: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.row = row
        self.column = column
        self.member = member

    def of_member(self, member: tuple[int, ...]) -> NotHermitianError:
        """Return the same error, told of one matrix of a batch."""
        return NotHermitianError(f"{self} [matrix {member}]", row=self.row, column=self.column, member=member)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_hermitian, (str(self), self.row, self.column, self.member)


class NotPositiveDefiniteError(StridiagError, np.linalg.LinAlgError):
    """A matrix that was promised to be positive definite, and is not, or not in working precision.

    Parameters
    ----------
    message : str
        What happened and what to do.
    row : int
        The original row whose pivot is not positive. With the rows that were eliminated before, it makes up a
        leading block, in the order of elimination, that is not positive definite.
    member : tuple of int
        Which matrix of a batch; empty for a single one.
    """

    def __init__(self, message: str, *, row: int, member: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.row = row
        self.member = member

    def of_member(self, member: tuple[int, ...]) -> NotPositiveDefiniteError:
        """Return the same error, told of one matrix of a batch."""
        return NotPositiveDefiniteError(f"{self} [matrix {member}]", row=self.row, member=member)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_definite, (str(self), self.row, self.member)


def _rebuild_hermitian(message: str, row: int, column: int, member: tuple[int, ...]) -> NotHermitianError:
    return NotHermitianError(message, row=row, column=column, member=member)


def _rebuild_definite(message: str, row: int, member: tuple[int, ...]) -> NotPositiveDefiniteError:
    return NotPositiveDefiniteError(message, row=row, member=member)


class IllConditionedWarning(RuntimeWarning):
    """The reciprocal condition number is below the rounding unit: digits of the answer may all be wrong."""


class AmbiguousRankWarning(RuntimeWarning):
    """A singular value lies so near the cutoff that rounding decides the rank."""
