"""The weights of a layer that come nearest to what its units aim at, and links placed where the aim asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.layers import Layer
from stridiag.nn.links import choose_links
from stridiag.nn.masked import masked_least_squares
from stridiag.nn.statistics import Statistics

__all__ = ["nearest_layer"]

Array = NDArray[Any]

# Penalty of the masked least squares, on standardised inputs.
_ALPHA = 1e-3


def nearest_layer(layer: Layer, chunks: Iterable[tuple[Array, Array, Array]], links: int = 0) -> Layer:
    """Return the layer with the weights that come nearest to its targets.

    Parameters
    ----------
    layer : Layer
        Its structure, and its source, are where the search begins.
    chunks : iterable of (values, targets, weights)
        What it reads, (n, inputs), the pre-activations it aims at, (n, units), and sample weights.
    links : int, default 0
        At most so many entries are added, those that lower the residual most; see `choose_links`.
    """
    statistics = Statistics.from_chunks(chunks)
    structure = layer.weight.structure
    if links:
        weight = choose_links(statistics, structure, links, _ALPHA, source=layer.source).weight
    else:
        values, _ = masked_least_squares(statistics, structure, _ALPHA, layer.source)
        weight = layer.weight.with_values(values, copy=False)
    return replace(layer, weight=weight, bias=np.zeros(layer.units))
