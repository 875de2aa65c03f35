"""The check of the built pages finds what is broken, and nothing else."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
FILE = Path(__file__).resolve().parents[2] / "docs" / "_ext" / "local_links.py"
specification = importlib.util.spec_from_file_location("local_links", FILE)
local_links = importlib.util.module_from_spec(specification)
specification.loader.exec_module(local_links)

HEAD = '<title>t</title><meta name="description" content="d">'


@pytest.fixture
def site(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.html").write_text(HEAD + '<h1 id="top">B</h1><a href="../a.html#here">a</a>')
    (tmp_path / "p.png").write_bytes(b"")
    (tmp_path / "a.html").write_text(
        HEAD
        + '<p id="here"><a href="sub/b.html#top">b</a><a href="#here">me</a><a href="https://example.org/x#y">out</a>'
        + '<img src="p.png" alt="a picture"><img src="p.png" alt="">'
    )
    return tmp_path


def test_a_whole_site_has_no_faults(site):
    assert local_links.faults(site) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="c.html">', "c.html leads nowhere"),
        ('<a href="a.html#there">', "a.html#there leads nowhere"),
        ('<a href="#there">', "#there leads nowhere"),
        ('<img src="q.png" alt="x">', "q.png leads nowhere"),
        ('<img src="p.png">', "the picture p.png has no text in its place"),
        ('<img src="p.png" alt="p.png">', "the picture p.png has no text in its place"),
    ],
)
def test_each_fault_is_named_with_its_page(site, body, fault):
    (site / "new.html").write_text(HEAD + body)
    assert local_links.faults(site) == [f"new.html: {fault}"]


def test_pages_have_a_title_and_a_description(site):
    (site / "new.html").write_text("<p>x")
    (site / "search.html").write_text("<title>Search</title>")
    assert local_links.faults(site) == ["new.html: no title", "new.html: no description"]
