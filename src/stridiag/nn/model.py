"""What every fitted model can do, whichever recipe made it."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import ArrayLike, NDArray

from stridiag.nn.network import ParameterCount

__all__ = ["Model"]


class Model(Protocol):
    """A fitted map from rows to outputs: a `Network`, or an `Ensemble` of several with a memory."""

    def decision(self, rows: ArrayLike) -> NDArray[Any]:
        """Return the outputs, (samples, outputs), of finite rows of shape (samples, inputs)."""

    def parameter_count(self) -> ParameterCount:
        """Count the numbers that were drawn or solved for."""
