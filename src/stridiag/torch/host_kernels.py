"""The host's way: numba kernels and factorizations on NumPy views of tensors, without copies.

Every function takes detached CPU tensors of one type, float32 or float64, and returns new tensors. Members of a batch
that are singular, or that hold a NaN or an infinity, never raise: they answer with NaN for themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import torch
from stridiag._kernels import compile as compiler
from stridiag._kernels import layer_products, product_lanes, products
from stridiag._kernels.threads import run_ranges
from stridiag.factorization.batch import MemberList, Members, decompose_members
from stridiag.factorization.decompose import decompose
from stridiag.factorization.inverse_entries import pattern_of_inverse
from stridiag.factorization.solving import solve_all
from stridiag.linalg import pinv
from stridiag.planning import plan
from stridiag.structure import StridiagMatrix, Structure
from stridiag.torch.batches import broadcast_shape, members_and_vectors
from stridiag.torch.places import product_arrays
from torch import Tensor

__all__ = ["Factored", "dots", "factored", "inverse_on_pattern", "matvec", "pinv_apply", "slogdet", "solve"]

Array = NDArray[Any]

# Products of a number with a number that are worth a thread: some 30 microseconds.
_GRAIN = 1 << 16


def _array(tensor: Tensor) -> Array:
    """Return a NumPy view; a copy where torch has put off a change of signs, as in a conjugate's imaginary part."""
    array: Array = tensor.resolve_neg().numpy()
    return array


def _rows(tensor: Tensor, shape: tuple[int, ...]) -> Array:
    """Return a C-contiguous NumPy view of a tensor in the given shape; a copy only where axes are broadcast."""
    return np.ascontiguousarray(_array(tensor)).reshape(shape)


def matvec(structure: Structure, values: Tensor, x: Tensor, bias: Tensor | None, *, transposed: bool) -> Tensor:
    """Return A x, or A' x, plus a bias, for every vector of a broadcast batch."""
    where, source = product_arrays(structure, transposed=transposed)
    columns, rows = structure.shape if transposed else structure.shape[::-1]
    array = _array(values)
    if source is not None:
        array = array[..., source]
    if array.ndim == 1:
        batch = x.shape[:-1]
    else:
        batch = torch.Size(broadcast_shape(values.shape[:-1], x.shape[:-1]))
        x = x.expand(*batch, columns)
    if array.size == array.shape[-1]:
        # What this branch does beside its kernel takes longer than the kernel itself for a small layer.
        single = np.ascontiguousarray(array.reshape(-1))
        samples = batch.numel()
        block = _rows(x, (samples, columns))
        # Made by torch, whose memory begins at a multiple of a vector's size.
        result = x.new_empty((*batch, rows))
        y = result.numpy().reshape(samples, rows)
        add = single[:0] if bias is None else np.ascontiguousarray(_array(bias))
        grain = layer_products.rows_worth_a_thread(_GRAIN, (len(structure.offsets) + 1) * samples)
        if rows <= grain:
            layer_products.layer_rows(single, *where, block, add, y, 0, rows)
        else:
            run_ranges(
                lambda first, last: layer_products.layer_rows(single, *where, block, add, y, first, last),
                rows,
                grain=grain,
            )
        return result
    kernels = product_lanes if compiler.COMPILES else products
    members = batch.numel()
    of, at = (
        np.broadcast_to(np.arange(math.prod(own)).reshape(own), batch).ravel()
        for own in (tuple(values.shape[:-1]), tuple(x.shape[:-1]))
    )
    stored = np.ascontiguousarray(array).reshape(math.prod(values.shape[:-1]), structure.nnz)
    vectors = _rows(x, (math.prod(x.shape[:-1]), 1, columns))
    out = np.empty((members, 1, rows), vectors.dtype)
    run_ranges(
        lambda first, last: kernels.multiply_rows_of_batch(stored, of, *where, vectors, at, out, first, last),
        members,
        grain=_GRAIN // max(1, structure.nnz) + 1,
    )
    result = torch.from_numpy(out).reshape(*batch, rows)
    return result if bias is None else result.add_(bias)


def dots(structure: Structure, left: Tensor, right: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return ``left_i right_j`` at every slot (i, j), summed over the batch but for axes of `shape`."""
    where, _ = product_arrays(structure, transposed=False)
    rows, columns = structure.shape
    if not shape and left.shape[:-1] == right.shape[:-1]:
        # As for a product: the short way to the kernel.
        vectors = left.shape[:-1].numel()
        found = left.new_empty(structure.nnz)
        layer_products.pattern_dots(
            *where, _rows(right, (vectors, columns)), _rows(left, (vectors, rows)), found.numpy()
        )
        return found
    batch = broadcast_shape(left.shape[:-1], right.shape[:-1], shape)
    _, lead, vectors = members_and_vectors(shape, batch)
    members = math.prod(lead)
    g = _rows(left.expand(*batch, rows), (members, vectors, rows))
    x = _rows(right.expand(*batch, columns), (members, vectors, columns))
    out = np.empty((members, structure.nnz), g.dtype)
    run_ranges(
        lambda first, last: layer_products.pattern_dots_of_batch(*where, x, g, out, first, last),
        members,
        grain=_GRAIN // max(1, structure.nnz * vectors) + 1,
    )
    return torch.from_numpy(out).reshape(*lead, structure.nnz)


@dataclass(slots=True, eq=False, weakref_slot=True)
class Factored:
    """The factors of a batch of matrices, kept from a forward pass for its backward pass."""

    members: Members
    structure: Structure
    batch: tuple[int, ...]
    finite: Array
    given: Array
    """The values, copied: what the caller holds may change in place."""
    regular: bool = False
    """Whether the finite members are known to be regular, so that nobody need find out."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""
        return self.given.dtype

    def are_those_of(self, structure: Structure, values: Tensor) -> bool:
        """Whether these are the factors of a batch, to the last bit of its values."""
        if self.batch != tuple(values.shape[:-1]) or self.structure != structure:
            return False
        array = _rows(values, self.given.shape)
        # As integers: a zero's sign counts.
        bits = f"i{array.itemsize}"
        return array.dtype == self.dtype and np.array_equal(array.view(bits), self.given.view(bits))

    @property
    def info(self) -> Array:
        """For each member 0, or as `Factor.info`; -1 for members that are not finite."""
        return np.where(self.finite, 0 if self.regular else self.members.info, -1).reshape(self.batch)


def factored(structure: Structure, values: Tensor, *, regular: bool = False) -> Factored:
    """Factor every member; one that is not finite counts as singular, and, if they are `regular`, no other one."""
    given = array = _rows(values, (math.prod(values.shape[:-1]), structure.nnz)).copy()
    finite: Array = np.logical_and.reduce(np.isfinite(array), axis=1)
    if not finite.all():
        # What the factorizations are given is finite: a few of the libraries behind them do not return from a NaN.
        array = np.where(finite[:, None], array, array.dtype.type(0))
    batch = tuple(values.shape[:-1])
    matrix = StridiagMatrix(structure, array.reshape(*batch, structure.nnz), copy=False)
    with np.errstate(all="ignore"):
        if regular:
            members: Members = MemberList([decompose(plan(structure), member.values) for member in matrix.members])
        else:
            members = decompose_members(plan(structure), matrix)
    return Factored(members, structure, batch, finite, given, regular)


def solve(factors: Factored, b: Tensor, *, transposed: bool) -> Tensor:
    """Return the solutions; NaN for singular members and for right-hand sides that are not finite."""
    n = factors.structure.shape[0]
    batch = broadcast_shape(factors.batch, b.shape[:-1])
    own, lead, vectors = members_and_vectors(factors.batch, batch)
    right = _rows(b.expand(*batch, n), (*lead, vectors, n))
    bad: Array = ~np.logical_and.reduce(np.isfinite(right), axis=-1)
    if bad.any():
        right = np.where(bad[..., None], right.dtype.type(0), right)
    with np.errstate(all="ignore"):
        x = solve_all(
            factors.members,
            np.swapaxes(right, -1, -2),
            own,
            "T" if transposed else "N",
            factors.dtype,
            check_finite=False,
        )
    result = np.ascontiguousarray(np.swapaxes(x, -1, -2))
    result[bad] = np.nan
    singular = np.broadcast_to((factors.info != 0).reshape(own), lead)
    result[singular] = np.nan
    return torch.from_numpy(result).reshape(*batch, n)


def slogdet(factors: Factored) -> tuple[Tensor, Tensor]:
    """Return signs and logarithms; (0, -inf) for singular members, NaN for those that are not finite."""
    with np.errstate(all="ignore"):
        members = factors.members
        given = [member.slogdet() for member in members] if factors.regular else None
        signs, logarithms = zip(*given, strict=True) if given else members.slogdet()
    sign = np.where(factors.finite, np.array(signs, factors.dtype), np.nan).reshape(factors.batch)
    logarithm = np.where(factors.finite, np.array(logarithms, factors.dtype), np.nan).reshape(factors.batch)
    return (
        torch.from_numpy(sign.astype(factors.dtype, copy=False)),
        torch.from_numpy(logarithm.astype(factors.dtype, copy=False)),
    )


def inverse_on_pattern(factors: Factored) -> Tensor:
    """Return the entry (j, i) of the inverse at every slot (i, j); NaN for singular members."""
    structure = factors.structure
    out = np.full((len(factors.members), structure.nnz), np.nan, factors.dtype)
    with np.errstate(all="ignore"):
        for k, info in enumerate(factors.info.ravel()):
            if info == 0:
                out[k] = pattern_of_inverse(factors.members[k], structure, factors.dtype, transpose=True)
    return torch.from_numpy(out).reshape(*factors.batch, structure.nnz)


def pinv_apply(structure: Structure, values: Tensor, b: Tensor, *, transposed: bool, rtol: float | None) -> Tensor:
    """Return the minimum-norm least-squares solutions, member after member; NaN for those that are not finite."""
    rows, columns = structure.shape[::-1] if transposed else structure.shape
    batch = broadcast_shape(values.shape[:-1], b.shape[:-1])
    own, lead, vectors = members_and_vectors(tuple(values.shape[:-1]), batch)
    array = np.ascontiguousarray(_array(values)).reshape(*own, structure.nnz)
    right = _rows(b.expand(*batch, rows), (*lead, vectors, rows))
    out = np.full((*lead, vectors, columns), np.nan, right.dtype)
    for place in np.ndindex(own):
        if not np.isfinite(array[place]).all():
            continue
        operator = pinv(StridiagMatrix(structure, array[place], copy=False), rtol=rtol)
        operator = operator.T if transposed else operator
        # Every place of the broadcast batch that this member serves.
        here = tuple(slice(None) if size == 1 else slice(k, k + 1) for k, size in zip(place, own, strict=True))
        part = right[here]
        flat = part.reshape(-1, rows)
        good = np.isfinite(flat).all(axis=-1)
        answer = np.full((flat.shape[0], columns), np.nan, right.dtype)
        answer[good] = (operator @ flat[good].T).T
        out[here] = answer.reshape(*part.shape[:-1], columns)
    return torch.from_numpy(out).reshape(*batch, columns)
