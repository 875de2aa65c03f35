from __future__ import annotations

import numpy as np
import pytest

from stridiag.errors import StructureError
from stridiag.nn import layer_offsets, wrapped_offsets, wrapped_structure

SHAPES = [(1, 1), (1, 5), (5, 1), (2, 3), (13, 7), (7, 13), (8, 8), (50, 10), (10, 50), (64, 48), (31, 64)]


def wrapped_entries(shape, offset):
    """The definition, entry by entry."""
    modulus = min(shape)
    return {(i, j) for i in range(shape[0]) for j in range(shape[1]) if (j - i - offset) % modulus == 0}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("offset", [0, 1, -1, 3, -9, 100])
def test_one_wrapped_diagonal(shape, offset):
    structure = wrapped_structure(shape, [offset])
    assert structure.link_count == 0
    rows, columns = structure.coordinates()
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == wrapped_entries(shape, offset)
    # One entry in each line of the longer side, and at least one in each of the shorter: all are connected.
    assert structure.nnz == max(shape)
    assert set(rows.tolist()) == set(range(shape[0]))
    assert set(columns.tolist()) == set(range(shape[1]))


@pytest.mark.parametrize("shape", [s for s in SHAPES if s[0] >= s[1]])
def test_tall_layers_follow_the_index_formula(shape):
    for offset in (0, 1, -3, 8):
        formula = {(k % shape[0], (k + offset) % shape[1]) for k in range(max(shape))}
        assert formula == wrapped_entries(shape, offset)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_transpose_has_the_opposite_offsets(shape):
    offsets = (0, 2, -5)
    assert wrapped_structure(shape, offsets).transposed()[0] == wrapped_structure(shape[::-1], [-o for o in offsets])


@pytest.mark.parametrize("shape", SHAPES)
def test_offsets_that_agree_modulo_the_smaller_size_are_one(shape):
    modulus = min(shape)
    given = [0, modulus, -modulus, 1, 1 + 3 * modulus]
    assert wrapped_offsets(shape, given) == wrapped_offsets(shape, [0, 1])
    assert wrapped_structure(shape, given).nnz == max(shape) * min(2, modulus)


def test_links_are_added():
    structure = wrapped_structure((6, 6), [0], ([0], [3]))
    assert (structure.nnz, structure.link_count) == (7, 1)


@pytest.mark.parametrize(("shape", "offsets"), [((0, 3), [0]), ((3, 0), [0]), ((3, 3), [])])
def test_impossible_layers_are_refused(shape, offsets):
    with pytest.raises(StructureError):
        wrapped_offsets(shape, offsets)


@pytest.mark.parametrize("diagonals", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("units", [1, 2, 7, 27, 64, 100])
def test_ternary_connects_everything_with_everything(diagonals, units):
    """Reachability in ceil(log_d n) layers, and not before every offset of those has been used."""
    depth, reach = 1, diagonals
    while diagonals > 1 and reach < units:
        depth, reach = depth + 1, reach * diagonals
    offsets = layer_offsets("ternary", [(units, units)] * depth, diagonals)
    connected = np.eye(units, dtype=bool)
    for own in offsets:
        dense = np.zeros((units, units), bool)
        dense[wrapped_structure((units, units), own).coordinates()] = True
        connected = dense @ connected
    assert connected.all() or diagonals == 1


def test_schedules():
    square = [(100, 100)] * 6
    assert layer_offsets("ternary", square, 3) == [
        (0, 1, -1),
        (0, 3, -3),
        (0, 9, -9),
        (0, 27, -27),
        (0, 81, -81),
        (0, 1, -1),
    ]
    assert layer_offsets("adjacent", square[:2]) == [(0, 1, -1)] * 2
    assert layer_offsets([4, -2, 104], square[:2]) == [(4, -2)] * 2
    assert layer_offsets([[0], [1, 2]], square[:2]) == [(0,), (1, 2)]
    assert layer_offsets(np.array([0, 7]), square[:1]) == [(0, 7)]
    assert layer_offsets("ternary", [(2, 9)], 5) == [(0, 1)]


@pytest.mark.parametrize(
    ("spec", "diagonals", "message"),
    [
        ("spiral", None, "offsets must be one of 'adjacent', 'ternary', 'random', 'stencil2d'"),
        ("stencil2d", None, "needs image_shape"),
        ("random", 0, "diagonals must be an integer of at least 1"),
        ("ternary", 0, "diagonals must be an integer of at least 1"),
        ("ternary", 2.5, "diagonals must be"),
        ([0, 1], 3, "with explicit offsets leave it out"),
        ([], None, "offsets must be one of"),
        ([0.5], None, "offsets must be one of"),
        ([[0], []], None, "offsets must be one of"),
        ([[0]], None, "one sequence for each of 2 layers"),
        (7, None, "offsets must be a schedule or integers"),
        (b"ternary", None, "offsets must be one of"),
        ("ternary", True, "diagonals must be"),
    ],
)
def test_bad_offsets_are_refused(spec, diagonals, message):
    with pytest.raises(ValueError, match=message):
        layer_offsets(spec, [(8, 8), (8, 8)], diagonals)
