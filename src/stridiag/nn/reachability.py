r"""Which inputs can reach which outputs through a stack of structured layers.

Layer by layer, :math:`R_t = S_t R_{t-1}` in the algebra of "or" and "and", with S the positions of a layer's entries:
an output is reached by an input if there is a path of entries between them, whatever their values. With 3 diagonals a
layer multiplies what an output sees by at most 3, so that n inputs need at least :math:`\lceil \log_3 n \rceil`
layers; ``"ternary"`` offsets need no more.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.sparse import csr_array

from stridiag.errors import StructureError
from stridiag.nn.layers import Layer
from stridiag.structure import Structure

__all__ = ["reachability", "reaches_all"]


def reachability(layers: Iterable[Layer | Structure]) -> csr_array:
    """Return which inputs reach which outputs of a stack.

    Parameters
    ----------
    layers : iterable of Layer or Structure
        From first to last; the source of a layer is taken into account.

    Returns
    -------
    scipy.sparse.csr_array of bool, (outputs, inputs)
        Stored entries are True.

    Raises
    ------
    StructureError
        If there is no layer, or one does not fit the one before it.

    Notes
    -----
    Cost: the number of paths of each layer's entries to inputs, at most nnz times the number of inputs.

    Examples
    --------
    >>> from stridiag.nn import layer_offsets, reachability, wrapped_structure
    >>> shapes = [(27, 27)] * 3
    >>> stack = [wrapped_structure(s, o) for s, o in zip(shapes, layer_offsets("ternary", shapes))]
    >>> [reachability(stack[:depth]).nnz / 27 for depth in (1, 2, 3)]
    [3.0, 9.0, 27.0]
    """
    reached: csr_array | None = None
    for layer in layers:
        step = _step(layer)
        if reached is None:
            reached = step
        elif step.shape[1] != reached.shape[0]:
            raise StructureError(f"a layer reads {step.shape[1]} values, but {reached.shape[0]} come to it")
        else:
            reached = csr_array(step @ reached)
    if reached is None:
        raise StructureError("reachability needs at least one layer, got none")
    return reached


def reaches_all(layers: Iterable[Layer | Structure]) -> bool:
    """Whether every input reaches every output of a stack; see `reachability`.

    Examples
    --------
    >>> from stridiag.nn import reaches_all, wrapped_structure
    >>> reaches_all([wrapped_structure((9, 9), (0, 1, -1)), wrapped_structure((9, 9), (0, 3, -3))])
    True
    >>> reaches_all([wrapped_structure((9, 9), (0, 1, -1))] * 2)
    False
    """
    reached = reachability(layers)
    return bool(reached.nnz == reached.shape[0] * reached.shape[1])


def _step(layer: Layer | Structure) -> csr_array:
    structure, source, inputs = layer, None, 0
    if isinstance(layer, Layer):
        structure, source, inputs = layer.weight.structure, layer.source, layer.inputs
    if not isinstance(structure, Structure):
        raise TypeError(f"expected a Layer or a Structure, got {type(layer).__name__}")
    rows, columns = structure.coordinates()
    shape = structure.shape
    if source is not None:
        columns, shape = source[columns], (shape[0], inputs)
    # Built of booleans, repeated positions are merged by "or".
    step = csr_array((np.ones(rows.size, bool), (rows, columns)), shape=shape)
    step.sum_duplicates()
    return step
