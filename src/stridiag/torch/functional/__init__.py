"""Differentiable functions of the values of a structured matrix.

All take a `Structure`, its values, (..., nnz), in the order of its slots, and vectors along the last axis, (..., n);
batch axes broadcast. They run on compiled kernels where tensors are on the CPU, and in torch operations elsewhere.

**Types.** Operands are promoted as torch does. float16 and bfloat16 are computed with in float32: `matvec` and `linear`
round the result to the promoted type, all others return float32. Autocast does not change that.

**Derivatives.** Backward, backward twice and more, forward mode, ``torch.func`` with vmap; each costs O(n) where the
forward pass does. See docs/theory/autograd.md.
"""

from __future__ import annotations

from stridiag.torch.functional.determinants import SlogdetResult, inverse_diagonal, inverse_on_pattern, slogdet
from stridiag.torch.functional.least_squares import LstsqResult, lstsq, pinv_apply
from stridiag.torch.functional.products import linear, matvec
from stridiag.torch.functional.solving import SolveResult, solve, solve_ex

__all__ = [
    "LstsqResult",
    "SlogdetResult",
    "SolveResult",
    "inverse_diagonal",
    "inverse_on_pattern",
    "linear",
    "lstsq",
    "matvec",
    "pinv_apply",
    "slogdet",
    "solve",
    "solve_ex",
]
