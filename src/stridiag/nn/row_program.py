"""A model written as the list of steps that `stridiag._kernels.network_rows` takes, one row at a time.

Known are: networks of layers, averages of networks, ensembles of units for tables; the transforms `Standardization`,
`Both` and `PixelRange`. A class derived from one of them is not known, since it may compute something else. Not known
either are features of images in single precision (`ImageFeatures`): their sums are so long that calls do not matter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.forward import IDENTITY
from stridiag._kernels.network_rows import COPY, DENSE, HEADER, LAYER, PIXELS, RANKS, READOUT, RECORD, STANDARD
from stridiag._kernels.vectors import BYTES
from stridiag.nn.activations import activation
from stridiag.nn.average import Average
from stridiag.nn.ensemble import Ensemble
from stridiag.nn.forward import read_only
from stridiag.nn.hidden import Stack
from stridiag.nn.image_features import PixelRange, StencilFeatures
from stridiag.nn.layers import Layer
from stridiag.nn.mixed_units import MixedUnits
from stridiag.nn.network import Network
from stridiag.nn.ranks import FAR, Both
from stridiag.nn.readout import Readout
from stridiag.nn.transforms import Standardization, Transform

__all__ = ["LANES", "RowProgram", "row_program"]

Array = NDArray[Any]

LANES = BYTES // 8
"""Numbers in a vector."""


class RowProgram(NamedTuple):
    """Steps for the kernel, and what it needs beside them.

    Parameters
    ----------
    plan, numbers : ndarray
        For the kernel; read-only.
    transform : Transform or None
        What has to be applied first, since the kernel does not know it.
    features, gathered : int
        Lengths of scratch memory.
    """

    plan: Array
    numbers: Array
    transform: Transform | None
    features: int
    gathered: int


def row_program(model: object, *, bounds: bool = True) -> RowProgram | None:
    """Return a model's steps, or None for one that the kernel does not know.

    Parameters
    ----------
    model : object
        A `Network`, an `Average` or an `Ensemble`; of the last one without its memory.
    bounds : bool, default True
        Whether outputs of an ensemble stop at its bounds; not where something is added to them later.
    """
    if type(model) is Ensemble:
        return _of_ensemble(model, bounds)
    if type(model) is Network:
        return _of_networks((model,))
    return _of_networks(model.members) if type(model) is Average else None


def _of_networks(networks: tuple[Network, ...]) -> RowProgram | None:
    if not all(_known_hidden(network) for network in networks):
        return None
    writer = _Writer()
    first, last = networks[0].inputs, None
    given = type(first) not in (Standardization, Both, PixelRange)
    # A transform that is not known is applied once, before all steps.
    if given and any(network.inputs is not first for network in networks):
        return None
    for network in networks:
        if network.inputs is not last:
            if not writer.transform(network.inputs, given=given):
                return None
            last = network.inputs
        writer.network(network)
    outputs = networks[0].readout.intercept.size
    bounds = np.full(outputs, -np.inf), np.full(outputs, np.inf)
    return writer.finished(first.columns if given else first.inputs, bounds, first if given else None)


def _of_ensemble(model: Ensemble, bounds: bool) -> RowProgram | None:
    if type(model.inputs) is not Both or not all(_known_units(member.hidden) for member in model.members):
        return None
    writer = _Writer()
    writer.transform(model.inputs)
    for member in model.members:
        writer.units(member.hidden, member.readout)
    lower, upper = (model.lower, model.upper) if bounds else (np.full_like(model.lower, s) for s in (-np.inf, np.inf))
    return writer.finished(model.inputs.inputs, (lower, upper), None)


def _known_hidden(network: Network) -> bool:
    hidden = network.hidden
    if type(hidden) is Stack:
        layers: tuple[Layer, ...] = hidden.layers
    elif type(hidden) is StencilFeatures:
        layers = (hidden.layer,)
    else:
        return False
    # Layers in single precision on rows in single precision round otherwise.
    single = type(network.inputs) is PixelRange and any(layer.weight.dtype == np.float32 for layer in layers)
    return not single and _known_layers(layers)


def _known_units(hidden: object) -> bool:
    return type(hidden) is MixedUnits and _known_layers(hidden.sparse + hidden.mixed)


def _known_layers(layers: tuple[Layer, ...]) -> bool:
    """Whether the kernel knows all their functions."""
    return all(type(layer) is Layer and activation(layer.activation).code != IDENTITY for layer in layers)


def _padded(count: int) -> int:
    return -(-count // LANES) * LANES


class _Writer:
    """Collects steps, and the integers and numbers that they point to."""

    def __init__(self) -> None:
        self._steps: list[list[int]] = []
        # Which entries of a step are places among the integers, whose beginning is known when all steps are.
        self._pointers: list[slice] = []
        self._integers: list[Array] = []
        self._numbers: list[Array] = []
        self._integer_count = self._number_count = 0
        self._features = self._gathered = 1
        # Where what the transforms made ends, rounded up.
        self._behind = 0
        # How much of it the transform made.
        self._columns = 0

    def transform(self, transform: Transform, *, given: bool = False) -> bool:
        """Write the steps of a transform, if it is known; `given`: rows come transformed."""
        size = transform.columns
        self._columns, self._behind = size, _padded(size)
        if given:
            self._step([COPY, 0, 0, size, 0])
        elif type(transform) is Standardization:
            self._standardise(transform, np.inf)
        elif type(transform) is Both:
            self._standardise(transform.standard, FAR)
            self._ranks(transform)
        elif type(transform) is PixelRange:
            self._step([PIXELS, 0, 0, size, self._number(np.array([0.5 * transform.lowest, transform.unit]))])
        else:
            return False
        return True

    def network(self, network: Network) -> None:
        """Write the steps of a network behind its transform."""
        hidden, read, end = network.hidden, 0, self._behind
        layers = hidden.layers if isinstance(hidden, Stack) else (hidden.layer,)  # type: ignore[attr-defined]  # known
        pieces = [(0, self._columns)] if isinstance(hidden, Stack) else []
        for layer in layers:
            self._layer(layer, read, end)
            pieces.append((end, layer.units))
            read, end = end, end + _padded(layer.units)
        self._readout(network.readout, pieces, end)

    def units(self, hidden: MixedUnits, readout: Readout) -> None:
        """Write the steps of units for tables behind their transform."""
        end, pieces = self._behind, [(0, self._columns)]
        places = []
        for layer in hidden.sparse + hidden.mixed:
            places.append(end)
            pieces.append((end, layer.units))
            end += _padded(layer.units)
        if hidden.premix is not None:
            length = _padded(self._columns)
            matrix = np.zeros((self._columns, length))
            matrix[:, : self._columns] = hidden.premix
            self._step([DENSE, 0, end, self._columns, self._number(matrix), length])
        for k, (layer, place) in enumerate(zip(hidden.sparse + hidden.mixed, places, strict=True)):
            self._layer(layer, end if hidden.premix is not None and k >= len(hidden.sparse) else 0, place)
        self._readout(readout, pieces, end)

    def finished(self, inputs: int, bounds: tuple[Array, Array], transform: Transform | None) -> RowProgram:
        """Return the program, with the bounds of its outputs."""
        plan = [len(self._steps), inputs, bounds[0].size, self._number(np.concatenate(bounds))]
        shift = HEADER + RECORD * len(self._steps)
        for step, pointers in zip(self._steps, self._pointers, strict=True):
            record = np.zeros(RECORD, np.int64)
            record[: len(step)] = step
            record[pointers] += shift
            plan += record.tolist()
        return RowProgram(
            read_only(np.concatenate([np.array(plan, np.int64), *self._integers])),
            read_only(np.concatenate(self._numbers).astype(np.float64)),
            transform,
            self._features,
            self._gathered,
        )

    def _number(self, piece: Array) -> int:
        at = self._number_count
        self._numbers.append(piece.ravel())
        self._number_count += piece.size
        return at

    def _integer(self, piece: Array) -> int:
        at = self._integer_count
        self._integers.append(piece)
        self._integer_count += piece.size
        return at

    def _step(self, step: list[int], pointers: slice = slice(0)) -> None:
        self._steps.append(step)
        self._pointers.append(pointers)
        self._features = max(self._features, _padded(step[2] + step[3]))

    def _standardise(self, part: Standardization, stop: float) -> None:
        pieces = (part.magnitude, part.lower, part.upper, part.mean, part.deviation, np.array([stop]))
        self._step([STANDARD, 0, 0, part.inputs, self._number(np.concatenate(pieces)), int(part.scaling == "arcsinh")])

    def _ranks(self, both: Both) -> None:
        ranks = both.ranks
        if ranks.columns:
            step = [RANKS, 0, both.inputs, ranks.columns, self._number(ranks.knots)]
            step += [self._integer(ranks.picked), self._integer(ranks.starts), self._number(ranks.values)]
            self._step(step, slice(5, 7))

    def _layer(self, layer: Layer, read: int, write: int) -> None:
        structure = layer.weight.structure
        source = np.empty(0, np.int64) if layer.source is None else layer.source
        offsets, starts = np.array(structure.offsets, np.int64), np.array(structure.starts, np.int64)
        step = [LAYER, read, write, layer.units, self._number(layer.weight.values)]
        step += [structure.shape[1], offsets.size, structure.link_count, source.size, activation(layer.activation).code]
        pieces = (offsets, starts, structure.link_rows, structure.link_columns, source)
        step += [self._integer(piece) for piece in pieces]
        self._step([*step, self._number(layer.bias)], slice(10, 15))
        self._gathered = max(self._gathered, structure.shape[1])

    def _readout(self, readout: Readout, pieces: list[tuple[int, int]], end: int) -> None:
        outputs = readout.intercept.size
        begin = pieces[0][0] if pieces else 0
        coefficients = np.zeros((outputs, end - begin))
        first = 0
        for place, width in pieces:
            coefficients[:, place - begin : place - begin + width] = readout.coefficients[first : first + width].T
            first += width
        unit = np.broadcast_to(readout.unit, (outputs,))
        limit = np.finfo(np.float64).max / np.maximum(unit, 1.0)
        at = self._number(np.concatenate([coefficients.ravel(), readout.intercept, limit, unit]))
        self._step([READOUT, begin, 0, 0, at, end - begin])
