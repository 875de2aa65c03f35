"""Operations of inverses, predicted and executed."""

import numpy as np
import pytest

import stridiag
from stridiag._kernels import condensed_sides, continuants, tame_chain
from stridiag.planning import condensation as planned
from stridiag.planning import inverse_cost
from stridiag.planning.chain import ChainLayout, TridiagonalLayout
from stridiag.planning.condensation import CondensationLayout
from stridiag.testing import count, counted


@pytest.mark.parametrize("lengths", [(0,), (1,), (2,), (3,), (40,), (1, 1, 1), (5, 4, 4), (14, 13)])
@pytest.mark.parametrize("kind", ["random", "zero diagonal", "graded"])
def test_counts_of_chains_are_exact(lengths, kind):
    n = sum(lengths)
    rng = np.random.default_rng(n)
    dl, d, du = rng.standard_normal((3, n))
    if kind == "zero diagonal":
        d[: lengths[0] - lengths[0] % 2] = 0
    if kind == "graded":
        dl, d, du = np.array([dl, d, du]) * 10.0 ** rng.uniform(-120, 120, (3, n))
    starts = np.concatenate(([0], np.cumsum(lengths)))
    ends = starts[1:][starts[1:] > 0] - 1
    dl[ends] = du[ends] = 0
    dl, d, du = map(counted, (dl, d, du))
    mantissa, exponent = np.empty((4, n), object), np.empty((4, n), np.int64)
    recurrences = count(continuants.continuants, dl, d, du, mantissa, exponent)
    out = np.empty((3, n), object)
    found = (mantissa, exponent)
    diagonal = count(continuants.chain_diagonal, d, *found, out[0], 0, d.size)
    assert recurrences + diagonal == inverse_cost.chain_diagonal(lengths)
    assert recurrences + count(
        continuants.chain_pattern, dl, d, du, *found, *out, 0, d.size
    ) == inverse_cost.chain_pattern(lengths)
    if n and kind != "graded":
        forwards = np.empty(n, object), np.empty(n, object), np.empty(n, np.int64)
        recurrence = count(tame_chain.leading, dl, d, du, *forwards)
        executed = count(tame_chain.tame_diagonal, dl, d, du, *forwards[:2], out[0])
        assert recurrence + executed == inverse_cost.chain_diagonal(lengths)
        executed = count(tame_chain.tame_pattern, dl, d, du, *forwards, *out)
        assert recurrence + executed == inverse_cost.chain_pattern(lengths)
    executed = recurrences + count(continuants.generators, dl, d, du, *found)
    assert executed == inverse_cost.chain_entries(lengths, 0)
    if n:
        run = np.zeros(n, np.int64)
        pairs = rng.integers(0, lengths[0], (2, 6))
        entries = count(continuants.chain_entries, *found, run, run, *pairs, np.empty(6, object))
        assert executed + entries == inverse_cost.chain_entries(lengths, 6)
    blocks = []
    for letter, coupling in ((continuants.Y, du), (continuants.W, dl)):
        blocks += [np.empty(n, object), np.empty(n + 1, np.int64), np.empty(n, np.int64)]
        executed += count(continuants.block_columns, mantissa[letter], exponent[letter], coupling, *blocks[-3:])
    whole = count(continuants.write_inverse, starts, *found, dl, du, *blocks, np.empty((n, n), object))
    if kind == "random":
        assert executed + whole == inverse_cost.chain_inverse(lengths)
    if kind == "zero diagonal":
        # Rows that begin with a zero continuant are zero on one side of the diagonal, and are not multiplied.
        assert executed < executed + whole <= inverse_cost.chain_inverse(lengths) or n == 0


def test_the_plan_of_chains_counts_their_inverse():
    layout = TridiagonalLayout(ChainLayout(stridiag.Structure(23, (-5, 0, 5)), 5))
    assert layout.cost.operations.inverse == inverse_cost.chain_inverse([5, 5, 5, 4, 4])
    assert layout.cost.operations.exact


@pytest.mark.parametrize("segment", [5, 256])
@pytest.mark.parametrize("block", [80, 1 << 17])
def test_the_inverse_of_condensed_chains_reflects_only_what_it_must(monkeypatch, segment, block):
    monkeypatch.setattr(planned, "SEGMENT", segment)
    monkeypatch.setattr(inverse_cost, "_BLOCK", block)
    n = 60
    A = stridiag.random(n, (-2, 0, 2), 3, rng=n)
    layout = CondensationLayout.build(ChainLayout(A.structure, 2))
    rows = counted(np.ones((n, 8)))
    reflect, rest = layout._solve_operations()
    executed = 0
    width = inverse_cost.block_width(n)
    for start in range(0, n, width):
        # Segments whose rows, first - 1 to last + 1, are among these: found by looking at each of them.
        size = min(width, n - start)
        touched = (layout.last + 1 >= start) & (layout.first - 1 < start + size)
        stretches = (part[touched] for part in (layout.first, layout.last, layout.neighbours))
        executed += count(condensed_sides.reflect, rows, *stretches, counted(np.ones((n, size))), False) + size * rest
    assert inverse_cost.condensed_inverse(n, layout.first, layout.last, reflect, rest) == executed
    operations = layout.cost.operations
    assert operations.exact
    # Each column costs the same solve of the reduced system, and no more than a whole one; those of a block share the
    # reciprocals of the pivots.
    shared = (n - len(range(0, n, width))) * (n - layout.columns.size)
    if block == 1 << 17:
        assert operations.inverse == n * operations.solve - shared
    else:
        assert operations.inverse < n * operations.solve - shared
    assert (n * operations.solve - operations.inverse) == n * (int(reflect.sum()) + rest) - executed + shared
