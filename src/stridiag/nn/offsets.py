r"""Wrapped diagonals of rectangular layers, and which offsets each layer of a stack takes.

The wrapped diagonal of offset o of an m x n layer is

.. math:: \{(i, j) : j - i \equiv o \pmod{\min(m, n)}\}

that is, (k mod m, (k + o) mod n) for k = 0 ... max(m, n) - 1, with the seam of a wide layer placed so that
the transpose of a wrapped diagonal is one again, of offset -o. It holds exactly max(m, n) entries, one in
each line of the longer side, and therefore connects every input and every output of any shape; two of them
are disjoint unless their offsets agree modulo min(m, n). It is a union of whole ordinary diagonals,

.. math:: o + t \min(m, n), \quad t \in \mathbb{Z},

so a layer's weight is an ordinary `StridiagMatrix`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from stridiag._validate import check_option
from stridiag.errors import StructureError
from stridiag.nn.options import is_integer
from stridiag.structure import Structure

__all__ = ["OffsetSpec", "Schedule", "layer_offsets", "wrapped_offsets", "wrapped_structure"]

Schedule = Literal["adjacent", "ternary"]
OffsetSpec = Schedule | Sequence[int] | Sequence[Sequence[int]]

_SCHEDULES = ("adjacent", "ternary")


def wrapped_offsets(shape: tuple[int, int], offsets: Iterable[int]) -> tuple[int, ...]:
    """Return the ordinary offsets whose diagonals make up the given wrapped ones.

    Parameters
    ----------
    shape : tuple of int
        ``(outputs, inputs)``, both at least 1.
    offsets : iterable of int
        Wrapped offsets, any integers; those that agree modulo the smaller size are one.

    Returns
    -------
    tuple of int
        Ascending.

    Raises
    ------
    StructureError
        If a size is not positive or there is no offset.

    Examples
    --------
    >>> from stridiag.nn import wrapped_offsets
    >>> wrapped_offsets((6, 6), [0, 2])
    (-4, 0, 2)
    >>> wrapped_offsets((7, 3), [0, 1, 4])      # 4 is 1 modulo 3
    (-6, -5, -3, -2, 0, 1)
    """
    outputs, inputs = shape
    if not (outputs > 0 and inputs > 0):
        raise StructureError(f"a layer needs at least one input and one output, got shape {shape}")
    modulus = min(outputs, inputs)
    residues = {int(o) % modulus for o in offsets}
    if not residues:
        raise StructureError("a layer needs at least one offset, got none")
    return tuple(o for o in range(1 - outputs, inputs) if o % modulus in residues)


def wrapped_structure(
    shape: tuple[int, int], offsets: Iterable[int], links: tuple[ArrayLike, ArrayLike] | None = None
) -> Structure:
    """Return the structure of wrapped diagonals and links.

    Parameters
    ----------
    shape : tuple of int
        ``(outputs, inputs)``.
    offsets : iterable of int
        Wrapped offsets; see `wrapped_offsets`.
    links : tuple of array_like, optional
        ``(rows, columns)``, as for `Structure`.

    Examples
    --------
    >>> from stridiag.nn import wrapped_structure
    >>> wrapped_structure((13, 7), (0, 1, -1)).nnz      # three wrapped diagonals of 13 entries
    39
    """
    return Structure(shape, wrapped_offsets(shape, offsets), links)


def layer_offsets(
    spec: OffsetSpec, shapes: Sequence[tuple[int, int]], diagonals: int | None = None
) -> list[tuple[int, ...]]:
    """Return the wrapped offsets of each layer of a stack.

    Parameters
    ----------
    spec : {"adjacent", "ternary"}, sequence of int, or sequence of sequences of int
        With d diagonals, layer t takes d consecutive multiples of its stride around 0, as 0, s, -s, 2s, ....
        ``"adjacent"`` has stride 1 everywhere. ``"ternary"`` has stride d^t: d = 3 gives (0, 3^t, -3^t), and
        in general the digits of a number in balanced base d, so ceil(log_d n) square layers of width n, each
        reading its inputs in order, lead from every input to every output (through random permutations, as
        with ``shuffle=True``, from most to most only); deeper layers start over at stride 1. A sequence of
        integers is used for every layer; a sequence of sequences has one for each.
    shapes : sequence of tuple of int
        ``(outputs, inputs)`` of each layer.
    diagonals : int, optional
        How many wrapped diagonals a schedule gives, 3 by default; not with explicit offsets. Layers with a
        side shorter than that have as many as fit.

    Returns
    -------
    list of tuple of int
        Distinct modulo the smaller size of the layer.

    Raises
    ------
    ValueError
        For an unknown schedule, fewer than one diagonal, `diagonals` beside explicit offsets, or another
        number of lists than of layers.

    Examples
    --------
    >>> from stridiag.nn import layer_offsets
    >>> layer_offsets("ternary", [(512, 512)] * 3)
    [(0, 1, -1), (0, 3, -3), (0, 9, -9)]
    >>> layer_offsets("adjacent", [(512, 512)] * 2, diagonals=4)
    [(0, 1, -1, 2), (0, 1, -1, 2)]
    """
    if isinstance(spec, str):
        check_option(spec, "offsets", _SCHEDULES)
        count = 3 if diagonals is None else diagonals
        if not is_integer(count) or count < 1:
            raise ValueError(f"diagonals must be an integer of at least 1, got {count!r}")
        plain = []
        for t, shape in enumerate(shapes):
            stride = 1 if spec == "adjacent" else int(count) ** (t % _digits(min(shape), int(count)))
            # As many as the shorter side has are all: with so many the stride is 1, and the first ones are distinct.
            steps = ((k + 1) // 2 * (1 if k % 2 else -1) for k in range(min(int(count), *shape)))
            plain.append([step * stride for step in steps])
    else:
        if diagonals is not None:
            raise ValueError(f"diagonals is for schedules; with explicit offsets leave it out, got {diagonals!r}")
        plain = _explicit(spec, len(shapes))
    return [_distinct(given, min(shape)) for given, shape in zip(plain, shapes, strict=True)]


def _digits(size: int, base: int) -> int:
    """Return how many digits number 0 ... size - 1 in that base: integers only, floats would round."""
    if base == 1:
        return 1
    count, reach = 1, base
    while reach < size:
        count, reach = count + 1, reach * base
    return count


def _explicit(spec: Sequence[int] | Sequence[Sequence[int]], layers: int) -> list[list[int]]:
    try:
        given: list[Any] = [None] if isinstance(spec, bytes | bytearray) else list(spec)
        nested = [np.ndim(entry) > 0 for entry in given]
    except (TypeError, ValueError):
        raise ValueError(f"offsets must be a schedule or integers, got {spec!r}") from None
    lists: list[Any] = [list(entry) for entry in given] if given and all(nested) else [given] * layers
    flat = [o for entry in lists for o in entry]
    if not lists or not all(lists) or not all(is_integer(o) for o in flat):
        raise ValueError(
            f"offsets must be one of {_SCHEDULES}, integers, or one sequence of them per layer, got {spec!r}"
        )
    if len(lists) != layers:
        raise ValueError(f"offsets must hold one sequence for each of {layers} layers, got {len(lists)}")
    return lists


def _distinct(offsets: Sequence[int], modulus: int) -> tuple[int, ...]:
    first: dict[int, int] = {}
    for offset in offsets:
        first.setdefault(int(offset) % modulus, int(offset))
    return tuple(first.values())
