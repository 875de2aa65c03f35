"""What commands print: results on standard output, as tables or JSON; notes and progress on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np
import typer

__all__ = ["JsonOption", "QuietOption", "note", "plain", "print_json", "rows_shown", "steps_shown"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No notes and no progress on standard error.")]


def note(text: str, *, quiet: bool = False) -> None:
    """Write a sentence to standard error, wrapped at words on a terminal."""
    if quiet:
        return
    # Here, since these take longer to import than `--help` to print.
    from rich.console import Console
    from rich.text import Text

    from stridiag.cli.terminal import encodable

    if sys.stderr.isatty():
        console = Console(stderr=True, highlight=False)
        console.print(Text(encodable(text, console.encoding), style="dim"))
    else:
        typer.echo(encodable(text, getattr(sys.stderr, "encoding", None) or "utf-8"), err=True)


def print_json(content: Any) -> None:
    """Print one JSON object, with arrays as lists and what is not finite as null."""
    typer.echo(json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False))


def plain(value: Any) -> Any:
    """Return what JSON can write.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.cli.output import plain
    >>> plain({"rows": np.int64(3), "scores": np.array([0.5, np.inf])})
    {'rows': 3, 'scores': [0.5, None]}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, complex):
        return {"real": plain(value.real), "imag": plain(value.imag)}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return str(value)


@contextmanager
def steps_shown(title: str, *, quiet: bool = False) -> Iterator[Callable[[str, int, int], None] | None]:
    """Give a function of (stage, step, steps) that moves a bar; None where nobody watches standard error."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    from stridiag.cli.terminal import progress

    console = Console(stderr=True, highlight=False)
    with progress(console) as bar:
        # Gone when done: what matters is said in words.
        bar.live.transient = True
        task = bar.add_task(title, total=None)

        def show(stage: str, step: int, steps: int) -> None:
            bar.update(task, total=steps, completed=step, description=f"{title}: {stage}"[:40])

        yield show


@contextmanager
def rows_shown(title: str, total: int | None = None, *, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """Give a function of (rows, total, stage) that moves a bar and tells rows a second; only on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda rows, total=None, stage="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f} rows/s" if task.speed else "")

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.completed:,.0f} rows"))
    with Progress(*columns, Speed(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task, last = bar.add_task(title, total=total), ""

        def show(rows: int, total: int | None = total, stage: str = "") -> None:
            nonlocal last
            if stage != last:
                # A new pass begins: with a speed of its own.
                bar.reset(task)
                last = stage
            bar.update(task, completed=rows, total=total or None, description=f"{title}: {stage}" if stage else title)

        yield show
