"""The numerical core of every differentiable function: which way it goes, and its form as an operator of torch.

Each function here takes detached tensors of one type, float32 or float64, and broadcasts their batches. The operators
``stridiag::...`` are what a compiled graph holds: opaque, with the shapes of their results known without running them.
How they are differentiated and mapped is registered beside the differentiable functions; see `rules.register`.
"""

from __future__ import annotations

import weakref

import torch
from stridiag.structure import Structure
from stridiag.torch import device_kernels, host_kernels, reduction
from stridiag.torch.batches import broadcast_shape
from stridiag.torch.paths import on_host
from stridiag.torch.rules import operator
from stridiag.torch.spec import Named, structure_of
from torch import Tensor

__all__ = [
    "Kept",
    "dots",
    "dots_operator",
    "factors_of",
    "inverse_on_pattern",
    "inverse_operator",
    "matvec",
    "matvec_operator",
    "pinv_apply",
    "pinv_operator",
    "slogdet",
    "slogdet_operator",
    "solve",
    "solve_operator",
]


class Kept:
    """Holds the factors that a forward pass made, so that the backward pass need not make them again.

    Another function of the same matrix, as `slogdet` beside `solve`, finds them too, while a graph holds them.
    """

    __slots__ = ("factors",)

    def __init__(self) -> None:
        self.factors: host_kernels.Factored | None = None


_latest: list[weakref.ref[host_kernels.Factored]] = []


def factors_of(
    structure: Structure, values: Tensor, kept: Kept | None, *, regular: bool = False
) -> host_kernels.Factored:
    """Return the factors that are kept, those of the latest matrix if it was this one, or new ones."""
    if kept is None:
        return host_kernels.factored(structure, values)
    if kept.factors is None or kept.factors.batch != tuple(values.shape[:-1]):
        found = _latest[0]() if _latest else None
        if found is None or not found.are_those_of(structure, values):
            found = host_kernels.factored(structure, values, regular=regular)
            _latest[:] = [weakref.ref(found)]
        kept.factors = found
    return kept.factors


def matvec(structure: Named, values: Tensor, x: Tensor, bias: Tensor | None, transposed: bool) -> Tensor:
    """Return ``A x + bias`` or ``A' x + bias``."""
    structure = structure_of(structure)
    run = host_kernels.matvec if on_host(values) else device_kernels.matvec
    return run(structure, values, x, bias, transposed=transposed)


def dots(structure: Named, left: Tensor, right: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return ``left_i right_j`` at every slot, summed over the batch down to a batch of the given shape."""
    structure = structure_of(structure)
    run = host_kernels.dots if on_host(left) else device_kernels.dots
    sums = run(structure, left, right, shape)
    if sums.dim() == len(shape) + 1 == 1:
        return sums
    batch = broadcast_shape(left.shape[:-1], right.shape[:-1], shape)
    whole = sums.reshape(*sums.shape[:-1], *(1,) * (len(batch) + 1 - sums.dim()), structure.nnz)
    return whole.sum_to_size(*shape, structure.nnz)


def solve(structure: Named, values: Tensor, b: Tensor, transposed: bool, kept: Kept | None) -> tuple[Tensor, Tensor]:
    """Return the solutions, and `info` for each matrix."""
    structure = structure_of(structure)
    if not on_host(values):
        return reduction.solve(structure, values, b, transposed=transposed)
    factors = factors_of(structure, values, kept)
    return host_kernels.solve(factors, b, transposed=transposed), torch.from_numpy(factors.info.copy())


def slogdet(structure: Named, values: Tensor, kept: Kept | None) -> tuple[Tensor, Tensor]:
    """Return signs and logarithms of the magnitudes."""
    structure = structure_of(structure)
    if not on_host(values):
        return reduction.slogdet(structure, values)
    return host_kernels.slogdet(factors_of(structure, values, kept))


def inverse_on_pattern(structure: Named, values: Tensor, kept: Kept | None) -> Tensor:
    """Return the entry (j, i) of the inverse at every slot (i, j)."""
    structure = structure_of(structure)
    if not on_host(values):
        return reduction.inverse_on_pattern(structure, values)
    return host_kernels.inverse_on_pattern(factors_of(structure, values, kept))


def pinv_apply(structure: Named, values: Tensor, b: Tensor, transposed: bool, rtol: float | None) -> Tensor:
    """Return the minimum-norm least-squares solutions. Ranks are decided on the host, wherever the tensors are."""
    found = host_kernels.pinv_apply(structure_of(structure), values.cpu(), b.cpu(), transposed=transposed, rtol=rtol)
    return found.to(values.device)


# ------------------------------------------------------------------ operators


def _batch(*tensors: Tensor) -> tuple[int, ...]:
    return broadcast_shape(*(tensor.shape[:-1] for tensor in tensors))


@operator("matvec")
def matvec_operator(values: Tensor, x: Tensor, bias: Tensor | None, structure: str, transposed: bool) -> Tensor:
    """Return what `matvec` does."""
    return matvec(structure, values, x, bias, transposed)


@torch.library.register_fake("stridiag::matvec")  # type: ignore[untyped-decorator]
def _(values: Tensor, x: Tensor, bias: Tensor | None, structure: str, transposed: bool) -> Tensor:
    return x.new_empty((*_batch(values, x), structure_of(structure).shape[1 if transposed else 0]))


@operator("dots")
def dots_operator(left: Tensor, right: Tensor, structure: str, shape: list[int]) -> Tensor:
    """Return what `dots` does."""
    return dots(structure, left, right, tuple(shape)).clone()


@torch.library.register_fake("stridiag::dots")  # type: ignore[untyped-decorator]
def _(left: Tensor, right: Tensor, structure: str, shape: list[int]) -> Tensor:
    return left.new_empty((*shape, structure_of(structure).nnz))


@operator("solve")
def solve_operator(values: Tensor, b: Tensor, structure: str, transposed: bool) -> tuple[Tensor, Tensor]:
    """Return what `solve` does; nothing is kept."""
    return solve(structure, values, b, transposed, None)


@torch.library.register_fake("stridiag::solve")  # type: ignore[untyped-decorator]
def _(values: Tensor, b: Tensor, structure: str, transposed: bool) -> tuple[Tensor, Tensor]:
    return b.new_empty((*_batch(values, b), b.shape[-1])), values.new_empty(values.shape[:-1], dtype=torch.int64)


@operator("slogdet")
def slogdet_operator(values: Tensor, structure: str) -> tuple[Tensor, Tensor]:
    """Return what `slogdet` does; nothing is kept."""
    return slogdet(structure, values, None)


@torch.library.register_fake("stridiag::slogdet")  # type: ignore[untyped-decorator]
def _(values: Tensor, structure: str) -> tuple[Tensor, Tensor]:
    return values.new_empty(values.shape[:-1]), values.new_empty(values.shape[:-1])


@operator("inverse_on_pattern")
def inverse_operator(values: Tensor, structure: str) -> Tensor:
    """Return what `inverse_on_pattern` does; nothing is kept."""
    return inverse_on_pattern(structure, values, None)


@torch.library.register_fake("stridiag::inverse_on_pattern")  # type: ignore[untyped-decorator]
def _(values: Tensor, structure: str) -> Tensor:
    return values.new_empty(values.shape)


@operator("pinv_apply")
def pinv_operator(values: Tensor, b: Tensor, structure: str, transposed: bool, rtol: float | None) -> Tensor:
    """Return what `pinv_apply` does."""
    return pinv_apply(structure, values, b, transposed, rtol)


@torch.library.register_fake("stridiag::pinv_apply")  # type: ignore[untyped-decorator]
def _(values: Tensor, b: Tensor, structure: str, transposed: bool, rtol: float | None) -> Tensor:
    return b.new_empty((*_batch(values, b), structure_of(structure).shape[0 if transposed else 1]))
