"""Commands as processes: readers that leave, writers that are stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("typer")

from typer.testing import CliRunner

from stridiag.cli.app import app
from stridiag.sklearn import load

COMMAND = [sys.executable, "-c", "from stridiag.cli import main; main()"]
ROWS = "a,b,y\n" + "".join(f"{k % 13},{'xyz'[k % 3]},{k % 13 + 20 * (k % 3)}.5\n" for k in range(400))
LONG = "a,b\n" + "7,x\n" * 60_000

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("process") / "m.stridiag"
    made = CliRunner().invoke(
        app, ["fit", "-", "-t", "y", "-o", str(file), "--units", "16", "--layers", "1"], input=ROWS
    )
    assert made.exit_code == 0, made.output
    return file


def start(*arguments):
    pipe = subprocess.PIPE
    return subprocess.Popen([*COMMAND, *map(str, arguments)], stdin=pipe, stdout=pipe, stderr=pipe)


def test_a_reader_that_has_had_enough(model, tmp_path):
    (tmp_path / "rows.csv").write_text(LONG)
    # More than a pipe holds, so that the command writes on when nobody reads.
    process = start("predict", model, tmp_path / "rows.csv")
    assert process.stdout.readline() == b"prediction\n"
    process.stdout.close()
    complaints = process.stderr.read()
    assert (process.wait(timeout=120), complaints) == (0, b"")
    process.stdin.close()
    process.stderr.close()


def test_standard_input_to_standard_output(model):
    done = subprocess.run(
        [*COMMAND, "predict", model, "--json"], input=b"b;a\nz;3\n;\n", capture_output=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 2
    assert done.stdout.startswith(b'{"prediction": ')


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGINT"])
def test_a_stopped_command_leaves_the_old_file(model, tmp_path, name):
    out = tmp_path / "out.csv"
    out.write_text("old\n")
    process = start("predict", model, "-", "-o", out)
    # Rows are written to a file beside the old one, while more of them are waited for.
    process.stdin.write(LONG.encode())
    process.stdin.flush()
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".out.csv.*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert len(list(tmp_path.iterdir())) == 2
    process.send_signal(getattr(signal, name))
    wanted = {"SIGTERM": 143, "SIGKILL": -9, "SIGINT": 130}[name]
    assert process.wait(timeout=120) == wanted
    assert b"Traceback" not in process.stderr.read()
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()
    assert out.read_text() == "old\n"
    if name != "SIGKILL":
        # Who can still do it takes the half file away.
        assert [one.name for one in tmp_path.iterdir()] == ["out.csv"]


def test_a_killed_update_leaves_the_model(tmp_path):
    file = tmp_path / "m.stridiag"
    options = ["-t", "y", "-o", str(file), "--units", "16", "--layers", "1", "--updatable"]
    assert CliRunner().invoke(app, ["fit", "-", *options], input=ROWS).exit_code == 0
    before = file.read_bytes()
    # Killed while the archive is written, at its first array.
    killer = (
        "import os, signal, numpy as np\n"
        "def half(stream, **arrays):\n"
        "    stream.write(b'PK half a model'); stream.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "np.savez = half\n"
        "from stridiag.cli import main; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", killer, "update", file, "-"], input=ROWS.encode(), capture_output=True, timeout=120
    )
    assert done.returncode == -9
    assert file.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_completion_is_offered():
    environment = {
        **os.environ,
        "_STRIDIAG_COMPLETE": "complete_bash",
        "COMP_WORDS": "stridiag fit --tr",
        "COMP_CWORD": "2",
    }
    code = "import sys; sys.argv = ['stridiag']; from stridiag.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=120, check=False)
    assert done.stdout.split() == [b"--training"]


NETWORK = ["--training", "random", "--units", "16", "--layers", "1"]
BIG = ["--stream", "--sample-rows", "400", "--checkpoint-every", "0", *NETWORK]


def test_a_killed_fit_goes_on_when_the_command_is_repeated(tmp_path):
    data = tmp_path / "rows.csv"
    data.write_text("a,b,y\n" + "".join(f"{k % 13},{'xyz'[k % 3]},{k % 13 + 20 * (k % 3)}.5\n" for k in range(60_000)))
    state = tmp_path / "state"

    def command(name):
        return ["fit", data, "-t", "y", "-o", tmp_path / name, *BIG, "--checkpoint", state]

    process = start(*command("m"))
    deadline = time.monotonic() + 120
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    assert process.wait(timeout=120) == -9
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()
    assert not (tmp_path / "m").exists()
    again = CliRunner().invoke(app, list(map(str, command("m"))))
    assert again.exit_code == 0, again.output
    assert "going on from" in again.stderr
    assert "not finished: " in again.stderr
    state.unlink()
    assert "60,000 rows" in CliRunner().invoke(app, list(map(str, command("n")))).stdout
    assert {one.name for one in tmp_path.iterdir()} == {"rows.csv", "state", "m", "n"}
    some = {"a": list(range(13)), "b": ["x"] * 13}
    assert load(tmp_path / "m").predict(some).tolist() == load(tmp_path / "n").predict(some).tolist()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident sets as Linux counts them")
def test_memory_does_not_grow_with_the_table(tmp_path):
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    # 20 MB of numbers a time, of 20 columns.
    table = pa.table({f"x{k}": np.random.default_rng(k).integers(0, 999, 125_000) / 8 for k in range(20)})
    table = table.append_column("town", pa.array(["Rome", "Oslo"] * 62_500))

    def written(name, times):
        path = tmp_path / name
        if name.endswith("csv"):
            with path.open("wb") as out:
                for k in range(times):
                    pyarrow.csv.write_csv(table, out, pyarrow.csv.WriteOptions(include_header=k == 0))
        else:
            with pyarrow.parquet.ParquetWriter(path, table.schema) as out:
                for _ in range(times):
                    out.write_table(table, row_group_size=25_000)
        return str(path)

    code = (
        "import resource, sys\n"
        "from typer.testing import CliRunner\n"
        "from stridiag.cli.app import app\n"
        "model, *files = sys.argv[1:5]\n"
        "for data in files:\n"
        "    for words in (['fit', data, '-t', 'x0', '-o', model, *sys.argv[5:]], ['evaluate', model, data],\n"
        "                  ['update', model, data]):\n"
        "        done = CliRunner().invoke(app, words)\n"
        "        assert done.exit_code == 0, done.output\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
    )
    # The large ones are 320 MB of numbers, and 65 MB of text.
    files = [written("small.parquet", 1), written("large.csv", 4), written("large.parquet", 16)]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m"), *files, "--stream", "--sample-rows", "2000", *NETWORK],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    small, large_csv, large = map(float, done.stdout.split())
    # All rows at once would show, twice over.
    assert large_csv - small < 60.0
    assert large - small < 100.0
