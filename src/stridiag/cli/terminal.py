"""Printing where columns are few or the encoding is poor: nothing is cut off, and no character stops the run."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text

from stridiag.cli.tables import Cell, Table

__all__ = ["encodable", "open_bars", "open_console", "print_table", "print_text", "progress"]

_STYLES = {"": "", "good": "green", "bad": "red", "quiet": "dim"}
# What readers of ASCII expect in place of the few other characters that tables and sentences use.
_ASCII = str.maketrans({"±": "+-", "µ": "u", "–": "-", "…": "..."})
_GAP = 2


def open_console(*, quiet: bool = False) -> Console:
    """Return a console for standard output; where nobody watches (a pipe, a log), 80 columns would be too few."""
    return Console(width=None if sys.stdout.isatty() else 110, highlight=False, quiet=quiet)


def open_bars(*, quiet: bool = False) -> Console:
    """Return a console for progress bars: standard error, where that is a terminal; elsewhere it prints nothing."""
    return Console(highlight=False, stderr=True, quiet=quiet or not sys.stderr.isatty())


def encodable(text: str, encoding: str) -> str:
    """Return the text itself, or the nearest that the encoding can write.

    Examples
    --------
    >>> from stridiag.cli.terminal import encodable
    >>> encodable("3 µs", "ascii")
    '3 us'
    """
    for candidate in (text, text.translate(_ASCII)):
        try:
            candidate.encode(encoding)
        except UnicodeEncodeError:
            continue
        return candidate
    return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)


def print_text(console: Console, text: str, *, wrap: bool = True) -> None:
    """Print a sentence; without `wrap` lines are left to the terminal, so that a path can be copied whole."""
    console.print(Text(encodable(text, console.encoding)), soft_wrap=not wrap)


def print_table(console: Console, table: Table) -> None:
    """Print a table with title and note.

    What is too wide is first given heads of several lines and a first column that wraps, then loses its expendable
    columns one by one, which the note then names; where even the others are too wide, each row becomes a list.
    """
    table = _encodable_table(table, console.encoding)
    width, full = console.width, table
    stacked = dropped = False
    if _width(table, narrow=False) <= width:
        _print_grid(console, table, narrow=False)
    else:
        while _width(table, narrow=True) > width and table.expendable:
            table, dropped = table.without(table.expendable[0]), True
        stacked = _width(table, narrow=True) > width
        if stacked:
            _print_lists(console, full)
        else:
            _print_grid(console, table, narrow=True)
    note = table.note
    if dropped and not stacked:
        note += f" Not shown for want of width: {', '.join(c for c in full.columns if c not in table.columns)}."
    if note:
        console.print(Text(note, style="dim italic"))
    console.print()


def progress(console: Console) -> Progress:
    """Return a progress display that fits the console."""
    # The longest description, the counts, the clock and the gaps between them.
    rest = 40 + len("999/999") + len("0:00:00") + 3
    columns: list[ProgressColumn] = [MofNCompleteColumn(), TimeElapsedColumn()]
    if console.width >= rest + 8:
        columns.insert(0, BarColumn(bar_width=min(24, console.width - rest)))
    return Progress(TextColumn("{task.description:<40}" if console.width >= rest else ""), *columns, console=console)


def _encodable_table(table: Table, encoding: str) -> Table:
    rows = [[Cell(encodable(cell.text, encoding), cell.tone) for cell in row] for row in table.rows]
    columns = tuple(encodable(name, encoding) for name in table.columns)
    expendable = tuple(encodable(name, encoding) for name in table.expendable)
    title, note = encodable(table.title, encoding), encodable(table.note, encoding)
    return Table(title, note, columns, rows, table.groups, expendable)


def _width(table: Table, *, narrow: bool) -> int:
    return sum(_widths(table, narrow=narrow)) + _GAP * (len(table.columns) - 1)


def _widths(table: Table, *, narrow: bool) -> list[int]:
    """Return how wide each column must at least be."""
    widths = []
    for k, name in enumerate(table.columns):
        cells = [row[k].text for row in table.rows]
        # Names may be broken at spaces, numbers may not: "520" and "ms" on two lines would mislead.
        texts = [name.split(), *(text.split() if k == 0 else [text] for text in cells)] if narrow else [[name], cells]
        widths.append(_longest(text for group in texts for text in group))
    return widths


def _longest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _print_grid(console: Console, table: Table, *, narrow: bool) -> None:
    # The box's divider is one blank wide, the padding the other.
    shown = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, _GAP - 1))
    for k, (name, width) in enumerate(zip(table.columns, _widths(table, narrow=narrow), strict=True)):
        head = Text("\n".join(name.split()) if narrow and k else name)
        if k == 0:
            shown.add_column(head, min_width=width, vertical="bottom")
        else:
            shown.add_column(head, justify="right", width=width, no_wrap=True, vertical="bottom")
    for k, row in enumerate(table.rows):
        if k in table.groups:
            shown.add_section()
        shown.add_row(*(Text(cell.text, style=_STYLES[cell.tone]) for cell in row))
    console.print(Text(table.title, style="bold"))
    console.print(shown)


def _print_lists(console: Console, table: Table) -> None:
    console.print(Text(table.title, style="bold"))
    for row in table.rows:
        console.print(Text(f"{table.columns[0]} {row[0].text}"))
        for name, cell in zip(table.columns[1:], row[1:], strict=True):
            console.print(Text(f"  {name}: ").append(cell.text, style=_STYLES[cell.tone]))
