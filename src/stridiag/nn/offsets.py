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

__all__ = ["OffsetSpec", "Schedule", "candidate_schedules", "layer_offsets", "wrapped_offsets", "wrapped_structure"]

Schedule = Literal["adjacent", "ternary", "random", "stencil2d"]
OffsetSpec = Schedule | Sequence[int] | Sequence[Sequence[int]]

_SCHEDULES = ("adjacent", "ternary", "random", "stencil2d")
# Where nothing is said: the least that leads everywhere, and a neighbourhood of 3 x 3 pixels.
_USUAL, _USUAL_STENCIL = 3, 9


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
    # Of each residue the first offset there is, and every one that wraps to it.
    first = 1 - outputs
    return tuple(sorted(o for r in residues for o in range(first + (r - first) % modulus, inputs, modulus)))


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
    spec: OffsetSpec,
    shapes: Sequence[tuple[int, int]],
    diagonals: int | None = None,
    *,
    image_shape: tuple[int, int] | None = None,
    seed: int = 0,
) -> list[tuple[int, ...]]:
    """Return the wrapped offsets of each layer of a stack.

    Parameters
    ----------
    spec : {"adjacent", "ternary", "random", "stencil2d"}, sequence of int, or sequence of sequences of int
        With d diagonals, layer t takes d consecutive multiples of its stride around 0, as 0, s, -s, 2s, ....
        ``"adjacent"`` has stride 1 everywhere. ``"ternary"`` has stride d^t: d = 3 gives (0, 3^t, -3^t), and
        in general the digits of a number in balanced base d, so ceil(log_d n) square layers of width n, each
        reading its inputs in order, lead from every input to every output (through random permutations, as
        with ``shuffle=True``, from most to most only; see `reaches_all`); deeper layers start over at stride 1.
        ``"random"`` takes 0 and d - 1 others, drawn for each layer without repetition. ``"stencil2d"`` takes the
        d pixels nearest to each pixel of an image, ring by ring: with (2 r + 1)^2 diagonals the offsets w a + b
        for a, b = -r ... r, w being the image's width. At the border a neighbour is the pixel that the wrap leads to.
        A sequence of integers is used for every layer; a sequence of sequences has one for each.
    shapes : sequence of tuple of int
        ``(outputs, inputs)`` of each layer.
    diagonals : int, optional
        How many wrapped diagonals a schedule gives, 3 by default (stencils: 9); not with explicit offsets. Layers
        with a side shorter than that have as many as fit.
    image_shape : tuple of int, optional
        ``(height, width)`` of the image in each row of inputs, row by row, for stencils, which need it; for the other
        schedules it says nothing. The shorter side of each layer must be whole rows of it.
    seed : int, default 0
        Of the random schedule; each layer has draws of its own.

    Returns
    -------
    list of tuple of int
        Distinct modulo the smaller size of the layer.

    Raises
    ------
    ValueError
        For an unknown schedule, fewer than one diagonal, `diagonals` beside explicit offsets, another
        number of lists than of layers, or a stencil without an image that fits.

    Examples
    --------
    >>> from stridiag.nn import layer_offsets
    >>> layer_offsets("ternary", [(512, 512)] * 3)
    [(0, 1, -1), (0, 3, -3), (0, 9, -9)]
    >>> layer_offsets("adjacent", [(512, 512)] * 2, diagonals=4)
    [(0, 1, -1, 2), (0, 1, -1, 2)]
    >>> layer_offsets("stencil2d", [(640, 64)], image_shape=(8, 8))
    [(0, -8, -1, 1, 8, -9, -7, 7, 9)]
    """
    if isinstance(spec, str):
        check_option(spec, "offsets", _SCHEDULES)
        usual = _USUAL_STENCIL if spec == "stencil2d" else _USUAL
        count = usual if diagonals is None else diagonals
        if not is_integer(count) or count < 1:
            raise ValueError(f"diagonals must be an integer of at least 1, got {count!r}")
        if spec == "stencil2d":
            steps = _stencil(int(count), image_shape, shapes)
            plain = [list(steps) for _ in shapes]
        elif spec == "random":
            plain = [_drawn(min(int(count), *shape), min(shape), (seed, t)) for t, shape in enumerate(shapes)]
        else:
            plain = [_multiples(spec, t, shape, int(count)) for t, shape in enumerate(shapes)]
    else:
        if diagonals is not None:
            raise ValueError(f"diagonals is for schedules; with explicit offsets leave it out, got {diagonals!r}")
        plain = _explicit(spec, len(shapes))
    return [_distinct(given, min(shape)) for given, shape in zip(plain, shapes, strict=True)]


def candidate_schedules(
    shapes: Sequence[tuple[int, int]], image_shape: tuple[int, int] | None = None
) -> tuple[Schedule, ...]:
    """Return the schedules that a stack of these shapes can take and that differ, for a choice on held-out rows.

    Parameters
    ----------
    shapes : sequence of tuple of int
        ``(outputs, inputs)`` of each layer.
    image_shape : tuple of int, optional
        ``(height, width)``; with it stencils are among them if they fit.

    Examples
    --------
    >>> from stridiag.nn import candidate_schedules
    >>> candidate_schedules([(512, 512)] * 3)
    ('ternary', 'adjacent', 'random')
    >>> candidate_schedules([(640, 64)], image_shape=(8, 8))     # one layer: ternary is adjacent
    ('ternary', 'random', 'stencil2d')
    """
    found: list[Schedule] = []
    seen: list[list[tuple[int, ...]]] = []
    names: tuple[Schedule, ...] = ("ternary", "adjacent", "random", "stencil2d")
    for name in names:
        if name == "stencil2d" and (image_shape is None or any(min(shape) % image_shape[1] for shape in shapes)):
            continue
        offsets = layer_offsets(name, shapes, image_shape=image_shape)
        if offsets not in seen:
            seen.append(offsets)
            found.append(name)
    return tuple(found)


def _multiples(spec: str, layer: int, shape: tuple[int, int], count: int) -> list[int]:
    stride = 1 if spec == "adjacent" else count ** (layer % _digits(min(shape), count))
    # As many as the shorter side has are all: with so many the stride is 1, and the first ones are distinct.
    return [(k + 1) // 2 * (1 if k % 2 else -1) * stride for k in range(min(count, *shape))]


def _drawn(count: int, modulus: int, seed: tuple[int, int]) -> list[int]:
    """Return 0 and others below the modulus, those beyond its half as negative ones."""
    # A choice of nothing out of nothing is an error of its own.
    others = np.random.default_rng(seed).choice(max(1, modulus - 1), count - 1, replace=False).tolist()
    return [0, *(o + 1 - modulus if 2 * (o + 1) > modulus else o + 1 for o in others)]


def _stencil(count: int, image_shape: tuple[int, int] | None, shapes: Sequence[tuple[int, int]]) -> list[int]:
    if image_shape is None:
        raise ValueError("offsets 'stencil2d' needs image_shape=(height, width), got None")
    good = np.shape(image_shape) == (2,) and all(is_integer(size) and size > 0 for size in image_shape)
    if not good:
        raise ValueError(f"image_shape must be two positive integers, got {image_shape!r}")
    height, width = (int(size) for size in image_shape)
    for shape in shapes:
        if min(shape) % width:
            raise ValueError(
                f"the shorter side of a layer of shape {shape} must be whole rows of {width} pixels for 'stencil2d'"
            )
    if shapes and shapes[0][1] != height * width:
        raise ValueError(f"the first layer must read {height} x {width} pixels, got {shapes[0][1]} inputs")
    ring = 0
    while (2 * ring + 1) ** 2 < count:
        ring += 1
    near = [(max(abs(a), abs(b)), a * a + b * b, a, b) for a in range(-ring, ring + 1) for b in range(-ring, ring + 1)]
    return [width * a + b for *_, a, b in sorted(near)[:count]]


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
