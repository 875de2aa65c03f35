"""For testing code that uses stridiag: a zoo of matrices, test ratios in units of eps, hypothesis strategies.

`zoo`, the ratios and `closed_forms` need numpy only; `strategies` needs hypothesis and is imported when first
asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from stridiag.testing import closed_forms
from stridiag.testing.counting import Counted, count, counted, plain_twin, recording
from stridiag.testing.ratios import (
    THRESHOLD,
    adjoint_ratio,
    factor_ratio,
    inverse_ratio,
    penrose_ratios,
    product_ratio,
    slogdet_ratio,
    solve_ratio,
)
from stridiag.testing.zoo import LONG_SIZES, SIZES, Case, families, zoo

__all__ = [
    "LONG_SIZES",
    "SIZES",
    "THRESHOLD",
    "Case",
    "Counted",
    "adjoint_ratio",
    "closed_forms",
    "count",
    "counted",
    "factor_ratio",
    "families",
    "inverse_ratio",
    "penrose_ratios",
    "plain_twin",
    "product_ratio",
    "recording",
    "slogdet_ratio",
    "solve_ratio",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return import_module("stridiag.testing.strategies")
    raise AttributeError(f"module 'stridiag.testing' has no attribute {name!r}")


def __dir__() -> list[str]:
    # Not in __all__, so that a star import works without hypothesis.
    return sorted([*__all__, "strategies"])
