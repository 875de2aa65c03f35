"""Room 3: numbers put into a plan. One file for each kind of decomposition, one protocol."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stridiag.factorization.elementary import Diagonal, Elementary, Permutation, triangular_factors
    from stridiag.factorization.explicit import FactorArrays, FactorStages, Stage
    from stridiag.factorization.factor import (
        Factor,
        SlogdetResult,
        factorize,
        slogdet_without_factor,
        solve_without_factor,
    )
    from stridiag.factorization.refinement import SolveResult
    from stridiag.factorization.simple_factor import SimpleFactor, inverse_factors, multiply_out
    from stridiag.factorization.solving import Transposition
    from stridiag.factorization.unitary import Reflection, Rotation
    from stridiag.planning import Method

__all__ = [
    "Diagonal",
    "Elementary",
    "Factor",
    "FactorArrays",
    "FactorStages",
    "Method",
    "Permutation",
    "Reflection",
    "Rotation",
    "SimpleFactor",
    "SlogdetResult",
    "SolveResult",
    "Stage",
    "Transposition",
    "factorize",
    "inverse_factors",
    "multiply_out",
    "slogdet_without_factor",
    "solve_without_factor",
    "triangular_factors",
]

# Where the names live: a module and its kernels are loaded when a name of it is first asked for.
_LATER = {
    "Diagonal": "factorization.elementary",
    "Elementary": "factorization.elementary",
    "Factor": "factorization.factor",
    "FactorArrays": "factorization.explicit",
    "FactorStages": "factorization.explicit",
    "Method": "planning",
    "Permutation": "factorization.elementary",
    "Reflection": "factorization.unitary",
    "Rotation": "factorization.unitary",
    "SimpleFactor": "factorization.simple_factor",
    "SlogdetResult": "factorization.factor",
    "SolveResult": "factorization.refinement",
    "Stage": "factorization.explicit",
    "Transposition": "factorization.solving",
    "factorize": "factorization.factor",
    "inverse_factors": "factorization.simple_factor",
    "multiply_out": "factorization.simple_factor",
    "slogdet_without_factor": "factorization.factor",
    "solve_without_factor": "factorization.factor",
    "triangular_factors": "factorization.elementary",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"stridiag.{_LATER[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
