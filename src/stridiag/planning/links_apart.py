"""Bands with links whose diagonals are solved for by themselves: what `stridiag._kernels.linked_bands` works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.planning.band import BandLayout
from stridiag.planning.two_ended_band import TwoEndedBand
from stridiag.structure import Structure

__all__ = ["LinksApart"]

Index = NDArray[np.int64]

_FEW = 0.02
"""Links for each row, up to which it may pay: each changes some two hundred rows of a solution."""


@dataclass(frozen=True, eq=False)
class LinksApart:
    """The diagonals of a structure by themselves, and its links, also those that lie within the band.

    Attributes
    ----------
    layout : BandLayout
        Of the diagonals.
    band : TwoEndedBand
        As what they are factored.
    slots, rows, columns : ndarray of int64, (links,)
        Where the links' values stand; positions in class order. Sorted by row.
    """

    layout: BandLayout
    band: TwoEndedBand
    slots: Index
    rows: Index
    columns: Index

    @classmethod
    def of(cls, structure: Structure, stride: int) -> LinksApart | None:
        """Return it for a structure whose classes modulo `stride` are narrow bands with few links; None for others."""
        if structure.link_count > _FEW * structure.shape[0]:
            return None
        layout = BandLayout.without_links(structure)
        band = layout.two_ended
        if band is None or band.chain.stride != stride:
            return None
        rows, columns = (band.chain.positions(part) for part in (structure.link_rows, structure.link_columns))
        order: Any = np.argsort(rows, kind="stable")
        return cls(layout, band, structure.starts[-1] + order, rows[order], columns[order])
