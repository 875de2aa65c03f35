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
from stridiag.factorization.decomposition import Decomposition

__all__ = ["standard_normal", "transform"]

Array = NDArray[Any]


def transform(
    members: list[Decomposition],
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


def standard_normal(shape: tuple[int, ...], dtype: np.dtype[Any], rng: int | np.random.Generator | None) -> Array:
    """Return independent standard normal numbers; complex ones of mean square one, and circular."""
    generator = np.random.default_rng(rng)
    if dtype.kind != "c":
        return generator.standard_normal(shape).astype(dtype, copy=False)
    pair = generator.standard_normal((*shape, 2)) * np.sqrt(0.5)
    circular: Array = pair[..., 0] + 1j * pair[..., 1]
    return circular.astype(dtype, copy=False)
