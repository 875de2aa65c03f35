"""A layer's values: conversion, threads and scratch memory around the compiled forward kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from stridiag._kernels import compile as compiler
from stridiag._kernels import forward as kernels
from stridiag._kernels.threads import run_ranges
from stridiag._kernels.vectors import BYTES
from stridiag.structure import StridiagMatrix

__all__ = ["affine", "read_only"]

Array = NDArray[Any]

# Work worth a thread: entries, an activation being as much as eight of them.
_GRAIN = 1 << 16
# Fewer samples than that share of a vector's lanes are faster one by one.
_FEW = 4
_IN_ORDER = np.empty(0, np.int64)
_IN_ORDER.setflags(write=False)


def read_only(array: Array) -> Array:
    """Return a view that nobody writes to: one type for all that kernels only read, one compilation."""
    view = array.view()
    view.setflags(write=False)
    return view


def affine(
    weight: StridiagMatrix, bias: Array, source: Array | None, inputs: int, rows: Array, out: Array | None, code: int
) -> Array:
    """Return ``f(rows[:, source] W' + b)``, (samples, units); the arguments fit, as a `Layer` has checked.

    Parameters
    ----------
    weight, bias, source, inputs
        Parts of the layer.
    rows : ndarray, (samples, inputs)
        Of any real type and layout.
    out : ndarray, (samples, units), optional
        Where to write: of the result's type, its rows contiguous. It must not share memory with `rows`.
    code : int
        Which function the kernels are to apply.
    """
    kind = result_type(rows, weight)
    structure = weight.structure
    units, columns = structure.shape
    samples = rows.shape[0]
    result = np.empty((samples, units), kind) if out is None else out
    if not result.size:
        return result
    x, x_stride = _flat(rows.astype(kind, copy=False))
    y, y_stride = _flat(result)
    where = (
        read_only(np.ascontiguousarray(weight.values, kind)),
        np.array(structure.offsets, np.int64),
        np.array(structure.starts, np.int64),
        structure.link_rows,
        structure.link_columns,
        read_only(np.ascontiguousarray(source)) if source is not None else _IN_ORDER,
    )
    x = read_only(x)
    shift = read_only(np.ascontiguousarray(bias, kind))
    lanes = BYTES // kind.itemsize
    cost = weight.nnz + 8 * units
    if not compiler.COMPILES:
        kernels.forward_plain(*where, shift, code, x, x_stride, y, y_stride, 0, samples)
    elif samples * _FEW < lanes:
        gathered = np.empty(columns if source is not None else 0, kind)
        z = np.zeros(-(-units // lanes) * lanes, kind)
        kernels.forward_rows(*where, shift, code, columns, x, x_stride, y, y_stride, gathered, z, 0, samples)
    else:
        width = 4 * lanes
        packed = np.empty(units + 1, np.int64), np.empty(weight.nnz, np.int64), np.empty(weight.nnz, kind)
        kernels.pack(*where, columns, width, *packed)

        def run(first: int, last: int) -> None:
            tile, z = np.empty(inputs * width, kind), np.empty(kernels.TOGETHER * width, kind)
            reads, writes = np.empty(width, np.int64), np.empty(width, np.int64)
            kernels.forward_tiles(
                *packed, shift, code, inputs, x, x_stride, y, y_stride, tile, z, reads, writes, first, last
            )

        run_ranges(run, samples, grain=-(-_GRAIN // (cost * width)) * width)
    return result


def result_type(rows: Array, weight: StridiagMatrix) -> np.dtype[Any]:
    """Return the type of a layer's values: float32 for rows and a weight of that type, else float64."""
    single = rows.dtype == np.float32 and weight.dtype == np.float32
    return np.dtype(np.float32 if single else np.float64)


def _flat(table: Array) -> tuple[Array, int]:
    """Return a table's memory as one axis, and the step from row to row: a copy only if it is of another layout."""
    if table.flags.c_contiguous:
        return table.reshape(-1), table.shape[1]
    rows, columns = table.shape
    step, item = table.strides[0], table.itemsize
    if (columns > 1 and table.strides[1] != item) or step < 0 or step % item:
        return np.ascontiguousarray(table).reshape(-1), columns
    return as_strided(table, ((rows - 1) * (step // item) + columns,), (item,)), step // item
