"""Kernels compiled ahead of time, and found again by other processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import stridiag


def test_steps_are_announced_and_timed():
    said = []
    done = stridiag.warmup(
        ["slogdet", "product"], [np.float32, "f8"], cases="chain", progress=lambda *step: said.append(step)
    )
    names = ["slogdet chain float32", "product chain float32", "slogdet chain float64", "product chain float64"]
    assert said == [(k, 4, name) for k, name in enumerate(names)]
    assert list(done.seconds) == names
    assert all(seconds > 0 for seconds in done.seconds.values())


@pytest.mark.parametrize("operation", ["solve", "solve-refined", "slogdet", "inv", "pinv", "product"])
@pytest.mark.parametrize(
    "case", ["chain", "strided-chain", "chain-with-links", "chain-with-many-links", "band", "band-with-links"]
)
def test_every_operation_runs_on_every_case(operation, case):
    stridiag.warmup(operation, cases=case)
    assert stridiag.warmup(operation, cases=case).compiled == 0


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="operation must be one of 'solve', "):
        stridiag.warmup("divide")
    with pytest.raises(ValueError, match="case must be one of 'chain', "):
        stridiag.warmup(cases="tree")
    for bad in ("float16", "f128x", object()):
        with pytest.raises(ValueError, match="dtype must be one of "):
            stridiag.warmup(dtypes=[bad])


CALL = """
import stridiag
done = stridiag.warmup("product", cases="chain")
print(done.compiled, done.loaded, done.cache)
"""


def run(code: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split(maxsplit=2)


def test_what_one_process_compiled_the_next_one_loads(tmp_path):
    compiled, loaded, cache = run(CALL, NUMBA_CACHE_DIR=str(tmp_path))
    assert int(compiled) > 0
    assert int(loaded) == 0
    assert Path(cache.strip()) == tmp_path
    # A copy serves as well, in another place: what an image brings along.
    copy = tmp_path.with_name("copied")
    tmp_path.rename(copy)
    compiled, loaded, _ = run(CALL, NUMBA_CACHE_DIR=str(copy))
    assert compiled == "0"
    assert int(loaded) > 0


def test_without_a_folder_for_the_cache_kernels_work_all_the_same():
    code = """
import sys
from numba.core.caching import CacheImpl
CacheImpl._locator_classes = []
"""
    compiled, loaded, cache = run(code + CALL)
    assert int(compiled) > 0
    assert loaded == "0"
    assert cache.strip() == "None"


def test_command_line(tmp_path):
    runner = pytest.importorskip("typer.testing").CliRunner()
    from stridiag.cli.app import app

    done = runner.invoke(app, ["warmup", "--operation", "slogdet", "--case", "chain", "--dtype", "float32"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert lines[0] == "[1/1] slogdet chain float32"
    assert "loaded from the cache" in lines[1]
    assert lines[2].startswith("Cache: ")
    done = runner.invoke(app, ["warmup", "--operation", "divide"])
    assert done.exit_code == 2
    assert "operation must be one of" in done.output
    command = ["warmup", "--operation", "slogdet", "--case", "chain", "--dtype", "float32", "--json", "--quiet"]
    told = json.loads(runner.invoke(app, command).output)
    assert set(told) == {"compiled", "loaded", "seconds", "cache"}
    assert told["compiled"] == 0
