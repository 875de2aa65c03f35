"""The families of the zoo: each takes a size and yields (variant, matrix, tags)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag.structure import StridiagMatrix, Structure
from stridiag.testing import closed_forms
from stridiag.testing._modular import is_singular

__all__ = ["FAMILIES", "GROWTH_FAMILIES", "Draw"]

Array = NDArray[Any]
Member = tuple[str, StridiagMatrix, set[str]]
Links = tuple[list[int], list[int]]

_NONE: list[tuple[int, int]] = []


class Draw:
    """Values of one dtype from one stream of random numbers."""

    def __init__(self, dtype: np.dtype[Any], rng: np.random.Generator) -> None:
        self.dtype = dtype
        self.rng = rng

    @property
    def single(self) -> bool:
        return bool(np.finfo(self.dtype).bits == 32)

    def normal(self, size: int) -> Array:
        values = self.rng.standard_normal(size)
        # The imaginary part is drawn either way: real and complex cases then share their structure.
        imaginary = self.rng.standard_normal(size)
        return (values + 1j * imaginary if self.dtype.kind == "c" else values).astype(self.dtype)

    def on(self, structure: Structure) -> StridiagMatrix:
        """Return a matrix with normal entries; its main diagonal, if any, pushed away from zero."""
        values = self.normal(structure.nnz)
        if 0 in structure.offsets:
            main = structure.diagonal_slots(0)
            values[main] += 2 * values[main] / abs(values[main])
        return StridiagMatrix(structure, values)

    def cast(self, matrix: StridiagMatrix) -> StridiagMatrix:
        """Give a real matrix the dtype; complex: row i times 1j**i, which is exact and keeps all growth."""
        if self.dtype.kind != "c":
            return matrix.astype(self.dtype)
        rows, _ = matrix.structure.coordinates()
        phases = np.array([1, 1j, -1, -1j], self.dtype)[rows % 4]
        return matrix.with_values(matrix.values.astype(self.dtype) * phases)

    def integers(self, structure: Structure, low: int = 1, high: int = 9) -> StridiagMatrix:
        """Return a real matrix of integers from low to high with random signs."""
        signs = self.rng.choice([-1.0, 1.0], structure.nnz)
        return StridiagMatrix(structure, signs * self.rng.integers(low, high + 1, structure.nnz))


def _fits(n: int, *offsets: int) -> bool:
    return all(k == 0 or abs(k) < n for k in offsets)


def _pairs(n: int) -> list[tuple[int, int]]:
    """Return a few (rows, columns) positions, spread out, the corners among them, all inside."""
    if n < 3:
        return []
    return sorted({(0, n - 1), (n - 1, 0), (n // 3, (2 * n) // 3), ((3 * n) // 4, n // 5)})


def _split(pairs: list[tuple[int, int]]) -> Links:
    return [r for r, _ in pairs], [c for _, c in pairs]


def _tags(matrix: StridiagMatrix, *more: str) -> set[str]:
    """Return tags of a matrix of integers, singularity decided exactly."""
    return {"exact", *more, *(["singular"] if is_singular(matrix) else [])}


def _offsets(n: int, draw: Draw) -> Iterator[Member]:
    for p in sorted({1, 2, 8, n // 2, n - 1}):
        if 0 < p < n:
            yield f"p{p}q{p}", draw.on(Structure(n, (-p, 0, p))), set()
    for p, q in ((2, 3), (3, 2), (1, 4), (4, 1), (17, 29), (30, 20), (2, 4)):
        if _fits(n, p, q):
            yield f"p{p}q{q}", draw.on(Structure(n, (-q, 0, p))), set()


def _wide(n: int, draw: Draw) -> Iterator[Member]:
    half = n // 2
    for p, q in sorted({(half, n - half), (half + 1, n - half), (n - 1, 1), (n - 1, n - 1), (1, n - 1)}):
        if 0 < p < n and 0 < q < n:
            yield f"p{p}q{q}", draw.on(Structure(n, (-q, 0, p))), {"wide"}


def _diagonal(n: int, draw: Draw) -> Iterator[Member]:
    yield "full", draw.on(Structure(n, (0,))), set()


def _bidiagonal(n: int, draw: Draw) -> Iterator[Member]:
    for offset in (1, -1, 3, -3):
        if _fits(n, offset):
            yield f"offset{offset}", draw.on(Structure(n, (0, offset))), {"triangular"}


def _many_diagonals(n: int, draw: Draw) -> Iterator[Member]:
    for offsets in ((-2, -1, 0, 1, 2), (-7, -2, 0, 3, 5), (-40, -3, 0, 1, 29)):
        if _fits(n, *offsets):
            yield f"{len(offsets)}-to-{offsets[-1]}", draw.on(Structure(n, offsets)), set()


def _no_main(n: int, draw: Draw) -> Iterator[Member]:
    for offsets in ((), (1,), (-1, 1), (-2, 2), (-3, 2), (-5, -1, 3)):
        if _fits(n, *offsets):
            matrix = draw.integers(Structure(n, offsets))
            name = "_".join(map(str, offsets)) or "none"
            yield name, draw.cast(matrix), _tags(matrix)


def _links(n: int, draw: Draw) -> Iterator[Member]:
    for offsets in ((-1, 0, 1), (-2, 0, 2), (-3, 0, 2)):
        if not _fits(n, *offsets):
            continue
        name = f"{offsets[-1]}-{-offsets[0]}"
        yield f"{name}-few", draw.on(Structure(n, offsets, _split(_pairs(n)))), set()
        places = draw.rng.integers(0, max(n, 1), (2, n // 2))
        yield f"{name}-many", draw.on(Structure(n, offsets, (places[0], places[1]))), set()


def _borders(n: int, draw: Draw) -> Iterator[Member]:
    if n < 3:
        return
    every, last = list(range(n)), [n - 1] * n
    first = [0] * n
    borders: Mapping[str, Links] = {
        "periodic": ([0, n - 1], [n - 1, 0]),
        "one-corner": ([0], [n - 1]),
        "first-row": (first, every),
        "last-row": (last, every),
        "first-column": (every, first),
        "last-column": (every, last),
        "frame": (first + last + every + every, every + every + first + last),
    }
    for name, links in borders.items():
        yield name, draw.on(Structure(n, (-1, 0, 1), links)), set()


def _neighbours(n: int, draw: Draw) -> Iterator[Member]:
    if n < 5:
        return
    m = n // 2
    near: Mapping[str, Links] = {
        "beside-chain": ([m, m], [m - 2, m + 2]),
        "every-second": (list(range(0, n - 2, 4)), list(range(2, n, 4))[: len(range(0, n - 2, 4))]),
        "one-row": ([m] * 3, [0, m - 2, n - 1]),
        "one-column": ([0, 1, n - 1], [m + 1] * 3),
        "cluster": ([0, 0, 1, 1], [n - 2, n - 1, n - 2, n - 1]),
    }
    for name, links in near.items():
        yield name, draw.on(Structure(n, (-1, 0, 1), links)), set()


def _folded(n: int, draw: Draw) -> Iterator[Member]:
    if n < 4:
        return
    # Two links on diagonals, one of them twice; one off the diagonals three times.
    rows, columns = [0, 1, 1, n - 1, n - 1, n - 1], [0, 2, 2, 0, 0, 0]
    diagonals = {k: draw.normal(n - abs(k)) for k in (-1, 1)}
    main = draw.normal(n)
    diagonals[0] = main + 3 * main / abs(main)
    yield "duplicates", StridiagMatrix.from_diagonals(diagonals, (rows, columns, draw.normal(6) / 4)), set()


def _zero_diagonal(n: int, draw: Draw) -> Iterator[Member]:
    for name, links in (("chain", _NONE), ("links", _pairs(n))):
        structure = Structure(n, (-1, 0, 1) if n > 1 else (0,), _split(links))
        values = draw.integers(structure).values.copy()
        values[structure.diagonal_slots(0)] = 0
        matrix = StridiagMatrix(structure, values)
        yield name, draw.cast(matrix), _tags(matrix)


def _scaled(n: int, draw: Draw) -> Iterator[Member]:
    if n < 2:
        return
    wide = 15 if draw.single else 100
    for name, top in (("mild", 8), ("strong", wide)):
        powers = np.linspace(-top, top, n)
        structure = Structure(n, (-1, 0, 1), _split(_pairs(n)))
        matrix = draw.on(structure)
        rows, columns = structure.coordinates()
        shuffled = draw.rng.permutation(powers)
        both = (powers[rows] + powers[columns]) / 2
        for kind, exponents in (("graded", both), ("rows", shuffled[rows]), ("columns", shuffled[columns])):
            values = (matrix.values * 10.0**exponents).astype(draw.dtype)
            tag = "graded" if kind == "graded" else "scaled"
            yield f"{kind}-{name}", matrix.with_values(values), {tag, "ill-conditioned"}


def _range(n: int, draw: Draw) -> Iterator[Member]:
    top = 36 if draw.single else 300
    offsets = (-1, 0, 1) if n > 1 else (0,)
    for name, links in (("chain", _NONE), ("links", _pairs(n))):
        matrix = draw.on(Structure(n, offsets, _split(links)))
        for kind, power in (("huge", top), ("tiny", -top)):
            yield f"{kind}-{name}", matrix * draw.dtype.type(10.0**power), {kind}


def _near_singular(n: int, draw: Draw) -> Iterator[Member]:
    if n < 2:
        return
    delta = 2.0**-16 if draw.single else 2.0**-45
    # I - P with delta added to one entry: determinant delta.
    ring = closed_forms.circulant(n)
    bump = StridiagMatrix.from_diagonals({0: [delta] + [0.0] * (n - 1)}, shape=n)
    yield "ring", draw.cast(ring + bump), {"ill-conditioned"}
    # L L' with L the first differences, and delta added to the last pivot: determinant delta.
    main = np.r_[np.full(n - 1, 2.0), 1.0 + delta]
    main[0] = 1.0
    yield (
        "last-pivot",
        draw.cast(StridiagMatrix.from_diagonals({-1: np.full(n - 1, -1.0), 0: main, 1: np.full(n - 1, -1.0)})),
        {"ill-conditioned"},
    )


def _singular(n: int, draw: Draw) -> Iterator[Member]:
    if n < 1:
        return
    offsets = (-1, 0, 1) if n > 1 else (0,)
    bare = Structure(n, offsets)
    yield "zero", draw.cast(StridiagMatrix(bare, np.zeros(bare.nnz))), {"singular", "exact"}
    base = draw.on(Structure(n, offsets, _split(_pairs(n))))
    rows, columns = base.structure.coordinates()
    for name, place in (("first", 0), ("middle", n // 2), ("last", n - 1)):
        yield f"{name}-row", base.with_values(np.where(rows == place, 0, base.values)), {"singular"}
        yield f"{name}-column", base.with_values(np.where(columns == place, 0, base.values)), {"singular"}
    yield "ring", draw.cast(closed_forms.circulant(n)), {"singular", "exact"}
    if n >= 4:
        # The last row repeats the first; the two share columns 0, 1, n - 2, n - 1.
        links = ([0, 0, n - 1, n - 1], [n - 2, n - 1, 0, 1])
        ints = draw.integers(Structure(n, offsets, links))
        values = ints.values.copy()
        for column in (0, 1, n - 2, n - 1):
            values[ints.structure.slots([n - 1], [column])] = ints[0, column]
        matrix = ints.with_values(values)
        yield "repeated-row", draw.cast(matrix), _tags(matrix)


def _singular_segment(n: int, draw: Draw) -> Iterator[Member]:
    """Blocks that are singular by themselves, (1, 1, 1) of order 2, 5, 8 ..., in matrices that are not."""
    if n < 5:
        return
    for name, start, links in (("leading", 0, _NONE), ("middle", n // 3, _NONE), ("links", 0, _pairs(n))):
        for _ in range(20):
            structure = Structure(n, (-1, 0, 1), _split(links))
            values = draw.integers(structure).values.copy()
            length = min(5, n - start) // 3 * 3 + 2 if n - start >= 5 else 2
            inside = np.arange(start, start + length)
            for row, column in ((inside, inside), (inside[1:], inside[:-1]), (inside[:-1], inside[1:])):
                values[structure.slots(row, column)] = 1.0
            matrix = StridiagMatrix(structure, values)
            if not is_singular(matrix):
                yield name, draw.cast(matrix), {"exact", "singular-segment"}
                break


def _growth_constant(n: int, draw: Draw) -> Iterator[Member]:
    """Constant chains: two-column elimination without row exchanges across segments grows like 1.6**n."""
    if n < 2:
        return
    for name, (sub, main, sup) in {
        "0.9": (-0.9, 0.99, 1.0),
        "plus-minus": (1.0, -1.0, -1.0),
        "d1": (1.0, 1.0, 1.0),
        "d-1": (1.0, -1.0, 1.0),
        "d0": (1.0, 0.0, 1.0),
    }.items():
        chain = closed_forms.toeplitz(n, sub, main, sup)
        for kind, pairs in (("chain", _NONE), ("few", _pairs(n)), ("ten", _spread(n, 10))):
            if kind != "chain" and not pairs:
                continue
            rows, columns = _split(pairs)
            links = (rows, columns, np.ones(len(rows)))
            matrix = chain + StridiagMatrix.from_diagonals({}, links, shape=n)
            # 0.9 is no integer; its determinants, near 1.6**n, are far from zero.
            tags = {"growth"} if name == "0.9" else _tags(matrix, "growth")
            yield f"{name}-{kind}", draw.cast(matrix), tags


def _growth_random(n: int, draw: Draw) -> Iterator[Member]:
    """Entries of +-1, and main diagonals from {-1, 0, 1} between off-diagonals of 1."""
    if n < 2:
        return
    for name, pairs in (("chain", _NONE), ("few", _pairs(n)), ("ten", _spread(n, 10))):
        if name != "chain" and not pairs:
            continue
        structure = Structure(n, (-1, 0, 1), _split(pairs))
        matrix = draw.integers(structure, 1, 1)
        yield f"signs-{name}", draw.cast(matrix), _tags(matrix, "growth")
        values = np.ones(structure.nnz)
        values[structure.diagonal_slots(0)] = draw.rng.integers(-1, 2, n)
        matrix = StridiagMatrix(structure, values)
        yield f"d-{name}", draw.cast(matrix), _tags(matrix, "growth")


def _spread(n: int, count: int) -> list[tuple[int, int]]:
    """Return `count` positions off the three inner diagonals, spread evenly; none where there is no room."""
    if n < 10 * count:
        return []
    return [((7 * k + 3) * n // (7 * count + 3), ((5 * k + 9) * n // (5 * count)) % n) for k in range(count)]


def _clement(n: int, draw: Draw) -> Iterator[Member]:
    yield (
        "zero-main",
        draw.cast(closed_forms.clement(n)),
        {
            "exact",
            *(["singular"] if n % 2 else []),
            *(["ill-conditioned"] if n > 20 else []),
        },
    )


def _second_difference(n: int, draw: Draw) -> Iterator[Member]:
    yield "dirichlet", draw.cast(closed_forms.second_difference(n)), {"exact"}
    if n:
        yield "ring-half", draw.cast(closed_forms.circulant(n, 0.5)), set()


def _rectangular(n: int, draw: Draw) -> Iterator[Member]:
    for rows, columns in sorted({(n, n + 1), (n + 1, n), (n, 2 * n + 3), (2 * n + 3, n), (n, 3), (3, n)}):
        if rows == columns:
            continue
        aslant = tuple(sorted((0, columns - rows)))
        for offsets in dict.fromkeys(((0,), (-1, 0, 1), (-2, 0, 3), (1,), (1 - rows, columns - 1), aslant)):
            if len(set(offsets)) == len(offsets) and all(k == 0 or -rows < k < columns for k in offsets):
                structure = Structure((rows, columns), offsets)
                name = f"{rows}x{columns}-" + "_".join(map(str, offsets))
                yield name, draw.on(structure), set()
        if min(rows, columns) > 2:
            corners = ([0, rows - 1, rows // 2], [columns - 1, 0, columns // 3])
            matrix = draw.on(Structure((rows, columns), (-1, 0, 1), corners))
            yield f"{rows}x{columns}-links", matrix, set()
            # A zero row, a zero column and a repeated column: rank deficient on either side.
            dense = matrix.toarray()
            dense[rows // 2] = 0
            dense[:, columns // 2] = 0
            dense[:, 0] = dense[:, columns - 1]
            yield f"{rows}x{columns}-deficient", StridiagMatrix.from_dense(dense), {"rank-deficient"}


FAMILIES: Mapping[str, Callable[[int, Draw], Iterator[Member]]] = {
    "offsets": _offsets,
    "wide": _wide,
    "diagonal": _diagonal,
    "bidiagonal": _bidiagonal,
    "many-diagonals": _many_diagonals,
    "no-main": _no_main,
    "links": _links,
    "borders": _borders,
    "neighbours": _neighbours,
    "folded": _folded,
    "zero-diagonal": _zero_diagonal,
    "scaled": _scaled,
    "range": _range,
    "near-singular": _near_singular,
    "singular": _singular,
    "singular-segment": _singular_segment,
    "growth-constant": _growth_constant,
    "growth-random": _growth_random,
    "clement": _clement,
    "second-difference": _second_difference,
    "rectangular": _rectangular,
}

GROWTH_FAMILIES = frozenset({"growth-constant", "growth-random"})
