from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse

from stridiag.errors import FileFormatError, NonFiniteError
from stridiag.nn import Statistics, chunks, deviations
from stridiag.nn.chunks import indicators
from stridiag.nn.storage import save

FIELDS = ("weight", "row_mean", "target_mean", "scatter", "cross", "target_scatter", "count")


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Chunks of some rows, and tiles of some columns."""
    monkeypatch.setattr(chunks, "_CHUNK", 100)
    monkeypatch.setattr(deviations, "_TILE", 3)


@pytest.fixture
def data():
    rng = np.random.default_rng(2)
    h = rng.standard_normal((90, 7)) * np.logspace(-3, 3, 7) + 1e3
    return h, rng.standard_normal((90, 2)) - 5, rng.random(90) + 0.1


def close(a, b, tolerance=1e-12):
    for field in FIELDS:
        x, y = np.asarray(getattr(a, field)), np.asarray(getattr(b, field))
        assert x.shape == y.shape
        assert np.abs(x - y).max() <= tolerance * np.abs(y).max(), field


def containers(h):
    yield h
    yield h.tolist()
    yield np.asfortranarray(h)
    for form in (scipy.sparse.csr_array, scipy.sparse.coo_array, scipy.sparse.csc_matrix):
        yield form(h)
    pandas, polars, arrow = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    names = [f"c{j}" for j in range(h.shape[1])]
    # An index that is neither sorted nor an integer from 0 on.
    yield pandas.DataFrame(h, columns=names, index=np.linspace(5, 0, len(h)))
    yield polars.DataFrame(h, schema=names)
    yield arrow.table(dict(zip(names, h.T, strict=True)))


def test_every_container_gives_what_numpy_gives(data):
    h, z, d = data
    mean, target_mean = d @ h / d.sum(), d @ z / d.sum()
    a, b = h - mean, z - target_mean
    whole = Statistics(d.sum(), mean, target_mean, a.T @ (d[:, None] * a), a.T @ (d[:, None] * b), d @ b**2, len(h))
    found = 0
    for rows, targets in zip(containers(h), containers(z), strict=True):
        result = Statistics.from_data(rows, targets, d)
        close(result, whole, 1e-11)
        np.testing.assert_array_equal(result.scatter, result.scatter.T)
        found += 1
    assert found == 9
    pieces = ((h[i : i + 13], z[i : i + 13], d[i : i + 13]) for i in range(0, 90, 13))
    close(Statistics.from_data(pieces), whole, 1e-11)
    close(Statistics.from_data(iter([(h[:50], z[:50], d[:50])])).accumulate(h[50:], z[50:], d[50:]), whole, 1e-11)
    torch = pytest.importorskip("torch")
    close(Statistics.from_data(torch.from_numpy(h), torch.from_numpy(z), torch.from_numpy(d)), whole, 1e-11)


@pytest.mark.parametrize("size", [1, 7, 40, 700])
def test_chunks_of_any_size_agree(data, monkeypatch, size):
    h, z, d = data
    monkeypatch.setattr(chunks, "_CHUNK", size)
    close(Statistics.from_data(h, z, d), Statistics.from_rows(h, z, d))


def test_features_are_made_chunk_by_chunk(data):
    h, z, _ = data
    seen = []

    def features(rows):
        seen.append(len(rows))
        return np.tanh(rows[:, :3])

    close(Statistics.from_data(h, z, features=features), Statistics.from_rows(np.tanh(h[:, :3]), z))
    assert sum(seen) == 90
    assert max(seen) == 14


def test_labels_and_weights_of_classes(data):
    h, _, d = data
    labels = np.array(["x", "y", "z"])[np.arange(90) % 3]
    z = np.where(labels[:, None] == ["x", "y", "z", "never"], 1.0, -1.0)
    options = {"classes": ["x", "y", "z", "never"], "class_weights": {"y": 3.0, "z": 0.0}}
    factor = np.array([1.0, 3.0, 0.0])[np.arange(90) % 3]
    for y in (labels, list(labels), pytest.importorskip("pandas").Series(labels)):
        close(Statistics.from_data(h, y, d, **options), Statistics.from_rows(h, z, d * factor))
    np.testing.assert_array_equal(indicators([[1], [0]], [0, 1]), [[-1.0, 1.0], [1.0, -1.0]])


def test_constant_targets_are_added_exactly(data):
    h, z, d = data
    wide = Statistics.from_rows(h, z, d).with_constant_targets([-1.0, 4.0]).with_targets([2, 0, 3, 1])
    columns = np.column_stack((np.full(90, -1.0), z[:, 0], np.full(90, 4.0), z[:, 1]))
    close(wide, Statistics.from_rows(h, columns, d))


def test_memory_is_that_of_a_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "_CHUNK", 1 << 14)
    shape = (100_000, 8)
    rows = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float64, shape)
    rows[:] = np.random.default_rng(0).standard_normal(shape) + 1.0
    rows.flush()
    rows = np.load(tmp_path / "x.npy", mmap_mode="r")
    tracemalloc.start()
    result = Statistics.from_data(rows, rows[:, :1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The weights, and some arrays of the size of a chunk; the rows are 6.4 MB.
    assert peak < 8 * shape[0] + 10 * 8 * (1 << 14)
    close(result, Statistics.from_rows(np.array(rows), np.array(rows[:, :1])), 1e-11)


def test_files(data, tmp_path):
    h, z, d = data
    path = tmp_path / "s.npz"
    whole = Statistics.from_rows(h, z, d)
    whole.save(path)
    close(Statistics.load(path), whole, 0.0)
    save((1, 2), path)
    with pytest.raises(FileFormatError, match="holds no statistics but a tuple"):
        Statistics.load(path)
    with pytest.raises(ValueError, match="cannot have arrays of shapes"):
        Statistics(1.0, np.zeros(2), np.zeros(1), np.zeros((2, 3)), np.zeros((2, 1)), np.zeros(1), 1)


def test_failures(data):
    h, z, d = data
    with pytest.raises(ValueError, match="as many"):
        Statistics.from_data(h, z[:-1])
    with pytest.raises(ValueError, match="as many"):
        Statistics.from_data(h, z, d[:-1])
    with pytest.raises(ValueError, match="belong into the chunks"):
        Statistics.from_data(iter([(h, z)]), weights=d)
    with pytest.raises(ValueError, match="two-dimensional"):
        Statistics.from_data(h[:, 0], z)
    with pytest.raises(ValueError, match="must agree"):
        Statistics.from_data([(h, z), (h[:, :2], z)])
    with pytest.raises(ValueError, match="at least one row"):
        Statistics.from_data([])
    with pytest.raises(TypeError, match="iterable of"):
        Statistics.from_data(h)
    with pytest.raises(TypeError, match="a chunk must be"):
        Statistics.from_data([(h,)])
    with pytest.raises(TypeError, match="expected an array"):
        Statistics.from_data(3, z)
    with pytest.raises(TypeError, match="rows must hold numbers"):
        Statistics.from_data([["a"], ["b"]], [1, 2])
    with pytest.raises(TypeError, match="real numbers"):
        Statistics.from_data(h * 1j, z)
    with pytest.raises(ValueError, match="is not among the classes"):
        Statistics.from_data(h[:2], ["a", "c"], classes=["a", "b"])
    with pytest.raises(ValueError, match="'c', which is not among"):
        Statistics.from_data(h[:2], ["a", "b"], classes=["a", "b"], class_weights={"c": 1.0})
    with pytest.raises(ValueError, match="finite and nonnegative"):
        Statistics.from_data(h[:2], ["a", "b"], classes=["a", "b"], class_weights={"a": -1.0})
    with pytest.raises(ValueError, match="need classes"):
        Statistics.from_data(h, z, class_weights={"a": 1.0})
    with pytest.raises(ValueError, match="one-dimensional"):
        indicators(np.zeros((2, 2)), [0.0])
    h[3, 3] = np.inf
    with pytest.raises(NonFiniteError, match="rows must be finite"):
        Statistics.from_data(h, z)
