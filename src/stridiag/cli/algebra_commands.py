"""The commands for matrices in files: their arguments, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stridiag.cli.errors import reported
from stridiag.cli.output import JsonOption, QuietOption

__all__ = ["register"]

_MATRIX_HELP = "Matrix Market (.mtx, .mtx.gz), .npz of scipy.sparse.save_npz or stridiag.save, or .npy; - for a pipe."
_RIGHT_HELP = "Right-hand sides, one a column: .npy, .mtx, .csv, .txt; - for a pipe."

MatrixArgument = Annotated[Path, typer.Argument(metavar="MATRIX", help=_MATRIX_HELP, show_default=False)]
RightArgument = Annotated[Path, typer.Argument(metavar="B", help=_RIGHT_HELP, show_default=False)]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write the result here: .npy, .csv, .txt or .mtx. Default: text, printed."),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads of our kernels; default: all that may be used.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (info, solve, pinv, slogdet, inv):
        app.command()(reported(command))


def info(
    matrix: MatrixArgument,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the structure to this file: .png, .svg, .pdf.")
    ] = None,
    structure_only: Annotated[
        bool, typer.Option("--structure-only", help="Factor nothing: no condition, determinant and rank.")
    ] = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show what a matrix is made of, how it would be factored and at what cost, its condition, determinant and rank."""
    from stridiag.cli.matrix_algebra import threads_of
    from stridiag.cli.matrix_info import run

    with threads_of(threads):
        run(matrix, plot, numbers=not structure_only, json=as_json, quiet=quiet)


def solve(
    matrix: MatrixArgument,
    b: RightArgument,
    output: OutputOption = None,
    refine: Annotated[
        bool,
        typer.Option("--refine", help="Correct the solution with residuals of twice the precision; bound its error."),
    ] = False,
    lstsq: Annotated[
        bool, typer.Option("--lstsq", help="Least squares of minimum norm, for matrices of any shape and rank.")
    ] = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Solve A x = b; say on standard error how good the solution is."""
    from stridiag.cli.matrix_algebra import Output, solve_system, threads_of

    with threads_of(threads):
        solve_system(matrix, b, Output(output, as_json, quiet), refine=refine, lstsq=lstsq)


def pinv(
    matrix: MatrixArgument,
    output: OutputOption = None,
    apply: Annotated[
        Path | None, typer.Option("--apply", metavar="B", help="Multiply these columns instead of forming all of it.")
    ] = None,
    rtol: Annotated[
        float | None,
        typer.Option("--rtol", min=0.0, help="Singular values up to this share of the largest count as zero."),
    ] = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find the Moore-Penrose pseudoinverse, or its product with some columns."""
    from stridiag.cli.matrix_algebra import Output, find_pseudoinverse, threads_of

    with threads_of(threads):
        find_pseudoinverse(matrix, apply, Output(output, as_json, quiet), rtol=rtol)


def slogdet(matrix: MatrixArgument, threads: ThreadsOption = None, as_json: JsonOption = False) -> None:
    """Print the sign of the determinant and the logarithm of its magnitude."""
    from stridiag.cli.matrix_algebra import find_slogdet, threads_of

    with threads_of(threads):
        find_slogdet(matrix, json=as_json)


def inv(
    matrix: MatrixArgument,
    output: OutputOption = None,
    diagonal: Annotated[bool, typer.Option("--diagonal", help="Only its diagonal, at a fraction of the cost.")] = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find the inverse, dense, or its diagonal."""
    from stridiag.cli.matrix_algebra import Output, find_inverse, threads_of

    with threads_of(threads):
        find_inverse(matrix, Output(output, as_json, quiet), diagonal=diagonal)
