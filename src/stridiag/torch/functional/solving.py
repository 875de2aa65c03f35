r"""Solving with a structured matrix.

.. math:: x = A^{-1} b: \qquad \bar b = A^{-T} \bar x, \quad \bar A_{ij} = -\bar b_i x_j \text{ on the pattern}

The backward pass solves with the transpose of the matrix, by the factors of the forward pass; and as it is made of
differentiable functions itself, derivatives of every order follow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from stridiag.structure import Structure
from stridiag.torch import kernels
from stridiag.torch.batches import (
    aligned_for_vmap,
    common_type,
    require_square,
    require_width,
    summed_to,
)
from stridiag.torch.functional.products import apply_dots, apply_matvec
from stridiag.torch.rules import Rule, register, underivable
from stridiag.torch.spec import Named, named
from torch import Tensor

__all__ = ["SolveResult", "apply_solve", "solve", "solve_ex"]


class SolveResult(NamedTuple):
    """Solutions, and for each matrix of the batch 0, or where it is singular; see `Factor.info`."""

    solution: Tensor
    info: Tensor


class _Solve(Rule):
    """The solution, and `info`."""

    @staticmethod
    def forward(
        values: Tensor, b: Tensor, structure: Named, transposed: bool, kept: kernels.Kept | None
    ) -> tuple[Tensor, Tensor]:
        return kernels.solve(structure, values, b, transposed, kept)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        values, b, ctx.structure, ctx.transposed, ctx.kept = inputs
        ctx.shape = b.shape
        x, info = output
        ctx.mark_non_differentiable(info)
        ctx.save_for_backward(values, x)
        ctx.save_for_forward(values, x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        values, x = ctx.saved_tensors
        w, _ = apply_solve(ctx.structure, values, grads[0], not ctx.transposed, ctx.kept)
        of_values = None
        if ctx.needs_input_grad[0]:
            left, right = (x, w) if ctx.transposed else (w, x)
            of_values = -apply_dots(ctx.structure, left, right, values.shape[:-1])
        return of_values, summed_to(w, ctx.shape), None, None, None

    @staticmethod
    def vmap(
        info: Any,
        dims: Any,
        values: Tensor,
        b: Tensor,
        structure: Named,
        transposed: bool,
        kept: kernels.Kept | None,
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int | None]]:
        mapped = dims[0] is not None
        shape = values.shape[:-1] if not mapped else values.movedim(dims[0], 0).shape[:-1]
        values, b = aligned_for_vmap(info.batch_size, dims[:2], (values, b))
        x, where = apply_solve(structure, values, b, transposed, None if mapped else kept)
        return (x, where.reshape(shape)), (0, 0 if mapped else None)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, None]:
        values, x = ctx.saved_tensors
        of_values, of_b = tangents[:2]
        right = torch.zeros(ctx.shape, dtype=x.dtype, device=x.device) if of_b is None else of_b
        if of_values is not None:
            right = right - apply_matvec(ctx.structure, of_values, x, None, ctx.transposed)
        return apply_solve(ctx.structure, values, right, ctx.transposed, ctx.kept)[0], None


register(kernels.solve_operator, _Solve, further=1)


def apply_solve(
    structure: Named, values: Tensor, b: Tensor, transposed: bool, kept: kernels.Kept | None
) -> tuple[Tensor, Tensor]:
    """Return solutions and `info` for checked operands of one type."""
    if isinstance(structure, str):
        x, info = kernels.solve_operator(values, b, structure, transposed)
    elif underivable():
        x, info = kernels.solve(structure, values, b, transposed, kept)
    else:
        rule: Any = _Solve
        x, info = rule.apply(values, b, structure, transposed, kept)
    return x, info


def solve_ex(structure: Structure, values: Tensor, b: Tensor, *, transposed: bool = False) -> SolveResult:
    """Solve as `solve`, and tell which members of a batch are singular.

    Returns
    -------
    SolveResult
        ``solution``, as `solve`; ``info``, int64, of the batch shape of `values`: 0, or k > 0 where row or column k - 1
        had no pivot, or -1 where a matrix is singular or not finite and no place is known (always so on devices
        other than the CPU).

    Examples
    --------
    >>> import torch
    >>> from stridiag import Structure
    >>> from stridiag.torch.functional import solve_ex
    >>> values = torch.tensor([[1.0, 2.0], [1.0, 0.0]])
    >>> x, info = solve_ex(Structure(2), values, torch.ones(2))
    >>> x.tolist(), info.tolist()
    ([[1.0, 0.5], [nan, nan]], [0, 2])
    """
    require_square(structure, "solve")
    require_width(values, structure.nnz, "values")
    require_width(b, structure.shape[0], "b")
    _, kind = common_type(values, b)
    return SolveResult(*apply_solve(named(structure), values.to(kind), b.to(kind), transposed, kernels.Kept()))


def solve(structure: Structure, values: Tensor, b: Tensor, *, transposed: bool = False) -> Tensor:
    r"""Solve :math:`A x = b`, or :math:`A^T x = b`, for vectors along the last axis.

    Parameters
    ----------
    structure : Structure, (n, n)
    values : Tensor, (..., nnz)
        In the order of the structure's slots.
    b : Tensor, (..., n)
        Batch axes broadcast against those of `values`; a matrix that serves several vectors is factored once if the
        vectors lie along the last batch axes, as (n,) values with (k, n) or (B, 1, nnz) with (B, k, n).
    transposed : bool, default False

    Returns
    -------
    Tensor, (..., n)
        Of the type that the operands promote to, float32 at least. NaN for singular members and no others: nothing
        raises, see `solve_ex`.

    Notes
    -----
    O(n) per member for chains, bands and forests, as `stridiag.plan` says; the backward pass reuses the factors.

    Examples
    --------
    >>> import torch
    >>> from stridiag import Structure
    >>> from stridiag.torch.functional import solve
    >>> S = Structure(3, offsets=(-1, 0, 1))
    >>> values = torch.tensor([-1.0, -1.0, 2.0, 2.0, 2.0, -1.0, -1.0], requires_grad=True)
    >>> x = solve(S, values, torch.tensor([1.0, 0.0, 1.0]))
    >>> bool(torch.allclose(x, torch.ones(3)))
    True
    >>> x.sum().backward()
    >>> bool(torch.allclose(values.grad[2:5], torch.tensor([-1.5, -2.0, -1.5])))      # the main diagonal's
    True
    """
    return solve_ex(structure, values, b, transposed=transposed).solution
