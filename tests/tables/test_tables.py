"""Parquet, Arrow and CSV files: what comes out of them, where reading goes on, and what is said when it cannot."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress

import numpy as np
import pytest

from stridiag.errors import FileFormatError, NonFiniteError
from stridiag.tables import Position, open_tables

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")
feather = pytest.importorskip("pyarrow.feather")
ipc = pytest.importorskip("pyarrow.ipc")
pq = pytest.importorskip("pyarrow.parquet")

RNG = np.random.default_rng(0)
N = 1000
TABLE = pa.table(
    {
        "a": RNG.standard_normal(N),
        "b": RNG.integers(-9, 9, N),
        "w": RNG.random(N),
        "f": RNG.random(N) < 0.5,
        "y": RNG.standard_normal(N).astype(np.float32),
        "kind": pa.array(np.array(["up", "down", "side"])[RNG.integers(0, 3, N)]).dictionary_encode(),
    }
)
X = np.column_stack([TABLE["a"].to_numpy(), TABLE["b"].to_numpy(), TABLE["f"].to_numpy()]).astype(float)


def write(table, path):
    kind = path.name.split(".", 1)[1]
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=170)
    elif kind == "feather":
        feather.write_feather(table, path, chunksize=130)
    elif kind == "arrow":
        with pa.OSFile(str(path), "wb") as file, ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=333)
    elif kind == "arrows":
        with pa.OSFile(str(path), "wb") as file, ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=77)
    else:
        plain = (
            table.to_pandas().assign(f=lambda d: d.f.astype(int)) if "f" in table.column_names else table.to_pandas()
        )
        text = plain.to_csv(index=False).encode()
        path.write_bytes(gzip.compress(text) if kind == "csv.gz" else text)
    return path


def write_parts(tmp_path, kind):
    return [
        write(TABLE.slice(start, end - start), tmp_path / f"part{i}.{kind}")
        for i, (start, end) in enumerate([(0, 400), (400, 400), (400, 401), (401, 1000)])
        # Types of no rows are not known to CSV.
        if end > start or "csv" not in kind
    ]


KINDS = ["parquet", "feather", "arrow", "arrows", "csv", "csv.gz"]


@pytest.mark.parametrize("kind", KINDS)
def test_all_rows_come_in_bounded_chunks_and_from_any_position(kind, tmp_path):
    write_parts(tmp_path, kind)
    source = open_tables(tmp_path / f"*.{kind}", "y", columns=["a", "b", "f"], weight="w", chunk_rows=90)
    # Arrow's files can be asked since pyarrow 20.
    known = ("parquet", "feather", "arrow") if hasattr(pa.RecordBatchFileReader, "count_rows") else ("parquet",)
    assert source.rows == (N if kind in known else None)
    assert source.columns == ("a", "b", "f")
    chunks = list(source.read())
    assert max(c.rows.shape[0] for c in chunks) == 90
    assert all(c.rows.dtype == c.targets.dtype == c.weights.dtype == np.float64 for c in chunks)
    np.testing.assert_array_equal(np.vstack([c.rows for c in chunks]), X)
    np.testing.assert_allclose(np.concatenate([c.targets for c in chunks]), TABLE["y"].to_numpy(), rtol=1e-7)
    np.testing.assert_array_equal(np.concatenate([c.weights for c in chunks]), TABLE["w"].to_numpy())
    for i in (0, 3, 4, len(chunks) - 2, len(chunks) - 1):
        again = list(source.read(chunks[i].after))
        assert len(again) == len(chunks) - 1 - i
        for one, other in zip(again, chunks[i + 1 :], strict=True):
            assert one.after == other.after
            np.testing.assert_array_equal(one.rows, other.rows)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_stay_as_they_are(kind, tmp_path):
    path = write(TABLE, tmp_path / f"all.{kind}")
    words = np.concatenate([c.targets for c in open_tables(path, "kind", columns=["a"], labels=True).read()])
    assert words.tolist() == TABLE["kind"].to_pylist()
    numbers = np.concatenate([c.targets for c in open_tables(path, "b", columns=["a"], labels=True).read()])
    assert numbers.dtype.kind == "i"
    texts = np.concatenate([c.targets for c in open_tables(path, "b", columns=["a"], labels="text").read()])
    assert texts.tolist() == [str(b) for b in TABLE["b"].to_pylist()]
    assert next(open_tables(path, None, columns=["a"]).read()).targets.shape == (N, 0)
    assert next(open_tables(path, ["y", "b"], columns=["a"]).read()).targets.shape == (N, 2)


def test_bytes_bound_a_chunk_too(tmp_path):
    path = write(TABLE.select(["a", "b", "y"]), tmp_path / "all.parquet")
    assert open_tables(path, "y", chunk_bytes=24 * 50).chunk_rows == 50
    assert open_tables(path, "y", chunk_bytes=1).chunk_rows == 1
    with pytest.raises(ValueError, match="chunk_rows must be a positive"):
        open_tables(path, "y", chunk_rows=0)


def test_single_rows_by_their_numbers(tmp_path):
    write_parts(tmp_path, "parquet")
    source = open_tables(tmp_path, "y", columns=["a", "b", "f"], weight="w", chunk_rows=64)
    index = np.array([0, 399, 400, 401, 998])
    seen = []
    piece = source.take(index, seen.append)
    np.testing.assert_array_equal(piece.rows, X[index])
    np.testing.assert_array_equal(piece.weights, TABLE["w"].to_numpy()[index])
    assert seen[-1] == N


def test_what_a_file_is_its_bytes_tell(tmp_path):
    path = tmp_path / "rows.dat"
    path.write_bytes(b"\xef\xbb\xbf\n\na;y\n0,5;1.234\n -1,5 ;2\n")
    chunk = next(open_tables(path, "y", decimal=",", thousands=".").read())
    assert (chunk.rows.tolist(), chunk.targets.tolist()) == ([[0.5], [-1.5]], [1234.0, 2.0])
    path.write_text('{"a": 1, "y": 2}\n{"a": 1.5, "y": 3}\n')
    assert next(open_tables(path, "y").read()).rows.tolist() == [[1.0], [1.5]]


@pytest.mark.parametrize(("suffix", "codec"), [("zst", "zstd"), ("lz4", "lz4"), ("bz2", "bz2"), ("br", "brotli")])
def test_compressed_csv(suffix, codec, tmp_path):
    path = tmp_path / f"rows.csv.{suffix}"
    with pa.CompressedOutputStream(str(path), codec) as stream:
        stream.write(b"a,y\n" + b"1.5,2\n" * 50_000)
    assert sum(c.rows.sum() for c in open_tables(path, "y").read()) == 75_000
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FileFormatError, match="rows"):
        sum(c.rows.sum() for c in open_tables(path, "y").read())


def test_csv_of_other_forms(tmp_path):
    path = tmp_path / "plain.txt"
    path.write_text("1;2;3\n4;5;6\n\n7;8;9\n")
    source = open_tables(path, "c", format="csv", delimiter=";", names=["a", "b", "c"])
    assert next(source.read()).rows.tolist() == [[1, 2], [4, 5], [7, 8]]
    tabbed = tmp_path / "t.tsv"
    tabbed.write_text("a\tb\n1\t2\n")
    assert next(open_tables(tabbed, "b").read()).targets.tolist() == [2.0]


# Nine thousand of these are more than the block of text that tells types.
LONG = f"1,2,{'-' * 1000}\n"


def test_numbers_that_look_whole_at_first_are_floats(tmp_path):
    path = tmp_path / "late.csv"
    path.write_text("a,y,more\n" + LONG * 9000 + "0.5,0.25,\n" * 3)
    last = list(open_tables(path, "y", columns=["a"]).read())[-1]
    assert last.rows[-1, 0] == 0.5
    assert last.targets[-1] == 0.25
    with pytest.raises(ValueError, match=r"looked like int64 at first, then row 9000 of it has '0\.25': labels='text'"):
        list(open_tables(path, "y", columns=["a"], labels=True).read())


def bad_csv(tmp_path, text, target="y", **options):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    return list(open_tables(path, target, **options).read())


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a,y\n1,2\n3,\n", NonFiniteError, r"row 1 has no value in column 'y'"),
        ("a,y\n1,2\n3,4\nNaN,4\n", NonFiniteError, r"row 2 has no value in column 'a'"),
        ("a,y\n1,2\n3,4\ninf,4\n", NonFiniteError, r"row 2 has inf in column 'a'"),
        ("a,y\n1,2\nred,4\n", ValueError, r"column 'a' holds string, not numbers.*OneHotEncoder"),
        ("a,y\n2020-01-01,2\n", ValueError, r"column 'a' holds .*make numbers of times"),
        ("a,y\n1,2\n3\n", FileFormatError, r"bad\.csv: line 3: Expected 2 columns, got 1"),
        ("a,Y\n1,2\n", ValueError, r"no column called 'y'"),
        ("a,a,y\n1,2,3\n", ValueError, r"stand twice|several columns"),
        ("1,2\n3,4\n", ValueError, r"no column is left|must hold names of columns"),
        ("y\n1\n", ValueError, r"no column is left"),
        ("", FileFormatError, r"is empty"),
    ],
)
def test_what_is_wrong_in_a_csv_file_is_told(text, error, message, tmp_path):
    with pytest.raises(error, match=message):
        bad_csv(tmp_path, text)


def test_words_that_come_late_are_told_by_column(tmp_path):
    with pytest.raises(ValueError, match=r"row 9000 of column 'b' has 'red', which is no number.*OneHotEncoder"):
        bad_csv(tmp_path, "y,b,more\n" + LONG * 9000 + "1,red,\n", columns=["b"])


def test_json_columns_that_come_late(tmp_path, monkeypatch):
    monkeypatch.setattr("stridiag.tables.csv_text.BLOCK", 400)
    lines = [{"a": float(k), "b": 0.0, "y": 1.0} for k in range(50)] + [{"a": 50.0, "y": 1.0, "late": 3.0}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(FileFormatError, match=r"the column 'late' appears after row \d+, but.*in the first line"):
        list(open_tables(path, "y").read())
    # Who chose other columns gets all rows.
    rows = np.concatenate([piece.rows for piece in open_tables(path, "y", columns=["a"]).read()])
    np.testing.assert_array_equal(rows[:, 0], np.arange(51.0))


def test_negative_weights_and_missing_labels(tmp_path):
    with pytest.raises(ValueError, match=r"row 1 has the weight -1"):
        bad_csv(tmp_path, "a,w,y\n1,1,2\n2,-1,2\n", weight="w")
    with pytest.raises(NonFiniteError, match=r"row 1 has no label in column 'y'"):
        bad_csv(tmp_path, "a,y\n1,up\n2,\n", labels=True)


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrows", "csv.gz"])
def test_damage_is_told(kind, tmp_path):
    path = write(TABLE, tmp_path / f"all.{kind}")
    whole = path.read_bytes()

    def read():
        return list(open_tables(path, "y", columns=["a", "b"]).read())

    assert read()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(FileFormatError, match=r"all\..*(damaged|cut off)"):
        read()
    middle = len(whole) // 3
    path.write_bytes(whole[:middle] + bytes(255 - b for b in whole[middle : middle + 400]) + whole[middle + 400 :])
    # Some formats have no checksums, and cannot tell changed numbers from others.
    with suppress(FileFormatError, NonFiniteError):
        read()
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="all"):
        read()


def test_nulls_and_words_in_typed_files(tmp_path):
    table = pa.table(
        {"a": [1.0, None, 3.0], "s": ["x", "y", "z"], "y": [1, 2, 3], "t": pa.array([1, 2, 3], pa.date32())}
    )
    path = write(table, tmp_path / "n.parquet")
    with pytest.raises(NonFiniteError, match=r"n\.parquet: row 1 has no value in column 'a' \(1 of 3"):
        list(open_tables(path, "y", columns=["a"]).read())
    with pytest.raises(ValueError, match=r"column 's' holds string, not numbers.*columns=\[\.\.\.\]"):
        open_tables(path, "y", columns=["a", "s"])
    with pytest.raises(ValueError, match="make numbers of times"):
        open_tables(path, "y", columns=["a", "t"])
    with pytest.raises(ValueError, match=r"column 's' holds string.*labels=True"):
        open_tables(path, "s", columns=["a"])
    with pytest.raises(ValueError, match=r"'a'.* stand twice"):
        open_tables(path, "a", columns=["a"])


def test_files_that_do_not_fit_together(tmp_path):
    one = write(TABLE.select(["a", "b", "y"]), tmp_path / "one.parquet")
    two = write(TABLE.select(["a", "f", "y"]), tmp_path / "two.parquet")
    with pytest.raises(ValueError, match=r"two\.parquet has other columns .*lacks \['b'\] and has also \['f'\]"):
        open_tables([one, two], "y")
    assert sum(c.rows.shape[0] for c in open_tables([one, two], "y", columns=["a"]).read()) == 2 * N
    words = write(TABLE.select(["a"]).append_column("y", TABLE["kind"]), tmp_path / "words.parquet")
    with pytest.raises(ValueError, match=r"labels in column 'y' are .* labels='text'"):
        open_tables([one, words], "y", columns=["a"], labels=True)
    # Another order of columns is no other table.
    turned = write(TABLE.select(["y", "b", "a"]), tmp_path / "turned.parquet")
    np.testing.assert_array_equal(next(open_tables([turned, one], "y", columns=["a", "b"]).read()).rows, X[:, :2])


def test_files_that_are_not_there(tmp_path):
    path = write(TABLE, tmp_path / "sales.parquet")
    with pytest.raises(FileNotFoundError, match=r"did you mean 'sales\.parquet'"):
        open_tables(tmp_path / "sale.parquet", "y")
    with pytest.raises(FileNotFoundError, match="no file matches"):
        open_tables(tmp_path / "*.csv", "y")
    (tmp_path / "inner").mkdir()
    with pytest.raises(FileNotFoundError, match="has no Parquet"):
        open_tables(tmp_path / "inner", "y")
    with pytest.raises(ValueError, match="given twice"):
        open_tables([path, path], "y", columns=["a"])
    with pytest.raises(ValueError, match=r"no column called 'kin'; did you mean 'kind'"):
        open_tables(path, "kin", columns=["a"])
    np.save(tmp_path / "x.npy", np.eye(2))
    with pytest.raises(ValueError, match="they are for stridiag"):
        open_tables(tmp_path / "x.npy", "y")
    with pytest.raises(ValueError, match=r"all files must be parquet: .*x\.csv holds csv"):
        open_tables(write(TABLE, tmp_path / "x.csv"), "y", format="parquet")
    with pytest.raises(ValueError, match="of one format"):
        open_tables([path, write(TABLE, tmp_path / "x.csv")], "y")
    with pytest.raises(ValueError, match="are of CSV files"):
        open_tables(path, "y", delimiter=";")
    with pytest.raises(ValueError, match="there are no rows"):
        open_tables(write(TABLE.slice(0, 0), tmp_path / "none.parquet"), "y", columns=["a"])


def test_a_position_behind_everything_gives_nothing(tmp_path):
    path = write(TABLE, tmp_path / "all.parquet")
    assert list(open_tables(path, "y", columns=["a"]).read(Position(1, 0))) == []
    assert list(open_tables(path, "y", columns=["a"]).read(Position(0, N))) == []
