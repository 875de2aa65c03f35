from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from stridiag import Structure
from stridiag.errors import NonFiniteError, StructureError
from stridiag.nn import RecursiveLayer, RecursiveLeastSquares, load, save, storable, wrapped_structure


def batch(x, y, f, penalty):
    """Weighted ridge regression written down, through a QR of all rows; `penalty` as it is at the end."""
    root = np.sqrt(f ** np.arange(len(x))[::-1])[:, None]
    left = np.vstack((root * x, np.diag(np.sqrt(penalty))))
    right = np.vstack((root * y, np.zeros((x.shape[1], y.shape[1]))))
    return np.linalg.lstsq(left, right, rcond=None)[0]


def stream(n, k, q, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, k)) * np.logspace(-1, 1, k) + 0.5
    return x, x @ rng.standard_normal((k, q)) + 0.1 * rng.standard_normal((n, q))


@pytest.mark.parametrize("f", [1.0, 0.999, 0.9])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (3, 7), (200, 1), (400, 12)])
def test_dense_is_the_batch_solution(f, n, k):
    x, y = stream(n, k, 3)
    model = RecursiveLeastSquares(k, 3, forgetting=f, penalty=1e-3)
    np.testing.assert_array_equal(model.weights, np.zeros((k, 3)))
    for part in np.array_split(np.arange(n), min(n, 4)):
        model.update(x[part], y[part])
    assert (model.penalties <= 1e-3).all()
    assert (model.penalties >= 1e-3 * f**k * (1 - 1e-12)).all()
    expected = batch(x, y, f, model.penalties)
    np.testing.assert_allclose(model.weights, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    np.testing.assert_allclose(model.predict(x[0]), x[:1] @ expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("f", [1.0, 0.99])
@pytest.mark.parametrize("bias", [True, False])
def test_each_row_of_a_layer_is_a_batch_solution(f, bias):
    # Rows of unequal length, one of them empty.
    structure = Structure((6, 9), (0, 4), ([0, 2, 2], [7, 1, 8]))
    rows, columns = structure.coordinates()
    keep = rows != 5
    structure = Structure((6, 9), (), (rows[keep], columns[keep]))
    source = np.random.default_rng(1).integers(0, 5, 9)
    # Each row reads an input once, so that its problem is well posed.
    source[:] = [0, 1, 2, 3, 4, 1, 0, 2, 3]
    x, y = stream(300, 5, 6)
    layer = RecursiveLayer(structure, source, 5, bias=bias, forgetting=f, penalty=1e-2)
    errors = np.vstack([layer.update(x[part], y[part]) for part in (slice(0, 100), slice(100, 299))])
    before = layer.predict(x[299])
    errors = np.vstack((errors, layer.update(x[299], y[299])))
    np.testing.assert_allclose(errors[299:], y[299] - before, rtol=1e-10)
    dense = layer.weight.toarray()
    rows, columns = structure.coordinates()
    for i in range(6):
        support = np.sort(columns[rows == i])
        h = np.column_stack((x[:, source[support]], np.ones(300))) if bias else x[:, source[support]]
        penalty = np.append(layer.penalties[: support.size], layer.penalties[-1:] if bias else [])
        expected = batch(h, y[:, [i]], f, penalty)[:, 0]
        found = np.append(dense[i, support], layer.bias[i] if bias else [])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max(initial=1.0))
    np.testing.assert_allclose(layer.predict(x), x[:, source] @ dense.T + layer.bias, rtol=1e-12, atol=1e-12)


def test_a_layer_and_dense_agree():
    x, y = stream(120, 3, 4)
    dense = RecursiveLeastSquares(3, 4, forgetting=0.95, hold=True)
    layer = RecursiveLayer(Structure((4, 3), range(-3, 3)), bias=False, forgetting=0.95, hold=True)
    dense.update(x, y)
    layer.update(x, y)
    np.testing.assert_allclose(layer.weight.toarray(), dense.weights.T, rtol=1e-9)


@pytest.mark.parametrize("hold", [False, True])
def test_long_silence_neither_blows_up_nor_slows_down(hold):
    """The classical failure: after inputs of zero the covariance of plain recursive least squares is infinite."""
    x, y = stream(300, 4, 4)
    structure = wrapped_structure((4, 4), (0, 1))
    models = [
        RecursiveLeastSquares(4, 4, forgetting=0.9, hold=hold),
        RecursiveLayer(structure, bias=False, forgetting=0.9, hold=hold),
    ]
    for model in models:
        model.update(x, y)
        before = model.predict(x)
        model.update(np.zeros((20_000, 4)), np.zeros((20_000, 4)))
        after = model.predict(x)
        if hold:
            np.testing.assert_allclose(after, before, rtol=0, atol=1e-9 * np.abs(before).max())
        else:
            assert np.abs(after).max() < 1e-6 * np.abs(before).max()
        assert np.isfinite(model._triangle).all()
        numbers = np.abs(np.concatenate((model._triangle.ravel(), model._right.ravel())))
        assert not ((numbers > 0) & (numbers < 1e-300)).any()
        # And it learns again at once.
        model.update(x, y)
        np.testing.assert_allclose(model.predict(x), before, rtol=0, atol=1e-6 * np.abs(before).max())


def test_inputs_that_say_little_for_long_stay_bounded():
    """One direction only, for long, then all: the others were not lost to rounding."""
    x, y = stream(60, 5, 1)
    model = RecursiveLeastSquares(5, 1, forgetting=0.98)
    line = np.outer(np.sin(np.arange(20_000)), [1.0, 2.0, 3.0, 4.0, 5.0])
    model.update(line, line[:, :1])
    rows, targets = np.vstack((line, x)), np.vstack((line[:, :1], y))
    model.update(x, y)
    np.testing.assert_allclose(model.weights, batch(rows, targets, 0.98, model.penalties), rtol=1e-8, atol=1e-10)


def test_the_layer_follows_what_drifts():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 16))
    structure = wrapped_structure((16, 16), (-1, 0, 2))
    model = RecursiveLayer(structure, forgetting=0.97)
    first, second = rng.standard_normal((2, structure.nnz))
    from stridiag import StridiagMatrix

    y = np.vstack(
        ((StridiagMatrix(structure, first) @ x[:1000].T).T, (StridiagMatrix(structure, second) @ x[1000:].T).T)
    )
    errors = model.update(x, y)
    assert np.abs(errors[900:1000]).max() < 1e-4
    assert np.abs(errors[1000:1010]).max() > 1.0
    assert np.abs(errors[1900:]).max() < 1e-4
    np.testing.assert_allclose(model.weight.values, second, atol=1e-4)


def test_failures_take_nothing():
    model = RecursiveLeastSquares(2, 1)
    layer = RecursiveLayer(Structure(2, (0,)))
    for learner, y in ((model, [1.0]), (layer, [1.0, 1.0])):
        learner.update([1.0, 2.0], y)
        before = learner.predict(np.eye(2))
        with pytest.raises(NonFiniteError, match="X must be finite"):
            learner.update([1.0, np.nan], y)
        with pytest.raises(ValueError, match="X must have shape"):
            learner.update([1.0, 2.0, 3.0], y)
        with pytest.raises(ValueError, match="as many samples"):
            learner.update(np.eye(2), y)
        with pytest.raises(ValueError, match="magnitude"):
            learner.update([1e200, 0.0], y)
        np.testing.assert_array_equal(learner.predict(np.eye(2)), before)
    for bad in (0.0, 1.1, np.nan, "1", True):
        with pytest.raises(ValueError, match="forgetting"):
            RecursiveLeastSquares(2, forgetting=bad)
    for bad in (0.0, -1.0, np.inf, 1e-250, None):
        with pytest.raises(ValueError, match="penalty"):
            RecursiveLeastSquares(2, penalty=bad)
    with pytest.raises(ValueError, match="hold"):
        RecursiveLeastSquares(2, hold=1)
    with pytest.raises(ValueError, match="inputs must be an integer"):
        RecursiveLeastSquares(0)
    with pytest.raises(StructureError, match="below 2, got 5"):
        RecursiveLayer(Structure(2, (0,)), [0, 5])
    with pytest.raises(StructureError, match="2 indices"):
        RecursiveLayer(Structure(2, (0,)), [0])
    with pytest.raises(StructureError, match="at least one weight"):
        RecursiveLayer(Structure(2, ()))
    with pytest.raises(TypeError, match="must be a Structure"):
        RecursiveLayer(np.eye(2))


def resumed(model, path):
    """From a file, and from a file that holds it among other things."""
    save(model, path)
    direct = load(path)
    save({"of": model, "rounds": 3}, path)
    inside = load(path)["of"]
    assert type(direct) is type(inside) is type(model)
    return direct, inside, pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("options", [{}, {"forgetting": 0.97}, {"forgetting": 0.97, "hold": True, "penalty": 1e-2}])
def test_a_stored_one_goes_on_to_the_last_bit(options, tmp_path):
    x, y = stream(60, 7, 3)
    model = RecursiveLeastSquares(7, 3, **options)
    for part in (slice(0, 0), slice(0, 25)):
        model.update(x[part], y[part])
        others = resumed(model, tmp_path / "model.npz")
        before = others[0].frozen()
        for other in others:
            np.testing.assert_array_equal(other.weights, model.weights)
            other.update(x[30:], y[30:])
        again = RecursiveLeastSquares.resumed(before)
        again.update(x[30:], y[30:])
        expected = resumed(model, tmp_path / "model.npz")[0]
        expected.update(x[30:], y[30:])
        for other in (*others, again):
            np.testing.assert_array_equal(other.weights, expected.weights)
            np.testing.assert_array_equal(other.penalties, expected.penalties)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("options", [{}, {"forgetting": 0.97, "hold": True}])
def test_a_stored_layer_goes_on_to_the_last_bit(bias, options, tmp_path):
    x, y = stream(60, 5, 9)
    structure = Structure((9, 6), (-2, 0, 1), ([0, 8], [5, 0]))
    layer = RecursiveLayer(structure, [4, 3, 2, 1, 0, 0], 5, bias=bias, **options)
    layer.update(x[:25], y[:25])
    others = resumed(layer, tmp_path / "layer.npz")
    errors = layer.update(x[25:], y[25:])
    for other in others:
        np.testing.assert_array_equal(other.update(x[25:], y[25:]), errors)
        np.testing.assert_array_equal(other.weight.values, layer.weight.values)
        np.testing.assert_array_equal(other.bias, layer.bias)


def test_states_that_cannot_be():
    model = RecursiveLeastSquares(3, 2)
    state = model.frozen()
    for change in (
        {"turn": 3},
        {"turn": -1},
        {"kept": np.zeros(3)},
        {"kept": np.ones(3)},
        {"kept": np.full(3, np.nan)},
        {"triangle": np.zeros((3, 3))},
        {"triangle": np.eye(2)},
        {"right": np.full((3, 2), np.inf)},
        {"right": np.zeros((0, 2))},
        {"right": np.zeros((3, 2), np.float32)},
    ):
        with pytest.raises(StructureError):
            replace(state, **change)
    with pytest.raises(ValueError, match="forgetting must be"):
        replace(state, forgetting=2.0).thawed()
    layer = RecursiveLayer(wrapped_structure((4, 4), (0, 1))).frozen()
    for change in (
        {"structure": Structure((10**12, 4), (0,))},
        {"structure": Structure((4, 10**12), (0,))},
        {"structure": Structure((4, 4), (0,))},
        {"bias": False},
        {"turn": 3},
        {"weights": np.full((3, 4), np.nan)},
        {"source": np.arange(4.0)},
    ):
        with pytest.raises(StructureError):
            replace(layer, **change)
    for change in ({"source": np.array([0, 1, 2, 9])}, {"inputs": 2}):
        with pytest.raises(StructureError, match="source must hold"):
            replace(layer, **change).thawed()
    with pytest.raises(TypeError, match="method frozen"):
        storable(int)
