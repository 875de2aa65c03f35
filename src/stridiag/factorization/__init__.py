"""Room 3: numbers put into a plan. One file for each kind of decomposition, one protocol."""

from stridiag.factorization.elementary import Diagonal, Elementary, Permutation, triangular_factors
from stridiag.factorization.explicit import FactorArrays, FactorStages, Stage
from stridiag.factorization.factor import Factor, SlogdetResult, factorize, slogdet_without_factor
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
    "triangular_factors",
]
