"""Tables that ended in errors of other libraries, or in none: empty ones, capitals, truth values, weights in part."""

import gzip

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from stridiag import FileFormatError
from stridiag.sklearn import StridiagRegressor, fit_stream, predict_stream
from stridiag.tables import open_arrays, open_chunks, open_tables

pytest.importorskip("pyarrow")

X = np.random.default_rng(0).standard_normal((60, 2))
NETWORK = StridiagRegressor(units=4, layers=1, random_state=0)


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("sample", ["random", "first"])
def test_a_table_without_rows(tmp_path, sample):
    source = open_tables(write(tmp_path / "t.csv", "a,b,y\n"), "y")
    with pytest.raises(ValueError, match="no rows"):
        fit_stream(NETWORK, source, sample=sample)


def test_one_file_by_two_names(tmp_path):
    (tmp_path / "folder").mkdir()
    file = write(tmp_path / "t.csv", "a,y\n1,2\n")
    with pytest.raises(ValueError, match="given twice"):
        open_tables([file, tmp_path / "folder" / ".." / "t.csv"], "y")


def test_names_in_capitals(tmp_path):
    assert open_tables(write(tmp_path / "T.TSV", "a\ty\n1\t2\n"), "y").columns == ("a",)
    packed = write(tmp_path / "T.CSV.GZ", gzip.compress(b"a,y\n1,2\n"))
    assert next(open_tables(packed, "y").read()).targets == [2.0]


def test_truth_values_in_text_are_numbers(tmp_path):
    chunk = next(open_tables(write(tmp_path / "t.csv", "a,b,y\ntrue,1,False\nfalse,2,True\n"), "y").read())
    np.testing.assert_array_equal(np.column_stack([chunk.rows, chunk.targets]), [[1, 1, 0], [0, 2, 1]])
    mixed = "a,y\n" + "true,1\n" * 1_300_000 + "7,1\n"
    with pytest.raises(ValueError, match=r"'a' held true and false at first.*'7': write 1 and 0"):
        list(open_tables(write(tmp_path / "mixed.csv", mixed), "y").read())


def test_errors_say_what_to_do(tmp_path):
    assert open_tables(write(tmp_path / "t.csv", "a;b;y\n1;2;3\n"), "y").columns == ("a", "b")
    with pytest.raises(FileFormatError, match="text is not UTF-8"):
        open_tables(write(tmp_path / "u.csv", "a,stra\u00dfe\n1,2\n".encode("latin-1")), "a")
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(TypeError, match="numbers of columns"):
        open_arrays(tmp_path / "x.npy", True)


def test_a_number_of_rows_that_is_not_true():
    with pytest.raises(ValueError, match="rows must be a positive integer"):
        open_chunks(lambda first: [(X, X[:, 0])][first:], key="k", rows=-5)
    source = open_chunks(lambda first: [(X, X[:, 0])][first:], key="k", rows=10**9)
    with pytest.raises(ValueError, match="was to have 1000000000 rows, and has 60"):
        fit_stream(NETWORK, source, sample_rows=20)


def test_chunks_of_other_widths_and_with_weights_in_part():
    bad = open_chunks(lambda first: [(X, X[:, 0]), (X[:, :1], X[:, 0])][first:], key="k")
    with pytest.raises(ValueError, match="chunk 1 has 1 columns, the first has 2"):
        fit_stream(NETWORK, bad)
    # The weights of the second chunk were lost in the sample.
    heavy = np.where(np.arange(60) < 30, 9.0, 0.0)
    y = X[:, 0] * X[:, 1]
    some = open_chunks(lambda first: [(X, y), (X, y + 3, heavy)][first:], key="k")
    both = open_chunks(lambda first: [(X, y, np.ones(60)), (X, y + 3, heavy)][first:], key="k")
    found, expected = (fit_stream(StridiagRegressor(**NETWORK.get_params()), s).predict(X) for s in (some, both))
    np.testing.assert_array_equal(found, expected)


def test_predictions_need_what_they_need(tmp_path):
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(TypeError, match="source must be what"):
        predict_stream(StridiagRegressor(**NETWORK.get_params()).fit(X, X[:, 0]), str(tmp_path / "x.npy"))
    with pytest.raises(TypeError, match="got LinearRegression"):
        predict_stream(LinearRegression().fit(X, X[:, 0]), open_arrays(tmp_path / "x.npy", None))
