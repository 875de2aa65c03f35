r"""Pseudoinverse and null space, with numpy's truncation.

Singular values up to :math:`\max(\text{atol}, \text{rtol} \cdot \sigma_{\max})` count as zero, where sigma_max is
that of the whole matrix and rtol is max(m, n) eps unless given. The Moore-Penrose inverse of what remains is

.. math:: A^+ = \sum_{\sigma_i > \text{cutoff}} v_i\, \sigma_i^{-1}\, u_i^H .
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._arrays import as_array, is_array
from stridiag._cached import cached_property
from stridiag._validate import as_index, as_values, require_finite
from stridiag.errors import StructureError
from stridiag.linalg import blocks
from stridiag.linalg._checks import require_single
from stridiag.linalg.direct_chain import DirectChain
from stridiag.linalg.gram_chain import GramChain
from stridiag.linalg.mended_chain import MendedChain
from stridiag.linalg.parts import ChainPart, DensePart, DirectPart, Part
from stridiag.linalg.quick_chain import QuickChain
from stridiag.linalg.spectrum import RankInfo, Spectrum, examine, relative_tolerance
from stridiag.structure import StridiagMatrix

__all__ = ["PseudoInverse", "null_space", "pinv"]

Array = NDArray[Any]

# Numbers of one block of unit vectors: 32 MB in double precision.
_BLOCK = 1 << 22


class Verdict:
    """A rank, and how it was decided once somebody asks."""

    def __init__(self, rank: int, decide: Callable[[], RankInfo]) -> None:
        self.rank = rank
        self._decide = decide

    @cached_property
    def info(self) -> RankInfo:
        """What `stridiag.linalg.rank_info` returns."""
        return self._decide()


class PseudoInverse:
    """The Moore-Penrose inverse of an (m, n) matrix as an operator of shape (n, m). Made by `pinv`.

    It takes ``@`` with vectors and blocks, has ``.T`` and ``.H``, works wherever scipy takes a linear operator,
    gives single `entries`, and becomes an array by ``toarray()``.

    Attributes
    ----------
    shape : tuple of int
        ``(n, m)``.
    dtype : numpy.dtype
        That of the matrix.
    rank_info : RankInfo
        How many singular values were kept, and how clearly. Where the rank was clear without them, the singular values
        in it are found when it is first asked for.
    """

    __array_ufunc__ = None

    def __init__(self, spectrum: Spectrum, dtype: np.dtype[Any]) -> None:
        info = spectrum.info
        self.shape = (info.shape[1], info.shape[0])
        self.dtype = dtype
        self._verdict = Verdict(info.rank, lambda: info)
        small = (DensePart.kept(stack, info.cutoff) for stack in spectrum.small)
        self._parts: list[Part] = [part for part in small if part is not None]
        self._parts += [DirectPart(block) for block in spectrum.large]

    @classmethod
    def _of_chain(
        cls, chain: DirectChain | QuickChain, dtype: np.dtype[Any], decide: Callable[[], RankInfo]
    ) -> PseudoInverse:
        made: PseudoInverse = object.__new__(cls)
        made.shape = chain.shape
        made.dtype = dtype
        made._verdict = Verdict(chain.shape[0] - chain.dropped, decide)
        made._parts = [ChainPart(chain)]
        return made

    @property
    def rank_info(self) -> RankInfo:
        """How many singular values were kept, and how clearly."""
        return self._verdict.info

    @property
    def rank(self) -> int:
        """Number of singular values that were kept."""
        return self._verdict.rank

    @property
    def T(self) -> PseudoInverse:
        """The transpose, which is the pseudoinverse of the transpose."""
        return self._derived([part.transposed() for part in self._parts])

    @property
    def H(self) -> PseudoInverse:
        """The conjugate transpose."""
        return self._derived([part.transposed().conjugated() for part in self._parts])

    def _derived(self, parts: list[Part]) -> PseudoInverse:
        other = object.__new__(PseudoInverse)
        other.shape = (self.shape[1], self.shape[0])
        other.dtype = self.dtype
        other._verdict = self._verdict
        other._parts = parts
        return other

    def __matmul__(self, b: ArrayLike) -> Array:
        """Return A^+ b for a vector (m,) or a block (m, k)."""
        if not isinstance(b, np.generic) and not is_array(b):
            return NotImplemented
        right = as_values(b, "the right operand")
        if right.ndim not in (1, 2) or right.shape[0] != self.shape[1]:
            raise ValueError(f"A^+ @ b needs b of shape ({self.shape[1]},) or ({self.shape[1]}, k), got {right.shape}")
        columns = right[:, None] if right.ndim == 1 else right
        result = np.zeros((self.shape[0], columns.shape[1]), np.result_type(self.dtype, right.dtype))
        for part in self._parts:
            part.put_product(columns, result)
        return result[:, 0] if right.ndim == 1 else result

    def __rmatmul__(self, b: ArrayLike) -> Array:
        """Return b A^+ for a vector (n,) or a block (k, n)."""
        left = as_values(b, "the left operand")
        return (self.T @ left.T).T

    def matvec(self, b: ArrayLike) -> Array:
        """Return A^+ b."""
        return self @ as_values(b, "b")

    def rmatvec(self, x: ArrayLike) -> Array:
        """Return (A^+)^H x."""
        return self.H @ as_values(x, "x")

    def matmat(self, b: ArrayLike) -> Array:
        """Return A^+ B."""
        return self @ as_values(b, "b")

    def rmatmat(self, x: ArrayLike) -> Array:
        """Return (A^+)^H X."""
        return self.H @ as_values(x, "x")

    def entries(self, rows: ArrayLike, columns: ArrayLike) -> Array:
        """Return single entries.

        Parameters
        ----------
        rows, columns : array_like of int
            Of one shape, or broadcast to one; rows between 0 and n - 1, columns between 0 and m - 1.

        Returns
        -------
        ndarray or a number
            Of the shape of the positions.

        Raises
        ------
        StructureError
            If a position lies outside.

        Notes
        -----
        Cost: one product with a unit vector for each distinct column, or each distinct row if these are fewer; no
        more than 32 MB of them at a time.

        Examples
        --------
        >>> from stridiag import StridiagMatrix, linalg
        >>> P = linalg.pinv(StridiagMatrix.from_diagonals({0: [2.0, 4.0, 0.0]}))
        >>> P.entries([0, 1, 2], [0, 1, 2])
        array([0.5 , 0.25, 0.  ])
        """
        first, second = np.broadcast_arrays(as_array(rows, "rows"), as_array(columns, "columns"))
        shape = first.shape
        row, column = as_index(first.ravel(), "rows"), as_index(second.ravel(), "columns")
        for name, index, size in (("row", row, self.shape[0]), ("column", column, self.shape[1])):
            if index.size and not (index.min() >= 0 and index.max() < size):
                raise StructureError(f"{name}s must lie in 0 ... {size - 1}, got {index.min()} ... {index.max()}")
        if np.unique(row).size < np.unique(column).size:
            values = self.T._by_columns(column, row)
        else:
            values = self._by_columns(row, column)
        return values.reshape(shape)[()]

    def _by_columns(self, rows: Array, columns: Array) -> Array:
        result = np.empty(rows.size, self.dtype)
        distinct, which = np.unique(columns, return_inverse=True)
        width = max(1, _BLOCK // max(1, *self.shape))
        order = np.argsort(which, kind="stable")
        bounds = np.searchsorted(which[order], np.arange(0, distinct.size + width, width))
        for number, start in enumerate(range(0, distinct.size, width)):
            wanted = distinct[start : start + width]
            unit = np.zeros((self.shape[1], wanted.size), self.dtype)
            unit[wanted, np.arange(wanted.size)] = 1
            here = order[bounds[number] : bounds[number + 1]]
            result[here] = (self @ unit)[rows[here], which[here] - start]
        return result

    def toarray(self) -> Array:
        """Return the dense array, (n, m)."""
        result = np.zeros(self.shape, self.dtype)
        for part in self._parts:
            part.write(result)
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
    SizeLimitError, ConvergenceError
        If for a connected block of more than 2048 x 2048 positions the direct way does not serve: the cutoff is
        below 100 eps sigma_max or lies in a cluster, more than 512 singular values are dropped, or the factors would
        be too large. Also if small blocks have more than 2^27 positions together.
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
    Small connected blocks get a dense singular value decomposition. Large ones are treated directly, in time linear
    in their size and in the number of singular values dropped, if they have few links: the singular values below the
    cutoff are counted, their vectors found by inverse iteration, and the rest inverted through an orthogonal
    factorization. The error is a small multiple of eps times the condition of what is kept, as with numpy. A real
    chain whose rank is clear, with some forty links at most, takes a few passes over its rows only. See
    docs/theory/pseudoinverse.md.

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
    relative = relative_tolerance(matrix, rtol, atol, rcond)
    if matrix.structure.shape[0] > blocks.DENSE_SIDE:
        require_finite(matrix.values, "the matrix's values")
        chain = (
            MendedChain.settle(matrix, relative, atol)
            or GramChain.settle(matrix, relative, atol)
            or DirectChain.settle(matrix, relative, atol)
        )
        if chain is not None:
            return PseudoInverse._of_chain(
                chain, matrix.dtype, lambda: examine(matrix, rtol, atol, rcond, vectors=False).info
            )
    return PseudoInverse(examine(matrix, rtol, atol, rcond, vectors=True), matrix.dtype)


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
    spectrum = examine(matrix, rtol, atol, rcond, vectors=True)
    info = spectrum.info
    n = matrix.structure.shape[1]
    basis = np.zeros((n, n - info.rank), matrix.dtype)
    filled = 0
    for stack in spectrum.small:
        width = stack.right.shape[1]
        null = np.ones((stack.rows.shape[0], width), bool)
        null[:, : stack.sigma.shape[1]] = stack.sigma <= info.cutoff
        which, vector = np.nonzero(null)
        columns = np.arange(filled, filled + which.size)
        basis[stack.columns[which].T, columns] = stack.right[which, vector].conj().T
        filled += which.size
    for block in spectrum.large:
        vectors = block.null_vectors()
        basis[block.columns, filled : filled + vectors.shape[1]] = vectors
        filled += vectors.shape[1]
    return basis
