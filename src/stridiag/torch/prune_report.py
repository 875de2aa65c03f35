"""What pruning did to a model, layer by layer and end to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["LayerReport", "PruneReport"]


@dataclass(frozen=True, slots=True)
class LayerReport:
    """How one layer was pruned.

    Parameters
    ----------
    name : str
        Of the module; empty if it is the model itself.
    shape : tuple of int
        ``(out_features, in_features)``.
    entries : int
        Kept.
    error : float
        Squared error on the sample over the variance of what the dense model's layer puts out, both summed over
        outputs.
    condition : float
        Of the pruned weight in the 2-norm; infinite where its rank is not full, NaN where it was not asked for.
    uses : int
        How often a pass calls it.
    """

    name: str
    shape: tuple[int, int]
    entries: int
    error: float
    condition: float
    uses: int

    @property
    def density(self) -> float:
        """Kept entries over those of the dense weight."""
        return self.entries / (self.shape[0] * self.shape[1])


@dataclass(frozen=True, slots=True)
class PruneReport:
    """How a model was pruned; its ``str`` is a table.

    Parameters
    ----------
    layers : tuple of LayerReport
        In the order in which the model calls them.
    dense : mapping of str to str
        Linear layers that stayed dense, each with the reason.
    readout : str or None
        The layer that was solved again.
    folded : int
        How many orders of inputs or outputs neighbours took over.
    parameters : tuple of int
        Of the dense model and of the pruned one, all that is no linear layer included.
    ladder : mapping of str to float
        What `evaluate` says about the dense model, about each stage, and about as many entries at random places.
    """

    layers: tuple[LayerReport, ...]
    dense: Mapping[str, str]
    readout: str | None
    folded: int
    parameters: tuple[int, int]
    ladder: Mapping[str, float] = field(default_factory=dict)

    @property
    def density(self) -> float:
        """Kept entries of all pruned layers over those of their dense weights."""
        whole = sum(layer.shape[0] * layer.shape[1] for layer in self.layers)
        return sum(layer.entries for layer in self.layers) / whole

    def __str__(self) -> str:
        """Return a table of the layers, the ones that stayed dense, and the ladder."""
        width = max(len(layer.name) for layer in self.layers)
        width = max(width, len("layer"), *(len(name) for name in (*self.dense, *self.ladder)))
        before, after = self.parameters
        lines = [
            f"{len(self.layers)} layers at density {self.density:.2%}; {before} parameters, now {after}",
            f"{'layer':<{width}}  {'shape':>11}  {'entries':>8}  {'density':>7}  {'error':>8}  {'condition':>9}",
        ]
        for layer in self.layers:
            shape = f"{layer.shape[0]} x {layer.shape[1]}"
            lines.append(
                f"{layer.name:<{width}}  {shape:>11}  {layer.entries:>8}  {layer.density:>7.2%}  {layer.error:>8.2g}  "
                f"{layer.condition:>9.2g}" + (f"  used {layer.uses} times" if layer.uses > 1 else "")
            )
        lines += [f"{name:<{width}}  dense: {reason}" for name, reason in self.dense.items()]
        lines += [f"{name:<{width}}  {value:.4f}" for name, value in self.ladder.items()]
        return "\n".join(lines)
