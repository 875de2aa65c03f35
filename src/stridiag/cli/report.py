"""The report: one HTML page that needs nothing but itself, written in one step or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template

from stridiag._files import written_whole
from stridiag.cli.tables import Cell, Table

__all__ = ["Report", "write_atomically"]

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root {
  --paper: #fbfaf7; --card: #ffffff; --ink: #1e2430; --quiet: #667085; --grid: #e4e2dc; --good: #0b7a4b;
  --bad: #b42318; --s1: #1d5fd6; --s2: #8b3fc7; --s3: #d1561c; --s4: #0f8a66; --s5: #a87400;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171d; --card: #1b1f27; --ink: #e6e8ec; --quiet: #98a2b3; --grid: #333a46; --good: #5fd39b;
    --bad: #ff8f80; --s1: #7fb0ff; --s2: #cf9bff; --s3: #ff9a62; --s4: #4fd1a5; --s5: #ecc14e;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; text-wrap: balance; }
h2 { font-size: 1.25rem; margin: 2.8rem 0 .3rem; padding-top: .9rem; border-top: 1px solid var(--grid); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p { max-width: 48rem; margin: .4rem 0 .8rem; }
.quiet, .note { color: var(--quiet); }
.note { font-size: .88rem; }
.summary { background: var(--card); border: 1px solid var(--grid); border-radius: .6rem; padding: .6rem 1.2rem; }
.summary ul { padding-left: 1.1rem; margin: .4rem 0; }
.summary li { margin: .25rem 0; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.grid.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
figure { margin: 0; padding: .6rem; background: var(--card); border: 1px solid var(--grid); border-radius: .6rem; }
figure svg { display: block; width: 100%; height: auto; max-width: 36rem; margin: 0 auto; }
.grid > * { min-width: 0; }
.pair { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-start; }
.pair > div { flex: 0 1 min-content; min-width: 0; max-width: 100%; }
.pair > figure { flex: 1 1 20rem; min-width: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th { color: var(--quiet); font-weight: 600; border-bottom: 1px solid var(--ink); }
tr.group td { border-top: 1px solid var(--grid); }
td.good { color: var(--good); font-weight: 600; }
td.bad { color: var(--bad); font-weight: 600; }
td.quiet { color: var(--quiet); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .9rem; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .92em; }
@media (max-width: 30rem) {
  body { padding: 1rem .7rem 2rem; }
  figure { padding: .3rem; }
  dl { grid-template-columns: 1fr; }
  dd { margin-bottom: .4rem; }
}
</style>
</head>
<body>
$body
</body>
</html>
""")


class Report:
    """A page that grows from top to bottom. Texts are escaped; pictures are trusted.

    Examples
    --------
    >>> from stridiag.cli.report import Report
    >>> page = Report("A < B")
    >>> page.paragraph("so it is")
    >>> "<h1>A &lt; B</h1>" in page.html()
    True
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts = [f"<h1>{escape(title)}</h1>"]

    def heading(self, text: str, *, level: int = 2) -> None:
        """Open a section."""
        self._parts.append(f"<h{level}>{escape(text)}</h{level}>")

    def paragraph(self, text: str, *, kind: str = "") -> None:
        """Write a paragraph; `kind` is "", "quiet" or "note"."""
        self._parts.append(f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>")

    def summary(self, sentences: Iterable[str]) -> None:
        """Write the sentences as a list in a box."""
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
        self._parts.append(f'<div class="summary"><ul>{items}</ul></div>')

    def facts(self, facts: dict[str, str]) -> None:
        """Write labels and texts as a list of definitions."""
        items = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in facts.items())
        self._parts.append(f"<dl>{items}</dl>")

    def table(self, table: Table, *, beside: str = "") -> None:
        """Write a table with title and note, and a picture beside it; on a narrow page it scrolls by itself."""
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
        rows = ""
        for k, row in enumerate(table.rows):
            opening = '<tr class="group">' if k in table.groups else "<tr>"
            rows += opening + "".join(map(_cell, row)) + "</tr>"
        self.heading(table.title, level=3)
        inside = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        # Scrolling by keyboard needs something to focus.
        body = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">{inside}</div>'
        body += f'<p class="note">{escape(table.note)}</p>'
        if beside:
            body = f'<div class="pair"><div>{body}</div><figure>{beside}</figure></div>'
        self._parts.append(body)

    def figures(self, pictures: Iterable[str], *, kind: str = "") -> None:
        """Put pictures side by side, as many as fit; `kind` is "" or "three"."""
        inside = "".join(f"<figure>{picture}</figure>" for picture in pictures)
        self._parts.append(f'<div class="{f"grid {kind}".strip()}">{inside}</div>')

    def html(self) -> str:
        """Return the page."""
        return _PAGE.substitute(title=escape(self._title), body="\n".join(self._parts))


def _cell(cell: Cell) -> str:
    return f'<td class="{cell.tone}">{escape(cell.text)}</td>' if cell.tone else f"<td>{escape(cell.text)}</td>"


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    with written_whole(path) as file:
        file.write(text.encode())
