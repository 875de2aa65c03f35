r"""The pseudoinverse applied to vectors, and least squares.

.. math:: x = A^+ b, \quad r = b - A x, \quad w = (A^+)^T \bar x, \quad u = A^+ w, \quad h = \bar x - A^+ A \bar x,
    \quad y = (A^+)^T x

.. math:: \bar b = w, \qquad \bar A_{ij} = -w_i x_j + r_i u_j + y_i h_j \text{ on the pattern}

(Golub and Pereyra), true where the rank stays what it is. A tall matrix of full rank has h = 0, a wide one r = 0. All
terms are differentiable functions themselves, so derivatives of every order follow.

Reference: G. H. Golub and V. Pereyra, The differentiation of pseudo-inverses and nonlinear least squares problems whose
variables separate, SIAM J. Numer. Anal. 10 (1973).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from stridiag.structure import Structure
from stridiag.torch import kernels
from stridiag.torch.batches import (
    aligned_for_vmap,
    common_type,
    require_structure,
    require_width,
    summed_to,
)
from stridiag.torch.functional.products import apply_dots, apply_matvec
from stridiag.torch.places import diagonal_start, slot_count, slots_within, stacked
from stridiag.torch.rules import Rule, register
from stridiag.torch.spec import Named, named
from torch import Tensor

__all__ = ["LstsqResult", "lstsq", "pinv_apply"]


class LstsqResult(NamedTuple):
    """Least-squares solutions, and the squared 2-norms of what they leave of each right-hand side."""

    solution: Tensor
    residuals: Tensor


class _Pinv(Rule):
    """The pseudoinverse's product."""

    @staticmethod
    def forward(values: Tensor, b: Tensor, structure: Named, transposed: bool, rtol: float | None) -> Tensor:
        return kernels.pinv_apply(structure, values, b, transposed, rtol)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        values, b, ctx.structure, ctx.transposed, ctx.rtol = inputs
        ctx.save_for_backward(values, b, output)
        ctx.save_for_forward(values, b, output)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        values, b, x = ctx.saved_tensors
        structure, turned, grad = ctx.structure, ctx.transposed, grads[0]
        w = _apply_pinv(structure, values, grad, not turned, ctx.rtol)
        of_values = None
        if ctx.needs_input_grad[0]:
            r = b - apply_matvec(structure, values, x, None, turned)
            u = _apply_pinv(structure, values, w, turned, ctx.rtol)
            whole = apply_matvec(structure, values, grad, None, turned)
            h = grad - _apply_pinv(structure, values, whole, turned, ctx.rtol)
            y = _apply_pinv(structure, values, x, not turned, ctx.rtol)
            for sign, row, column in ((-1, w, x), (1, r, u), (1, y, h)):
                left, right = (column, row) if turned else (row, column)
                term = sign * apply_dots(structure, left, right, values.shape[:-1])
                of_values = term if of_values is None else of_values + term
        return of_values, summed_to(w, b.shape), None, None, None

    @staticmethod
    def vmap(
        info: Any, dims: Any, values: Tensor, b: Tensor, structure: Named, transposed: bool, rtol: float | None
    ) -> tuple[Tensor, int]:
        values, b = aligned_for_vmap(info.batch_size, dims[:2], (values, b))
        return _apply_pinv(structure, values, b, transposed, rtol), 0

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        values, b, x = ctx.saved_tensors
        structure, turned = ctx.structure, ctx.transposed
        of_values, of_b = tangents[:2]
        right = torch.zeros_like(b) if of_b is None else of_b
        if of_values is None:
            return _apply_pinv(structure, values, right, turned, ctx.rtol)
        right = right - apply_matvec(structure, of_values, x, None, turned)
        r = b - apply_matvec(structure, values, x, None, turned)
        # A^+ (db - dA x) + A^+ (A^+)' dA' r + (I - A^+ A) dA' (A^+)' x.
        first = apply_matvec(structure, of_values, r, None, not turned)
        right = right + _apply_pinv(structure, values, first, not turned, ctx.rtol)
        y = _apply_pinv(structure, values, x, not turned, ctx.rtol)
        second = apply_matvec(structure, of_values, y, None, not turned)
        right = right - apply_matvec(structure, values, second, None, turned)
        return _apply_pinv(structure, values, right, turned, ctx.rtol) + second


register(kernels.pinv_operator, _Pinv)


def _apply_pinv(structure: Named, values: Tensor, b: Tensor, transposed: bool, rtol: float | None) -> Tensor:
    run: Any = kernels.pinv_operator if isinstance(structure, str) else _Pinv.apply
    found: Tensor = run(values, b, structure, transposed, rtol)
    return found


def pinv_apply(
    structure: Structure, values: Tensor, b: Tensor, *, transposed: bool = False, rtol: float | None = None
) -> Tensor:
    r"""Minimum-norm least-squares solution :math:`A^+ b`, or :math:`(A^T)^+ b`, for vectors along the last axis.

    Parameters
    ----------
    structure : Structure, (m, n)
    values : Tensor, (..., nnz)
    b : Tensor, (..., m) or, if `transposed`, (..., n)
        Batch axes broadcast against those of `values`.
    transposed : bool, default False
    rtol : float, optional
        Singular values up to ``rtol`` times the largest count as zero; max(m, n) eps unless given.

    Returns
    -------
    Tensor, (..., n) or, if `transposed`, (..., m)
        float32 at least; NaN for members that are not finite.

    Raises
    ------
    SizeLimitError, ConvergenceError
        As `stridiag.linalg.pinv`, by which each member is treated, on the host wherever the tensors are.

    Warns
    -----
    AmbiguousRankWarning
        As `stridiag.linalg.pinv`. Gradients hold where the rank does not change.

    Examples
    --------
    >>> import torch
    >>> from stridiag import Structure
    >>> from stridiag.torch.functional import pinv_apply
    >>> pinv_apply(Structure(3), torch.tensor([2.0, 4.0, 0.0]), torch.ones(3)).tolist()
    [0.5, 0.25, 0.0]
    """
    require_structure(structure)
    require_width(values, structure.nnz, "values")
    require_width(b, structure.shape[1 if transposed else 0], "b")
    _, kind = common_type(values, b)
    return _apply_pinv(named(structure), values.to(kind), b.to(kind), transposed, rtol)


def lstsq(
    structure: Structure, values: Tensor, b: Tensor, *, damp: float | Tensor = 0.0, rtol: float | None = None
) -> LstsqResult:
    r"""Least squares: minimise :math:`\|b - A x\|^2 + \text{damp}^2 \|x\|^2`; of minimum norm without `damp`.

    Parameters
    ----------
    structure : Structure, (m, n)
    values : Tensor, (..., nnz)
    b : Tensor, (..., m)
    damp : float or Tensor of no axes, default 0
        Its square is the ridge penalty; a tensor is differentiated too. A positive one should be above (m + n) eps
        times the largest singular value, or directions of the null space are cut off as without it.
    rtol : float, optional
        As in `pinv_apply`; not together with `damp`, which leaves nothing to truncate.

    Returns
    -------
    LstsqResult
        ``solution``, (..., n); ``residuals``, (...), the squared norms :math:`\|b - A x\|^2`, without the penalty.

    Raises
    ------
    ValueError
        If `damp` is negative or not finite, or comes with `rtol`.
    SizeLimitError, ConvergenceError
        As `pinv_apply`.

    Examples
    --------
    >>> import torch
    >>> from stridiag import Structure
    >>> from stridiag.torch.functional import lstsq
    >>> S = Structure((3, 2), offsets=(-1, 0))
    >>> x, residuals = lstsq(S, torch.ones(4, dtype=torch.float64), torch.tensor([2.0, 3.0, 4.0]))
    >>> [round(v, 9) for v in x.tolist()], round(residuals.item(), 9)
    ([1.0, 3.0], 3.0)
    """
    require_structure(structure)
    require_width(values, structure.nnz, "values")
    require_width(b, structure.shape[0], "b")
    if isinstance(damp, Tensor):
        if damp.dim():
            raise ValueError(f"damp must be a number or a tensor of no axes, got shape {tuple(damp.shape)}")
        damped = True
    else:
        if not 0.0 <= damp < math.inf:
            raise ValueError(f"damp must be 0 or more and finite, got {damp}")
        damped = damp > 0.0
    if damped and rtol is not None:
        raise ValueError("damp leaves no singular value to truncate: give damp or rtol, not both")
    _, kind = common_type(values, b)
    entries, right = values.to(kind), b.to(kind)
    name = named(structure)
    if damped:
        tall = stacked(name)
        m, n = structure.shape
        penalty = damp.to(kind) if isinstance(damp, Tensor) else entries.new_full((), damp)
        slots = slots_within(name, tall, values.device)
        below = entries.new_zeros((*entries.shape[:-1], slot_count(tall))).index_add(-1, slots, entries)
        start = diagonal_start(tall, -m)
        penalties = penalty.expand(*entries.shape[:-1], n)
        joined = torch.nn.functional.pad(penalties, (start, slot_count(tall) - start - n)) + below
        x = _apply_pinv(tall, joined, torch.nn.functional.pad(right, (0, n)), False, None)
    else:
        x = _apply_pinv(name, entries, right, False, rtol)
    rest = right - apply_matvec(name, entries, x, None, False)
    return LstsqResult(x, (rest * rest).sum(-1))
