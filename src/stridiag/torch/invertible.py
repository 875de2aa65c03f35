"""`StridiagInvertible`: a square linear layer with exact inverse and determinant, well conditioned by construction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

import torch
from stridiag._validate import check_option
from stridiag.structure import Structure
from stridiag.torch.batches import require_width
from stridiag.torch.functional import linear, slogdet, solve
from stridiag.torch.functional.invertible_map import LogAbsDet, Map, Part, fused, fusible
from torch import Tensor, nn

__all__ = ["Form", "StridiagInvertible"]

Form = Literal["product", "dominant"]


class _Part(nn.Module):
    """The identity plus entries off the diagonal, whose sums in each row and column stay below a bound."""

    slots: Tensor
    raw: Tensor

    def __init__(self, structure: Structure, bound: float, device: Any, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.structure = structure
        diagonal = structure.diagonal_slots(0)
        off = np.delete(np.arange(structure.nnz), np.arange(diagonal.start, diagonal.stop))
        rows, columns = (lines[off] for lines in structure.coordinates())
        most = max(1, *(int(np.bincount(lines, minlength=1).max()) for lines in (rows, columns)))
        self.limit = bound / most
        self.diagonal = (diagonal.start, diagonal.stop)
        # For the way on the host.
        self.fixed = Part(structure, off, self.limit)
        self.register_buffer("slots", torch.as_tensor(off, device=device), persistent=False)
        self.raw = nn.Parameter(torch.zeros(off.size, device=device, dtype=dtype))

    def values(self, raw: Tensor) -> Tensor:
        """Return all slots' values: ones on the diagonal."""
        start, stop = self.diagonal
        base = torch.ones(stop - start, dtype=raw.dtype, device=raw.device)
        base = nn.functional.pad(base, (start, self.structure.nnz - stop))
        return base.index_add(0, self.slots, self.limit * torch.tanh(raw))


class StridiagInvertible(nn.Module):
    r"""Applies :math:`y = A x + b` with an A that is invertible whatever its parameters.

    Two forms, both with entries bounded by tanh. A *part* is the identity plus strictly off-diagonal entries of
    magnitude below :math:`\rho / k`, where k is the largest number of them in a row or column, so that it differs from
    the identity by less than :math:`\rho` in every operator p-norm; D is a diagonal of entries within
    :math:`[e^{-s}, e^s]`.

    * ``"product"``: :math:`A = L D U` with a unit lower and a unit upper part. Inverse by substitution,
      :math:`\log |\det A| = \sum \log d_i`, and for p = 1, 2, :math:`\infty`

      .. math:: \kappa_p(A) \le \left(\frac{1 + \rho}{1 - \rho}\right)^2 e^{2 s}.

    * ``"dominant"``: :math:`A = D (I + N)` is itself a structured matrix, diagonals on both sides and links
      anywhere. Inverse by `functional.solve`, determinant by `functional.slogdet`, and

      .. math:: \kappa_p(A) \le \frac{1 + \rho}{1 - \rho}\, e^{2 s}.

    Parameters
    ----------
    features : int
        Order n of the matrix.
    offsets : iterable of int, default (-1, 0, 1)
        Diagonals, column minus row, not wrapped; the main diagonal is always there.
    links : tuple of array_like, optional
        ``(rows, columns)`` of further entries.
    form : {"product", "dominant"}, default "product"
    rho : float, default 0.7
        Bound of the off-diagonal parts, between 0 and 1.
    log_scale : float, default 2
        The bound s of the logarithms on the diagonal, 0 or more.
    bias : bool, default True
    device, dtype
        Of the parameters.

    Attributes
    ----------
    condition_bound : float
        The bound above.

    Raises
    ------
    ValueError
        If `rho`, `log_scale` or `form` is not as said.

    Notes
    -----
    Forward, inverse and log-determinant cost O(nnz) a sample, for "product" always, for "dominant" where
    `stridiag.plan` says so. The layer starts near the identity.

    Examples
    --------
    >>> import torch
    >>> from stridiag.torch import StridiagInvertible
    >>> layer = StridiagInvertible(1000, offsets=(-3, 0, 1), dtype=torch.float64)
    >>> x = torch.randn(8, 1000, dtype=torch.float64)
    >>> bool(torch.allclose(layer.inverse(layer(x)), x))
    True
    >>> layer.log_abs_det().shape
    torch.Size([])
    """

    def __init__(
        self,
        features: int,
        offsets: Iterable[int] = (-1, 0, 1),
        links: tuple[ArrayLike, ArrayLike] | None = None,
        *,
        form: Form = "product",
        rho: float = 0.7,
        log_scale: float = 2.0,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_option(form, "form", ("product", "dominant"))
        if not 0.0 < rho < 1.0:
            raise ValueError(f"rho must lie between 0 and 1, got {rho}")
        if not 0.0 <= log_scale < math.inf:
            raise ValueError(f"log_scale must be 0 or more and finite, got {log_scale}")
        self.features, self.form, self.rho, self.log_scale = features, form, rho, log_scale
        structure = Structure(features, {0, *offsets}, links)
        self.structure = structure
        pieces = [structure] if form == "dominant" else [_triangle(structure, side) for side in (-1, 1)]
        self.parts = nn.ModuleList(_Part(piece, rho, device, dtype) for piece in pieces)
        self.raw_scale = nn.Parameter(torch.zeros(features, device=device, dtype=dtype))
        if bias:
            self.bias = nn.Parameter(torch.zeros(features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    @property
    def condition_bound(self) -> float:
        """An upper bound of the condition number, in the p-norms with p = 1, 2 and infinity."""
        ratio = (1.0 + self.rho) / (1.0 - self.rho)
        return ratio ** (2 if self.form == "product" else 1) * math.exp(2.0 * self.log_scale)

    def reset_parameters(self) -> None:
        """Draw small off-diagonal entries, and set scales to one and the bias to zero."""
        with torch.no_grad():
            for part in self.parts:
                part.get_parameter("raw").uniform_(-0.1, 0.1)
            self.raw_scale.zero_()
            if self.bias is not None:
                self.bias.zero_()

    def log_diagonal(self) -> Tensor:
        """Return the logarithms of the diagonal D, (n,)."""
        return self._logarithms(self.raw_scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``A x + b`` for vectors along the last axis, (..., n)."""
        return self._map(x, inverse=False)

    def inverse(self, y: Tensor) -> Tensor:
        """Return the x with ``A x + b = y``, exactly but for rounding, (..., n)."""
        return self._map(y, inverse=True)

    def log_abs_det(self) -> Tensor:
        """Return the logarithm of the magnitude of A's determinant: a number, the same for every x."""
        last: Any = self.parts[-1]
        tensors = (self.raw_scale,) if last.fixed.triangle else (self.raw_scale, last.raw)
        if not fusible(*tensors):
            return self._composed_log_abs_det(*tensors)
        return fused(LogAbsDet(last.fixed, self.log_scale), self._composed_log_abs_det, *tensors)

    def _map(self, x: Tensor, *, inverse: bool) -> Tensor:
        parts: Any = self.parts
        raws = [part.raw for part in parts]
        parameters = [*raws, self.raw_scale] if self.bias is None else [*raws, self.raw_scale, self.bias]
        composed = self._composed_inverse if inverse else self._composed_forward
        require_width(x, self.features, "y" if inverse else "x")
        if not fusible(x, *parameters):
            return composed(x, *parameters)
        return fused(Map([part.fixed for part in parts], self.log_scale, inverse), composed, x, *parameters)

    def _composed_log_abs_det(self, raw_scale: Tensor, raw: Tensor | None = None) -> Tensor:
        found = self._logarithms(raw_scale).sum()
        if raw is not None:
            last: Any = self.parts[-1]
            found = found + slogdet(last.structure, last.values(raw)).logabsdet
        return found

    def _composed_forward(self, x: Tensor, *parameters: Tensor) -> Tensor:
        parts, scale, bias = self._operands(parameters, 1.0)
        *further, first = parts
        x = linear(*first, x)
        x = scale * x
        for part in further:
            x = linear(*part, x)
        return x if bias is None else x + bias

    def _composed_inverse(self, y: Tensor, *parameters: Tensor) -> Tensor:
        parts, scale, bias = self._operands(parameters, -1.0)
        *further, last = parts
        x = y if bias is None else y - bias
        for part in further:
            x = solve(*part, x)
        return solve(*last, scale * x)

    def _operands(
        self, parameters: Sequence[Tensor], sign: float
    ) -> tuple[list[tuple[Structure, Tensor]], Tensor, Tensor | None]:
        """Return the parts, D or its inverse, and the bias."""
        parts: Any = self.parts
        count = len(parts)
        entries = [(part.structure, part.values(raw)) for part, raw in zip(parts, parameters, strict=False)]
        bias = parameters[count + 1] if len(parameters) > count + 1 else None
        return entries, torch.exp(sign * self._logarithms(parameters[count])), bias

    def _logarithms(self, raw_scale: Tensor) -> Tensor:
        if self.log_scale == 0.0:
            return 0.0 * raw_scale
        return self.log_scale * torch.tanh(raw_scale / self.log_scale)

    def extra_repr(self) -> str:
        """Return what stands between the parentheses of the layer's repr."""
        return (
            f"{self.features}, offsets={self.structure.offsets}, links={self.structure.link_count}, "
            f"form={self.form!r}, condition_bound={self.condition_bound:.3g}"
        )


def _triangle(structure: Structure, side: int) -> Structure:
    """Return the part of a structure on one side of the main diagonal, that diagonal included."""
    rows, columns = structure.link_rows, structure.link_columns
    here = (columns - rows) * side > 0
    offsets = [o for o in structure.offsets if o * side >= 0]
    return Structure(structure.shape, offsets, (rows[here], columns[here]))
