from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from stridiag.errors import StructureError
from stridiag.nn import (
    Architecture,
    Layer,
    candidate_schedules,
    draw_weight,
    layer_offsets,
    reachability,
    reaches_all,
    wrapped_offsets,
    wrapped_structure,
)
from stridiag.nn.layers import draw_source

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


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (7, 3), (3, 7), (6, 6)])
@pytest.mark.parametrize("residues", [[0], [0, 2], [-1, 4, 9]])
def test_wrapped_offsets_are_all_those_of_a_residue(shape, residues):
    wanted = {o % min(shape) for o in residues}
    assert wrapped_offsets(shape, residues) == tuple(
        o for o in range(1 - shape[0], shape[1]) if o % min(shape) in wanted
    )


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


@pytest.mark.parametrize("units", [1, 2, 3, 4, 8, 9, 10, 27, 28, 81, 82, 243, 500, 729, 1000, 1024])
def test_ternary_reaches_all_in_logarithmic_depth_and_not_before(units):
    depth = 0
    while 3**depth < units:
        depth += 1
    depth = max(depth, 1)
    shapes = [(units, units)] * depth
    stack = [wrapped_structure(s, o) for s, o in zip(shapes, layer_offsets("ternary", shapes), strict=True)]
    assert reaches_all(stack)
    # Fewer layers of 3 entries a row cannot.
    assert depth == 1 or not reaches_all(stack[:-1])


def test_reachability_is_the_boolean_product():
    rng = np.random.default_rng(0)
    sizes = [9, 14, 6, 11]
    layers, dense = [], np.eye(9, dtype=bool)
    for inputs, units in pairwise(sizes):
        source = draw_source(units, inputs, rng)
        weight = draw_weight((units, source.size), (0, 3), 2, rng)
        layers.append(Layer(weight, np.zeros(units), "tanh", source, inputs))
        step = np.zeros((units, inputs), bool)
        rows, columns = weight.structure.coordinates()
        step[rows, source[columns]] = True
        dense = (step.astype(int) @ dense.astype(int)) > 0
        reached = reachability(layers)
        assert reached.dtype == np.bool_
        np.testing.assert_array_equal(reached.toarray(), dense)
        assert reached.nnz == dense.sum()
        assert reaches_all(layers) == dense.all()
    with pytest.raises(StructureError, match="at least one layer"):
        reachability([])
    with pytest.raises(StructureError, match="a layer reads 9 values, but 14 come to it"):
        reachability([layers[0], layers[0]])
    with pytest.raises(TypeError, match="expected a Layer or a Structure"):
        reachability([3])


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_stencils_hold_the_neighbourhood(radius):
    height, width = 9, 7
    (offsets,) = layer_offsets("stencil2d", [(126, 63)], (2 * radius + 1) ** 2, image_shape=(height, width))
    around = range(-radius, radius + 1)
    assert sorted(offsets) == sorted(width * a + b for a in around for b in around)
    dense = np.zeros((126, 63), bool)
    dense[wrapped_structure((126, 63), offsets).coordinates()] = True
    # A pixel in the middle sees its neighbours, as unit 31 and as unit 31 + 63.
    seen = {((31 // 7) + a, (31 % 7) + b) for a in around for b in around}
    for unit in (31, 94):
        assert {divmod(int(j), 7) for j in np.flatnonzero(dense[unit])} == seen


def test_stencils_of_other_counts_take_the_nearest_first():
    assert layer_offsets("stencil2d", [(64, 64)], 5, image_shape=(8, 8)) == [(0, -8, -1, 1, 8)]
    deep = layer_offsets("stencil2d", [(128, 64), (128, 128)], image_shape=(8, 8))
    assert deep[0] == deep[1] == (0, -8, -1, 1, 8, -9, -7, 7, 9)
    # More neighbours than pixels: each once.
    assert len(layer_offsets("stencil2d", [(4, 4)], 25, image_shape=(2, 2))[0]) == 4


@pytest.mark.parametrize(
    ("shapes", "image_shape", "message"),
    [
        ([(64, 64)], None, "needs image_shape"),
        ([(64, 64)], (8,), "two positive integers"),
        ([(64, 64)], (0, 8), "two positive integers"),
        ([(64, 64)], (8.0, 8), "two positive integers"),
        ([(64, 63)], (8, 8), "whole rows of 8 pixels"),
        ([(60, 64)], (8, 8), "whole rows of 8 pixels"),
        ([(64, 72)], (8, 8), "must read 8 x 8 pixels, got 72"),
    ],
)
def test_stencils_need_an_image_that_fits(shapes, image_shape, message):
    with pytest.raises(ValueError, match=message):
        layer_offsets("stencil2d", shapes, image_shape=image_shape)
    with pytest.raises(ValueError, match="shuffle=False"):
        Architecture(offsets="stencil2d", image_shape=(8, 8))
    with pytest.raises(ValueError, match="needs image_shape"):
        Architecture(offsets="stencil2d", shuffle=False)


def test_random_offsets_are_distinct_seeded_and_different_in_each_layer():
    shapes = [(100, 40), (100, 100), (100, 100), (3, 100), (1, 1)]
    first = layer_offsets("random", shapes, 7)
    assert first == layer_offsets("random", shapes, 7)
    assert first != layer_offsets("random", shapes, 7, seed=1)
    assert first[1] != first[2]
    for shape, own in zip(shapes, first, strict=True):
        short = min(shape)
        assert own[0] == 0
        assert len({o % short for o in own}) == len(own) == min(7, short)
        assert all(2 * abs(o) <= short for o in own)


def test_candidates_are_those_that_fit_and_differ():
    assert candidate_schedules([(512, 512)] * 2) == ("ternary", "adjacent", "random")
    assert candidate_schedules([(512, 512)]) == ("ternary", "random")
    assert candidate_schedules([(128, 64)] * 1, (8, 8)) == ("ternary", "random", "stencil2d")
    assert candidate_schedules([(60, 64)], (8, 8)) == ("ternary", "random")
    assert candidate_schedules([(1, 1)]) == ("ternary",)
