"""What tests of more than one way through a window share."""

from __future__ import annotations

import pytest

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
