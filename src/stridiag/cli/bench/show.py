"""Measurements as tables of text: for the terminal, the page and the documentation alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stridiag.cli.bench.limits import Limits, Peak
from stridiag.cli.bench.measuring import ILL_CONDITIONED, Record
from stridiag.cli.bench.operations import operation_named
from stridiag.cli.bench.problem import VALUES, Case, Problem
from stridiag.cli.bench.rivals import OURS, RIVALS, YARDSTICK
from stridiag.cli.bench.summary import STABLE, Comparison, Verdict, comparisons, is_stable, unpivoted, worst_errors
from stridiag.cli.bench.table import Cell
from stridiag.cli.tables import Cell as Text
from stridiag.cli.tables import Table, Tone, duration, times_over

__all__ = [
    "all_tables",
    "floor_table",
    "growth_table",
    "main_tables",
    "markdown",
    "memory_table",
    "operation_of",
    "rivals_table",
    "stability_table",
]

_COLUMNS = ("p,q,links", "n", "values", "threads", "ours", "error", "fastest rival", "its time", "its error", "ratio")
_LINEAR = ("factor-solve", "refactor-solve", "solve", "solve-64", "slogdet", "inverse-diagonal", "inverse-pattern")
_BANDWIDTH_OPERATIONS = (*_LINEAR, "matvec", "matvec-64", "pinv-apply")
_MILLION = 10**6


def all_tables(records: Sequence[Record], limits: Limits | None, cores: int) -> list[Table]:
    """Make the tables of a run: each operation's, errors where growth was looked for, growth, threads, memory."""
    tables: list[Table | None] = [*main_tables(records, cores)]
    if any(r.cell.values in ("constant", "signs") for r in records):
        tables.append(stability_table(records))
    tables.append(growth_table(records))
    if limits is not None:
        tables += [floor_table(records, limits.bandwidth), memory_table(limits.peaks)]
    return [table for table in tables if table is not None]


def main_tables(records: Iterable[Record], cores: int) -> list[Table]:
    """Make a table for each operation: ours beside the fastest stable rival, with target where there is one."""
    groups: dict[str, list[Comparison]] = {}
    for comparison in comparisons(records, cores):
        if comparison.timed:
            groups.setdefault(comparison.cell.operation, []).append(comparison)
    return [_main_table(operation, rows) for operation, rows in groups.items()]


def operation_of(table: Table) -> str:
    """Return the operation that a table of `main_tables` is about."""
    return table.title.rpartition("(")[2].rstrip(")")


def _main_table(name: str, found: list[Comparison]) -> Table:
    operation = operation_named(name)
    rows: list[list[Text]] = []
    groups: list[int] = []
    last = None
    for comparison in found:
        if comparison.cell.case != last:
            groups.append(len(rows))
            last = comparison.cell.case
        rows.append(_row(comparison))
    note = "Medians with quartiles. Ratio: the fastest stable rival's median over ours."
    if operation.error_kind:
        note += f" Error: {operation.error_kind}."
    if any(comparison.ours.note == ILL_CONDITIONED for comparison in found):
        note += " †: found singular to working precision; our time includes finding that out."
    aimed = any(comparison.verdicts for comparison in found)
    if aimed:
        note += " Target: the ratio aimed at, over which rivals; the ratio reached stands behind it."
    columns = (*_COLUMNS, "target") if aimed else _COLUMNS
    rows = rows if aimed else [row[:-1] for row in rows]
    title = operation.title[0].upper() + operation.title[1:]
    expendable = ("its error", "error", "threads", "values")
    return Table(f"{title} ({name})", note, columns, rows, tuple(groups[1:]), expendable)


def _row(comparison: Comparison) -> list[Text]:
    cell, ours, best = comparison.cell, comparison.ours, comparison.best
    assert ours.timing is not None
    mark = "†" if ours.note == ILL_CONDITIONED else ""
    row = [Text(str(cell.case)), Text(f"{cell.n:,}{mark}"), Text(cell.values), Text(str(cell.threads))]
    row += [Text(_spread(ours)), _error(ours)]
    if best is None or best.timing is None:
        row += [Text("–", "quiet")] * 4
    else:
        ratio = comparison.ratio(best)
        tone: Tone = "good" if ratio > 1.0 else "bad"
        row += [Text(_named(best.rival)), Text(_spread(best)), _error(best), Text(times_over(ratio), tone)]
    return [*row, _target(comparison.verdicts)]


def _target(verdicts: tuple[Verdict, ...]) -> Text:
    if not verdicts:
        return Text("")
    parts = []
    for target, rival, ratio, met in ((v.target, v.rival, v.ratio, v.met) for v in verdicts):
        over = f" over {target.rivals[0]}" if target.rivals else ""
        plus = f" or within {duration(target.plus)}" if target.plus else ""
        reached = "no such rival" if ratio is None else f"{times_over(ratio)}{'' if met else ' missed'}"
        if ratio is not None and target.rivals and rival != target.rivals[0]:
            reached += f" ({rival})"
        parts.append(f"{times_over(target.ratio)}{over}{plus}: {reached}")
    met_all = all(v.met is not False for v in verdicts)
    decided = any(v.met is not None for v in verdicts)
    return Text("; ".join(parts), ("good" if met_all else "bad") if decided else "quiet")


def rivals_table(records: Iterable[Record], operation: str, cores: int) -> Table:
    """Make the table of all methods of one operation: median and error, a column for each method."""
    found = [c for c in comparisons(records, cores) if c.cell.operation == operation and c.timed]
    present = {r.rival for c in found for r in c.rivals}
    names = [rival.name for rival in RIVALS if rival.name in present]
    rows = []
    for comparison in found:
        cell = comparison.cell
        by_name = {r.rival: r for r in comparison.rivals}
        row = [Text(f"{cell.case}"), Text(f"{cell.n:,}"), Text(cell.values), Text(str(cell.threads))]
        rows.append([*row, _all_of(comparison.ours), *(_all_of(by_name.get(name)) for name in names)])
    parts = dict.fromkeys(f"{r.rival}: {r.note}" for c in found for r in c.rivals if r.timing is not None and r.note)
    notes = [f"Median, with error in brackets; ! marks an error of {STABLE:g} or more, * rivals that do not pivot."]
    notes += [f"{'; '.join(parts)}."] if parts else []
    failures = dict.fromkeys(f"{r.rival} {r.note}" for c in found for r in c.rivals if r.note.startswith("failed"))
    notes += [f"{'; '.join(failures)}."] if failures else []
    columns = ("p,q,links", "n", "values", "threads", OURS, *map(_named, names))
    return Table(f"All methods: {operation}", " ".join(notes), columns, rows)


def _all_of(record: Record | None) -> Text:
    if record is None:
        return Text("–", "quiet")
    if record.timing is None:
        return Text(record.note.partition(":")[0] or "–", "quiet")
    mark = "" if is_stable(record) else "!"
    return Text(f"{duration(record.timing.median)} ({_number(record.error)}{mark})", "" if not mark else "bad")


def stability_table(records: Iterable[Record]) -> Table:
    """Make the table of the worst backward errors of each method, by kind of values."""
    worst = worst_errors(records)
    names = [rival.name for rival in RIVALS if rival.name in worst]
    rows = []
    for name in names:
        cells = [worst[name].get(kind) for kind in VALUES]
        bad = ["bad" if error is not None and not error < STABLE else "" for error in cells]
        texts = [Text(_number(error), tone) for error, tone in zip(cells, bad, strict=True)]  # type: ignore[arg-type]
        rows.append([Text(_named(name)), *texts])
    note = f"The worst over all cells in which a method ran; red from {STABLE:g} on. * does not pivot."
    return Table("Backward errors", note, ("method", *VALUES), rows)


def floor_table(records: Iterable[Record], bandwidth: dict[int, float]) -> Table | None:
    """Make the table of our nanoseconds a row beside what memory allows; None without large sizes."""
    rows = []
    for cell, timing in _ours(records):
        if cell.operation not in _BANDWIDTH_OPERATIONS or cell.threads not in bandwidth:
            continue
        if cell.n < _MILLION or cell.values not in ("dominant", "singular"):
            continue
        problem = Problem(cell.case, cell.n, cell.values)
        size = 8.0 * operation_named(cell.operation).numbers(problem) / cell.n
        spent, floor = 1e9 * timing / cell.n, 1e9 * size / bandwidth[cell.threads]
        row = [cell.operation, str(cell.case), f"{cell.n:,}", str(cell.threads), f"{size:.0f}"]
        tone: Tone = "good" if spent <= 3 * floor else "bad"
        rows.append(
            [*map(Text, row), Text(f"{spent:.2f}"), Text(f"{floor:.2f}"), Text(times_over(spent / floor), tone)]
        )
    if not rows:
        return None
    triad = ", ".join(f"{speed / 1e9:.1f} GB/s on {_threads(k)}" for k, speed in sorted(bandwidth.items()))
    note = (
        f"Triad a = b + s c: {triad}, 24 bytes an element. Bytes a row: values and right-hand sides read once, results "
        "written once, nothing else; the floor is the time to move these. Aimed at: at most 3 times the floor."
    )
    columns = ("operation", "p,q,links", "n", "threads", "bytes a row", "ns a row", "floor", "over the floor")
    return Table("Time a row beside the memory floor", note, columns, rows)


def growth_table(records: Iterable[Record]) -> Table | None:
    """Make the table of our time at n = 10^7 over that at 10^6, and on one thread over that on all."""
    times = dict(_ours(records))
    rows = []
    for cell, timing in times.items():
        if cell.values not in ("dominant", "singular"):
            continue
        less = cell._replace(n=cell.n // 10)
        if cell.operation in _LINEAR and cell.n > _MILLION and less in times:
            growth = timing / times[less]
            what = [f"{cell.n:,} over {less.n:,} rows", "at most 12"]
            rows.append([*_what(cell), *map(Text, what), Text(times_over(growth), "good" if growth <= 12 else "bad")])
        more = [other for other in times if other._replace(threads=1) == cell and other.threads > 1]
        if cell.threads == 1 and more:
            gain = timing / times[more[0]]
            what = [f"1 thread over {more[0].threads}", "at least 1.5"]
            tone: Tone = "good" if gain >= 1.5 else "bad"
            rows.append([*_what(cell), *map(Text, what), Text(times_over(gain), tone)])
    note = "Quotients of our medians."
    return (
        Table("Growth and threads", note, ("operation", "p,q,links", "n", "quotient", "aimed at", "reached"), rows)
        if rows
        else None
    )


def memory_table(peaks: dict[tuple[Case, int], Peak]) -> Table:
    """Make the table of peak memory."""
    rows = [
        [
            Text(str(case)),
            Text(f"{n:,}"),
            Text(f"{peak.arrays:.2f}", "bad" if case == (1, 1, 0) and peak.arrays > 8 else ""),
            Text("–" if peak.resident is None else f"{peak.resident:.2f}"),
        ]
        for (case, n), peak in peaks.items()
    ]
    note = (
        "Plan, factor and solve: the most beyond matrix and right-hand side at any moment, the solution included, in n "
        "doubles. Arrays: as numpy allocates; resident: growth of the process. Aimed at for 1,1,0: at most 8."
    )
    return Table("Peak memory", note, ("p,q,links", "n", "arrays", "resident"), rows)


def markdown(table: Table) -> str:
    """Return a table with title and note as Markdown."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = "|---|" + "---:|" * (len(table.columns) - 1)
    rows = [line(f"**{c.text}**" if c.tone == "bad" and c.text else c.text for c in row) for row in table.rows]
    return "\n".join((line(table.columns), rule, *rows, "", table.note.replace("*", "\\*"), ""))


def _ours(records: Iterable[Record]) -> list[tuple[Cell, float]]:
    return [(r.cell, r.timing.median) for r in records if r.rival == OURS and r.timing]


def _what(cell: Cell) -> list[Text]:
    return [Text(cell.operation), Text(str(cell.case)), Text(f"{cell.n:,}")]


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _named(name: str) -> str:
    return f"{name}*" if name != YARDSTICK and unpivoted(name) else name


def _spread(record: Record) -> str:
    timing = record.timing
    assert timing is not None
    return f"{duration(timing.median)} [{_digits(timing.lower, timing.median)}–{_digits(timing.upper, timing.median)}]"


def _digits(seconds: float, like: float) -> str:
    """Return the number in the unit in which `duration` writes `like`."""
    scale = 1e6 if like < 1e-3 else 1e3 if like < 0.9995 else 1.0
    return f"{seconds * scale:.3g}" if scale > 1.0 else f"{seconds:.2f}"


def _error(record: Record) -> Text:
    bad = record.error is not None and not is_stable(record)
    return Text(_number(record.error), "bad" if bad else "" if record.error is not None else "quiet")


def _number(error: float | None) -> str:
    return "–" if error is None else f"{error:.0e}" if error else "0"
