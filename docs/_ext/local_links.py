"""Sphinx extension: when the site is built, every link within it must lead somewhere.

Sphinx looks at references; this looks at the pages as a browser gets them: that files and anchors exist, that pictures
say what they show, and that pages have a title and a description. Links to other sites are not followed.
"""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sphinx.util import logging

__all__ = ["faults", "setup"]

# Made by Sphinx for itself: they have no text to describe.
_WITHOUT_DESCRIPTION = {"genindex.html", "py-modindex.html", "search.html"}


class _Page(HTMLParser):
    """Anchors, links and pictures of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.silent: list[str] = []
        self.described = self.titled = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        self.links += [given[name] for name in ("href", "src") if given.get(name)]
        # Docutils puts the name of the file where nothing was said. Nothing at all marks a picture that only decorates.
        if tag == "img" and ("alt" not in given or Path(given["alt"]).suffix in {".png", ".svg"}):
            self.silent.append(given.get("src", ""))
        self.described |= tag == "meta" and given.get("name") == "description" and bool(given.get("content"))
        self.titled |= tag == "title"


def faults(folder: Path) -> list[str]:
    """Return what is wrong with the pages of a folder, a line each."""
    pages = {path.resolve(): _Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(folder.resolve()).as_posix()
        found += [f"{name}: {link} leads nowhere" for link in page.links if not _leads_somewhere(path, link, pages)]
        found += [f"{name}: the picture {source} has no text in its place" for source in page.silent]
        found += [] if page.titled else [f"{name}: no title"]
        if not page.described and name not in _WITHOUT_DESCRIPTION:
            found.append(f"{name}: no description")
    return found


def _leads_somewhere(path: Path, link: str, pages: dict[Path, _Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return False
    return not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].anchors


def _check(app: Any, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        for fault in faults(Path(app.outdir)):
            logging.getLogger(__name__).warning(fault)


def setup(app: Any) -> dict[str, bool]:
    """Check the pages when all of them are written."""
    # Late: the gallery puts links into its pages at the end, too.
    app.connect("build-finished", _check, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
