"""The PyTorch wing: differentiable functions of structured matrices, linear layers, normalizing flows, pruning.

Needs torch; ``pip install "stridiag[torch]"``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stridiag import _extras

_extras.require("stridiag.torch", "torch", "torch")

if TYPE_CHECKING:
    from stridiag.torch import flows, functional
    from stridiag.torch.fit import fit_closed_form
    from stridiag.torch.invertible import StridiagInvertible
    from stridiag.torch.linear import StridiagLinear
    from stridiag.torch.permuted import PermutedLinear

__all__ = ["PermutedLinear", "StridiagInvertible", "StridiagLinear", "fit_closed_form", "flows", "functional"]

# Where the names live: torch itself is loaded when one of them is first asked for.
_LATER = {
    "PermutedLinear": "stridiag.torch.permuted",
    "StridiagInvertible": "stridiag.torch.invertible",
    "StridiagLinear": "stridiag.torch.linear",
    "fit_closed_form": "stridiag.torch.fit",
}


def __getattr__(name: str) -> Any:
    if name in ("flows", "functional"):
        return import_module(f"stridiag.torch.{name}")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LATER[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
