r"""Orthonormal bases of the singular vectors that belong to the smallest singular values.

Let R be upper triangular with the singular values of the matrix, and

.. math:: \begin{pmatrix} R \\ \tau I \end{pmatrix} = \begin{pmatrix} Q_a \\ Q_b \end{pmatrix} R_1 .

:math:`(R_1^H R_1)^{-1} = (R^H R + \tau^2 I)^{-1}` is bounded by :math:`\tau^{-2}` however singular R may be. Block
inverse iteration with it turns to the small right singular vectors. Those on the left come from
:math:`I - Q_a Q_a^H = \tau^2 (R R^H + \tau^2 I)^{-1}`, which two passes through the rotations apply without
cancellation: no second factorization is needed. After each step the Ritz values, that is the singular values of R
on the space, put the smallest first; some guard vectors more than wanted speed the iteration up.

References: G. W. Stewart, Accelerating the orthogonal iteration for the eigenvectors of a Hermitian matrix, Numer.
Math. 13 (1969) 362-376; T. F. Chan, Deflated decomposition of solutions of nearly singular systems, SIAM J. Numer.
Anal. 21 (1984) 738-754.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import ConvergenceError

__all__ = ["SmallSpace", "grow_space", "random_block", "small_space"]

Array = NDArray[Any]
Operator = Callable[[Array], Array]

_EPS = float(np.finfo(np.float64).eps)
_MAX_STEPS = 200
# After the space has settled: its last digits.
_FURTHER_STEPS = 4


class SmallSpace(NamedTuple):
    """Basis of the wanted vectors, (n, k), and all Ritz values, ascending."""

    basis: Array
    values: Array


def small_space(invert: Operator, image: Operator, start: Array, wanted: int, norm: float) -> SmallSpace:
    """Iterate until the space of the `wanted` smallest singular values stands still.

    Parameters
    ----------
    invert : callable
        The bounded inverse of ``R^H R``, or of ``R R^H``.
    image : callable
        The product with R, or with its adjoint.
    start : ndarray, (n, p)
        p >= wanted; one more at least unless p = n.
    wanted : int
    norm : float
        Of R.

    Raises
    ------
    ConvergenceError
        If it does not stand still after 200 steps.
    """
    space, _ = np.linalg.qr(start)
    previous = space[:, :wanted]
    smallest_change = np.inf
    stalled = further = 0
    for _ in range(_MAX_STEPS):
        space, values = _ritz(invert(space), image)
        basis = space[:, :wanted]
        difference = basis - previous @ (previous.conj().T @ basis)
        change = float(np.linalg.norm(difference, 2)) if wanted else 0.0
        previous = basis
        if further:
            further += 1
        else:
            kept = float(values[wanted]) if wanted < values.size else norm
            target = 4.0 * _EPS * norm / max(kept, _EPS * norm)
            stalled = stalled + 1 if change > 0.5 * smallest_change else 0
            smallest_change = min(change, smallest_change)
            if change <= target or (stalled >= 3 and smallest_change <= 100.0 * target):
                further = 1
        if further > _FURTHER_STEPS:
            return SmallSpace(np.ascontiguousarray(basis), values)
    raise ConvergenceError(
        f"the singular vectors of its {wanted} smallest singular values have not settled after {_MAX_STEPS} steps: "
        "the cutoff lies among singular values close to one another; choose rtol in a gap"
    )


def grow_space(invert: Operator, image: Operator, n: int, dtype: Any, cutoff: float, most: int) -> int | None:
    """Estimate how many singular values are at most `cutoff`; None if there are more than `most`.

    Ritz values are upper bounds, so the number can only be too small. The space is doubled while all are small.
    """
    width = min(4, n)
    rng = np.random.default_rng(1)
    while True:
        space, _ = np.linalg.qr(_random(rng, (n, width), dtype))
        for _ in range(8):
            space, values = _ritz(invert(space), image)
        count = int((values <= cutoff).sum())
        if count < width or width == n:
            return count if count <= most else None
        if width > most:
            return None
        width = min(2 * width, n)


def random_block(shape: tuple[int, int], dtype: Any) -> Array:
    """Return a block of random vectors, always the same."""
    return _random(np.random.default_rng(2), shape, dtype)


def _random(rng: np.random.Generator, shape: tuple[int, int], dtype: Any) -> Array:
    block: Array = rng.standard_normal(shape).astype(dtype)
    if block.dtype.kind == "c":
        block += 1j * rng.standard_normal(shape)
    return block


def _ritz(block: Array, image: Operator) -> tuple[Array, Array]:
    """Orthonormalise, and turn to the singular vectors of R on the space, smallest first."""
    space, _ = np.linalg.qr(block)
    _, values, right = np.linalg.svd(np.linalg.qr(image(space), mode="r"))
    return space @ right[::-1].conj().T, values[::-1]
