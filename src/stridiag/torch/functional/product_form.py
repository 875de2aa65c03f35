r"""The map :math:`y = L D U x + b` of `StridiagInvertible` and its inverse, as one differentiable function each.

.. math::
    M = D U,\quad z = M x,\quad y = L z + b: \qquad
    \bar z = L^T \bar y,\quad \bar x = M^T \bar z,\quad \bar L = \bar y z^T,\quad \bar M = \bar z x^T

.. math::
    w = L^{-1} (y - b),\quad x = M^{-1} w: \qquad
    \bar w = M^{-T} \bar x,\quad \bar y = L^{-T} \bar w,\quad \bar L = -\bar y w^T,\quad \bar M = -\bar w x^T

with outer products on the pattern, and then :math:`\bar U = D \bar M` and
:math:`\overline{\log d_i} = \sum_j \bar M_{ij} M_{ij}`. A step is two passes over the samples forward and four
backward, and everything between is of the size of the parameters. Made of a dozen functions that torch differentiates
one by one, the same step takes most of its time on the way between them. That composition still defines the function:
it serves derivatives of higher order, transforms, other devices and mixed types.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import torch
from stridiag._kernels import layer_products, triangle_rows
from stridiag._kernels.threads import run_ranges
from stridiag.structure import Structure
from stridiag.torch.paths import on_host
from stridiag.torch.places import product_arrays
from stridiag.torch.rules import transformed, underivable
from torch import Tensor

__all__ = ["Part", "fused", "fusible"]

Array = NDArray[Any]

# Products of a number with a number that are worth a thread: some 30 microseconds.
_GRAIN = 1 << 16


@dataclass(frozen=True, eq=False)
class Part:
    """One triangle: the identity plus ``limit * tanh(raw)`` at the slots off its diagonal."""

    structure: Structure
    slots: NDArray[np.int64]
    limit: float
    upper: bool
    rows: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", self.structure.coordinates()[0])

    def values(self, raw: Array) -> tuple[Array, Array]:
        """Return all slots' values, and the hyperbolic tangents."""
        tangent = np.tanh(raw)
        values = np.ones(self.structure.nnz, raw.dtype)
        values[self.slots] = raw.dtype.type(self.limit) * tangent
        return values, tangent

    def raw_gradient(self, grad: Array, tangent: Array) -> Array:
        """Return the gradient of the parameters, given that of the values."""
        slope: Array = 1 - tangent * tangent
        slope *= _in_type_of(slope, self.limit)
        slope *= grad[self.slots]
        return slope

    def product(self, values: Array, x: Array, bias: Array, *, transposed: bool = False) -> Array:
        """Return the products with rows of `x`, (samples, n), plus a bias that may be empty."""
        where, taken = self._where(values, transposed)
        y: Array = torch.empty(x.shape, dtype=torch.from_numpy(x[:0]).dtype).numpy()
        run_ranges(
            lambda first, last: layer_products.layer_rows(taken, *where, x, bias, y, first, last),
            x.shape[1],
            grain=layer_products.rows_worth_a_thread(_GRAIN, x.shape[0] * len(self.structure.offsets)),
        )
        return y

    def solution(self, values: Array, b: Array, shift: Array, *, transposed: bool = False) -> Array:
        """Return the solutions for rows of ``b - shift``, (samples, n); the shift may be empty."""
        where, taken = self._where(values, transposed)
        upper = self.upper != transposed
        samples, n = b.shape
        width = triangle_rows.tile_width(b.itemsize)
        x = np.empty_like(b)

        def piece(first: int, last: int) -> None:
            tile = np.empty((n, width), b.dtype)
            places = np.empty(width, np.int64)
            triangle_rows.solve_rows(taken, *where, upper, b, shift, x, tile, places, first, last)

        run_ranges(piece, samples, grain=width * -(-_GRAIN // max(1, self.structure.nnz * width)))
        return x

    def dots(self, g: Array, x: Array) -> Array:
        """Return the sums over samples of ``g[s, i] x[s, j]`` at every slot."""
        where, _ = product_arrays(self.structure, transposed=False)
        out = np.empty(self.structure.nnz, g.dtype)
        layer_products.pattern_dots(*where, x, g, out)
        return out

    def _where(self, values: Array, transposed: bool) -> tuple[tuple[Array, Array, Array, Array], Array]:
        where, source = product_arrays(self.structure, transposed=transposed)
        return where, values if source is None else values[source]


def _in_type_of(like: Array, number: float) -> Any:
    """Return a number in the type of an array."""
    return like.dtype.type(number)


class _Entries:
    """What a step makes of the parameters: L, M = D U, and what their gradients are made of."""

    __slots__ = ("diagonal", "lower", "scale_tangent", "tangents", "upper")

    def __init__(self, parts: Sequence[Part], raws: Sequence[Array], log_scale: float) -> None:
        lower, upper = parts
        self.lower, lower_tangent = lower.values(raws[0])
        self.upper, upper_tangent = upper.values(raws[1])
        self.tangents = (lower_tangent, upper_tangent)
        bound = _in_type_of(raws[2], log_scale)
        self.scale_tangent = np.tanh(raws[2] / bound) if log_scale else np.ones_like(raws[2])
        self.diagonal = np.exp(bound * self.scale_tangent)
        self.upper *= self.diagonal.take(upper.rows)

    def gradients(self, parts: Sequence[Part], of_lower: Array, of_upper: Array) -> tuple[Array, Array, Array]:
        """Return the gradients of the three parameters, given those of L and M."""
        lower, upper = parts
        of_scale = np.zeros_like(self.diagonal)
        triangle_rows.add_products_to_rows(upper.rows, of_upper, self.upper, of_scale)
        of_scale *= 1 - self.scale_tangent * self.scale_tangent
        of_upper *= self.diagonal.take(upper.rows)
        tangents = self.tangents
        return lower.raw_gradient(of_lower, tangents[0]), upper.raw_gradient(of_upper, tangents[1]), of_scale


def _run(parts: Sequence[Part], entries: _Entries, x: Array, bias: Array, inverse: bool) -> tuple[Array, Array]:
    """Return what comes out, and what lies between the two triangles."""
    lower, upper = parts
    if inverse:
        between = lower.solution(entries.lower, x, bias)
        return upper.solution(entries.upper, between, bias[:0]), between
    between = upper.product(entries.upper, x, bias[:0])
    return lower.product(entries.lower, between, bias), between


def _rows(x: Tensor) -> Array:
    """Return vectors along the last axis as the rows of a contiguous array."""
    array: Array = x.detach().numpy()
    return np.ascontiguousarray(array).reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _arrays(tensors: Sequence[Tensor]) -> list[Array]:
    return [np.ascontiguousarray(tensor.detach().numpy()) for tensor in tensors]


class _Step(torch.autograd.Function):
    """Forward or inverse; the last inputs are the raw entries of L, of U, of D, and the bias, if there is one."""

    @staticmethod
    def forward(
        ctx: Any,
        parts: Sequence[Part],
        log_scale: float,
        inverse: bool,
        composed: Callable[..., Tensor],
        x: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        raws = _arrays(parameters)
        bias = raws[3] if len(raws) > 3 else raws[2][:0]
        rows = _rows(x)
        entries = _Entries(parts, raws, log_scale)
        found, between = _run(parts, entries, rows, bias, inverse)
        y = torch.from_numpy(found).reshape(x.shape)
        ctx.parts, ctx.inverse, ctx.composed, ctx.entries = parts, inverse, composed, entries
        ctx.save_for_backward(torch.from_numpy(between), *((y,) if inverse else ()), x, *parameters)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        between, *saved = ctx.saved_tensors
        out = saved.pop(0) if ctx.inverse else None
        x, *parameters = saved
        needed = ctx.needs_input_grad[4:]
        if torch.is_grad_enabled():
            wanted = [tensor for tensor, need in zip((x, *parameters), needed, strict=True) if need]
            again = ctx.composed(x, *parameters)
            found = iter(torch.autograd.grad(again, wanted, grads[0], create_graph=True))
            return (None,) * 4 + tuple(next(found) if need else None for need in needed)
        lower, upper = ctx.parts
        entries: _Entries = ctx.entries
        g, z = _rows(grads[0]), between.numpy()
        empty = g[0, :0] if g.size else np.empty(0, g.dtype)
        if out is not None:
            of_between = upper.solution(entries.upper, g, empty, transposed=True)
            of_x = lower.solution(entries.lower, of_between, empty, transposed=True)
            of_bias = -of_x.sum(0)
            of_lower, of_upper = -lower.dots(of_x, z), -upper.dots(of_between, _rows(out))
        else:
            of_between = lower.product(entries.lower, g, empty, transposed=True)
            of_x = upper.product(entries.upper, of_between, empty, transposed=True) if needed[0] else None
            of_bias = g.sum(0)
            of_lower, of_upper = lower.dots(g, z), upper.dots(of_between, _rows(x))
        of_raws = entries.gradients(ctx.parts, of_lower, of_upper)
        all_of_them = (None if of_x is None else of_x.reshape(x.shape), *of_raws, of_bias)[: len(needed)]
        return (None,) * 4 + tuple(
            torch.from_numpy(one) if need and one is not None else None
            for one, need in zip(all_of_them, needed, strict=True)
        )


def fusible(x: Tensor, parameters: Sequence[Tensor]) -> bool:
    """Whether `fused` serves these operands: one type, on the host, no transform, nothing compiled."""
    kind = x.dtype
    return (
        kind in (torch.float32, torch.float64)
        and all(tensor.dtype == kind and on_host(tensor) for tensor in (x, *parameters))
        and type(x) is Tensor
        and not torch.compiler.is_compiling()
        and not transformed()
    )


def fused(
    parts: Sequence[Part],
    log_scale: float,
    x: Tensor,
    parameters: Sequence[Tensor],
    composed: Callable[..., Tensor],
    *,
    inverse: bool,
) -> Tensor:
    """Return ``L D U x + b``, or the x of which this is given, for vectors along the last axis.

    Parameters
    ----------
    parts : sequence of Part
        L and U.
    log_scale : float
        Bound of the logarithms on the diagonal.
    x : Tensor, (..., n)
    parameters : sequence of Tensor
        Raw entries of L, of U and of D, and the bias, if there is one.
    composed : callable
        The same function of x and the parameters, made of differentiable ones.
    inverse : bool
    """
    if underivable():
        raws = _arrays(parameters)
        entries = _Entries(parts, raws, log_scale)
        bias = raws[3] if len(raws) > 3 else raws[2][:0]
        return torch.from_numpy(_run(parts, entries, _rows(x), bias, inverse)[0]).reshape(x.shape)
    run: Any = _Step.apply
    found: Tensor = run(parts, log_scale, inverse, composed, x, *parameters)
    return found
