"""`stridiag warmup`: compile kernels, with a line for each step."""

from __future__ import annotations

import time
from collections.abc import Sequence

import typer

from stridiag.cli.errors import UsageError
from stridiag.cli.output import note, print_json

__all__ = ["run"]


def run(operations: Sequence[str], dtypes: Sequence[str], cases: Sequence[str], *, as_json: bool, quiet: bool) -> None:
    """Warm up, and say what was done, how long it took and where the cache is."""
    start = time.perf_counter()
    from stridiag._warmup import warmup

    def say(index: int, count: int, name: str) -> None:
        note(f"[{index + 1}/{count}] {name}", quiet=quiet)

    try:
        done = warmup(operations, dtypes, cases=cases, progress=say)
    except ValueError as error:
        raise UsageError(str(error)) from None
    seconds = time.perf_counter() - start
    if as_json:
        print_json({"compiled": done.compiled, "loaded": done.loaded, "seconds": seconds, "cache": done.cache})
        return
    typer.echo(f"{done.compiled} compiled, {done.loaded} loaded from the cache, {seconds:.1f} s with all imports")
    if done.cache is None:
        typer.echo("No folder can be written to: nothing is kept. Set NUMBA_CACHE_DIR.")
    else:
        typer.echo(f"Cache: {done.cache}")
