"""Write every page and picture of the documentation that shows stored results. Nothing is measured here.

    python benchmarks/pages.py
    python benchmarks/pages.py --check

A page of measurements is made of the files under `benchmarks/results` and of nothing else, so that it cannot say
anything else than they do. With --check nothing is written: what differs is named, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

# The other programs lie beside this one.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from learning.page import write_page
from learning.store import read as read_learning
from speed import page_of
from stridiag.cli.bench.store import read as read_speed
from stridiag.cli.bench.summary import Comparison, comparisons
from stridiag.cli.report import write_atomically
from stridiag.cli.tables import duration

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DOCS = ROOT / "docs"

# What the comparison page shows: operation, (p, q, links), n, values, and what that is in words.
_COMPARED = (
    ("small", (1, 1, 0), 100, "dominant", "tridiagonal, 100 rows, the plan known"),
    ("small", (1, 1, 0), 1_000, "dominant", "tridiagonal, 1,000 rows, the plan known"),
    ("factor-solve", (1, 1, 0), 100_000, "dominant", "tridiagonal, 100,000 rows"),
    ("factor-solve", (8, 8, 0), 100_000, "dominant", "diagonals at ±8, 100,000 rows"),
    ("factor-solve", (2, 3, 0), 100_000, "dominant", "diagonals at +2 and -3, 100,000 rows, dominant"),
    ("factor-solve", (2, 3, 0), 100_000, "random", "the same, random values"),
    ("small", (1, 1, 10), 100, "dominant", "tridiagonal with 10 links, 100 rows, the plan known"),
    ("factor-solve", (1, 1, 100), 100_000, "dominant", "tridiagonal with 100 links, 100,000 rows"),
    ("factor-solve", (1, 1, 100), 1_000_000, "dominant", "tridiagonal with 100 links, 1,000,000 rows"),
    ("factor-solve", (1, 1, 1000), 100_000, "dominant", "tridiagonal with 1,000 links, 100,000 rows"),
    ("factor-solve", (17, 29, 50), 100_000, "dominant", "diagonals at +17 and -29 with 50 links"),
    ("refactor-solve", (1, 1, 100), 100_000, "dominant", "new values, 100 links, 100,000 rows"),
    ("refactor-solve", (2, 3, 100), 100_000, "random", "new random values, +2 and -3, 100 links"),
    ("solve-64", (1, 1, 1000), 100_000, "dominant", "64 right-hand sides, 1,000 links, 100,000 rows"),
    ("batch", (1, 1, 0), 64, "dominant", "a batch of 10,000 tridiagonal systems of 64 rows"),
    ("slogdet", (1, 1, 100), 1_000_000, "dominant", "log-determinant, 100 links, 1,000,000 rows"),
    ("inverse", (1, 1, 0), 4_000, "dominant", "the dense inverse, 4,000 rows"),
    ("pinv", (1, 1, 10), 2_000, "singular", "the dense pseudoinverse, 2,000 rows, 10 links"),
    ("matvec", (1, 1, 0), 1_000_000, "dominant", "matrix times vector, 1,000,000 rows"),
    ("matvec-64", (1, 1, 0), 1_000_000, "random", "matrix times 64 vectors, 1,000,000 rows"),
)

# Files of the PyTorch part: a title, and what the columns are.
_TORCH = (
    (
        "linear-cpu",
        "A layer on a processor",
        "Microseconds of processor time, float32, a batch of rows; *both* is forward and backward.",
    ),
    ("linear-cuda", "A layer on a GPU", "Microseconds, float32."),
    (
        "solve-cpu",
        "`solve` and `slogdet` with gradients, processor",
        "One matrix, both functions and the gradients of both.",
    ),
    ("solve-cuda", "The same on a GPU", ""),
    (
        "flow-cpu",
        "A training step of an invertible layer",
        "32 vectors: map, log-determinant, gradients; processor.",
    ),
    ("memory-cpu", "Memory of a layer, processor", "Bytes for each unit, three diagonals, float32."),
    ("memory-cuda", "Memory of a layer, GPU", ""),
    (
        "pruning",
        "Pruning",
        "Accuracy in percent, *points* lost, bytes of the state dict, microseconds a row, CPU seconds of `prune`.",
    ),
    (
        "start",
        "A closed-form start for Adam",
        "*first*, *second*, *third level*: epochs until 95, 97, 98 % accuracy (digits) or .90, .95, .97 in R² "
        "(Friedman-1).",
    ),
)


def compared(folder: Path) -> str:
    """Return the table of the comparison page: chosen cells of the benchmark of speed."""
    found: dict[tuple[object, ...], Comparison] = {}
    cores, dates = 1, []
    for name in dict.fromkeys(row[0] for row in _COMPARED):
        records, facts = read_speed(folder / f"{name}.csv")
        cores = max(cores, *(record.cell.threads for record in records))
        dates.append(facts["date"])
        for each in comparisons(records, cores):
            if each.cell.threads == cores:
                found[each.cell.operation, tuple(each.cell.case), each.cell.n, each.cell.values] = each
    lines = ["| | stridiag | fastest stable rival | | rival's time over ours |", "|---|---:|---|---:|---:|"]
    for *key, text in _COMPARED:
        each = found[tuple(key)]
        assert each.best is not None
        assert each.best.timing is not None
        assert each.ours.timing is not None
        ratio = each.ratio(each.best)
        told = f"{ratio:.2f}" if ratio < 1.0 else f"{ratio:.2g}"
        times = f"{duration(each.ours.timing.median)} | {each.best.rival} | {duration(each.best.timing.median)}"
        lines.append(f"| {text} | {times} | {told if ratio > 1.0 else f'**{told}**'} |")
    note = f"{facts['processor']}, {cores} threads, {min(dates)[:10]}; bold: the rival is faster."
    return "\n".join([*lines, "", note])


def torch_page(folder: Path) -> str:
    """Return the page of the PyTorch part."""
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    parts = [
        "# PyTorch: benchmarks",
        "<!-- Made by `python benchmarks/pages.py`: change that, not this page. -->",
        "What the stored results hold, line by line. What follows from them: [layers](torch.md#what-it-costs) and "
        "[pruning](torch-pruning.md#measured).",
        "## Machine\n\n" + "\n".join(f"* {label}: {text}" for label, text in facts.items()),
    ]
    for name, title, note in _TORCH:
        with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        parts += [f"## {title}", *([note] if note else []), _table(head, rows)]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    told = [[_number(cell) for cell in row] for row in rows]
    # Words to the left, numbers to the right.
    lines = [":---" if any(re.search(r"[A-Za-z]", row[k]) for row in told) else "---:" for k in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(head), lines, *told])


def _number(cell: str) -> str:
    try:
        value = float(cell)
    except ValueError:
        return cell or "–"
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def with_block(text: str, name: str, made: str) -> str:
    """Return a page with the part between the comments `name` and `end of name` put anew.

    Raises
    ------
    ValueError
        If the page does not have such a part once.
    """
    begin, end = f"<!-- {name}: made by `python benchmarks/pages.py` -->", f"<!-- end of {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"expected one part between {begin} and {end}")
    head, _, rest = text.partition(begin)
    return f"{head}{begin}\n\n{made}\n\n{end}{rest.partition(end)[2]}"


def made() -> dict[Path, str]:
    """Return the text of every page and picture."""
    files = {
        DOCS / "speed.md": page_of(RESULTS / "speed"),
        DOCS / "torch-benchmarks.md": torch_page(RESULTS / "torch"),
    }
    library = DOCS / "which-library.md"
    files[library] = with_block(library.read_text(encoding="utf-8"), "figures", compared(RESULTS / "speed"))
    with tempfile.TemporaryDirectory() as folder:
        page, pictures = Path(folder) / "learning-benchmarks.md", Path(folder) / "_static"
        write_page(read_learning(RESULTS / "learning"), page, pictures)
        files[DOCS / page.name] = page.read_text(encoding="utf-8")
        for picture in sorted(pictures.iterdir()):
            files[DOCS / "_static" / picture.name] = picture.read_text(encoding="utf-8")
    return files


def differing() -> list[Path]:
    """Return the pages that are not what the stored results make, and the pictures that draw other numbers."""

    def of(path: Path, text: str) -> str:
        # Other versions of matplotlib draw the same numbers in other words.
        found = re.search(r"numbers drawn: (\w+)", text)
        return found[1] if found and path.suffix == ".svg" else text

    return [
        path
        for path, text in made().items()
        if not path.exists() or of(path, path.read_text(encoding="utf-8")) != of(path, text)
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, and name what differs")
    options = parser.parse_args(arguments)
    if options.check:
        found = differing()
        for path in found:
            print(f"Not what the results make: {path.relative_to(ROOT)}")
        return 1 if found else 0
    for path, text in made().items():
        write_atomically(path, text)
        print(f"Written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
