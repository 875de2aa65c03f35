r"""Units for tables: sparse relu units and mixed tanh units, side by side, each bent at a training row.

Both are `Layer` s on a list of inputs that is drawn in wraps: unit i reads the k entries i, i + 1, ..., i + k - 1 of
its list, which are k wrapped diagonals of a square weight.

* **Sparse**, relu: k is drawn for each wrap from 1, 2, 3, 4, 6, 8, 12, so that units of many degrees of interaction
  stand side by side. Weights are normal over sqrt(k), times the relevance r of the inputs they read.
* **Mixed**, tanh: weights follow the correlations that relevance found among inputs. With M = A^(1/2), A the average
  gradient outer product (see `relevance`), ``mixing="dense"`` puts a d x d *premix* M Q, Q a random rotation, in front
  of k diagonals; its d^2 numbers are counted with the others. ``mixing="structured"`` has none: a unit that reads the
  inputs S draws its weights from

  .. math:: w_S \sim N(0, A_{SS} / k),

  what is left of a dense unit w ~ N(0, A) when all inputs but S are taken off. Where k reaches d they are the same.
  Either is divided by max(|g|, 0.1), g normal: many gains at once, from almost linear to almost a step.

The bias of each unit is minus its pre-activation at one training row. Inputs are always features too.

Cost: 2 nnz flops a row (2 d^2 more for a premix) and one activation for each unit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import StructureError
from stridiag.nn.layers import Layer
from stridiag.nn.offsets import wrapped_structure
from stridiag.nn.parts import require_array, require_columns, require_count
from stridiag.nn.storage import storable
from stridiag.structure import StridiagMatrix

__all__ = ["MixedUnits", "Mixing", "draw_units"]

Array = NDArray[Any]
Index = NDArray[np.int64]
Mixing = Literal["dense", "structured"]

SPARSE_DEGREES = (1, 2, 3, 4, 6, 8, 12)
# Diagonals of mixed units behind a premix, and without one.
BEHIND_PREMIX, WITHOUT_PREMIX = 12, 16
_LEAST_GAIN = 0.1
_KINK = 1e-9


@storable
@dataclass(frozen=True, slots=True, eq=False)
class MixedUnits:
    """Features ``[T, relu units, tanh units]`` of transformed rows T.

    Parameters
    ----------
    inputs : int
        Number of columns of T.
    sparse : tuple of Layer
        Relu layers on T.
    premix : ndarray, (inputs, inputs), or None
        Mixed units read ``T @ premix.T``; None: T itself.
    mixed : tuple of Layer
        Tanh layers.
    """

    inputs: int
    sparse: tuple[Layer, ...]
    premix: Array | None
    mixed: tuple[Layer, ...]

    def __post_init__(self) -> None:
        require_count(self.inputs, "inputs")
        if not self.sparse + self.mixed:
            raise StructureError("hidden units need at least one layer, got none")
        for layer in self.sparse + self.mixed:
            require_columns(self.inputs, layer.inputs, "a layer")
        if self.premix is not None:
            require_array(self.premix, "premix", (self.inputs, self.inputs))

    @property
    def columns(self) -> int:
        """Number of features."""
        return self.inputs + sum(layer.units for layer in self.sparse + self.mixed)

    @property
    def parameter_count(self) -> int:
        """Weights and biases of all layers, and all numbers of the premix."""
        premix = 0 if self.premix is None else self.premix.size
        return premix + sum(layer.parameter_count for layer in self.sparse + self.mixed)

    def features(self, rows: Array) -> Array:
        """Return the features of transformed rows, (n, columns): float32 for rows and weights of it, else float64."""
        single = rows.dtype == np.float32 and self.dtype == np.float32
        result = np.empty((rows.shape[0], self.columns), np.float32 if single else np.float64)
        result[:, : self.inputs] = rows
        start = self.inputs
        for layer, read in self._reads(rows):
            layer.forward(read, out=result[:, start : start + layer.units])
            start += layer.units
        return result

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the weights."""
        return np.dtype(np.result_type(*(layer.weight.dtype for layer in self.sparse + self.mixed)))

    def single(self) -> MixedUnits:
        """Return the same units in single precision: half the work."""
        premix = None if self.premix is None else self.premix.astype(np.float32)
        return MixedUnits(self.inputs, tuple(map(_single, self.sparse)), premix, tuple(map(_single, self.mixed)))

    def gradients(self, rows: Array, coefficients: Array) -> Array:
        """Return the gradients of ``features(rows) @ coefficients`` with respect to the rows.

        Parameters
        ----------
        rows : ndarray, (n, inputs)
            Transformed rows.
        coefficients : ndarray, (columns,)
            Of one output.

        Returns
        -------
        ndarray, (n, inputs)
        """
        plain = np.tile(coefficients[: self.inputs], (rows.shape[0], 1))
        behind = np.zeros_like(plain)
        start = self.inputs
        for layer, read in self._reads(rows):
            slope = layer.forward(read)
            if layer.activation == "relu":
                # At its own anchor a unit is 0 up to rounding, which must not decide.
                slope = (slope > _KINK).astype(np.float64)
            else:
                np.square(slope, out=slope)
                np.subtract(1.0, slope, out=slope)
            slope *= coefficients[start : start + layer.units]
            total = plain if read is rows else behind
            total += slope @ _dense(layer, self.inputs)
            start += layer.units
        return plain if self.premix is None else plain + behind @ self.premix

    def _reads(self, rows: Array) -> list[tuple[Layer, Array]]:
        behind = rows if self.premix is None else rows @ self.premix.T
        return [(layer, rows) for layer in self.sparse] + [(layer, behind) for layer in self.mixed]


def draw_units(
    anchors: Array,
    sparse: int,
    mixed: int,
    mixing: Mixing,
    relevance: Array,
    factor: Array,
    rng: np.random.Generator,
) -> MixedUnits:
    """Draw the units.

    Parameters
    ----------
    anchors : ndarray, (sparse + mixed, d)
        Transformed rows at which the units bend, one each.
    sparse, mixed : int
        How many units of either kind; not both 0.
    mixing : {"dense", "structured"}
        Whether mixed units stand behind a premix.
    relevance : ndarray, (d,)
        Scale of each input for sparse units.
    factor : ndarray, (d, d) or (d,)
        M, symmetric, or its diagonal, for mixed units.
    rng : numpy.random.Generator
        Where the numbers come from.
    """
    d = relevance.size
    layers: list[Layer] = []
    start = 0
    for degree, units in _degrees(sparse, d, rng):
        source = _source(units, d, rng)
        values = rng.standard_normal((units, degree)) / np.sqrt(degree)
        values *= relevance[_read(source, units, degree)]
        layers.append(_layer(values, source, d, "relu", anchors[start : start + units]))
        start += units
    premix = None
    behind = anchors
    dense: list[Layer] = []
    if mixed:
        degree = min(BEHIND_PREMIX if mixing == "dense" else WITHOUT_PREMIX, d, mixed)
        # Where units read all inputs one order serves them all, and no unit meets an input twice.
        source = np.resize(rng.permutation(d), mixed) if degree == d else _source(mixed, d, rng)
        gains = np.maximum(np.abs(rng.standard_normal(mixed)), _LEAST_GAIN)[:, None]
        if mixing == "dense":
            turned = np.linalg.qr(rng.standard_normal((d, d)))[0]
            premix = turned * factor if factor.ndim == 1 else turned @ factor
            values = rng.standard_normal((mixed, degree)) / np.sqrt(degree)
            behind = anchors @ premix.T
        elif factor.ndim == 1:
            values = rng.standard_normal((mixed, degree)) * factor[_read(source, mixed, degree)] / np.sqrt(degree)
        else:
            whole = rng.standard_normal((mixed, d)) @ factor
            values = np.take_along_axis(whole, _read(source, mixed, degree), axis=1) / np.sqrt(degree)
        dense.append(_layer(values / gains, source, d, "tanh", behind[start:]))
    return MixedUnits(d, tuple(layers), premix, tuple(dense))


def _dense(layer: Layer, inputs: int) -> Array:
    """Return a layer's weights as (units, inputs): back through them all rows take one product."""
    rows, columns = layer.weight.structure.coordinates()
    read = columns if layer.source is None else layer.source[columns]
    # An input that a unit meets twice counts twice.
    values = np.bincount(rows * inputs + read, layer.weight.values, minlength=layer.units * inputs)
    return values.reshape(layer.units, inputs)


def _single(layer: Layer) -> Layer:
    weight = StridiagMatrix(layer.weight.structure, layer.weight.values.astype(np.float32), copy=False)
    return replace(layer, weight=weight, bias=layer.bias.astype(np.float32))


def _degrees(units: int, d: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draw a degree for each wrap; return (degree, units) for each degree that came."""
    wraps = -(-units // d)
    drawn = rng.choice(np.array([k for k in SPARSE_DEGREES if k <= d] or [1]), wraps)
    sizes = np.full(wraps, d)
    sizes[-1:] = units - d * (wraps - 1)
    result = []
    for degree in np.unique(drawn):
        own = int(sizes[drawn == degree].sum())
        result.append((min(int(degree), own), own))
    return result


def _source(units: int, d: int, rng: np.random.Generator) -> Index:
    wraps = -(-units // d)
    return np.concatenate([rng.permutation(d) for _ in range(wraps)])[:units].astype(np.int64)


def _read(source: Index, units: int, degree: int) -> Index:
    """Return which inputs each unit reads, (units, degree), in the order of the offsets 0 ... degree - 1."""
    return np.asarray(source[(np.arange(units)[:, None] + np.arange(degree)) % units])


def _layer(values: Array, source: Index, d: int, activation: str, anchors: Array) -> Layer:
    """Return the layer whose unit i weighs the inputs ``source[i], source[i + 1], ...`` by ``values[i]``."""
    units, degree = values.shape
    structure = wrapped_structure((units, units), range(degree))
    rows, columns = structure.coordinates()
    weight = StridiagMatrix(structure, values[rows, (columns - rows) % units], copy=False)
    read = _read(source, units, degree)
    bias = -np.einsum("ij,ij->i", values, np.take_along_axis(anchors, read, axis=1))
    return Layer(weight, bias, activation, source, d)
