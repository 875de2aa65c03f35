"""Decompositions of chains: tridiagonal LU where there are no links, orthogonal condensation where there are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import condensation as kernels
from stridiag._kernels import tridiagonal_lu
from stridiag._kernels.determinant import log_product
from stridiag.factorization.decomposition import Decomposition, Singularity
from stridiag.factorization.dense import factor_dense
from stridiag.factorization.sparse_lu import factor_sparse
from stridiag.planning.chain import ChainLayout, CondensationLayout

__all__ = ["Condensation", "TridiagonalLU"]

Array = NDArray[Any]


class TridiagonalLU:
    """Chains without links: LU with partial pivoting. See `stridiag._kernels.tridiagonal_lu`."""

    name = "tridiagonal LU with partial pivoting"

    def __init__(self, layout: ChainLayout, values: Array) -> None:
        self._layout = layout
        dl, d, du = layout.tridiagonal(values)
        self._factors = (dl, d, du, np.empty_like(du), np.zeros(d.size, np.bool_))
        info = tridiagonal_lu.factor(*self._factors)
        self.singularity = None if info < 0 else Singularity(row=layout.index(info))

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        x = self._layout.to_chains(b)
        (tridiagonal_lu.solve_adjoint if adjoint else tridiagonal_lu.solve)(*self._factors, x)
        return self._layout.from_chains(x)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        y = self._layout.to_chains(x)
        tridiagonal_lu.multiply(*self._factors, y)
        return self._layout.from_chains(y)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        d, swapped = self._factors[1], self._factors[4]
        phase, log = log_product(d, 1, 0, _one(d))
        return (-phase if np.count_nonzero(swapped) % 2 else phase), log

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return sum(part.nbytes for part in self._factors)


class Condensation:
    """Chains with links: orthogonal condensation onto the kept columns. See `stridiag._kernels.condensation`."""

    name = "orthogonal condensation"

    def __init__(self, layout: CondensationLayout, values: Array, *, dense_reduced: bool) -> None:
        self._layout = layout
        tridiagonal = layout.chain.tridiagonal(values)
        segments = (layout.first, layout.last, layout.neighbours)
        self._rows = np.zeros((layout.chain.n, 8), values.dtype)
        leftover = np.zeros((layout.first.size, 2, 5), values.dtype)
        info = kernels.condense(*tridiagonal, *segments, self._rows, leftover)
        self._links = values[layout.link_slots]
        matrix = layout.reduced.assemble(leftover, self._links, tridiagonal, values)
        self._reduced: Decomposition = factor_dense(matrix.toarray()) if dense_reduced else factor_sparse(matrix)
        self.singularity = None
        if info >= 0:
            self.singularity = Singularity(column=layout.chain.index(info))
        elif self._reduced.singularity is not None:
            # The reduced system's rows are mixtures; a column it names is a kept column of ours.
            column = self._reduced.singularity.column
            self.singularity = Singularity(
                column=None if column is None else layout.chain.index(int(layout.columns[column]))
            )

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        layout = self._layout
        segments = (self._rows, layout.first, layout.last, layout.neighbours)
        links = (layout.link_start, layout.link_kept, self._links)
        x = layout.chain.to_chains(b)
        if adjoint:
            z = x[layout.columns]
            kernels.forward_substitute_adjoint(*segments, *links, z, x)
            x[layout.leftover] = self._reduced.solve(z, adjoint=True)
            kernels.reflect(*segments, x, True)
        else:
            kernels.reflect(*segments, x, False)
            z = self._reduced.solve(x[layout.leftover])
            kernels.back_substitute(*segments, *links, z, x)
            x[layout.columns] = z
        return layout.chain.from_chains(x)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        layout = self._layout
        segments = (self._rows, layout.first, layout.last, layout.neighbours)
        y = layout.chain.to_chains(x)
        z = y[layout.columns]
        kernels.multiply_upper(*segments, layout.link_start, layout.link_kept, self._links, z, y)
        y[layout.leftover] = self._reduced.multiply(z)
        kernels.reflect(*segments, y, True)
        return layout.chain.from_chains(y)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        layout = self._layout
        interior = np.ones(layout.chain.n, np.bool_)
        interior[layout.columns] = False
        pivots = self._rows[interior, kernels.D]
        phase, log = log_product(pivots, 1, 0, _one(pivots))
        reduced_phase, reduced_log = self._reduced.slogdet()
        # Each reflection has determinant -1; there is one for every interior column that is not zero.
        flips = layout.odd + pivots.size
        phase = phase * reduced_phase
        return (-phase if flips % 2 else phase), log + reduced_log

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return self._rows.nbytes + self._links.nbytes + self._reduced.nbytes


def _one(array: Array) -> complex:
    """Return 1 in the precision in which products of the array's entries are taken."""
    return 1.0 + 0.0j if array.dtype.kind == "c" else 1.0
