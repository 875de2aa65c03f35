"""The results as one HTML page with log-log plots."""

from __future__ import annotations

from collections.abc import Sequence

from stridiag.cli.bench.limits import Limits
from stridiag.cli.bench.measuring import Record
from stridiag.cli.bench.show import (
    floor_table,
    growth_table,
    main_tables,
    memory_table,
    operation_of,
    rivals_table,
    stability_table,
)
from stridiag.cli.bench.summary import comparisons
from stridiag.cli.plots import Curve, loglog
from stridiag.cli.report import Report
from stridiag.cli.timing import usable_cores

__all__ = ["compose"]

# A page's palette tells five lines apart.
_LINES = 5


def compose(records: Sequence[Record], facts: dict[str, str], limits: Limits | None = None) -> str:
    """Write the page: for each operation the table with targets, plots against n, and the table of all methods."""
    cores = usable_cores()
    page = Report("stridiag bench")
    page.paragraph(
        "Medians of interleaved calls, with quartiles. Each method starts from the form of the matrix that it likes "
        "best; kernels are compiled before. A rival counts as the fastest only where its backward error is small.",
        kind="quiet",
    )
    for table in main_tables(records, cores):
        page.table(table)
        operation = operation_of(table)
        pictures = figures(records, operation, cores)
        if pictures:
            page.figures(pictures)
        page.table(rivals_table(records, operation, cores))
    page.heading("Errors, growth, memory")
    more = [stability_table(records), growth_table(records)]
    if limits is not None:
        more += [floor_table(records, limits.bandwidth), memory_table(limits.peaks)]
    for extra in more:
        if extra is not None:
            page.table(extra)
    page.heading("How this was measured")
    page.facts(facts)
    return page.html()


def figures(records: Sequence[Record], operation: str, cores: int) -> list[str]:
    """Draw time against n for each case and kind of values with several sizes: ours and the fastest rivals."""
    found = [c for c in comparisons(records, cores) if c.cell.operation == operation and c.timed]
    groups = dict.fromkeys((c.cell.case, c.cell.values) for c in found if c.cell.threads == found[0].cell.threads)
    pictures = []
    for case, kind in groups:
        here = [c for c in found if (c.cell.case, c.cell.values) == (case, kind)]
        here = [c for c in here if c.cell.threads == found[0].cell.threads]
        points: dict[str, list[tuple[int, float]]] = {}
        for comparison in here:
            for record in (comparison.ours, *comparison.rivals):
                if record.timing:
                    points.setdefault(record.rival, []).append((comparison.cell.n, record.timing.median))
        if len({c.cell.n for c in here}) < 2:
            continue
        # Those that are fastest at the largest of their sizes, in time a row.
        names = sorted(points, key=lambda name: points[name][-1][1] / points[name][-1][0])
        ours = here[0].ours.rival
        curves = [Curve(name, points[name]) for name in [ours, *(n for n in names if n != ours)][:_LINES]]
        title = f"{operation}: p = {case.p}, q = {case.q}, {case.links} links, {kind} values"
        pictures.append(loglog(f"{operation}-{case.p}-{case.q}-{case.links}-{kind}", title, curves))
    return pictures
