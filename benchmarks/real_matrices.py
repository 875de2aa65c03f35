"""What becomes of matrices made by others: structure found, plan chosen, errors, time beside SuperLU and KLU.

Reads every ``*.npz`` of a folder (`scipy.sparse.save_npz`) and prints a Markdown table. Without a folder it takes a few
matrices that it makes itself. Times are medians, from the matrix as constructed to the solution: for us with the plan
made afresh, for the others with their analysis. *again*: new values, plan kept.

Errors are max|b - A x| / (|A| max|x| + max|b|) in the infinity norm, for b = A x of a random x. Where it is singular or
rectangular the pseudoinverse answers, for the same b, which lies in its range. *det* is the difference of our log|det|
and numpy's (SuperLU's above order 3000), relative to n cond eps.

    python benchmarks/real_matrices.py --data FOLDER
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray

import stridiag
from stridiag import linalg
from stridiag.planning.plan import _plan

Array = NDArray[Any]
HEADER = (
    "matrix | n | offsets found | links | plan | 1/rcond | error | SuperLU's | KLU's | det | rank | "
    "ms | again | SuperLU | KLU"
)
# Above this order dense arrays are not made.
DENSE = 3000


def made_here() -> Iterator[tuple[str, Any]]:
    """Yield small matrices of several kinds."""
    n = 60
    ends = ([0, n - 1], [n - 1, 0], [-1.0, -1.0])
    yield "periodic", stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.5, 1: -1.0}, ends, shape=n).to_scipy()
    yield (
        "periodic-singular",
        stridiag.StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, ends, shape=n).to_scipy(),
    )
    parents = np.random.default_rng(0).integers(0, np.arange(1, n))
    tree = scipy.sparse.coo_array((-np.ones(n - 1), (np.arange(1, n), parents)), shape=(n, n))
    yield "tree", (tree + tree.T + scipy.sparse.diags_array(np.full(n, 4.0))).tocsc()
    yield "band", stridiag.random(n, (-3, 0, 2), 4, rng=0).to_scipy()
    yield "tall", stridiag.random((n, n - 10), (-1, 0, 1), 3, rng=0).to_scipy()


def stored(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield the matrices of a folder, small ones first."""
    loaded = [(path.stem, scipy.sparse.load_npz(path)) for path in folder.glob("*.npz")]
    yield from sorted(loaded, key=lambda pair: (pair[1].shape[0], pair[0]))


def median(run: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the median milliseconds of some runs, and a result."""
    result = run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds), result


def backward_error(A: Any, x: Array, b: Array) -> float:
    """Return the normwise backward error in the infinity norm; infinite if x is not finite."""
    if not np.isfinite(x).all():
        return np.inf
    norm = abs(A).sum(axis=1).max()
    return float(np.abs(b - A @ x).max() / (norm * np.abs(x).max() + np.abs(b).max() or 1.0))


def rivals(S: Any, b: Array, repeats: int) -> dict[str, tuple[float, float] | str]:
    """Return milliseconds and backward error of SuperLU and KLU, or what they say instead."""
    matrix = scipy.sparse.csc_matrix(S)
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    runs: dict[str, Callable[[], Array]] = {"SuperLU": lambda: scipy.sparse.linalg.splu(matrix).solve(b)}
    try:
        from PyKLU import Klu

        runs["KLU"] = lambda: Klu(matrix).solve(b)
    except ImportError:
        pass
    found: dict[str, tuple[float, float] | str] = {}
    for name, run in runs.items():
        try:
            ms, x = median(run, repeats)
            found[name] = (ms, backward_error(S, x, b))
        except Exception as error:  # each library has errors of its own for a singular matrix
            found[name] = "singular" if "ingular" in str(error) else type(error).__name__
    return found


def determinant_ratio(A: stridiag.StridiagMatrix, S: Any, factor: stridiag.Factor) -> str:
    """Compare the logarithm of the determinant."""
    n = A.shape[0]
    ours = factor.slogdet()
    if n <= DENSE:
        theirs = np.linalg.slogdet(S.toarray())
    else:
        diagonal = scipy.sparse.linalg.splu(scipy.sparse.csc_matrix(S)).U.diagonal()
        theirs = (ours.sign, np.log(np.abs(diagonal)).sum())
    bound = (n / max(factor.rcond, 1e-300) + abs(theirs[1])) * np.finfo(np.float64).eps
    sign = "" if theirs[0] == ours.sign else ", sign differs"
    return f"{abs(ours.logabsdet - theirs[1]) / bound:.1e}{sign}"


def row(name: str, S: Any, repeats: int) -> list[str]:
    """Return the cells of one matrix."""
    S = scipy.sparse.csc_array(S).astype(np.float64)
    A = stridiag.StridiagMatrix.from_scipy(S)
    b = A @ np.random.default_rng(0).standard_normal(A.shape[1])
    offsets = " ".join(map(str, A.offsets[:5])) + (" ..." if len(A.offsets) > 5 else "")
    cells = [name, f"{A.shape[0]}" if A.structure.is_square else "x".join(map(str, A.shape)), offsets]
    cells.append(str(A.structure.link_count))
    factor = A.factor() if A.structure.is_square else None

    def rank() -> str:
        try:
            found = linalg.rank_info(A)
        except stridiag.StridiagError as error:
            return type(error).__name__
        return f"{found.rank}{'?' if found.ambiguous else ''}"

    if factor is None or factor.singular or factor.rcond < np.finfo(np.float64).eps:
        plan = "-" if factor is None else factor.method
        condition = "-" if factor is None else f"{1 / factor.rcond:.0e}" if factor.rcond else "inf"
        try:
            ms, x = median(lambda: linalg.pinv(A) @ b, 1)
            answer = [f"{backward_error(S, x, b):.0e}", f"{ms:.3g} (pinv)"]
        except stridiag.StridiagError as error:
            answer = [type(error).__name__, "-"]
        others = rivals(S, b, 1) if factor is not None else {}
        said = [other if isinstance(other, str) else f"{other[1]:.0e}" for other in others.values()] or ["-", "-"]
        return [*cells, plan, condition, answer[0], *said, "-", rank(), answer[1], "-", "-", "-"]

    def first() -> Array:
        _plan.cache_clear()
        return A.factor().solve(b)

    ms, x = median(first, repeats)
    again, _ = median(lambda: factor.refactor(A.values).solve(b), repeats)
    others = rivals(S, b, repeats)
    errors = [other if isinstance(other, str) else f"{other[1]:.0e}" for other in others.values()]
    times = ["-" if isinstance(other, str) else f"{other[0]:.3g} (x{other[0] / ms:.2g})" for other in others.values()]
    small = max(A.shape) <= DENSE
    return [
        *cells,
        factor.method,
        f"{1 / factor.rcond:.0e}",
        f"{backward_error(S, x, b):.0e}",
        *errors,
        determinant_ratio(A, S, factor),
        rank() if small else "-",
        f"{ms:.3g}",
        f"{again:.3g}",
        *times,
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of .npz files; default: matrices made here")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    if options.data is not None and not any(options.data.glob("*.npz")):
        parser.error(f"no .npz files in {options.data}")
    columns = HEADER.split(" | ")
    print("|", " | ".join(columns), "|")
    print("|" + "---|" * len(columns))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name, matrix in made_here() if options.data is None else stored(options.data):
            print("|", " | ".join(row(name, matrix, options.repeats)), "|", flush=True)


if __name__ == "__main__":
    main()
