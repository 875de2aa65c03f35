"""All ways to compute that are measured, ours first."""

from __future__ import annotations

from stridiag.cli.bench.rivals import lapack, ours, sparse, tridiagonal
from stridiag.cli.bench.rivals.base import Prepared, Rival

__all__ = ["OURS", "RIVALS", "YARDSTICK", "Prepared", "Rival", "rival_named"]

RIVALS: tuple[Rival, ...] = (
    ours.Stridiag(),
    ours.Yardstick(),
    lapack.Gtsv(),
    lapack.GtsvByChain(),
    lapack.Gbsv(),
    lapack.Banded(),
    tridiagonal.Tridiag(),
    tridiagonal.Tridiax(),
    tridiagonal.Jax(),
    sparse.SuperluColamd(),
    sparse.SuperluMmd(),
    sparse.PyKlu(),
    sparse.NbKlu(),
    sparse.NbKluTol1(),
    sparse.NbKluRefactor(),
    sparse.KlujaxKlu(),
    sparse.Pardiso(),
    sparse.Spqr(),
    lapack.Dense(),
    lapack.ScipyPinv(),
    lapack.Csr(),
    lapack.Dia(),
)
OURS, YARDSTICK = RIVALS[0].name, RIVALS[1].name


def rival_named(name: str) -> Rival:
    """Return the rival of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    for rival in RIVALS:
        if rival.name == name:
            return rival
    raise ValueError(f"there is no rival {name!r}; choose from {', '.join(r.name for r in RIVALS)}")
