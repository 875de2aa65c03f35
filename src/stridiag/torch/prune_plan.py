"""Which linear layers of a model are pruned, to how many entries, and which one is its readout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stridiag.nn.options import is_integer, is_number
from stridiag.torch.passes import Calls
from torch import nn

__all__ = ["Chosen", "PruningPlan", "plan_pruning"]

Chosen = Iterable[str] | Callable[[str, nn.Linear], bool] | None
"""Names of layers, a predicate of name and module, or None for all."""


@dataclass(frozen=True, slots=True)
class PruningPlan:
    """Which layers to prune to how many entries, in order of execution; what stays dense, and why."""

    entries: dict[str, int]
    dense: dict[str, str]
    readout: str | None


def plan_pruning(
    model: nn.Module,
    calls: dict[str, Calls],
    layers: Chosen,
    readout: str | None,
    density: float | Mapping[str, float] | None,
    budget: int | None,
) -> PruningPlan:
    """Return which layers are pruned to what, for the options of `stridiag.torch.prune.prune`."""
    linears = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    reasons = {name: _refusal(model, part, calls.get(name)) for name, part in linears.items()}
    solved = _readout_of(linears, calls, reasons, readout)
    dense: dict[str, str] = {}
    wanted: set[str]
    if layers is None:
        wanted = {name for name, reason in reasons.items() if reason is None}
    elif callable(layers):
        wanted = {name for name, part in linears.items() if reasons[name] is None and layers(name, part)}
    else:
        if isinstance(layers, str):
            raise ValueError(f"layers must be several names or a predicate, got the string {layers!r}")
        wanted = set(layers)
        for name in sorted(wanted):
            if name not in linears:
                raise ValueError(f"layers: no nn.Linear is called {name!r}; there are {', '.join(linears) or 'none'}")
            if reasons[name] is not None:
                raise ValueError(f"layer {name!r} cannot be pruned: {reasons[name]}")
        if solved in wanted:
            if readout != "auto":
                raise ValueError(f"layer {solved!r} cannot be both pruned and the readout")
            solved = None
    if solved is not None:
        wanted.discard(solved)
    for name in linears:
        if name == solved:
            dense[name] = "the readout, solved again"
        elif name not in wanted:
            dense[name] = reasons[name] or "not chosen"
    order = [name for name in calls if name in wanted]
    if not order:
        raise ValueError(f"there is no layer to prune: {dense or 'the model has no nn.Linear'}")
    return PruningPlan(_entries({name: linears[name] for name in order}, density, budget), dense, solved)


def _refusal(model: nn.Module, part: nn.Linear, calls: Calls | None) -> str | None:
    """Return why a linear layer cannot be replaced, or None."""
    if calls is None:
        return "no pass calls it (attention reads such weights without calling the module)"
    if type(part) is not nn.Linear:
        return f"a {type(part).__name__} may do more than a linear layer"
    if part._forward_hooks or part._forward_pre_hooks:
        return "a hook of its own may do more than the layer"
    own = {id(p) for p in part.parameters(recurse=False)}
    for name, other in model.named_modules():
        if other is not part and any(id(p) in own for p in other.parameters(recurse=False)):
            return f"its parameters are those of {name!r} too"
    return None


def _readout_of(
    linears: dict[str, nn.Linear], calls: dict[str, Calls], reasons: dict[str, str | None], readout: str | None
) -> str | None:
    if readout is None:
        return None
    if readout != "auto":
        if readout not in linears:
            raise ValueError(f"readout: no nn.Linear is called {readout!r}; there are {', '.join(linears) or 'none'}")
        if reasons[readout] is not None or calls[readout].count != 1:
            raise ValueError(
                f"{readout!r} cannot be the readout: {reasons[readout] or 'a pass calls it several times'}"
            )
        return readout
    found = [name for name, use in calls.items() if use.last and use.count == 1 and reasons[name] is None]
    return found[-1] if found else None


def _entries(
    layers: dict[str, nn.Linear], density: float | Mapping[str, float] | None, budget: int | None
) -> dict[str, int]:
    sizes = {name: part.weight.numel() for name, part in layers.items()}
    if (density is None) == (budget is None):
        raise ValueError(f"either density or budget must be given, got {density!r} and {budget!r}")
    if budget is not None:
        whole = sum(sizes.values())
        if not is_integer(budget) or not len(sizes) <= budget <= whole:
            raise ValueError(f"budget must be an integer from {len(sizes)} to {whole}, got {budget!r}")
        # Each layer one entry, and the rest in proportion; what rounding leaves goes to the first layers.
        rest, free = int(budget) - len(sizes), max(1, whole - len(sizes))
        shares = {name: 1 + rest * (size - 1) // free for name, size in sizes.items()}
        left = int(budget) - sum(shares.values())
        for name, size in sizes.items():
            more = min(left, 1, size - shares[name])
            shares[name] += more
            left -= more
        return shares
    if isinstance(density, Mapping):
        if set(density) != set(sizes):
            raise ValueError(f"density must name the pruned layers {sorted(sizes)}, got {sorted(density)}")
        given: dict[str, Any] = {name: density[name] for name in sizes}
    else:
        given = dict.fromkeys(sizes, density)
    for name, value in given.items():
        if not (is_number(value) and 0.0 < value <= 1.0):
            raise ValueError(f"density must be above 0 and at most 1, got {value!r} for layer {name!r}")
    return {name: max(1, round(float(given[name]) * size)) for name, size in sizes.items()}
