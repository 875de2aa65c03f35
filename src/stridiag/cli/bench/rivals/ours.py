"""Our library, by its public functions; and our own solve as a yardstick for what nobody else offers."""

from __future__ import annotations

from typing import Any

import numpy as np

import stridiag
from stridiag import StridiagMatrix, linalg
from stridiag.cli.bench.problem import Problem
from stridiag.cli.bench.rivals.base import Prepared, Rival
from stridiag.planning.plan import _plan

__all__ = ["Stridiag", "Yardstick"]


class _Afresh:
    """A matrix that nothing is remembered of, and no plan, each time `renew` was called."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.matrix: StridiagMatrix = problem.matrix

    def renew(self) -> None:
        self.matrix = self._problem.fresh()
        _plan.cache_clear()


class Stridiag(Rival):
    """The library, all checks of input included; the plan too, but where "again" or "known" is said."""

    name = "stridiag"
    title = "this library"
    compiles = True

    def factor_solve(self, problem: Problem) -> Prepared:
        afresh, b = _Afresh(problem), problem.right
        return Prepared(lambda: linalg.solve(afresh.matrix, b), afresh.renew)

    def refactor_solve(self, problem: Problem) -> Any:
        factor, b, values = problem.matrix.factor(), problem.right, problem.other_values
        factor.solve(b)
        return lambda: factor.refactor(values).solve(b)

    def solve(self, problem: Problem) -> Any:
        factor, b = problem.matrix.factor(), problem.right
        # Factors, which is left to the first solution; only what comes after it is "again".
        factor.solve(b)
        return lambda: factor.solve(b)

    def solve_64(self, problem: Problem) -> Any:
        factor, b = problem.matrix.factor(), problem.rights
        # Factors, which is left to the first solution; only what comes after it is "again".
        factor.solve(b)
        return lambda: factor.solve(b)

    def slogdet(self, problem: Problem) -> Prepared:
        afresh = _Afresh(problem)
        return Prepared(lambda: linalg.slogdet(afresh.matrix), afresh.renew)

    def inverse_diagonal(self, problem: Problem) -> Prepared:
        afresh = _Afresh(problem)
        return Prepared(lambda: afresh.matrix.factor().inverse_diagonal(), afresh.renew)

    def inverse_pattern(self, problem: Problem) -> Prepared:
        afresh = _Afresh(problem)
        return Prepared(lambda: afresh.matrix.factor().inverse_on_pattern(), afresh.renew)

    def inverse(self, problem: Problem) -> Prepared:
        afresh = _Afresh(problem)
        return Prepared(lambda: linalg.inv(afresh.matrix), afresh.renew)

    def inverse_out(self, problem: Problem) -> Prepared:
        afresh, out = _Afresh(problem), np.zeros((problem.n, problem.n))
        return Prepared(lambda: linalg.inv(afresh.matrix, out=out), afresh.renew)

    def pinv(self, problem: Problem) -> Prepared:
        afresh = _Afresh(problem)
        return Prepared(lambda: linalg.pinv(afresh.matrix).toarray(), afresh.renew)

    def pinv_apply(self, problem: Problem) -> Prepared:
        afresh, b = _Afresh(problem), problem.right
        return Prepared(lambda: linalg.pinv(afresh.matrix) @ b, afresh.renew)

    def batch(self, problem: Problem) -> Prepared:
        afresh, b = _Afresh(problem), problem.right[..., None]
        return Prepared(lambda: linalg.solve(afresh.matrix, b), afresh.renew)

    def matvec(self, problem: Problem) -> Any:
        matrix, x = problem.matrix, problem.right
        return lambda: matrix @ x

    def matvec_64(self, problem: Problem) -> Any:
        matrix, x = problem.matrix, problem.rights
        return lambda: matrix @ x

    def small(self, problem: Problem) -> Any:
        matrix, b = problem.matrix, problem.right
        return lambda: linalg.solve(matrix, b)

    def plan(self, problem: Problem) -> Prepared:
        afresh = _Afresh(problem)
        return Prepared(lambda: stridiag.plan(afresh.matrix.structure), afresh.renew)


class Yardstick(Rival):
    """Our own first solve with a matrix of the same structure, beside what nobody else offers."""

    name = "own-solve"
    title = "this library's plan, factor and solve, as a yardstick"
    compiles = True
    partial = dict.fromkeys(("inverse-diagonal", "inverse-pattern", "pinv-apply"), "factor and solve only")

    def inverse_diagonal(self, problem: Problem) -> Prepared:
        regular = Problem(problem.case, problem.n, "dominant", problem.seed)
        return Stridiag().factor_solve(regular)

    inverse_pattern = inverse_diagonal
    pinv_apply = inverse_diagonal
