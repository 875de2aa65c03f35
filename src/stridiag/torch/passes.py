"""Passes of a sample through a model, as training never sees them: no gradients, no dropout, nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from numpy.typing import NDArray

import torch
from torch import Tensor, nn

__all__ = ["Calls", "Sample", "calls_of_linears", "first_outputs", "leaves", "observe", "quiet", "to_array"]

Array = NDArray[Any]
Batch = tuple[tuple[Any, ...], dict[str, Any]]


class _Reached(Exception):
    """Ends a pass of which the rest is of no interest."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Inputs for a model, batch by batch, as often as wanted.

    Parameters
    ----------
    inputs : Tensor, tuple of Tensor, or re-iterable of batches
        A tensor, or several that the model takes as positional arguments, cut along their first axis; or anything
        that can be iterated more than once (a list, a DataLoader) over batches: tensors, tuples or lists of
        positional arguments, mappings of keyword arguments.
    batch_size : int
        Rows of a batch that is cut here.
    device : torch.device
        Where the model is.

    Raises
    ------
    TypeError
        If it is of another kind, or can be iterated only once.
    ValueError
        If tensors differ in length, or there is nothing.
    """

    inputs: Any
    batch_size: int
    device: torch.device

    def __post_init__(self) -> None:
        if not (isinstance(self.batch_size, int) and self.batch_size > 0):
            raise ValueError(f"batch_size must be a positive integer, got {self.batch_size!r}")
        parts = self._tensors()
        if parts is not None:
            if len({part.shape[:1] for part in parts}) != 1 or not parts[0].dim() or not parts[0].shape[0]:
                shapes = ", ".join(str(tuple(part.shape)) for part in parts)
                raise ValueError(f"the sample's tensors need one first axis of at least one row, got {shapes}")
        elif isinstance(self.inputs, str | bytes | Mapping) or not hasattr(self.inputs, "__iter__"):
            raise TypeError(f"sample must be a tensor, a tuple of them, or batches, got {type(self.inputs).__name__}")
        elif isinstance(self.inputs, Iterator):
            raise TypeError("sample must be iterable more than once: give a list or a DataLoader, not an iterator")

    def _tensors(self) -> tuple[Tensor, ...] | None:
        if isinstance(self.inputs, Tensor):
            return (self.inputs,)
        if isinstance(self.inputs, tuple) and self.inputs and all(isinstance(part, Tensor) for part in self.inputs):
            return self.inputs
        return None

    def batches(self) -> Iterator[Batch]:
        """Yield positional and keyword arguments of each batch, on the model's device."""
        parts = self._tensors()
        if parts is not None:
            for start in range(0, parts[0].shape[0], self.batch_size):
                yield tuple(part[start : start + self.batch_size].to(self.device) for part in parts), {}
            return
        for batch in self.inputs:
            if isinstance(batch, Tensor):
                yield (batch.to(self.device),), {}
            elif isinstance(batch, tuple | list):
                yield tuple(self._placed(part) for part in batch), {}
            elif isinstance(batch, Mapping):
                yield (), {key: self._placed(part) for key, part in batch.items()}
            else:
                raise TypeError(f"a batch must be a tensor, a tuple or a mapping, got {type(batch).__name__}")

    def first(self) -> Batch:
        """Return the first batch."""
        for batch in self.batches():
            return batch
        raise ValueError("the sample has no batch")

    def _placed(self, part: Any) -> Any:
        return part.to(self.device) if isinstance(part, Tensor) else part


@contextmanager
def quiet(*models: nn.Module) -> Iterator[None]:
    """Have models in evaluation mode, without gradients; restore modes, and the state of random numbers, afterwards.

    Transformer layers go through their modules meanwhile, not through the fused path that reads weights only.
    """
    modes = [(module, module.training) for model in models for module in model.modules()]
    cuda = sorted({p.device.index or 0 for model in models for p in model.parameters() if p.device.type == "cuda"})
    fused = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        for model in models:
            model.eval()
        with torch.random.fork_rng(devices=cuda), torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for module, training in modes:
            module.training = training


@dataclass(frozen=True, slots=True)
class Calls:
    """How a linear layer is used: how often in a pass, and whether what it puts out is what the model puts out."""

    count: int
    last: bool


def calls_of_linears(model: nn.Module, sample: Sample) -> dict[str, Calls]:
    """Return the linear layers that a pass of the first batch calls, in the order of their first calls."""
    names = {module: name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    counts: dict[str, int] = {}
    latest: dict[str, Any] = {}

    def note(module: nn.Module, args: Any, output: Any) -> None:
        name = names[cast("nn.Linear", module)]
        counts[name] = counts.get(name, 0) + 1
        latest[name] = output

    handles = [module.register_forward_hook(note) for module in names]
    try:
        args, kwargs = sample.first()
        results = leaves(model(*args, **kwargs))
    finally:
        for handle in handles:
            handle.remove()
    return {name: Calls(count, any(latest[name] is result for result in results)) for name, count in counts.items()}


def observe(model: nn.Module, module: nn.Module, batch: Batch, count: int) -> list[tuple[Tensor, Tensor]]:
    """Return input and output of each call of a module in a pass of one batch, which ends with the last of them."""
    seen: list[tuple[Tensor, Tensor]] = []

    def note(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        seen.append((args[0] if args else kwargs["input"], output))
        if len(seen) == count:
            raise _Reached

    handle = module.register_forward_hook(note, with_kwargs=True)
    try:
        model(*batch[0], **batch[1])
    except _Reached:
        pass
    finally:
        handle.remove()
    if len(seen) != count:
        raise ValueError(f"a layer was called {count} times for the first batch but {len(seen)} times for another one")
    return seen


def first_outputs(model: nn.Module, sample: Sample) -> list[Tensor]:
    """Return the tensors that a model puts out for the first batch."""
    args, kwargs = sample.first()
    return leaves(model(*args, **kwargs))


def leaves(result: Any) -> list[Tensor]:
    """Return the tensors in nested tuples, lists and mappings."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, Mapping):
        return [leaf for part in result.values() for leaf in leaves(part)]
    if isinstance(result, Sequence) and not isinstance(result, str | bytes):
        return [leaf for part in result for leaf in leaves(part)]
    return []


def to_array(tensor: Tensor) -> Array:
    """Return a tensor's vectors along its last axis as rows, float64."""
    return tensor.detach().reshape(-1, tensor.shape[-1]).to("cpu", torch.float64).numpy()
