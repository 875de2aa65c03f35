"""The worst test ratio of every operation and method over the zoo: a Markdown table.

Ratios are those of `stridiag.testing`, in units of eps times what the problem explains; a right result stays below 30.
*inverse*, *pattern*: max|Z - Z'| / (n eps cond max|Z|) against LAPACK's QR in double precision, where cond < 1e12 (its
LU is no reference: it fails on the growth families, whose condition is 3). *pinv*:
||P - P'|| / (eps cond ||P||) against numpy.linalg.pinv with the same cutoff, where the rank is not ambiguous.

    python benchmarks/accuracy.py --sizes 1 2 3 5 10 50 333
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from collections.abc import Iterator
from typing import get_args

import numpy as np

import stridiag
from stridiag import linalg
from stridiag.factorization import inverse_factors, multiply_out
from stridiag.planning.choice import ONLY_ASKED_FOR, Method
from stridiag.testing import factor_ratio, inverse_ratio, slogdet_ratio, solve_ratio, zoo

# Those that make no promise about the values.
METHODS = tuple(method for method in get_args(Method) if method not in ONLY_ASKED_FOR)
# Products of all simple factors are made of dense matrices.
_FEW = 60


def ratios_of(A: stridiag.StridiagMatrix, F: stridiag.Factor) -> Iterator[tuple[str, float]]:
    """Yield the ratios of a regular square matrix."""
    n, dtype = A.shape[0], A.dtype
    rng = np.random.default_rng(n)
    b = rng.standard_normal((n, 2)).astype(dtype)
    for trans in ("N", "T", "H"):
        yield f"solve {trans}", solve_ratio(A, F.solve(b, trans=trans), b, trans)
    yield "reconstruct", factor_ratio(A, F.reconstruct())
    dense = A.toarray().astype(np.complex128 if dtype.kind == "c" else np.float64)
    cond = np.linalg.cond(dense, 1) if n else 1.0
    if n <= _FEW:
        one = np.eye(n, dtype=dtype)
        factors = F.factors()
        yield "factors", factor_ratio(A, multiply_out(factors, one))
        if cond < 1e6:
            yield "inverted factors", inverse_ratio(A, multiply_out(inverse_factors(factors), one))
    if np.isfinite(cond):
        yield "slogdet", slogdet_ratio(F.slogdet(), np.linalg.slogdet(dense), n, cond, dtype=dtype)
    if cond < 1e-4 / np.finfo(dtype).eps and n:
        q, r = np.linalg.qr(dense)
        inverse = np.linalg.solve(r, q.conj().T)
        unit = n * np.finfo(dtype).eps * cond * np.abs(inverse).max()
        yield "inverse", float(np.abs(F.inverse() - inverse).max() / unit)
        pattern = A.structure.coordinates()
        if A.nnz:
            yield "pattern", float(np.abs(F.inverse_on_pattern().values - inverse[pattern]).max() / unit)


def pinv_ratio(A: stridiag.StridiagMatrix) -> float | None:
    """Return how far the pseudoinverse is from numpy's; None where the rank is ambiguous or zero."""
    dense = A.toarray()
    P = linalg.pinv(A)
    info = P.rank_info
    if info.ambiguous or info.rank == 0 or not info.smallest_kept:
        return None
    reference = np.linalg.pinv(dense, rcond=info.cutoff / info.sigma_max)
    kappa = info.sigma_max / info.smallest_kept
    error = np.linalg.norm(P.toarray() - reference, 2) / np.linalg.norm(reference, 2)
    return float(error / (np.finfo(A.dtype).eps * kappa))


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 3, 5, 10, 50])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64", "complex64", "complex128"])
    options = parser.parse_args(arguments)
    worst: dict[tuple[str, str], tuple[float, str]] = defaultdict(lambda: (0.0, ""))
    counts: dict[str, int] = defaultdict(int)

    def note(method: str, operation: str, ratio: float, name: str) -> None:
        # NaN counts as the worst.
        if not ratio <= worst[method, operation][0]:
            worst[method, operation] = (ratio, name)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for case in zoo(sizes=options.sizes, dtypes=options.dtypes):
            A = case.matrix
            if A.batch_shape:
                continue
            for method in METHODS if A.structure.is_square else ():
                try:
                    F = A.factor(method=method)  # type: ignore[arg-type]
                except stridiag.StructureError:
                    continue
                counts[method] += 1
                if not F.singular:
                    for operation, ratio in ratios_of(A, F):
                        note(method, operation, ratio, case.name)
            if not {"huge", "tiny"} & case.tags:
                found = pinv_ratio(A)
                if found is not None:
                    counts["pinv"] += 1
                    note("pinv", "pinv", found, case.name)
    print("| method | matrices | operation | worst ratio | at |")
    print("|---|---|---|---|---|")
    for (method, operation), (ratio, name) in worst.items():
        print(f"| {method} | {counts[method]:,} | {operation} | {ratio:.3g} | {name} |")


if __name__ == "__main__":
    main()
