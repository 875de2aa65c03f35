"""Models that take more rows: the hidden part stays, statistics of its features add up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.average import Average
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
    frame : Network, Average or Ensemble
        The model of the first rows; its readouts are solved anew.
    streams : tuple of Stream
        One for a network, one for each member of an average.
    per_output : bool
        Whether each output has a penalty of its own.
    penalties : tuple of ndarray
        For each stream: the penalty that the first fit chose, times the weight of its rows.
    """

    frame: Network | Average | Ensemble
    streams: tuple[Stream, ...]
    per_output: bool
    penalties: tuple[Array, ...]

    @classmethod
    def begin(cls, model: Model, x: Array, z: Array, weights: Array | None, *, per_output: bool) -> Online:
        """Start with the rows that the model was fitted to; these can not be taken back."""
        assert isinstance(model, Network | Average | Ensemble)
        parts = [model.hidden] if isinstance(model, Network) else [member.hidden for member in model.members]
        inputs = model.members[0].inputs if isinstance(model, Average) else model.inputs
        streams = tuple(Stream.begin(inputs, part, x, z, weights, held=x) for part in parts)
        readouts = [model.readout] if isinstance(model, Network) else [member.readout for member in model.members]
        penalties = tuple(r.alpha * s.statistics.weight for r, s in zip(readouts, streams, strict=True))
        return cls(model, streams, per_output, penalties)

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

    def _penalty(self, alpha: Penalty, chosen: Array, stream: Stream) -> Penalty:
        """Return the penalty per unit of weight of a stream's readout."""
        if not (isinstance(alpha, str) and alpha == "loo"):
            return alpha
        # Noise and size of coefficients do not change with more rows, and their ratio is the whole penalty, not that
        # of a row. Of several outputs it is the geometric mean.
        return float(np.exp(np.log(chosen).mean()) / stream.statistics.weight)

    def model(self, alpha: Penalty) -> Model:
        """Solve the readouts for all rows so far."""
        readouts = [
            stream.readout(self._penalty(alpha, chosen, stream), per_output=self.per_output)
            for stream, chosen in zip(self.streams, self.penalties, strict=True)
        ]
        if isinstance(self.frame, Network):
            return replace(self.frame, readout=readouts[0])
        if isinstance(self.frame, Average):
            return Average(tuple(replace(m, readout=r) for m, r in zip(self.frame.members, readouts, strict=True)))
        members = (replace(m, readout=r) for m, r in zip(self.frame.members, readouts, strict=True))
        outputs = readouts[0].intercept.size
        more = outputs - self.frame.lower.size
        lower, upper = self.frame.lower, self.frame.upper
        if more:
            # Scores of classes have no bounds.
            lower, upper = np.full(outputs, -np.inf), np.full(outputs, np.inf)
        return replace(self.frame, members=tuple(members), lower=lower, upper=upper)
