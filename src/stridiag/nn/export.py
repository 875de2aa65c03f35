"""A network as a file of arrays and a few lines of NumPy that evaluate it, without this library.

For places where nothing may be installed, and as a description that leaves nothing out: 30 lines, readable by who knows
NumPy. It is not fast: a layer takes one pass over all units for each entry that a unit has.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._files import written_whole
from stridiag.nn.hidden import Stack
from stridiag.nn.network import Network
from stridiag.nn.transforms import Standardization

__all__ = ["export_numpy"]

Array = NDArray[Any]

_SOURCE = '''"""Outputs of a network that stridiag has trained and exported: plain NumPy."""

import numpy as np


def load(file):
    with np.load(file, allow_pickle=False) as archive:
        return dict(archive)


def decision(model, rows):
    """Return (n, outputs) for finite rows, (n, inputs)."""
    m = model
    x = np.asarray(rows, np.float64) / m["magnitude"]
    x = (np.clip(x, m["lower"], m["upper"]) - m["mean"]) / m["deviation"]
    h = np.arcsinh(x) if m["scaling"] == "arcsinh" else x
    features = [h]
    for t in range(int(m["layers"])):
        # Entry e of each unit: which value it reads, and the weight; units with fewer entries have weights 0.
        z = np.tile(m[f"bias{t}"], (len(h), 1))
        for reads, weights in zip(m[f"reads{t}"], m[f"weights{t}"]):
            z += weights * h[:, reads]
        h = np.tanh(z) if m[f"activation{t}"] == "tanh" else np.maximum(z, 0.0)
        features.append(h)
    y = np.hstack(features) @ m["coefficients"] + m["intercept"]
    return np.clip(y, -m["limit"], m["limit"]) * m["unit"]
'''

_EXPORTED = ("tanh", "relu")


def export_numpy(network: Network, file: str | os.PathLike[str]) -> str:
    """Write a network's arrays to an ``.npz`` file and return Python source that evaluates it with NumPy alone.

    Parameters
    ----------
    network : Network
        Of a `Standardization` and a `Stack` of layers.
    file : path
        Where to write; the name is taken as given.

    Returns
    -------
    str
        A module with two functions, the same for all networks: ``load(file)`` and ``decision(model, rows)``.

    Raises
    ------
    TypeError
        If the network has another transform, another hidden part, or an activation other than tanh and relu.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from stridiag.nn import Architecture, export_numpy, fit_random
    >>> X = np.random.default_rng(0).standard_normal((300, 4))
    >>> net = fit_random(X, X[:, :1] * X[:, 1:2], Architecture(units=32, layers=2), rng=0)
    >>> file = os.path.join(tempfile.mkdtemp(), "net.npz")
    >>> module = {}
    >>> exec(export_numpy(net, file), module)
    >>> bool(np.allclose(module["decision"](module["load"](file), X), net.decision(X), rtol=1e-12, atol=1e-12))
    True
    """
    transform, hidden, readout = network.inputs, network.hidden, network.readout
    # Not isinstance: a class derived from one of them may compute something else.
    if type(transform) is not Standardization or type(hidden) is not Stack:
        raise TypeError(
            "only networks of a Standardization and a Stack are exported to NumPy, "
            f"got {type(transform).__name__} and {type(hidden).__name__}"
        )
    unit = np.broadcast_to(readout.unit, readout.intercept.shape)
    arrays: dict[str, Array] = {
        "magnitude": transform.magnitude,
        "lower": transform.lower,
        "upper": transform.upper,
        "mean": transform.mean,
        "deviation": transform.deviation,
        "scaling": np.array(transform.scaling),
        "layers": np.array(len(hidden.layers)),
        "coefficients": readout.coefficients,
        "intercept": readout.intercept,
        "limit": np.finfo(np.float64).max / np.maximum(unit, 1.0),
        "unit": unit,
    }
    for t, layer in enumerate(hidden.layers):
        if layer.activation not in _EXPORTED:
            raise TypeError(
                f"only layers of {' and '.join(_EXPORTED)} are exported, layer {t} has {layer.activation!r}"
            )
        rows, columns = layer.weight.structure.coordinates()
        read = columns if layer.source is None else layer.source[columns]
        order = np.argsort(rows, kind="stable")
        counts = np.bincount(rows, minlength=layer.units)
        # The place of each entry among those of its unit.
        place = np.arange(order.size) - (np.cumsum(counts) - counts)[rows[order]]
        reads = np.zeros((int(counts.max(initial=0)), layer.units), np.int64)
        weights = np.zeros(reads.shape, layer.weight.dtype)
        reads[place, rows[order]] = read[order]
        weights[place, rows[order]] = layer.weight.values[order]
        arrays |= {f"reads{t}": reads, f"weights{t}": weights, f"bias{t}": layer.bias}
        arrays[f"activation{t}"] = np.array(layer.activation)
    with written_whole(file) as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
    return _SOURCE
