"""Where a training mode starts: freshly drawn layers, or those of a network that is there already."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.architecture import Architecture
from stridiag.nn.hidden import Hidden
from stridiag.nn.layers import Layer
from stridiag.nn.random_features import draw_layers, settle
from stridiag.nn.training import Clock

__all__ = ["layers_of", "starting_layers"]

Array = NDArray[Any]


def layers_of(hidden: Hidden) -> tuple[Layer, ...]:
    """Return the structured layers of a hidden part: of a stack, or the lift and branches of residual blocks.

    Raises
    ------
    TypeError
        If it is of another kind.
    """
    layers = getattr(hidden, "layers", None)
    if layers is None and hasattr(hidden, "lift"):
        layers = (hidden.lift, *(block.branch for block in hidden.blocks))  # type: ignore[attr-defined]
    if not (isinstance(layers, tuple) and layers and all(isinstance(layer, Layer) for layer in layers)):
        raise TypeError(f"a mode can start from a stack of layers or from residual blocks, not {type(hidden).__name__}")
    return layers


def starting_layers(
    x: Array,
    d: Array,
    architecture: Architecture,
    rng: np.random.Generator,
    clock: Clock,
    start: Hidden | None,
) -> tuple[tuple[Layer, ...], list[Array]]:
    """Return the layers that a mode begins with, settled on the rows, and each unit's anchors.

    Everything is drawn as mode "random" does. With `start`, its layers then take the place of as many drawn ones:
    structure, order of inputs and directions are theirs, scale and bias are set anew on these rows.

    Parameters
    ----------
    x, d : ndarray
        Transformed rows and their weights.
    architecture : Architecture
        Widths, depth and activation.
    rng, clock
        Of the fit.
    start : Hidden or None
        A hidden part of layers of the architecture's width.

    Raises
    ------
    ValueError
        If `start` has more layers, or others than the architecture asks for.
    """
    drawn, anchors = draw_layers(x, d, architecture, rng, clock)
    if start is None:
        return drawn, anchors
    given = layers_of(start)
    if len(given) > len(drawn):
        raise ValueError(f"start has {len(given)} layers, more than the {len(drawn)} of the architecture")
    layers: tuple[Layer, ...] = ()
    for i, (layer, anchor) in enumerate(zip(drawn, anchors, strict=True)):
        taken = given[i] if i < len(given) else layer
        if (taken.inputs, taken.units, taken.activation) != (layer.inputs, layer.units, layer.activation):
            raise ValueError(
                f"layer {i} of start maps {taken.inputs} to {taken.units} by {taken.activation!r}, "
                f"the architecture's {layer.inputs} to {layer.units} by {layer.activation!r}"
            )
        layers = (*layers, settle(replace(taken, bias=np.zeros(taken.units)), x, d, layers, anchor))
    return layers, anchors
