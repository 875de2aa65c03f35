"""Results as CSV files and as JSON: a line, or object, for each method and cell, with what they were measured with."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stridiag.cli.bench.measuring import Record
from stridiag.cli.bench.problem import Case
from stridiag.cli.bench.table import Cell
from stridiag.cli.timing import Timing

__all__ = ["StoredError", "as_rows", "parse", "read", "to_csv"]

_COLUMNS = (
    "operation", "p", "q", "links", "n", "values", "threads", "rival", "first", "median", "lower", "upper", "minimum",
    "calls", "error", "note",
)  # fmt: skip


_TIMES = ("first", "median", "lower", "upper", "minimum")


class StoredError(ValueError):
    """A file is not what `to_csv` writes."""


def as_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Return records as flat dictionaries, for JSON: seconds in full precision, None where nothing was measured."""
    rows = []
    for cell, rival, timing, error, note in records:
        times = (None,) * 6 if timing is None else (*_seconds(timing), timing.calls)
        row = (cell.operation, *cell.case, cell.n, cell.values, cell.threads, rival, *times, error, note)
        rows.append(dict(zip(_COLUMNS, row, strict=True)))
    return rows


def to_csv(records: Iterable[Record], facts: dict[str, str]) -> str:
    """Return the text of a file; seconds to four digits."""
    stream = io.StringIO(newline="")
    for label, text in facts.items():
        stream.write(f"# {label}: {text}\n")
    writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in as_rows(records):
        if row["median"] is not None:
            row |= {name: f"{row[name]:.4g}" for name in _TIMES}
        if row["error"] is not None:
            row["error"] = f"{row['error']:.3g}"
        writer.writerow(row)
    return stream.getvalue()


def parse(text: str) -> tuple[list[Record], dict[str, str]]:
    """Read what `to_csv` wrote.

    Raises
    ------
    StoredError
        If it is something else.
    """
    lines = text.splitlines()
    comments = [line for line in lines if line.startswith("# ")]
    facts = dict(line[2:].split(": ", 1) for line in comments if ": " in line)
    table = csv.DictReader(line for line in lines if not line.startswith("# "))
    if tuple(table.fieldnames or ()) != _COLUMNS:
        raise StoredError(f"expected the columns {', '.join(_COLUMNS)}")
    try:
        return [_record(line) for line in table], facts
    except (ValueError, TypeError) as error:
        raise StoredError(f"a line cannot be read: {error}") from None


def read(path: Path) -> tuple[list[Record], dict[str, str]]:
    """Read a file; see `parse`."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except StoredError as error:
        raise StoredError(f"{path}: {error}") from None


def _seconds(timing: Timing) -> tuple[float, ...]:
    return timing.first, timing.median, timing.lower, timing.upper, timing.minimum


def _record(line: dict[str, str]) -> Record:
    case = Case(int(line["p"]), int(line["q"]), int(line["links"]))
    # The kinds of values are names, whatever they are.
    cell = Cell(line["operation"], case, int(line["n"]), line["values"], int(line["threads"]))  # type: ignore[arg-type]
    timing = None
    if line["median"]:
        first, median, lower, upper, least = (float(line[c]) for c in _TIMES)
        timing = Timing(first, median, lower, upper, least, int(line["calls"]))
    error = float(line["error"]) if line["error"] else None
    return Record(cell, line["rival"], timing, error, line["note"])
