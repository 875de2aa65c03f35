"""`StridiagLinear`: a linear layer whose weight is a structured matrix, in the place of ``torch.nn.Linear``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

import torch
from stridiag.nn import wrapped_structure
from stridiag.structure import StridiagMatrix, Structure
from stridiag.torch.functional import linear
from stridiag.torch.spec import text_of
from torch import Tensor, nn

__all__ = ["StridiagLinear"]


class StridiagLinear(nn.Module):
    r"""Applies :math:`y = x A^T + b` with a structured A, (out_features, in_features).

    Takes the place of ``torch.nn.Linear``: the same first two arguments, the same shapes in and out. Diagonals wrap
    around, so that every input and every output of any shape is connected; see `stridiag.nn.wrapped_structure`.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last axis of input and output.
    offsets : iterable of int, default (0, 1, -1)
        Wrapped diagonals: column minus row, modulo the smaller size.
    links : tuple of array_like, optional
        ``(rows, columns)`` of further entries: output and input units.
    bias : bool, default True
        Whether a bias is added.
    device, dtype
        Of the parameters.

    Attributes
    ----------
    weight : Parameter, (nnz,)
        Entries in the order of the structure's slots: diagonals by ascending offset, by row within each, then links
        by (row, column).
    bias : Parameter, (out_features,), or None
    structure : Structure
        Where the entries are.

    Notes
    -----
    Forward and backward cost 2 nnz flops a sample each for the output, the input's gradient and the weight's, on
    compiled kernels where tensors are on the CPU. Nothing of the size of a dense weight is ever formed. The state
    dict holds `weight`, `bias` and `layout`, the structure as text in a tensor of bytes: loading into a layer of
    another structure is an error.

    A linear layer under autocast casts down; this one does not, it promotes: see `stridiag.torch.functional`.

    Examples
    --------
    >>> import torch
    >>> from stridiag.torch import StridiagLinear
    >>> layer = StridiagLinear(784, 256, offsets=(0, 1, -1))
    >>> layer(torch.zeros(32, 784)).shape, layer.weight.numel()
    (torch.Size([32, 256]), 2352)
    """

    in_features: int
    out_features: int
    structure: Structure
    layout: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        offsets: Iterable[int] = (0, 1, -1),
        links: tuple[ArrayLike, ArrayLike] | None = None,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._build(wrapped_structure((out_features, in_features), offsets, links), bias, device, dtype)

    def _build(self, structure: Structure, bias: bool, device: Any, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.out_features, self.in_features = structure.shape
        self.structure = structure
        text = np.frombuffer(text_of(structure).encode("ascii"), np.uint8).copy()
        self.register_buffer("layout", torch.as_tensor(text, device=device))
        self.weight = nn.Parameter(torch.empty(structure.nnz, device=device, dtype=dtype))
        if bias:
            self.bias = nn.Parameter(torch.empty(self.out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    @classmethod
    def from_structure(
        cls, structure: Structure, *, bias: bool = True, device: Any = None, dtype: torch.dtype | None = None
    ) -> Self:
        """Return a layer of any structure, (out_features, in_features), its diagonals taken as they are."""
        layer = cls.__new__(cls)
        layer._build(structure, bias, device, dtype)
        return layer

    @classmethod
    def from_matrix(cls, matrix: StridiagMatrix, bias: ArrayLike | None = None, *, device: Any = None) -> Self:
        """Return a layer with the entries of a real matrix, (out_features, in_features), and its dtype.

        Raises
        ------
        ValueError
            If the matrix is a batch or complex, or the bias does not fit.
        """
        if matrix.batch_shape or matrix.dtype.kind == "c":
            raise ValueError(f"a layer needs one real matrix, got {matrix}")
        values = torch.from_numpy(matrix.values.copy())
        layer = cls.from_structure(matrix.structure, bias=bias is not None, device=device, dtype=values.dtype)
        with torch.no_grad():
            layer.weight.copy_(values)
            if bias is not None:
                given = torch.as_tensor(np.asarray(bias))
                if given.shape != layer.bias.shape:
                    raise ValueError(f"bias must have shape ({layer.out_features},), got {tuple(given.shape)}")
                layer.bias.copy_(given)
        return layer

    def to_matrix(self) -> StridiagMatrix:
        """Return the weight as a `StridiagMatrix`: a copy, in float32 at least."""
        weight = self.weight.detach().cpu()
        if weight.dtype in (torch.float16, torch.bfloat16):
            weight = weight.float()
        return StridiagMatrix(self.structure, weight.numpy())

    def reset_parameters(self) -> None:
        r"""Draw as ``torch.nn.Linear`` does, with the number of entries of each row in the place of its inputs.

        Entries and bias of a row with f entries are uniform in :math:`\pm 1 / \sqrt f`.
        """
        rows, _ = self.structure.coordinates()
        fan_in = np.maximum(np.bincount(rows, minlength=self.out_features), 1)
        limits = torch.from_numpy(1.0 / np.sqrt(fan_in)).to(self.weight)
        with torch.no_grad():
            self.weight.uniform_(-1.0, 1.0).mul_(limits[torch.from_numpy(rows).to(self.weight.device)])
            if self.bias is not None:
                self.bias.uniform_(-1.0, 1.0).mul_(limits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, (..., out_features), for inputs (..., in_features)."""
        return linear(self.structure, self.weight, x, self.bias)

    def extra_repr(self) -> str:
        """Return what stands between the parentheses of the layer's repr."""
        density = self.structure.nnz / max(1, math.prod(self.structure.shape))
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"diagonals={len(self.structure.offsets)}, links={self.structure.link_count}, "
            f"density={density:.2g}, bias={self.bias is not None}"
        )

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *further: Any) -> None:
        given = state_dict.get(f"{prefix}layout")
        if given is not None and not torch.equal(given.cpu(), self.layout.cpu()):
            raise ValueError(
                f"{prefix or 'the layer '}layout: the stored parameters belong to another structure than this layer's, "
                f"{self.structure}"
            )
        super()._load_from_state_dict(state_dict, prefix, *further)
