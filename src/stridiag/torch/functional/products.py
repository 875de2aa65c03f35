r"""Products with a structured matrix, and the sums on its pattern that their gradients are made of.

.. math::
    y = A x + b: \qquad \bar x = A^T \bar y, \quad \bar A_{ij} = \bar y_i x_j \text{ on the pattern}, \quad
    \bar b = \bar y

Both are linear in each operand, and each other's derivative, so derivatives of every order are again of these two.
Cost: two flops per slot and vector, for each.
"""

from __future__ import annotations

from typing import Any

from stridiag.structure import Structure
from stridiag.torch import kernels
from stridiag.torch.batches import (
    aligned_for_vmap,
    broadcast_shape,
    common_type,
    require_structure,
    require_width,
    summed_to,
)
from stridiag.torch.rules import Rule, register, underivable
from stridiag.torch.spec import Named, named
from torch import Tensor

__all__ = ["apply_dots", "apply_matvec", "linear", "matvec"]


class _Matvec(Rule):
    """The product."""

    @staticmethod
    def forward(values: Tensor, x: Tensor, bias: Tensor | None, structure: Named, transposed: bool) -> Tensor:
        return kernels.matvec(structure, values, x, bias, transposed)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        values, x, bias, ctx.structure, ctx.transposed = inputs
        ctx.bias_shape = None if bias is None else bias.shape
        ctx.save_for_backward(values, x)
        ctx.save_for_forward(values, x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        values, x = ctx.saved_tensors
        grad = grads[0]
        of_values = of_x = of_bias = None
        if ctx.needs_input_grad[0]:
            left, right = (x, grad) if ctx.transposed else (grad, x)
            of_values = apply_dots(ctx.structure, left, right, values.shape[:-1])
        if ctx.needs_input_grad[1]:
            of_x = summed_to(apply_matvec(ctx.structure, values, grad, None, not ctx.transposed), x.shape)
        if ctx.bias_shape is not None and ctx.needs_input_grad[2]:
            of_bias = summed_to(grad, ctx.bias_shape)
        return of_values, of_x, of_bias, None, None

    @staticmethod
    def vmap(
        info: Any, dims: Any, values: Tensor, x: Tensor, bias: Tensor | None, structure: Named, transposed: bool
    ) -> tuple[Tensor, int]:
        tensors = [values, x] if bias is None else [values, x, bias]
        values, x, *rest = aligned_for_vmap(info.batch_size, dims[: len(tensors)], tensors)
        product = apply_matvec(structure, values, x, None, transposed)
        return (product + rest[0] if rest else product), 0

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        values, x = ctx.saved_tensors
        of_values, of_x, of_bias = tangents[:3]
        terms = []
        if of_values is not None:
            terms.append(apply_matvec(ctx.structure, of_values, x, of_bias, ctx.transposed))
            of_bias = None
        if of_x is not None:
            terms.append(apply_matvec(ctx.structure, values, of_x, of_bias, ctx.transposed))
            of_bias = None
        if of_bias is not None:
            shape = broadcast_shape(values.shape[:-1], x.shape[:-1])
            terms.append(of_bias.expand(*shape, of_bias.shape[-1]).clone())
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]


class _Dots(Rule):
    """The sums on the pattern."""

    @staticmethod
    def forward(left: Tensor, right: Tensor, structure: Named, shape: tuple[int, ...]) -> Tensor:
        return kernels.dots(structure, left, right, shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        left, right, ctx.structure, ctx.shape = inputs
        ctx.save_for_backward(left, right)
        ctx.save_for_forward(left, right)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        left, right = ctx.saved_tensors
        of_left = of_right = None
        if ctx.needs_input_grad[0]:
            of_left = summed_to(apply_matvec(ctx.structure, grads[0], right, None, False), left.shape)
        if ctx.needs_input_grad[1]:
            of_right = summed_to(apply_matvec(ctx.structure, grads[0], left, None, True), right.shape)
        return of_left, of_right, None, None

    @staticmethod
    def vmap(
        info: Any, dims: Any, left: Tensor, right: Tensor, structure: Named, shape: tuple[int, ...]
    ) -> tuple[Tensor, int]:
        like = left.new_empty((*shape, 0))
        left, right, _ = aligned_for_vmap(info.batch_size, (*dims[:2], None), (left, right, like))
        rank = max(left.dim(), right.dim()) - 2
        # The mapped axis is kept, so the sum goes to it, axes of length one up to the batch, and the batch's own.
        sums = apply_dots(structure, left, right, (info.batch_size, *(1,) * (rank - len(shape)), *shape))
        return sums.reshape(info.batch_size, *shape, sums.shape[-1]), 0

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        left, right = ctx.saved_tensors
        of_left, of_right = tangents[:2]
        terms = []
        if of_left is not None:
            terms.append(apply_dots(ctx.structure, of_left, right, ctx.shape))
        if of_right is not None:
            terms.append(apply_dots(ctx.structure, left, of_right, ctx.shape))
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]


register(kernels.matvec_operator, _Matvec)
register(kernels.dots_operator, _Dots)


def apply_matvec(structure: Named, values: Tensor, x: Tensor, bias: Tensor | None, transposed: bool) -> Tensor:
    """Return the product for checked operands of one type."""
    run: Any = _Matvec.apply
    if isinstance(structure, str):
        run = kernels.matvec_operator
    elif underivable():
        return kernels.matvec(structure, values, x, bias, transposed)
    found: Tensor = run(values, x, bias, structure, transposed)
    return found


def apply_dots(structure: Named, left: Tensor, right: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return ``left_i right_j`` at every slot (i, j), summed over the batch down to a batch of the given shape."""
    run: Any = _Dots.apply
    if isinstance(structure, str):
        run = kernels.dots_operator
    elif underivable():
        return kernels.dots(structure, left, right, tuple(shape))
    found: Tensor = run(left, right, structure, tuple(shape))
    return found


def matvec(structure: Structure, values: Tensor, x: Tensor, *, transposed: bool = False) -> Tensor:
    r"""Product of a structured matrix with vectors: :math:`A x`, or :math:`A^T x`.

    Parameters
    ----------
    structure : Structure, (m, n)
    values : Tensor, (..., nnz)
        In the order of the structure's slots.
    x : Tensor, (..., n)
        Vectors along the last axis; (..., m) if `transposed`. Batch axes broadcast against those of `values`.
    transposed : bool, default False

    Returns
    -------
    Tensor, (..., m) or, if `transposed`, (..., n)
        Of the type that the operands promote to; float16 and bfloat16 are multiplied in float32 and rounded once.

    Examples
    --------
    >>> import torch
    >>> from stridiag import Structure
    >>> from stridiag.torch.functional import matvec
    >>> S = Structure(3, offsets=(0, 1))
    >>> values = torch.tensor([1.0, 2.0, 3.0, 10.0, 20.0], requires_grad=True)
    >>> y = matvec(S, values, torch.ones(3))
    >>> y.tolist()
    [11.0, 22.0, 3.0]
    >>> y.sum().backward()
    >>> values.grad.tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    return linear(structure, values, x, None, transposed=transposed)


def linear(
    structure: Structure, values: Tensor, x: Tensor, bias: Tensor | None = None, *, transposed: bool = False
) -> Tensor:
    r"""Apply a linear layer: :math:`A x + b`, or :math:`A^T x + b`; see `matvec`.

    Parameters
    ----------
    structure, values, x, transposed
        As in `matvec`.
    bias : Tensor, (m,) or, if `transposed`, (n,), optional
        Added on the way.
    """
    require_structure(structure)
    rows, columns = structure.shape[::-1] if transposed else structure.shape
    require_width(values, structure.nnz, "values")
    require_width(x, columns, "x")
    if bias is not None:
        require_width(bias, rows, "bias")
        if bias.dim() != 1:
            raise ValueError(f"bias must have shape ({rows},), got {tuple(bias.shape)}")
    promoted, kind = common_type(values, x, bias)
    if promoted is kind and values.dtype is x.dtype and (bias is None or bias.dtype is kind):
        return apply_matvec(named(structure), values, x, bias, transposed)
    added = None if bias is None else bias.to(kind)
    return apply_matvec(named(structure), values.to(kind), x.to(kind), added, transposed).to(promoted)
