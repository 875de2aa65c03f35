"""Room 3: numbers put into a plan. One file for each kind of decomposition, one protocol."""

from stridiag.factorization.factor import Factor, SlogdetResult, factorize
from stridiag.planning import Method

__all__ = ["Factor", "Method", "SlogdetResult", "factorize"]
