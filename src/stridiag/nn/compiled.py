"""A network made ready for single rows: all of it in one compiled call, without validation.

What it saves is not arithmetic but calls: a row of 64 numbers through three layers of 256 units takes a few
microseconds, checks and a dozen array operations take ten times as long. Layers are computed as `Layer.forward`
computes them, to the last bit; only the sums of the readout, and arcsinh, may differ in the last digits.

Two parts are compiled: `Standardization` and `Stack`. Another transform is called as it is, for each call, before the
compiled part. Another hidden part, an activation that the kernels do not know, and an interpreter without a compiler
take the network's own parts one after another, without the checks.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._kernels import compile as compiler
from stridiag._kernels.forward import IDENTITY
from stridiag._kernels.network_rows import ARCSINH, HEADER, RECORD, STANDARD, TRANSFORMED, network_rows
from stridiag._kernels.vectors import BYTES
from stridiag.nn.activations import activation
from stridiag.nn.forward import read_only
from stridiag.nn.hidden import Stack, row_blocks
from stridiag.nn.network import Network
from stridiag.nn.transforms import Standardization

__all__ = ["CompiledNetwork", "compile_network"]

Array = NDArray[Any]

_LANES = BYTES // 8
# More rows than that are faster side by side.
_FEW = 16


def compile_network(network: Network) -> CompiledNetwork:
    """Return a callable that computes the network's outputs without validation, fast for single rows.

    Parameters
    ----------
    network : Network
        Of any hidden part; what is fast is described in `CompiledNetwork`.

    Returns
    -------
    CompiledNetwork
        ``compiled(row)``, (inputs,) -> (outputs,); ``compiled(rows)``, (n, inputs) -> (n, outputs).

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Architecture, compile_network, fit_random
    >>> X = np.random.default_rng(0).standard_normal((300, 4))
    >>> net = fit_random(X, X[:, :1] * X[:, 1:2], Architecture(units=32, layers=2), rng=0)
    >>> compiled = compile_network(net)
    >>> bool(np.allclose(compiled(X[0]), net.decision(X[:1])[0], rtol=1e-12, atol=1e-12))
    True
    """
    return CompiledNetwork(network)


class CompiledNetwork:
    """Outputs of a network, without validation; make one by `compile_network`.

    Nothing is checked: a row of another length is an undefined result, and NaN in a row is NaN in its outputs wherever
    it is read. One object may be called from many threads at once; each has scratch memory of its own.

    Attributes
    ----------
    network : Network
        What was compiled.
    whole : bool
        Whether hidden part and readout are one compiled call (see the module); else they are called one by one.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.whole = compiler.COMPILES and _known(network)
        self._outputs = network.readout.intercept.size
        self._transformed = type(network.inputs) is not Standardization
        self._local = threading.local()
        if self.whole:
            plan, numbers = _packed(network)
            self._plan, self._numbers = read_only(plan), read_only(numbers)
            self._sizes = int(plan[4]), max((plan[HEADER + 1 + RECORD * t] for t in range(plan[0])), default=0)

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledNetwork, (self.network,)

    def __call__(self, rows: ArrayLike) -> Array:
        """Return the outputs of one row, (inputs,) -> (outputs,), or of several, (n, inputs) -> (n, outputs).

        Parameters
        ----------
        rows : array_like of numbers
            Finite; contiguous float64 is taken as it is, everything else is copied.
        """
        x = np.ascontiguousarray(rows, np.float64)
        if x.ndim == 1:
            if self.whole:
                y = np.empty(self._outputs)
                self._run(x, y, 1)
                return y
            outputs: Array = self._in_parts(x[None])[0]
            return outputs
        if self.whole and len(x) <= _FEW:
            y = np.empty((len(x), self._outputs))
            self._run(x, y.reshape(-1), len(x))
            return y
        return self._in_parts(x)

    def _run(self, x: Array, y: Array, count: int) -> None:
        if self._transformed:
            x = np.ascontiguousarray(self.network.inputs.apply(x.reshape(count, -1)), np.float64)
        try:
            scratch = self._local.scratch
        except AttributeError:
            length, columns = self._sizes
            # Zeros, since padding is multiplied by 0, which must not meet what is no number.
            scratch = self._local.scratch = np.zeros(length), np.zeros(columns), np.zeros(_LANES)
        features, gathered, sums = scratch
        network_rows(self._plan, self._numbers, x.reshape(-1), y, features, gathered, sums, count)

    def _in_parts(self, x: Array) -> Array:
        network = self.network
        result = np.empty((len(x), self._outputs))
        for block in row_blocks(len(x), network.readout.coefficients.shape[0]):
            result[block] = network.readout.apply(network.hidden.features(network.inputs.apply(x[block])))
        return result


def _known(network: Network) -> bool:
    """Whether the kernel knows all functions of a stack."""
    stack = network.hidden
    # A class derived from it may compute something else.
    return type(stack) is Stack and all(activation(layer.activation).code != IDENTITY for layer in stack.layers)


def _padded(count: int) -> int:
    return -(-count // _LANES) * _LANES


def _packed(network: Network) -> tuple[Array, Array]:
    """Return a network's integers and its numbers, in the layout of `network_rows`."""
    stack, transform, readout = network.hidden, network.inputs, network.readout
    assert isinstance(stack, Stack)  # for the type checker: `_known` has seen to it
    widths = [stack.inputs, *(layer.units for layer in stack.layers)]
    places = np.cumsum([0, *(_padded(width) for width in widths)])
    outputs, length = readout.intercept.size, int(places[-1])
    kind, numbers = TRANSFORMED, []
    if type(transform) is Standardization:
        kind = ARCSINH if transform.scaling == "arcsinh" else STANDARD
        numbers = [transform.magnitude, transform.lower, transform.upper, transform.mean, transform.deviation]
    coefficients = np.zeros((outputs, length))
    first = 0
    for place, width in zip(places, widths, strict=False):
        coefficients[:, place : place + width] = readout.coefficients[first : first + width].T
        first += width
    unit = np.broadcast_to(readout.unit, (outputs,))
    limit = np.finfo(np.float64).max / np.maximum(unit, 1.0)
    numbers += [coefficients.ravel(), readout.intercept, limit, unit]
    inputs = stack.inputs if kind == TRANSFORMED else transform.inputs
    plan = [len(stack.layers), inputs, stack.inputs, outputs, length, kind]
    integers: list[Array] = []
    at_integer = HEADER + RECORD * len(stack.layers)
    at_number = sum(piece.size for piece in numbers)
    for layer in stack.layers:
        structure = layer.weight.structure
        source = np.empty(0, np.int64) if layer.source is None else layer.source
        pieces = [
            np.array(structure.offsets, np.int64),
            np.array(structure.starts, np.int64),
            structure.link_rows,
            structure.link_columns,
            source,
        ]
        plan += [layer.units, structure.shape[1], pieces[0].size, structure.link_count, source.size]
        plan += [activation(layer.activation).code]
        plan += [at_integer + sum(piece.size for piece in pieces[:k]) for k in range(len(pieces))]
        plan += [at_number, at_number + layer.weight.nnz]
        integers += pieces
        at_integer += sum(piece.size for piece in pieces)
        numbers += [layer.weight.values, layer.bias]
        at_number += layer.weight.nnz + layer.units
    return np.concatenate([np.array(plan, np.int64), *integers]), np.concatenate(numbers).astype(np.float64)
