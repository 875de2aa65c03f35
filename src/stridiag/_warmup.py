"""Compiling, or loading, kernels before they are needed: every operation runs once on small matrices of every kind."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stridiag import linalg
from stridiag._kernels import polling
from stridiag._validate import VALUE_TYPES, check_option
from stridiag.errors import IllConditionedWarning
from stridiag.factorization.chain_windows import SHORTEST
from stridiag.structure import StridiagMatrix, random

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["CASES", "OPERATIONS", "Warmed", "warmup"]

# Offsets and number of links. Names are those of the plans, where these differ.
CASES: dict[str, tuple[tuple[int, ...], int]] = {
    "chain": ((-1, 0, 1), 0),
    "strided-chain": ((-8, 0, 8), 0),
    "chain-with-links": ((-1, 0, 1), 3),
    "chain-with-many-links": ((-1, 0, 1), 600),
    "band": ((-3, 0, 2), 0),
    "band-with-links": ((-3, 0, 2), 3),
    "wide-band-with-links": ((-29, 0, 17), 3),
}

# Long chains take other kernels than short ones, and where the main diagonal does not dominate they take others again.
_SHORT, _LONG = 60, 6000
_FORMS = ((_SHORT, True), (_LONG, True), (_LONG, False))
# And chains that are longer still are solved in windows.
_WITH_WINDOWS = (*_FORMS, (SHORTEST, True), (SHORTEST, False))
# Dominant narrow bands are, by `linalg.solve`.
_WITH_BAND_WINDOWS = (*_FORMS, (SHORTEST, True))
# So many right-hand sides go into vectors.
_MANY = 16


def _solve(matrix: StridiagMatrix) -> None:
    n = matrix.shape[0]
    factor = matrix.factor()
    if n >= SHORTEST:
        # Windows serve single vectors; the first one is solved for with a probe.
        for _ in range(2):
            factor.solve(np.ones(n, matrix.dtype))
        linalg.solve(matrix, np.ones(n, matrix.dtype))
        return
    columns = np.ones((n, 3), matrix.dtype)
    vector = columns[:, 0].copy()
    # The second solution notes what those after it replay.
    for right in (*[vector] * 3, columns, np.asfortranarray(columns), np.ones((n, _MANY), matrix.dtype)):
        factor.solve(right)
    factor.solve(vector, trans="T")
    linalg.solve(matrix, vector)
    if n > _SHORT:
        # Solutions of second differences do not forget what is far away: many of them take other kernels. And where
        # coefficients are alike, solutions are looked at.
        values = np.full(matrix.nnz, -1, matrix.dtype)
        values[matrix.structure.diagonal_slots(0)] = len(matrix.structure.offsets) - 1
        matrix.with_values(values).factor().solve(np.ones((n, _MANY), matrix.dtype))


def _solve_refined(matrix: StridiagMatrix) -> None:
    matrix.factor().solve(np.ones(matrix.shape[0], matrix.dtype), refine=True, return_bounds=True)


def _slogdet(matrix: StridiagMatrix) -> None:
    linalg.slogdet(matrix)


def _inv(matrix: StridiagMatrix) -> None:
    if matrix.shape[0] <= _SHORT:
        linalg.inv(matrix)
    matrix.factor().inverse_diagonal()
    matrix.factor().inverse_on_pattern()


def _pinv(matrix: StridiagMatrix) -> None:
    if matrix.shape[0] <= _SHORT:
        linalg.lstsq(matrix, np.ones(matrix.shape[0], matrix.dtype))
        linalg.pinv(matrix).toarray()


def _product(matrix: StridiagMatrix) -> None:
    columns = np.ones((matrix.shape[1], 3), matrix.dtype)
    for factor in (matrix, matrix.T):
        for right in (columns[:, 0].copy(), columns, np.asfortranarray(columns)):
            factor @ right


OPERATIONS: dict[str, Callable[[StridiagMatrix], None]] = {
    "solve": _solve,
    "solve-refined": _solve_refined,
    "slogdet": _slogdet,
    "inv": _inv,
    "pinv": _pinv,
    "product": _product,
}


@dataclass(frozen=True)
class Warmed:
    """What `warmup` did.

    Attributes
    ----------
    seconds : dict of str to float
        Time of each step, by its name: operation, kind of matrix, type of the values.
    compiled, loaded : int
        How many forms of kernels, one for each combination of argument types, were compiled in these steps and how many
        came from the cache. A kernel that another one calls is compiled once more for it, but loaded as a part of it.
    cache : Path or None
        The folder above the kernels' cache, for ``NUMBA_CACHE_DIR``; None if kernels cannot be stored at all.
    """

    seconds: dict[str, float]
    compiled: int
    loaded: int
    cache: Path | None


def warmup(
    operations: str | Iterable[str] = ("solve", "slogdet", "product"),
    dtypes: DTypeLike | Iterable[DTypeLike] = ("float64",),
    *,
    cases: str | Iterable[str] = ("chain", "strided-chain", "chain-with-links"),
    progress: Callable[[int, int, str], object] | None = None,
) -> Warmed:
    """Compile the kernels of some operations, or load them from the cache, before they are needed.

    Kernels are compiled when first called with arguments of new types, in seconds, and kept on disk for other
    processes, which load them in milliseconds. See docs/start-up.md, also for shipping the cache with an image.

    Parameters
    ----------
    operations : str or iterable of str
        Of ``"solve"``, ``"solve-refined"``, ``"slogdet"``, ``"inv"``, ``"pinv"``, ``"product"``.
    dtypes : dtype or iterable of dtypes
        Of the values: float32, float64, complex64, complex128.
    cases : str or iterable of str
        Kinds of matrices: ``"chain"`` (offsets -1, 0, 1), ``"strided-chain"`` (-8, 0, 8), ``"chain-with-links"``,
        ``"chain-with-many-links"``, ``"band"`` (-3, 0, 2), ``"band-with-links"``, ``"wide-band-with-links"``.
    progress : callable, optional
        Called before each step as ``progress(index, count, name)``.

    Returns
    -------
    Warmed
        ``seconds`` by step, the numbers of kernels ``compiled`` and ``loaded``, the folder of the ``cache``.

    Raises
    ------
    ValueError
        For an unknown operation, case or dtype.

    Examples
    --------
    >>> import stridiag
    >>> done = stridiag.warmup("slogdet", cases="chain")
    >>> list(done.seconds)
    ['slogdet chain float64']
    """
    names = [check_option(name, "operation", OPERATIONS) for name in _several(operations)]
    kinds = [check_option(name, "case", CASES) for name in _several(cases)]
    types = [_value_type(one) for one in _several(dtypes)]
    steps = [(name, kind, dtype) for dtype in types for kind in kinds for name in names]
    before = _kernel_counts()
    # What the operations themselves call only where a second thread is at hand, and worth its while.
    polling.load()
    seconds = {}
    for index, (name, kind, dtype) in enumerate(steps):
        title = f"{name} {kind} {dtype}"
        if progress is not None:
            progress(index, len(steps), title)
        start = time.perf_counter()
        with warnings.catch_warnings():
            # Of random values some are ill-conditioned; nobody asked for their solutions.
            warnings.simplefilter("ignore", IllConditionedWarning)
            for n, dominant in _forms(name, kind):
                OPERATIONS[name](_matrix(kind, n, dtype, dominant=dominant))
        seconds[title] = time.perf_counter() - start
    after = _kernel_counts()
    return Warmed(seconds, after[0] - before[0], after[1] - before[1], _cache_folder())


def _forms(name: str, kind: str) -> tuple[tuple[int, bool], ...]:
    """Return orders of the matrices that take other kernels each, and whether their diagonal dominates."""
    if kind == "chain-with-many-links":
        # Short ones are not sparse, and the longest ones are solved in the windows of those with few links.
        return _FORMS[1:]
    if name in ("solve", "slogdet") and "chain" in kind:
        return _WITH_WINDOWS
    return _WITH_BAND_WINDOWS if (name, kind) == ("solve", "band") else _FORMS


def _several(given: Any) -> list[Any]:
    return [given] if isinstance(given, (str, type, np.dtype)) else list(given)


def _value_type(given: Any) -> np.dtype[Any]:
    try:
        return check_option(np.dtype(given), "dtype", VALUE_TYPES)
    except TypeError:
        raise ValueError(f"dtype must be one of {', '.join(map(str, VALUE_TYPES))}, got {given!r}") from None


def _matrix(kind: str, n: int, dtype: np.dtype[Any], *, dominant: bool) -> StridiagMatrix:
    offsets, links = CASES[kind]
    return random(n, offsets, links, rng=0, dominant=dominant, dtype=dtype)


def _kernels() -> list[Any]:
    """Return all kernels of this library that are loaded by now, without what disappears into them."""
    modules = [module for name, module in sys.modules.items() if name.startswith("stridiag._kernels.")]
    found = {id(thing): thing for module in modules for thing in vars(module).values() if hasattr(thing, "stats")}
    return [kernel for kernel in found.values() if not kernel.targetoptions.get("forceinline")]


def _kernel_counts() -> tuple[int, int]:
    stats = [kernel.stats for kernel in _kernels()]
    return sum(sum(one.cache_misses.values()) for one in stats), sum(sum(one.cache_hits.values()) for one in stats)


def _cache_folder() -> Path | None:
    paths = {Path(kernel.stats.cache_path) for kernel in _kernels() if kernel.stats.cache_path}
    # Numba makes one folder for each folder of sources, and in NUMBA_CACHE_DIR it lies one level down.
    folders = {path if path.name == "__pycache__" else path.parent for path in paths}
    return min(folders) if folders else None
