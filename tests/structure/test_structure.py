"""Structure: frozen, hashable, and the order of its slots."""

from __future__ import annotations

import copy
import pickle

import joblib
import numpy as np
import pytest
from hypothesis import given

from stridiag import Structure, StructureError
from stridiag.testing.strategies import structures

EXAMPLE = Structure(6, (2, 0, -1), ([5, 0, 5, 3], [0, 1, 0, 3]))


def test_order_of_slots():
    rows, columns = EXAMPLE.coordinates()
    expected = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4)]  # offset -1
    expected += [(i, i) for i in range(6)]
    expected += [(0, 2), (1, 3), (2, 4), (3, 5)]  # offset 2
    expected += [(0, 1), (5, 0)]  # links by (row, column), the duplicate and the one on a diagonal folded
    assert list(zip(rows, columns, strict=True)) == expected
    assert EXAMPLE.offsets == (-1, 0, 2)
    assert EXAMPLE.starts == (0, 5, 11, 15)
    assert (EXAMPLE.nnz, EXAMPLE.link_count) == (17, 2)
    assert EXAMPLE.diagonal_slots(2) == slice(11, 15)


def test_slots_of_links_as_given():
    # Duplicates fold into one another, a link on a diagonal into the diagonal; -1 where nothing is stored.
    assert EXAMPLE.slots([5, 0, 5, 3, 4], [0, 1, 0, 3, 1]).tolist() == [16, 15, 16, 8, -1]
    assert EXAMPLE.slots([], []).size == 0


@given(structures())
def test_slots_invert_coordinates(structure):
    rows, columns = structure.coordinates()
    assert np.array_equal(structure.slots(rows, columns), np.arange(structure.nnz))
    stored = np.zeros(structure.shape, bool)
    stored[rows, columns] = True
    assert stored.sum() == structure.nnz, "slots are distinct positions"
    empty = np.nonzero(~stored)
    assert (structure.slots(*empty) == -1).all()
    assert structure.starts[-1] + structure.link_count == structure.nnz
    assert not np.isin(structure.link_columns - structure.link_rows, structure.offsets).any()


@given(structures())
def test_transposed(structure):
    other, source = structure.transposed()
    rows, columns = structure.coordinates()
    assert other.shape == structure.shape[::-1]
    there = other.coordinates()
    assert np.array_equal(there[0], columns[source])
    assert np.array_equal(there[1], rows[source])
    back, again = other.transposed()
    assert back == structure
    assert np.array_equal(np.arange(structure.nnz), source[again])


@given(structures(max_size=6), structures(max_size=6))
def test_union(one, two):
    if one.shape != two.shape:
        with pytest.raises(StructureError, match="shapes must agree"):
            one.union(two)
        return
    both = one.union(two)
    assert both == two.union(one)
    for part in (one, two):
        assert (both.slots(*part.coordinates()) >= 0).all()
    # The smallest: every slot is one of the two's, or completes a diagonal of one of them.
    rows, columns = both.coordinates()
    needed = (one.slots(rows, columns) >= 0) | (two.slots(rows, columns) >= 0)
    assert needed.all()


@given(structures())
def test_equality_hash_and_copies(structure):
    shuffled = np.arange(structure.link_count)[::-1]
    links = (structure.link_rows[shuffled], structure.link_columns[shuffled])
    same = Structure(structure.shape, structure.offsets[::-1], links)
    for twin in (same, pickle.loads(pickle.dumps(structure)), copy.deepcopy(structure), copy.copy(structure)):
        assert twin == structure
        assert hash(twin) == hash(structure)
        assert {structure: 1}[twin] == 1
    assert repr(same) == repr(structure)


def test_differences_are_seen():
    base = Structure(6, (0, 1), ([5], [0]))
    for other in (
        Structure((6, 7), (0, 1), ([5], [0])),
        Structure(6, (0, 2), ([5], [0])),
        Structure(6, (0, 1), ([4], [0])),
        Structure(6, (0, 1), ([5], [1])),
        Structure(6, (0, 1)),
    ):
        assert other != base
    assert base != "a structure"


def test_joblib_round_trip(tmp_path):
    joblib.dump(EXAMPLE, tmp_path / "S")
    back = joblib.load(tmp_path / "S")
    assert back == EXAMPLE
    assert hash(back) == hash(EXAMPLE)
    assert joblib.hash(back) == joblib.hash(EXAMPLE)


def test_frozen():
    for name in ("offsets", "_offsets", "anything"):
        with pytest.raises(AttributeError, match="frozen"):
            setattr(EXAMPLE, name, (0,))
        with pytest.raises(AttributeError, match="frozen"):
            delattr(EXAMPLE, name)
    for array in (EXAMPLE.link_rows, EXAMPLE.link_columns):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_links_are_copied():
    rows, columns = np.array([0, 4]), np.array([3, 0])
    structure = Structure(5, (0,), (rows, columns))
    before = hash(structure)
    rows[:] = 1
    columns[:] = 2
    assert structure.link_rows.tolist() == [0, 4]
    assert hash(structure) == before


@pytest.mark.parametrize(
    ("shape", "nnz"),
    [(0, 0), (1, 1), ((0, 4), 0), ((4, 0), 0), ((1, 5), 1), ((5, 1), 1), (np.int32(3), 3), ([2, 3], 2)],
)
def test_small_shapes(shape, nnz):
    structure = Structure(shape)
    assert structure.nnz == nnz
    assert structure.offsets == (0,)
    assert structure.is_square == (structure.shape[0] == structure.shape[1])


def test_repr():
    assert repr(EXAMPLE) == "Structure(6 x 6, offsets (-1, 0, 2), 2 links, 17 slots)"
    assert "1 link," in repr(Structure(3, (0,), ([0], [2])))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1,), r"shape must be .*got -1"),
        ((2.0,), r"shape must be .*got 2\.0"),
        ((True,), r"shape must be .*got True"),
        ((None,), r"shape must be .*got None"),
        (("33",), r"shape must be .*got '33'"),
        (((2, 3, 4),), r"shape must be .*got \(2, 3, 4\)"),
        (((2, 2.5),), r"shape must be"),
        ((2**40,), r"more positions than an int64"),
        (((0, 2**64 - 1),), r"more positions than an int64"),
        ((5, (0, 5)), r"offset 5 lies outside a 5 x 5 matrix: offsets go from -4 to 4"),
        (((3, 7), (-3,)), r"offset -3 lies outside a 3 x 7 matrix: offsets go from -2 to 6"),
        ((5, (1, 1)), r"distinct, got \[1, 1\]"),
        ((5, (1.0,)), r"integers, got \[1\.0\]"),
        ((5, (True,)), r"integers, got \[True\]"),
        ((5, (0,), ([5], [0])), r"link rows must lie in 0 \.\.\. 4, got 5 \.\.\. 5"),
        ((5, (0,), ([0], [-1])), r"link columns must lie in 0 \.\.\. 4, got -1"),
        ((5, (0,), ([0, 1], [0])), r"as many rows as columns, got 2 and 1"),
        ((5, (0,), ([0.0], [1])), r"link rows must hold integers, got dtype float64"),
        ((5, (0,), ([[0]], [[1]])), r"one-dimensional, got shape \(1, 1\)"),
        ((5, (0,), ([0], [1], [2.0])), r"must be \(rows, columns\), got 3 arrays"),
        ((0, (0,), ([0], [0])), r"link rows must lie in"),
        ((5, (0,), (np.array([2**64 - 1], np.uint64), [0])), r"link rows must lie in"),
    ],
)
def test_refusals_say_expected_and_got(arguments, message):
    with pytest.raises(StructureError, match=message):
        Structure(*arguments)


def test_refused_lookups():
    with pytest.raises(StructureError, match=r"no diagonal at offset 1; stored are \(-1, 0, 2\)"):
        EXAMPLE.diagonal_slots(1)
    with pytest.raises(StructureError, match="must lie in"):
        EXAMPLE.slots([6], [0])


def test_large_sparse_positions_do_not_overflow():
    n = 3_000_000_000
    structure = Structure(n, (), ([0, n - 1, n - 1], [n - 1, 0, n - 1]))
    assert structure.slots([n - 1, 0, 1], [0, n - 1, 1]).tolist() == [1, 0, -1]
    assert structure.link_rows.tolist() == [0, n - 1, n - 1]
