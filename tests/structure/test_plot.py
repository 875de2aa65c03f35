"""The picture of a structure shows every entry where it is."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

import stridiag
from stridiag import StridiagMatrix

mpl.use("Agg")
import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def drawn(ax):
    """Return the set of positions that the lines and dots of a picture cover."""
    positions = set()
    for line in ax.get_lines():
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        if line.get_linestyle() == "None":
            positions |= set(zip(y.astype(int).tolist(), x.astype(int).tolist(), strict=True))
        else:
            steps = int(y[1] - y[0])
            positions |= {(int(y[0]) + k, int(x[0]) + k) for k in range(steps + 1)}
    return positions


@pytest.mark.parametrize("shape", [(8, 8), (5, 9), (9, 5)])
def test_every_entry_is_drawn(shape):
    A = stridiag.random(shape, (-2, 0, 3, 1 - shape[0]), links=4, rng=0)
    ax = A.plot_structure()
    rows, columns = A.structure.coordinates()
    assert drawn(ax) == set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "rows go down"
    assert str(A.structure.link_count) in ax.get_title()
    ax.figure.canvas.draw()


def test_diagonals_of_one_entry_are_visible():
    ax = StridiagMatrix.from_diagonals({1: [1.0]}).plot_structure()
    assert all(line.get_marker() != "None" for line in ax.get_lines()[:1])


@pytest.mark.parametrize("shape", [0, 1, (0, 3), (3, 0)])
def test_small_sizes(shape):
    stridiag.random(shape, (0,), rng=0).plot_structure().figure.canvas.draw()


def test_given_axes_are_used():
    _, ax = plt.subplots()
    assert stridiag.random(5, rng=0).plot_structure(ax) is ax
    assert len(plt.get_fignums()) == 1


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'stridiag\[plot\]'"):
        stridiag.random(5, rng=0).plot_structure()
