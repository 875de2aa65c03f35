"""The arguments of the command line, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stridiag._version import __version__

__all__ = ["app"]

app = typer.Typer(
    name="stridiag",
    help="Sparse-plus-tridiagonal matrices with strided diagonals, and structured networks trained by pseudoinverse.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"stridiag {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Hold what belongs to no command."""


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the report; made if it is not there.")
    ] = Path("stridiag-report"),
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes: shows that all works, measures nothing.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Seed of all that is random.")] = 0,
    threads: Annotated[
        int, typer.Option("--threads", min=1, help="Threads for BLAS and kernels, ours and the rivals' alike.")
    ] = 1,
) -> None:
    """Train on digits without gradients, race the matrix algebra, write OUTPUT/index.html (about a minute)."""
    from stridiag.cli.demo import DemoError, run

    try:
        run(output, quick=quick, seed=seed, threads=threads)
    except DemoError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def warmup(
    operation: Annotated[
        list[str], typer.Option("--operation", help="solve, solve-refined, slogdet, inv, pinv or product; repeatable.")
    ] = ["solve", "slogdet", "product"],  # noqa: B006 -- typer reads it
    dtype: Annotated[
        list[str], typer.Option("--dtype", help="float32, float64, complex64 or complex128; repeatable.")
    ] = ["float64"],  # noqa: B006
    case: Annotated[
        list[str],
        typer.Option("--case", help="chain, strided-chain, chain-with-links, band or band-with-links; repeatable."),
    ] = ["chain", "strided-chain", "chain-with-links"],  # noqa: B006
) -> None:
    """Compile the kernels of some operations ahead of their first use, into the cache that later processes load."""
    from stridiag.cli.warmup import run

    try:
        run(operation, dtype, case)
    except ValueError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
