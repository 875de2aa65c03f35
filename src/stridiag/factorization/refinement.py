r"""Iterative refinement with extra-precise residuals, and error bounds of a solution.

.. math:: r = b - A x, \qquad A d = r, \qquad x \leftarrow x + d

with r formed in twice the precision of x. As long as a solve has any correct digit the corrections d shrink, and x
becomes correct to working precision, however ill-conditioned A is short of that. Theory, rules and sources:
docs/theory/refinement.md.

Everything here works with op(A) and x scaled by powers of two to a largest entry of about one, x column by column, so
that error-free products neither overflow nor lose their low parts; and with x in double precision variables, rounded to
the working precision after each step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import double_type
from stridiag._kernels.residual import subtract_product, subtract_product_twofold
from stridiag.factorization.norm_estimate import product_one_norm
from stridiag.structure import StridiagMatrix

if TYPE_CHECKING:
    from stridiag.factorization.factor import Transposition

__all__ = ["MAX_STEPS", "SolveResult", "solve_with_bounds"]

Array = NDArray[Any]
Solve = Callable[[Array, "Transposition"], Array]

MAX_STEPS = 10
"""Most corrections of one solution."""

# A correction must be smaller than the one before by this factor at least, else refinement has stagnated.
_PROGRESS = 0.5

# The norm in the bound is estimated from below, and was too small by a little on one matrix of the zoo.
_SAFETY = 1.5

# Of a row's size, what a correction may leave.
_LEFT = 0.1


class SolveResult(NamedTuple):
    """A solution with its error bounds.

    Attributes
    ----------
    x : ndarray
        The solution, as `Factor.solve` returns it.
    backward_error : ndarray or float, (..., m)
        For each right-hand side, the smallest w such that x solves a system whose entries, matrix and right-hand
        side, differ from the given ones by at most w times their magnitude.
    forward_error : ndarray or float, (..., m)
        For each right-hand side, a bound of the largest error in x over the largest entry of x; infinite where the
        matrix cannot be told from a singular one.
    steps : ndarray or int, (..., m)
        How many corrections were added.
    """

    x: Any
    backward_error: Any
    forward_error: Any
    steps: Any


class _System:
    """op(A) x = b, scaled: residuals and magnitudes."""

    def __init__(self, matrix: StridiagMatrix, trans: Transposition, kind: np.dtype[Any]) -> None:
        structure = matrix.structure
        self._where = (
            np.array(structure.offsets, np.int64),
            np.array(structure.starts, np.int64),
            structure.link_rows,
            structure.link_columns,
            trans != "N",
        )
        # Products of two single precision numbers are exact in double precision: a plain sum of them will do.
        self._twofold = kind.char in "dD"
        parts = [matrix.values.real, matrix.values.imag] if matrix.dtype.kind == "c" else [matrix.values]
        if trans == "H" and matrix.dtype.kind == "c":
            parts[1] = -parts[1]
        self.exponent = int(_exponents(matrix.values[:, None])[0])
        self._parts = [np.ldexp(part.astype(np.float64), -self.exponent) for part in parts]
        self._sizes = np.hypot(*self._parts) if len(parts) == 2 else np.abs(self._parts[0])
        self.eps = float(np.finfo(kind).eps)
        longest = _most_in_a_line(matrix, transposed=trans != "N")
        # A complex product has two real ones in each of its parts.
        self._terms = len(parts) * longest + 1
        # What a row of the factored matrix may be wrong by: LAPACK's estimate.
        self.uncertainty = (longest + 1) * float(np.finfo(matrix.dtype).eps) / 2

    @property
    def rounding(self) -> float:
        """What a computed residual of x + d may be wrong by, relative to |A| (|x| + |d|) + |b|."""
        unit = self._terms * float(np.finfo(np.float64).eps)
        return unit * unit if self._twofold else unit

    def residual(self, b: Array, *solutions: Array) -> Array:
        """Return b - op(A) (sum of the solutions), (n, m), in double precision."""
        high = np.array(b, order="C")
        low = np.zeros_like(high)
        for x in solutions:
            for k, part in enumerate(self._parts):
                # The imaginary part of the matrix meets i x: real matrices times real and imaginary columns.
                turned = np.ascontiguousarray(x if k == 0 else 1j * x)
                if self._twofold:
                    subtract_product_twofold(part, *self._where, _real(turned), _real(high), _real(low))
                else:
                    subtract_product(part, *self._where, _real(turned), _real(high))
        return np.asarray(high + low)

    def magnitudes(self, b: Array, x: Array) -> Array:
        """Return |op(A)| |x| + |b|, (n, m)."""
        result = np.abs(b)
        subtract_product(self._sizes, *self._where, -np.abs(x), result)
        return result


def solve_with_bounds(
    matrix: StridiagMatrix,
    solve: Solve,
    b: Array,
    trans: Transposition,
    *,
    refine: bool,
    bounds: bool,
) -> SolveResult:
    """Solve op(A) x = b for a single nonsingular matrix, refine the solution, and bound its errors.

    Parameters
    ----------
    matrix : StridiagMatrix
        A, single.
    solve : callable
        From a block, (n, m), of the matrix's kind or of any complex type, and "N", "T" or "H", to a solution in
        the matrix's precision.
    b : ndarray, (n, m)
    trans : {"N", "T", "H"}
    refine : bool
        Whether to add corrections.
    bounds : bool
        Whether to bound the forward error, else NaN stands in its place: for each right-hand side it takes as many
        solves as two estimates of a condition number.

    Returns
    -------
    SolveResult
        With one bound of each kind for each column.
    """
    kind = np.result_type(matrix.dtype, b.dtype)
    x = solve(b, trans).astype(kind)
    n, m = b.shape
    steps = np.zeros(m, np.int64)
    if n == 0 or m == 0:
        return SolveResult(x, np.zeros(m), np.zeros(m), steps)
    system = _System(matrix, trans, kind)
    wide = double_type(kind)
    shift = _exponents(x)
    x, right = _ldexp(x.astype(wide), -shift), _ldexp(b.astype(wide), -shift - system.exponent)

    def correct(r: Array) -> Array:
        # As large as A is, so that the solution is about as large as the condition number.
        size = _exponents(r)
        scaled = _ldexp(r, system.exponent - size)
        return _ldexp(solve(scaled.astype(kind), trans).astype(wide), size)

    backward = np.empty(m)
    corrections = np.empty_like(x)
    working = np.arange(m)
    last_size, last_error = np.full(m, np.inf), np.full(m, np.inf)
    for step in range(MAX_STEPS + 1):
        current, given = x[:, working], right[:, working]
        r = system.residual(given, current)
        error = _backward_error(r, system.magnitudes(given, current))
        d = correct(r)
        backward[working], corrections[:, working] = error, d
        if not refine or step == MAX_STEPS:
            break
        size = np.abs(d).max(axis=0) / np.abs(current).max(axis=0)
        # Two goals, each pursued while it comes nearer: a small correction, and a small backward error. The second
        # alone is not worth corrections as large as x. Accepts the good, so that NaN ends it.
        shrinking = (size > system.eps / 2) & (size <= _PROGRESS * last_size[working])
        improving = (error > system.eps) & (error <= _PROGRESS * last_error[working]) & (size <= _PROGRESS)
        on = shrinking | improving
        if not on.any():
            break
        last_size[working], last_error[working] = size, error
        working = working[on]
        x[:, working] = (current[:, on] + d[:, on]).astype(kind).astype(wide)
        steps[working] += 1
    forward = np.full(m, np.nan)
    if bounds:
        forward = _forward_error(matrix, system, solve, right, x, corrections, trans)
    return SolveResult(_ldexp(x, shift).astype(kind), backward, forward, steps)


def _backward_error(r: Array, size: Array) -> Array:
    """Return the largest |r| / size of each column, (m,), guarded as LAPACK's xGTRFS does where size is tiny."""
    limits = np.finfo(np.float64)
    tiny = float(limits.tiny) * r.shape[0]
    guard = np.where(size > tiny / float(limits.eps), 0.0, tiny)
    # A row in which everything vanishes is solved exactly.
    ratio = np.where(size > 0.0, (np.abs(r) + guard) / np.where(size > 0.0, size + guard, 1.0), 0.0)
    return np.asarray(ratio.max(axis=0))


def _forward_error(
    matrix: StridiagMatrix, system: _System, solve: Solve, b: Array, x: Array, d: Array, trans: Transposition
) -> Array:
    r"""Bound max|x - x*| / max|x| for each column, (m,), given a correction d of x.

    With s = b - A x - A d, the error is :math:`x^* - x = d + A^{-1} s`, whatever d is. The inverse at hand is that of a
    matrix that differs from A by rounding: if this may make all the difference there is no bound. Nor is there one if
    the correction leaves more than a tenth of a row's size, since what made it is no inverse then.
    """
    s = system.residual(b, x, d)
    magnitudes = system.magnitudes(b, np.abs(x))
    size = system.magnitudes(b, np.abs(x) + np.abs(d))
    tiny = float(np.finfo(np.float64).tiny)
    weights = np.abs(s) * (1.0 + system.eps) + system.rounding * size + np.where(size > 0.0, tiny, 0.0)
    result, left = np.empty(x.shape[1]), _backward_error(s, size)
    for c in range(x.shape[1]):
        largest = np.abs(x[:, c]).max()
        if not magnitudes[:, c].any():
            result[c] = 0.0  # b and x are zero
            continue
        doubt = system.uncertainty * _inverse_times(matrix, system, solve, magnitudes[:, c], trans) / largest
        error = np.abs(d[:, c]).max() + _SAFETY * _inverse_times(matrix, system, solve, weights[:, c], trans)
        # Accepts the good, so that NaN gives no bound.
        result[c] = error / largest / (1.0 - doubt) if doubt < 1.0 and left[c] < _LEFT else np.inf
    return np.where(np.isnan(result), np.inf, result)


def _inverse_times(
    matrix: StridiagMatrix, system: _System, solve: Solve, weights: Array, trans: Transposition
) -> float:
    r"""Estimate the largest entry of :math:`|op(A)^{-1}| w`, which is the 1-norm of :math:`D_w op(A)^{-H}`."""
    largest = float(weights.max())
    if not 0.0 < largest < np.inf:
        return largest
    factor = (weights / largest)[:, None].astype(matrix.dtype)
    # The transpose has the inverse of the adjoint, but for conjugates, which change no magnitude.
    op, op_adjoint = ("N", "H") if trans == "N" else ("H", "N")

    def scaled_solve(x: Array, which: Any) -> Array:
        return solve(_ldexp(x, np.full(x.shape[1], system.exponent)), which)

    def times(x: Array) -> Array:
        return factor * scaled_solve(x, op_adjoint)

    def adjoint_times(x: Array) -> Array:
        return scaled_solve(factor * x, op)

    return largest * product_one_norm(times, adjoint_times, weights.size, matrix.dtype)


def _most_in_a_line(matrix: StridiagMatrix, *, transposed: bool) -> int:
    """Return a bound of the number of entries in a row, or in a column if `transposed`."""
    structure = matrix.structure
    lines = structure.link_columns if transposed else structure.link_rows
    links = int(np.unique(lines, return_counts=True)[1].max()) if lines.size else 0
    return len(structure.offsets) + links


def _exponents(x: Array) -> Array:
    """Return e for each column, (m,), with its largest part between 2**(e - 1) and 2**e; 0 for zero and non-finite."""
    parts = (x.real, x.imag) if x.dtype.kind == "c" else (x,)
    # By parts, since the magnitude of a complex number may overflow.
    top = np.maximum.reduce([np.abs(part).max(axis=0, initial=0.0) for part in parts]).astype(np.float64)
    return np.asarray(np.where(np.isfinite(top), np.frexp(top)[1], 0)).astype(np.int64)


def _ldexp(x: Array, exponents: Array) -> Array:
    """Return ``x * 2**exponents``, a power for each column, rounded only where the result leaves the type's range."""
    if x.dtype.kind != "c":
        return np.asarray(np.ldexp(x, exponents))
    result = np.empty_like(x)
    result.real, result.imag = np.ldexp(x.real, exponents), np.ldexp(x.imag, exponents)
    return result


def _real(x: Array) -> Array:
    """Return a contiguous block, (n, m), seen as real numbers, (n, 2 m) if it is complex."""
    return x.view(np.float64)
