"""What recursive least squares have become at one moment: what is stored of them, and made into them again.

All that is left of a stream's past is a triangle, a right-hand side, the penalties as they are, and whose turn it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag.errors import StructureError
from stridiag.nn.options import is_integer
from stridiag.nn.parts import require_array
from stridiag.nn.storage import storable
from stridiag.structure import Structure

if TYPE_CHECKING:
    from stridiag.nn.recursive import RecursiveLayer, RecursiveLeastSquares

__all__ = ["FrozenRecursiveLayer", "FrozenRecursiveLeastSquares"]

Array = NDArray[Any]


def _check_progress(turn: int, penalty: float, diagonal: Array, *, kept: Array, **arrays: Array) -> None:
    k = kept.size
    if not (is_integer(turn) and 0 <= turn < k):
        raise StructureError(f"turn must be an integer from 0 to {k - 1}, got {turn!r}")
    if not (kept.min() > 0.0 and kept.max() <= penalty):
        raise StructureError(f"penalties that are kept must be positive and at most {penalty}, got {kept}")
    if not np.abs(diagonal).min() > 0.0:
        raise StructureError("the triangle must be invertible, got a zero on its diagonal")
    for name, array in {"kept": kept, **arrays}.items():
        if array.dtype != np.float64 or not np.isfinite(array).all():
            raise StructureError(f"{name} must be finite and float64, got {array.dtype}")


@storable
@dataclass(frozen=True, slots=True, eq=False)
class FrozenRecursiveLeastSquares:
    """A `RecursiveLeastSquares` at one moment.

    Parameters
    ----------
    forgetting, penalty, hold
        As it was made with.
    turn : int
        Which input gets back its penalty next.
    triangle, right, kept : ndarray, (k, k), (k, q), (k,)
        Factor, right-hand side, penalties.
    """

    forgetting: float
    penalty: float
    hold: bool
    turn: int
    triangle: Array
    right: Array
    kept: Array

    def __post_init__(self) -> None:
        if self.right.ndim != 2 or not self.right.size:
            raise StructureError(f"right must be (inputs, outputs), at least one each, got {self.right.shape}")
        k = self.right.shape[0]
        require_array(self.triangle, "triangle", (k, k))
        require_array(self.kept, "kept", (k,))
        numbers = {"triangle": self.triangle, "right": self.right, "kept": self.kept}
        _check_progress(self.turn, self.penalty, np.diagonal(self.triangle), **numbers)

    def thawed(self) -> RecursiveLeastSquares:
        """Return an object that goes on from here."""
        from stridiag.nn.recursive import RecursiveLeastSquares

        return RecursiveLeastSquares.resumed(self)


@storable
@dataclass(frozen=True, slots=True, eq=False)
class FrozenRecursiveLayer:
    """A `RecursiveLayer` at one moment.

    Parameters
    ----------
    structure, source, inputs, bias, forgetting, penalty, hold
        As it was made with; `source`, int64, is always there.
    turn : int
        Which entry of all rows gets back its penalty next.
    triangle, right, kept, weights : ndarray, (k, k, n), (k, n), (k,), (k, n)
        Factors, right-hand sides, penalties, weights of the n rows, side by side.
    """

    structure: Structure
    source: Array
    inputs: int
    bias: bool
    forgetting: float
    penalty: float
    hold: bool
    turn: int
    triangle: Array
    right: Array
    kept: Array
    weights: Array

    def __post_init__(self) -> None:
        n, columns = self.structure.shape
        require_array(self.source, "source", (columns,), "i")
        # Before anything is made of them: so much has been in the file.
        k = self.kept.size
        require_array(self.kept, "kept", (k,))
        require_array(self.triangle, "triangle", (k, k, n))
        require_array(self.right, "right", (k, n))
        require_array(self.weights, "weights", (k, n))
        longest = int(np.bincount(self.structure.coordinates()[0], minlength=n).max(initial=0)) + self.bias
        if k != longest or not n:
            raise StructureError(f"numbers must be of {longest} entries a row, got {k}")
        diagonal = self.triangle[np.arange(k), np.arange(k)]
        numbers = {"triangle": self.triangle, "right": self.right, "kept": self.kept, "weights": self.weights}
        _check_progress(self.turn, self.penalty, diagonal, **numbers)

    def thawed(self) -> RecursiveLayer:
        """Return an object that goes on from here."""
        from stridiag.nn.recursive import RecursiveLayer

        return RecursiveLayer.resumed(self)
