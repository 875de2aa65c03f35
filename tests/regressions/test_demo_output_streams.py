"""The demo died in the middle on a pipe that is not UTF-8, cut its numbers off on a narrow terminal, and noticed a page
that it cannot replace only after all the work.
"""

import io
import os
import re
import subprocess
import sys

import pytest

pytest.importorskip("typer")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from rich.console import Console

from stridiag.cli import demo, learning_demo, matrix_demo, tables, timing


def test_output_that_is_not_utf8(tmp_path):
    code = (
        "import sys; sys.argv = ['stridiag', 'demo', '--quick', '-o', sys.argv[1]]; import stridiag.cli as c; c.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0, done.stderr[-300:]
    assert b"Traceback" not in done.stderr


def test_narrow_terminal_keeps_the_numbers():
    entrant = learning_demo.contestants(quick=False)[0]
    marks = [learning_demo.Score(0.9858, 0.52, 12288, 16010)] * 5
    buffer = io.StringIO()
    demo._print(Console(file=buffer, width=60, force_terminal=False), tables.accuracy_table({entrant: marks}))
    for number in ("98.58 ± 0.00", "520 ms", "12,288", "16,010"):
        assert number in re.sub(r"\s+", " ", buffer.getvalue())


def test_page_that_is_a_folder_is_found_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "index.html").mkdir()

    def work(*_, **__):
        raise AssertionError("the work has begun")

    monkeypatch.setattr(demo, "_learn", work)
    with pytest.raises(demo.DemoError):
        demo.run(tmp_path, quick=True, seed=0, threads=1)


def test_usual_terminal_keeps_the_columns_of_the_matrix_tables():
    job = matrix_demo.Job("solve", matrix_demo.CASES[0], 1_000_000)
    once = timing.Timing.of([0.0562, 0.0562])
    methods = (matrix_demo.OURS, matrix_demo.SUPERLU, matrix_demo.LAPACK, matrix_demo.DENSE)
    measured = [matrix_demo.Measurement(job, method, once, 1e-16, ill_conditioned=False) for method in methods]
    buffer = io.StringIO()
    table = tables.matrix_table("solve", measured, full=False)
    demo._print(Console(file=buffer, width=80, force_terminal=False), table)
    assert "…" not in buffer.getvalue()
    assert "1,000,000" in buffer.getvalue()
