"""`stridiag solve`, `pinv`, `slogdet` and `inv`: files in, a result and a report of its quality out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import stridiag
from stridiag import SingularMatrixError, StridiagMatrix, linalg
from stridiag.cli.errors import CommandError, UsageError
from stridiag.cli.matrix_files import STDIN, on_disk, read_matrix
from stridiag.cli.output import note, print_json
from stridiag.cli.vector_files import check_output, print_array, read_columns, write_array
from stridiag.errors import AmbiguousRankWarning, IllConditionedWarning

__all__ = ["Output", "find_inverse", "find_pseudoinverse", "find_slogdet", "found_in", "solve_system", "threads_of"]

Array = NDArray[Any]

# Numbers of a dense result that is printed or written; more are hardly meant.
_DENSE = 1 << 28


class Output(NamedTuple):
    """Where results go and how much is told."""

    file: Path | None
    json: bool
    quiet: bool

    def put(self, report: dict[str, Any], name: str, result: Array, told: str) -> None:
        """Write or print the result, and the report: in JSON all of it goes to standard output."""
        if self.file is not None:
            write_array(self.file, result)
            report["output"] = str(self.file)
        if self.json:
            print_json(report if self.file is not None else report | {name: result})
            return
        if self.file is None:
            print_array(result)
        note(told + (f"; written to {self.file}" if self.file is not None else ""), quiet=self.quiet)


@contextmanager
def found_in(file: Path) -> Iterator[tuple[stridiag.Detection, str]]:
    """Read a matrix and find its structure; the second of the pair is the kind of the file."""
    with on_disk(file) as path:
        matrix, kind = read_matrix(path)
    yield stridiag.detect(matrix), kind


def threads_of(threads: int | None) -> Any:
    """Return the context in which that many threads are used; None leaves the number to the library."""
    return nullcontext() if threads is None else stridiag.num_threads(threads)


@contextmanager
def _warnings_told(report: dict[str, Any], quiet: bool) -> Iterator[None]:
    """Turn the library's warnings into notes, and keep them for the report."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    messages = []
    for warning in caught:
        if issubclass(warning.category, IllConditionedWarning | AmbiguousRankWarning):
            messages.append(str(warning.message))
            note(f"Warning: {warning.message}", quiet=quiet)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    report["warnings"] = messages


def solve_system(file: Path, right_side: Path, output: Output, *, refine: bool, lstsq: bool) -> None:
    """Solve for all columns of a file, and tell how good the solution is."""
    if file == STDIN and right_side == STDIN:
        raise UsageError("only one of matrix and right-hand side can come through standard input")
    if refine and lstsq:
        raise UsageError("--refine is for square systems and --lstsq for all others: the latter always refines")
    check_output(output.file)
    with found_in(file) as (found, _), on_disk(right_side) as path:
        matrix = found.matrix
        b = read_columns(path, matrix.shape[0])
    report: dict[str, Any] = {"shape": list(matrix.shape), "right_hand_sides": 1 if b.ndim == 1 else b.shape[1]}
    if not lstsq and matrix.shape[0] != matrix.shape[1]:
        raise CommandError(
            f"the matrix is {matrix.shape[0]} x {matrix.shape[1]}: only square systems are solved, "
            "--lstsq gives the least-squares solution of minimum norm"
        )
    with _warnings_told(report, output.quiet):
        if lstsq:
            x, _, rank, _ = linalg.lstsq(matrix, b)
            report |= {"method": "least squares of minimum norm", "rank": rank}
        else:
            x = _solved(matrix, b, refine=refine, report=report)
    report |= _quality(matrix, x, b, backward=not lstsq)
    told = f"{report['method']}; residual {report['residual']:.2g} of the right-hand side"
    if "backward_error" in report:
        told += f", backward error {report['backward_error']:.2g}, condition {report['condition']:.2g}"
    if "rank" in report:
        told += f", rank {report['rank']} of {min(matrix.shape)}"
    if "forward_error" in report:
        told += f", error of the solution at most {report['forward_error']:.2g}"
    output.put(report, "x", x, told)


def _solved(matrix: StridiagMatrix, b: Array, *, refine: bool, report: dict[str, Any]) -> Array:
    # The higher precision of the two, as `linalg.solve`.
    kind = np.result_type(matrix.dtype, b.dtype if b.dtype.kind in "fc" else np.float64)
    factor = matrix.astype(kind).factor()
    try:
        if refine:
            x, _, forward, steps = factor.solve(b, refine=True, return_bounds=True)
            report |= {"forward_error": float(np.max(forward, initial=0.0)), "steps": int(np.max(steps, initial=0))}
        else:
            x = factor.solve(b)
    except SingularMatrixError as error:
        raise CommandError(f"{error}. On the command line: --lstsq, or stridiag pinv --apply") from error
    rcond = float(factor.rcond)
    report |= {"method": factor.method, "condition": 1.0 / rcond if rcond > 0.0 else math.inf}
    return np.asarray(x)


def _quality(matrix: StridiagMatrix, x: Array, b: Array, *, backward: bool) -> dict[str, float]:
    """Return the largest over all columns of the relative residual and of the backward error, entry by entry."""
    sparse: Any = matrix.to_scipy("csr")
    with np.errstate(all="ignore"):
        gap = np.abs(b - sparse @ x)
        length = np.linalg.norm(b, axis=0)
        residual = np.linalg.norm(gap, axis=0) / np.where(length > 0.0, length, 1.0)
        report = {"residual": float(np.max(residual, initial=0.0))}
        if backward:
            # Oettli and Prager 1964: how much, relatively, entries must be changed for x to be exact.
            scale = abs(sparse) @ np.abs(x) + np.abs(b)
            report["backward_error"] = float(np.max(gap / np.where(scale > 0.0, scale, 1.0), initial=0.0))
    return report


def find_pseudoinverse(file: Path, right_side: Path | None, output: Output, *, rtol: float | None) -> None:
    """Print or write the pseudoinverse, or what it makes of some columns."""
    if file == STDIN and right_side == STDIN:
        raise UsageError("only one of matrix and right-hand side can come through standard input")
    check_output(output.file)
    with found_in(file) as (found, _):
        matrix = found.matrix
        b = None
        if right_side is not None:
            with on_disk(right_side) as path:
                b = read_columns(path, matrix.shape[0])
    rows, columns = matrix.shape
    if b is None:
        _require_room(rows, columns, "--apply b.npy multiplies by it without forming it")
    report: dict[str, Any] = {"shape": [columns, rows]}
    with _warnings_told(report, output.quiet):
        inverse = linalg.pinv(matrix, rtol=rtol)
        info = inverse.rank_info
        result = inverse.toarray() if b is None else inverse @ b
    report |= {
        "rank": info.rank,
        "cutoff": info.cutoff,
        "smallest_kept": info.smallest_kept,
        "largest_dropped": info.largest_dropped,
        "ambiguous": info.ambiguous,
        "certified": info.certified,
    }
    output.put(report, "pinv" if b is None else "x", result, str(info))


def find_inverse(file: Path, output: Output, *, diagonal: bool) -> None:
    """Print or write the inverse, or its diagonal."""
    check_output(output.file)
    with found_in(file) as (found, _):
        matrix = found.matrix
    n = matrix.shape[0]
    if not diagonal:
        _require_room(n, n, "--diagonal finds its diagonal, and solve multiplies by it, without forming it")
    report: dict[str, Any] = {"shape": [n] if diagonal else [n, n]}
    with _warnings_told(report, output.quiet):
        factor = matrix.factor()
        try:
            result = factor.inverse_diagonal() if diagonal else factor.inverse()
        except SingularMatrixError as error:
            raise CommandError(f"{error}. On the command line: stridiag pinv") from error
        rcond = float(factor.rcond)
    report |= {"method": factor.method, "condition": 1.0 / rcond if rcond > 0.0 else math.inf}
    told = f"{'diagonal of the inverse' if diagonal else 'inverse'} by {factor.method}; "
    output.put(report, "diagonal" if diagonal else "inverse", result, told + f"condition {report['condition']:.2g}")


def find_slogdet(file: Path, *, json: bool) -> None:
    """Print sign and logarithm of the magnitude of the determinant."""
    with found_in(file) as (found, _):
        sign, logarithm = linalg.slogdet(found.matrix)
    if json:
        print_json(
            {
                "shape": list(found.matrix.shape),
                "sign": sign.item(),
                "logabs": float(logarithm),
                "singular": bool(sign == 0),
            }
        )
    else:
        # As Python's numbers: an array of both would make the logarithm complex where the phase is.
        print_array(np.array([[sign.item(), float(logarithm)]], object))


def _require_room(rows: int, columns: int, instead: str) -> None:
    if rows * columns > _DENSE:
        raise CommandError(f"the result would be dense, {rows:,} x {columns:,} numbers: {instead}")
