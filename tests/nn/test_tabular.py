from __future__ import annotations

import numpy as np
import pytest

from stridiag.errors import NonFiniteError
from stridiag.nn.relevance import WIDE
from stridiag.nn.sampling import RowSampler
from stridiag.nn.storage import load, save
from stridiag.nn.table_rows import TableRows
from stridiag.nn.tabular import fit_tabular, train_tabular
from stridiag.nn.training import Progress

OPTIONS = {
    "preset": "fast",
    "memory": "auto",
    "mixing": "auto",
    "units": None,
    "networks": None,
    "alpha": "loo",
    "weights": None,
    "rng": 0,
    "classification": False,
    "progress": None,
}


@pytest.fixture(scope="module")
def friedman():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(900, 8))
    z = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    return x, (z + 0.3 * rng.standard_normal(900))[:, None]


def error(model, x, z):
    return np.sqrt(np.mean((model.decision(x) - z) ** 2, axis=0)) / z.std(axis=0)


@pytest.mark.parametrize("mixing", ["auto", "dense", "structured"])
def test_a_smooth_function_is_found(friedman, mixing):
    x, z = friedman
    model = fit_tabular(x[:600], z[:600], mixing=mixing, rng=0)
    assert error(model, x[600:], z[600:])[0] < 0.15
    if mixing == "structured":
        assert model.premix_count == 0
    if mixing == "dense":
        assert all(m.hidden.premix is not None or not m.hidden.mixed for m in model.members)


def test_sharp_relevance_finds_two_columns_among_many(monkeypatch):
    """Without noise, copies of columns and columns that do not matter cost little."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1200, 12))
    x[:, 4:8] = x[:, :4] + 1e-3 * rng.standard_normal((1200, 4))
    z = np.log(np.exp(x[:, 8:9]) + np.exp(1.5 * x[:, 9:10]))

    def scored():
        model = fit_tabular(x[:800], z[:800], memory=False, networks=1, units=400, rng=0)
        return error(model, x[800:], z[800:])[0]

    sharp = scored()
    monkeypatch.setattr("stridiag.nn.tabular._CLEAR", 0.0)
    assert sharp < 0.7 * scored()


def test_under_noise_relevance_stays_blunt(friedman, monkeypatch):
    x, z = friedman
    z = z + z.std() * np.random.default_rng(1).standard_normal(z.shape)
    here = fit_tabular(x[:300], z[:300], networks=1, rng=0).decision(x[300:350])
    monkeypatch.setattr("stridiag.nn.tabular._CLEAR", 0.0)
    np.testing.assert_array_equal(here, fit_tabular(x[:300], z[:300], networks=1, rng=0).decision(x[300:350]))


@pytest.mark.parametrize(("deviation", "single"), [(0.0, False), (0.05, True)])
def test_all_digits_are_kept_where_they_count(deviation, single, monkeypatch):
    """A line leaves nothing and is solved in double precision; a little noise allows half the work."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((900, 3))
    z = x @ [[1.0], [-2.0], [0.5]] + deviation * rng.standard_normal((900, 1))
    last = []
    solve = TableRows.solve

    def noted(*arguments, **options):
        last.append(solve(*arguments, **options))
        return last[-1]

    monkeypatch.setattr(TableRows, "solve", noted)
    model = fit_tabular(x[:800], z[:800], memory=False, networks=1, units=400, rng=0)
    assert (last[-1].reader.dtype == np.float32) == single
    assert last[-1].hidden.dtype == np.float64
    assert error(model, x[800:], z[800:])[0] < (0.04 if single else 1e-4)


def test_seeds_decide_everything(friedman):
    x, z = friedman
    first, same, other = (fit_tabular(x[:300], z[:300], networks=2, rng=s).decision(x[300:400]) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-6


def test_order_of_rows_does_not_matter(friedman):
    x, z = friedman
    order = np.random.default_rng(0).permutation(400)
    for memory in (False, True):
        first = fit_tabular(x[:400], z[:400], networks=2, memory=memory, rng=0).decision(x[400:])
        second = fit_tabular(x[order], z[order], networks=2, memory=memory, rng=0).decision(x[400:])
        np.testing.assert_allclose(first, second, atol=1e-5 * z.std())


def test_weights_are_repetitions(friedman):
    x, z = friedman
    counts = np.random.default_rng(0).integers(0, 3, 300)
    options = {"networks": 2, "memory": False, "rng": 0}
    weighted = fit_tabular(x[:300], z[:300], weights=counts, **options).decision(x[300:])
    repeated = fit_tabular(np.repeat(x[:300], counts, axis=0), np.repeat(z[:300], counts, axis=0), **options)
    np.testing.assert_allclose(repeated.decision(x[300:]), weighted, atol=1e-5 * z.std())


def test_left_out_scores_predict_the_error(friedman):
    x, z = friedman
    for memory in (False, True):
        trained = train_tabular(x[:600], z[:600], **{**OPTIONS, "memory": memory})
        rows, scores = trained.left_out
        own = np.sqrt(np.mean((scores - z[rows]) ** 2)) / z.std()
        inside = error(trained.model, x[:600], z[:600])[0]
        outside = error(trained.model, x[600:], z[600:])[0]
        assert inside < own
        assert 0.6 * outside < own < 1.5 * outside


def test_left_out_scores_are_exact_given_the_hidden_part(friedman):
    """Refit the one network's readout without a row; means and deviations of the whole are kept."""
    x, z = friedman[0][:200], friedman[1][:200]
    trained = train_tabular(x, z, **{**OPTIONS, "memory": False, "networks": 1, "units": 30, "alpha": 0.01})
    model = trained.model
    features = model.members[0].hidden.features(model.inputs.apply(x))
    h, y = features - features.mean(axis=0), z - z.mean()
    deviation = h.std(axis=0)
    h = np.column_stack((h / np.maximum(deviation, 0.01), np.ones(200)))
    penalty = 200 * 0.01 * np.diag([*np.ones(h.shape[1] - 1), 0.0])
    for i in (0, 99, 199):
        keep = np.arange(200) != i
        beta = np.linalg.solve(h[keep].T @ h[keep] + penalty, h[keep].T @ y[keep])
        np.testing.assert_allclose(trained.left_out.scores[i], h[i] @ beta + z.mean(), rtol=1e-8)


def test_memory_comes_where_it_helps_only():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1200, 2))
    smooth = x[:, :1] + 0.3 * rng.standard_normal((1200, 1))
    assert fit_tabular(x, smooth, rng=0).memory is None
    # Rows that nearly repeat, with values that nothing but the neighbours tells.
    centre = rng.uniform(-1, 1, (150, 6))
    level = rng.standard_normal((150, 1))
    rows = np.repeat(centre, 8, axis=0) + 1e-3 * rng.standard_normal((1200, 6))
    rough = np.repeat(level, 8, axis=0) + 0.05 * rng.standard_normal((1200, 1))
    with_memory = fit_tabular(rows[::2], rough[::2], units=40, rng=0)
    without = fit_tabular(rows[::2], rough[::2], units=40, memory=False, rng=0)
    assert with_memory.memory is not None
    assert without.memory is None
    assert error(with_memory, rows[1::2], rough[1::2])[0] < 0.5 * error(without, rows[1::2], rough[1::2])[0]


def test_memory_of_many_rows_is_the_same_by_either_way(friedman):
    """Above 1,500 rows a cheaper look comes first; what it lets through is exact all the same."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2000, 3))
    z = np.sign(np.sin(9 * x[:, :1]) * np.sin(9 * x[:, 1:2]))
    auto = fit_tabular(x, z, units=60, networks=1, rng=0)
    always = fit_tabular(x, z, units=60, networks=1, memory=True, rng=0)
    assert auto.memory is not None
    np.testing.assert_allclose(auto.memory.residuals, always.memory.residuals, atol=1e-9)


@pytest.mark.parametrize("classes", [2, 4])
def test_classes(classes):
    rng = np.random.default_rng(0)
    centres = 2.5 * rng.standard_normal((classes, 5))
    label = rng.integers(0, classes, 600)
    x = centres[label] + rng.standard_normal((600, 5))
    z = np.where(label[:, None] == np.arange(classes), 1.0, -1.0)
    z = z[:, 1:] if classes == 2 else z
    model = fit_tabular(x[:400], z[:400], classification=True, rng=0)
    scores = model.decision(x[400:])
    assert scores.shape == (200, z.shape[1])
    guess = (scores[:, 0] > 0).astype(int) if classes == 2 else scores.argmax(axis=1)
    assert np.mean(guess == label[400:]) > 0.85
    assert np.isinf(model.upper).all()


def test_outputs_of_different_scale(friedman):
    x, z = friedman
    both = np.hstack((1e9 * z + 1e12, x[:, 5:6] * 1e-9, np.full_like(z, 3.0)))
    model = fit_tabular(x[:500], both[:500], rng=0)
    out = model.decision(x[500:])
    spread = np.sqrt(np.mean((out - both[500:]) ** 2, axis=0))[:2] / both[:, :2].std(axis=0)
    assert (spread < 0.2).all()
    np.testing.assert_allclose(out[:, 2], 3.0, rtol=1e-12)


@pytest.mark.parametrize("scale", [2.0**-660, 2.0**660])
def test_huge_scales(friedman, scale):
    x, z = friedman
    plain = fit_tabular(x[:200], z[:200], networks=1, rng=0).decision(x[200:300])
    scaled = fit_tabular(x[:200] * scale, z[:200] * 2.0**330, networks=1, rng=0).decision(x[200:300] * scale)
    np.testing.assert_allclose(scaled / 2.0**330, plain, atol=1e-4 * z.std())


def test_constant_columns_change_nothing_much(friedman):
    x, z = friedman
    wide = np.column_stack((x, np.full(900, 5.0)))
    assert error(fit_tabular(wide[:600], z[:600], rng=0), wide[600:], z[600:])[0] < 0.2
    model = fit_tabular(np.ones((20, 3)), np.arange(20.0)[:, None], rng=0)
    np.testing.assert_allclose(model.decision(np.ones((2, 3))), 9.5, atol=1e-9)


@pytest.mark.parametrize("n", [2, 3, 7, 25])
def test_fewer_rows_than_columns(n):
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((n, 40)), rng.standard_normal((n, 2))
    for memory in ("auto", True):
        out = fit_tabular(x, z, memory=memory, rng=0).decision(x)
        assert out.shape == (n, 2)
        assert np.isfinite(out).all()


def test_thousands_of_columns():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 2000))
    Z = X[:, :40] @ rng.standard_normal((40, 1)) + 10.0 * np.sign(X[:, 50:51])
    model = fit_tabular(X[:200], Z[:200], rng=0)
    assert model.members[0].hidden.inputs > WIDE
    # One column in fifty matters: 0.97 of the variance is what ridge regression leaves.
    assert np.square(model.decision(X[200:]) - Z[200:]).mean() < 0.9 * Z[200:].var()
    # No numbers for pairs of columns.
    assert model.memory.metric.ndim == 1


def test_a_model_in_a_file_is_the_same(friedman, tmp_path):
    x, z = friedman
    for mixing in ("dense", "structured"):
        model = fit_tabular(x[:200], z[:200], networks=2, memory=True, mixing=mixing, rng=0)
        save(model, tmp_path / "model.npz")
        np.testing.assert_array_equal(load(tmp_path / "model.npz").decision(x), model.decision(x))


def test_progress(friedman):
    seen: list[Progress] = []
    fit_tabular(friedman[0][:100], friedman[1][:100], networks=2, rng=0, progress=seen.append)
    assert [p.stage for p in seen] == ["relevance", "network", "network", "memory"]
    assert [p.step for p in seen] == [1, 2, 3, 4]
    assert {p.steps for p in seen} == {4}


@pytest.mark.parametrize(
    ("option", "match"),
    [
        ({"preset": "slow"}, "preset"),
        ({"mixing": "none"}, "mixing"),
        ({"memory": "yes"}, "memory"),
        ({"memory": 1}, "memory"),
        ({"units": 0}, "units"),
        ({"units": 3.0}, "units"),
        ({"networks": True}, "networks"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": "gcv"}, "alpha"),
        ({"alpha": np.nan}, "alpha"),
        ({"weights": [1.0]}, "weights"),
    ],
)
def test_unknown_options(friedman, option, match):
    with pytest.raises(ValueError, match=match):
        fit_tabular(friedman[0], friedman[1], **option)


def test_bad_data(friedman):
    x, z = friedman
    with pytest.raises(NonFiniteError, match="X"):
        fit_tabular(np.where(x > 0.999, np.nan, x), z)
    with pytest.raises(ValueError, match="must be"):
        fit_tabular(x, z[:, 0])
    with pytest.raises(ValueError, match="2 rows"):
        fit_tabular(x[:1], z[:1])


def test_every_other_row_is_the_same_whatever_the_order():
    rng = np.random.default_rng(0)
    rows, order = rng.standard_normal((101, 3)), rng.permutation(101)
    first = RowSampler(rows, np.ones(101), np.random.default_rng(1))
    second = RowSampler(rows[order], np.ones(101), np.random.default_rng(1))
    chosen = first.every_other(np.arange(101))
    assert chosen.size == 51
    assert set(chosen) == set(order[second.every_other(np.arange(101))])
