"""What tests of more than one way through a window share."""

from __future__ import annotations

import pytest

from stridiag.factorization import chain_windows
from stridiag.planning.band import BandLayout
from stridiag.planning.window import WindowLayout


@pytest.fixture
def window():
    """A maker of the layout of a window over a structure, links apart."""
    return lambda structure: WindowLayout.build(structure, BandLayout.without_links(structure))


@pytest.fixture
def random_sides():
    """A maker of right-hand sides: of a generator, a shape, and the name of a type."""

    def make(rng, shape, dtype):
        real = rng.standard_normal(shape)
        return (real + 1j * rng.standard_normal(shape)).astype(dtype) if dtype[0] == "c" else real.astype(dtype)

    return make


@pytest.fixture
def watched(monkeypatch):
    """A maker of the list of what becomes of each trial of a class of windows; shorter chains are tried too."""

    def watch(kind):
        found = []
        solve = kind.solve

        def noted(self, *args, **options):
            result = solve(self, *args, **options)
            found.append(result is not None)
            return result

        monkeypatch.setattr(chain_windows, "SHORTEST", 6000)
        monkeypatch.setattr(kind, "solve", noted)
        return found

    return watch
