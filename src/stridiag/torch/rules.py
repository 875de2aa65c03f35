"""What the differentiable functions share as classes of torch's autograd."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch._functorch.utils import enable_single_level_autograd_function, unwrap_dead_wrappers
from torch.autograd import forward_ad

import torch

__all__ = ["Rule", "operator", "register", "transformed", "underivable"]

# Operators live as long as this does.
_library: Any = torch.library.Library("stridiag", "FRAGMENT")  # type: ignore[no-untyped-call]


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


def operator(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Make a function of tensors, text and numbers the operator ``stridiag::name`` of torch, called as itself."""

    def made(function: Callable[..., Any]) -> Any:
        schema = torch.library.infer_schema(function, mutates_args=())
        _library.define(name + schema, tags=torch.Tag.pt2_compliant_tag)
        _library.impl(name, function, "CompositeExplicitAutograd")
        return getattr(torch.ops.stridiag, name).default

    return made


def register(overload: Any, rule: type[Rule], *, further: int = 0) -> None:
    """Give an operator a rule's derivative and its way of being mapped.

    While torch compiles, operators are called by themselves: its tracer cannot map an autograd function
    (``torch.func.vmap``), nor take one with a forward mode.

    Parameters
    ----------
    overload : torch._ops.OpOverload
        With the same arguments as the rule, but for the last ones.
    rule : type of Rule
    further : int, default 0
        How many last arguments of the rule the operator lacks; they are None.
    """
    rest = (None,) * further
    given: Any = rule

    def below(keys: Any, arguments: Any) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            return overload.redispatch(keys & torch._C._after_autograd_keyset, *arguments)

    class Differentiable(torch.autograd.Function):
        """The operator at one level of derivatives."""

        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> Any:
            *inputs, keys = arguments
            # No graph is wanted of this level, but those of outer transforms are: they run within.
            with torch.set_grad_enabled(torch._C._are_functorch_transforms_active()):
                output = below(keys, inputs)
            given.setup_context(ctx, (*inputs, *rest), output)
            return output

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
            found: tuple[Any, ...] = given.backward(ctx, *grads)
            return (*found[: len(found) - further], None)

    def differentiable(keys: Any, *arguments: Any) -> Any:
        if not (torch.is_grad_enabled() and torch._C._any_requires_grad(*arguments)):
            return below(keys, arguments)
        base: Any = super(torch.autograd.Function, Differentiable)
        # The dispatcher has come to this one level by itself. What `torch.library.register_autograd` makes would look
        # for transforms here once more, and so fails within `torch.func.grad`.
        with enable_single_level_autograd_function():
            return base.apply(*arguments, keys)

    def mapped(info: Any, dims: Any, *arguments: Any) -> Any:
        return given.vmap(info, (*dims, *rest), *arguments, *rest)

    _library.impl(overload, differentiable, "Autograd", with_keyset=True)
    torch.library.register_vmap(overload, mapped, lib=_library)


def underivable() -> bool:
    """Whether nothing that is computed now can be differentiated or mapped: then a kernel may be called as it is.

    A differentiable function costs more than a small product, and inference is made of these.
    """
    return not (torch.is_grad_enabled() or transformed())


def transformed() -> bool:
    """Whether forward-mode differentiation or a transform of ``torch.func`` is under way."""
    return forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active()
