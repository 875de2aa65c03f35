"""Products with vectors and blocks: conversion and batches around the compiled kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.products import multiply_columns, multiply_rows

if TYPE_CHECKING:
    from stridiag.structure.matrix import StridiagMatrix
    from stridiag.structure.structure import Structure

__all__ = ["product"]

Array = NDArray[Any]


def product(matrix: StridiagMatrix, x: Array) -> Array:
    """Return A x for `x` of shape (..., n, m), broadcasting over batches; shapes have been checked."""
    kind = np.result_type(matrix.dtype, x.dtype)
    structure = matrix.structure
    if not matrix.batch_shape and x.ndim == 2:
        return _single(structure, matrix.values.astype(kind, copy=False), x.astype(kind, copy=False))
    batch = np.broadcast_shapes(matrix.batch_shape, x.shape[:-2])
    values = np.broadcast_to(matrix.values, (*batch, matrix.nnz)).astype(kind, copy=False)
    blocks = np.broadcast_to(x, batch + x.shape[-2:]).astype(kind, copy=False)
    result = np.empty((*batch, structure.shape[0], x.shape[-1]), kind)
    for member in np.ndindex(batch):
        result[member] = _single(structure, values[member], blocks[member])
    return result


def _single(structure: Structure, values: Array, x: Array) -> Array:
    offsets = np.array(structure.offsets, np.int64)
    starts = np.array(structure.starts, np.int64)
    where = (np.ascontiguousarray(values), offsets, starts, structure.link_rows, structure.link_columns)
    # Vectors that lie contiguously are multiplied one after another, interleaved ones all together.
    if x.shape[1] == 1 or (x.flags.f_contiguous and not x.flags.c_contiguous):
        y = np.empty((x.shape[1], structure.shape[0]), x.dtype)
        multiply_rows(*where, np.ascontiguousarray(x.T), y)
        return y.T
    y = np.empty((structure.shape[0], x.shape[1]), x.dtype)
    multiply_columns(*where, np.ascontiguousarray(x), y)
    return y
