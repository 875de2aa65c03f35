r"""Closed-form fitting of torch modules: a solution by pseudoinverses to use as it is, or to start training from.

A stack of structured layers and activations gets its hidden weights by one of the training modes of `stridiag.nn`,
and the last layer is solved for on what the stack puts out: ridge regression where it is dense, masked least squares
where it is structured. The modes see standardised inputs; the first layer takes the standardisation over,

.. math:: W (x - m) / d + b = (W / d)\, x + (b - W m / d) ,

so that the module reads raw inputs. No gradient step is taken.

References: docs/theory/random-features.md; docs/torch-pruning.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import torch
from stridiag._validate import require_finite
from stridiag.nn.architecture import Architecture
from stridiag.nn.calibration import fit_temperature, leave_one_out
from stridiag.nn.hidden import Stack, row_blocks
from stridiag.nn.layers import Layer
from stridiag.nn.masked import masked_least_squares
from stridiag.nn.modes import MODES
from stridiag.nn.options import check_name, check_penalty
from stridiag.nn.readout import CRITERIA, Penalty, solve_ridge
from stridiag.nn.statistics import Statistics
from stridiag.nn.training import Clock, check_training_data
from stridiag.nn.transforms import Standardization
from stridiag.structure import StridiagMatrix
from stridiag.torch.linear import StridiagLinear
from torch import Tensor, nn

__all__ = ["fit_closed_form"]

Array = NDArray[Any]

# Those that give a plain stack of layers; blocks that add to a state are another module.
_MODES = ("random", "targets", "corrected-targets", "autoencoder", "projection")
# Penalty of a structured readout, on standardised columns.
_READOUT_ALPHA = 1e-3
_ACTIVATIONS: dict[type[nn.Module], str] = {nn.Tanh: "tanh", nn.ReLU: "relu"}


def fit_closed_form(
    module: nn.Sequential,
    X: ArrayLike | Tensor,
    Y: ArrayLike | Tensor,
    *,
    mode: str = "random",
    alpha: Penalty | None = None,
    weights: ArrayLike | Tensor | None = None,
    rng: int | np.random.Generator | None = None,
) -> nn.Sequential:
    """Set the parameters of a structured network by closed-form solutions, in place.

    Parameters
    ----------
    module : Sequential
        `StridiagLinear` layers, each followed by ``Tanh`` or ``ReLU`` (the same one after all layers; ``Dropout`` and
        ``Identity`` may stand anywhere), and last a `StridiagLinear` or ``nn.Linear``, the readout. Hidden layers
        need a bias.
    X : array_like or Tensor, (n, in_features)
        Raw inputs.
    Y : array_like or Tensor, (n, out_features), (n,), or (n,) of int
        Targets; or classes. For classes the outputs are logits: scores of the classes, times the factor at which
        their softmax is likeliest on leave-one-out scores (of a structured readout: on the scores themselves).
    mode : {"random", "targets", "corrected-targets", "autoencoder", "projection"}, default "random"
        How hidden weights are made; see `stridiag.nn.MODES`.
    alpha : float, "loo" or "gcv", optional
        Penalty of the readout on standardised columns, or how it is chosen: "loo" for a dense readout by default. A
        structured readout takes a number, 1e-3 by default.
    weights : array_like or Tensor, (n,), optional
        Sample weights.
    rng : int, numpy.random.Generator or None
        Seed or generator of everything random.

    Returns
    -------
    Sequential
        The module.

    Raises
    ------
    ValueError
        If the module is not of this form, sizes do not fit, or an option is unknown.
    TypeError
        If it is no ``nn.Sequential``.
    NonFiniteError
        If a number is NaN or infinite.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from stridiag.torch import StridiagLinear
    >>> from stridiag.torch import fit_closed_form
    >>> X = torch.rand(500, 10, generator=torch.Generator().manual_seed(0)) * 100 + 7
    >>> Y = (X[:, :1] / 50).sin()
    >>> net = nn.Sequential(StridiagLinear(10, 128), nn.Tanh(), nn.Linear(128, 1))
    >>> net = fit_closed_form(net, X, Y, rng=0)
    >>> bool(((net(X) - Y) ** 2).mean() < 0.01 * Y.var())
    True
    """
    parts = _Parts.of(module)
    check_name(mode, "mode", _MODES)
    penalty = _penalty(alpha, structured=isinstance(parts.readout, StridiagLinear))
    classes = _classes(Y)
    aims = np.eye(parts.readout.out_features)[_within(classes, parts)] if classes is not None else _numbers(Y)
    numbers = _numbers(X)
    if numbers.ndim != 2 or aims.ndim > 2 or numbers.shape[0] != aims.shape[0]:
        raise ValueError(f"X and Y must be (n, d) and (n, q) or (n,), got {numbers.shape} and {aims.shape}")
    require_finite(aims, "Y")
    x, z, d = check_training_data(numbers, aims[:, None] if aims.ndim == 1 else aims, _optional(weights))
    if x.shape[1] != parts.inputs or z.shape[1] != parts.readout.out_features:
        expected = f"(n, {parts.inputs}) and (n, {parts.readout.out_features})"
        raise ValueError(f"X and Y must be {expected} for this module, got {x.shape} and {z.shape}")
    mean, scale = _standard(x, d)
    x = (x - mean) * scale
    generator = np.random.default_rng(rng)
    stack = parts.drawn(generator)
    if parts.hidden:
        architecture = parts.architecture()
        chosen = MODES[mode]
        chosen.check_architecture(architecture)
        goals = Standardization.fit(z, d).apply(z)
        made = chosen.hidden(x, goals, d, architecture, generator, Clock(None, 0), stack)
        assert isinstance(made, Stack)  # of all modes that are let in
        stack = made
    coefficients, intercept = _solve_readout(parts.readout, stack, x, z, d, penalty, calibrated=classes is not None)
    parts.write(stack, coefficients, intercept, mean, scale)
    return module


@dataclass(frozen=True, slots=True, kw_only=True)
class _Widths(Architecture):
    """Layers of widths of their own, which the modes take over from the stack that they start from."""

    shapes: tuple[tuple[int, int], ...]

    def plan(self, inputs: int) -> list[tuple[tuple[int, int], tuple[int, ...]]]:
        """Return the shape of each layer; one offset stands for a structure that is given anyway."""
        del inputs  # the shapes know
        return [(shape, (0,)) for shape in self.shapes]


@dataclass(frozen=True, slots=True)
class _Parts:
    """The hidden layers of a module, their activation, and its readout."""

    hidden: tuple[StridiagLinear, ...]
    activation: str
    readout: StridiagLinear | nn.Linear

    @property
    def inputs(self) -> int:
        """How many the module reads."""
        return (*self.hidden, self.readout)[0].in_features

    @classmethod
    def of(cls, module: nn.Sequential) -> _Parts:
        """Take a module apart; ValueError where it is of another form."""
        if not isinstance(module, nn.Sequential):
            raise TypeError(f"module must be an nn.Sequential, got {type(module).__name__}")
        parts = [part for part in module if not isinstance(part, nn.Identity | nn.Dropout)]
        form = "StridiagLinear, activation, ..., readout"
        if not parts or not isinstance(parts[-1], StridiagLinear | nn.Linear):
            raise ValueError(f"the module must be {form}; its last part is {parts[-1] if parts else None}")
        if len({id(part) for part in parts if isinstance(part, StridiagLinear | nn.Linear)}) != len(parts) // 2 + 1:
            raise ValueError(f"the module must be {form}, each layer used once, got {module}")
        hidden: list[StridiagLinear] = []
        names: set[str] = set()
        for layer, function in zip(parts[:-1:2], parts[1::2], strict=False):
            if type(layer) is not StridiagLinear or type(function) not in _ACTIVATIONS:
                raise ValueError(f"the module must be {form}, with Tanh or ReLU as activation; got {layer}, {function}")
            if layer.bias is None:
                raise ValueError(f"hidden layers need a bias, got {layer}")
            hidden.append(layer)
            names.add(_ACTIVATIONS[type(function)])
        if len(names) > 1:
            raise ValueError(f"all activations must be the same, got {sorted(names)}")
        if parts[-1].bias is None:
            raise ValueError(f"the readout needs a bias, got {parts[-1]}")
        if any(p.is_meta for p in module.parameters()):
            raise ValueError("the module lies on the device meta and has no values to set: to_empty gives it some")
        return cls(tuple(hidden), names.pop() if names else "tanh", parts[-1])

    def architecture(self) -> Architecture:
        """Return what the modes want to know."""
        shapes = tuple(layer.structure.shape for layer in self.hidden)
        most = max(rows for rows, _ in shapes)
        return _Widths(units=most, layers=len(shapes), shuffle=False, activation=self.activation, shapes=shapes)

    def drawn(self, rng: np.random.Generator) -> Stack:
        """Return layers of random directions: entries g |g|, as `stridiag.nn` draws them."""
        layers = []
        for layer in self.hidden:
            values = rng.standard_normal(layer.structure.nnz)
            matrix = StridiagMatrix(layer.structure, values * np.abs(values), copy=False)
            layers.append(Layer(matrix, np.zeros(layer.out_features), self.activation))
        return Stack(self.inputs, tuple(layers))

    def write(self, stack: Stack, coefficients: Array, intercept: Array, mean: Array, scale: Array) -> None:
        """Set the parameters; the first layer takes the standardisation ``(x - mean) * scale`` over."""
        values = [(layer.weight.values, layer.bias) for layer in stack.layers] + [(coefficients, intercept)]
        first = (*self.hidden, self.readout)[0]
        weight, bias = values[0]
        if isinstance(first, StridiagLinear):
            rows, columns = first.structure.coordinates()
            weight = weight * scale[columns]
            bias = bias - np.bincount(rows, weight * mean[columns], minlength=first.out_features)
        else:
            weight = weight * scale
            bias = bias - weight @ mean
        values[0] = weight, bias
        with torch.no_grad():
            for layer, (weight, bias) in zip((*self.hidden, self.readout), values, strict=True):
                layer.weight.copy_(torch.from_numpy(np.array(weight)))
                layer.bias.copy_(torch.from_numpy(np.array(bias)))


def _penalty(alpha: Penalty | None, *, structured: bool) -> Penalty:
    if alpha is None:
        return _READOUT_ALPHA if structured else "loo"
    check_penalty(alpha, () if structured else CRITERIA)
    return alpha


def _numbers(given: ArrayLike | Tensor) -> Array:
    if isinstance(given, Tensor):
        if given.is_complex():
            raise TypeError(f"numbers must be real, got dtype {given.dtype}")
        return np.asarray(given.detach().to("cpu", torch.float64).numpy())
    return np.asarray(given, np.float64)


def _optional(given: ArrayLike | Tensor | None) -> Array | None:
    return None if given is None else _numbers(given)


def _classes(given: ArrayLike | Tensor) -> NDArray[np.int64] | None:
    """Return targets that are classes."""
    if isinstance(given, Tensor) and (given.is_floating_point() or given.is_complex()):
        return None  # not by way of NumPy, which has no bfloat16
    array = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    return array.astype(np.int64) if array.ndim == 1 and array.dtype.kind in "iu" else None


def _within(classes: NDArray[np.int64], parts: _Parts) -> NDArray[np.int64]:
    low, high = classes.min(initial=0), classes.max(initial=0)
    if low < 0 or high >= parts.readout.out_features:
        raise ValueError(f"classes must be 0 to {parts.readout.out_features - 1}, got {low} to {high}")
    return classes


def _standard(x: Array, d: Array) -> tuple[Array, Array]:
    """Return the means of columns and the inverses of their deviations, 0 for constant ones."""
    transform = Standardization.fit(x, d)
    # The deviation of a constant column is infinite.
    return transform.mean * transform.magnitude, 1.0 / (transform.deviation * transform.magnitude)


def _features(stack: Stack, x: Array) -> Iterator[tuple[slice, Array]]:
    widest = max((layer.units for layer in stack.layers), default=x.shape[1])
    for block in row_blocks(x.shape[0], max(widest, x.shape[1])):
        yield block, stack.last(x[block])


def _solve_readout(
    readout: StridiagLinear | nn.Linear, stack: Stack, x: Array, z: Array, d: Array, alpha: Penalty, *, calibrated: bool
) -> tuple[Array, Array]:
    """Return the readout's weight, by slot or (outputs, features), and bias."""

    def read() -> Iterable[tuple[Array, Array, Array]]:
        for block, values in _features(stack, x):
            yield values, z[block], d[block]

    if isinstance(readout, StridiagLinear):
        assert not isinstance(alpha, str)
        weight, bias = masked_least_squares(Statistics.from_chunks(read()), readout.structure, alpha)
        dense = StridiagMatrix(readout.structure, weight).toarray() if calibrated else weight
        left = np.ones((1, bias.size))
    else:
        solved, left = solve_ridge(read, (x.shape[0], readout.in_features), alpha, keep=calibrated)
        weight = dense = (solved.coefficients * solved.unit).T
        bias = solved.intercept * solved.unit
    if not calibrated:
        return weight, bias
    scores = np.concatenate([values @ dense.T + bias for _, values in _features(stack, x)])
    scores = leave_one_out(z, scores, left)
    factor = 1.0 / fit_temperature(scores, z.argmax(axis=1), d)
    return weight * factor, bias * factor
