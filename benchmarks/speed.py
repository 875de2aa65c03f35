"""Measure everything that has a target, an operation at a time, and write the documentation's page from the results.

Results of each operation go into a file of their own, so that a run can be stopped and gone on with, and one operation
measured again. With --page-only nothing is measured.

    python benchmarks/speed.py
    python benchmarks/speed.py --operations slogdet,batch
    python benchmarks/speed.py --missing
    python benchmarks/speed.py --page-only
"""

from __future__ import annotations

import argparse
from pathlib import Path

from stridiag.cli.bench.command import Options, results
from stridiag.cli.bench.document import speed_page
from stridiag.cli.bench.limits import Limits, measure_limits
from stridiag.cli.bench.measuring import Record
from stridiag.cli.bench.operations import OPERATIONS
from stridiag.cli.bench.store import read, to_csv
from stridiag.cli.report import write_atomically
from stridiag.cli.terminal import open_console
from stridiag.cli.timing import usable_cores

ROOT = Path(__file__).resolve().parents[1]
NAMES = [operation.name for operation in OPERATIONS]
# Of the facts that the files hold, these differ from operation to operation.
CHANGING = ("date", "load")


def page_of(folder: Path) -> str:
    """Return the page of all results in a folder."""
    records: list[Record] = []
    # For each label the texts that the files hold, and which operations each stands for.
    told: dict[str, dict[str, list[str]]] = {}
    for name in NAMES:
        path = folder / f"{name}.csv"
        if path.exists():
            found, these = read(path)
            records += found
            for label, text in these.items():
                told.setdefault(label, {}).setdefault(text, []).append(name)
    facts = {}
    for label, texts in told.items():
        if len(texts) == 1 or label in CHANGING:
            facts[label] = next(iter(texts))
        else:
            facts |= {f"{label} ({', '.join(of)})": text for text, of in texts.items()}
    limits = folder / "limits.json"
    stored = Limits.from_json(limits.read_text(encoding="utf-8")) if limits.exists() else None
    cores = max((record.cell.threads for record in records), default=1)
    return speed_page(records, facts, stored, cores)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operations", default=",".join(NAMES), help="comma-separated")
    parser.add_argument("--missing", action="store_true", help="only operations without a file of results")
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / "speed")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "speed.md")
    parser.add_argument("--sizes", type=int, nargs="*", default=[], help="other sizes, for a try")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--budget", type=float, default=0.3)
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=usable_cores())
    options = parser.parse_args(arguments)
    asked = [name for name in options.operations.split(",") if name]
    if set(asked) - set(NAMES):
        parser.error(f"there is no operation {min(set(asked) - set(NAMES))}; choose from {', '.join(NAMES)}")
    options.results.mkdir(parents=True, exist_ok=True)
    if not options.page_only:
        for name in asked:
            path = options.results / f"{name}.csv"
            if not (options.missing and path.exists()):
                chosen = Options(
                    preset="table",
                    operations=[name],
                    sizes=options.sizes,
                    threads=options.threads,
                    repeats=options.repeats,
                    budget=options.budget,
                    members=options.members,
                )
                write_atomically(path, to_csv(*results(chosen, open_console())))
        limits = options.results / "limits.json"
        if not (options.missing and limits.exists()):
            tried = {"n": max(options.sizes), "length": 10**5} if options.sizes else {}
            write_atomically(limits, measure_limits(options.threads, **tried).to_json())
    write_atomically(options.page, page_of(options.results))
    print(f"Written: {options.page}")


if __name__ == "__main__":
    main()
