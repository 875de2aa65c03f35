"""Measure learning on tables and images beside rivals, and write the documentation's page from the stored results.

    python benchmarks/learning.py --data DIR
    python benchmarks/learning.py --data DIR --models 'ours*' --only boston,yacht --splits 0-4
    python benchmarks/learning.py --data DIR --models 'ours*' --redo
    python benchmarks/learning.py --data DIR --rival-python OTHER/bin/python --models hpelm
    python benchmarks/learning.py --page-only

Each fit runs in a process of its own, on one thread, with a limit of CPU seconds. Its result is appended to the CSV
file of its model, and what is there is not run again: a run can be stopped at any time and gone on with. Results of
a model whose settings are others now are measured anew; after a change of our own code, and after a failure, that is
asked for with --redo.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# The helper modules lie beside this file, in a package of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from learning.data import load, names
from learning.measuring import Job, in_fork, in_interpreter
from learning.models import Model, models
from learning.ours import missing
from learning.store import Result, append, read
from stridiag.cli.timing import machine
from stridiag.sklearn import StridiagRegressor

ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("stridiag", "numpy", "scipy", "scikit-learn")

Perform = Callable[[Job, float], dict[str, Any]]


def splits(text: str) -> list[int]:
    """Return the numbers of "0-2" or "0,3".

    Raises
    ------
    argparse.ArgumentTypeError
        If the text is neither.
    """
    try:
        ends = [part.partition("-") for part in text.split(",")]
        found = [k for first, dash, last in ends for k in range(int(first), int(last if dash else first) + 1)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"splits must look like 0-2 or 0,3, got {text!r}") from None
    if not found:
        raise argparse.ArgumentTypeError(f"splits must name at least one, got {text!r}")
    return found


def skipped(asked: list[Model], python: str | None) -> dict[str, str]:
    """Return the models that cannot run here, with the reason."""
    reasons = {}
    for model in asked:
        here = find_spec(model.package) is not None
        if not here and not (python and _has(python, model.package)):
            reasons[model.name] = f"{model.package} is not installed"
    return reasons


def _has(python: str, package: str) -> bool:
    try:
        tried = subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False, timeout=120)
    except OSError:
        return False
    return tried.returncode == 0


def run(
    folder: Path,
    results: Path,
    chosen: list[str],
    asked: list[Model],
    numbers: list[int],
    *,
    limit: float,
    redo: bool = False,
    python: str | None = None,
    perform: Perform = in_fork,
    say: Callable[[str], object] = print,
) -> None:
    """Measure what is not there yet: all data sets for a model and a split before the next model."""
    facts = {
        "date": date.today().isoformat(),
        "machine": f"{machine(1)['processor']}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
    }
    stored = {(r.data, r.split, r.model): r for r in read(results)} if results.exists() else {}
    tables = {name: load(folder, name) for name in chosen}
    shapes = {name: (t.task, len(t.tests), t.image_shape) for name, t in tables.items()}
    tables.clear()
    for model in asked:
        for number in numbers:
            for name in chosen:
                task, count, image_shape = shapes[name]
                if number >= count or (model.images and image_shape is None):
                    continue
                size, settings = None, model.settings
                if model.sized_by is not None:
                    sizer = stored.get((name, number, model.sized_by))
                    if sizer is None or not sizer.done:
                        say(f"{name} {number} {model.name}: waits for {model.sized_by}")
                        continue
                    size = {"hidden": sizer.hidden, "units": sizer.units, "layers": sizer.layers}
                    settings += f" ({sizer.units} units, {sizer.layers} layers, {sizer.hidden} numbers)"
                there = stored.get((name, number, model.name))
                if there is not None and there.settings == settings and not redo:
                    continue
                job = Job(str(folder), name, number, model.name, size)
                foreign = find_spec(model.package) is None and python is not None
                told = in_interpreter(python, job, limit) if foreign else perform(job, limit)
                result = Result(
                    data=name, task=task, split=number, model=model.name, settings=settings, **told, **facts
                )
                append(results, result)
                stored[name, number, model.name] = result
                outcome = f"{result.score:.5g}, {result.fit_cpu:.2f} CPU s" if result.done else result.status
                say(f"{name} {number} {model.name}: {outcome}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def main(arguments: list[str] | None = None, *, perform: Perform = in_fork) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with regression/*.npz, classification/*.npz and mnist.npz")
    parser.add_argument("--only", default="", help="data sets, comma-separated; all by default")
    parser.add_argument("--without", default="", help="data sets to leave out, comma-separated")
    parser.add_argument("--models", default="*", help="models, patterns with *, separated by ';'")
    parser.add_argument("--splits", type=splits, default=[0, 1, 2], help="such as 0-2 (the default) or 0,3")
    parser.add_argument("--redo", action="store_true", help="measure what is there too")
    parser.add_argument("--limit", type=float, default=900.0, help="CPU seconds of a run")
    parser.add_argument("--rival-python", help="another Python that has the rivals that this one lacks")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / "learning")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "learning-benchmarks.md")
    parser.add_argument("--plots", type=Path, default=ROOT / "docs" / "_static", help="folder of the pictures")
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    parser.add_argument("--no-page", action="store_true", help="write no page")
    options = parser.parse_args(arguments)
    table = models(StridiagRegressor)
    patterns = options.models.split(";")
    unmatched = [p for p in patterns if not any(fnmatchcase(name, p) for name in table)]
    if unmatched:
        parser.error(f"no model matches {unmatched[0]!r}; there are {', '.join(table)}")
    asked = [model for name, model in table.items() if any(fnmatchcase(name, p) for p in patterns)]
    left_out = skipped(asked, options.rival_python) | missing(StridiagRegressor)
    for name, reason in left_out.items():
        print(f"Skipped: {name}: {reason}")
    if not options.page_only:
        if options.data is None:
            parser.error("--data is needed to measure")
        known = names(options.data)
        chosen = options.only.split(",") if options.only else known
        without = options.without.split(",") if options.without else []
        if unknown := sorted({*chosen, *without} - set(known)):
            parser.error(f"there is no data set {unknown[0]!r}; there are {', '.join(known)}")
        run(
            options.data.resolve(),
            options.results,
            [name for name in chosen if name not in without],
            [model for model in asked if model.name not in left_out],
            options.splits,
            limit=options.limit,
            redo=options.redo,
            python=options.rival_python,
            perform=perform,
        )
    if not options.no_page:
        from learning.page import write_page

        write_page(read(options.results), options.page, options.plots)
        print(f"Written: {options.page}")


if __name__ == "__main__":
    main()
