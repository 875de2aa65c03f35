"""Width, depth and structure of hidden layers: everything about them that is not data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stridiag.nn.activations import activation
from stridiag.nn.initialisers import INITS, Init
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
    offsets : {"adjacent", "ternary", "random", "stencil2d"} or sequences of int, default "ternary"
        See `layer_offsets`.
    diagonals : int, optional
        Wrapped diagonals in a layer, for schedules; 3 by default, 9 for stencils.
    links : int, default 0
        Entries off the diagonals in each layer.
    link_choice : {"random", "correlation"}, default "random"
        Where they are: anywhere, or where they lower the residual of what the layer's units aim at most (see
        `choose_links`; for modes that solve weights for aims).
    shuffle : bool, default True
        Whether each layer reads its inputs through a random permutation (a fresh one for each time that it
        wraps around them). False where neighbouring inputs belong together, as in signals and images.
    activation : str, default "tanh"
        "tanh" or "relu".
    scaling : {"standard", "arcsinh"}, default "standard"
        What is done to the inputs; see `Standardization`.
    init : {"random", "dominant", "skew"}, default "random"
        How weights are drawn; the last two bound the condition of each layer (see `draw_weight`).
    tied : bool, default False
        Whether each wrapped diagonal holds one number; not with links.
    image_shape : tuple of int, optional
        ``(height, width)`` of the inputs, for stencils, which need it and ``shuffle=False``.

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
    link_choice: Literal["random", "correlation"] = "random"
    init: Init = "random"
    tied: bool = False
    image_shape: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, least in (("units", 1), ("layers", 1), ("links", 0)):
            value = getattr(self, name)
            if not is_integer(value) or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
        for name in ("shuffle", "tied"):
            value = getattr(self, name)
            if not isinstance(value, bool | np.bool_):
                raise ValueError(f"{name} must be True or False, got {value!r}")  # noqa: TRY004 - an option
        if self.tied and self.links:
            raise ValueError(f"tied diagonals go without links, got {self.links}")
        check_name(self.link_choice, "link_choice", ("random", "correlation"))
        if self.link_choice != "random" and not self.links:
            raise ValueError(f"link_choice={self.link_choice!r} says where links are: give links too")
        stencil = isinstance(self.offsets, str) and self.offsets == "stencil2d"
        if self.image_shape is not None and not stencil:
            raise ValueError(f"image_shape is for offsets='stencil2d', got offsets={self.offsets!r}")
        check_name(self.init, "init", INITS)
        activation(self.activation)
        check_name(self.scaling, "scaling", ("standard", "arcsinh"))
        if stencil:
            if self.shuffle:
                raise ValueError("offsets 'stencil2d' needs shuffle=False: neighbours are to stay together")
            if self.image_shape is None:
                raise ValueError("offsets 'stencil2d' needs image_shape=(height, width), got None")
            self.plan(int(np.prod(self.image_shape)))
        else:
            self.plan(self.units)

    @property
    def drawn_links(self) -> int:
        """How many links are drawn at random."""
        return self.links if self.link_choice == "random" else 0

    @property
    def data_links(self) -> int:
        """How many links the data place."""
        return self.links - self.drawn_links

    def plan(self, inputs: int) -> list[tuple[tuple[int, int], tuple[int, ...]]]:
        """Return shape and wrapped offsets of each layer's weight, for that many inputs."""
        sizes = [inputs] + [self.units] * (self.layers - 1)
        shapes = [(self.units, source_width(self.units, size, shuffle=self.shuffle)) for size in sizes]
        return list(
            zip(shapes, layer_offsets(self.offsets, shapes, self.diagonals, image_shape=self.image_shape), strict=True)
        )
