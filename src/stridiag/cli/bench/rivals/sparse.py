"""Sparse direct solvers: SuperLU, KLU in four wrappers, UMFPACK, PARDISO, SPQR."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from stridiag.cli.bench.problem import Array, Problem
from stridiag.cli.bench.rivals.base import Prepared, Rival

__all__ = [
    "KlujaxKlu",
    "NbKlu",
    "NbKluRefactor",
    "NbKluTol1",
    "Pardiso",
    "PyKlu",
    "Spqr",
    "SuperluColamd",
    "SuperluMmd",
]

# Sparse solvers make a dense inverse column by column; above this order it is no use to anybody.
_INVERSE_ORDER = 4000


class _Superlu(Rival):
    ordering: ClassVar[Literal["COLAMD", "MMD_AT_PLUS_A"]]

    def _factor(self, matrix: Any) -> Any:
        from scipy.sparse.linalg import splu

        return splu(matrix, permc_spec=self.ordering)

    def factor_solve(self, problem: Problem) -> Any:
        matrix, b = problem.csc, problem.right
        return lambda: self._factor(matrix).solve(b)

    small = factor_solve

    def refactor_solve(self, problem: Problem) -> Any:
        # The analysis cannot be kept, but the ordering can: columns are put in it beforehand.
        first, matrix, b = self._factor(problem.csc), problem.other_csc, problem.right
        from scipy.sparse.linalg import splu

        # perm_c sends column j to perm_c[j].
        inverse = np.argsort(first.perm_c)
        ordered = matrix[:, inverse]

        def run() -> Array:
            x = np.empty_like(b)
            x[inverse] = splu(ordered, permc_spec="NATURAL").solve(b)
            return x

        return run

    def solve(self, problem: Problem) -> Any:
        factor, b = self._factor(problem.csc), problem.right
        return lambda: factor.solve(b)

    def solve_64(self, problem: Problem) -> Any:
        factor, b = self._factor(problem.csc), np.asfortranarray(problem.rights)
        return lambda: factor.solve(b)

    def slogdet(self, problem: Problem) -> Any:
        matrix = problem.csc

        def run() -> tuple[None, Any]:
            return None, np.log(np.abs(self._factor(matrix).U.diagonal())).sum()

        return run

    def inverse(self, problem: Problem) -> Any:
        if problem.n > _INVERSE_ORDER:
            return None
        matrix, n = problem.csc, problem.n
        return lambda: self._factor(matrix).solve(np.eye(n))


class SuperluColamd(_Superlu):
    """SuperLU at scipy's defaults."""

    name = "superlu-colamd"
    title = "SuperLU, COLAMD (scipy)"
    ordering = "COLAMD"
    partial: ClassVar[dict[str, str]] = {"slogdet": "without the sign"}


class SuperluMmd(_Superlu):
    """SuperLU with the ordering for nearly symmetric patterns."""

    name = "superlu-mmd"
    title = "SuperLU, MMD_AT_PLUS_A (scipy)"
    ordering = "MMD_AT_PLUS_A"
    partial: ClassVar[dict[str, str]] = {"slogdet": "without the sign"}


class PyKlu(Rival):
    """KLU at its defaults through PyKLU, which always analyses."""

    name = "klu-pyklu"
    title = "KLU (PyKLU)"
    package = "pyklu"
    module = "PyKLU"
    partial: ClassVar[dict[str, str]] = {"slogdet": "factorization only"}

    def factor_solve(self, problem: Problem) -> Any:
        from PyKLU import Klu

        matrix, b = problem.csc, problem.right
        return lambda: Klu(matrix).solve(b)

    small = factor_solve

    def refactor_solve(self, problem: Problem) -> Any:
        from PyKLU import Klu

        matrix, b = problem.other_csc, problem.right
        return lambda: Klu(matrix).solve(b)

    def solve(self, problem: Problem) -> Any:
        from PyKLU import Klu

        factor, b = Klu(problem.csc), problem.right
        return lambda: factor.solve(b)

    def solve_64(self, problem: Problem) -> Any:
        from PyKLU import Klu

        factor, b = Klu(problem.csc), np.asfortranarray(problem.rights)
        return lambda: factor.solve(b)

    def slogdet(self, problem: Problem) -> Any:
        from PyKLU import Klu

        matrix = problem.csc
        return lambda: (None, Klu(matrix))

    def inverse(self, problem: Problem) -> Any:
        from PyKLU import Klu

        if problem.n > _INVERSE_ORDER:
            return None
        matrix, n = problem.csc, problem.n
        # The transpose of the unit matrix is in the memory order that KLU takes without a copy.
        return lambda: Klu(matrix).solve(np.eye(n).T, copy=False)

    def inverse_out(self, problem: Problem) -> Any:
        from PyKLU import Klu

        if problem.n > _INVERSE_ORDER:
            return None
        matrix, out = problem.csc, np.zeros((problem.n, problem.n), order="F")

        def units() -> None:
            out[:] = 0.0
            np.fill_diagonal(out, 1.0)

        return Prepared(lambda: Klu(matrix).solve(out, copy=False), units)


class NbKlu(Rival):
    """KLU at its defaults through nbklu; a refactoring keeps the analysis and chooses pivots anew."""

    name = "klu-nbklu"
    title = "KLU (nbklu)"
    package = "nbklu"
    module = "nbklu"
    tolerance: ClassVar[float | None] = None

    def _analysed(self, matrix: Any) -> Any:
        from nbklu import KLUSolver32Real

        solver = KLUSolver32Real()
        if self.tolerance is not None:
            solver.common.tol = self.tolerance
        solver.analyze(matrix.shape[0], matrix.indptr, matrix.indices)
        return solver

    def factor_solve(self, problem: Problem) -> Any:
        matrix, b = problem.csc, problem.right

        def run() -> Array:
            solver = self._analysed(matrix)
            solver.factor(matrix.data)
            x: Array = solver.solve(b)
            # nbklu does not free by itself.
            solver.numeric.free(solver.common)
            solver.symbolic.free(solver.common)
            return x

        return run

    small = factor_solve

    def refactor_solve(self, problem: Problem) -> Any:
        solver, values, b = self._analysed(problem.csc), problem.other_csc.data, problem.right

        def run() -> Array:
            solver.factor(values)
            x: Array = solver.solve(b)
            return x

        return run

    def solve(self, problem: Problem) -> Any:
        solver, b = self._analysed(problem.csc), problem.right
        solver.factor(problem.csc.data)
        return lambda: solver.solve(b)

    def solve_64(self, problem: Problem) -> Any:
        solver, b = self._analysed(problem.csc), np.ascontiguousarray(problem.rights.T)
        solver.factor(problem.csc.data)
        return lambda: solver.solve(b).T


class NbKluTol1(NbKlu):
    """KLU with partial pivoting instead of its preference for the diagonal."""

    name = "klu-nbklu-tol1"
    title = "KLU, tol = 1 (nbklu)"
    tolerance = 1.0


class NbKluRefactor(Rival):
    """KLU's refactor: analysis and pivots of the first values."""

    name = "klu-refactor"
    title = "KLU refactor, pivots kept (nbklu)"
    package = "nbklu"
    module = "nbklu"
    pivots = False

    def refactor_solve(self, problem: Problem) -> Any:
        solver = NbKlu()._analysed(problem.csc)
        solver.factor(problem.csc.data)
        values, b = problem.other_csc.data, problem.right

        def run() -> Array:
            solver.refactor(values)
            x: Array = solver.solve(b)
            return x

        return run


class KlujaxKlu(Rival):
    """KLU at its defaults through klujax, arrays in jax's form beforehand."""

    name = "klu-klujax"
    title = "KLU (klujax)"
    package = "klujax"
    module = "klujax"
    compiles = True

    def _arrays(self, matrix: Any) -> tuple[Any, Any, Any]:
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)
        entries = matrix.tocoo()
        rows, columns = (jnp.asarray(v, dtype=jnp.int32) for v in (entries.row, entries.col))
        return rows, columns, jnp.asarray(entries.data)

    def factor_solve(self, problem: Problem) -> Any:
        import jax.numpy as jnp
        import klujax

        arrays, b = self._arrays(problem.csc), jnp.asarray(problem.right)
        return lambda: np.asarray(klujax.solve(*arrays, b))

    small = factor_solve

    def solve(self, problem: Problem) -> Any:
        import jax.numpy as jnp
        import klujax

        (rows, columns, values), b = self._arrays(problem.csc), jnp.asarray(problem.right)
        symbolic = klujax.analyze(rows, columns, problem.n)
        numeric = klujax.factor(rows, columns, values, symbolic)
        return lambda: np.asarray(klujax.solve_with_numeric(numeric, b, symbolic))


class Pardiso(Rival):
    """Intel's PARDISO through pypardiso, on as many threads as ours; with its default static pivoting and scaling."""

    name = "pardiso"
    title = "PARDISO (pypardiso)"
    package = "pypardiso"
    module = "pypardiso"

    def _solver(self) -> Any:
        # The package's own: a new one looks for the library on the disk, and none frees what it has factored.
        from pypardiso import ps

        ps.free_memory(everything=True)
        return ps

    def factor_solve(self, problem: Problem) -> Any:
        solver, matrix, b = self._solver(), problem.csr, problem.right
        empty = solver.factorized_A

        def forget() -> None:
            solver.factorized_A = empty

        return Prepared(lambda: solver.solve(matrix, b), forget)

    def refactor_solve(self, problem: Problem) -> Any:
        solver, matrix, b = self._solver(), problem.other_csr, problem.right
        solver.factorize(problem.csr)

        def run() -> Array:
            # Phase 23 factors and solves with the analysis that is there; pypardiso has no method for it.
            solver._check_A(matrix)
            solver.set_phase(23)
            x: Array = solver._call_pardiso(matrix, solver._check_b(matrix, b))
            return x

        return run

    def solve(self, problem: Problem) -> Any:
        return self._again(problem, problem.right)

    def solve_64(self, problem: Problem) -> Any:
        return self._again(problem, np.asfortranarray(problem.rights))

    def _again(self, problem: Problem, b: Array) -> Any:
        solver, matrix = self._solver(), problem.csr
        solver.factorize(matrix)

        def run() -> Array:
            # As its own solve does, without comparing the matrix with the factored one.
            solver.set_phase(33)
            x: Array = solver._call_pardiso(matrix, b)
            return x

        return run


class Spqr(Rival):
    """SuiteSparse's orthogonal factorization."""

    name = "spqr"
    title = "SPQR (sparseqr)"
    package = "sparseqr"
    module = "sparseqr"

    def factor_solve(self, problem: Problem) -> Any:
        import sparseqr

        matrix, b = problem.csc.tocoo(), problem.right
        return lambda: sparseqr.solve(matrix, b, tolerance=0)
