"""The way of other devices: products of structured matrices in torch operations, batches and types as on the host."""

from __future__ import annotations

import torch
from stridiag.structure import Structure
from stridiag.torch.batches import broadcast_shape, members_and_vectors
from stridiag.torch.places import bands, link_places
from torch import Tensor

__all__ = ["dots", "matvec"]


def matvec(structure: Structure, values: Tensor, x: Tensor, bias: Tensor | None, *, transposed: bool) -> Tensor:
    """See `stridiag.torch.host_kernels.matvec`: one fused multiply and add a diagonal, on slices."""
    rows = structure.shape[1] if transposed else structure.shape[0]
    batch = broadcast_shape(values.shape[:-1], x.shape[:-1])
    y = x.new_zeros((*batch, rows)) if bias is None else bias.expand(*batch, rows).clone()
    for band in bands(structure):
        into, source = (band.columns, band.rows) if transposed else (band.rows, band.columns)
        y[..., into].addcmul_(values[..., band.slots], x[..., source])
    if structure.link_count:
        first, second = link_places(structure, x.device)
        at, read = (second, first) if transposed else (first, second)
        weights = values[..., structure.starts[-1] :]
        y.index_add_(-1, at, (weights * x[..., read]).expand(*batch, at.shape[0]))
    return y


def dots(structure: Structure, left: Tensor, right: Tensor, shape: tuple[int, ...]) -> Tensor:
    """See `stridiag.torch.host_kernels.dots`."""
    batch = broadcast_shape(left.shape[:-1], right.shape[:-1], shape)
    _, lead, vectors = members_and_vectors(shape, batch)
    g = left.expand(*batch, left.shape[-1]).reshape(*lead, vectors, left.shape[-1])
    x = right.expand(*batch, right.shape[-1]).reshape(*lead, vectors, right.shape[-1])
    out = x.new_empty((*lead, structure.nnz))
    for band in bands(structure):
        torch.sum(g[..., band.rows] * x[..., band.columns], dim=-2, out=out[..., band.slots])
    if structure.link_count:
        at, read = link_places(structure, x.device)
        out[..., structure.starts[-1] :] = (g[..., at] * x[..., read]).sum(dim=-2)
    return out
