"""Products with vectors and blocks: conversion, batches and threads around the compiled kernels."""

from __future__ import annotations

import math
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._frozen import frozen
from stridiag._kernels import compile as compiler
from stridiag._kernels import product_lanes, products
from stridiag._kernels.threads import run_ranges
from stridiag._results import ALIGNMENT, fresh

if TYPE_CHECKING:
    from stridiag.structure.matrix import StridiagMatrix
    from stridiag.structure.structure import Structure

__all__ = ["product"]

Array = NDArray[Any]

# Products of a number with a number that are worth a thread: some 30 microseconds.
_GRAIN = 1 << 16
# Bytes of a result above which it is written past the caches.
_LARGE = 1 << 24


def product(matrix: StridiagMatrix, x: Array) -> Array:
    """Return A x for `x` of shape (..., n, m), broadcasting over batches; shapes have been checked."""
    kind = np.result_type(matrix.dtype, x.dtype)
    structure = matrix.structure
    if not matrix.batch_shape and x.ndim == 2:
        # What a matrix holds is read-only already.
        values = matrix.values if kind == matrix.dtype else frozen(matrix.values.astype(kind))
        return _single(structure, values, x.astype(kind, copy=False))
    return _of_batch(matrix, x, kind)


def _of_batch(matrix: StridiagMatrix, x: Array, kind: np.dtype[Any]) -> Array:
    """Multiply member by member; what is broadcast is not copied."""
    structure = matrix.structure
    rows, columns = structure.shape
    vectors = x.shape[-1]
    batch = np.broadcast_shapes(matrix.batch_shape, x.shape[:-2])
    members = math.prod(batch)
    of, at = (
        np.broadcast_to(np.arange(math.prod(own)).reshape(own), batch).ravel()
        for own in (matrix.batch_shape, x.shape[:-2])
    )
    values = frozen(np.ascontiguousarray(matrix.values.astype(kind, copy=False)))
    values = values.reshape(math.prod(matrix.batch_shape), matrix.nnz)
    alone = vectors == 1
    blocks = frozen(np.ascontiguousarray(x.astype(kind, copy=False)))
    blocks = blocks.reshape(math.prod(x.shape[:-2]), *((1, columns) if alone else (columns, vectors)))
    y = np.empty((members, 1, rows) if alone else (members, rows, vectors), kind)
    kernels = _kernels_for(kind)
    run = kernels.multiply_rows_of_batch if alone else kernels.multiply_columns_of_batch
    where = _places(structure)
    run_ranges(
        lambda first, last: run(values, of, *where, blocks, at, y, first, last),
        members,
        grain=_GRAIN // max(1, matrix.nnz * vectors) + 1,
    )
    return y.reshape((*batch, rows, vectors))


def _kernels_for(kind: np.dtype[Any]) -> ModuleType:
    return product_lanes if kind.kind == "f" and compiler.COMPILES else products


def _places(structure: Structure) -> tuple[Array, Array, Array, Array]:
    offsets, starts = np.array(structure.offsets, np.int64), np.array(structure.starts, np.int64)
    return offsets, starts, structure.link_rows, structure.link_columns


def _single(structure: Structure, values: Array, x: Array) -> Array:
    where = (values, *_places(structure))
    rows, vectors = structure.shape[0], x.shape[1]
    kernels = _kernels_for(x.dtype)
    each = max(1, len(structure.offsets)) * max(1, vectors)
    # Pieces begin where blocks do, so that no result depends on them.
    grain = -(-_GRAIN // (each * products.BLOCK)) * products.BLOCK
    # Vectors that lie contiguously are multiplied one after another, interleaved ones all together.
    if vectors == 1 or (x.flags.f_contiguous and not x.flags.c_contiguous):
        y = np.empty((vectors, rows), x.dtype)
        turned = frozen(np.ascontiguousarray(x.T))
        run_ranges(lambda first, last: kernels.multiply_rows(*where, turned, y, first, last), rows, grain=grain)
        return y.T
    block = frozen(np.ascontiguousarray(x))
    past = kernels is product_lanes and vectors * x.itemsize % ALIGNMENT == 0 and rows * vectors * x.itemsize > _LARGE
    out = fresh((rows, vectors), x.dtype) if past else np.empty((rows, vectors), x.dtype)
    further = (past,) if kernels is product_lanes else ()
    run_ranges(
        lambda first, last: kernels.multiply_columns(*where, block, out, first, last, *further), rows, grain=grain
    )
    return out
