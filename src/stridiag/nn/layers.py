r"""Structured layers: H -> f(H[:, source] W' + b) with W a `StridiagMatrix`; no dense weight is ever formed.

Cost of a forward step: 2 nnz flops and one evaluation of f per unit, for each sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.forward import IDENTITY
from stridiag.errors import StructureError
from stridiag.nn.activations import activation
from stridiag.nn.forward import affine, result_type
from stridiag.nn.parts import require_array
from stridiag.nn.storage import storable
from stridiag.structure import StridiagMatrix

__all__ = ["Layer", "draw_source", "source_width"]

Array = NDArray[Any]
Index = NDArray[np.int64]


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
    tied : bool, default False
        Whether each wrapped diagonal holds one number, as in a convolution. The weight stores it in each slot, since
        that is what the kernels read; it is counted as one parameter.

    Raises
    ------
    StructureError
        If the parts do not fit, or diagonals said to be tied are not constant.
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
    tied: bool = False

    def __post_init__(self) -> None:
        if self.weight.batch_shape or self.weight.dtype.kind == "c":
            raise StructureError(f"a layer's weight must be one real matrix, got {self.weight}")
        rows, columns = self.weight.structure.shape
        require_array(self.bias, "bias", (rows,))
        activation(self.activation)
        if self.source is None:
            if self.inputs not in (-1, columns):
                raise StructureError(f"without source, inputs must be {columns}, got {self.inputs}")
            object.__setattr__(self, "inputs", columns)
        elif self.inputs < 0:
            raise StructureError("with source, inputs must say how many inputs there are; it was left out")
        elif self.source.dtype != np.int64:
            raise StructureError(f"source must be int64, got {self.source.dtype}")
        elif self.source.shape != (columns,) or not (
            self.source.min(initial=0) >= 0 and self.source.max(initial=-1) < self.inputs
        ):
            raise StructureError(f"source must hold {columns} indices below {self.inputs}, got {self.source.shape}")
        if self.tied:
            self._check_tied()

    def _check_tied(self) -> None:
        structure, values = self.weight.structure, self.weight.values
        if structure.link_count:
            raise StructureError(f"tied diagonals go without links, got {structure.link_count}")
        rows, columns = structure.coordinates()
        _, first, which = np.unique(
            (columns - rows) % max(1, min(structure.shape)), return_index=True, return_inverse=True
        )
        differ = np.flatnonzero(values != values[first[which]])
        if differ.size:
            i, j = int(rows[differ[0]]), int(columns[differ[0]])
            raise StructureError(f"tied diagonals must be constant, but that of entry ({i}, {j}) is not")

    @property
    def units(self) -> int:
        """Number of outputs."""
        return self.bias.size

    @property
    def parameter_count(self) -> int:
        """Weights (of tied diagonals one each) and biases; the input permutation is not counted."""
        if self.tied:
            modulus = max(1, min(self.weight.structure.shape))
            return len({offset % modulus for offset in self.weight.offsets}) + self.bias.size
        return self.weight.nnz + self.bias.size

    def preactivation(self, rows: Array) -> Array:
        """Return ``H[:, source] W' + b``, (samples, units), for rows of shape (samples, inputs)."""
        return self._map(rows, None, IDENTITY)

    def forward(self, rows: Array, out: Array | None = None) -> Array:
        """Return the layer's values, (samples, units), for rows of shape (samples, inputs).

        A row's values are the same, to the last bit, alone and among others, and for any number of threads.

        Parameters
        ----------
        rows : ndarray, (samples, inputs)
            float32 rows and weights give float32 values, everything else float64.
        out : ndarray, (samples, units), optional
            Where to write, of the result's type; its rows are contiguous (columns of a larger table, for example)
            and do not overlap `rows`.

        Raises
        ------
        StructureError
            If the number of inputs differs, or `out` is of another shape or layout.
        """
        function = activation(self.activation)
        result = self._map(rows, out, function.code)
        if function.code == IDENTITY:
            function.apply_inplace(result)
        return result

    def _map(self, rows: Array, out: Array | None, code: int) -> Array:
        if rows.ndim != 2 or rows.shape[1] != self.inputs:
            raise StructureError(f"rows must have shape (samples, {self.inputs}), got {rows.shape}")
        if out is not None:
            self._check_out(rows, out)
        return affine(self.weight, self.bias, self.source, self.inputs, rows, out, code)

    def _check_out(self, rows: Array, out: Array) -> None:
        expected = (rows.shape[0], self.units), result_type(rows, self.weight)
        if (out.shape, out.dtype) != expected:
            raise StructureError(f"out must be {expected[1]} of shape {expected[0]}, got {out.dtype} {out.shape}")
        step, item = out.strides
        if not out.flags.writeable or (self.units > 1 and item != out.itemsize) or step < 0 or step % out.itemsize:
            raise StructureError("out must be writeable and each of its rows contiguous")
        if np.may_share_memory(rows, out) and np.shares_memory(rows, out):
            raise StructureError("out must not share memory with rows")


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
