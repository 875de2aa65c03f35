"""What `verbose` shows while a fit runs: a bar where rich is installed and the output is a terminal, else lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from stridiag.nn.training import Progress, ProgressHook

__all__ = ["reporter"]


@contextmanager
def reporter(name: str, verbose: int, callback: Callable[[Progress], object] | None) -> Iterator[ProgressHook | None]:
    """Give the hook that a fit calls after each step, or None where nobody listens.

    Parameters
    ----------
    name : str
        Of the estimator, for the lines and the bar.
    verbose : int
        0: nothing is shown.
    callback : callable or None
        Called too.
    """
    if not isinstance(verbose, int) or verbose < 0:
        raise ValueError(f"verbose must be an integer of at least 0, got {verbose!r}")
    if callback is not None and not callable(callback):
        raise ValueError(f"callback must be callable or None, got {callback!r}")
    if not verbose:
        yield callback
        return
    with _shown(name) as show:

        def hook(progress: Progress) -> None:
            show(progress)
            if callback is not None:
                callback(progress)

        yield hook


@contextmanager
def _shown(name: str) -> Iterator[Callable[[Progress], None]]:
    bar = _bar() if sys.stdout.isatty() else None
    if bar is None:
        # How much there is to do need not be known.
        yield lambda p: print(
            f"[{name}] {p.step}{f' of {p.steps}' if p.steps else ''}: {p.stage}, {p.seconds:.2f} s", flush=True
        )
        return
    with bar:
        task = bar.add_task(name, total=None)
        yield lambda p: bar.update(task, total=p.steps or None, completed=p.step, description=f"{name}: {p.stage}")


def _bar() -> Any:
    """Return rich's progress bar, or None where rich is not installed."""
    try:
        from rich.progress import Progress as Bar
    except ImportError:
        return None
    return Bar()
