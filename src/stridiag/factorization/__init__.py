"""Room 3: numbers put into a plan. One file for each kind of decomposition, one protocol."""

from stridiag.factorization.elementary import Diagonal, Elementary, Permutation, triangular_factors
from stridiag.factorization.factor import Factor, SlogdetResult, factorize
from stridiag.factorization.refinement import SolveResult
from stridiag.factorization.simple_factor import SimpleFactor, inverse_factors, multiply_out
from stridiag.factorization.solving import Transposition
from stridiag.factorization.unitary import Reflection, Rotation
from stridiag.planning import Method

__all__ = [
    "Diagonal",
    "Elementary",
    "Factor",
    "Method",
    "Permutation",
    "Reflection",
    "Rotation",
    "SimpleFactor",
    "SlogdetResult",
    "SolveResult",
    "Transposition",
    "factorize",
    "inverse_factors",
    "multiply_out",
    "triangular_factors",
]
