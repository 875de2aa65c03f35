r"""Pseudoinverse, least squares and null space, with numpy's truncation.

Singular values up to :math:`\max(\text{atol}, \text{rtol} \cdot \sigma_{\max})` count as zero, where sigma_max is
that of the whole matrix and rtol is max(m, n) eps unless given. The Moore-Penrose inverse of what remains is

.. math:: A^+ = \sum_{\sigma_i > \text{cutoff}} v_i\, \sigma_i^{-1}\, u_i^H .
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_values, require_finite
from stridiag.linalg._checks import in_precision_of, require_single
from stridiag.linalg.blocks import SingularBlocks, svd
from stridiag.linalg.rank import RankInfo, decide, singular_values
from stridiag.structure import StridiagMatrix

__all__ = [
    "LstsqResult",
    "PseudoInverse",
    "lstsq",
    "null_space",
    "pinv",
]

Array = NDArray[Any]


class LstsqResult(NamedTuple):
    """What `lstsq` returns, in numpy's order."""

    x: Array
    residuals: Array
    rank: int
    singular_values: Array


class PseudoInverse:
    """The Moore-Penrose inverse of an (m, n) matrix as an operator of shape (n, m). Made by `pinv`.

    It takes ``@`` with vectors and blocks, has ``.T`` and ``.H``, works wherever scipy takes a linear operator,
    and becomes an array by ``toarray()``.

    Attributes
    ----------
    shape : tuple of int
        ``(n, m)``.
    dtype : numpy.dtype
        That of the matrix.
    rank_info : RankInfo
        How many singular values were kept, and how clearly.
    """

    __array_ufunc__ = None

    def __init__(self, blocks: list[SingularBlocks], info: RankInfo, dtype: np.dtype[Any]) -> None:
        self.shape = (info.shape[1], info.shape[0])
        self.dtype = dtype
        self.rank_info = info
        # (where results go, where operands come from, C, D) with A^+ = C D on each stack of blocks.
        self._parts: list[tuple[Array, Array, Array, Array]] = []
        for stack in blocks:
            k = stack.sigma.shape[1]
            keep = stack.sigma > info.cutoff
            if not keep.any():
                continue
            # Largest first, so what is kept stands in front; stacks are cut where the last one ends.
            k = int(keep.sum(axis=1).max())
            with np.errstate(divide="ignore"):
                scale = np.where(keep[:, :k], 1.0 / stack.sigma[:, :k], 0.0).astype(stack.sigma.dtype)
            right = stack.right[:, :k].conj().swapaxes(-1, -2) * scale[:, None, :]
            left = stack.left[:, :, :k].conj().swapaxes(-1, -2)
            self._parts.append((stack.columns, stack.rows, right, left))

    @property
    def rank(self) -> int:
        """Number of singular values that were kept."""
        return self.rank_info.rank

    @property
    def T(self) -> PseudoInverse:
        """The transpose, which is the pseudoinverse of the transpose."""
        return self._derived([(j, i, d.swapaxes(-1, -2), c.swapaxes(-1, -2)) for i, j, c, d in self._parts])

    @property
    def H(self) -> PseudoInverse:
        """The conjugate transpose."""
        flipped = self.T
        return flipped._derived([(i, j, c.conj(), d.conj()) for i, j, c, d in flipped._parts], flip=False)

    def _derived(self, parts: list[tuple[Array, Array, Array, Array]], *, flip: bool = True) -> PseudoInverse:
        other = object.__new__(PseudoInverse)
        other.shape = (self.shape[1], self.shape[0]) if flip else self.shape
        other.dtype = self.dtype
        other.rank_info = self.rank_info
        other._parts = parts
        return other

    def __matmul__(self, b: ArrayLike) -> Array:
        """Return A^+ b for a vector (m,) or a block (m, k)."""
        right = as_values(b, "the right operand")
        if right.ndim not in (1, 2) or right.shape[0] != self.shape[1]:
            raise ValueError(f"A^+ @ b needs b of shape ({self.shape[1]},) or ({self.shape[1]}, k), got {right.shape}")
        columns = right[:, None] if right.ndim == 1 else right
        result = np.zeros((self.shape[0], columns.shape[1]), np.result_type(self.dtype, right.dtype))
        for places, sources, outer, inner in self._parts:
            result[places] = outer @ (inner @ columns[sources])
        return result[:, 0] if right.ndim == 1 else result

    def __rmatmul__(self, b: ArrayLike) -> Array:
        """Return b A^+ for a vector (n,) or a block (k, n)."""
        left = as_values(b, "the left operand")
        return (self.T @ left.T).T

    def matvec(self, b: ArrayLike) -> Array:
        """Return A^+ b."""
        return self @ b

    def rmatvec(self, x: ArrayLike) -> Array:
        """Return (A^+)^H x."""
        return self.H @ x

    def matmat(self, b: ArrayLike) -> Array:
        """Return A^+ B."""
        return self @ b

    def rmatmat(self, x: ArrayLike) -> Array:
        """Return (A^+)^H X."""
        return self.H @ x

    def toarray(self) -> Array:
        """Return the dense array, (n, m)."""
        result = np.zeros(self.shape, self.dtype)
        for places, sources, outer, inner in self._parts:
            result[places[:, :, None], sources[:, None, :]] = outer @ inner
        return result

    def __repr__(self) -> str:
        return f"PseudoInverse({self.shape[0]} x {self.shape[1]}, {self.dtype}, rank {self.rank})"


def pinv(
    a: StridiagMatrix,
    *,
    rtol: float | None = None,
    atol: float = 0.0,
    rcond: float | None = None,
) -> PseudoInverse:
    """Moore-Penrose pseudoinverse, as an operator.

    Parameters
    ----------
    a : StridiagMatrix, (m, n)
        Square or rectangular, of any rank.
    rtol : float, optional
        Singular values up to ``rtol * sigma_max`` count as zero. Default: max(m, n) eps.
    atol : float, default 0
        Singular values up to `atol` count as zero too.
    rcond : float, optional
        Another name for `rtol`.

    Returns
    -------
    PseudoInverse
        Operator of shape (n, m): ``P @ b``, ``P.T``, ``P.toarray()``, ``P.rank_info``. This differs from
        numpy, since the pseudoinverse of a sparse matrix is dense and its products are what users need.

    Raises
    ------
    SizeLimitError
        If a connected block of the matrix has more than 2048 x 2048 positions, or all have more than 2^27.
    NonFiniteError
        If a value is NaN or infinite.
    ValueError
        If a tolerance is negative, or `rtol` and `rcond` are both given.

    Warns
    -----
    AmbiguousRankWarning
        If a singular value lies within a factor of two of the cutoff.

    Notes
    -----
    A dense singular value decomposition of each connected block: linear in the number of blocks, cubic in
    their size. See `stridiag.linalg.blocks`.

    Examples
    --------
    The periodic second difference is singular; its pseudoinverse gives solutions of mean zero:

    >>> import numpy as np
    >>> from stridiag import StridiagMatrix, linalg
    >>> A = StridiagMatrix.from_diagonals({-1: 1.0, 0: -2.0, 1: 1.0}, ([0, 5], [5, 0], [1.0, 1.0]), shape=6)
    >>> P = linalg.pinv(A)
    >>> P
    PseudoInverse(6 x 6, float64, rank 5)
    >>> np.allclose(A @ (P @ (A @ np.arange(6.0))), A @ np.arange(6.0))
    True
    """
    matrix = require_single(a, "pinv")
    blocks = svd(matrix)
    info = decide(singular_values(blocks), matrix, rtol, atol, rcond)
    return PseudoInverse(blocks, info, matrix.dtype)


def lstsq(
    a: StridiagMatrix,
    b: ArrayLike,
    *,
    rtol: float | None = None,
    atol: float = 0.0,
    rcond: float | None = None,
) -> LstsqResult:
    """Least-squares solution of minimum norm.

    Parameters
    ----------
    a : StridiagMatrix, (m, n)
    b : array_like, (m,) or (m, k)
    rtol, atol, rcond : float, optional
        As in `pinv`.

    Returns
    -------
    LstsqResult
        ``x``, (n,) or (n, k); ``residuals``, (1,) or (k,), the squared 2-norms of ``b - a x``, empty if
        m <= n or the rank is below n; ``rank``; ``singular_values``, (min(m, n),), descending. As
        ``numpy.linalg.lstsq``.

    Raises
    ------
    SizeLimitError, NonFiniteError, ValueError
        As `pinv`.

    Warns
    -----
    AmbiguousRankWarning
        As `pinv`.

    Examples
    --------
    >>> from stridiag import StridiagMatrix, linalg
    >>> A = StridiagMatrix.from_diagonals({0: [1.0, 1.0], -1: [1.0, 1.0]}, shape=(3, 2))
    >>> x, residuals, rank, sigma = linalg.lstsq(A, [2.0, 3.0, 4.0])
    >>> print(x.round(6), residuals.round(6), rank)
    [1. 3.] [3.] 2
    """
    matrix = require_single(a, "lstsq")
    right = as_values(b, "b")
    m, n = matrix.structure.shape
    if right.ndim not in (1, 2) or right.shape[0] != m:
        raise ValueError(f"b must have shape ({m},) or ({m}, k), got {right.shape}")
    require_finite(right, "b")
    matrix = in_precision_of(matrix, right)
    blocks = svd(matrix)
    sigma = singular_values(blocks)
    info = decide(sigma, matrix, rtol, atol, rcond)
    x = PseudoInverse(blocks, info, matrix.dtype) @ right
    residuals = np.zeros(0, x.real.dtype)
    if m > n and info.rank == n:
        difference = np.abs((right - matrix @ x).reshape(m, -1))
        residuals = (difference * difference).sum(axis=0)
    padded = np.zeros(min(m, n), sigma.dtype)
    padded[: sigma.size] = sigma
    return LstsqResult(x, residuals, info.rank, padded)


def null_space(
    a: StridiagMatrix,
    *,
    rtol: float | None = None,
    atol: float = 0.0,
    rcond: float | None = None,
) -> Array:
    """Orthonormal basis of the vectors that the matrix maps to zero (up to the cutoff).

    Parameters
    ----------
    a : StridiagMatrix, (m, n)
    rtol, atol, rcond : float, optional
        As in `pinv`.

    Returns
    -------
    ndarray, (n, n - rank)
        As ``scipy.linalg.null_space``; each vector lives on one connected block.

    Raises
    ------
    SizeLimitError, NonFiniteError, ValueError
        As `pinv`.

    Warns
    -----
    AmbiguousRankWarning
        As `pinv`.

    Examples
    --------
    The stationary distribution of a Markov chain spans the null space of Q':

    >>> import numpy as np
    >>> from stridiag import StridiagMatrix, linalg
    >>> Q = StridiagMatrix.from_diagonals({1: [1.0, 2.0], 0: [-1.0, -3.0, -4.0], -1: [1.0, 4.0]})
    >>> v = linalg.null_space(Q.T)
    >>> np.round(v[:, 0] / v[:, 0].sum(), 6)
    array([0.4, 0.4, 0.2])
    """
    matrix = require_single(a, "null_space")
    blocks = svd(matrix)
    info = decide(singular_values(blocks), matrix, rtol, atol, rcond)
    n = matrix.structure.shape[1]
    basis = np.zeros((n, n - info.rank), matrix.dtype)
    filled = 0
    for stack in blocks:
        width = stack.right.shape[1]
        null = np.ones((stack.rows.shape[0], width), bool)
        null[:, : stack.sigma.shape[1]] = stack.sigma <= info.cutoff
        which, vector = np.nonzero(null)
        columns = np.arange(filled, filled + which.size)
        basis[stack.columns[which].T, columns] = stack.right[which, vector].conj().T
        filled += which.size
    return basis
