r"""The map of `StridiagInvertible`, its inverse and its log-determinant, as one differentiable function each.

A is a product of parts :math:`F_1 \dots F_p`: L and D U, or D (I + N) alone.

.. math::
    v_k = F_k v_{k+1},\quad v_{p+1} = x,\quad y = v_1 + b: \qquad
    \bar F_k = \bar v_k v_{k+1}^T,\quad \bar v_{k+1} = F_k^T \bar v_k

.. math::
    w_k = F_k^{-1} w_{k-1},\quad w_0 = y - b,\quad x = w_p: \qquad
    \bar w_{k-1} = F_k^{-T} \bar w_k,\quad \bar F_k = -\bar w_{k-1} w_k^T

with outer products on the pattern. The last part is a matrix V with a unit diagonal whose rows are scaled by D, so that
:math:`\bar V = D \bar F_p` and :math:`\overline{\log d_i} = \sum_j (\bar F_p)_{ij} (F_p)_{ij}`; and
:math:`\log |\det A| = \sum_i \log d_i + \log |\det V|`, whose last term is 0 for a triangle, and has the selected
inverse of V as its gradient otherwise.

A step is one pass over the samples for each part forward and two backward, and everything between is of the size of
the parameters. Made of a dozen functions that torch differentiates one by one, the same step takes most of its time on
the way between them. That composition still defines the function: it serves derivatives of higher order, transforms,
other devices and mixed types.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

import torch
from stridiag._kernels import layer_products, triangle_rows
from stridiag._kernels.threads import run_ranges
from stridiag.structure import Structure
from stridiag.torch import host_kernels, kernels
from stridiag.torch.paths import on_host
from stridiag.torch.places import product_arrays
from stridiag.torch.rules import transformed, underivable
from torch import Tensor

__all__ = ["LogAbsDet", "Map", "Part", "fused", "fusible"]

Array = NDArray[Any]

# Products of a number with a number that are worth a thread: some 30 microseconds.
_GRAIN = 1 << 16


@dataclass(frozen=True, eq=False)
class Part:
    """A matrix V: the identity plus ``limit * tanh(raw)`` at the slots off its diagonal."""

    structure: Structure
    slots: NDArray[np.int64]
    limit: float
    rows: NDArray[np.int64] = field(init=False, repr=False)
    triangle: Literal["lower", "upper"] | None = field(init=False)
    """On which side of the diagonal all other slots lie, if on one."""

    def __post_init__(self) -> None:
        rows, columns = self.structure.coordinates()
        object.__setattr__(self, "rows", rows)
        lower, upper = not (columns > rows).any(), not (columns < rows).any()
        object.__setattr__(self, "triangle", "lower" if lower else "upper" if upper else None)

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
        y: Array = torch.from_numpy(x[:0]).new_empty(x.shape).numpy()
        run_ranges(
            lambda first, last: layer_products.layer_rows(taken, *where, x, bias, y, first, last),
            x.shape[1],
            grain=layer_products.rows_worth_a_thread(_GRAIN, x.shape[0] * len(self.structure.offsets)),
        )
        return y

    def solution(self, values: Array, b: Array, shift: Array, *, transposed: bool = False) -> Array:
        """Return the solutions of a triangle for rows of ``b - shift``, (samples, n); the shift may be empty."""
        where, taken = self._where(values, transposed)
        upper = (self.triangle == "upper") != transposed
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

    def factors(self, values: Array) -> host_kernels.Factored:
        """Return the factors of V, those of the latest matrix if it was this one."""
        return kernels.factors_of(self.structure, torch.from_numpy(values), kernels.Kept(), regular=True)

    def _where(self, values: Array, transposed: bool) -> tuple[tuple[Array, Array, Array, Array], Array]:
        where, source = product_arrays(self.structure, transposed=transposed)
        return where, values if source is None else values[source]


def _in_type_of(like: Array, number: float) -> Any:
    """Return a number in the type of an array."""
    return like.dtype.type(number)


class _Scale:
    """The logarithms on the diagonal D, bounded by tanh."""

    __slots__ = ("logarithms", "tangent")

    def __init__(self, raw: Array, log_scale: float) -> None:
        bound = _in_type_of(raw, log_scale)
        self.tangent = np.tanh(raw / bound) if log_scale else np.ones_like(raw)
        self.logarithms = bound * self.tangent

    def raw_gradient(self, grad: Array | np.generic) -> Array:
        """Return the gradient of the parameters, given that of the logarithms."""
        slope: Array = 1 - self.tangent * self.tangent
        slope *= grad
        return slope


class _Entries:
    """What a step makes of the parameters: the parts, the last one scaled, and what their gradients are made of."""

    __slots__ = ("diagonal", "factors", "parts", "scale", "tangents", "values")

    def __init__(self, parts: Sequence[Part], raws: Sequence[Array], log_scale: float, *, inverse: bool) -> None:
        self.parts = parts
        made = [part.values(raw) for part, raw in zip(parts, raws, strict=False)]
        self.values = [values for values, _ in made]
        self.tangents = [tangent for _, tangent in made]
        self.scale = _Scale(raws[len(parts)], log_scale)
        self.diagonal = np.exp(self.scale.logarithms)
        last = parts[-1]
        # Factored without its scale, as the determinant asks for it too.
        self.factors = last.factors(self.values[-1]) if inverse and last.triangle is None else None
        self.values[-1] = self.values[-1] * self.diagonal.take(last.rows)

    def product(self, k: int, x: Array, bias: Array, *, transposed: bool = False) -> Array:
        """Return the products of part k with rows of `x`, plus a bias that may be empty."""
        return self.parts[k].product(self.values[k], x, bias, transposed=transposed)

    def solution(self, k: int, b: Array, shift: Array, *, transposed: bool = False) -> Array:
        """Return the solutions of part k for rows of ``b - shift``."""
        if self.factors is None or k + 1 < len(self.parts):
            return self.parts[k].solution(self.values[k], b, shift, transposed=transposed)
        given = b - shift if shift.size else b
        if not transposed:
            given = given / self.diagonal
        found: Array = host_kernels.solve(self.factors, torch.from_numpy(given), transposed=transposed).numpy()
        if transposed:
            found /= self.diagonal
        return found

    def gradients(self, of_parts: list[Array]) -> list[Array]:
        """Return the gradients of the raw entries of each part and of D, given those of the parts."""
        last, of_last = self.parts[-1], of_parts[-1]
        of_scale = np.zeros_like(self.diagonal)
        triangle_rows.add_products_to_rows(last.rows, of_last, self.values[-1], of_scale)
        of_last *= self.diagonal.take(last.rows)
        of_raws = [
            part.raw_gradient(grad, tangent)
            for part, grad, tangent in zip(self.parts, of_parts, self.tangents, strict=True)
        ]
        return [*of_raws, self.scale.raw_gradient(of_scale)]


class Task(Protocol):
    """A function on arrays and its gradients."""

    @property
    def saves_output(self) -> bool:
        """Whether the gradients need the result."""

    def run(self, *arrays: Array) -> tuple[Array, list[Array], Any]:
        """Return the result, arrays that the gradients need besides, and what else they need."""

    def gradients(self, state: Any, saved: list[Array], g: Array, arrays: list[Array], first: bool) -> list[Array]:
        """Return the gradients of the arrays, given that of the result; not of the first one, if that is not needed."""


@dataclass(frozen=True, slots=True)
class Map:
    """``A x + b`` or, `inverse`, the x of which this is given; of x, raw entries of each part and of D, and b."""

    parts: Sequence[Part]
    log_scale: float
    inverse: bool

    @property
    def saves_output(self) -> bool:
        """Whether the gradients need the result."""
        return self.inverse

    def run(self, *arrays: Array) -> tuple[Array, list[Array], _Entries]:
        """See `Task`."""
        x, *raws = arrays
        entries = _Entries(self.parts, raws, self.log_scale, inverse=self.inverse)
        empty = raws[0][:0]
        bias = raws[-1] if len(raws) > len(self.parts) + 1 else empty
        places = range(len(self.parts))
        go = entries.solution if self.inverse else entries.product
        stages = [_rows(x)]
        for k in places if self.inverse else reversed(places):
            stages.append(go(k, stages[-1], empty if k else bias))
        return stages[-1].reshape(x.shape), stages[1:-1], entries

    def gradients(self, state: _Entries, saved: list[Array], g: Array, arrays: list[Array], first: bool) -> list[Array]:
        """See `Task`."""
        count = len(self.parts)
        of_parts: list[Array] = [g] * count
        back = _rows(g)
        empty = back.reshape(-1)[:0]
        if self.inverse:
            for k in reversed(range(count)):
                back = state.solution(k, back, empty, transposed=True)
                of_parts[k] = -self.parts[k].dots(back, _rows(saved[k]))
            of_bias = -back.sum(0)
        else:
            of_bias = back.sum(0)
            stages = [*saved[::-1], _rows(arrays[0])]
            for k in range(count):
                of_parts[k] = self.parts[k].dots(back, stages[k])
                if first or k + 1 < count:
                    back = state.product(k, back, empty, transposed=True)
        return [back.reshape(arrays[0].shape), *state.gradients(of_parts), of_bias]


@dataclass(frozen=True, slots=True)
class LogAbsDet:
    """``log |det A|``, of the raw entries of D and, unless `part` is a triangle, of it."""

    part: Part
    log_scale: float

    @property
    def saves_output(self) -> bool:
        """Whether the gradients need the result."""
        return False

    def run(self, *arrays: Array) -> tuple[Array, list[Array], Any]:
        """See `Task`."""
        scale = _Scale(arrays[0], self.log_scale)
        found = scale.logarithms.sum()
        if self.part.triangle is not None:
            return np.asarray(found), [], (scale, None, None)
        values, tangent = self.part.values(arrays[1])
        factors = self.part.factors(values)
        _, logarithm = host_kernels.slogdet(factors)
        return np.asarray(found + logarithm.numpy()), [], (scale, factors, tangent)

    def gradients(self, state: Any, saved: list[Array], g: Array, arrays: list[Array], first: bool) -> list[Array]:
        """See `Task`."""
        scale, factors, tangent = state
        of_scale = scale.raw_gradient(g)
        if factors is None:
            return [of_scale]
        of_values = host_kernels.inverse_on_pattern(factors).numpy()
        return [of_scale, self.part.raw_gradient(g * of_values, tangent)]


def _rows(x: Array) -> Array:
    """Return vectors along the last axis as the rows of a contiguous array."""
    return np.ascontiguousarray(x).reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _arrays(tensors: Sequence[Tensor]) -> list[Array]:
    return [np.asarray(tensor.detach().resolve_neg().numpy(), order="C") for tensor in tensors]


class _Step(torch.autograd.Function):
    """A task as a function that torch differentiates."""

    @staticmethod
    def forward(ctx: Any, task: Task, composed: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        found, saved, ctx.state = task.run(*_arrays(tensors))
        y = torch.from_numpy(found)
        ctx.task, ctx.composed, ctx.count = task, composed, len(tensors)
        ctx.save_for_backward(*map(torch.from_numpy, saved), *((y,) if task.saves_output else ()), *tensors)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        saved = ctx.saved_tensors
        tensors = saved[-ctx.count :]
        needed = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled():
            wanted = [tensor for tensor, need in zip(tensors, needed, strict=True) if need]
            again = ctx.composed(*tensors)
            found = iter(torch.autograd.grad(again, wanted, grads[0], create_graph=True))
            return (None, None, *(next(found) if need else None for need in needed))
        g, *arrays = _arrays((grads[0], *saved))
        of_all = ctx.task.gradients(ctx.state, arrays[: -ctx.count], g, arrays[-ctx.count :], needed[0])
        # Without a bias its gradient is one too many.
        pairs = zip(of_all, needed, strict=False)
        return (None, None, *(torch.from_numpy(one) if need else None for one, need in pairs))


def fusible(*tensors: Tensor) -> bool:
    """Whether `fused` serves these operands: one type, on the host, no transform, nothing compiled."""
    # The compiler cannot look behind what comes after the first question.
    if torch.compiler.is_compiling():
        return False
    kind = tensors[0].dtype
    return (
        kind in (torch.float32, torch.float64)
        and all(tensor.dtype == kind and on_host(tensor) for tensor in tensors)
        and type(tensors[0]) in (Tensor, torch.nn.Parameter)
        and not transformed()
    )


def fused(task: Task, composed: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Return what a task makes of tensors.

    Parameters
    ----------
    task : Map or LogAbsDet
    composed : callable
        The same function of the tensors, made of differentiable ones.
    tensors : Tensor
        As the task says.
    """
    if underivable():
        return torch.from_numpy(task.run(*_arrays(tensors))[0])
    run: Any = _Step.apply
    found: Tensor = run(task, composed, *tensors)
    return found
