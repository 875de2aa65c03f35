r"""An average of small networks, the same inputs for all, and a memory of what they all got wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import require_finite
from stridiag.errors import StructureError
from stridiag.nn.memory import Memory
from stridiag.nn.mixed_units import MixedUnits
from stridiag.nn.network import ParameterCount, row_blocks
from stridiag.nn.ranks import Both
from stridiag.nn.readout import Readout

__all__ = ["Ensemble", "Member"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One network of the average: hidden units and readout.

    Parameters
    ----------
    hidden : MixedUnits
        Reads transformed rows.
    readout : Readout
        On its features.
    """

    hidden: MixedUnits
    readout: Readout


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """The mean of some networks, plus the memory's correction, within bounds.

    Parameters
    ----------
    inputs : Both
        Transform of the rows, shared.
    members : tuple of Member
        At least one.
    memory : Memory or None
        Adds its correction to the mean.
    lower, upper : ndarray, (q,)
        Predictions stop there; infinite for none.
    """

    inputs: Both
    members: tuple[Member, ...]
    memory: Memory | None
    lower: Array
    upper: Array

    def decision(self, rows: ArrayLike) -> Array:
        """Return the outputs, (n, q), of rows of shape (n, d).

        Raises
        ------
        StructureError
            If the shape is another.
        NonFiniteError
            If a number is NaN or infinite.
        """
        x = np.asarray(rows, np.float64)
        if x.ndim != 2 or x.shape[1] != self.inputs.inputs:
            raise StructureError(f"rows must have shape (samples, {self.inputs.inputs}), got {x.shape}")
        require_finite(x, "rows")
        result = np.empty((x.shape[0], self.lower.size))
        widest = max(member.hidden.columns for member in self.members)
        for block in row_blocks(x.shape[0], widest):
            t = self.inputs.apply(x[block])
            out = mean_of_members(self.members, t)
            if self.memory is not None:
                out += self.memory.correction(t)
            result[block] = np.clip(out, self.lower, self.upper)
        return result

    def parameter_count(self) -> ParameterCount:
        """Count hidden numbers (premixes included), readouts, and both; the memory's rows are not parameters."""
        hidden = sum(member.hidden.parameter_count for member in self.members)
        readout = sum(m.readout.coefficients.size + m.readout.intercept.size for m in self.members)
        return ParameterCount(hidden, readout, hidden + readout)


def mean_of_members(members: tuple[Member, ...], t: Array) -> Array:
    """Return the mean of the members' outputs for transformed rows."""
    total = members[0].readout.apply(members[0].hidden.features(t))
    for member in members[1:]:
        total += member.readout.apply(member.hidden.features(t))
    total /= len(members)
    return total
