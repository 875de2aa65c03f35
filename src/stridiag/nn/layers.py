r"""Structured layers: H -> f(H[:, source] W' + b) with W a `StridiagMatrix`; no dense weight is ever formed.

Cost of a forward step: 2 nnz flops and one evaluation of f per unit, for each sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag import structure as structures
from stridiag.errors import StructureError
from stridiag.nn.activations import activation
from stridiag.nn.offsets import wrapped_offsets
from stridiag.nn.storage import storable
from stridiag.structure import StridiagMatrix

__all__ = ["Layer", "draw_source", "draw_weight", "source_width"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Numbers in one block of samples: 1 MB, so that gather, product and activation meet in the second cache.
_BLOCK = 1 << 17


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    r"""One layer, :math:`f(H[:, \text{source}]\, W^T + b)`.

    Parameters
    ----------
    weight : StridiagMatrix
        (outputs, columns), real.
    bias : ndarray, (outputs,)
        Added to each pre-activation.
    activation : str
        Name of f; see `ACTIVATIONS`.
    source : ndarray of int64, (columns,), optional
        Which input each column of the weight reads: a permutation, or several one after another (a fresh one
        for each time that the diagonals wrap around the inputs). None: column j reads input j.
    inputs : int, optional
        Number of inputs; taken from the weight where `source` is None.

    Raises
    ------
    StructureError
        If the parts do not fit.
    ValueError
        If the activation is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag import StridiagMatrix
    >>> from stridiag.nn import Layer
    >>> W = StridiagMatrix.from_diagonals({0: [1.0, 2.0], 1: [3.0]})
    >>> Layer(W, np.zeros(2), "relu").forward(np.array([[1.0, -1.0]]))
    array([[0., 0.]])
    """

    weight: StridiagMatrix
    bias: Array
    activation: str
    source: Index | None = None
    inputs: int = -1

    def __post_init__(self) -> None:
        if self.weight.batch_shape or self.weight.dtype.kind == "c":
            raise StructureError(f"a layer's weight must be one real matrix, got {self.weight}")
        rows, columns = self.weight.structure.shape
        if self.bias.shape != (rows,):
            raise StructureError(f"bias must have shape ({rows},), got {self.bias.shape}")
        activation(self.activation)
        if self.source is None:
            if self.inputs not in (-1, columns):
                raise StructureError(f"without source, inputs must be {columns}, got {self.inputs}")
            object.__setattr__(self, "inputs", columns)
        elif self.inputs < 0:
            raise StructureError("with source, inputs must say how many inputs there are; it was left out")
        elif self.source.shape != (columns,) or not (
            self.source.min(initial=0) >= 0 and self.source.max(initial=-1) < self.inputs
        ):
            raise StructureError(f"source must hold {columns} indices below {self.inputs}, got {self.source.shape}")

    @property
    def units(self) -> int:
        """Number of outputs."""
        return self.bias.size

    @property
    def parameter_count(self) -> int:
        """Weights and biases; the input permutation is not counted."""
        return self.weight.nnz + self.bias.size

    def preactivation(self, rows: Array) -> Array:
        """Return ``H[:, source] W' + b``, (samples, units), for rows of shape (samples, inputs)."""
        return self._map(rows, activate=False)

    def forward(self, rows: Array) -> Array:
        """Return the layer's values, (samples, units), for rows of shape (samples, inputs).

        Raises
        ------
        StructureError
            If the number of inputs differs.
        """
        return self._map(rows, activate=True)

    def _map(self, rows: Array, *, activate: bool) -> Array:
        if rows.ndim != 2 or rows.shape[1] != self.inputs:
            raise StructureError(f"rows must have shape (samples, {self.inputs}), got {rows.shape}")
        apply_inplace = activation(self.activation).apply_inplace
        result = np.empty((rows.shape[0], self.units), np.result_type(rows.dtype, self.weight.dtype))
        step = max(1, _BLOCK // max(1, self.units, self.weight.structure.shape[1]))
        for start in range(0, rows.shape[0], step):
            block = rows[start : start + step]
            block = np.ascontiguousarray(block) if self.source is None else np.take(block, self.source, axis=1)
            out = result[start : start + step]
            np.add((self.weight @ block.T).T, self.bias, out=out)
            if activate:
                apply_inplace(out)
        return result


def source_width(units: int, inputs: int, *, shuffle: bool) -> int:
    """Return the number of columns of a layer's weight.

    A shuffled layer that widens reads a list of as many entries as it has units, so that its weight is
    square.
    """
    return max(units, inputs) if shuffle else inputs


def draw_source(units: int, inputs: int, rng: np.random.Generator) -> Index:
    """Draw which input each column reads: a fresh permutation for each time around the inputs.

    Returns
    -------
    ndarray of int64, (max(units, inputs),)
    """
    width = source_width(units, inputs, shuffle=True)
    wraps = -(-width // inputs)
    return np.concatenate([rng.permutation(inputs) for _ in range(wraps)])[:width].astype(np.int64)


def draw_weight(
    shape: tuple[int, int], offsets: tuple[int, ...], links: int, rng: np.random.Generator
) -> StridiagMatrix:
    """Draw a weight of heavy-tailed entries on wrapped diagonals and random links.

    Entries are standard normal numbers times their own magnitude: most rows then lean on one or two of their
    inputs and some on all, so that one structure holds units of many degrees of interaction.

    Parameters
    ----------
    shape : tuple of int
        ``(units, columns)``.
    offsets : tuple of int
        Wrapped offsets.
    links : int
        How many further entries, at random places.
    rng : numpy.random.Generator
        Where the numbers come from.

    Returns
    -------
    StridiagMatrix

    Raises
    ------
    StructureError
        If there is no room for that many links.
    """
    weight = structures.random(shape, wrapped_offsets(shape, offsets), links, rng=rng)
    return weight.with_values(weight.values * np.abs(weight.values), copy=False)
