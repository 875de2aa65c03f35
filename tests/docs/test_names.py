"""Modules, and what is in them, have the names that pages and docstrings call them by."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
PAGES = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *SOURCE.rglob("*.py")]
pytestmark = pytest.mark.skipif(not (SOURCE / "stridiag").is_dir(), reason="an installed package without its sources")


def module_and_rest(name):
    """Return the file that the beginning of a dotted name stands for, and the parts behind it."""
    path, parts = SOURCE, name.split(".")
    for k, part in enumerate(parts):
        if (path / f"{part}.py").is_file():
            return path / f"{part}.py", parts[k + 1 :]
        if not (path / part).is_dir():
            return path / "__init__.py", parts[k:]
        path = path / part
    return path / "__init__.py", []


def unknown(text):
    """Return the names in a text that nothing has."""
    dotted = re.findall(r"`~?(stridiag(?:\.\w+)+)`", text)
    for name in dotted:
        file, rest = module_and_rest(name)
        if rest and not re.search(rf"\b{rest[0]}\b", file.read_text(encoding="utf-8")):
            yield name
    yield from (name for name in re.findall(r"`(stridiag/[\w/]+\.py)`", text) if not (SOURCE / name).is_file())


def test_what_is_missing_is_found():
    text = "`stridiag.linalg.solve`, `stridiag.planning.chaim`, `stridiag._kernels.threads.run_all`, `stridiag/no.py`"
    assert list(unknown(text)) == ["stridiag.planning.chaim", "stridiag._kernels.threads.run_all", "stridiag/no.py"]


def test_every_name_belongs_to_something():
    found = {str(page.relative_to(ROOT)): list(unknown(page.read_text(encoding="utf-8"))) for page in PAGES}
    assert {page: names for page, names in found.items() if names} == {}
