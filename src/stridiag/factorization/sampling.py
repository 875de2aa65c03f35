r"""Normal vectors of a given covariance or precision, from a Cholesky factor.

With :math:`A = C C^H`, independent standard normal numbers z become C z with the covariance A, and C^-H z with the
covariance A^-1. Names and shapes are those of ``scipy.stats.Covariance``: points are along the last axis.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_values, require_finite
from stridiag.factorization.batch import Members
from stridiag.factorization.changes import Changeable
from stridiag.factorization.decomposition import Decomposition

__all__ = ["NormalVectors"]

Array = NDArray[Any]


class NormalVectors(Changeable):
    """The part of `stridiag.Factor` that colors and whitens."""

    def colorize(self, z: ArrayLike, *, precision: bool = False) -> Array:
        r"""Return C z with :math:`A = C C^H`: white noise gets the covariance A. Only for ``method="cholesky"``.

        Parameters
        ----------
        z : array_like, (..., n)
            Points along the last axis, as in ``scipy.stats.Covariance``. Leading axes broadcast against the batch.
        precision : bool, default False
            The matrix is the inverse of the covariance: return :math:`C^{-H} z`.

        Returns
        -------
        ndarray, (..., n)

        Raises
        ------
        ValueError
            If the factor was made by another method, or shapes do not fit.
        NonFiniteError
            If `z` holds NaN or infinity.

        Notes
        -----
        C is L D^(1/2) with its rows in the original order: a triangle only in the order of elimination.

        Examples
        --------
        >>> import numpy as np, stridiag
        >>> A = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=3)
        >>> C = A.factor(method="cholesky").colorize(np.eye(3)).T
        >>> bool(np.allclose(C @ C.T, A.toarray()))
        True
        """
        return self._colored(z, "root_solve" if precision else "root", adjoint=precision, what="colorize")

    def whiten(self, x: ArrayLike, *, precision: bool = False) -> Array:
        r"""Return :math:`C^{-1} x`, the inverse of `colorize`: noise of covariance A becomes white.

        Parameters, results and errors as those of `colorize`; with `precision`, return :math:`C^H x`. The square of
        its norm is :math:`x^H A^{-1} x`, or :math:`x^H A x`.

        Examples
        --------
        >>> import numpy as np, stridiag
        >>> A = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=3)
        >>> F = A.factor(method="cholesky")
        >>> bool(np.allclose(F.whiten(F.colorize([1.0, 2.0, 3.0])), [1.0, 2.0, 3.0]))
        True
        """
        return self._colored(x, "root" if precision else "root_solve", adjoint=precision, what="whiten")

    def sample(
        self,
        size: int | tuple[int, ...] | None = None,
        *,
        rng: int | np.random.Generator | None = None,
        precision: bool = False,
    ) -> Array:
        """Draw normal vectors of mean zero whose covariance is the matrix. Only for ``method="cholesky"``.

        Parameters
        ----------
        size : int or tuple of int, optional
            How many; default: one.
        rng : int or numpy.random.Generator, optional
            Seed or generator; default: a new, unpredictable one.
        precision : bool, default False
            The matrix is the inverse of the covariance.

        Returns
        -------
        ndarray, size + (..., n)
            Batch axes before the last one. Complex vectors are circular: E x x^H is the covariance, E x x^T is zero.

        Raises
        ------
        ValueError
            If the factor was made by another method.

        Examples
        --------
        >>> import numpy as np, stridiag
        >>> A = stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=3)
        >>> x = A.factor(method="cholesky").sample(100_000, rng=0)
        >>> bool(abs(x.T @ x / 100_000 - A.toarray()).max() < 0.05)
        True
        """
        self._require_cholesky("sample")
        leading = () if size is None else (size,) if isinstance(size, int | np.integer) else tuple(size)
        z = _standard_normal(
            (*leading, *self.matrix.batch_shape, self.matrix.structure.shape[0]), self.matrix.dtype, rng
        )
        return self.colorize(z, precision=precision)

    def _require_cholesky(self, what: str) -> None:
        if self.plan.method != "cholesky":
            raise ValueError(
                f"{what} needs the factor of a positive definite matrix, A.factor(method='cholesky'), "
                f"got one of method {self.plan.method!r}"
            )

    def _colored(
        self, points: ArrayLike, map_name: Literal["root", "root_solve"], *, adjoint: bool, what: str
    ) -> Array:
        self._require_cholesky(what)
        n = self.matrix.structure.shape[0]
        with np.errstate(all="ignore"):
            return _transform(
                self._members, self.matrix.batch_shape, n, self.matrix.dtype, points, map_name, adjoint=adjoint
            )


def _transform(
    members: Members,
    batch: tuple[int, ...],
    n: int,
    dtype: np.dtype[Any],
    points: ArrayLike,
    map_name: Literal["root", "root_solve"],
    *,
    adjoint: bool,
) -> Array:
    """Apply C or its inverse, or an adjoint, of each member of a batch to points, (..., n)."""
    given = as_values(points, "points")
    if given.ndim == 0 or given.shape[-1] != n:
        raise ValueError(f"points must have shape (..., {n}), got {given.shape}")
    require_finite(given, "points")
    shape = np.broadcast_shapes(given.shape[:-1], batch)
    spread = np.broadcast_to(given, (*shape, n))
    result = np.empty((*shape, n), np.result_type(dtype, given.dtype))
    leading = (slice(None),) * (len(shape) - len(batch))
    for place, member in zip(np.ndindex(batch), members, strict=True):
        here = (*leading, *place)
        columns = spread[here].reshape(math.prod(spread[here].shape[:-1]), n).T
        result[here] = _apply(member, columns, dtype, map_name, adjoint).T.reshape(spread[here].shape)
    return result


def _apply(member: Decomposition, columns: Array, dtype: np.dtype[Any], map_name: str, adjoint: bool) -> Array:
    if columns.dtype.kind == "c" and dtype.kind != "c":
        parts = [_apply(member, part, dtype, map_name, adjoint) for part in (columns.real, columns.imag)]
        return parts[0] + 1j * parts[1]
    right = np.array(columns, dtype, order="C")
    mapped: Array = getattr(member, map_name)(right, adjoint=adjoint)
    return mapped


def _standard_normal(shape: tuple[int, ...], dtype: np.dtype[Any], rng: int | np.random.Generator | None) -> Array:
    """Return independent standard normal numbers; complex ones of mean square one, and circular."""
    generator = np.random.default_rng(rng)
    if dtype.kind != "c":
        return generator.standard_normal(shape).astype(dtype, copy=False)
    pair = generator.standard_normal((*shape, 2)) * np.sqrt(0.5)
    circular: Array = pair[..., 0] + 1j * pair[..., 1]
    return circular.astype(dtype, copy=False)
