"""The documentation's page of measurements, made from stored results."""

from __future__ import annotations

from collections.abc import Sequence

from stridiag.cli.bench.limits import Limits
from stridiag.cli.bench.measuring import Record
from stridiag.cli.bench.rivals import OURS, RIVALS, YARDSTICK
from stridiag.cli.bench.show import (
    floor_table,
    growth_table,
    main_tables,
    markdown,
    memory_table,
    operation_of,
    rivals_table,
    stability_table,
)
from stridiag.cli.bench.summary import comparisons
from stridiag.cli.tables import Table

__all__ = ["speed_page"]

_INTRODUCTION = """\
# Speed

<!-- Made by `python benchmarks/speed.py`: change that, or `stridiag.cli.bench`, not this page. -->

Every operation beside the strongest rivals that could be installed, in one run, losses included. A *ratio* is the
fastest stable rival's median over ours: above 1 we are faster. Targets were set before the work; what is missed is
printed in bold.
"""
_METHOD = """\
## How this was measured

Each method starts from the form of the matrix that it likes best, made outside the clock, and is timed to the answer in
natural order. Methods take turns, so that whatever else the machine does meets all of them; first calls, which
compile, are not counted. Results lie in memory that is newly asked for; as much has been touched just before, outside
the clock, or whoever comes first would pay for what a virtual machine gave back to its host. Ours of 128 KiB to 128 MiB
lie in the memory of earlier arrays, as users have it too: that saves the operating system's clearing, 2.5 to 4 ms of 64
right-hand sides. Ours includes the checks of all input and, but where
"again" or "known" is said, a plan made afresh. All methods may use all cores where no other
number of threads is given. Names end in * where a method takes pivots as they come. A rival that was over six times
slower than the fastest at 100,000 rows is not run at a million, nor one that was so at 10,000 rows, and slow, at
100,000.

Values: *dominant*, the main diagonal exceeds the rest of its row by 1; *random*, standard normal; *constant*, (-0.9,
0.99, 1) on sub-diagonal, diagonal and super-diagonal; *signs*, (1, -1, -1). The last two are well conditioned, and
elimination without care grows errors on them; they are run for the errors only. *singular*: dominant but for two
entries, rank n - 2.

To repeat it (a quarter of an hour or more on two cores), or one operation of it:

    pip install 'stridiag[bench]'
    python benchmarks/speed.py
    python benchmarks/speed.py --operations slogdet
    stridiag bench --operations factor-solve --cases 1,1,100 --sizes 50000 --html page.html
"""


def speed_page(records: Sequence[Record], facts: dict[str, str], limits: Limits | None, cores: int) -> str:
    """Write the page as Markdown: the tables with targets first, then errors, limits, and all methods by operation."""
    parts = [_INTRODUCTION, _score(records, cores), _section("Machine", [f"* {k}: {v}" for k, v in facts.items()])]
    mains = main_tables(records, cores)
    parts += [_tabled(table) for table in mains]
    more: list[Table | None] = [stability_table(records), growth_table(records)]
    if limits is not None:
        more += [floor_table(records, limits.bandwidth), memory_table(limits.peaks)]
    parts += [_tabled(table) for table in more if table is not None]
    parts.append(_METHOD)
    parts.append(_section("Methods", [f"* {r.name}: {r.title}" for r in RIVALS if r.name not in (OURS, YARDSTICK)]))
    parts.append("## All methods, by operation\n")
    parts += [_tabled(rivals_table(records, operation_of(table), cores), level=3) for table in mains]
    return "\n".join(parts).rstrip() + "\n"


def _score(records: Sequence[Record], cores: int) -> str:
    verdicts = [verdict for found in comparisons(records, cores) for verdict in found.verdicts]
    met = sum(verdict.met is True for verdict in verdicts)
    missed = sum(verdict.met is False for verdict in verdicts)
    best = [(found, found.best) for found in comparisons(records, cores) if found.timed]
    faster = sum(rival is not None and found.ratio(rival) > 1.0 for found, rival in best)
    slower = sum(rival is not None and found.ratio(rival) <= 1.0 for found, rival in best)
    return (
        f"Targets: {met} met, {missed} missed, {len(verdicts) - met - missed} without a rival to compare with. "
        f"Over all cells with a stable rival: faster in {faster}, slower in {slower}.\n"
    )


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join((f"## {title}", "", *lines, ""))


def _tabled(table: Table, *, level: int = 2) -> str:
    return f"{'#' * level} {table.title}\n\n{markdown(table)}"
