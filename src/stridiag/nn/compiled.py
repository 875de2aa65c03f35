"""A model made ready for single rows: all of it in one compiled call, without validation.

What it saves is not arithmetic but calls: a row of 64 numbers through three layers of 256 units takes a few
microseconds, checks and a dozen array operations take ten times as long, and the networks of a recipe a hundred times.
Layers are computed as `Layer.forward` computes them, to the last bit; only sums of readouts, arcsinh, and distances of
a memory may differ in the last digits.

Which parts are compiled says `row_program`. A network's transform that is not known is called as it is, for each call,
before the compiled part. Another hidden part, an activation that the kernels do not know, and an interpreter without a
compiler take the model's own parts one after another, without the checks. The memory of an ensemble is looked up in a
call of its own.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._kernels import compile as compiler
from stridiag._kernels.network_rows import network_rows
from stridiag.nn.average import Average
from stridiag.nn.compiled_memory import CompiledMemory
from stridiag.nn.ensemble import Ensemble
from stridiag.nn.hidden import row_blocks
from stridiag.nn.model import Model
from stridiag.nn.network import Network
from stridiag.nn.row_program import LANES, row_program

__all__ = ["CompiledNetwork", "compile_network"]

Array = NDArray[Any]

# More rows than that are faster side by side.
_FEW = 16


def compile_network(network: Model) -> CompiledNetwork:
    """Return a callable that computes a model's outputs without validation, fast for single rows.

    Parameters
    ----------
    network : Network, Average, Ensemble or another Model
        What is fast is described in `CompiledNetwork`.

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
    """Outputs of a model, without validation; make one by `compile_network`.

    Nothing is checked: a row of another length is an undefined result, and NaN in a row is NaN in its outputs wherever
    it is read. One object may be called from many threads at once; each has scratch memory of its own.

    Attributes
    ----------
    network : Model
        What was compiled.
    whole : bool
        Whether all but a memory is one compiled call (see the module); else parts are called one by one.
    """

    def __init__(self, network: Model) -> None:
        self.network = network
        self._local = threading.local()
        self._memory: CompiledMemory | None = None
        memory = network.memory if type(network) is Ensemble else None
        program = row_program(network, bounds=memory is None) if compiler.COMPILES else None
        self.whole = program is not None
        if program is not None:
            self._plan, self._numbers, self._transform = program[:3]
            self._sizes, self._outputs = program[3:], int(program.plan[2])
            if memory is not None and isinstance(network, Ensemble):
                self._memory = CompiledMemory(memory, network.lower, network.upper)

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
            outputs: Array = _in_parts(self.network, x[None])[0]
            return outputs
        if self.whole and len(x) <= _FEW:
            y = np.empty((len(x), self._outputs))
            if self._memory is None:
                self._run(x, y.reshape(-1), len(x))
            else:
                for k in range(len(x)):
                    self._run(x[k], y[k], 1)
            return y
        return _in_parts(self.network, x)

    def _run(self, x: Array, y: Array, count: int) -> None:
        if self._transform is not None:
            x = np.ascontiguousarray(self._transform.apply(x.reshape(count, -1)), np.float64)
        try:
            scratch = self._local.scratch
        except AttributeError:
            length, columns = self._sizes
            scratch = self._local.scratch = np.zeros(length), np.zeros(columns), np.zeros(LANES)
        features, gathered, sums = scratch
        network_rows(self._plan, self._numbers, x.reshape(-1), y, features, gathered, sums, count)
        if self._memory is not None:
            self._memory.add_to(y, features)


def _in_parts(model: Model, x: Array) -> Array:
    """Return the outputs of rows by the parts of a model: without checks, if its kind is known."""
    if isinstance(model, Average):
        total = _in_parts(model.members[0], x)
        for member in model.members[1:]:
            total += _in_parts(member, x)
        total /= len(model.members)
        return total
    if isinstance(model, Ensemble):
        return model.outputs(x)
    if not isinstance(model, Network):
        return np.asarray(model.decision(x))
    columns, outputs = model.readout.coefficients.shape
    result = np.empty((len(x), outputs))
    for block in row_blocks(len(x), columns):
        result[block] = model.readout.apply(model.hidden.features(model.inputs.apply(x[block])))
    return result
