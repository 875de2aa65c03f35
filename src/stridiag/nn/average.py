"""The mean of several networks, each with an input transform of its own: less chance in what was drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag.nn.network import Network, ParameterCount
from stridiag.nn.parts import require_array, require_columns
from stridiag.nn.storage import storable

__all__ = ["Average"]

Array = NDArray[Any]


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Average:
    """The mean of the outputs of some networks.

    Parameters
    ----------
    members : tuple of Network
        At least one, of equal inputs and outputs.

    Raises
    ------
    ValueError
        If there is none.
    """

    members: tuple[Network, ...]

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("an average needs at least one network, got none")
        first = self.members[0]
        for member in self.members:
            require_columns(first.inputs.inputs, member.inputs.inputs, "a member")
            require_array(member.readout.intercept, "intercepts of members", first.readout.intercept.shape)

    def decision(self, rows: ArrayLike) -> Array:
        """Return the outputs, (samples, outputs), of finite rows of shape (samples, inputs).

        Raises
        ------
        StructureError, NonFiniteError
            As for `Network.decision`.
        """
        total = self.members[0].decision(rows)
        for member in self.members[1:]:
            total += member.decision(rows)
        total /= len(self.members)
        return total

    def parameter_count(self) -> ParameterCount:
        """Count the numbers of all members."""
        return ParameterCount(*np.sum([member.parameter_count() for member in self.members], axis=0).tolist())
