"""LAPACK through scipy's wrappers, used as an expert would; and dense methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from stridiag.cli.bench.problem import Array, Problem
from stridiag.cli.bench.rivals.base import Rival

__all__ = ["Banded", "Csr", "Dense", "Dia", "Gbsv", "Gtsv", "GtsvByChain", "ScipyPinv"]

# Dense methods stop here: numbers of all matrices, and order.
_DENSE_NUMBERS, _DENSE_ORDER = 10**8, 4000
_WIDEST_BAND = 40


class Gtsv(Rival):
    """gtsv, gttrf and gttrs on all chains, or all members of a batch, put one after another outside the clock."""

    name = "gtsv"
    title = "LAPACK gtsv/gttrf/gttrs, chains concatenated"

    def factor_solve(self, problem: Problem) -> Any:
        if not problem.case.is_tridiagonal:
            return None
        from scipy.linalg.lapack import dgtsv

        chain, b, p = problem.chained, problem.right, problem.case.p
        if p == 1:
            flat = b.ravel()
            return lambda: dgtsv(*chain, flat)[3].reshape(b.shape)
        order = problem.chain_order

        def run() -> Array:
            x = np.empty(problem.n)
            x[order] = dgtsv(*chain, b[order], overwrite_b=True)[3]
            return x

        return run

    small = factor_solve

    def batch(self, problem: Problem) -> Any:
        return self.factor_solve(problem) if problem.case.p == 1 else None

    def solve(self, problem: Problem) -> Any:
        return self._again(problem, problem.right)

    def solve_64(self, problem: Problem) -> Any:
        return self._again(problem, np.asfortranarray(problem.rights))

    def _again(self, problem: Problem, b: Array) -> Any:
        if not problem.case.is_tridiagonal:
            return None
        from scipy.linalg.lapack import dgttrf, dgttrs

        factors = dgttrf(*problem.chained)[:5]
        if problem.case.p == 1:
            return lambda: dgttrs(*factors, b)[0]
        order = problem.chain_order

        def run() -> Array:
            x = np.empty_like(b)
            x[order] = dgttrs(*factors, b[order], overwrite_b=True)[0]
            return x

        return run

    def slogdet(self, problem: Problem) -> Any:
        if not problem.case.is_tridiagonal:
            return None
        from scipy.linalg.lapack import dgttrf

        chain, here = problem.chained, np.arange(1, problem.n + 1)

        def run() -> tuple[Any, Any]:
            _, d, _, _, pivots, _ = dgttrf(*chain)
            swaps = np.count_nonzero(pivots != here) + np.count_nonzero(d < 0.0)
            return -1.0 if swaps % 2 else 1.0, np.log(np.abs(d)).sum()

        return run

    def inverse(self, problem: Problem) -> Any:
        if not problem.case.is_tridiagonal or problem.case.p > 1 or problem.n > _DENSE_ORDER:
            return None
        from scipy.linalg.lapack import dgtsv

        chain = problem.chained
        return lambda: dgtsv(*chain, np.eye(problem.n).T, overwrite_b=True)[3]


class GtsvByChain(Rival):
    """gtsv on each strided chain, or on each member of a batch, one by one."""

    name = "gtsv-chains"
    title = "LAPACK gtsv, one call for each strided chain or member"

    def factor_solve(self, problem: Problem) -> Any:
        if not problem.case.is_tridiagonal or problem.case.p == 1:
            return None
        from scipy.linalg.lapack import dgtsv

        (dl, d, du), b, p = problem.diagonals, problem.right, problem.case.p

        def run() -> Array:
            x = np.empty_like(b)
            for k in range(p):
                x[k::p] = dgtsv(dl[k::p], d[k::p], du[k::p], b[k::p])[3]
            return x

        return run

    def batch(self, problem: Problem) -> Any:
        if problem.case != (1, 1, 0):
            return None
        from scipy.linalg.lapack import dgtsv

        (dl, d, du), b = problem.diagonals, problem.right

        def run() -> Array:
            x = np.empty_like(b)
            for k in range(len(b)):
                x[k] = dgtsv(dl[k], d[k], du[k], b[k])[3]
            return x

        return run


def _narrow(problem: Problem) -> bool:
    return not problem.case.links and problem.case.p + problem.case.q <= _WIDEST_BAND


def _band(problem: Problem, room: int) -> Array:
    """Return LAPACK's band storage with `room` rows above for fill."""
    p, q, n = problem.case.p, problem.case.q, problem.n
    below, main, above = problem.diagonals
    band = np.zeros((room + p + q + 1, n), order="F")
    band[room, p:] = above
    band[room + p] = main
    band[room + p + q, : n - q] = below
    return band


class Gbsv(Rival):
    """gbsv, gbtrf and gbtrs; links would widen the band to the whole matrix."""

    name = "gbsv"
    title = "LAPACK gbsv/gbtrf/gbtrs"

    def factor_solve(self, problem: Problem) -> Any:
        if not _narrow(problem):
            return None
        from scipy.linalg.lapack import dgbsv

        p, q, b = problem.case.p, problem.case.q, problem.right
        band = _band(problem, q)
        return lambda: dgbsv(q, p, band, b)[2]

    def solve(self, problem: Problem) -> Any:
        return self._again(problem, problem.right)

    def solve_64(self, problem: Problem) -> Any:
        return self._again(problem, np.asfortranarray(problem.rights))

    def _again(self, problem: Problem, b: Array) -> Any:
        if not _narrow(problem):
            return None
        from scipy.linalg.lapack import dgbtrf, dgbtrs

        p, q = problem.case.p, problem.case.q
        lu, pivots, _ = dgbtrf(_band(problem, q), q, p)
        return lambda: dgbtrs(lu, q, p, b, pivots)[0]

    def slogdet(self, problem: Problem) -> Any:
        if not _narrow(problem):
            return None
        from scipy.linalg.lapack import dgbtrf

        p, q = problem.case.p, problem.case.q
        band, here = _band(problem, q), np.arange(problem.n)

        def run() -> tuple[Any, Any]:
            lu, pivots, _ = dgbtrf(band, q, p)
            d = lu[p + q]
            swaps = np.count_nonzero(pivots != here) + np.count_nonzero(d < 0.0)
            return -1.0 if swaps % 2 else 1.0, np.log(np.abs(d)).sum()

        return run


class Banded(Rival):
    """scipy.linalg.solve_banded, without its check for NaN."""

    name = "solve-banded"
    title = "scipy.linalg.solve_banded"

    def factor_solve(self, problem: Problem) -> Any:
        if not _narrow(problem):
            return None
        from scipy.linalg import solve_banded

        p, q, b = problem.case.p, problem.case.q, problem.right
        band = _band(problem, 0)
        return lambda: solve_banded((q, p), band, b, check_finite=False)

    small = factor_solve


class Dense(Rival):
    """numpy on the full matrix; for a batch scipy.linalg.solve on the stack."""

    name = "dense"
    title = "numpy dense; batches: scipy.linalg.solve"

    def factor_solve(self, problem: Problem) -> Any:
        if problem.n > _DENSE_ORDER:
            return None
        full, b = problem.matrix.toarray(), problem.right
        return lambda: np.linalg.solve(full, b)

    def slogdet(self, problem: Problem) -> Any:
        if problem.n > _DENSE_ORDER:
            return None
        full = problem.matrix.toarray()
        return lambda: tuple(np.linalg.slogdet(full))

    def inverse(self, problem: Problem) -> Any:
        if problem.n > _DENSE_ORDER:
            return None
        full = problem.matrix.toarray()
        return lambda: np.linalg.inv(full)

    def pinv(self, problem: Problem) -> Any:
        if problem.n > _DENSE_ORDER:
            return None
        full = problem.matrix.toarray()
        # rtol=None is the cutoff max(m, n) eps, which is ours too.
        return lambda: np.linalg.pinv(full, rtol=None)  # type: ignore[call-overload]

    def batch(self, problem: Problem) -> Any:
        if problem.members * problem.n**2 > _DENSE_NUMBERS:
            return None
        import scipy.linalg

        if tuple(int(part) for part in scipy.__version__.split(".")[:2]) < (1, 16):
            # It takes no stacks of matrices there.
            return None
        full, b = problem.matrix.toarray(), problem.right[..., None]
        return lambda: scipy.linalg.solve(full, b, check_finite=False)


class ScipyPinv(Rival):
    """scipy's pseudoinverse on the full matrix."""

    name = "scipy-pinv"
    title = "scipy.linalg.pinv"

    def pinv(self, problem: Problem) -> Any:
        if problem.n > _DENSE_ORDER:
            return None
        import scipy.linalg

        full = problem.matrix.toarray()
        return lambda: scipy.linalg.pinv(full, check_finite=False)


class Csr(Rival):
    """scipy's product by rows."""

    name = "csr"
    title = "scipy csr_matrix @ x"

    def matvec(self, problem: Problem) -> Any:
        matrix, x = problem.csr, problem.right
        return lambda: matrix @ x

    def matvec_64(self, problem: Problem) -> Any:
        matrix, x = problem.csr, problem.rights
        return lambda: matrix @ x


class Dia(Rival):
    """scipy's product by diagonals; links would be diagonals of their own, so they are added from a sparse rest."""

    name = "dia"
    title = "scipy dia_array @ x, links apart in csr"

    def matvec(self, problem: Problem) -> Any:
        return self._times(problem, problem.right)

    def matvec_64(self, problem: Problem) -> Any:
        return self._times(problem, problem.rights)

    def _times(self, problem: Problem, x: Array) -> Any:
        import scipy.sparse

        case, n = problem.case, problem.n
        diagonals: list[Any] = list(problem.diagonals)
        bands = scipy.sparse.diags_array(diagonals, offsets=[-case.q, 0, case.p], shape=(n, n))
        if not case.links:
            return lambda: bands @ x
        rest = scipy.sparse.csr_array(problem.csr - bands.tocsr())
        rest.eliminate_zeros()
        return lambda: bands @ x + rest @ x
