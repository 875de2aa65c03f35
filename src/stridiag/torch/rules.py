"""What the differentiable functions share as classes of torch's autograd."""

from __future__ import annotations

import inspect
from typing import Any

from torch._functorch.utils import unwrap_dead_wrappers
from torch.autograd import forward_ad

import torch

__all__ = ["Rule", "register", "transformed", "underivable"]


class Rule(torch.autograd.Function):
    """A differentiable function with a context that is set up apart from `forward`.

    Torch binds the arguments of each call to the signature of `forward`, which takes it longer than a small product
    does. Here all arguments are always given, by place, so that there is nothing to bind; where a transform of
    ``torch.func`` binds them nevertheless, the signature is found once for each class.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        forward: Any = cls.forward
        if "__signature__" not in vars(forward):
            forward.__signature__ = inspect.signature(forward)

    @classmethod
    def apply(cls, *arguments: Any) -> Any:
        """Call the function with all arguments of `forward`."""
        if torch._C._are_functorch_transforms_active():
            return super().apply(*arguments)  # type: ignore[no-untyped-call]
        # What `torch.autograd.Function.apply` does once arguments are bound.
        base: Any = super(torch.autograd.Function, cls)
        return base.apply(*unwrap_dead_wrappers(arguments))


def register(operator: Any, rule: type[Rule], *, further: int = 0) -> None:
    """Give an operator of torch a rule's derivative and its way of being mapped.

    While torch compiles, operators are called by themselves: its tracer cannot map an autograd function
    (``torch.func.vmap``), nor take one with a forward mode.

    Parameters
    ----------
    operator : torch.library.CustomOpDef
        With the same arguments as the rule, but for the last ones.
    rule : type of Rule
    further : int, default 0
        How many last arguments of the rule the operator lacks; they are None.
    """
    rest = (None,) * further
    given: Any = rule

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        given.setup_context(ctx, (*inputs, *rest), output)

    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] = given.backward(ctx, *grads)
        return found[: len(found) - further]

    def mapped(info: Any, dims: Any, *arguments: Any) -> Any:
        return given.vmap(info, (*dims, *rest), *arguments, *rest)

    operator.register_autograd(backward, setup_context=setup_context)
    operator.register_vmap(mapped)


def underivable() -> bool:
    """Whether nothing that is computed now can be differentiated or mapped: then a kernel may be called as it is.

    A differentiable function costs more than a small product, and inference is made of these.
    """
    return not (torch.is_grad_enabled() or transformed())


def transformed() -> bool:
    """Whether forward-mode differentiation or a transform of ``torch.func`` is under way."""
    return forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active()
