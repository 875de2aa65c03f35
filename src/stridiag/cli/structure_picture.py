"""The pattern of a matrix in a terminal: a dot of Braille for each block of positions that has an entry.

A character of Braille is two dots wide and four high, and a character cell is about twice as high as wide, so that dots
are about square. Small matrices are drawn entry by entry instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from stridiag.structure import Structure

__all__ = ["picture"]

# Bits of the dots of a character, by row and column (Unicode, block "Braille Patterns").
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)
_BLANK = 0x2800
# Sides up to which each entry has a character of its own.
_SMALL = 20
_WIDEST, _HIGHEST = 64, 18
_DIAGONAL, _LINK = "cyan", "red"
_ASCII = " .:-=+*#@"


def picture(structure: Structure, width: int, *, encoding: str = "utf-8", indent: str = "  ") -> list[Text]:
    """Return the lines of a picture of a structure, diagonals in one color, characters with links in another.

    Parameters
    ----------
    structure : Structure
        Of any shape; nothing is drawn of an empty one.
    width : int
        Columns of the terminal.
    encoding : str
        What it can write: where Braille is not among it, the share of filled positions is drawn by eight signs.
    indent : str
        In front of each line.

    Examples
    --------
    >>> import stridiag
    >>> from stridiag.cli.structure_picture import picture
    >>> for line in picture(stridiag.Structure(4, (-1, 0), ([0], [3])), 80):
    ...     print(line.plain)
      ┌         ┐
      │ ■ · · ● │
      │ ■ ■ · · │
      │ · ■ ■ · │
      │ · · ■ ■ │
      └         ┘
    """
    rows, columns = structure.shape
    if 0 in structure.shape:
        return []
    fancy = _can_write("┌┐└┘│⣿■●·", encoding)
    room = max(4, min(_WIDEST, width - len(indent) - 4))
    if rows <= _SMALL and 2 * columns - 1 <= room:
        lines = _entry_by_entry(structure, fancy=fancy)
    else:
        lines = _dots(structure, room, fancy=fancy)
    across = lines[0].cell_len + 2
    corners = "┌┐└┘" if fancy else "++++"
    side = "│" if fancy else "|"
    framed = [Text(f"{indent}{corners[0]}{' ' * across}{corners[1]}", "dim")]
    framed += [Text.assemble((f"{indent}{side} ", "dim"), line, (f" {side}", "dim")) for line in lines]
    return [*framed, Text(f"{indent}{corners[2]}{' ' * across}{corners[3]}", "dim")]


def _can_write(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _entry_by_entry(structure: Structure, *, fancy: bool) -> list[Text]:
    rows, columns = structure.coordinates()
    signs = np.zeros(structure.shape, np.int64)
    signs[rows, columns] = 1
    signs[structure.link_rows, structure.link_columns] = 2
    shown = [("·" if fancy else ".", "dim"), ("■" if fancy else "#", _DIAGONAL), ("●" if fancy else "o", _LINK)]
    lines = []
    for row in signs:
        line = Text()
        for j, sign in enumerate(row):
            line.append(" " if j else "").append(*shown[sign])
        lines.append(line)
    return lines


def _dots(structure: Structure, room: int, *, fancy: bool) -> list[Text]:
    rows, columns = structure.shape
    # As wide as there is room, unless it would become too high; at least a character either way.
    wide = min(room, -(-columns // 2), max(1, round(2 * _HIGHEST * columns / rows)))
    high = max(1, min(_HIGHEST, -(-rows // 4), round(wide * rows / (2 * columns))))
    filled = _blocks(*structure.coordinates(), structure.shape, (4 * high, 2 * wide))
    linked = _blocks(structure.link_rows, structure.link_columns, structure.shape, (4 * high, 2 * wide))
    cells = filled.reshape(high, 4, wide, 2).swapaxes(1, 2)
    codes = (cells * _BITS).sum(axis=(2, 3))
    counts = cells.sum(axis=(2, 3))
    red: Any = linked.reshape(high, 4, wide, 2).any(axis=(1, 3))
    lines = []
    for i in range(high):
        line = Text()
        for j in range(wide):
            sign = chr(_BLANK + int(codes[i, j])) if fancy else _ASCII[int(counts[i, j])]
            line.append(sign, _LINK if red[i, j] else _DIAGONAL)
        lines.append(line)
    return lines


def _blocks(
    rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int], dots: tuple[int, int]
) -> NDArray[np.bool]:
    result = np.zeros(dots, np.bool)
    # In floating point, since products of the two numbers may leave int64.
    place = [
        np.minimum((index * (count / size)).astype(np.int64), count - 1)
        for index, count, size in zip((rows, columns), dots, shape, strict=True)
    ]
    result[place[0], place[1]] = True
    return result
