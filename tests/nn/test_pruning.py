from __future__ import annotations

import numpy as np
import pytest

from stridiag.errors import NonFiniteError, StructureError
from stridiag.nn import Statistics, wrapped_offsets
from stridiag.nn.diagonal_order import diagonal_scores, order_for_diagonals
from stridiag.nn.network_pruning import prune_mlp, pruning_ladder
from stridiag.nn.pruning import STAGES, dense_targets, prune_layer, reconstruction_error


def layer(seed=0, shape=(12, 18), n=300):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, shape[1])) @ rng.standard_normal((shape[1], shape[1])) / 3.0 + 1.0
    return rng.standard_normal(shape) ** 3, rng.standard_normal(shape[0]), rows


def moments(rows):
    return Statistics.from_rows(rows, np.empty((rows.shape[0], 0)))


@pytest.mark.parametrize("shape", [(6, 6), (5, 9), (9, 5), (1, 4), (7, 1)])
def test_diagonal_scores_sum_the_wrapped_diagonals(shape):
    scores = np.random.default_rng(0).random(shape)
    for offset, found in enumerate(diagonal_scores(scores)):
        assert found == pytest.approx(sum(np.trace(scores, o) for o in wrapped_offsets(shape, [offset])))


@pytest.mark.parametrize("shape", [(7, 7), (5, 13), (13, 5), (2, 2), (1, 3), (4, 1)])
@pytest.mark.parametrize("offsets", [(0,), (0, 1), (-1, 0, 2)])
def test_orders_are_permutations_and_their_score_is_what_lies_on_the_diagonals(shape, offsets):
    scores = np.random.default_rng(1).random(shape) ** 4
    order = order_for_diagonals(scores, offsets)
    np.testing.assert_array_equal(np.sort(order.rows), np.arange(shape[0]))
    np.testing.assert_array_equal(np.sort(order.columns), np.arange(shape[1]))
    residues = sorted({o % min(shape) for o in offsets})
    moved = scores[np.ix_(order.rows, order.columns)]
    assert order.score == pytest.approx(diagonal_scores(moved)[residues].sum())
    assert order.score >= diagonal_scores(scores)[residues].sum() - 1e-12


def test_one_diagonal_is_the_assignment_problem():
    from itertools import permutations

    scores = np.random.default_rng(2).random((6, 6))
    best = max(scores[np.arange(6), list(p)].sum() for p in permutations(range(6)))
    assert order_for_diagonals(scores, (0,)).score == pytest.approx(best)


@pytest.mark.parametrize("shape", [(30, 30), (20, 32), (32, 20)])
def test_a_hidden_band_is_found(shape):
    rng = np.random.default_rng(3)
    band = np.zeros(shape)
    for offset in wrapped_offsets(shape, (0, 1)):
        index = np.arange(max(0, -offset), max(0, -offset) + np.trace(np.ones(shape), offset).astype(int))
        band[index, index + offset] = 1.0 + rng.random(index.size)
    shuffled = band[rng.permutation(shape[0])][:, rng.permutation(shape[1])]
    order = order_for_diagonals(shuffled, (0, 1))
    # Chance finds a tenth.
    assert order.score / band.sum() > 0.7


def test_order_refusals():
    with pytest.raises(StructureError, match="an offset are needed"):
        order_for_diagonals(np.ones((3, 3)), ())
    with pytest.raises(StructureError, match="a matrix with entries"):
        order_for_diagonals(np.ones((0, 3)), (0,))
    for bad in (-1.0, np.nan):
        with pytest.raises(ValueError, match="finite and nonnegative"):
            order_for_diagonals(np.full((2, 2), bad), (0,))


def test_targets_come_from_the_second_moments_alone():
    weight, bias, rows = layer()
    found = dense_targets(weight, bias, moments(rows))
    direct = Statistics.from_rows(rows, rows @ weight.T + bias)
    for name in ("target_mean", "cross", "target_scatter"):
        np.testing.assert_allclose(getattr(found, name), getattr(direct, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("shape", [(12, 18), (18, 12), (15, 15)])
def test_each_stage_is_a_layer_of_that_error_in_the_dense_order(stage, shape):
    weight, bias, rows = layer(1, shape)
    pruned = prune_layer(weight, bias, moments(rows), density=0.3, stage=stage, rng=0)
    z = rows @ weight.T + bias
    out = pruned.preactivation(rows)
    error = ((z - out) ** 2).sum() / ((z - z.mean(axis=0)) ** 2).sum()
    assert pruned.error == pytest.approx(error, rel=1e-8)
    assert pruned.errors == {stage: pruned.error}
    entries = round(0.3 * weight.size)
    whole = entries // max(shape) * max(shape)
    assert pruned.weight.nnz == (entries if stage in ("links", "random") else whole)
    kept = pruned.toarray() != 0.0
    assert kept.sum() <= pruned.weight.nnz
    if stage == "mask":
        np.testing.assert_array_equal(pruned.toarray()[kept], weight[kept])
    assert pruned.density == pytest.approx(pruned.weight.nnz / weight.size)
    singular = np.linalg.svd(pruned.toarray(), compute_uv=False)
    assert pruned.condition() == pytest.approx(singular[0] / singular[-1], rel=1e-6)


def test_each_stage_beats_the_one_before_and_links_beat_the_control():
    weight, bias, rows = layer(2, (40, 40), 600)
    found = prune_layer(weight, bias, moments(rows), density=0.15, compare=STAGES, rng=0).errors
    assert found["links"] < found["permutation"] < found["refit"] < found["mask"]
    assert found["links"] < 0.7 * found["random"]


def test_everything_kept_is_the_dense_layer():
    weight, bias, rows = layer(3, (6, 8))
    pruned = prune_layer(weight, bias, moments(rows), density=1.0, alpha=0.0)
    np.testing.assert_allclose(pruned.toarray(), weight, rtol=1e-7, atol=1e-8)
    assert pruned.error < 1e-14


def test_given_targets_importance_and_diagonals():
    weight, bias, rows = layer(4, (10, 10))
    rng = np.random.default_rng(0)
    # The structured layer sees other rows than those that made the targets.
    other = rows @ rng.standard_normal((10, 10))
    statistics = Statistics.from_rows(other, rows @ weight.T + bias)
    given = prune_layer(weight, bias, statistics, density=0.4, targets="given", diagonals=2)
    assert len({o % 10 for o in given.weight.structure.offsets}) == 2
    assert given.weight.structure.link_count == 20
    z = rows @ weight.T + bias
    residual = z - given.preactivation(other)
    assert given.error == pytest.approx((residual**2).sum() / ((z - z.mean(0)) ** 2).sum(), rel=1e-8)
    importance = np.zeros(10)
    importance[3] = 1.0
    one = prune_layer(weight, bias, moments(rows), budget=10, diagonals=0, importance=importance, alpha=0.0)
    np.testing.assert_allclose(one.toarray()[3], weight[3], rtol=1e-6, atol=1e-7)
    assert one.toarray()[[0, 1, 2, 4, 5, 6, 7, 8, 9]].any() == np.False_
    assert one.condition() == np.inf
    fixed = prune_layer(weight, bias, moments(rows), budget=30, diagonals=1, permute=False)
    np.testing.assert_array_equal(fixed.inputs, np.arange(10))
    np.testing.assert_array_equal(fixed.outputs, np.arange(10))


def test_reconstruction_error_of_constant_targets():
    weight, bias, rows = layer(5, (3, 4))
    statistics = dense_targets(np.zeros_like(weight), bias, moments(rows))
    assert reconstruction_error(statistics, np.zeros_like(weight), bias) == 0.0
    assert reconstruction_error(statistics, np.zeros_like(weight), bias + 1.0) == 1.0


def test_layer_refusals():
    weight, bias, rows = layer()
    statistics = moments(rows)
    for kwargs in ({}, {"density": 0.1, "budget": 3}):
        with pytest.raises(ValueError, match="either density or budget"):
            prune_layer(weight, bias, statistics, **kwargs)
    for density in (0.0, 1.5, "0.1"):
        with pytest.raises(ValueError, match="density must be above 0"):
            prune_layer(weight, bias, statistics, density=density)
    for budget in (0, 12 * 18 + 1, 2.0):
        with pytest.raises(ValueError, match="budget must be an integer from 1 to 216"):
            prune_layer(weight, bias, statistics, budget=budget)
    with pytest.raises(ValueError, match="diagonals must be 0 to 2 of 18 entries"):
        prune_layer(weight, bias, statistics, budget=40, diagonals=3)
    with pytest.raises(ValueError, match="stage must be one of"):
        prune_layer(weight, bias, statistics, budget=40, stage="magnitude")
    with pytest.raises(ValueError, match="targets must be one of"):
        prune_layer(weight, bias, statistics, budget=40, targets="own")
    with pytest.raises(StructureError, match="statistics must have 12 targets, got 0"):
        prune_layer(weight, bias, statistics, budget=40, targets="given")
    with pytest.raises(StructureError, match=r"weight and bias must be \(m, 18\)"):
        prune_layer(weight.T, bias, statistics, budget=40)
    weight[0, 0] = np.nan
    with pytest.raises(NonFiniteError, match="weight"):
        prune_layer(weight, bias, statistics, budget=40)


def network(seed=0):
    rng = np.random.default_rng(seed)
    shapes = [(24, 10), (30, 24), (2, 30)]
    weights = [rng.standard_normal(s) ** 3 / s[1] for s in shapes]
    return weights, [0.1 * rng.standard_normal(s[0]) for s in shapes], rng.standard_normal((500, 10))


def run(weights, biases, rows):
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        rows = np.maximum(rows @ w.T + b, 0.0)
    return rows @ weights[-1].T + biases[-1]


def test_a_network_kept_whole_is_itself():
    weights, biases, rows = network()
    for solve in (False, True):
        same = prune_mlp(weights, biases, "relu", rows, density=1.0, alpha=0.0, readout_alpha=0.0, solve_readout=solve)
        np.testing.assert_allclose(same.decision(rows), run(weights, biases, rows), rtol=1e-6, atol=1e-7)


def test_layers_are_fitted_on_what_they_are_given():
    weights, biases, rows = network(1)
    pruned = prune_mlp(weights, biases, "relu", rows, density=0.3)
    assert pruned.density == pytest.approx(0.3, abs=0.01)
    first, second = pruned.layers
    aim = np.maximum(rows @ weights[0].T + biases[0], 0.0) @ weights[1].T + biases[1]
    out = second.preactivation(first.forward(rows))
    report = pruned.reports[1]
    error = ((aim[:, report.outputs] - out) ** 2).sum() / ((aim - aim.mean(axis=0)) ** 2).sum()
    assert report.error == pytest.approx(error, rel=1e-8)
    # The report names units of the dense network: its dense form acts on the first layer's values in that order.
    values = np.empty((500, 24))
    values[:, pruned.reports[0].outputs] = first.forward(rows)
    np.testing.assert_allclose(report.preactivation(values)[:, report.outputs], out, rtol=1e-9, atol=1e-9)
    count = sum(layer.weight.nnz + layer.units for layer in pruned.layers) + 31 * 2
    assert pruned.parameter_count == count


def test_the_ladder_rises_on_new_rows():
    weights, biases, rows = network(2)
    new = np.random.default_rng(9).standard_normal((400, 10))
    wanted = run(weights, biases, new)
    ladder = pruning_ladder(weights, biases, "relu", rows, density=0.25, rng=0)
    error = {name: np.mean((net.decision(new) - wanted) ** 2) / wanted.var() for name, net in ladder.items()}
    assert error["links"] < error["refit"] < error["mask"]
    assert error["readout"] <= error["links"]
    assert error["links"] < error["random"]
    assert error["readout"] < error["random + readout"]
    assert ladder["random"].density == pytest.approx(ladder["links"].density)
    labels = prune_mlp(weights, biases, "relu", rows, rows[:, :2], density=0.25)
    assert labels.decision(new).shape == (400, 2)


def test_network_refusals():
    weights, biases, rows = network()
    with pytest.raises(ValueError, match="a hidden layer and a readout"):
        prune_mlp(weights[-1:], biases[-1:], "relu", rows, density=0.1)
    with pytest.raises(StructureError, match=r"layer 1 must have a weight of \(m, 24\)"):
        prune_mlp([weights[0], weights[1].T, weights[2]], biases, "relu", rows, density=0.1)
    with pytest.raises(StructureError, match=r"layer 0 must have a weight of \(m, 9\)"):
        prune_mlp(weights, biases, "relu", rows[:, :9], density=0.1)
    with pytest.raises(StructureError, match="targets must have shape"):
        prune_mlp(weights, biases, "relu", rows, rows, density=0.1)
    with pytest.raises(NonFiniteError, match="rows"):
        prune_mlp(weights, biases, "relu", np.full_like(rows, np.inf), density=0.1)
    with pytest.raises(StructureError, match="rows must have shape"):
        prune_mlp(weights, biases, "relu", rows, density=0.3).decision(rows[:, :3])
