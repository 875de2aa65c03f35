"""Chains with links: orthogonal condensation onto the columns that the links touch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import condensation as kernels
from stridiag.factorization.condensed_inverse import CondensedInverse
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.dense import factor_dense
from stridiag.factorization.determinant import phase_and_log, sign_of_flips
from stridiag.factorization.elementary import Permutation, columns_of_triangle
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.factorization.sparse_lu import factor_sparse
from stridiag.factorization.unitary import Reflection
from stridiag.planning.condensation import CondensationLayout

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["Condensation"]

Array = NDArray[Any]
Index = NDArray[np.int64]


class Condensation:
    """Chains with links: orthogonal condensation onto the kept columns. See `stridiag._kernels.condensation`."""

    name = "orthogonal condensation"

    def __init__(self, layout: CondensationLayout, values: Array) -> None:
        self._layout = layout
        tridiagonal = layout.chain.tridiagonal(values)
        segments = (layout.first, layout.last, layout.neighbours)
        self._rows = np.zeros((layout.chain.n, 8), values.dtype)
        leftover = np.zeros((layout.first.size, 2, 5), values.dtype)
        info = kernels.condense(*tridiagonal, *segments, self._rows, leftover)
        self._links = values[layout.link_slots]
        matrix = layout.reduced.assemble(leftover, self._links, tridiagonal, values)
        self._reduced: Decomposition = factor_dense(matrix.toarray()) if layout.dense_reduced else factor_sparse(matrix)
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
        _, interior = self._interior()
        pivots = self._rows[interior, kernels.D]
        # Each reflection has determinant -1; there is one for every interior column.
        phase, log = phase_and_log(pivots, sign_of_flips(layout.odd + pivots.size))
        reduced_phase, reduced_log = self._reduced.slogdet()
        return phase * reduced_phase, log + reduced_log

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`; from the orthogonal factor and the inverse of the reduced system."""
        (_, main, _), _ = CondensedInverse(self._layout, self._rows, self._links, self._reduced).pattern()
        return self._layout.chain.from_chains(main)

    def inverse_on_pattern(self, *, transpose: bool) -> Array:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`."""
        inverse = CondensedInverse(self._layout, self._rows, self._links, self._reduced)
        return inverse.by_slot(self._layout.chain.structure.nnz, transpose=transpose)

    def write_inverse(self, out: Array) -> bool:
        """See `stridiag.factorization.inverse_entries.KnowsInverse`."""
        return CondensedInverse(self._layout, self._rows, self._links, self._reduced).write(out)

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: reflections, the slots, the reduced system's factors, D, columns of (U W; 0 I).

        Between the two permutations of the chains.
        """
        layout = self._layout
        n = layout.chain.n
        segment, interior = self._interior()
        has_left = layout.neighbours[segment, 1] >= 0
        slots = np.arange(n)
        slots[interior - has_left] = interior
        slots[layout.leftover] = layout.columns
        order = np.concatenate((layout.columns[::-1], interior[::-1])).tolist()
        chains = Permutation(layout.chain.to_chains(np.arange(n)))
        return [
            chains.inverse(),
            *self._reflections(segment, interior),
            Permutation(slots),
            *(factor.embed(n, layout.columns) for factor in self._reduced.factors()),
            *columns_of_triangle(self._upper(segment, interior), order, divide="rows"),
            chains,
        ]

    def _interior(self) -> tuple[Index, Index]:
        """Return the segment and the chain position of each interior column, ascending."""
        first, last = self._layout.first, self._layout.last
        segment = np.repeat(np.arange(first.size), last - first + 1)
        inside = np.ones(self._layout.chain.n, np.bool_)
        inside[self._layout.columns] = False
        return segment, np.flatnonzero(inside)

    def _reflections(self, segment: Index, interior: Index) -> list[Reflection]:
        layout = self._layout
        n = layout.chain.n
        has_left = layout.neighbours[segment, 1] >= 0
        has_below = (interior < layout.last[segment]) | (layout.neighbours[segment, 2] >= 0)
        result = []
        for j, left, below in zip(interior.tolist(), has_left.tolist(), has_below.tolist(), strict=True):
            v1, v2, tau = self._rows[j, : kernels.TAU + 1]
            vector = [tau.dtype.type(1), *([v1] if left else []), *([v2] if below else [])]
            result.append(Reflection(n, np.arange(j - left, j + below + 1), np.array(vector), tau))
        return result

    def _upper(self, segment: Index, interior: Index) -> csc_array[Any]:
        """Return (U W; 0 I), the rows of U and W at their interior columns, in chain order."""
        from scipy.sparse import coo_array

        layout, rows = self._layout, self._rows
        n = layout.chain.n
        last = layout.last[segment]
        left2, left1, right1, right2 = (layout.neighbours[segment] >= 0).T
        to_end = last - interior
        parts = [(layout.columns, layout.columns, np.ones(layout.columns.size, rows.dtype))]
        for letter, shift, present in (
            (kernels.D, 0, to_end >= 0),
            (kernels.U1, 1, (to_end >= 1) | right1),
            (kernels.U2, 2, (to_end >= 2) | ((to_end == 1) & right1) | ((to_end == 0) & right2)),
        ):
            row = interior[present]
            parts.append((row, row + shift, rows[row, letter]))
        for letter, back, present in ((kernels.W1, 2, left2), (kernels.W2, 1, left1)):
            row = interior[present]
            parts.append((row, (layout.first[segment] - back)[present], rows[row, letter]))
        # The links of row `last + 1` have come into row `last` of U by its reflection.
        row = np.repeat(layout.last, np.diff(layout.link_start))
        enters = -rows[row, kernels.TAU] * rows[row, kernels.V2].conj()
        parts.append((row, layout.columns[layout.link_kept], enters * self._links))
        at, to, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        return coo_array((values, (at, to)), shape=(n, n)).tocsc()

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        return self._rows.nbytes + self._links.nbytes + self._reduced.nbytes
