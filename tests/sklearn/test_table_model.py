"""Tables with named columns: what is stored says all, and gives what scikit-learn's transformers gave."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from stridiag.errors import FileFormatError
from stridiag.nn import storage
from stridiag.sklearn import TableModel, load
from stridiag.sklearn.labels import Labels
from stridiag.sklearn.table_encoding import Column, TableEncoding

SMALL = {"training": "random", "units": 16, "layers": 1, "random_state": 0}


def table(n=300, seed=0):
    rng = np.random.default_rng(seed)
    number = rng.standard_normal(n) * 1e3
    towns = rng.choice(["a", "b", "c", "rare", "x", "y", "z"], n, p=[0.4, 0.3, 0.27, 0.01, 0.01, 0.005, 0.005])
    return {
        "full": number.tolist(),
        "gaps": [None if k % 7 == 0 else float(v) for k, v in enumerate(number)],
        "town": [None if k % 11 == 0 else str(v) for k, v in enumerate(towns)],
        "sure": [str(v) for v in rng.choice(["yes", "no"], n)],
    }


def test_the_transformers_made_anew_are_those_that_were_fitted(tmp_path):
    rows = table()
    encoding = TableEncoding.fit(rows)
    storage.save(encoding, tmp_path / "e")
    again = storage.load(tmp_path / "e")
    numbers = np.array([rows["full"], rows["gaps"]], float).T
    texts = np.array([rows["town"], rows["sure"]], object).T
    imputer = SimpleImputer(strategy="median", add_indicator=True).fit(numbers)
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=5, max_categories=50, sparse_output=False
    ).fit(texts)
    for seed in (0, 1):
        new = table(50, seed)
        new["town"][:3] = ["never seen", None, "rare'"]
        new["sure"][:2] = [None, "perhaps"]
        numbers = np.array([new["full"], new["gaps"]], float).T
        texts = np.array([new["town"], new["sure"]], object).T
        wanted = np.hstack((imputer.transform(numbers), one_hot.transform(texts)))
        assert np.array_equal(encoding.transform(new), wanted)
        assert np.array_equal(again.transform(new), wanted)
    assert again.digest == encoding.digest
    assert len(again.names) == wanted.shape[1]


@pytest.mark.parametrize("scale", [5e-324, 1e308])
def test_medians_come_back_to_the_last_bit(scale):
    encoding = TableEncoding((Column("x", "number", True, scale), Column("y", "number", False, -scale)), ())
    assert encoding.transform({"x": [None], "y": [None]}).tolist() == [[scale, -scale, 1.0]]


def test_a_category_called_like_the_mark_of_rare_ones():
    rows = {"t": ["rare"] * 10 + ["rare'"] * 10 + ["a"]}
    encoding = TableEncoding.fit(rows)
    assert encoding.transform({"t": ["rare", "rare'", "a", "b"]}).tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [0, 0, 1],
    ]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_tables_of_all_makers(library, tmp_path):
    rows = table()
    rows["y"] = [v / 1e3 + (t == "a") for v, t in zip(rows["full"], rows["town"], strict=True)]
    model = TableModel.fit(rows, "y", options=SMALL)
    model.save(tmp_path / "m")
    module = pytest.importorskip(library)
    made = module.table(rows) if library == "pyarrow" else module.DataFrame(rows)
    assert np.array_equal(load(tmp_path / "m").predict(made), model.predict(rows))


def test_truth_values_and_whole_numbers_come_back_as_such():
    rows = table()
    rows["y"] = [v > 0 for v in rows["full"]]
    rows["k"] = [3 if v > 0 else 7 for v in rows["full"]]
    found = TableModel.fit(rows, "y", drop=["k"], options=SMALL).predict(rows)
    assert found.dtype == bool
    assert TableModel.fit(rows, "k", drop=["y"], options=SMALL).predict(rows).dtype.kind == "i"


def test_accuracy_of_calibration_counts_weights():
    labels = Labels.of(np.array(["a", "b"]))
    scores, truth = np.array([[1.0], [-0.5], [0.2], [-0.1]]), np.array([[1.0], [1.0], [-1.0], [-1.0]])
    assert labels.calibrate(scores, truth, np.array([1.0, 2.0, 3.0, 4.0])).accuracy == 0.5


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"category"', '"code"'),
        ('"name": "TableEncoding"', '"name": "os.system"'),
        ('"missing": true', '"missing": 1'),
        ('"name": "town"', '"name": "gaps"'),
        ('"fill": 0.0', '"fill": "x"'),
    ],
)
def test_what_a_file_claims_is_checked(tmp_path, old, new):
    rows = table()
    rows["y"] = rows["full"]
    TableModel.fit(rows, "y", drop=["full"], options=SMALL).save(tmp_path / "m")
    with zipfile.ZipFile(tmp_path / "m") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    text = np.lib.format.read_array(io.BytesIO(members["header.npy"])).tobytes().decode()
    if old not in text:
        pytest.fail(f"{old} is not in {text[:2000]}")
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.frombuffer(text.replace(old, new, 1).encode(), np.uint8))
    with zipfile.ZipFile(tmp_path / "bad", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, stream.getvalue() if name == "header.npy" else content)
    with pytest.raises(FileFormatError):
        load(tmp_path / "bad")
