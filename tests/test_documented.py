"""Every public name resolves, stands in its room's list once, and has a place in the reference."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

API = Path(__file__).parents[1] / "docs" / "api"
PAGES = {"nn": "nn.md", "sklearn": "sklearn.md"}


def names(room):
    return import_module(f"stridiag.{room}").__all__


@pytest.mark.parametrize("room", PAGES)
def test_names_resolve_and_stand_once(room):
    module = import_module(f"stridiag.{room}")
    assert all(getattr(module, name) is not None for name in names(room))
    assert len(set(names(room))) == len(names(room))


@pytest.mark.parametrize("room", PAGES)
def test_all_that_is_imported_for_users_is_listed(room):
    module = import_module(f"stridiag.{room}")
    submodules = {path.stem for path in Path(module.__file__).parent.glob("*.py")}
    shown = {name for name in vars(module) if not name.startswith("_")} - submodules - {"annotations"}
    assert shown <= set(names(room))


@pytest.mark.parametrize("room", PAGES)
def test_the_reference_has_each_name_and_no_other(room):
    text = (API / PAGES[room]).read_text(encoding="utf-8")
    directives = re.findall(rf"^\.\. auto\w+:: stridiag\.{room}\.(\w+)$", text, re.MULTILINE)
    # Dictionaries are told of in a sentence.
    told = set(re.findall(rf"`stridiag\.{room}\.(\w+)` is the dictionary", text))
    assert len(set(directives)) == len(directives)
    assert set(directives) | told == set(names(room))
