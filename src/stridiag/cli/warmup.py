"""`stridiag warmup`: compile kernels, with a line for each step."""

from __future__ import annotations

import time
from collections.abc import Sequence

import typer

__all__ = ["run"]


def run(operations: Sequence[str], dtypes: Sequence[str], cases: Sequence[str]) -> None:
    """Warm up, and say what was done, how long it took and where the cache is."""
    start = time.perf_counter()
    from stridiag._warmup import warmup

    def say(index: int, count: int, name: str) -> None:
        typer.echo(f"[{index + 1}/{count}] {name}")

    done = warmup(operations, dtypes, cases=cases, progress=say)
    seconds = time.perf_counter() - start
    typer.echo(f"{done.compiled} compiled, {done.loaded} loaded from the cache, {seconds:.1f} s with all imports")
    if done.cache is None:
        typer.echo("No folder can be written to: nothing is kept. Set NUMBA_CACHE_DIR.")
    else:
        typer.echo(f"Cache: {done.cache}")
