r"""Determinants, and entries of the inverse on the pattern.

.. math:: \ell = \log |\det A|: \qquad \bar A_{ij} = \bar\ell\, (A^{-1})_{ji} \text{ on the pattern}

The selected inverse :math:`P_{ij} = (A^{-1})_{ji}` has itself the derivative

.. math:: \mathrm d P_{ij} = -(A^{-1}\, \mathrm d A\, A^{-1})_{ji} ,

a symmetric map (it is the Hessian of :math:`\ell`), so that the same formula serves forward and backward. Its entries
on the pattern are entries of another selected inverse,

.. math::
    \begin{pmatrix} A & C \\ 0 & A \end{pmatrix}^{-1} =
    \begin{pmatrix} A^{-1} & -A^{-1} C A^{-1} \\ 0 & A^{-1} \end{pmatrix} ,

whose matrix, rows and columns of the two copies interleaved, is a structured one of order 2 n. So derivatives of every
order cost O(n), and no formula beyond these two is needed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from stridiag.structure import Structure
from stridiag.torch import kernels
from stridiag.torch.batches import aligned_for_vmap, common_type, require_square, require_width
from stridiag.torch.places import (
    diagonal_start,
    doubled,
    doubled_room,
    doubled_slots,
    slot_count,
    slots_within,
    with_diagonal,
)
from stridiag.torch.rules import Rule, register, underivable
from stridiag.torch.spec import Named, named
from torch import Tensor

__all__ = ["SlogdetResult", "inverse_diagonal", "inverse_on_pattern", "slogdet"]


class SlogdetResult(NamedTuple):
    """Sign and logarithm of the magnitude of a determinant, as ``torch.linalg.slogdet`` names them."""

    sign: Tensor
    logabsdet: Tensor


class _Slogdet(Rule):
    """The determinant."""

    @staticmethod
    def forward(values: Tensor, structure: Named, kept: kernels.Kept | None) -> tuple[Tensor, Tensor]:
        return kernels.slogdet(structure, values, kept)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        values, ctx.structure, ctx.kept = inputs
        ctx.mark_non_differentiable(output[0])
        ctx.save_for_backward(values)
        ctx.save_for_forward(values)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        (values,) = ctx.saved_tensors
        return grads[1].unsqueeze(-1) * _apply_inverse(ctx.structure, values, ctx.kept), None, None

    @staticmethod
    def vmap(
        info: Any, dims: Any, values: Tensor, structure: Named, kept: kernels.Kept | None
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        (mapped,) = aligned_for_vmap(info.batch_size, dims[:1], (values,))
        return _apply_slogdet(structure, mapped, None), (0, 0)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[None, Tensor]:
        (values,) = ctx.saved_tensors
        return None, (_apply_inverse(ctx.structure, values, ctx.kept) * tangents[0]).sum(-1)


class _Inverse(Rule):
    """The selected inverse."""

    @staticmethod
    def forward(values: Tensor, structure: Named, kept: kernels.Kept | None) -> Tensor:
        return kernels.inverse_on_pattern(structure, values, kept)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        values, ctx.structure, _ = inputs
        ctx.save_for_backward(values)
        ctx.save_for_forward(values)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        (values,) = ctx.saved_tensors
        return _change_of_inverse(ctx.structure, values, grads[0]), None, None

    @staticmethod
    def vmap(info: Any, dims: Any, values: Tensor, structure: Named, kept: kernels.Kept | None) -> tuple[Tensor, int]:
        (mapped,) = aligned_for_vmap(info.batch_size, dims[:1], (values,))
        return _apply_inverse(structure, mapped, None), 0

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        (values,) = ctx.saved_tensors
        return _change_of_inverse(ctx.structure, values, tangents[0])


def _change_of_inverse(structure: Named, values: Tensor, direction: Tensor) -> Tensor:
    """Return the change of the selected inverse as A moves in a direction on its pattern; symmetric in it."""
    wide = doubled(structure)
    # The map is linear in the direction, which is given the size of the matrix: errors are relative to the larger one.
    sizes = [part.detach().abs().amax(-1, keepdim=True) for part in (direction, values)]
    ratio = sizes[0] / sizes[1]
    size = torch.where((ratio > 0) & torch.isfinite(ratio), ratio, torch.ones_like(ratio))
    scaled = direction / size
    both = torch.cat((values, values, scaled.expand_as(values)), -1)
    filled = both.new_zeros((*both.shape[:-1], slot_count(wide))).index_add(
        -1, doubled_slots(structure, values.device), both
    )
    return _apply_inverse(wide, filled, None).index_select(-1, doubled_room(structure, values.device)) * size


register(kernels.slogdet_operator, _Slogdet, further=1)
register(kernels.inverse_operator, _Inverse, further=1)


def _apply_slogdet(structure: Named, values: Tensor, kept: kernels.Kept | None) -> tuple[Tensor, Tensor]:
    if isinstance(structure, str):
        sign, logarithm = kernels.slogdet_operator(values, structure)
    elif underivable():
        sign, logarithm = kernels.slogdet(structure, values, kept)
    else:
        rule: Any = _Slogdet
        sign, logarithm = rule.apply(values, structure, kept)
    return sign, logarithm


def _apply_inverse(structure: Named, values: Tensor, kept: kernels.Kept | None) -> Tensor:
    if isinstance(structure, str):
        found: Tensor = kernels.inverse_operator(values, structure)
    elif underivable():
        found = kernels.inverse_on_pattern(structure, values, kept)
    else:
        rule: Any = _Inverse
        found = rule.apply(values, structure, kept)
    return found


def slogdet(structure: Structure, values: Tensor) -> SlogdetResult:
    r"""Sign and logarithm of the magnitude of the determinant.

    Parameters
    ----------
    structure : Structure, (n, n)
    values : Tensor, (..., nnz)

    Returns
    -------
    SlogdetResult
        ``sign, logabsdet``, of the batch shape of `values`, float32 at least. (0, -inf) for singular members, whose
        gradient is NaN; nothing raises.

    Notes
    -----
    The gradient is the selected inverse: O(n) for chains, bands and forests, by the factors of the forward pass.

    Examples
    --------
    >>> import torch
    >>> from stridiag import Structure
    >>> from stridiag.torch.functional import slogdet
    >>> values = torch.tensor([2.0, 4.0, 5.0], dtype=torch.float64, requires_grad=True)
    >>> sign, logabsdet = slogdet(Structure(2, offsets=(0, 1)), values)      # upper triangular
    >>> round(logabsdet.exp().item(), 9)
    8.0
    >>> logabsdet.backward()
    >>> values.grad.tolist()
    [0.5, 0.25, 0.0]
    """
    require_square(structure, "slogdet")
    require_width(values, structure.nnz, "values")
    return SlogdetResult(*_apply_slogdet(named(structure), values.to(common_type(values)[1]), kernels.Kept()))


def inverse_on_pattern(structure: Structure, values: Tensor) -> Tensor:
    r"""Return :math:`(A^{-1})_{ji}` at every slot (i, j): the gradient of :math:`\log |\det A|`, itself differentiable.

    Parameters
    ----------
    structure : Structure, (n, n)
    values : Tensor, (..., nnz)

    Returns
    -------
    Tensor, (..., nnz)
        float32 at least; NaN for singular members.
    """
    require_square(structure, "inverse_on_pattern")
    require_width(values, structure.nnz, "values")
    return _apply_inverse(named(structure), values.to(common_type(values)[1]), kernels.Kept())


def inverse_diagonal(structure: Structure, values: Tensor) -> Tensor:
    r"""Return the diagonal of the inverse, differentiably.

    Parameters
    ----------
    structure : Structure, (n, n)
    values : Tensor, (..., nnz)

    Returns
    -------
    Tensor, (..., n)
        float32 at least; NaN for singular members.

    Notes
    -----
    O(n) for chains, bands and forests, forward, backward and backward twice; see `stridiag.torch.functional`.

    Examples
    --------
    >>> import torch
    >>> from stridiag import Structure
    >>> from stridiag.torch.functional import inverse_diagonal
    >>> values = torch.tensor([-1.0, -1.0, 2.0, 2.0, 2.0, -1.0, -1.0], dtype=torch.float64)
    >>> [round(z, 9) for z in inverse_diagonal(Structure(3, offsets=(-1, 0, 1)), values).tolist()]
    [0.75, 1.0, 0.75]
    """
    require_square(structure, "inverse_diagonal")
    require_width(values, structure.nnz, "values")
    given = values.to(common_type(values)[1])
    name, n = named(structure), structure.shape[0]
    if 0 not in structure.offsets:
        wider = with_diagonal(name)
        slots = slots_within(name, wider, values.device)
        given = given.new_zeros((*given.shape[:-1], slot_count(wider))).index_add(-1, slots, given)
        name = wider
    return _apply_inverse(name, given, kernels.Kept()).narrow(-1, diagonal_start(name, 0), n)
