"""Batch axes and types: how operands are broadcast, and in which precision they are computed with.

The last axis of every tensor is that of the vector or of the slots; all axes before it are a batch, and those of
several operands broadcast against one another from the right, as everywhere in torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from stridiag.structure import Structure
from torch import Tensor

__all__ = [
    "aligned_for_vmap",
    "broadcast_shape",
    "common_type",
    "members_and_vectors",
    "require_real",
    "require_square",
    "require_structure",
    "require_width",
    "summed_to",
]

_HALVES = (torch.float16, torch.bfloat16)


def broadcast_shape(*shapes: Sequence[int]) -> tuple[int, ...]:
    """Return the shape that shapes broadcast to; sizes may be symbols of torch's compiler."""
    several = [shape for shape in shapes if shape]
    if len(several) < 2:
        return tuple(several[0]) if several else ()
    # Torch's own takes as long as a small product.
    if all(type(size) is int for shape in several for size in shape) and several.count(several[0]) == len(several):
        return tuple(several[0])
    broadcast: Any = torch.broadcast_shapes
    return tuple(broadcast(*shapes))


def require_structure(structure: Structure) -> None:
    """Raise TypeError unless `structure` is one."""
    if not isinstance(structure, Structure):
        raise TypeError(f"structure must be a stridiag.Structure, got {type(structure).__name__}")


def require_square(structure: Structure, what: str) -> None:
    """Raise ValueError unless the structure is square."""
    require_structure(structure)
    if not structure.is_square:
        raise ValueError(f"{what} needs a square structure, got shape {structure.shape}")


def require_real(tensor: Tensor, name: str) -> None:
    """Raise TypeError unless `tensor` is a tensor of real floating-point numbers."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(tensor).__name__}")
    if not tensor.dtype.is_floating_point:
        raise TypeError(f"{name} must hold real floating-point numbers, got dtype {tensor.dtype}")


def require_width(tensor: Tensor, width: int, name: str) -> None:
    """Raise TypeError or ValueError unless `tensor` is real and its last axis has the given length."""
    # Asked in one breath: three of these are a tenth of a small product.
    if isinstance(tensor, Tensor) and tensor.dtype.is_floating_point and tensor.dim() and tensor.shape[-1] == width:
        return
    require_real(tensor, name)
    raise ValueError(f"{name} must have shape (..., {width}), got {tuple(tensor.shape)}")


def common_type(*tensors: Tensor | None) -> tuple[torch.dtype, torch.dtype]:
    """Return the type that the operands promote to, and that in which they are computed with: float32 at least."""
    promoted: torch.dtype | None = None
    for tensor in tensors:
        if tensor is not None and tensor.dtype is not promoted:
            promoted = tensor.dtype if promoted is None else torch.promote_types(promoted, tensor.dtype)
    if promoted is None:
        raise ValueError("a common type needs a tensor")
    return promoted, torch.float32 if promoted in _HALVES else promoted


def summed_to(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Sum over the axes along which an operand of the given shape was broadcast."""
    return tensor if tuple(tensor.shape) == tuple(shape) else tensor.sum_to_size(*shape)


def members_and_vectors(own: Sequence[int], batch: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Split a broadcast batch into axes over matrices and trailing axes along which one matrix serves them all.

    Returns
    -------
    tuple
        The matrices' own batch shape padded to the leading axes, the leading axes, and the vectors of each matrix.
    """
    padded = (1,) * (len(batch) - len(own)) + tuple(own)
    count = 0
    while count < len(batch) and padded[len(batch) - 1 - count] == 1:
        count += 1
    split = len(batch) - count
    return padded[:split], tuple(batch[:split]), math.prod(batch[split:])


def aligned_for_vmap(size: int, dims: Sequence[int | None], tensors: Sequence[Any]) -> list[Any]:
    """Bring the mapped axis of each operand to the front, with axes of length one behind it so that all align."""
    ranks = [
        tensor.dim() - (0 if dim is None else 1)
        for tensor, dim in zip(tensors, dims, strict=True)
        if isinstance(tensor, Tensor)
    ]
    rank = max(ranks) - 1
    result: list[Any] = []
    for tensor, dim in zip(tensors, dims, strict=True):
        if not isinstance(tensor, Tensor) or dim is None:
            result.append(tensor)
            continue
        front = tensor.movedim(dim, 0)
        inner = tuple(front.shape[1:])
        result.append(front.reshape(size, *(1,) * (rank - (len(inner) - 1)), *inner))
    return result
