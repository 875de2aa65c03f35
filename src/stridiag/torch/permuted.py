"""Structured layers that read and write in orders of their own, and the neighbours that can take these over.

A pruned layer's diagonals lie in an order of units and inputs in which they carry most. Between two linear layers of
an ``nn.Sequential`` with functions of single entries between them, order is nobody's business but theirs: the first
puts its units out as they come, and the second reads them so.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import torch
from stridiag.structure import StridiagMatrix
from stridiag.torch.linear import StridiagLinear
from torch import Tensor, nn

__all__ = ["PermutedLinear", "fold_permutations", "structured"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Functions of single entries: what they do to a unit does not depend on where it stands.
_ENTRYWISE = (
    nn.ReLU, nn.ReLU6, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Mish, nn.ELU, nn.SELU, nn.CELU, nn.LeakyReLU,
    nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Hardshrink, nn.Softshrink, nn.Tanhshrink, nn.Softplus, nn.Softsign,
    nn.LogSigmoid, nn.Threshold, nn.Identity, nn.Dropout, nn.AlphaDropout,
)  # fmt: skip


class PermutedLinear(StridiagLinear):
    r"""A `StridiagLinear` whose columns and rows stand in orders of their own.

    .. math:: y_{i} = \sum_k A_{\text{place}(i), k}\, x_{\text{source}(k)} + b_{\text{place}(i)}

    Made by `structured`; what `prune` puts where orders could not be folded into neighbours.

    Attributes
    ----------
    source : Tensor of int32, (in_features,), or None
        Which input each column reads. None: column k reads input k.
    place : Tensor of int32, (out_features,), or None
        Which row gives each output.
    """

    source: Tensor | None
    place: Tensor | None

    def set_orders(self, source: Index | None, place: Index | None) -> Self:
        """Set both orders; those that change nothing become None."""
        for name, order in (("source", source), ("place", place)):
            kept = None
            if order is not None and not np.array_equal(order, np.arange(order.size)):
                kept = torch.as_tensor(order, dtype=torch.int32, device=self.weight.device)
            self.register_buffer(name, kept)
        return self

    def order(self, name: str) -> Index:
        """Return one of the orders as indices, also where it is none."""
        found: Tensor | None = getattr(self, name)
        if found is not None:
            return found.cpu().numpy().astype(np.int64)
        return np.arange(self.in_features if name == "source" else self.out_features)

    def plain(self) -> StridiagLinear:
        """Return the same parameters without orders, of which there must be none left."""
        layer = StridiagLinear.from_structure(self.structure, device="meta")
        layer.weight, layer.bias, layer.layout = self.weight, self.bias, self.layout
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, (..., out_features), for inputs (..., in_features)."""
        y = super().forward(x if self.source is None else x.index_select(-1, self.source))
        return y if self.place is None else y.index_select(-1, self.place)

    def extra_repr(self) -> str:
        """Return what stands between the parentheses of the layer's repr."""
        kept = [name for name in ("source", "place") if getattr(self, name) is not None]
        return super().extra_repr() + (f", orders={'+'.join(kept)}" if kept else "")


def structured(matrix: StridiagMatrix, bias: Array, inputs: Index, outputs: Index, like: Tensor) -> PermutedLinear:
    """Return the layer ``y[outputs] = A x[inputs] + b`` with the device and dtype of a tensor.

    Parameters
    ----------
    matrix : StridiagMatrix, (m, n)
    bias : ndarray, (m,)
    inputs, outputs : ndarray of int64, (n,) and (m,)
        Permutations.
    like : Tensor
        Whose device and dtype the parameters take, and whether they ask for gradients.
    """
    layer = PermutedLinear.from_structure(matrix.structure, device=like.device, dtype=like.dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(matrix.values.copy()))
        layer.bias.copy_(torch.from_numpy(bias))
    layer.requires_grad_(like.requires_grad)
    return layer.set_orders(inputs, np.argsort(outputs))


def fold_permutations(model: nn.Module, once: set[nn.Module]) -> int:
    """Fold orders of units into the neighbours that read or make them, in place; return how many disappeared.

    Parameters
    ----------
    model : Module
        Its `nn.Sequential` containers are looked through.
    once : set of Module
        Linear layers that a pass calls once, and whose parameters are their own: no others are touched.
    """
    folded = 0
    for container in model.modules():
        if type(container) is not nn.Sequential:
            continue
        before: nn.Module | None = None
        for module in container:
            if isinstance(module, PermutedLinear) or type(module) is nn.Linear:
                after = module if module in once and not _watched(module) else None
                if before is not None and after is not None:
                    folded += _fold(before, after)
                before = after
            elif type(module) not in _ENTRYWISE or _watched(module):
                before = None
    return folded


def _watched(module: nn.Module) -> bool:
    """Whether somebody's hook looks at what goes in or comes out."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _fold(before: nn.Module, after: nn.Module) -> int:
    """Let one layer put its units out in the order in which the next one reads them."""
    kept = _count(before) + _count(after)
    if isinstance(before, PermutedLinear):
        # Outputs come as rows stand: unit i of old is now at place[i].
        place = before.order("place")
        before.set_orders(before.order("source"), None)
        if isinstance(after, PermutedLinear):
            after.set_orders(place[after.order("source")], after.order("place"))
        else:
            _reorder(after, "weight", torch.from_numpy(np.argsort(place)), 1)
    elif isinstance(after, PermutedLinear):
        source = torch.from_numpy(after.order("source"))
        _reorder(before, "weight", source, 0)
        if before.bias is not None:
            _reorder(before, "bias", source, 0)
        after.set_orders(None, after.order("place"))
    return kept - _count(before) - _count(after)


def _count(module: nn.Module) -> int:
    if not isinstance(module, PermutedLinear):
        return 0
    return (module.source is not None) + (module.place is not None)


def _reorder(module: nn.Module, name: str, order: Tensor, axis: int) -> None:
    parameter: Tensor = getattr(module, name)
    with torch.no_grad():
        parameter.copy_(parameter.index_select(axis, order.to(parameter.device)))
