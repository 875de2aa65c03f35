"""Warm starts: the layers of a network that is there already, in the place of freshly drawn ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stridiag.nn.hidden import Hidden
from stridiag.nn.layers import Layer

__all__ = ["fitting", "layers_of"]


def layers_of(hidden: Hidden | None, most: int) -> tuple[Layer, ...]:
    """Return the structured layers of a hidden part: of a stack or of residual blocks.

    Parameters
    ----------
    hidden : Hidden or None
        None has no layers.
    most : int
        How many there is room for.

    Raises
    ------
    TypeError
        If it is of another kind.
    ValueError
        If there are more layers than that.
    """
    if hidden is None:
        return ()
    layers = getattr(hidden, "layers", None)
    if not (isinstance(layers, tuple) and all(isinstance(layer, Layer) for layer in layers)):
        raise TypeError(f"a mode can start from a stack of layers or from residual blocks, not {type(hidden).__name__}")
    if len(layers) > most:
        raise ValueError(f"start has {len(layers)} layers, more than the {most} of the architecture")
    return layers


def fitting(given: Layer, drawn: Layer, place: int) -> Layer:
    """Return the given layer, unsettled, if it can take the place of the drawn one; ValueError otherwise."""
    if (given.inputs, given.units, given.activation) != (drawn.inputs, drawn.units, drawn.activation):
        raise ValueError(
            f"layer {place} of start maps {given.inputs} values to {given.units} by {given.activation!r}, "
            f"the architecture's {drawn.inputs} to {drawn.units} by {drawn.activation!r}"
        )
    return replace(given, bias=np.zeros(given.units))
