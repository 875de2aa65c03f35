"""Models that take more rows: the hidden part stays, statistics of its features add up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.ensemble import Ensemble
from stridiag.nn.model import Model
from stridiag.nn.network import Network
from stridiag.nn.readout import Penalty
from stridiag.nn.storage import storable
from stridiag.nn.streaming import Stream

__all__ = ["Online"]

Array = NDArray[Any]


@storable
@dataclass(frozen=True, slots=True, eq=False)
class Online:
    """A model of frozen hidden parts, and one `Stream` of statistics for each of its networks.

    Parameters
    ----------
    frame : Network or Ensemble
        The model of the first rows; its readouts are solved anew.
    streams : tuple of Stream
        One for a network, one for each member of an average.
    per_output : bool
        Whether each output has a penalty of its own.
    """

    frame: Network | Ensemble
    streams: tuple[Stream, ...]
    per_output: bool

    @classmethod
    def begin(cls, model: Model, x: Array, z: Array, weights: Array | None, *, per_output: bool) -> Online:
        """Start with the rows that the model was fitted to; these can not be taken back."""
        assert isinstance(model, Network | Ensemble)
        parts = [model.hidden] if isinstance(model, Network) else [member.hidden for member in model.members]
        streams = tuple(Stream.begin(model.inputs, part, x, z, weights, held=x) for part in parts)
        return cls(model, streams, per_output)

    def named(self, classes: Array) -> Online:
        """Return it with names for the columns of the targets, which are indicators."""
        return replace(self, streams=tuple(replace(stream, classes=classes) for stream in self.streams))

    def update(self, x: Array, y: Array, weights: Array | None) -> Online:
        """Return it with these rows too."""
        streams = tuple(stream.update(x, y, weights) for stream in self.streams)
        frame = self.frame
        if isinstance(frame, Ensemble) and np.isfinite(frame.lower).all():
            frame = replace(
                frame, lower=np.minimum(frame.lower, y.min(axis=0)), upper=np.maximum(frame.upper, y.max(axis=0))
            )
        return replace(self, frame=frame, streams=streams)

    def forget(self, x: Array, y: Array, weights: Array | None) -> Online:
        """Return it without these rows."""
        return replace(self, streams=tuple(stream.forget(x, y, weights) for stream in self.streams))

    def model(self, alpha: Penalty) -> Model:
        """Solve the readouts for all rows so far."""
        penalty: Penalty = "gcv" if isinstance(alpha, str) else alpha
        readouts = [stream.readout(penalty, per_output=self.per_output) for stream in self.streams]
        if isinstance(self.frame, Network):
            return replace(self.frame, readout=readouts[0])
        members = (replace(m, readout=r) for m, r in zip(self.frame.members, readouts, strict=True))
        outputs = readouts[0].intercept.size
        more = outputs - self.frame.lower.size
        lower, upper = self.frame.lower, self.frame.upper
        if more:
            # Scores of classes have no bounds.
            lower, upper = np.full(outputs, -np.inf), np.full(outputs, np.inf)
        return replace(self.frame, members=tuple(members), lower=lower, upper=upper)
