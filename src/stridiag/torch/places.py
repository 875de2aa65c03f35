"""Where the slots of a structure lie, in the forms that kernels and torch operations ask for; found once and kept."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import torch
from stridiag.structure import Structure
from stridiag.torch.spec import Named, constant, like, structure_of
from torch import Tensor

__all__ = [
    "Band",
    "bands",
    "diagonal_start",
    "doubled",
    "doubled_room",
    "doubled_slots",
    "link_places",
    "product_arrays",
    "slot_count",
    "slots_within",
    "stacked",
    "with_diagonal",
]

Index = NDArray[np.int64]
Where = tuple[Index, Index, Index, Index]


class Band(NamedTuple):
    """One diagonal: its slots, and the rows and columns that it meets."""

    slots: slice
    rows: slice
    columns: slice


@lru_cache(maxsize=256)
def product_arrays(structure: Structure, *, transposed: bool) -> tuple[Where, Index | None]:
    """Return what the product kernels need, and which slots the values must be taken from if not from their own.

    A diagonal keeps its inner order when it changes sides, so without links the transpose reads the same values from
    other starts, and nothing is copied.
    """
    offsets, starts = np.array(structure.offsets, np.int64), np.array(structure.starts, np.int64)
    if not transposed:
        return (offsets, starts, structure.link_rows, structure.link_columns), None
    if not structure.link_count:
        turned = np.concatenate((starts[:-1][::-1], starts[-1:]))
        return (np.ascontiguousarray(-offsets[::-1]), turned, structure.link_columns, structure.link_rows), None
    other, source = structure.transposed()
    where, _ = product_arrays(other, transposed=False)
    return where, np.arange(structure.nnz)[source]


@lru_cache(maxsize=256)
def bands(structure: Structure) -> tuple[Band, ...]:
    """Return every diagonal as slices."""
    found = []
    for k, offset in enumerate(structure.offsets):
        first, last = structure.starts[k], structure.starts[k + 1]
        top = max(0, -offset)
        rows = slice(top, top + last - first)
        found.append(Band(slice(first, last), rows, slice(rows.start + offset, rows.stop + offset)))
    return tuple(found)


@lru_cache(maxsize=256)
def link_places(structure: Structure, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return rows and columns of the links, on a device."""
    return (
        torch.from_numpy(structure.link_rows.copy()).to(device),
        torch.from_numpy(structure.link_columns.copy()).to(device),
    )


@lru_cache(maxsize=64)
def _doubled(structure: Structure) -> tuple[Structure, Index, Index]:
    n = structure.shape[0]
    rows, columns = structure.coordinates()
    offsets = sorted({2 * o + step for o in structure.offsets for step in (-1, 0, 1)})
    i, j = structure.link_rows, structure.link_columns
    wide = Structure(
        2 * n,
        offsets,
        (np.concatenate((2 * i, 2 * i + 1, 2 * i, 2 * i + 1)), np.concatenate((2 * j, 2 * j + 1, 2 * j + 1, 2 * j))),
    )
    into = (
        wide.slots(2 * rows, 2 * columns),
        wide.slots(2 * rows + 1, 2 * columns + 1),
        wide.slots(2 * rows, 2 * columns + 1),
    )
    return wide, np.concatenate(into), wide.slots(2 * rows + 1, 2 * columns)


@constant
def doubled(structure: Named) -> Named:
    r"""Return the structure of the matrix that carries a direction C beside A.

    With rows and columns of the two copies interleaved it holds :math:`a_{ij}` at (2i, 2j) and (2i + 1, 2j + 1),
    :math:`c_{ij}` at (2i, 2j + 1), and room at (2i + 1, 2j): an ordinary structure of twice the order, whose
    diagonals are 2 o - 1, 2 o and 2 o + 1.
    """
    return like(_doubled(structure_of(structure))[0], structure)


@constant
def doubled_slots(structure: Named, device: torch.device) -> Tensor:
    """Return the slots of `doubled` that A, A again and C go to, one after another, (3 nnz,)."""
    return torch.from_numpy(_doubled(structure_of(structure))[1]).to(device)


@constant
def doubled_room(structure: Named, device: torch.device) -> Tensor:
    """Return the slots of `doubled` at (2i + 1, 2j) for every slot (i, j), (nnz,)."""
    return torch.from_numpy(_doubled(structure_of(structure))[2]).to(device)


@constant
def with_diagonal(structure: Named) -> Named:
    """Return the structure with the main diagonal stored."""
    given = structure_of(structure)
    return like(given.union(Structure(given.shape)), structure)


@constant
def stacked(structure: Named) -> Named:
    """Return the structure of A with a diagonal matrix of its columns' order below it."""
    given = structure_of(structure)
    m, n = given.shape
    return like(Structure((m + n, n), (*given.offsets, -m), (given.link_rows, given.link_columns)), structure)


@constant
def slots_within(structure: Named, wider: Named, device: torch.device) -> Tensor:
    """Return the slots of a wider structure that those of this one go to, (nnz,)."""
    return torch.from_numpy(structure_of(wider).slots(*structure_of(structure).coordinates())).to(device)


@constant
def slot_count(structure: Named) -> int:
    """Return the number of slots."""
    return structure_of(structure).nnz


@constant
def diagonal_start(structure: Named, offset: int) -> int:
    """Return the first slot of a diagonal."""
    return int(structure_of(structure).diagonal_slots(offset).start)
