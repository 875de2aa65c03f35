"""Forests, and trees on a core: LU from the leaves, with interchanges of child and parent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from stridiag._kernels import forest
from stridiag.factorization.decomposition import Decomposition
from stridiag.factorization.determinant import phase_and_log, sign_of_flips
from stridiag.factorization.elementary import Diagonal, Elementary, Permutation
from stridiag.factorization.inverse_entries import diagonal_by_solves, entries_of_inverse, known_pattern
from stridiag.factorization.simple_factor import SimpleFactor
from stridiag.factorization.singularity import Singularity
from stridiag.planning.forest import ForestLayout

__all__ = ["Forest"]

Array = NDArray[Any]
Index = NDArray[np.int64]


class Forest:
    """LU of the trees, and of the core what its own plan gives. See `stridiag._kernels.forest`."""

    def __init__(self, layout: ForestLayout, values: Array) -> None:
        self._layout = layout
        edges = layout.parent.size
        # A slot of -1 is the zero at the end.
        padded = np.append(values, values.dtype.type(0))
        diagonal = padded[layout.diagonal]
        alpha = np.ones(diagonal.size, values.dtype)
        self._up, self._down = padded[layout.up], padded[layout.down]
        self._multipliers, self._beside, self._scales = (np.empty(edges, values.dtype) for _ in range(3))
        info = forest.factor(
            layout.parent, self._up, self._down, diagonal, alpha, self._multipliers, self._beside, self._scales
        )
        self._pivots = diagonal[: layout.trees].copy()
        if info < 0:
            # Accepts the good, so that a NaN is reported as well as a zero.
            size = np.abs(self._pivots[edges:])
            bad = np.flatnonzero(~((size > 0.0) & (size < np.inf)))
            info = edges + int(bad[0]) if bad.size else -1
        self.singularity = None if info < 0 else Singularity(row=int(layout.order[self._rows()[info]]))
        self.name = "forest LU with interchanges of child and parent"
        self._core: Decomposition | None = None
        if layout.core is not None:
            # Imported late: decompose knows all decompositions, this one included.
            from stridiag.factorization.decompose import decompose

            core = slice(layout.trees, None)
            self._core = decompose(layout.core.plan, layout.core.values(values, diagonal[core], alpha[core]))
            self.name += f", and {self._core.name} for the core"
            # Within the core, off its diagonal, the rows with trees are needed as they were.
            beside = layout.core.beside
            self._inside = csr_array((values[beside.data], beside.indices, beside.indptr), shape=beside.shape)
            if self.singularity is None:
                self.singularity = self._place(self._core.singularity)

    def solve(self, b: Array, *, adjoint: bool = False) -> Array:
        """See `Decomposition.solve`."""
        layout = self._layout
        x = b[layout.order]
        lower = (layout.parent, self._multipliers, self._scales, x)
        sums = self._sums(x)
        core = slice(layout.trees, None)
        if adjoint:
            forest.solve_upper_adjoint(*self._upper(), sums, x)
            if self._core is not None:
                x[core] = self._core.solve(x[core] - self._inside.T.conj() @ sums[1:], adjoint=True)
            forest.solve_lower_adjoint(*lower)
        else:
            forest.solve_lower(*lower)
            if self._core is not None:
                x[core] = self._core.solve(x[core].copy())
                sums[1:] = self._inside @ x[core]
            forest.solve_upper(*self._upper(), sums, x)
        return self._scatter(x)

    def multiply(self, x: Array) -> Array:
        """See `Decomposition.multiply`."""
        layout = self._layout
        x = x[layout.order]
        y = np.empty_like(x)
        sums = self._sums(x)
        core = slice(layout.trees, None)
        if self._core is not None:
            sums[1:] = self._inside @ x[core]
            y[core] = self._core.multiply(x[core].copy())
        forest.multiply_upper(*self._upper(), sums, x, y)
        forest.multiply_lower(layout.parent, self._multipliers, self._scales, y)
        return self._scatter(y)

    def slogdet(self) -> tuple[Any, float]:
        """See `Decomposition.slogdet`."""
        phase, log = phase_and_log(self._pivots, sign_of_flips(int(np.count_nonzero(self._scales))))
        if self._core is None:
            return phase, log
        core_phase, core_log = self._core.slogdet()
        return phase * core_phase, log + core_log

    def inverse_diagonal(self) -> Array:
        """See `Decomposition.inverse_diagonal`; in O(n), besides what the core takes."""
        core = None
        if self._core is not None and self._layout.core is not None:
            core = known_pattern(self._core, transpose=True)
            if core is None:
                # Only the rows with a tree are wanted besides.
                row, column = self._layout.core.structure.coordinates()
                order, kind = self._layout.core.structure.shape[0], self._pivots.dtype
                core = np.zeros(self._layout.core.structure.nnz, kind)
                off = self._layout.core.beside_slots
                core[off] = entries_of_inverse(self._core, order, kind, column[off], row[off])
                core[self._layout.core.targets[1]] = self._core.inverse_diagonal()
        z = self._selected(core)[0]
        if not np.isfinite(z).all():
            return diagonal_by_solves(self, z.size, self._pivots.dtype)
        return self._scatter(z)

    def inverse_on_pattern(self, *, transpose: bool) -> Array | None:
        """See `stridiag.factorization.inverse_entries.KnowsPattern`; in O(n), besides what the core takes."""
        layout, kind = self._layout, self._pivots.dtype
        straight = turned = None
        if self._core is not None and layout.core is not None:
            turned = known_pattern(self._core, transpose=True)
            straight = turned if transpose else known_pattern(self._core, transpose=False)
            if straight is None or turned is None:
                rows, columns = layout.core.structure.coordinates()
                first, second = (columns, rows) if transpose else (rows, columns)
                # All at once: the same solves serve both ways round.
                both = np.concatenate((first, columns)), np.concatenate((second, rows))
                found = entries_of_inverse(self._core, layout.core.structure.shape[0], kind, *both)
                straight, turned = np.split(found, 2)
        z, above, below = self._selected(turned)
        alpha = np.ones(z.size, kind)
        forest.rescale(layout.parent, self._multipliers, self._scales, alpha, above, below)
        # A slot of -1 is the one at the end.
        result = np.zeros(layout.structure.nnz + 1, kind)
        result[layout.diagonal] = z
        result[layout.up], result[layout.down] = (below, above) if transpose else (above, below)
        if straight is not None and layout.core is not None:
            inside = layout.core.rows if transpose else layout.core.columns
            result[layout.core.slots] = alpha[layout.trees + inside] * straight[layout.core.targets[0]]
        result = result[:-1]
        return result if np.isfinite(result).all() else None

    def _selected(self, core: Array | None) -> tuple[Array, Array, Array]:
        """Return what `forest.selected_inverse` finds, given the transposed inverse of the core by its slots."""
        layout, kind = self._layout, self._pivots.dtype
        edges = layout.parent.size
        z, sums = np.empty(layout.order.size, kind), np.zeros(layout.order.size, kind)
        above, below = np.empty((2, edges), kind)
        z[edges : layout.trees] = 1 / self._pivots[edges:]
        if core is not None and layout.core is not None:
            z[layout.trees :] = core[layout.core.targets[1]]
            # Row u within the core times column u of its inverse.
            product = csr_array(
                (self._inside.data * core[layout.core.beside_slots], self._inside.indices, self._inside.indptr),
                shape=self._inside.shape,
            )
            sums[layout.trees :] = product.sum(axis=1)
        forest.selected_inverse(
            layout.parent,
            self._up,
            self._down,
            self._pivots,
            self._multipliers,
            self._beside,
            self._scales,
            sums,
            z,
            above,
            below,
        )
        return z, above, below

    def factors(self) -> list[SimpleFactor]:
        """See `Decomposition.factors`: a permutation, L by columns, the core's factors, U by columns, a permutation."""
        layout = self._layout
        n, parent = layout.order.size, layout.parent
        if n == 0:
            return []
        settled = np.empty_like(parent)
        forest.settle(parent, self._scales, settled)
        lower: list[SimpleFactor] = [
            Elementary(n, int(k), settled[k : k + 1], self._multipliers[k : k + 1])
            for k in np.flatnonzero(self._multipliers)
        ]
        core: list[SimpleFactor] = []
        if self._core is not None:
            core = [factor.embed(n, np.arange(layout.trees, n)) for factor in self._core.factors()]
        roots = np.ones(n, self._pivots.dtype)
        roots[parent.size : layout.trees] = self._pivots[parent.size :]
        return [
            Permutation(layout.order[self._rows()]).inverse(),
            *lower,
            *core,
            Diagonal(roots),
            *reversed(list(self._upper_factors(n))),
            Permutation(layout.order),
        ]

    def _upper_factors(self, n: int) -> Iterator[SimpleFactor]:
        """Yield factors of U, the one to be applied first first.

        Written out, U would be quadratic for a star. So the pivot rows of siblings share what they have in common: in
        the place of an interchanged vertex comes first the running sum along row u of A that starts with it, to which
        the next such sum and the entries between the two are added; then the row's multiple of that sum.
        """
        layout, parent, edges = self._layout, self._layout.parent, self._layout.parent.size
        begins = np.flatnonzero(np.diff(parent, prepend=-1))
        nothing = np.empty(0, np.int64), np.empty(0, self._pivots.dtype)
        one = np.ones(1, self._pivots.dtype)
        for begin, end in zip(begins, np.append(begins, edges)[1:], strict=True):
            u = int(parent[begin])
            swapped = begin + np.flatnonzero(self._scales[begin:end])
            for k in swapped.tolist():
                yield Elementary(n, k, *nothing, self._down[k])
            if swapped.size and u < edges:
                yield Elementary(n, int(parent[u]), swapped[-1:], self._up[u : u + 1])
            elif swapped.size and u >= layout.trees:
                row = slice(*self._inside.indptr[u - layout.trees : u - layout.trees + 2])
                for column, value in zip(self._inside.indices[row], self._inside.data[row], strict=True):
                    yield Elementary(n, layout.trees + int(column), swapped[-1:], np.array([value]))
            place = swapped.size
            for k in range(end - 1, begin - 1, -1):
                exchanged = place > 0 and k == swapped[place - 1]
                place -= exchanged
                into = swapped[place - 1 : place] if place else nothing[0]
                value = (one if exchanged else self._down[k : k + 1])[: into.size]
                yield Elementary(n, k, into, value, self._scales[k] if exchanged else self._pivots[k])
            yield Elementary(n, u, np.arange(begin, end), self._beside[begin:end])

    def _upper(self) -> tuple[Array, Array, Array, Array, Array, Array]:
        return self._layout.parent, self._up, self._down, self._pivots, self._beside, self._scales

    def _sums(self, x: Array) -> Array:
        """Return the zeros that the kernels take as `sums`."""
        return np.zeros((1 + x.shape[0] - self._layout.trees, x.shape[1]), x.dtype)

    def _scatter(self, x: Array) -> Array:
        """Return `x`, by position, in the original order."""
        result = np.empty_like(x)
        result[self._layout.order] = x
        return result

    def _rows(self) -> Index:
        """Return which row, by position, stands at each position after all interchanges."""
        rows = np.arange(self._layout.order.size)
        forest.interchange(self._layout.parent, self._scales, rows)
        return rows

    def _place(self, found: Singularity | None) -> Singularity | None:
        """Return where a singularity of the core lies in the whole matrix."""
        if found is None:
            return None
        core = self._layout.order[self._layout.trees :]
        rows = self._layout.order[self._rows()[self._layout.trees :]]
        return Singularity(
            row=None if found.row is None else int(rows[found.row]),
            column=None if found.column is None else int(core[found.column]),
        )

    @property
    def nbytes(self) -> int:
        """Bytes that the stored factors occupy."""
        parts = (self._up, self._down, self._pivots, self._multipliers, self._beside, self._scales)
        trees = sum(part.nbytes for part in parts)
        if self._core is None:
            return trees
        return int(trees + self._inside.data.nbytes + self._inside.indices.nbytes + self._core.nbytes)
