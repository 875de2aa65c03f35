r"""Matrices whose determinant, eigenvalues or inverse are known in closed form.

References: P. A. Clement, "A class of triple-diagonal matrices for test purposes", SIAM Review 1 (1959)
50-52; S. Noschese, L. Pasquini, L. Reichel, "Tridiagonal Toeplitz matrices: properties and novel
applications", Numer. Linear Algebra Appl. 20 (2013) 302-326; P. J. Davis, Circulant Matrices, 2nd ed. (1994).
"""

from __future__ import annotations

import cmath
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.structure import StridiagMatrix

__all__ = [
    "circulant",
    "circulant_inverse",
    "circulant_slogdet",
    "clement",
    "clement_eigenvalues",
    "clement_slogdet",
    "difference_circulant_pinv",
    "second_difference",
    "second_difference_inverse",
    "toeplitz",
    "toeplitz_eigenvalues",
    "toeplitz_slogdet",
    "tridiagonal_slogdet",
]

Array = NDArray[Any]


def clement(n: int) -> StridiagMatrix:
    r"""Return Clement's matrix: zero diagonal, super-diagonal 1 ... n-1, sub-diagonal n-1 ... 1.

    Its eigenvalues are the integers :math:`n-1, n-3, \dots, 1-n`. No pivot of the natural order is usable.

    Examples
    --------
    >>> from stridiag.testing import closed_forms
    >>> closed_forms.clement(4).toarray()
    array([[0., 1., 0., 0.],
           [3., 0., 2., 0.],
           [0., 2., 0., 3.],
           [0., 0., 1., 0.]])
    """
    rising = np.arange(1.0, n)
    near = {1: rising, -1: rising[::-1]} if n > 1 else {}
    return StridiagMatrix.from_diagonals({0: np.zeros(n), **near}, shape=n)


def clement_eigenvalues(n: int) -> Array:
    """Return the eigenvalues of `clement`, descending, (n,)."""
    return np.arange(n - 1.0, -n, -2.0)


def clement_slogdet(n: int) -> tuple[float, float]:
    r"""Return sign and logarithm of :math:`\det = (-1)^{n/2} ((n-1)!!)^2` for even n; (0, -inf) for odd n.

    Examples
    --------
    >>> from stridiag.testing import closed_forms
    >>> closed_forms.clement_slogdet(4)[0], round(2.718281828459045 ** closed_forms.clement_slogdet(4)[1], 9)
    (1.0, 9.0)
    """
    if n % 2:
        return 0.0, -math.inf
    return (-1.0) ** (n // 2), 2 * math.fsum(math.log(k) for k in range(1, n, 2))


def toeplitz(n: int, sub: float, main: float, sup: float) -> StridiagMatrix:
    """Return the tridiagonal matrix with constant diagonals `sub`, `main` and `sup`."""
    near = {-1: sub, 1: sup} if n > 1 else {}
    return StridiagMatrix.from_diagonals({0: main, **near}, shape=n)


def toeplitz_eigenvalues(n: int, sub: float, main: float, sup: float) -> Array:
    r"""Return the n complex eigenvalues :math:`a + 2 \sqrt{bc} \cos(k \pi / (n + 1))` of `toeplitz`."""
    root = cmath.sqrt(sub * sup)
    return main + np.asarray(2 * root * np.cos(np.arange(1, n + 1) * (math.pi / (n + 1))))


def toeplitz_slogdet(n: int, sub: float, main: float, sup: float) -> tuple[float, float]:
    """Return sign and logarithm of the determinant of `toeplitz`, exactly rounded but for the logarithm."""
    return tridiagonal_slogdet(toeplitz(n, sub, main, sup))


def tridiagonal_slogdet(matrix: StridiagMatrix) -> tuple[float, float]:
    r"""Return sign and logarithm of the determinant of any real tridiagonal matrix, by exact arithmetic.

    .. math:: D_k = d_k D_{k-1} - b_{k-1} c_{k-1} D_{k-2}

    in Python's integers, after scaling all entries by one power of two; so a singular matrix is recognised as
    such. Cost: n products of numbers of up to n times 53 bits and more, where entries differ much in size.

    Raises
    ------
    ValueError
        If the matrix is a batch, complex, not square, or not tridiagonal.

    Examples
    --------
    >>> from stridiag.testing import closed_forms
    >>> closed_forms.tridiagonal_slogdet(closed_forms.toeplitz(5, 1.0, 1.0, 1.0))
    (0.0, -inf)
    >>> sign, logarithm = closed_forms.tridiagonal_slogdet(closed_forms.second_difference(99))
    >>> sign, round(2.718281828459045 ** logarithm, 6)
    (1.0, 100.0)
    """
    structure = matrix.structure
    if matrix.batch_shape or matrix.dtype.kind != "f" or not structure.is_square:
        raise ValueError(f"expected one real square matrix, got {matrix}")
    if structure.link_count or not set(structure.offsets) <= {-1, 0, 1}:
        raise ValueError(f"expected offsets -1, 0 and 1 and no links, got {structure}")
    n = structure.shape[0]
    pairs = [
        [float(v).as_integer_ratio() for v in matrix.diagonal(k)] if abs(k) < max(n, 1) else [] for k in (0, -1, 1)
    ]
    # Denominators of floats are powers of two: one shift makes every entry an integer.
    shift = max((q.bit_length() - 1 for part in pairs for _, q in part), default=0)
    main, sub, sup = ([p << (shift - q.bit_length() + 1) for p, q in part] for part in pairs)
    before, now = 0, 1
    for k in range(n):
        before, now = now, main[k] * now - (sub[k - 1] * sup[k - 1] * before if k else 0)
    if now == 0:
        return 0.0, -math.inf
    # Leading bits and exponent apart, so that the large powers of two cancel in integers.
    spare = max(now.bit_length() - 64, 0)
    logarithm = math.log(abs(now) >> spare) + (spare - shift * n) * math.log(2.0)
    return 1.0 if now > 0 else -1.0, logarithm


def second_difference(n: int) -> StridiagMatrix:
    """Return the second difference matrix (-1, 2, -1), whose determinant is n + 1."""
    return toeplitz(n, -1.0, 2.0, -1.0)


def second_difference_inverse(n: int) -> Array:
    r"""Return the inverse of `second_difference`: :math:`\min(i, j) (n + 1 - \max(i, j)) / (n + 1)`, from 1.

    Examples
    --------
    >>> from stridiag.testing import closed_forms
    >>> closed_forms.second_difference_inverse(3) * 4
    array([[3., 2., 1.],
           [2., 4., 2.],
           [1., 2., 3.]])
    """
    index = np.arange(1, n + 1)
    low = np.minimum.outer(index, index)
    high = np.maximum.outer(index, index)
    return np.asarray(low * (n + 1 - high) / (n + 1))


def circulant(n: int, alpha: float = 1.0) -> StridiagMatrix:
    r"""Return :math:`I - \alpha P` with P the cyclic shift: diagonals 1 and -alpha, and a corner as a link.

    For ``alpha = 1`` this is the (0, 1, -1) circulant, singular with null vector of ones.

    Examples
    --------
    >>> from stridiag.testing import closed_forms
    >>> closed_forms.circulant(3, 0.5).toarray()
    array([[ 1. , -0.5,  0. ],
           [ 0. ,  1. , -0.5],
           [-0.5,  0. ,  1. ]])
    """
    if n == 0:
        return StridiagMatrix.from_diagonals({0: np.zeros(0)}, shape=0)
    near = {1: -alpha} if n > 1 else {}
    return StridiagMatrix.from_diagonals({0: 1.0, **near}, ([n - 1], [0], [-alpha]), shape=n)


def circulant_slogdet(n: int, alpha: float) -> tuple[float, float]:
    r"""Return sign and logarithm of :math:`\det(I - \alpha P) = 1 - \alpha^n`; (1, 0) for n = 0."""
    if n == 0:
        return 1.0, 0.0
    value = 1.0 - alpha**n
    return (0.0, -math.inf) if value == 0 else (math.copysign(1.0, value), math.log(abs(value)))


def circulant_inverse(n: int, alpha: float) -> Array:
    r"""Return the inverse of `circulant`: entries :math:`\alpha^{(j - i) \bmod n} / (1 - \alpha^n)`."""
    index = np.arange(n)
    return np.asarray(alpha ** ((index[None, :] - index[:, None]) % max(n, 1)) / (1.0 - alpha**n))


def difference_circulant_pinv(n: int) -> Array:
    r"""Return the pseudoinverse of ``circulant(n)``: entries :math:`(n - 1 - 2k) / (2n)`, k = (j - i) mod n.

    From :math:`A^+ (I - P) = I - J / n` with J of ones: the coefficients of powers of P fall by 1/n from one
    to the next, and sum to zero.
    """
    index = np.arange(n)
    steps = (index[None, :] - index[:, None]) % max(n, 1)
    return np.asarray((n - 1 - 2 * steps) / max(2 * n, 1))
