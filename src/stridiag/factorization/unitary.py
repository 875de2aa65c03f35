"""Reflections and rotations: the simple factors of orthogonal decompositions. See `stridiag.factorization.elementary`.

References: Golub & Van Loan, *Matrix Computations*, 4th ed., section 5.1; LAPACK xLARFG for complex tau.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._validate import as_index, as_values
from stridiag.errors import StructureError
from stridiag.factorization.simple_factor import SimpleFactor, as_places, as_vector, freeze

__all__ = ["Reflection", "Rotation"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# How far from unitary they may be, in units of eps for each entry.
_SLACK = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class Reflection(SimpleFactor):
    r"""A unitary matrix :math:`I - \tau v v^H` (Householder).

    Its inverse is its adjoint, which for a real tau is the matrix itself.

    Parameters
    ----------
    n : int
        Order.
    rows : array_like of int, (k,)
        Where v has entries; distinct.
    vector : array_like, (k,)
        The entries of v.
    tau : number
        With :math:`2 \operatorname{Re} \tau = |\tau|^2 v^H v`, up to rounding: else the matrix is not unitary.

    Examples
    --------
    >>> from stridiag.factorization import Reflection
    >>> H = Reflection(2, [0, 1], [1, -1], 1)
    >>> H.toarray()
    array([[0., 1.],
           [1., 0.]])
    >>> H.inverse() is H, H.det()
    (True, np.float64(-1.0))
    """

    n: int
    rows: Index
    vector: Array
    tau: Any

    def __post_init__(self) -> None:
        rows = as_places(self.rows, self.n)
        vector = as_vector(self.vector, "vector", rows.size)
        kind = np.result_type(vector.dtype, self.tau)
        vector, tau = vector.astype(kind, copy=False), kind.type(self.tau)
        defect = abs(2 * tau.real - abs(tau) ** 2 * np.vdot(vector, vector).real)
        if not defect <= _SLACK * (rows.size + 1) * np.finfo(kind).eps * abs(tau):
            raise StructureError(f"I - tau v v^H must be unitary, got tau = {tau} and v = {vector}")
        freeze(self, rows=rows, vector=vector, tau=tau)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.n, self.n

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the vector."""
        return self.vector.dtype

    @property
    def is_identity(self) -> bool:
        """Whether tau is zero."""
        return bool(self.tau == 0)

    def inverse(self) -> Reflection:
        """Return the adjoint; `self` if tau is real."""
        return self if self.tau.imag == 0 else Reflection(self.n, self.rows, self.vector, np.conj(self.tau))

    def embed(self, n: int, places: ArrayLike) -> Reflection:
        """See `SimpleFactor.embed`."""
        return Reflection(n, as_index(places, "places")[self.rows], self.vector, self.tau)

    def slogdet(self) -> tuple[Any, float]:
        r"""Return :math:`1 - \tau v^H v = -\tau / \bar\tau` (1 if tau is zero), and 0."""
        if self.tau.imag == 0:
            # Exactly: the quotient of a complex number by its magnitude may be off by an eps.
            return self.dtype.type(1 if self.tau == 0 else -1), 0.0
        unit = self.tau / abs(self.tau)
        return -unit * unit, 0.0

    def apply(self, x: Array) -> Array:
        """See `SimpleFactor.apply`."""
        x[self.rows] -= self.vector[:, None] * (self.tau * (self.vector.conj() @ x[self.rows]))
        return x


@dataclass(frozen=True, slots=True, eq=False)
class Rotation(SimpleFactor):
    r"""A rotation of two rows (Givens): :math:`\begin{pmatrix} c & s \\ -\bar s & c \end{pmatrix}` there.

    Parameters
    ----------
    n : int
        Order.
    first, second : int
        The two rows.
    cosine : float
        c, real.
    sine : number
        s, with :math:`c^2 + |s|^2 = 1` up to rounding.

    Examples
    --------
    >>> from stridiag.factorization import Rotation
    >>> G = Rotation(3, 0, 2, 0.6, 0.8)
    >>> (G @ [3, 1, 4]).round(12) + 0.0
    array([5., 1., 0.])
    """

    n: int
    first: int
    second: int
    cosine: Any
    sine: Any

    def __post_init__(self) -> None:
        as_places(np.array([self.first, self.second]), self.n)
        kind = as_values(self.sine, "sine").dtype
        sine, cosine = kind.type(self.sine), kind.type(self.cosine).real
        if not abs(cosine**2 + abs(sine) ** 2 - 1) <= _SLACK * np.finfo(kind).eps:
            raise StructureError(f"c^2 + |s|^2 must be 1, got c = {self.cosine} and s = {self.sine}")
        freeze(self, cosine=cosine, sine=sine)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.n, self.n

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the sine."""
        return np.dtype(type(self.sine))

    @property
    def is_identity(self) -> bool:
        """Whether the angle is zero."""
        return bool(self.cosine == 1 and self.sine == 0)

    def inverse(self) -> Rotation:
        """Return the rotation back."""
        return Rotation(self.n, self.first, self.second, self.cosine, -self.sine)

    def embed(self, n: int, places: ArrayLike) -> Rotation:
        """See `SimpleFactor.embed`."""
        where = as_index(places, "places")
        return Rotation(n, int(where[self.first]), int(where[self.second]), self.cosine, self.sine)

    def slogdet(self) -> tuple[float, float]:
        """Return 1 and 0."""
        return 1.0, 0.0

    def apply(self, x: Array) -> Array:
        """See `SimpleFactor.apply`."""
        above = self.cosine * x[self.first] + self.sine * x[self.second]
        x[self.second] = self.cosine * x[self.second] - np.conj(self.sine) * x[self.first]
        x[self.first] = above
        return x
