"""Rows in .npy files, and rows that a function makes."""

from __future__ import annotations

import numpy as np
import pytest

from stridiag.errors import FileFormatError, NonFiniteError
from stridiag.tables import Position, open_arrays, open_chunks

RNG = np.random.default_rng(0)
X = RNG.standard_normal((500, 4))
Y = RNG.integers(0, 3, 500)


def stored(tmp_path, name, array):
    np.save(tmp_path / name, array)
    return tmp_path / name


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, ">f8"])
def test_rows_of_arrays(order, dtype, tmp_path):
    whole = np.asarray(10 * X, dtype, order=order)
    for i, part in enumerate((whole[:180], whole[180:])):
        stored(tmp_path, f"x{i}.npy", np.asarray(part, order=order))
        stored(tmp_path, f"y{i}.npy", Y[:180] if i == 0 else Y[180:])
    source = open_arrays(tmp_path / "x*.npy", tmp_path / "y*.npy", chunk_rows=70)
    assert (source.rows, source.width) == (500, 4)
    chunks = list(source.read())
    assert [c.rows.shape[0] for c in chunks] == [70, 70, 40, 70, 70, 70, 70, 40]
    np.testing.assert_array_equal(np.vstack([c.rows for c in chunks]), whole.astype(float))
    np.testing.assert_array_equal(np.concatenate([c.targets for c in chunks]), Y)
    np.testing.assert_array_equal(next(source.read(Position(1, 70))).rows, whole[250:320].astype(float))
    index = np.array([0, 179, 180, 499])
    np.testing.assert_array_equal(source.take(index).rows, whole[index].astype(float))


def test_targets_in_columns_labels_and_weights(tmp_path):
    path = stored(tmp_path, "all.npy", X)
    chunk = next(open_arrays(path, -1).read())
    np.testing.assert_array_equal(chunk.rows, X[:, :3])
    np.testing.assert_array_equal(chunk.targets, X[:, 3])
    assert next(open_arrays(path, [0, 2]).read()).targets.shape == (500, 2)
    assert next(open_arrays(path, None).read()).targets.shape == (500, 0)
    words = stored(tmp_path, "words.npy", np.array(["a", "bb", "c"])[Y])
    weights = stored(tmp_path, "w.npy", np.arange(500))
    chunk = next(open_arrays(path, words, weights, labels=True).read())
    assert chunk.targets[:3].tolist() == np.array(["a", "bb", "c"])[Y[:3]].tolist()
    np.testing.assert_array_equal(chunk.weights, np.arange(500.0))
    with pytest.raises(ValueError, match="labels=True"):
        open_arrays(path, words)


def test_bad_arrays(tmp_path):
    path = stored(tmp_path, "x.npy", X)
    with pytest.raises(ValueError, match="as many in each file"):
        open_arrays(path, stored(tmp_path, "short.npy", Y[:10]))
    with pytest.raises(ValueError, match="different columns"):
        open_arrays(path, 4)
    with pytest.raises(ValueError, match=r"must hold a table"):
        open_arrays(stored(tmp_path, "flat.npy", Y), -1)
    (tmp_path / "cut.npy").write_bytes(path.read_bytes()[:-8])
    with pytest.raises(FileFormatError, match="cut off: shape"):
        open_arrays(tmp_path / "cut.npy", -1)
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(FileFormatError, match="not an array file"):
        open_arrays(tmp_path / "text.npy", -1)
    np.save(tmp_path / "objects.npy", np.array([{}, 1], object), allow_pickle=True)
    with pytest.raises(FileFormatError, match="holds object"):
        open_arrays(tmp_path / "objects.npy", -1)
    (tmp_path / "zero.npy").touch()
    with pytest.raises(FileFormatError, match="is empty"):
        open_arrays(tmp_path / "zero.npy", -1)
    with pytest.raises(ValueError, match="no rows"):
        open_arrays(stored(tmp_path, "none.npy", X[:0]), -1)
    with pytest.raises(ValueError, match="has 3 columns"):
        open_arrays([path, stored(tmp_path, "narrow.npy", X[:, :3])], -1)
    bad = X.copy()
    bad[333, 2] = np.nan
    source = open_arrays(stored(tmp_path, "bad.npy", bad), -1, chunk_rows=100)
    with pytest.raises(NonFiniteError, match="row 333 has nan in column '2'"):
        list(source.read())
    with pytest.raises(NonFiniteError, match="row 333 has nan"):
        source.take([5, 333])
    weights = np.ones(500)
    weights[7] = -2.0
    with pytest.raises(ValueError, match="row 7 has the weight -2"):
        next(open_arrays(path, -1, stored(tmp_path, "w.npy", weights)).read())


def test_numbers_whose_sum_overflows_are_finite(tmp_path):
    path = stored(tmp_path, "huge.npy", np.full((4, 2), 1e308))
    assert next(open_arrays(path, -1).read()).rows.shape == (4, 1)


def make(first):
    return ((X[i * 120 : (i + 1) * 120], Y[i * 120 : (i + 1) * 120]) for i in range(first, 5))


def test_chunks_of_a_function_are_cut_and_resumed():
    source = open_chunks(make, key="five", chunk_rows=50)
    chunks = list(source.read())
    assert [tuple(c.after) for c in chunks[:4]] == [(0, 50), (0, 100), (1, 0), (1, 50)]
    np.testing.assert_array_equal(np.vstack([c.rows for c in chunks]), X)
    np.testing.assert_array_equal(np.vstack([c.rows for c in source.read(chunks[3].after)]), X[170:])


def test_bad_chunks():
    with pytest.raises(ValueError, match="at least one chunk"):
        open_chunks(lambda first: iter(()), key="none")
    with pytest.raises(TypeError, match="a chunk must be"):
        open_chunks(lambda first: [X], key="bare")
    with pytest.raises(ValueError, match="key must be"):
        open_chunks(make, key="")
    bad = X.copy()
    bad[3, 1] = np.inf
    source = open_chunks(lambda first: [(X, Y), (bad, Y)][first:], key="bad")
    with pytest.raises(NonFiniteError, match="chunk 1: row 3 has inf in column '1'"):
        list(source.read())


def test_scattered_rows_are_read_through_small_maps(tmp_path, monkeypatch):
    source = open_arrays(stored(tmp_path, "x.npy", X), -1, chunk_rows=100)
    spans, usual = [], type(source)._piece
    monkeypatch.setattr(
        type(source),
        "_piece",
        lambda self, part, some, first: spans.append(np.ptp(some)) or usual(self, part, some, first),
    )
    index = np.arange(0, 500, 7)
    np.testing.assert_array_equal(source.take(index).rows, X[index, :3])
    assert max(spans) < 100
    assert len(spans) == 5
