"""The arguments of the command line, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from stridiag._version import __version__
from stridiag.cli import algebra_commands, learning_commands
from stridiag.cli.errors import reported
from stridiag.cli.output import JsonOption, QuietOption

__all__ = ["app"]

# As in bench.table, which is too heavy to import for every command.
Preset = Literal["quick", "paper", "table"]

app = typer.Typer(
    name="stridiag",
    help="Sparse-plus-tridiagonal matrices with strided diagonals, and structured networks trained by pseudoinverse.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


# Each set of commands has a file of its own, which knows their arguments.
algebra_commands.register(app)
learning_commands.register(app)


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
@reported
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the report; made if it is not there.")
    ] = Path("stridiag-report"),
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes: shows that all works, measures nothing.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Seed of all that is random.")] = 0,
    threads: Annotated[
        int, typer.Option("--threads", min=1, help="Threads for BLAS and kernels, ours and the rivals' alike.")
    ] = 1,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train on digits without gradients, race the matrix algebra, write OUTPUT/index.html (about a minute)."""
    from stridiag.cli.demo import run

    run(output, quick=quick, seed=seed, threads=threads, as_json=as_json, quiet=quiet)


@app.command()
@reported
def warmup(
    operation: Annotated[
        list[str], typer.Option("--operation", help="solve, solve-refined, slogdet, inv, pinv or product; repeatable.")
    ] = ["solve", "slogdet", "product"],  # noqa: B006 -- typer reads it
    dtype: Annotated[
        list[str], typer.Option("--dtype", help="float32, float64, complex64 or complex128; repeatable.")
    ] = ["float64"],  # noqa: B006
    case: Annotated[
        list[str],
        typer.Option(
            "--case",
            help="chain, strided-chain, chain-with-links, chain-with-many-links, band, band-with-links or "
            "wide-band-with-links; repeatable.",
        ),
    ] = ["chain", "strided-chain", "chain-with-links"],  # noqa: B006
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compile the kernels of some operations ahead of their first use, into the cache that later processes load."""
    from stridiag.cli.warmup import run

    run(operation, dtype, case, as_json=as_json, quiet=quiet)


@app.command()
@reported
def bench(
    operations: Annotated[
        str, typer.Option("--operations", help="Comma-separated, such as factor-solve,slogdet; default: the preset's.")
    ] = "",
    cases: Annotated[
        list[str] | None, typer.Option("--cases", help="p,q,links such as 1,1,100; may be given several times.")
    ] = None,
    sizes: Annotated[
        list[int] | None, typer.Option("--sizes", min=3, help="Orders of matrices; may be given several times.")
    ] = None,
    rivals: Annotated[
        str, typer.Option("--rivals", help="Comma-separated names; default: all that are installed.")
    ] = "",
    values: Annotated[str, typer.Option("--values", help="dominant, random, constant, signs; comma-separated.")] = "",
    preset: Annotated[
        Preset, typer.Option("--preset", help="quick: small sizes. paper: the paper's experiment. table: all targets.")
    ] = "quick",
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Turns of each method, at most.")] = 9,
    budget: Annotated[float, typer.Option("--budget", min=0.0, help="Seconds for each method in a cell.")] = 0.6,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads, ours and the rivals'; default: all cores.")
    ] = None,
    members: Annotated[int, typer.Option("--members", min=2, help="Matrices in a batch.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Seed of all that is random.")] = 0,
    limits: Annotated[
        bool, typer.Option("--limits", help="Measure memory bandwidth and the peak memory of solves too.")
    ] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write all measurements to this file.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with plots to this file.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure operations beside every strong rival that is installed; print tables, write CSV and HTML."""
    from stridiag.cli.bench.command import Options, run
    from stridiag.cli.timing import usable_cores

    run(
        Options(
            preset=preset,
            operations=_listed(operations),
            cases=cases or (),
            sizes=sizes or (),
            rivals=_listed(rivals),
            values=_listed(values),
            threads=threads or usable_cores(),
            repeats=repeats,
            budget=budget,
            members=members,
            seed=seed,
            limits=limits,
            csv=csv,
            html=html,
            json=as_json,
            quiet=quiet,
        )
    )


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
