"""Width, depth and structure of hidden layers: everything about them that is not data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stridiag.nn.activations import activation
from stridiag.nn.layers import source_width
from stridiag.nn.offsets import OffsetSpec, layer_offsets
from stridiag.nn.options import check_name, is_integer
from stridiag.nn.transforms import Scaling

__all__ = ["Architecture"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Width, depth and structure of the hidden layers: everything about them that is not data.

    Parameters
    ----------
    units : int, default 512
        Width of each layer.
    layers : int, default 3
        Number of layers.
    offsets : {"adjacent", "ternary"} or sequences of int, default "ternary"
        See `layer_offsets`.
    diagonals : int, optional
        Wrapped diagonals in a layer, for schedules; 3 by default.
    links : int, default 0
        Entries off the diagonals in each layer, at random places.
    shuffle : bool, default True
        Whether each layer reads its inputs through a random permutation (a fresh one for each time that it
        wraps around them). False where neighbouring inputs belong together, as in signals and images.
    activation : str, default "tanh"
        "tanh" or "relu".
    scaling : {"standard", "arcsinh"}, default "standard"
        What is done to the inputs; see `Standardization`.

    Raises
    ------
    ValueError
        If an option is unknown or a number out of range.
    """

    units: int = 512
    layers: int = 3
    offsets: OffsetSpec = "ternary"
    diagonals: int | None = None
    links: int = 0
    shuffle: bool = True
    activation: str = "tanh"
    scaling: Scaling = "standard"

    def __post_init__(self) -> None:
        for name, least in (("units", 1), ("layers", 1), ("links", 0)):
            value = getattr(self, name)
            if not is_integer(value) or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
        if not isinstance(self.shuffle, bool | np.bool_):
            raise ValueError(f"shuffle must be True or False, got {self.shuffle!r}")  # noqa: TRY004 - an option
        activation(self.activation)
        check_name(self.scaling, "scaling", ("standard", "arcsinh"))
        self.plan(self.units)

    def plan(self, inputs: int) -> list[tuple[tuple[int, int], tuple[int, ...]]]:
        """Return shape and wrapped offsets of each layer's weight, for that many inputs."""
        sizes = [inputs] + [self.units] * (self.layers - 1)
        shapes = [(self.units, source_width(self.units, size, shuffle=self.shuffle)) for size in sizes]
        return list(zip(shapes, layer_offsets(self.offsets, shapes, self.diagonals), strict=True))
