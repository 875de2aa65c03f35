"""Networks for images: tied diagonals, pooling, the readout of many columns, and all of it together."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

from stridiag._kernels import threads
from stridiag.errors import NonFiniteError, StructureError
from stridiag.nn import (
    Average,
    ImageFeatures,
    ImageSettings,
    PixelRange,
    Statistics,
    TiedPatches,
    fit_images,
    image_settings,
    images,
    ridge,
)
from stridiag.nn.images import train_images
from stridiag.nn.large_readout import SAFE, LargeChunk, solve_large
from stridiag.nn.patches import draw_filters


def small_patches(padding, dtype=np.float64, shape=(9, 11), taps=(3, 4), window=4, step=3, threshold=0.2):
    rng = np.random.default_rng(1)
    filters = rng.standard_normal((3, *taps)).astype(dtype)
    return TiedPatches(shape, filters, threshold, window, step, padding), rng.random((5, shape[0] * shape[1]))


def plain_map(image, taps, padding):
    """The map of one filter, by its definition."""
    (h, w), (r, c) = image.shape, taps.shape
    result = np.zeros((h, w))
    for y, x, a, b in product(range(h), range(w), range(r), range(c)):
        i, j = y + a - (r - 1) // 2, x + b - (c - 1) // 2
        if padding == "wrapped":
            result[y, x] += taps[a, b] * image[i % h, j % w]
        elif 0 <= i < h and 0 <= j < w:
            result[y, x] += taps[a, b] * image[i, j]
    return result


@pytest.mark.parametrize("padding", ["zero", "wrapped"])
def test_a_filter_is_a_matrix_of_constant_diagonals(padding):
    layer, rows = small_patches(padding)
    for k in range(3):
        weight = layer.matrix(k)
        assert all(np.ptp(weight.diagonal(offset)) == 0 for offset in weight.offsets)
        assert len(weight.offsets) == 12
        values = (weight @ layer.padded(rows).T).T.reshape(5, 9, 14)[:, :, :11]
        for image, value in zip(rows, values, strict=True):
            np.testing.assert_allclose(
                value, plain_map(image.reshape(9, 11), layer.filters[k], padding), rtol=0, atol=1e-13
            )


@pytest.mark.parametrize("padding", ["zero", "wrapped"])
@pytest.mark.parametrize("taps", [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (5, 7), (7, 9)])
@pytest.mark.parametrize(("window", "step"), [(1, 1), (3, 2), (4, 3), (8, 1), (9, 4)])
def test_features_are_pooled_maps(padding, taps, window, step):
    layer, rows = small_patches(padding, taps=taps, window=window, step=step)
    expected = []
    top, left = (9 - window) % step // 2, (11 - window) % step // 2
    for image in rows:
        for taps_k in layer.filters:
            value = plain_map(image.reshape(9, 11), taps_k, padding)
            for sign, g, j in product((1, -1), *map(range, layer.grid)):
                y, x = top + g * step, left + j * step
                part = np.maximum(sign * value[y : y + window, x : x + window] - layer.threshold, 0)
                expected.append(np.sqrt((part**2).mean()))
    result = layer.features(rows)
    assert result.shape == (5, layer.columns)
    np.testing.assert_allclose(result.ravel(), expected, rtol=0, atol=1e-13)


def test_float32_and_threads_change_nothing_but_rounding(monkeypatch):
    layer, rows = small_patches("zero")
    single, _ = small_patches("zero", np.float32)
    rows = np.tile(rows, (40, 1))
    assert single.features(rows).dtype == np.float32
    np.testing.assert_allclose(single.features(rows), layer.features(rows), rtol=0, atol=1e-5)
    results = []
    for count in (1, 3):
        monkeypatch.setattr(threads, "get_num_threads", lambda count=count: count)
        results.append(layer.features(rows))
    np.testing.assert_array_equal(*results)


def test_patches_say_what_does_not_fit():
    filters = np.ones((2, 3, 3))
    with pytest.raises(StructureError, match="filters must be"):
        TiedPatches((8, 8), np.ones((3, 3)))
    with pytest.raises(StructureError, match="do not fit into images"):
        TiedPatches((2, 8), filters, window=2)
    with pytest.raises(StructureError, match="windows must fit"):
        TiedPatches((8, 8), filters, window=9)
    with pytest.raises(ValueError, match="threshold"):
        TiedPatches((8, 8), filters, -1.0)
    with pytest.raises(ValueError, match="padding must be one of"):
        TiedPatches((8, 8), filters, padding="same")
    with pytest.raises(StructureError, match=r"samples, 64"):
        TiedPatches((8, 8), filters).features(np.ones((2, 63)))


def test_filters_are_diverse_patches():
    rng = np.random.default_rng(0)
    pictures = rng.random((20, 9, 9))
    filters = draw_filters(pictures, 12, 3, np.random.default_rng(0), candidates=200).reshape(12, 9)
    np.testing.assert_allclose(filters.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(filters, axis=1), 1, rtol=1e-12)
    cosines = np.abs(filters @ filters.T) - np.eye(12)
    plain = rng.standard_normal((12, 9))
    plain -= plain.mean(axis=1, keepdims=True)
    plain /= np.linalg.norm(plain, axis=1, keepdims=True)
    assert cosines.max() < (np.abs(plain @ plain.T) - np.eye(12)).max()
    with pytest.raises(ValueError, match="images must vary"):
        draw_filters(np.ones((20, 9, 9)), 12, 3, rng)


@pytest.fixture(scope="module")
def regression():
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((900, 40)) + 0.3
    targets = rows[:, :2] @ [[1.0, 0.0], [0.5, 2.0]] + 0.5 * rng.standard_normal((900, 2)) + 7
    return rows, targets, rng.integers(1, 4, 900).astype(float)


def chunked(rows, targets, weights, size):
    held = np.arange(len(rows)) % 9 == 0
    return lambda: [
        LargeChunk(rows[i : i + size], targets[i : i + size], weights[i : i + size], held[i : i + size])
        for i in range(0, len(rows), size)
    ]


@pytest.mark.parametrize(("alpha", "tolerance"), [(1e-3, 1e-5), (SAFE / 10, 1e-10)])
def test_large_readout_is_the_ridge_solution(regression, alpha, tolerance):
    rows, targets, weights = regression
    fit = solve_large(chunked(rows, targets, weights, 128), (40, 2), alpha, np.full(40, 0.3)).readout
    h, z = rows - np.average(rows, 0, weights), targets - np.average(targets, 0, weights)
    gram = (h.T * weights) @ h
    inverse = np.linalg.inv(gram + alpha * weights.sum() * np.eye(40))
    expected = inverse @ ((h.T * weights) @ z)
    np.testing.assert_allclose(fit.coefficients, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(
        fit.intercept, np.average(targets, 0, weights) - np.average(rows, 0, weights) @ expected, atol=40 * tolerance
    )
    freedom = 1 + np.trace(inverse @ gram)
    np.testing.assert_allclose(fit.degrees_of_freedom, freedom, rtol=0.02)
    residual = np.average((z - h @ expected) ** 2, 0, weights)
    np.testing.assert_allclose(fit.score, residual / (1 - freedom / weights.sum()) ** 2, rtol=1e-3)
    assert fit.criterion == "gcv"


def test_large_readout_chooses_on_held_out_rows_and_solves_on_all(regression):
    rows, targets, weights = regression
    fit = solve_large(chunked(rows, targets, weights, 100), (40, 2), "holdout", np.zeros(40)).readout
    errors = {}
    for alpha in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
        held = np.arange(900) % 9 == 0
        part = solve_large(
            chunked(rows[~held], targets[~held], weights[~held], 1000), (40, 2), alpha, np.zeros(40)
        ).readout
        errors[alpha] = np.average((part.apply(rows[held]) - targets[held]) ** 2, 0, weights[held])
    best = min(errors, key=lambda alpha: errors[alpha].sum())
    assert fit.criterion == "holdout"
    assert fit.alpha[0] == best
    np.testing.assert_allclose(fit.score, errors[best], rtol=1e-4)
    whole = solve_large(chunked(rows, targets, weights, 300), (40, 2), best, np.zeros(40)).readout
    np.testing.assert_allclose(fit.coefficients, whole.coefficients, rtol=0, atol=1e-5)


def test_large_readout_with_dependent_columns_goes_to_float64(regression):
    rows, targets, weights = regression
    rows = np.hstack([rows, rows + 1e-3]) * 30
    chunks = chunked(rows, targets, weights, 100)
    fit = solve_large(chunks, (80, 2), 1e-8, rows.mean(axis=0)).readout
    assert np.isfinite(fit.coefficients).all()
    assert np.square(fit.apply(rows) - targets).mean() < 0.26
    with pytest.raises(ValueError, match="more than 0"):
        solve_large(chunks, (80, 2), 0.0, np.zeros(80))
    with pytest.raises(ValueError, match="held out"):
        solve_large(lambda: [LargeChunk(rows, targets, weights, np.zeros(900, bool))], (80, 2), "holdout", np.zeros(80))


SETTINGS = ImageSettings(banks=((3, 4), (5, 3)), units=60, diagonals=6, window=6, step=3)


@pytest.fixture(scope="module")
def pictures():
    """Bars that lie, stand or lean, somewhere, under noise."""
    rng = np.random.default_rng(3)
    kinds = rng.integers(3, size=700)
    result = 0.3 * rng.random((700, 18, 18))
    for image, kind in zip(result, kinds, strict=True):
        y, x = rng.integers(1, 9, 2)
        for t in range(8):
            image[y + (t if kind != 0 else 0), x + (t if kind != 1 else 0)] += 0.7
    return result.reshape(700, -1), (kinds[:, None] == np.arange(3)).astype(float)


@pytest.fixture(scope="module")
def fitted(pictures):
    return fit_images(pictures[0][:500], pictures[1][:500], (18, 18), settings=SETTINGS, rng=0)


def test_it_tells_bars_apart(fitted, pictures):
    x, z = pictures
    assert (fitted.decision(x[500:]).argmax(axis=1) == z[500:].argmax(axis=1)).mean() > 0.95
    assert fitted.readout.criterion == "holdout"


def test_features_are_their_formula(fitted, pictures):
    hidden = fitted.hidden
    assert isinstance(hidden, ImageFeatures)
    scaled = fitted.inputs.apply(pictures[0][:20])
    pooled = (np.hstack([bank.features(scaled) for bank in hidden.patches]) - hidden.mean) / hidden.scale
    layer = np.tanh(pooled[:, hidden.layer.source] @ hidden.layer.weight.toarray().T + hidden.layer.bias)
    np.testing.assert_allclose(fitted.features(pictures[0][:20]), np.hstack([pooled, layer]), rtol=0, atol=2e-5)
    # 4 and 3 filters, two thresholds, and a layer of 60 units; tied numbers count once.
    hidden_count = 4 * 9 + 3 * 25 + 2 + hidden.layer.weight.nnz + 60
    assert fitted.parameter_count() == (hidden_count, 3 * (hidden.columns + 1), hidden_count + 3 * hidden.columns + 3)
    assert hidden.columns == 2 * 7 * 25 + 60


def test_the_seed_decides_everything(fitted, pictures):
    x, z = pictures
    again = fit_images(x[:500], z[:500], (18, 18), settings=SETTINGS, rng=0)
    other = fit_images(x[:500], z[:500], (18, 18), settings=SETTINGS, rng=1)
    np.testing.assert_array_equal(again.decision(x), fitted.decision(x))
    assert np.abs(other.decision(x) - fitted.decision(x)).max() > 1e-3


def test_chunks_do_not_change_results(fitted, pictures, monkeypatch):
    x, z = pictures
    parts = np.vstack([fitted.decision(x[i : i + 33]) for i in range(0, 700, 33)])
    np.testing.assert_allclose(parts, fitted.decision(x), rtol=0, atol=1e-5)
    monkeypatch.setattr(images, "_CHUNK", 64)
    other = fit_images(x[:500], z[:500], (18, 18), settings=SETTINGS, rng=0)
    assert other.readout.alpha[0] == fitted.readout.alpha[0]
    np.testing.assert_allclose(other.decision(x), fitted.decision(x), rtol=0, atol=1e-3)


@pytest.mark.parametrize("shape", [(18, 18), (8, 8)])
def test_weights_count_as_repetition(pictures, shape):
    x, z = pictures[0][:200], pictures[1][:200]
    if shape == (8, 8):
        x = x.reshape(-1, 18, 18)[:, 1:17:2, 1:17:2].reshape(200, 64)
    settings = SETTINGS if shape == (18, 18) else None
    weights = np.random.default_rng(0).integers(0, 3, 200)
    once = fit_images(x, z, shape, settings=settings, weights=weights, alpha=1e-2, rng=0)
    repeated = fit_images(
        np.repeat(x, weights, 0), np.repeat(z, weights, 0), shape, settings=settings, alpha=1e-2, rng=0
    )
    np.testing.assert_allclose(once.decision(x), repeated.decision(x), rtol=0, atol=1e-3)
    held = [
        images._held_out(v, np.ones(len(v)) * 200 / len(v), np.random.default_rng(0)) for v in (x, np.repeat(x, 2, 0))
    ]
    np.testing.assert_array_equal(np.repeat(held[0], 2), held[1])
    assert 0 < held[0].sum() < 60


def test_shifted_copies_count_as_further_images(pictures):
    x, z = pictures[0][:300], pictures[1][:300]
    moved = images._shifted(x, (18, 18), (-1, 2)).reshape(-1, 18, 18)
    expected = np.zeros((300, 18, 18))
    expected[:, :17, 2:] = x.reshape(-1, 18, 18)[:, 1:, :16]
    np.testing.assert_array_equal(moved, expected)
    plain, more = (
        fit_images(x, z, (18, 18), settings=ImageSettings(**(BASE | {"shifts": shifts})), alpha=1e-3, rng=0)
        for shifts in (((0, 0),), ((0, 0), (-1, 2)))
    )
    shifted = moved.reshape(300, -1)
    before, after = (((net.decision(shifted) - z) ** 2).mean() for net in (plain, more))
    assert after < 0.7 * before


def test_shifts_between_pixels_are_linear():
    x = np.random.default_rng(0).random((5, 12))
    moved = images._shifted(x, (3, 4), (0.25, -1.5)).reshape(5, 3, 4)
    whole = {s: images._shifted(x, (3, 4), s).reshape(5, 3, 4) for s in ((0, -1), (0, -2), (1, -1), (1, -2))}
    expected = 0.75 * (whole[0, -1] + whole[0, -2]) / 2 + 0.25 * (whole[1, -1] + whole[1, -2]) / 2
    np.testing.assert_allclose(moved, expected, rtol=1e-12)
    np.testing.assert_array_equal(images._shifted(x, (3, 4), (0.0, 0.0)), x)
    np.testing.assert_array_equal(images._shifted(x, (3, 4), (7, 0)), np.zeros_like(x))


def test_scores_of_classes_may_exceed_their_targets(pictures):
    x, z = pictures[0][:500], pictures[1][:500]
    settings = ImageSettings(**BASE, rounds=2)
    plain, asked = (
        train_images(x, z, (18, 18), settings=settings, classification=asked, rng=0) for asked in (False, True)
    )
    np.testing.assert_allclose(asked.model.readout.alpha, plain.model.readout.alpha * 10**0.5)
    own = z.astype(bool)
    for said, truth in (
        (lambda fit: fit.model.decision(pictures[0][500:]), pictures[1][500:].astype(bool)),
        (lambda fit: fit.left_out.scores, own[plain.left_out.rows]),
    ):
        assert said(asked)[truth].mean() > said(plain)[truth].mean() + 0.01
        assert (said(asked)[truth] > 1.0).mean() > (said(plain)[truth] > 1.0).mean()
    steps = []
    fit_images(x, z, (18, 18), settings=settings, classification=True, rng=0, progress=steps.append)
    assert steps[-1].step == steps[-1].steps == 6


def test_networks_of_other_windows_stand_beside(pictures):
    x, z = pictures[0][:500], pictures[1][:500]
    other = ImageSettings(**(BASE | {"window": 8, "step": 2, "units": 30}))
    one, both = ImageSettings(**BASE), ImageSettings(**BASE, beside=(other,))
    steps = []
    alone = train_images(x, z, (18, 18), settings=one, rng=0)
    mean = train_images(x, z, (18, 18), settings=both, rng=0, progress=steps.append)
    assert isinstance(mean.model, Average)
    assert [m.hidden.patches[0].window for m in mean.model.members] == [6, 8]
    decisions = [m.decision(pictures[0]) for m in mean.model.members]
    np.testing.assert_allclose(mean.model.decision(pictures[0]), (decisions[0] + decisions[1]) / 2, rtol=1e-12)
    np.testing.assert_array_equal(mean.model.members[0].hidden.mean, alone.model.hidden.mean)
    assert steps[-1].step == steps[-1].steps == 8
    truth = z[mean.left_out.rows].astype(bool)
    assert (mean.left_out.scores.argmax(axis=1) == truth.argmax(axis=1)).mean() > 0.9
    assert [part.window for part in image_settings((28, 28), 60_000, "accurate").each] == [8, 10]
    for wrong in ({"banks": (), "beside": (other,)}, {"beside": (both,)}):
        with pytest.raises(ValueError, match="networks beside one with filters"):
            ImageSettings(**(BASE | wrong))


def test_settings_are_checked():
    for wrong in (((0, 1),), ()):
        with pytest.raises(ValueError, match="shifts must start"):
            ImageSettings(**BASE, shifts=wrong)
    for options in (BASE | {"rounds": -1}, BASE | {"rounds": 0.5}, BASE | {"banks": (), "rounds": 1}):
        with pytest.raises(ValueError, match="rounds must be"):
            ImageSettings(**options)


def test_small_images_have_copies_while_these_are_affordable():
    for preset, most in (("fast", 3495), ("balanced", 6990)):
        assert len(image_settings((8, 8), most, preset).shifts) == 5
        assert image_settings((8, 8), most + 1, preset).shifts == ((0.0, 0.0),)
    assert image_settings((8, 8), 1500).shifts[1] == (0.0, 0.5)
    assert image_settings((28, 28), 60_000, "accurate").shifts[1] == (0.0, 1.0)
    assert [image_settings((28, 28), 60_000, preset).rounds for preset in ("fast", "balanced", "accurate")] == [0, 0, 2]


BASE = {"banks": ((3, 4), (5, 3)), "units": 60, "diagonals": 6, "window": 6, "step": 3}


def test_steps_are_reported(pictures):
    steps = []
    fit_images(pictures[0][:300], pictures[1][:300], (18, 18), settings=SETTINGS, rng=0, progress=steps.append)
    assert [step.stage for step in steps] == ["filters", "layer", "features", "readout"]
    assert [step.step for step in steps] == [1, 2, 3, 4]
    assert steps[-1].steps == 4


def test_pixels_are_brought_to_their_range():
    rows = np.array([[3.0, 5.0], [7.0, 11.0]])
    scaled = PixelRange.fit(rows)
    np.testing.assert_allclose(scaled.apply(rows), [[0, 0.25], [0.5, 1]])
    np.testing.assert_allclose(scaled.apply(np.array([[-1e300, 1e300]])), [[-1, 2]])
    assert np.isfinite(PixelRange.fit(np.full((2, 2), 4.0)).apply(rows)).all()
    huge = np.array([[-1.7e308, 1.7e308]])
    np.testing.assert_allclose(PixelRange.fit(huge).apply(huge), [[0, 1]])


@pytest.mark.parametrize("preset", ["fast", "balanced", "accurate"])
@pytest.mark.parametrize("shape", [(1, 5), (8, 8), (12, 30), (17, 17), (28, 28), (64, 48)])
@pytest.mark.parametrize("rows", [10, 1000, 60_000])
def test_settings_fit_any_shape(preset, shape, rows):
    for chosen in image_settings(shape, rows, preset).each:
        columns, least = chosen.units, 16
        for side, count in chosen.banks:
            bank = TiedPatches(shape, np.ones((count, side, side)), 0.0, chosen.window, chosen.step)
            columns += bank.columns
            # One filter in each of two banks, both signs, is the least there is.
            least = 4 * bank.grid[0] * bank.grid[1]
        assert 0 < columns <= max(0.7 * rows, least)


def test_bad_input_is_said():
    x, z = np.random.default_rng(0).random((40, 324)), np.ones((40, 1))
    for shape in [(18,), 18, (18.0, 18), (0, 324), "ab", (True, 324)]:
        with pytest.raises(ValueError, match="image_shape must be two integers"):
            fit_images(x, z, shape)
    with pytest.raises(StructureError, match=r"images of 17 x 18 have 306 pixels, got 324"):
        fit_images(x, z, (17, 18))
    with pytest.raises(ValueError, match="preset must be one of"):
        fit_images(x, z, (18, 18), preset="best")
    with pytest.raises(ValueError, match="alpha must be"):
        fit_images(x, z, (18, 18), alpha="loo")
    with pytest.raises(ValueError, match="images must vary"):
        fit_images(np.ones((40, 324)), z, (18, 18))
    with pytest.raises(ValueError, match=r"X and Z must be"):
        fit_images(x, z[1:], (18, 18))
    x[3, 5] = np.nan
    with pytest.raises(NonFiniteError):
        fit_images(x, z, (18, 18))
    pair = TiedPatches((18, 18), np.ones((1, 3, 3), np.float32))
    with pytest.raises(StructureError, match="mean must have shape"):
        ImageFeatures((pair,), np.ones(3), np.ones(3))
    with pytest.raises(StructureError, match="of one shape"):
        ImageFeatures((), np.ones(0), np.ones(0))


def test_digits():
    """One fold of stratified shuffled 5-fold cross-validation; all five folds are in docs/theory/images.md."""
    x, y = load_digits(return_X_y=True)
    train, test = next(StratifiedKFold(5, shuffle=True, random_state=1).split(x, y))
    net = fit_images(x[train], (y[train, None] == np.arange(10)).astype(float), (8, 8), rng=1)
    assert (net.decision(x[test]).argmax(axis=1) == y[test]).mean() >= 0.988
    assert len(net.members) == 3
    assert {member.readout.criterion for member in net.members} == {"loo"}
    weight = net.members[1].hidden.layer.weight
    assert {offset % 64 for offset in weight.offsets} == {(8 * a + b) % 64 for a in range(-2, 3) for b in range(-2, 3)}
    assert net.parameter_count().hidden == 3 * 960 * 26


def test_statistics_agree_with_the_small_readout(regression):
    rows, targets, weights = regression
    scale = Statistics.from_rows(rows, targets, weights).column_scale()
    small = ridge(Statistics.from_rows(rows / scale, targets, weights), 1e-2)
    large = solve_large(chunked(rows / scale, targets, weights, 200), (40, 2), 1e-2, np.zeros(40)).readout
    np.testing.assert_allclose(large.coefficients, small.coefficients, rtol=0, atol=1e-5)
