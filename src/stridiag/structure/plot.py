"""A picture of a structure, and axes for other pictures. Needs matplotlib, which is imported only here."""

from __future__ import annotations

from typing import Any

from stridiag._extras import require
from stridiag.structure.structure import Structure, diagonal_length

__all__ = ["new_axes", "plot_structure"]


def new_axes(purpose: str, figsize: tuple[float, float] = (4.5, 4.5)) -> Any:
    """Return the axes of a new figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed; the message says what needs it and how to get it.
    """
    require(purpose, "plot", "matplotlib")
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=figsize)[1]


def plot_structure(structure: Structure, ax: Any = None) -> Any:
    """Draw diagonals as lines and links as dots; see `StridiagMatrix.plot_structure`."""
    if ax is None:
        ax = new_axes("plot_structure")
    rows, columns = structure.shape
    for offset in structure.offsets:
        length = diagonal_length(structure.shape, offset)
        top = max(0, -offset)
        ends = [top, top + length - 1] if length else []
        # A line of one entry has no length: draw it as a dot.
        style = "." if length == 1 else "-"
        ax.plot([k + offset for k in ends], ends, style, color="C0" if offset == 0 else "C1", lw=1.5)
    # Dots that overlap hide the pattern: the more there are, the smaller.
    size = 3.0 if structure.link_count <= 500 else 1.5 if structure.link_count <= 5000 else 0.5
    ax.plot(structure.link_columns, structure.link_rows, "o", color="C3", ms=size, mew=0, label="links")
    ax.set(
        xlim=(-0.5, max(columns, 1) - 0.5),
        ylim=(max(rows, 1) - 0.5, -0.5),
        aspect="equal",
        xlabel="column",
        ylabel="row",
        title=f"{rows} x {columns}, {_told(structure.offsets)}, {structure.link_count} links",
    )
    ax.locator_params(nbins=6)
    return ax


def _told(offsets: tuple[int, ...]) -> str:
    # A longer list would be wider than the picture.
    return f"offsets {offsets}" if len(offsets) <= 5 else f"{len(offsets)} diagonals"
