r"""Structured pruning of a trained torch model, in closed form: no gradient step, no labels needed.

Layers are taken in the order in which the model calls them. Layer t of the pruned model is fitted to what the *dense*
model's layer t puts out, on the inputs that the *pruned* model really gives it by then; both run over the sample batch
by batch and give statistics in float64, never all activations at once. The mathematics of one layer is
`stridiag.nn.pruning`; the readout is solved again by ridge regression whose penalty is chosen by exact leave-one-out
errors.

Cost: for each layer one pass of the sample through both models up to it, N n^2 flops for the statistics of N rows
of n inputs, and what `prune_layer` says; for the readout two passes more (one, where its inputs fit into 128 MB).
With `evaluate`, five times as much.

References: docs/theory/pruning.md.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

import torch
from stridiag._validate import require_finite
from stridiag.errors import NonFiniteError
from stridiag.nn.pruning import PrunedLayer, Stage, prune_layer
from stridiag.nn.readout import solve_ridge
from stridiag.nn.statistics import Statistics
from stridiag.torch.passes import Calls, Sample, calls_of_linears, first_outputs, observe, quiet, to_array
from stridiag.torch.permuted import PermutedLinear, fold_permutations, structured
from stridiag.torch.prune_plan import Chosen, PruningPlan, plan_pruning
from stridiag.torch.prune_report import LayerReport, PruneReport
from torch import Tensor, nn

__all__ = ["prune"]

Array = NDArray[Any]
Chunk = tuple[Array, Array, Array]

# Numbers of the readout's inputs that are kept between its two passes: 128 MB.
_KEPT = 1 << 24


def prune(
    model: nn.Module,
    sample: Tensor | tuple[Tensor, ...] | Iterable[Any],
    *,
    density: float | Mapping[str, float] | None = None,
    budget: int | None = None,
    layers: Chosen = None,
    targets: ArrayLike | Tensor | None = None,
    permute: bool = True,
    diagonals: int | None = None,
    readout: str | Literal["auto"] | None = "auto",
    evaluate: Callable[[nn.Module], float] | None = None,
    conditions: bool = True,
    alpha: float = 1e-4,
    batch_size: int = 1024,
    rng: int | np.random.Generator | None = None,
) -> tuple[nn.Module, PruneReport]:
    """Return a copy of a model with structured layers of few entries in the place of dense ones, and a report.

    Parameters
    ----------
    model : Module
        Trained. It is not changed.
    sample : Tensor, tuple of Tensor, or re-iterable of batches
        Inputs to be true on, a few thousand rows or more, as the model takes them.
    density : float or mapping of str to float, optional
        Entries to keep in each weight over all of it, or one such number for each layer by name. Either this or
        `budget`.
    budget : int, optional
        How many entries to keep in all pruned weights together, shared in proportion to their sizes.
    layers : iterable of str, or callable, optional
        Names of the `nn.Linear` modules to prune, or ``(name, module) -> bool``. By default all that a pass calls,
        but for the readout.
    targets : array_like or Tensor, (rows, outputs) or (rows,) of int, optional
        What the readout is solved for, in the order of the sample: numbers, or classes. By default what the dense
        model's readout puts out, so that no labels are needed.
    permute, diagonals, alpha
        As for `stridiag.nn.prune_layer`; `diagonals` for every layer. Links only, ``diagonals=0``, keep most
        accuracy; diagonals are faster.
    readout : str, "auto" or None, default "auto"
        The layer that is solved again and stays dense. "auto": that whose output is the model's, if there is one.
    evaluate : callable, optional
        Scores a model. Then the report holds what each stage keeps: mask, refit, permutation, links, readout, and
        random places of equal number as control.
    conditions : bool, default True
        Whether the report tells the condition of each pruned weight: a dense singular value decomposition.
    batch_size : int, default 1024
        Rows of the batches that tensors are cut into.
    rng : int, numpy.random.Generator or None
        For the random places.

    Returns
    -------
    model : Module
        Device, dtype and modes are those of the given one. Pruned layers are `StridiagLinear` modules; those whose
        orders could not be folded into their neighbours are its kind `PermutedLinear`.
    report : PruneReport

    Raises
    ------
    ValueError
        If an option is out of range, or a name is not that of an `nn.Linear` that a pass calls, or its weight is
        shared with another module.
    TypeError
        If the sample is of another kind.
    NonFiniteError
        If an activation is NaN or infinite.

    Notes
    -----
    A module that is called several times in a pass is fitted to all of its calls at once. Where a transformer layer
    gets structured layers, its fused path, which reads dense weights, is switched off. The projections inside
    `nn.MultiheadAttention` are never called as modules and stay dense.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from stridiag.torch.prune import prune
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(40, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3))
    >>> X = torch.randn(1000, 40)
    >>> small, report = prune(model, X, density=0.25)
    >>> [type(part).__name__ for part in small]
    ['PermutedLinear', 'Tanh', 'PermutedLinear', 'Tanh', 'Linear']
    >>> round(report.density, 3), report.readout, report.parameters
    (0.25, '4', (6979, 1987))
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    generator = np.random.default_rng(rng)
    first = next(model.parameters(), None)
    if first is None:
        raise ValueError("the model has no parameters")
    _require_copyable(model)
    inputs = Sample(sample, batch_size, first.device)
    with quiet(model):
        calls = calls_of_linears(model, inputs)
        plan = plan_pruning(model, calls, layers, readout, density, budget)
        if targets is not None and plan.readout is None:
            raise ValueError("targets are for a readout, but there is none: name one by readout=")
        for name in plan.entries:
            weight = model.get_submodule(name).get_parameter("weight")
            if not torch.isfinite(weight).all():
                raise NonFiniteError(f"the weight of layer {name!r} must be finite")
        work = _Work(model, inputs, calls, plan, alpha, diagonals, permute, _as_targets(targets))
        pruned, outcomes = work.layers_pruned("links", generator)
        ladder: dict[str, float] = {}
        if evaluate is not None:
            ladder = work.ladder(evaluate, pruned, generator)
        if plan.readout is not None:
            pruned = work.solved(pruned)
        if evaluate is not None and plan.readout is not None:
            ladder["readout"] = _score(evaluate, pruned)
        final, folded = _folded(pruned, inputs, calls)
        for part in list(final.modules()):
            if isinstance(part, PermutedLinear) and part.source is None and part.place is None:
                final = _replace(final, part, part.plain())
    for name, part in model.named_modules():
        final.get_submodule(name).training = part.training
    reports = tuple(
        LayerReport(name, made.weight.structure.shape, made.weight.nnz, made.error, _condition(made, conditions), uses)
        for name, made, uses in outcomes
    )
    counts = tuple(sum(p.numel() for p in each.parameters()) for each in (model, final))
    order = [*_RUNGS]
    ladder = {name: ladder[name] for name in order if name in ladder}
    return final, PruneReport(reports, plan.dense, plan.readout, folded, (counts[0], counts[1]), ladder)


_RUNGS = ("dense", "mask", "refit", "permutation", "links", "readout", "random", "random + readout")


def _require_copyable(model: nn.Module) -> None:
    """Raise ValueError where a hook computes a weight: torch copies no module with such a tensor."""
    for name, part in model.named_modules():
        for key, value in vars(part).items():
            if isinstance(value, Tensor) and not value.is_leaf:
                raise ValueError(
                    f"{key} of {name or 'the model'} is computed by a hook, and such a module cannot be copied: make "
                    "it a parameter first, as torch.nn.utils.prune.remove and remove_weight_norm do"
                )


def _as_targets(targets: ArrayLike | Tensor | None) -> Array | None:
    if targets is None:
        return None
    array = targets.detach().cpu().numpy() if isinstance(targets, Tensor) else np.asarray(targets)
    if array.ndim == 1 and array.dtype.kind in "iu":
        if array.size and array.min() < 0:
            raise ValueError(f"classes must be integers of at least 0, got {array.min()}")
        return np.asarray(np.eye(int(array.max(initial=0)) + 1)[array])
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise ValueError(f"targets must be numbers (rows, outputs) or classes (rows,), got {array.dtype} {array.shape}")
    require_finite(array, "targets")
    return array.astype(np.float64)


def _condition(made: PrunedLayer, wanted: bool) -> float:
    return made.condition() if wanted else float("nan")


def _score(evaluate: Callable[[nn.Module], float], model: nn.Module) -> float:
    return float(evaluate(model))


Outcome = tuple[str, PrunedLayer, int]


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    model: nn.Module
    sample: Sample
    calls: dict[str, Calls]
    plan: PruningPlan
    alpha: float
    diagonals: int | None
    permute: bool
    targets: Array | None

    def layers_pruned(self, stage: Stage, rng: np.random.Generator) -> tuple[nn.Module, list[Outcome]]:
        """Return a copy with its layers pruned up to a stage, not folded, and what became of each."""
        pruned = copy.deepcopy(self.model)
        outcomes: list[Outcome] = []
        for name, entries in self.plan.entries.items():
            old = pruned.get_submodule(name)
            made = self._layer(pruned, name, entries, stage, rng)
            new = structured(made.weight, made.bias, made.inputs, made.outputs, old.weight)  # type: ignore[arg-type]
            pruned = _replace(pruned, old, new)
            outcomes.append((name, made, self.calls[name].count))
        return pruned, outcomes

    def _layer(self, pruned: nn.Module, name: str, entries: int, stage: Stage, rng: np.random.Generator) -> PrunedLayer:
        dense = self.model.get_submodule(name)
        uses = self.calls[name].count

        def chunks() -> Iterator[Chunk]:
            for batch in self.sample.batches():
                aims = observe(self.model, dense, batch, uses)
                reads = observe(pruned, pruned.get_submodule(name), batch, uses)
                for (_, aim), (rows, _) in zip(aims, reads, strict=True):
                    h = to_array(rows)
                    yield h, to_array(aim), np.ones(h.shape[0])

        moments = Statistics.from_chunks(chunks())
        weight = to_array(dense.weight)  # type: ignore[arg-type]
        bias = np.zeros(weight.shape[0]) if dense.bias is None else to_array(dense.bias)[0]  # type: ignore[arg-type]
        return prune_layer(
            weight, bias, moments, budget=entries, diagonals=self.diagonals if stage == "links" else None,
            permute=self.permute, stage=stage, targets="given", importance=_importance(self.model, name),
            alpha=self.alpha, rng=rng,
        )  # fmt: skip

    def solved(self, pruned: nn.Module) -> nn.Module:
        """Return the model with its readout solved again, in place."""
        name = self.plan.readout
        if name is None:
            return pruned
        layer = pruned.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        kept: list[Chunk] | None = []
        rows = numbers = 0
        for chunk in self._readout_chunks(pruned, name):
            rows += chunk[0].shape[0]
            numbers += chunk[0].size + chunk[1].size
            if kept is not None and numbers <= _KEPT:
                kept.append(chunk)
            else:
                kept = None
        if self.targets is not None and rows != self.targets.shape[0]:
            raise ValueError(f"targets must have a row for each of the readout's {rows}, got {self.targets.shape[0]}")

        def read() -> Iterable[Chunk]:
            return self._readout_chunks(pruned, name) if kept is None else kept

        found = solve_ridge(read, (rows, layer.in_features), "loo").readout
        like = layer.weight
        layer.weight.copy_(torch.from_numpy((found.coefficients * found.unit).T))
        intercept = torch.from_numpy(found.intercept * found.unit).to(like.device, like.dtype)
        if getattr(layer, "bias", None) is None:
            layer.bias = nn.Parameter(intercept, requires_grad=like.requires_grad)
        else:
            layer.bias.copy_(intercept)
        return pruned

    def _readout_chunks(self, pruned: nn.Module, name: str) -> Iterator[Chunk]:
        start = 0
        for batch in self.sample.batches():
            ((rows, _),) = observe(pruned, pruned.get_submodule(name), batch, 1)
            h = to_array(rows)
            if self.targets is None:
                ((_, aim),) = observe(self.model, self.model.get_submodule(name), batch, 1)
                z = to_array(aim)
            else:
                z = self.targets[start : start + h.shape[0]]
                outputs = self.model.get_submodule(name).out_features
                if z.shape != (h.shape[0], outputs):
                    shape = self.targets.shape
                    raise ValueError(f"targets must be (rows, {outputs}), one row for each of the sample, got {shape}")
                start += h.shape[0]
            yield h, z, np.ones(h.shape[0])

    def ladder(
        self, evaluate: Callable[[nn.Module], float], links: nn.Module, rng: np.random.Generator
    ) -> dict[str, float]:
        """Score the dense model and every stage but the last."""
        scores = {"dense": _score(evaluate, self.model), "links": _score(evaluate, links)}
        stages: tuple[Stage, ...] = ("mask", "refit", "permutation", "random")
        for stage in stages:
            made, _ = self.layers_pruned(stage, rng)
            scores[stage] = _score(evaluate, made)
            if stage == "random" and self.plan.readout is not None:
                scores["random + readout"] = _score(evaluate, self.solved(made))
        return scores


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """Put one module in the place of another, wherever it stands."""
    if model is old:
        return new
    for parent in list(model.modules()):
        # A module that stands in several places is under each of their names here, and only here.
        for key, child in list(parent._modules.items()):
            if child is old:
                setattr(parent, key, new)
                if isinstance(parent, nn.TransformerEncoderLayer):
                    # The fused path reads dense weights and calls no module; without it, no nested tensors either.
                    parent.activation_relu_or_gelu = 0
    for parent in model.modules():
        if isinstance(parent, nn.TransformerEncoder) and any(part is new for part in parent.modules()):
            parent.use_nested_tensor = False
    return model


def _importance(model: nn.Module, name: str) -> Array | None:
    """Return what the next layer of a sequence makes of a unit, squared and summed; None where that is not known."""
    head, _, key = name.rpartition(".")
    container = model.get_submodule(head)
    if type(container) is not nn.Sequential:
        return None
    parts = list(container.named_children())
    place = [k for k, _ in parts].index(key)
    for _, part in parts[place + 1 :]:
        if isinstance(part, nn.Linear):
            return np.asarray(np.square(to_array(part.weight)).sum(axis=0))
        if any(True for _ in part.parameters()):
            return None
    return None


def _folded(model: nn.Module, sample: Sample, calls: dict[str, Calls]) -> tuple[nn.Module, int]:
    """Return the model with orders folded into neighbours, and how many, if that leaves its outputs alone."""
    folded = copy.deepcopy(model)
    own = [name for name, use in calls.items() if use.count == 1]
    linears = {name: folded.get_submodule(name) for name in own}
    once = {part for name, part in linears.items() if _alone(folded, part)}
    count = fold_permutations(folded, once)
    if not count:
        return model, 0
    for old, new in zip(first_outputs(model, sample), first_outputs(folded, sample), strict=True):
        if not old.is_floating_point():
            continue
        # A sequence of which somebody uses the inner values, too, does care about their order.
        slack = 64.0 * torch.finfo(old.dtype).eps ** 0.75 * max(1.0, float(old.abs().max()))
        if not torch.allclose(old, new, rtol=0.0, atol=slack):
            return model, 0
    return folded, count


def _alone(model: nn.Module, part: nn.Module) -> bool:
    own = {id(p) for p in part.parameters(recurse=False)}
    return not any(
        id(p) in own for other in model.modules() if other is not part for p in other.parameters(recurse=False)
    )
