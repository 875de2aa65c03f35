"""Partitions of chains with links, condensed by themselves: solutions, determinants, what is handed over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import stridiag
from stridiag.factorization import partition as parts
from stridiag.planning.partition import Partition, partitions

Array = NDArray[Any]
NONE = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


class Cut:
    """A random matrix, cut at random."""

    def __init__(self, rng: np.random.Generator, kind: str, n: int, g: int, bounds: list[int], links: Array) -> None:
        def numbers(size: int) -> Array:
            real = rng.standard_normal(size)
            return (real + 1j * rng.standard_normal(size) if np.dtype(kind).kind == "c" else real).astype(kind)

        keys = np.unique(links[0] * n + links[1])
        rows, columns = np.divmod(keys, n)
        off = ~np.isin(columns - rows, (-g, 0, g))
        self.rows, self.columns = rows[off], columns[off]
        lower, diagonal, upper, self.links = numbers(n - g), numbers(n), numbers(n - g), numbers(self.rows.size)
        self.matrix = stridiag.StridiagMatrix.from_diagonals(
            {-g: lower, 0: diagonal, g: upper}, (self.rows, self.columns, self.links)
        )
        zeros = np.zeros(g, kind)
        diagonals = (np.concatenate((zeros, lower)), diagonal, np.concatenate((upper, zeros)))
        self.partitions: list[Partition] = []
        self.values: list[Array] = []
        for part, mine in partitions(n, g, np.array(bounds, np.int64), self.rows, self.columns):
            chunks = (whole[part.start : part.stop] for whole in diagonals)
            none = (NONE[0], NONE[1], np.empty(0, kind))
            self.partitions.append(part)
            self.values.append(parts.gather(part, *chunks, self.links[mine], none, check_finite=True))

    def solve(self, b: Array) -> Array:
        chunks = [b[part.start : part.stop] for part in self.partitions]
        both = list(map(parts.condense, self.partitions, self.values, chunks))
        cores = parts.solve_reduced([equations for _, equations in both])
        carried = [first for first, _ in both]
        found = map(parts.recover, self.partitions, self.values, chunks, carried, cores)
        return np.concatenate([x for x, _ in found])

    def slogdet(self) -> tuple[Any, float]:
        return parts.determinant(list(map(parts.condense_for_determinant, self.partitions, self.values)))


def random_cut(rng: np.random.Generator, kind: str) -> Cut:
    n = int(rng.integers(2, 150))
    g = int(rng.integers(1, min(n, 6)))
    inner = np.sort(rng.choice(np.arange(1, n), int(rng.integers(0, min(n, 12))), replace=False))
    links = rng.integers(0, n, (2, int(rng.integers(0, 6))))
    if rng.integers(2):
        links = np.concatenate((links, [[0, n - 1], [n - 1, 0]]), axis=1)
    return Cut(rng, kind, n, g, [0, *inner.tolist(), n], links)


@pytest.mark.parametrize("kind", ["f4", "f8", "c16"])
def test_any_cut_of_any_chain_with_links_is_backward_stable(kind: str) -> None:
    rng = np.random.default_rng(7)
    eps = np.finfo(kind).eps
    for _ in range(60):
        cut = random_cut(rng, kind)
        dense = cut.matrix.toarray()
        b = rng.standard_normal((dense.shape[0], int(rng.integers(1, 6)))).astype(kind)
        x = cut.solve(b)
        scale = np.abs(dense).sum(axis=1).max() * np.abs(x).max(axis=0) + np.abs(b).max(axis=0)
        assert x.dtype == kind
        assert (np.abs(dense @ x - b).max(axis=0) <= 10 * eps * scale).all()


@pytest.mark.parametrize("kind", ["f8", "c16"])
def test_any_cut_has_the_same_determinant(kind: str) -> None:
    rng = np.random.default_rng(8)
    for _ in range(60):
        cut = random_cut(rng, kind)
        sign, log = cut.slogdet()
        expected = np.linalg.slogdet(cut.matrix.toarray())
        assert abs(sign - expected.sign) < 1e-8
        assert log == pytest.approx(expected.logabsdet, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("g", [1, 3])
def test_long_partitions_are_swept_and_agree_with_one_piece(g: int) -> None:
    rng = np.random.default_rng(9)
    n = 16_000
    links = np.array([[0, n - 1, 5, 100, 9000], [n - 1, 0, 12_000, 101 + g, 100]])
    cut = Cut(rng, "f8", n, g, [0, 5000, 9000, 9004, n], links)
    assert [part.layout.swept for part in cut.partitions] == [True, True, False, True]
    b = rng.standard_normal((n, 2))
    x = cut.solve(b)
    norm = float(stridiag.linalg.norm(cut.matrix, np.inf))
    assert np.abs(cut.matrix @ x - b).max() <= 10 * np.finfo(float).eps * (norm * np.abs(x).max() + np.abs(b).max())
    sign, log = cut.slogdet()
    expected = stridiag.linalg.slogdet(cut.matrix)
    assert sign == expected.sign
    assert log == pytest.approx(expected.logabsdet, rel=1e-12)


@pytest.mark.parametrize(("g", "count"), [(1, 2), (1, 9), (4, 5)])
def test_without_links_the_reduced_system_has_two_columns_for_each_boundary_and_chain(g: int, count: int) -> None:
    rng = np.random.default_rng(1)
    n = 400 * count
    cut = Cut(rng, "f8", n, g, list(range(0, n + 1, 400)), np.empty((2, 0), np.int64))
    b = np.ones((n, 3))
    given = [
        parts.condense(part, values, b[part.start : part.stop])[1]
        for part, values in zip(cut.partitions, cut.values, strict=True)
    ]
    assert sum(part.own.size for part in given) == 2 * g * (count - 1)
    for part in given[1:-1]:
        # Two equations in four columns for each chain: see docs/dask-systems.md.
        assert part.nbytes == g * (24 * 8 + 8 * 4 + 8 * 2 + 8 * 2 * (3 + 1))


def test_a_link_keeps_four_columns_at_most() -> None:
    rng = np.random.default_rng(2)
    n, count = 3000, 5
    for links in (1, 2, 7):
        chosen = rng.integers(0, n, (2, links))
        cut = Cut(rng, "f8", n, 1, list(range(0, n + 1, n // count)), chosen)
        kept = sum(
            parts.condense(part, values, np.ones((part.rows, 1)))[1].own.size
            for part, values in zip(cut.partitions, cut.values, strict=True)
        )
        assert kept <= 2 * (count - 1) + 4 * links


def test_what_is_carried_from_one_pass_to_the_other_is_small() -> None:
    n = 50_000
    cut = Cut(np.random.default_rng(3), "f8", n, 1, [0, n // 2, n], np.empty((2, 0), np.int64))
    carried, _ = parts.condense(cut.partitions[0], cut.values[0], np.ones((n // 2, 1)))
    assert carried is not None
    nodes, sides = carried
    assert nodes.nbytes + sum(side.nbytes for side in sides) < 2 * n // 2
