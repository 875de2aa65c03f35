"""What the differentiable functions share as classes of torch's autograd."""

from __future__ import annotations

import inspect
from typing import Any

from torch.autograd import forward_ad

import torch

__all__ = ["Rule", "register", "underivable"]


class Rule(torch.autograd.Function):
    """A differentiable function with a context that is set up apart from `forward`.

    Torch asks for the signature of `forward` at each call, which takes it longer than a small product does. Here it is
    found once for each class.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        forward: Any = cls.forward
        if "__signature__" not in vars(forward):
            forward.__signature__ = inspect.signature(forward)


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
    return not (
        torch.is_grad_enabled() or forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active()
    )
