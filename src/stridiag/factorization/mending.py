"""Solutions whose errors have added up are corrected: where they would show, they are looked for.

The rows that an orthogonal condensation leaves over are carried through all reflections of a segment. What they lose on
the way, where coefficients are alike from row to row, are dozens of units of rounding, and most of it stands in these
rows of the residual. There it is looked for where numbers are alike, and what shows more than two units is corrected
as `stridiag.factorization.corrected` does, with residuals of all rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import eps_of, real_type
from stridiag.factorization.batch import Members
from stridiag.factorization.corrected import correct
from stridiag.factorization.guard import backward_errors
from stridiag.factorization.solving import Transposition, solve_all
from stridiag.factorization.watching import SUSPICIOUS, errors_in, watched_by
from stridiag.planning import Plan
from stridiag.structure import StridiagMatrix
from stridiag.structure.norms import one_norm

__all__ = ["mend"]

Array = NDArray[Any]


def mend(planned: Plan, members: Members, matrix: StridiagMatrix, b: Array, x: Array, trans: Transposition) -> Array:
    """Return solutions `x`, (n, m), for `b`, of a single matrix, those that are poor corrected; may overwrite `x`."""
    found = watched_by(planned, matrix)
    if found is None or not x.size:
        return x
    kind = x.dtype
    values, right = matrix.values, np.ascontiguousarray(b, kind)
    if kind.kind == "c" and values.dtype.kind != "c":
        # Real and imaginary parts are solutions of their own.
        both = mend(planned, members, matrix, _parts(right), _parts(x), trans)
        return np.asarray(both.view(kind))
    eps = eps_of(matrix.dtype)
    values = values.astype(kind, copy=False)
    poor = np.flatnonzero(errors_in(found[trans != "N"], values, right, x, conjugate=trans == "H") > SUSPICIOUS * eps)
    if not poor.size:
        return x
    operator = matrix if trans == "N" else matrix.T if trans == "T" else matrix.H
    norm = one_norm(operator.T)

    def solve(r: Array) -> Array:
        return solve_all(members, r, (), trans, matrix.dtype, check_finite=False)

    def errors(b: Array, x: Array) -> tuple[Array, Array]:
        return backward_errors(operator, norm, b, x, adjoint=False)

    x[:, poor], _ = correct(solve, errors, right[:, poor], np.ascontiguousarray(x[:, poor]), eps)
    return x


def _parts(x: Array) -> Array:
    """Return complex columns, (n, m), contiguous, as real ones, (n, 2 m)."""
    return np.ascontiguousarray(x).view(real_type(x.dtype))
