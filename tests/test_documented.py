"""Every public name resolves, stands in its room's list once, and has a place in the reference."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

API = Path(__file__).parents[1] / "docs" / "api"
# The file of the reference for each room, and the names there that are rooms themselves.
PAGES = {
    "dask": "dask.md",
    "linalg": "linalg.md",
    "nn": "nn.md",
    "sklearn": "sklearn.md",
    "tables": "tables.md",
    "testing": "testing.md",
    "torch": "torch.md",
    "torch.flows": "torch.md",
    "torch.functional": "torch.md",
    "torch.prune": "torch.md",
}
ROOMS = {"closed_forms", "flows", "functional", "strategies"}


def imported(room):
    if room.startswith("torch"):
        pytest.importorskip("torch")
    return import_module(f"stridiag.{room}")


def names(room):
    return imported(room).__all__


@pytest.mark.parametrize("room", PAGES)
def test_names_resolve_and_stand_once(room):
    module = imported(room)
    assert all(getattr(module, name) is not None for name in names(room))
    assert len(set(names(room))) == len(names(room))


@pytest.mark.parametrize("room", ["nn", "sklearn"])
def test_all_that_is_imported_for_users_is_listed(room):
    module = imported(room)
    submodules = {path.stem for path in Path(module.__file__).parent.glob("*.py")}
    shown = {name for name in vars(module) if not name.startswith("_")} - submodules - {"annotations"}
    assert shown <= set(names(room))


def documented(room):
    text = (API / PAGES.get(room, "stridiag.md")).read_text(encoding="utf-8")
    place = "stridiag" + f".{room}" * bool(room)
    found = re.findall(rf"^\.\. (?:auto\w+|py:data):: {re.escape(place)}\.(\w+)$", text, re.MULTILINE)
    assert len(set(found)) == len(found)
    return set(found)


@pytest.mark.parametrize("room", PAGES)
def test_the_reference_has_each_name_and_no_other(room):
    assert documented(room) - ROOMS == set(names(room)) - ROOMS


def test_the_reference_has_each_name_of_the_package():
    assert documented("") == set(import_module("stridiag").__all__) - {"__version__", "errors", "linalg"}
