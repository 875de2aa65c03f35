"""The documentation's pages of measurements say what the stored results say."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def pages():
    sys.path.insert(0, str(FOLDER))
    specification = importlib.util.spec_from_file_location("benchmark_pages", FOLDER / "pages.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    yield module
    sys.path.remove(str(FOLDER))


def test_pages_are_what_the_stored_results_make(pages):
    assert pages.differing() == [], "run `make pages`"


def test_a_page_that_was_edited_by_hand_is_noticed(pages, tmp_path, monkeypatch, capsys):
    texts = {tmp_path / "page.md": "made\n", tmp_path / "drawn.svg": "x numbers drawn: abc123 y"}
    monkeypatch.setattr(pages, "made", lambda: texts)
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    assert pages.main(["--check"]) == 1
    assert capsys.readouterr().out.count("Not what the results make") == 2
    assert pages.main([]) == 0
    assert pages.main(["--check"]) == 0
    # Drawn by another version of matplotlib, and then other numbers.
    (tmp_path / "drawn.svg").write_text("other words, numbers drawn: abc123")
    assert pages.differing() == []
    (tmp_path / "drawn.svg").write_text("other words, numbers drawn: abc124")
    (tmp_path / "page.md").write_text("made, and changed\n")
    assert pages.differing() == list(texts)


def test_a_part_of_a_page_is_put_anew_and_the_rest_is_kept(pages):
    begin, end = "<!-- x: made by `python benchmarks/pages.py` -->", "<!-- end of x -->"
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    assert pages.with_block(text, "x", "new") == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    for wrong in ("no part", text + text):
        with pytest.raises(ValueError, match="one part between"):
            pages.with_block(wrong, "x", "new")
