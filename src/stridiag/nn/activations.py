"""Activation functions, and the inverse that carries targets through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.forward import IDENTITY, RELU, TANH
from stridiag.nn.options import check_name

__all__ = ["ACTIVATIONS", "Activation", "activation"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Activation:
    """A function applied entry by entry, with its inverse if it has one.

    Parameters
    ----------
    name : str
        What layers store.
    apply_inplace : callable
        Overwrites an array with the function's values.
    inverse : callable or None
        The inverse on the open interval `image`.
    image : tuple of float
        The interval of values, ends excluded.
    code : int, optional
        By which the forward kernels know the function. Of one that they do not know they leave the pre-activation.
    """

    name: str
    apply_inplace: Callable[[Array], None]
    inverse: Callable[[Array], Array] | None
    image: tuple[float, float]
    code: int = IDENTITY

    def preimage(self, targets: Array, lower: Array, upper: Array, *, margin: float = 0.05) -> Array:
        r"""Carry targets backwards through the function, each unit scaled into the image by itself.

        .. math:: U = f^{-1}\bigl(c + r\,(T - \tfrac12 (l + u)) / (u - l)\bigr)

        with c the middle of the image and r its length less `margin` on both sides. A unit's targets keep
        their order and their relative distances, which clipping would destroy; since the layer that is
        trained on U is solved afresh, nothing has to undo the scaling.

        Parameters
        ----------
        targets : ndarray, (samples, units)
            What the layer should put out.
        lower, upper : ndarray, (units,)
            The range of each unit that is mapped onto the image; entries beyond it are moved to its ends.
            A unit of empty range gives the inverse of the image's middle.
        margin : float, default 0.05
            Share of the image that is kept free at each end, where the inverse grows without bound.

        Returns
        -------
        ndarray, (samples, units)

        Raises
        ------
        ValueError
            If the function has no inverse.
        """
        if self.inverse is None:
            raise ValueError(f"activation {self.name!r} has no inverse; targets can pass through 'tanh' only")
        low, high = self.image
        width = upper - lower
        room = (high - low) * (1.0 - 2.0 * margin)
        slope = np.divide(room, width, out=np.zeros_like(width), where=width > 0)
        scaled = (targets - 0.5 * (lower + upper)) * slope
        np.clip(scaled, -0.5 * room, 0.5 * room, out=scaled)
        return self.inverse(scaled + 0.5 * (low + high))


def _tanh(z: Array) -> None:
    np.tanh(z, out=z)


def _relu(z: Array) -> None:
    np.maximum(z, 0.0, out=z)


ACTIVATIONS = {
    "tanh": Activation("tanh", _tanh, np.arctanh, (-1.0, 1.0), TANH),
    "relu": Activation("relu", _relu, None, (0.0, np.inf), RELU),
}


def activation(name: str) -> Activation:
    """Return the activation of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists those that exist.
    """
    return ACTIVATIONS[check_name(name, "activation", ACTIVATIONS)]
