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
from stridiag.sklearn.partial_sums import Gauges, PartialSums

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

    @property
    def gauges(self) -> Gauges:
        """What measures rows for `absorb`, without the statistics."""
        first = self.streams[0]
        outputs = first.statistics.target_mean.size if first.classes is None else None
        return Gauges(tuple(stream.gauge for stream in self.streams), self._bounded, outputs)

    @property
    def _bounded(self) -> bool:
        """Whether predictions stop at the targets' bounds, which scores of classes do not have."""
        return isinstance(self.frame, Ensemble) and bool(np.isfinite(self.frame.lower).all())

    def absorb(self, sums: PartialSums) -> Online:
        """Return it with the rows of these sums too.

        Raises
        ------
        ValueError
            If they are of another model.
        """
        if sums.empty:
            return self
        if len(sums.tallies) != len(self.streams) or (sums.bounds is not None) != self._bounded:
            raise ValueError(
                f"sums must be of this model, of {len(self.streams)} networks, got sums of {len(sums.tallies)}"
            )
        streams = tuple(stream.absorb(tally) for stream, tally in zip(self.streams, sums.tallies, strict=True))
        frame = self.frame
        if isinstance(frame, Ensemble) and sums.bounds is not None:
            lower, upper = sums.bounds
            frame = replace(frame, lower=np.minimum(frame.lower, lower), upper=np.maximum(frame.upper, upper))
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
