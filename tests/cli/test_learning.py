"""The commands that learn from tables, called as a shell calls them, on tables as people have them."""

from __future__ import annotations

import csv
import gzip
import io
import json

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pytest.importorskip("typer")

from typer.testing import CliRunner  # noqa: E402

from stridiag.cli.app import app  # noqa: E402
from stridiag.sklearn import load  # noqa: E402

SMALL = ["--training", "random", "--units", "24", "--layers", "1"]


def stridiag(*arguments, given=None):
    return CliRunner().invoke(app, [str(one) for one in arguments], input=given)


def ran(*arguments, given=None):
    result = stridiag(*arguments, given=given)
    assert result.exit_code == 0, result.output
    return result


def failed(*arguments, code=1, given=None):
    result = stridiag(*arguments, given=given)
    assert result.exit_code == code, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return line


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def houses(n=240, seed=0):
    """Rows as text: numbers with gaps, categories with rare ones, dates, truth values, a row number, free text."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(n):
        size = rng.uniform(20, 200)
        town = rng.choice(["Rome", "Oslo", "Kyiv", "Lima"], p=[0.4, 0.3, 0.28, 0.02])
        garden = rng.random() < 0.4
        price = 2.0 * size + {"Rome": 80, "Oslo": 160}.get(town, 0) + 40 * garden + rng.normal(0, 5)
        rows.append(
            {
                "id": str(k),
                "size": "" if rng.random() < 0.1 else f"{size:.2f}",
                "town": "?" if rng.random() < 0.05 else f" {town} ",
                "garden": str(garden).lower(),
                "sold": f"20{rng.integers(10, 20)}-0{rng.integers(1, 9)}-11",
                "note": f"seen by {rng.random()}",
                "country": "XX",
                "price": "" if k % 50 == 7 else f"{price:.3f}",
                "grade": "ABC"[int(price > 200) + int(price > 350)],
            }
        )
    return rows


def as_csv(rows, delimiter=","):
    stream = io.StringIO()
    writer = csv.DictWriter(stream, rows[0], delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a table, and a model of each task."""
    folder = tmp_path_factory.mktemp("learning")
    (folder / "houses.csv").write_text(as_csv(houses()))
    (folder / "new.csv").write_text(as_csv(houses(90, seed=1)))
    ran(
        "fit",
        folder / "houses.csv",
        "-t",
        "price",
        "--drop",
        "grade",
        "-o",
        folder / "price.stridiag",
        "--holdout",
        0.3,
        *SMALL,
    )
    ran(
        "fit",
        folder / "houses.csv",
        "-t",
        "grade",
        "--drop",
        "price",
        "-o",
        folder / "grade.stridiag",
        "--updatable",
        *SMALL,
    )
    return folder


def test_fit_says_what_it_decided(place, tmp_path):
    result = ran("fit", place / "houses.csv", "-t", "price", "--drop", "grade", "-o", tmp_path / "m", *SMALL)
    said = result.stderr
    assert "task: regression, since 'price' has numbers with fractions" in said
    assert "5 of 240 rows have no target" in said
    assert "'id' is not used: it numbers the rows" in said
    assert "'country' is not used: it is 'XX' in all rows" in said
    assert "'note' is not used: it is text with 235 different values in 235 rows" in said
    assert "'sold' is read as days" in said
    assert "leave-one-out: RMSE" in result.stdout


def test_kinds_of_columns(place):
    kinds = {column.name: (column.kind, column.missing) for column in load(place / "price.stridiag").encoding.columns}
    assert kinds == {
        "size": ("number", True),
        "town": ("category", True),
        "garden": ("boolean", False),
        "sold": ("date", False),
    }
    town = next(column for column in load(place / "price.stridiag").encoding.columns if column.name == "town")
    assert town.frequent == ("Kyiv", "Oslo", "Rome", None)
    assert town.rare


def test_predictions_are_those_of_the_loaded_model(place):
    text = ran("predict", place / "price.stridiag", place / "new.csv", "--interval", 0.8, "--copy", "id").stdout
    rows = rows_of(text)
    assert list(rows[0]) == ["id", "prediction", "lower", "upper"]
    table = {
        "size": [float(row["size"]) if row["size"] else None for row in houses(90, seed=1)],
        "town": [None if row["town"] == "?" else row["town"].strip() for row in houses(90, seed=1)],
        "garden": [row["garden"] == "true" for row in houses(90, seed=1)],
        "sold": [row["sold"] for row in houses(90, seed=1)],
    }
    model = load(place / "price.stridiag")
    lower, upper = model.predict_interval(table, 0.8)
    found = np.array([[float(row[name]) for name in ("prediction", "lower", "upper")] for row in rows])
    assert np.array_equal(found, np.column_stack((model.predict(table), lower, upper)))
    truth = np.array([float(row["price"] or "nan") for row in houses(90, seed=1)])
    known = np.isfinite(truth)
    assert 0.6 < np.mean((lower <= truth)[known] & (truth <= upper)[known]) <= 0.95
    # Better by far than the mean, where sizes are missing too.
    assert np.std((truth - found[:, 0])[known]) < 0.5 * np.std(truth[known])


def test_probabilities_and_labels(place):
    rows = rows_of(ran("predict", place / "grade.stridiag", place / "new.csv", "--proba").stdout)
    shares = np.array([[float(row[f"proba_{one}"]) for one in "ABC"] for row in rows])
    assert np.allclose(shares.sum(axis=1), 1.0)
    assert [row["prediction"] for row in rows] == ["ABC"[k] for k in shares.argmax(axis=1)]
    assert (
        np.mean([row["prediction"] == house["grade"] for row, house in zip(rows, houses(90, seed=1), strict=True)])
        > 0.75
    )


@pytest.mark.parametrize(
    "form", ["stdin", "gzip", "semicolon", "tab", "bom", "parquet", "arrow", "stream", "jsonl", "crlf"]
)
def test_forms_of_input_predict_the_same(place, tmp_path, form):
    rows = houses(90, seed=1)
    plain = ran("predict", place / "grade.stridiag", place / "new.csv").stdout
    text = as_csv(rows)
    file, given = tmp_path / "rows", None
    # Without quotes around gaps: as other programs hand them on.
    typed = {
        name: [
            None if row[name] in ("", "?") else float(row[name]) if name == "size" else row[name].strip()
            for row in rows
        ]
        for name in rows[0]
    }
    if form == "stdin":
        file, given = "-", text
    elif form == "gzip":
        file, given = "-", gzip.compress(text.encode())
    elif form in ("semicolon", "tab"):
        file.write_text(as_csv(rows, {"semicolon": ";", "tab": "\t"}[form]))
    elif form == "bom":
        file.write_text(text, encoding="utf-8-sig")
    elif form == "crlf":
        file.write_bytes(text.replace("\n", "\r\n").encode())
    elif form == "jsonl":
        lines = zip(*typed.values(), strict=True)
        file.write_text("".join(json.dumps(dict(zip(typed, line, strict=True))) + "\n" for line in lines))
    elif form == "parquet":
        pq = pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table(typed), file)
        file, given = "-", file.read_bytes()
    else:
        table = pa.table(typed)
        make = pa.ipc.new_file if form == "arrow" else pa.ipc.new_stream
        with make(str(file), table.schema) as writer:
            writer.write_table(table)
    assert ran("predict", place / "grade.stridiag", file, given=given).stdout == plain


def test_decimal_commas_are_seen(place, tmp_path):
    rows = houses()
    european = [{**row, "size": row["size"].replace(".", ","), "price": row["price"].replace(".", ",")} for row in rows]
    (tmp_path / "e.csv").write_text(as_csv(european, ";"))
    result = ran(
        "fit",
        tmp_path / "e.csv",
        "-t",
        "price",
        "--drop",
        "grade",
        "--drop",
        "note",
        "-o",
        tmp_path / "e",
        "--holdout",
        0.3,
        *SMALL,
    )
    assert "decimal comma" in result.stderr
    new = [
        {**row, "size": row["size"].replace(".", ","), "price": row["price"].replace(".", ",")}
        for row in houses(90, seed=1)
    ]
    commas = ran("predict", tmp_path / "e", "-", given=as_csv(new, ";")).stdout
    assert commas == ran("predict", place / "price.stridiag", place / "new.csv").stdout


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".arrow"])
def test_predictions_in_files(place, tmp_path, suffix):
    file = tmp_path / f"out{suffix}"
    assert ran("predict", place / "grade.stridiag", place / "new.csv", "-o", file, "--copy", "id").stdout == ""
    wanted = [
        (row["id"], row["prediction"])
        for row in rows_of(ran("predict", place / "grade.stridiag", place / "new.csv", "--copy-all").stdout)
    ]
    if suffix == ".csv":
        found = rows_of(file.read_text())
    elif suffix == ".jsonl":
        found = [json.loads(line) for line in file.read_text().splitlines()]
    elif suffix == ".parquet":
        found = pytest.importorskip("pyarrow.parquet").read_table(file).to_pylist()
    else:
        found = pa.ipc.open_file(str(file)).read_all().to_pylist()
    assert [(row["id"], row["prediction"]) for row in found] == wanted
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


def test_no_rows_give_a_header(place):
    header = as_csv(houses(1)).splitlines()[0] + "\n"
    assert ran("predict", place / "grade.stridiag", "-", given=header).stdout == "prediction\n"


def test_evaluate(place):
    told = json.loads(ran("evaluate", place / "grade.stridiag", place / "new.csv", "--json").stdout)
    assert told["rows"] == 90
    counts = np.array(told["confusion"]["counts"])
    assert counts.sum() == 90
    assert told["scores"]["accuracy"] == pytest.approx(np.trace(counts) / 90)
    assert told["scores"]["balanced accuracy"] == pytest.approx(np.mean(np.diag(counts) / counts.sum(axis=1)))
    rows = rows_of(ran("predict", place / "grade.stridiag", place / "new.csv", "--proba").stdout)
    shares = [float(row[f"proba_{house['grade']}"]) for row, house in zip(rows, houses(90, seed=1), strict=True)]
    assert told["scores"]["log loss"] == pytest.approx(-np.mean(np.log(shares)))
    text = ran("evaluate", place / "grade.stridiag", place / "new.csv").stdout
    assert "balanced accuracy" in text
    assert "Confusion" in text


def test_evaluate_numbers(place):
    result = ran("evaluate", place / "price.stridiag", place / "new.csv", "--json", "--interval", 0.8)
    assert "2 rows have no target" in result.stderr
    told = json.loads(result.stdout)
    assert told["rows"] == 88
    assert told["interval"] == "split"
    assert told["scores"]["R2"] > 0.7
    assert 0.6 < told["scores"]["0.8 interval coverage"] <= 0.95
    assert "RMSE" in ran("evaluate", place / "price.stridiag", place / "new.csv").stdout


def test_evaluate_classes_that_the_model_does_not_know(place):
    rows = [{**row, "grade": "Z" if k < 9 else row["grade"]} for k, row in enumerate(houses(90, seed=1))]
    result = ran("evaluate", place / "grade.stridiag", "-", "--json", given=as_csv(rows))
    assert "does not know: Z" in result.stderr
    told = json.loads(result.stdout)
    assert told["confusion"]["labels"] == ["A", "B", "C", "Z"]
    assert sum(told["confusion"]["counts"][3]) == 9
    assert told["scores"]["log loss"] > 0.1 * -np.log(1e-15)


def test_inspect(place):
    told = json.loads(ran("inspect", place / "price.stridiag", "--json").stdout)
    assert told["task"] == "regression"
    assert told["rows"] == 164
    assert told["held out"]["rows"] == 71
    assert told["settings"]["units"] == 24
    assert told["bytes"] == (place / "price.stridiag").stat().st_size
    assert [one["name"] for one in told["columns"]] == ["size", "town", "garden", "sold"]
    assert told["not used"]["id"] == "it numbers the rows"
    assert told["layers"][0]["units"] == 24
    low, high = told["penalty"]
    assert 0.0 < low <= high
    assert told["seconds"]["1 row"] > 0.0
    text = ran("inspect", place / "grade.stridiag").stdout
    for word in ("classification of grade", "A, B, C", "Kyiv", "takes more rows  yes", "Hidden layers"):
        assert word in text


def test_update_is_one_fit_on_all_rows(place, tmp_path):
    file = tmp_path / "m.stridiag"
    result = ran("update", place / "grade.stridiag", place / "new.csv", "-o", file)
    assert "90 rows more, 330 in all" in result.stdout
    model, old = load(file), load(place / "grade.stridiag")
    assert model.facts["updates"][0]["rows"] == 90
    assert old.facts["updates"] == []
    # In two parts, over the file itself: the same readout.
    half = houses(90, seed=1)
    ran("update", place / "grade.stridiag", "-", "-o", tmp_path / "n", given=as_csv(half[:40]))
    ran("update", tmp_path / "n", "-", given=as_csv(half[40:]))
    table = {"size": [50.0, None], "town": ["Rome", "Paris"], "garden": [True, False], "sold": ["2015-01-01"] * 2}
    assert np.allclose(load(tmp_path / "n").predict_proba(table), model.predict_proba(table), rtol=1e-9)
    assert not np.allclose(old.predict_proba(table), model.predict_proba(table), rtol=1e-6)


def test_update_takes_new_classes(place, tmp_path):
    rows = [{**row, "grade": "Z" if row["town"].strip() == "Rome" else row["grade"]} for row in houses(200, seed=3)]
    result = ran("update", place / "grade.stridiag", "-", "-o", tmp_path / "m", given=as_csv(rows))
    assert "new classes: Z" in result.stderr
    assert load(tmp_path / "m").classes == ["A", "B", "C", "Z"]
    assert "Z" in ran("predict", tmp_path / "m", "-", given=as_csv(rows)).stdout


def test_a_row_that_does_not_fit_leaves_the_file(place, tmp_path):
    file = tmp_path / "m.stridiag"
    file.write_bytes((place / "grade.stridiag").read_bytes())
    rows = [{**row, "size": "big" if k == 70 else row["size"]} for k, row in enumerate(houses(90, seed=1))]
    line = failed("update", file, "-", given=as_csv(rows))
    assert "column 'size' must hold numbers, got 'big' in row 71" in line
    assert file.read_bytes() == (place / "grade.stridiag").read_bytes()
    line = failed("update", place / "price.stridiag", place / "new.csv")
    again = f"stridiag fit {place / 'houses.csv'} --target price --output {place / 'price.stridiag'} --drop grade"
    assert f"fit it again: {again} --holdout 0.3" in line
    assert line.endswith("--updatable")


def test_export_predicts_the_same_with_numpy_alone(place, tmp_path):
    import runpy

    for name in ("grade", "price"):
        ran("export", place / f"{name}.stridiag", "-o", tmp_path / f"{name}.py")
        module = runpy.run_path(str(tmp_path / f"{name}.py"))
        wanted = rows_of(ran("predict", place / f"{name}.stridiag", place / "new.csv").stdout)
        found = module["predict"](rows_of((place / "new.csv").read_text()))
        if name == "grade":
            assert found == [row["prediction"] for row in wanted]
        else:
            assert np.allclose(found, [float(row["prediction"]) for row in wanted], rtol=1e-9)


def test_export_of_a_recipe_says_what_to_do(tmp_path):
    rows = [{"a": str(k % 7), "y": str(k % 2 == 0).lower()} for k in range(60)]
    ran("fit", "-", "-t", "y", "-o", tmp_path / "m", "--networks", 1, given=as_csv(rows))
    assert "--training random" in failed("export", tmp_path / "m", "-o", tmp_path / "m.py")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["m"]
    assert set(ran("predict", tmp_path / "m", "-", given=as_csv(rows)).stdout.split()) == {
        "prediction",
        "true",
        "false",
    }


def test_several_targets(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2))
    rows = [
        {
            "u": f"{a:.4f}",
            "v": f"{b:.4f}",
            "s": f"{a + b:.4f}",
            "d": f"{a - b:.4f}",
            "p": str(int(a > 0)),
            "q": str(int(b > 0)),
        }
        for a, b in x
    ]
    text = as_csv(rows)
    ran("fit", "-", "-t", "s", "-t", "d", "--drop", "p", "--drop", "q", "-o", tmp_path / "n", *SMALL, given=text)
    found = rows_of(ran("predict", tmp_path / "n", "-", "--interval", 0.9, given=text).stdout)
    assert list(found[0]) == ["prediction_s", "prediction_d", "lower_s", "lower_d", "upper_s", "upper_d"]
    assert np.allclose([float(row["prediction_d"]) for row in found], x[:, 0] - x[:, 1], atol=0.2)
    ran("fit", "-", "-t", "p", "-t", "q", "--drop", "s", "--drop", "d", "-o", tmp_path / "l", *SMALL, given=text)
    found = rows_of(ran("predict", tmp_path / "l", "-", "--proba", given=text).stdout)
    assert list(found[0]) == ["prediction_p", "prediction_q", "proba_p", "proba_q"]
    scores = json.loads(ran("evaluate", tmp_path / "l", "-", "--json", given=text).stdout)["scores"]
    assert scores["accuracy"] > 0.9
    assert "fit a model for it alone" in failed(
        "fit", "-", "-t", "u", "-t", "p", "--task", "classification", "-o", tmp_path / "x", given=text
    )


def test_weights_and_codes(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {
            "zip": f"0{k % 5 + 1}",
            "w": str(int(k % 4 != 3)),
            "y": f"{[3, 1, 4, 1, 5][k % 5] + 100 * (k % 4 == 3) + rng.normal(0, 0.1):.3f}",
        }
        for k in range(200)
    ]
    ran(
        "fit", "-", "-t", "y", "--categorical", "zip", "--weight", "w", "-o", tmp_path / "m", *SMALL, given=as_csv(rows)
    )
    model = load(tmp_path / "m")
    assert model.encoding.names == tuple(f"zip=0{k}" for k in range(1, 6))
    assert model.facts["rows"] == 150
    found = rows_of(ran("predict", tmp_path / "m", "-", given="zip\n01\n05\n").stdout)
    assert [round(float(row["prediction"])) for row in found] == [3, 5]


def test_json_of_fit(place, tmp_path):
    result = ran(
        "fit", place / "houses.csv", "-t", "grade", "--drop", "price", "-o", tmp_path / "m", "--json", "--quiet", *SMALL
    )
    assert result.stderr == ""
    told = json.loads(result.stdout)
    assert told["classes"] == ["A", "B", "C"]
    assert set(told["leave-one-out"]) == {"accuracy", "log loss", "Brier score"}
    assert (
        ran("fit", place / "houses.csv", "-t", "grade", "--drop", "price", "-o", tmp_path / "m", "-q", *SMALL).output
        == ""
    )


def test_a_table_is_read_a_part_at_a_time(place, tmp_path, monkeypatch):
    options = ["-t", "price", "--drop", "grade", "-o", tmp_path / "m", *SMALL]
    result = ran("fit", place / "houses.csv", *options, "--stream", "--sample-rows", 100, "--holdout", 0.2)
    assert "5 of 240 rows have no target" in result.stderr
    assert "rows held out" in result.stdout
    model = load(tmp_path / "m")
    assert model.updatable
    assert model.facts["rows"] == 235 - model.facts["held out"]["rows"]
    ran("update", tmp_path / "m", place / "new.csv")
    assert "--stream reads the table twice" in failed("fit", "-", *options, "--stream", code=2)
    assert "--checkpoint is for --stream" in failed("fit", "x.csv", *options, "--checkpoint", "s", code=2)
    # On a machine of little memory.
    from stridiag.cli import memory

    size = (place / "houses.csv").stat().st_size
    monkeypatch.setattr(memory, "memory_bytes", lambda: 4 * size)
    assert "takes 25 % of this machine's memory: --stream" in ran("fit", place / "houses.csv", *options).stderr
    monkeypatch.setattr(memory, "memory_bytes", lambda: size)
    assert "--stream reads a part at a time" in failed("fit", place / "houses.csv", *options)
    assert "memory" not in ran("fit", place / "houses.csv", *options, "--no-stream").stderr


def test_grouped_digits(tmp_path):
    rows = [{"a": f"{1234567 * k:,}", "y": f"{2000 * k:,}.5"} for k in range(1, 60)]
    text = as_csv(rows)
    assert "add --thousands ','" in failed("fit", "-", "-t", "y", "-o", tmp_path / "m", *SMALL, given=text)
    ran("fit", "-", "-t", "y", "-o", tmp_path / "m", "--thousands", ",", *SMALL, given=text)
    found = ran("predict", tmp_path / "m", "-", "--thousands", ",", "--copy", "a", given=text).stdout
    assert rows_of(found)[58 - 1]["a"] == rows[57]["a"]
    assert abs(float(rows_of(found)[57]["prediction"]) - 116000.5) < 2000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,y\n" + "".join(f"{k},${k}.50\n" for k in range(40)), "numbers must stand without units"),
        ("a,y\n1,yes\n2,yes\n5,yes\n", "at least two classes, got 1 class: ['yes']"),
        ("a,y\n1.5,2.5\n", "no column is left to learn from ('a': it is 1.5 in all rows)"),
        ("a,y\n1,2\n3\n", "Expected 2 columns, got 1"),
        ("a,a\n1,2\n", "two columns are called 'a'"),
        ("1,2\n3,4\n", "the first line must hold names of columns, and it holds numbers"),
        ("", "there is nothing in it"),
        ("a,y\n", "has no rows"),
        ("a,y\n1,\n2,NA\n", "target 'y' is empty"),
        ("a,y\n1,1\n1,2\n1,3\n", "no column is left to learn from"),
        ("a,y\n" + "1,2\n2,3\n" * 30 + "x,5\n", "--missing 'x'"),
        ("a,y\n1,inf\n2,1\n3,2\n", "infinite in row 1"),
        ("[1, 2]", "JSON array"),
        ("a,y\n1,2\n2,3\n".encode("utf-16"), "UTF-16"),
        ("a,y\n1,\xe9\n2,b\n".encode("latin1"), "not UTF-8"),
        (b"\x00\x01\x02\x03", "neither CSV, Parquet, Arrow nor JSON lines"),
        (gzip.compress(b"a,y\n" + b"1,2\n" * 5000, mtime=0)[:60], "damaged or cut off"),
        (b"PAR1" + b"x" * 40, "Parquet"),
    ],
)
def test_tables_that_are_none(tmp_path, text, message):
    line = failed("fit", "-", "-t", "y", "-o", tmp_path / "m", given=text)
    assert message in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fit", "houses.csv", "-t", "prise", "-o", "x"], 1, "did you mean 'price'?"),
        (["fit", "houses.csv", "-t", "price", "--drop", "price", "-o", "x"], 1, "cannot be used in two ways"),
        (["fit", "houses.csv", "-t", "town", "-o", "x", "--task", "regression"], 1, "'town' is text"),
        (["fit", "houses.csv", "-t", "price", "-o", "x", "--balanced"], 1, "--balanced"),
        (
            ["fit", "houses.csv", "-t", "price", "-o", "x", "--preset", "fast", "--units", "9"],
            2,
            "chooses units itself",
        ),
        (["fit", "houses.csv", "-t", "price", "-o", "x", "--penalty", "lots"], 2, "--penalty must be"),
        (["fit", "houses.csv", "-t", "price", "-o", "x", "--offsets", "1,b"], 2, "--offsets must be"),
        (["fit", "houses.csv", "-t", "price", "-o", "no/such/x"], 1, "there is no folder"),
        (["fit", "nothing.csv", "-t", "price", "-o", "x"], 1, "nothing.csv: No such file"),
        (["predict", "price.stridiag", "new.csv", "--proba"], 2, "--interval"),
        (["predict", "grade.stridiag", "new.csv", "--interval", "0.9"], 2, "--proba"),
        (["predict", "price.stridiag", "new.csv", "--interval", "90"], 2, "between 0 and 1"),
        (["predict", "price.stridiag", "new.csv", "--copy", "sice"], 1, "did you mean 'size'"),
        (["predict", "price.stridiag", "new.csv", "--delimiter", "||"], 2, "one character"),
        (["predict", "houses.csv", "new.csv"], 1, "houses.csv is not a readable stridiag model file"),
        (["predict", "price.stridiag", "short.csv"], 1, "there is no column 'size'; did you mean 'Size'?"),
        (["evaluate", "price.stridiag", "short.csv"], 1, "there is no column"),
        (["inspect", "cut.stridiag"], 1, "cut.stridiag is not a readable"),
    ],
)
def test_one_line_says_what_to_do(place, monkeypatch, arguments, code, message):
    monkeypatch.chdir(place)
    (place / "short.csv").write_text("Size,town\n1,Rome\n")
    (place / "cut.stridiag").write_bytes((place / "price.stridiag").read_bytes()[:-100])
    assert message in failed(*arguments, code=code)


def test_an_estimator_saved_from_python_is_told_apart(tmp_path):
    from stridiag.sklearn import StridiagRegressor

    StridiagRegressor(units=8, layers=1).fit(np.eye(9), np.arange(9.0)).save(tmp_path / "m")
    assert "use it from Python" in failed("inspect", tmp_path / "m")


def test_missing_options_are_usage_errors(place):
    assert stridiag("fit", place / "houses.csv").exit_code == 2
    assert stridiag("fit", place / "houses.csv", "-t", "price", "-o", "x", "--training", "magic").exit_code == 2
