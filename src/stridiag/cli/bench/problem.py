"""Matrices and right-hand sides to measure with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

import stridiag
from stridiag import StridiagMatrix, Structure, linalg
from stridiag._cached import cached_property

__all__ = ["VALUES", "Array", "Case", "Problem", "Values"]

Array = NDArray[Any]
Values = Literal["dominant", "random", "constant", "signs", "singular"]
# What can be asked for; "singular" belongs to the pseudoinverse.
VALUES: tuple[Values, ...] = tuple(name for name in get_args(Values) if name != "singular")

# Sub-diagonal, diagonal, super-diagonal: well-conditioned chains on which elimination without care grows errors.
_CONSTANTS = {"constant": (-0.9, 0.99, 1.0), "signs": (1.0, -1.0, -1.0)}


class Case(NamedTuple):
    """Offsets +p and -q, and how many links.

    Examples
    --------
    >>> from stridiag.cli.bench.problem import Case
    >>> Case.parse("2,3,100")
    Case(p=2, q=3, links=100)
    """

    p: int
    q: int
    links: int

    @classmethod
    def parse(cls, text: str) -> Case:
        """Read "p,q,links"."""
        found = re.fullmatch(r"\(?(\d+),(\d+),(\d+)\)?", text.replace(" ", ""))
        if not found or "0" in found.groups()[:2]:
            raise ValueError(f"a case is p,q,links such as 1,1,100, with p and q at least 1; got {text!r}")
        return cls(*map(int, found.groups()))

    @property
    def smallest(self) -> int:
        """The least order that has room for the diagonals, two places along each, and for the links."""
        return max(3, self.p + 2, self.q + 2, self.links)

    @property
    def is_tridiagonal(self) -> bool:
        """Whether all entries lie on tridiagonal chains, so that LAPACK's tridiagonal routines apply."""
        return self.p == self.q and not self.links

    def __str__(self) -> str:
        return f"{self.p},{self.q},{self.links}"


@dataclass(frozen=True)
class Problem:
    """A matrix, or a batch of matrices, with right-hand sides; made when first asked for.

    Attributes
    ----------
    case : Case
        Where entries are.
    n : int
        Order.
    values : str
        "dominant": the main diagonal exceeds the rest of its row by 1. "random": standard normal. "constant" and
        "signs": the same three numbers all along; links are 1. "singular": dominant but for two entries of the main
        diagonal, which make the rank n - 2.
    seed : int
        Of everything random.
    members : int
        Size of the batch.
    """

    case: Case
    n: int
    values: Values = "dominant"
    seed: int = 0
    members: int = 1

    @cached_property
    def structure(self) -> Structure:
        """The structure; links at random places."""
        case = self.case
        return stridiag.random(self.n, (-case.q, 0, case.p), case.links, rng=self._generator()).structure

    @cached_property
    def matrix(self) -> StridiagMatrix:
        """The matrix, or batch."""
        return StridiagMatrix(self.structure, self._draw(self._generator(1)))

    @cached_property
    def other_values(self) -> Array:
        """Other values for the same structure, of the same kind."""
        return self._draw(self._generator(2))

    @cached_property
    def right(self) -> Array:
        """A right-hand side for each member, (n,) or (members, n)."""
        shape = (self.members, self.n) if self.members > 1 else self.n
        return self._generator(3).standard_normal(shape)

    @cached_property
    def rights(self) -> Array:
        """64 right-hand sides as columns."""
        return self._generator(4).standard_normal((self.n, 64))

    @cached_property
    def csc(self) -> Any:
        """The matrix, or the block-diagonal matrix of all members, with the indices that C libraries take."""
        return self._sparse("csc_matrix", self.matrix.values)

    @cached_property
    def csr(self) -> Any:
        """The same by rows."""
        return self._sparse("csr_matrix", self.matrix.values)

    @cached_property
    def other_csc(self) -> Any:
        """`csc` of the other values."""
        return self._sparse("csc_matrix", self.other_values)

    @cached_property
    def other_csr(self) -> Any:
        """`csr` of the other values."""
        return self._sparse("csr_matrix", self.other_values)

    @cached_property
    def diagonals(self) -> tuple[Array, Array, Array]:
        """Sub-diagonal, diagonal and super-diagonal, contiguous; (members, length) for a batch."""
        below, main, above = (np.array(self.matrix.diagonal(k)) for k in (-self.case.q, 0, self.case.p))
        return below, main, above

    @cached_property
    def chained(self) -> tuple[Array, Array, Array]:
        """All chains of the matrix, or of the batch, one after another as a single chain, with zeros between."""
        p, members = self.case.p, self.members
        below, main, above = (np.atleast_2d(band) for band in self.diagonals)
        pad = np.zeros((members, p))
        # Row i couples to row i + p through above[i]; a chain's last row to none.
        above, below = np.hstack((above, pad)), np.hstack((below, pad))
        order = self.chain_order
        lower, diagonal, upper = (band[:, order].ravel() for band in (below, main, above))
        return lower[:-1].copy(), diagonal, upper[:-1].copy()

    @cached_property
    def chain_order(self) -> Array:
        """Rows chain by chain: those of one residue modulo p one after another."""
        return np.concatenate([np.arange(k, self.n, self.case.p) for k in range(self.case.p)])

    def fresh(self) -> StridiagMatrix:
        """Return the matrix as another object, so that nothing is remembered with it."""
        old = self.structure
        made = Structure(old.shape, old.offsets, (old.link_rows, old.link_columns))
        return StridiagMatrix(made, self.matrix.values)

    def _generator(self, part: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.seed, part, *self.case, self.n])

    def _draw(self, rng: np.random.Generator) -> Array:
        structure, case = self.structure, self.case
        shape = (self.members, structure.nnz) if self.members > 1 else (structure.nnz,)
        if self.values in _CONSTANTS:
            values = np.ones(shape)
            for offset, number in zip((-case.q, 0, case.p), _CONSTANTS[self.values], strict=True):
                values[..., structure.diagonal_slots(offset)] = number
            return values
        values = rng.standard_normal(shape)
        if self.values == "random":
            return values
        main = structure.diagonal_slots(0)
        values[..., main] = 0.0
        values[..., main] = 1.0 + self._row_sums(np.abs(values))
        return self._made_singular(values) if self.values == "singular" else values

    def _row_sums(self, values: Array) -> Array:
        rows, _ = self.structure.coordinates()
        flat = np.atleast_2d(values)
        places = (rows + self.n * np.arange(len(flat))[:, None]).ravel()
        return np.bincount(places, flat.ravel(), len(flat) * self.n).reshape(*values.shape[:-1], self.n)

    def _made_singular(self, values: Array) -> Array:
        """Lower the first and the last entry of the main diagonal until the rank is n - 2.

        A - U D U' with U = [e_i, e_j] has the rank n - 2 if D is the inverse of the 2 x 2 block of A's inverse at
        i and j, which is diagonal to working precision where i and j are far apart in a dominant matrix.
        """
        dominant = StridiagMatrix(self.structure, values)
        ends = np.array([0, self.n - 1])
        units = np.zeros((self.n, 2))
        units[ends, [0, 1]] = 1.0
        main = self.structure.diagonal_slots(0)
        values[main.start + ends] -= 1.0 / linalg.solve(dominant, units)[ends, [0, 1]]
        return values

    def _sparse(self, kind: str, values: Array) -> Any:
        import scipy.sparse

        rows, columns = self.structure.coordinates()
        shift = self.n * np.arange(self.members)[:, None]
        places = ((rows + shift).ravel(), (columns + shift).ravel())
        size = self.members * self.n
        result = getattr(scipy.sparse, kind)((values.ravel(), places), shape=(size, size))
        result.indices, result.indptr = result.indices.astype(np.int32), result.indptr.astype(np.int32)
        result.sort_indices()
        return result
