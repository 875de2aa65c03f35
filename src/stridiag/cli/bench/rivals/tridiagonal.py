"""Tridiagonal solvers for Python: tridiag and tridiax (Thomas's algorithm without pivots), jax."""

from __future__ import annotations

from typing import Any

import numpy as np

from stridiag.cli.bench.problem import Array, Problem
from stridiag.cli.bench.rivals.base import Rival

__all__ = ["Jax", "Tridiag", "Tridiax"]


class Tridiag(Rival):
    """Thomas's algorithm compiled by numba; the chains of a matrix or batch put one after another."""

    name = "tridiag"
    title = "tridiag, Thomas"
    package = "tridiag"
    module = "tridiag"
    pivots = False
    compiles = True

    def factor_solve(self, problem: Problem) -> Any:
        if not problem.case.is_tridiagonal:
            return None
        import tridiag

        (dl, d, du), b = problem.chained, problem.right
        if problem.case.p == 1:
            flat = b.ravel()
            return lambda: tridiag.solve(dl, d, du, flat, method="thomas_numba").reshape(b.shape)
        order = problem.chain_order

        def run() -> Array:
            x = np.empty(problem.n)
            x[order] = tridiag.solve(dl, d, du, b[order], method="thomas_numba")
            return x

        return run

    small = factor_solve

    def batch(self, problem: Problem) -> Any:
        return self.factor_solve(problem) if problem.case.p == 1 else None


class _OnJax(Rival):
    compiles = True

    def _compiled(self) -> Any:
        raise NotImplementedError

    def _arrays(self, problem: Problem) -> list[Any]:
        raise NotImplementedError

    def factor_solve(self, problem: Problem) -> Any:
        if problem.case != (1, 1, 0):
            return None
        import jax

        jax.config.update("jax_enable_x64", True)
        function, arrays, shape = jax.jit(self._compiled()), self._arrays(problem), problem.right.shape
        return lambda: np.asarray(function(*arrays)).reshape(shape)

    def batch(self, problem: Problem) -> Any:
        if problem.case != (1, 1, 0):
            return None
        import jax

        jax.config.update("jax_enable_x64", True)
        function, arrays, shape = jax.jit(jax.vmap(self._compiled())), self._arrays(problem), problem.right.shape
        return lambda: np.asarray(function(*arrays)).reshape(shape)

    small = factor_solve


class Tridiax(_OnJax):
    """Thomas's algorithm on jax, arrays in jax's form beforehand; vmap over a batch."""

    name = "tridiax"
    title = "tridiax, Thomas"
    package = "tridiax"
    module = "tridiax"
    pivots = False

    def _compiled(self) -> Any:
        from tridiax import thomas_solve

        return thomas_solve

    def _arrays(self, problem: Problem) -> list[Any]:
        import jax.numpy as jnp

        return [jnp.asarray(v) for v in (*problem.diagonals, problem.right)]


class Jax(_OnJax):
    """jax.lax.linalg.tridiagonal_solve, arrays in jax's form beforehand; vmap over a batch."""

    name = "jax"
    title = "jax tridiagonal_solve"
    package = "jax"
    module = "jax"

    def _compiled(self) -> Any:
        from jax.lax.linalg import tridiagonal_solve

        return tridiagonal_solve

    def _arrays(self, problem: Problem) -> list[Any]:
        import jax.numpy as jnp

        dl, d, du = problem.diagonals
        zero = np.zeros((*d.shape[:-1], 1))
        lower, upper = np.concatenate((zero, dl), -1), np.concatenate((du, zero), -1)
        return [jnp.asarray(v) for v in (lower, d, upper, problem.right[..., None])]
