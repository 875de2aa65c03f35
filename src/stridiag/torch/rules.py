"""What the differentiable functions share as classes of torch's autograd."""

from __future__ import annotations

import inspect
from typing import Any

import torch

__all__ = ["Rule"]


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
