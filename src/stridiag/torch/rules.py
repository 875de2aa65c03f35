"""What the differentiable functions share as classes of torch's autograd."""

from __future__ import annotations

import inspect
from typing import Any

from torch.autograd import forward_ad

import torch

__all__ = ["Rule", "underivable"]


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


def underivable() -> bool:
    """Whether nothing that is computed now can be differentiated or mapped: then a kernel may be called as it is.

    A differentiable function costs more than a small product, and inference is made of these.
    """
    return not (
        torch.is_grad_enabled() or forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active()
    )
