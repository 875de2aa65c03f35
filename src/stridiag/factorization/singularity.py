"""Where a matrix is singular, how that is seen at sight, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stridiag.errors import SingularMatrixError
from stridiag.factorization.survey import Survey
from stridiag.planning import Plan
from stridiag.structure import StridiagMatrix
from stridiag.structure.norms import column_sums

__all__ = ["Singularity", "evident_singularity", "info_of", "singular_error"]


@dataclass(frozen=True, slots=True)
class Singularity:
    """Where a factorization found that the matrix has no inverse.

    Attributes
    ----------
    row : int or None
        Original row without a pivot (LU).
    column : int or None
        Original column that depends on others (QR).
    """

    row: int | None = None
    column: int | None = None


def info_of(found: Singularity | None) -> int:
    """Return 0, or one more than the row or column without a pivot; -1 if none is known."""
    if found is None:
        return 0
    place = found.row if found.row is not None else found.column
    return -1 if place is None else place + 1


def evident_singularity(planned: Plan, matrix: StridiagMatrix, found: Survey | None = None) -> Singularity | None:
    """Return what the structure, or a row or column of stored zeros, shows at sight.

    `found` is the survey of the values, if known.
    """
    if planned.unmatched is not None:
        return Singularity(column=planned.unmatched)
    zeros = np.count_nonzero(matrix.values) < matrix.nnz if found is None else found.zeros
    if not zeros:
        return None
    zero_columns = np.flatnonzero(column_sums(matrix) == 0.0)
    if zero_columns.size:
        return Singularity(column=int(zero_columns[0]))
    zero_rows = np.flatnonzero(column_sums(matrix.T) == 0.0)
    return Singularity(row=int(zero_rows[0])) if zero_rows.size else None


def singular_error(found: Singularity, *, batch: tuple[int, ...] = ()) -> SingularMatrixError:
    """Return the error that says where a matrix is singular and what to do instead."""
    where = ""
    if found.row is not None:
        where = f": row {found.row} has no pivot"
    elif found.column is not None:
        where = f": column {found.column} depends on the others"
    subject = f"every matrix of the batch {batch} is" if batch else "the matrix is"
    message = f"{subject} singular{where}; linalg.lstsq and linalg.pinv answer in the least-squares sense"
    return SingularMatrixError(message, row=found.row, column=found.column)
