r"""An average of small networks, the same inputs for all, and a memory of what they all got wrong.

On noisy tables several narrow networks err less than one of all their units, and cost less: the readout's work grows
with the square of the width. On noiseless ones width is all that counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag.errors import StructureError
from stridiag.nn.hidden import row_blocks
from stridiag.nn.memory import Memory
from stridiag.nn.mixed_units import MixedUnits
from stridiag.nn.network import ParameterCount, checked_rows
from stridiag.nn.parts import require_array, require_columns
from stridiag.nn.ranks import Both
from stridiag.nn.readout import Readout
from stridiag.nn.storage import storable

__all__ = ["PRESETS", "Ensemble", "Member", "Preset", "Sizes", "mean_of_members", "networks_for", "sizes_for"]

Array = NDArray[Any]
Preset = Literal["fast", "accurate"]


class Sizes(NamedTuple):
    """How large a fit is.

    Parameters
    ----------
    units, networks : int
        Width of each network, and how many are averaged.
    small_units, small_rows : int
        Of the small networks that relevance comes from.
    noiseless_units : int
        Width where there is next to no noise.
    """

    units: int
    networks: int
    small_units: int
    small_rows: int
    noiseless_units: int


# (most rows, sizes): chosen on rows that no reported score was taken from.
_FAST = (
    (1500.0, Sizes(800, 4, 300, 1500, 800)),
    (5000.0, Sizes(600, 3, 300, 2000, 800)),
    (12000.0, Sizes(700, 2, 300, 2000, 800)),
    (np.inf, Sizes(850, 1, 300, 2000, 1600)),
)
_ACCURATE = (
    (1500.0, Sizes(600, 10, 500, 2000, 960)),
    (5000.0, Sizes(900, 6, 500, 4000, 1440)),
    (12000.0, Sizes(1500, 4, 600, 5000, 2400)),
    (np.inf, Sizes(2000, 3, 600, 5000, 3200)),
)
# Rows from which one network is enough without noise.
_MANY = 5000.0
PRESETS = {"fast": _FAST, "accurate": _ACCURATE}


def sizes_for(observations: float, preset: Preset) -> Sizes:
    """Return the sizes for that many rows: networks of at most twice as many units, small ones of half as many."""
    found = next(sizes for most, sizes in PRESETS[preset] if observations <= most)
    # Small networks are compared with each other, and near interpolation their leave-one-out errors say little.
    half, twice = max(1, int(observations / 2)), max(1, int(2 * observations))
    return found._replace(
        units=min(found.units, twice),
        small_units=min(found.small_units, half),
        noiseless_units=min(found.noiseless_units, 2 * twice),
    )


def networks_for(observations: float, preset: Preset, *, noiseless: bool) -> int:
    """Return how many networks are averaged: of many rows without noise one, for there is nothing to average."""
    return 1 if noiseless and observations > _MANY else sizes_for(observations, preset).networks


@storable
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

    def __post_init__(self) -> None:
        require_columns(self.hidden.columns, self.readout.coefficients.shape[0], "the readout")


@storable
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

    def __post_init__(self) -> None:
        if not self.members:
            raise StructureError("an ensemble needs at least one member, got none")
        outputs = self.members[0].readout.intercept.size
        for member in self.members:
            require_columns(self.inputs.columns, member.hidden.inputs, "a member")
            require_array(member.readout.intercept, "intercepts of members", (outputs,))
        require_array(self.lower, "lower", (outputs,))
        require_array(self.upper, "upper", (outputs,))
        if self.memory is not None:
            require_columns(self.inputs.columns, self.memory.metric.shape[0], "the memory")
            require_array(self.memory.residuals, "residuals", (self.memory.rows.shape[0], outputs))

    def decision(self, rows: ArrayLike) -> Array:
        """Return the outputs, (n, q), of rows of shape (n, d).

        Raises
        ------
        StructureError
            If the shape is another.
        NonFiniteError
            If a number is NaN or infinite.
        """
        return self.outputs(checked_rows(rows, self.inputs.inputs))

    def outputs(self, x: Array) -> Array:
        """Return the outputs, (n, q), of float64 rows of shape (n, d), without any check."""
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

    @property
    def premix_count(self) -> int:
        """How many of the hidden numbers are in dense premixes."""
        return sum(0 if member.hidden.premix is None else member.hidden.premix.size for member in self.members)


def mean_of_members(members: tuple[Member, ...], t: Array) -> Array:
    """Return the mean of the members' outputs for transformed rows."""
    total = members[0].readout.apply(members[0].hidden.features(t))
    for member in members[1:]:
        total += member.readout.apply(member.hidden.features(t))
    total /= len(members)
    return total
