r"""Test ratios: errors in units of the rounding unit, which a stable algorithm keeps below `THRESHOLD`.

They follow LAPACK's test programs (E. Anderson, J. Dongarra, S. Ostrouchov, "LAPACK Working Note 41:
Installation Guide for LAPACK", sections on the test ratios). Differences: eps is ``numpy.finfo(dtype).eps``,
twice LAPACK's; every ratio is divided by the larger dimension; residuals are formed in ``numpy.longdouble``,
which on x86 has 11 bits more than double (elsewhere it may be plain double: a ratio then carries a rounding
error of its own, of about the number of entries in a row, divided by n).

Matrices are first scaled by a power of two to a largest entry near 1, so that entries of 1e300 neither
overflow nor underflow. A ratio is 0 for an empty or exact result, and infinite for one that is NaN or
infinite or that errs where the bound is zero: all comparisons ``ratio < THRESHOLD`` then fail as they should.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from stridiag._validate import check_option
from stridiag.testing._extended import (
    Extended,
    extend,
    ldexp,
    matrix_norm,
    normal_vector,
    product,
    quotient,
    scaled,
    two_norm,
    unit_of,
    vector_norm,
)

__all__ = [
    "THRESHOLD",
    "adjoint_ratio",
    "factor_ratio",
    "inverse_ratio",
    "penrose_ratios",
    "product_ratio",
    "slogdet_ratio",
    "solve_ratio",
]

THRESHOLD = 30.0
"""What a ratio of a correct result stays below: LAPACK's own value."""

Array = NDArray[Any]


def solve_ratio(
    A: Any,
    x: ArrayLike,
    b: ArrayLike,
    trans: Literal["N", "T", "H"] = "N",
    *,
    norm: Literal[1, "inf"] = 1,
) -> float:
    r"""Return the largest scaled residual over the right-hand sides.

    .. math:: \max_j \frac{\|b_j - op(A)\, x_j\|}{\|op(A)\|\, \|x_j\|\, n\, \epsilon}

    Parameters
    ----------
    A : StridiagMatrix, scipy sparse array or array_like, (m, n)
        The matrix.
    x : array_like, (n,) or (n, k)
        The solutions to judge.
    b : array_like, (m,) or (m, k)
        The right-hand sides.
    trans : {"N", "T", "H"}
        Whether op(A) is A, its transpose or its conjugate transpose.
    norm : {1, "inf"}
        Which norm to take.

    Returns
    -------
    float

    References
    ----------
    LAPACK's xGET02 and xGTT02.

    Examples
    --------
    >>> import numpy as np, stridiag
    >>> from stridiag.testing import solve_ratio
    >>> A = stridiag.random(50, links=3, rng=0)
    >>> b = np.ones(50)
    >>> x = np.linalg.solve(A.toarray(), b)
    >>> solve_ratio(A, x, b) < 30, solve_ratio(A, x * (1 + 1e-9), b) < 30
    (True, False)
    """
    check_option(trans, "trans", ("N", "T", "H"))
    check_option(norm, "norm", (1, "inf"))
    matrix = Extended(A)
    if trans != "N":
        matrix = matrix.transposed(conjugate=trans == "H")
    solution, right = np.asarray(x), np.asarray(b)
    rows, columns = matrix.shape
    if solution.shape[:1] != (columns,) or right.shape != (rows, *solution.shape[1:]):
        raise ValueError(
            f"expected x of shape ({columns},) or ({columns}, k) and b of shape ({rows},) or ({rows}, k), "
            f"got {solution.shape} and {right.shape}"
        )
    if not (matrix.is_finite and np.isfinite(solution).all() and np.isfinite(right).all()):
        return math.inf
    eps = max(matrix.eps, unit_of(solution))
    worst = 0.0
    many = solution.reshape(columns, math.prod(solution.shape[1:]))
    for column, target in zip(many.T, right.reshape(rows, many.shape[1]).T, strict=True):
        shrunk, exponent = scaled(column)
        # Two steps, since the sum of the exponents may lie outside the range of the type.
        rest = ldexp(ldexp(extend(target), -matrix.exponent), -exponent) - matrix.times(shrunk[:, None])[:, 0]
        bound = matrix.norm(norm) * vector_norm(shrunk, norm)
        worst = max(worst, quotient(vector_norm(rest, norm), bound, max(rows, columns) * eps))
    return worst


def product_ratio(A: Any, x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the largest componentwise error of a product ``y = A @ x``.

    .. math:: \max_i \frac{|y - A x|_i}{(|A|\, |x|)_i\, k_i\, \epsilon}

    with :math:`k_i` the number of stored entries in row i plus one. A product that only adds up its terms, in
    any order, keeps it below 2 (N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., eq. 3.11;
    complex products: lemma 3.5).

    Examples
    --------
    >>> import numpy as np, stridiag
    >>> from stridiag.testing import product_ratio
    >>> A = stridiag.random(50, links=3, rng=0)
    >>> product_ratio(A, np.ones(50), A @ np.ones(50)) < 2
    True
    """
    matrix = Extended(A)
    vector, given = np.asarray(x), np.asarray(y)
    if not (matrix.is_finite and np.isfinite(vector).all() and np.isfinite(given).all()):
        return math.inf
    if vector.shape[:1] != matrix.shape[1:] or given.shape != matrix.shape[:1] + vector.shape[1:]:
        raise ValueError(f"x and y do not fit a matrix of shape {matrix.shape}: {vector.shape}, {given.shape}")
    width = math.prod(vector.shape[1:])
    shrunk, exponent = scaled(vector.reshape(matrix.shape[1], width))
    result = ldexp(ldexp(extend(given.reshape(matrix.shape[0], width)), -matrix.exponent), -exponent)
    error = abs(result - matrix.times(shrunk))
    bound = matrix.magnitudes().times(abs(shrunk))
    terms = np.bincount(matrix.rows, minlength=matrix.shape[0]) + 1
    eps = max(matrix.eps, unit_of(vector))
    # An absolute floor: below the smallest normal number a product has no relative accuracy.
    floor = ldexp(ldexp(np.longdouble(np.finfo(given.dtype).tiny), -matrix.exponent), -exponent)
    many = np.repeat(terms, error.shape[1])
    return max(
        (quotient(e, m + floor, k * eps) for e, m, k in zip(error.ravel(), bound.ravel(), many, strict=True)),
        default=0.0,
    )


def factor_ratio(A: Any, reconstructed: Any) -> float:
    r"""Return how far the product of the factors is from the matrix.

    .. math:: \frac{\|A - \hat A\|_1}{\|A\|_1\, n\, \epsilon}

    References
    ----------
    LAPACK's xGET01 and xGTT01.

    Examples
    --------
    >>> import numpy as np, stridiag
    >>> from stridiag.testing import factor_ratio
    >>> A = stridiag.random(50, links=3, rng=0)
    >>> Q, R = np.linalg.qr(A.toarray())
    >>> factor_ratio(A, Q @ R) < 30
    True
    """
    matrix, other = Extended(A), Extended(reconstructed)
    if matrix.shape != other.shape:
        raise ValueError(f"reconstructed must have shape {matrix.shape}, got {other.shape}")
    if not (matrix.is_finite and other.is_finite):
        return math.inf
    difference = matrix.dense() - ldexp(other.dense(), other.exponent - matrix.exponent)
    eps = max(matrix.eps, other.eps)
    return quotient(matrix_norm(difference), matrix.norm(1), max(matrix.shape) * eps)


def inverse_ratio(
    A: Any,
    Ainv: Any,
    *,
    side: Literal["right", "left"] = "right",
) -> float:
    r"""Return the residual of an inverse X on one side.

    .. math:: \frac{\|I - A X\|_1}{\|A\|_1\, \|X\|_1\, n\, \epsilon} \quad\text{(right)},
        \qquad \frac{\|I - X A\|_1}{\|A\|_1\, \|X\|_1\, n\, \epsilon} \quad\text{(left)}

    An inverse computed by columns has a small right residual, one by rows a small left one; the other may be
    larger by the condition number (Higham, Accuracy and Stability, 2nd ed., sec. 14.1).

    References
    ----------
    LAPACK's xGET03.
    """
    check_option(side, "side", ("right", "left"))
    matrix, inverse = Extended(A), Extended(Ainv)
    n = matrix.shape[0]
    if matrix.shape != (n, n) or inverse.shape != (n, n):
        raise ValueError(f"expected two square matrices of one size, got {matrix.shape} and {inverse.shape}")
    if not (matrix.is_finite and inverse.is_finite):
        return math.inf
    first, second = (matrix, inverse) if side == "right" else (inverse, matrix)
    exponent = matrix.exponent + inverse.exponent
    rest = ldexp(np.eye(n, dtype=np.longdouble), -exponent) - product(first, second)
    eps = max(matrix.eps, inverse.eps)
    return quotient(matrix_norm(rest), matrix.norm(1) * inverse.norm(1), n * eps)


def penrose_ratios(A: Any, P: Any) -> tuple[float, float, float, float]:
    r"""Return how far P is from the pseudoinverse, by Penrose's four conditions.

    .. math::
        \frac{\|A P A - A\|}{\kappa \|A\| n \epsilon},\quad
        \frac{\|P A P - P\|}{\kappa \|P\| n \epsilon},\quad
        \frac{\|A P - (A P)^H\|}{\kappa n \epsilon},\quad
        \frac{\|P A - (P A)^H\|}{\kappa n \epsilon},
        \qquad \kappa = \|A\| \|P\|

    in the 1-norm, n the larger dimension.

    Parameters
    ----------
    A : StridiagMatrix, scipy sparse array or array_like, (m, n)
        The matrix.
    P : array_like, or an operator with ``toarray()``, (n, m)
        Its pseudoinverse.

    References
    ----------
    R. Penrose, "A generalized inverse for matrices", Proc. Camb. Phil. Soc. 51 (1955) 406-413.

    Examples
    --------
    >>> import numpy as np, stridiag
    >>> from stridiag.testing import penrose_ratios
    >>> A = stridiag.random((5, 8), offsets=(0, 2), links=2, rng=0)
    >>> P = np.linalg.pinv(A.toarray())
    >>> max(penrose_ratios(A, P)) < 30, max(penrose_ratios(A, 1.01 * P)) < 30
    (True, False)
    """
    matrix, inverse = Extended(A), Extended(P)
    if inverse.shape != matrix.shape[::-1]:
        raise ValueError(f"P must have shape {matrix.shape[::-1]}, got {inverse.shape}")
    if not (matrix.is_finite and inverse.is_finite):
        return math.inf, math.inf, math.inf, math.inf
    # With A = 2^a A', P = 2^p P' and s = 2^(a+p): APA - A = 2^a (s A'P'A' - A'), and so on.
    shift = matrix.exponent + inverse.exponent
    left, right = product(matrix, inverse), product(inverse, matrix)
    first = ldexp(matrix.times(right), shift) - matrix.dense()
    second = ldexp(inverse.times(left), shift) - inverse.dense()
    norms = matrix.norm(1), inverse.norm(1)
    scale = norms[0] * norms[1]
    unit = max(matrix.shape) * max(matrix.eps, inverse.eps)
    return (
        quotient(matrix_norm(first), ldexp(scale * norms[0], shift), unit),
        quotient(matrix_norm(second), ldexp(scale * norms[1], shift), unit),
        quotient(matrix_norm(left - left.conj().T), scale, unit),
        quotient(matrix_norm(right - right.conj().T), scale, unit),
    )


def adjoint_ratio(A: Any, P: Any = None, *, rng: int | np.random.Generator = 0, trials: int = 3) -> float:
    r"""Return how far an operator is from having the adjoint it claims, on random vectors.

    .. math:: \max \frac{|\langle A x, y \rangle - \langle x, A^H y \rangle|}
        {(\|A x\|_2 \|y\|_2 + \|x\|_2 \|A^H y\|_2)\, n\, \epsilon}

    Parameters
    ----------
    A : operator with ``shape``, ``dtype`` and ``@``, (m, n)
        StridiagMatrix, pseudoinverse, LinearOperator, array ...
    P : operator, (n, m), optional
        The adjoint. Default: ``A.H``, or ``A.conj().T`` where there is no such attribute.
    rng : int or numpy.random.Generator
        Seed or generator of the vectors.
    trials : int
        Number of pairs of vectors.

    References
    ----------
    The dot-product test of J. Claerbout, Earth Soundings Analysis (1992), sec. 5.1.
    """
    adjoint = P if P is not None else A.H if hasattr(A, "H") else A.conj().T
    rows, columns = A.shape
    if tuple(adjoint.shape) != (columns, rows):
        raise ValueError(f"the adjoint must have shape {(columns, rows)}, got {adjoint.shape}")
    if 0 in (rows, columns):
        return 0.0
    generator = np.random.default_rng(rng)
    dtype = np.dtype(A.dtype)
    worst = 0.0
    for _ in range(trials):
        x, y = (normal_vector(generator, size, dtype) for size in (columns, rows))
        image, first = scaled(np.asarray(A @ x))
        back, second = scaled(np.asarray(adjoint @ y))
        if not (np.isfinite(image).all() and np.isfinite(back).all()):
            return math.inf
        # Both scaled by the larger exponent, so that neither side overflows.
        top = max(first, second)
        image, back = ldexp(image, first - top), ldexp(back, second - top)
        gap = abs(np.sum(image.conj() * y) - np.sum(x.conj() * back))
        bound = two_norm(image) * two_norm(y) + two_norm(x) * two_norm(back)
        worst = max(worst, quotient(gap, bound, max(rows, columns) * float(np.finfo(dtype).eps)))
    return worst


def slogdet_ratio(
    result: tuple[Any, Any],
    expected: tuple[Any, Any],
    n: int,
    cond: float,
    *,
    dtype: DTypeLike = np.float64,
) -> float:
    r"""Return the error of a determinant given as sign and logarithm.

    .. math:: \frac{\max(|s - \hat s|, |\ell - \hat\ell|)}{(n\, cond + |\ell|)\, \epsilon}

    A backward error of n eps perturbs the determinant relatively by up to n eps cond, and the logarithm, once
    stored, by eps times itself. A wrong sign counts 2 over the same bound, so that it is an error exactly
    where the sign is determined at all. Two zero determinants, (0, -inf), agree; one zero and one nonzero do
    not.

    Parameters
    ----------
    result, expected : tuple
        (sign or phase, log of magnitude).
    n : int
        Order of the matrix.
    cond : float
        Its condition number.
    dtype : dtype, default float64
        The precision of the computation.

    References
    ----------
    Higham, Accuracy and Stability, 2nd ed., sec. 14.6.

    Examples
    --------
    >>> from stridiag.testing import slogdet_ratio
    >>> slogdet_ratio((1.0, 2.5), (1.0, 2.5 + 1e-15), 5, 10.0) < 30
    True
    >>> slogdet_ratio((-1.0, 2.5), (1.0, 2.5), 5, 10.0) < 30
    False
    """
    if expected[1] == -np.inf or result[1] == -np.inf:
        return 0.0 if expected[1] == result[1] and result[0] == 0 else math.inf
    if not np.isfinite([result[0], result[1], expected[0], expected[1]]).all():
        return math.inf
    error = max(float(abs(result[0] - expected[0])), float(abs(result[1] - expected[1])))
    # NumPy before 2.3 gives condition numbers of complex matrices as complex numbers.
    return quotient(
        error, max(n, 1) * max(float(np.real(cond)), 1.0) + abs(float(expected[1])), float(np.finfo(dtype).eps)
    )
