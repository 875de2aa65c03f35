"""Processes that are really killed, at any moment: what goes on from their checkpoint ends bit for bit the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

# One process imports everything and then forks the ones that are killed: without the time of so many starts. It forks
# before any thread is there, and before anything is computed.
DRIVER = """
import json, os, signal, sys, time
from pathlib import Path
import numpy as np
from stridiag import _files
from stridiag.sklearn import StridiagClassifier, StridiagRegressor, fit_stream, load_checkpoint
from stridiag.tables import open_arrays

folder = Path(sys.argv[1])
state = folder / "state.npz"

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def fit(file, progress=False):
    source = open_arrays(folder / "x", folder / "y", chunk_rows=128, labels=True)
    model = StridiagClassifier(units=64, layers=2, random_state=0)
    return fit_stream(model, source, sample_rows=400, checkpoint=file, checkpoint_every=0, progress=progress)

def out(model, name):
    np.savez(folder / name, scores=model.decision_function(np.load(folder / "held.npy")), classes=model.classes_)

def killed_at(stage, rows):
    def hook(progress):
        if progress.stage == stage and progress.step >= rows:
            die()
    fit(state, hook)

def killed_while_writing(number, bytes_left):
    # The given write of a checkpoint gets so far: some bytes, or all of them without taking its place.
    count = 0
    whole = Path.replace
    class Torn:
        def __init__(self, stream):
            self._stream, self._left = stream, bytes_left
        def write(self, data):
            data = memoryview(data).cast("B")
            if len(data) > self._left:
                self._stream.write(data[:self._left])
                self._stream.flush()
                die()
            self._left -= len(data)
            return self._stream.write(data)
        def __getattr__(self, name):
            return getattr(self._stream, name)
        def __enter__(self):
            return self
        def __exit__(self, *error):
            self._stream.close()
    usual = Path.open
    def torn(self, mode="r", *args, **options):
        nonlocal count
        stream = usual(self, mode, *args, **options)
        if mode == "xb":
            count += 1
            if count == number and bytes_left is not None:
                return Torn(stream)
        return stream
    def before(self, target):
        if count == number and bytes_left is None:
            die()
        return whole(self, target)
    Path.open, Path.replace = torn, before
    fit(state)

def child(work, *arguments):
    pid = os.fork()
    if pid == 0:
        try:
            work(*arguments)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid

def end(pid):
    status = os.waitpid(pid, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

def told():
    if not state.exists():
        return [None, None, sorted(p.name for p in folder.glob(".state*"))]
    found = load_checkpoint(state)
    return [found.rows, found.finished, sorted(p.name for p in folder.glob(".state*"))]

log = []
def step(name, pid):
    code = end(pid)
    # In a process of its own, so that nothing is computed here.
    reader = child(lambda: (folder / "told.json").write_text(json.dumps(told())))
    assert end(reader) == 0
    log.append([name, code, *json.loads((folder / "told.json").read_text())])

assert end(child(lambda: out(fit(None), "plain.npz"))) == 0
assert end(child(lambda: out(fit(folder / "whole.npz"), "whole-out.npz"))) == 0
step("sample", child(killed_at, "sample", 1))
step("writing the first", child(killed_while_writing, 1, 1000))
step("rows", child(killed_at, "rows", 300))
step("writing the second, early", child(killed_while_writing, 1, 10))
step("writing, late", child(killed_while_writing, 2, 30_000))
step("before taking place", child(killed_while_writing, 2, None))
before = state.stat().st_mtime_ns
pid = child(fit, state, lambda progress: time.sleep(0.05))
while state.stat().st_mtime_ns == before:
    time.sleep(0.01)
os.kill(pid, signal.SIGKILL)
step("from outside", pid)
step("last rows", child(killed_at, "rows", 2500))
# One more for these, and one that says that it is finished.
step("writing the end", child(killed_while_writing, 2, None))
step("end", child(lambda: out(fit(state), "resumed.npz")))
print(json.dumps(log))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_killed_fit_goes_on_to_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2500, 8))
    y = (np.digitize(x[:, 0] * x[:, 1] + 0.1 * rng.standard_normal(2500), [-0.5, 0.0, 0.5])).astype(np.int64)
    # One class comes in the second file only.
    y[2000:2100] = 9
    for name, array in (("x", x), ("y", y)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "0.npy", array[:1500])
        np.save(tmp_path / name / "1.npy", array[1500:])
    np.save(tmp_path / "held.npy", rng.standard_normal((200, 8)))
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    log = json.loads(done.stdout)
    killed, (end,) = log[:-1], log[-1:]
    assert [code for _, code, *_ in killed] == [-signal.SIGKILL] * 9
    rows = {name: [count, finished] for name, _, count, finished, _ in log}
    assert rows["sample"] == rows["writing the first"] == [None, None]
    # The write that was torn left the one before, whole; and what it left beside is gone at the end.
    assert rows["writing the second, early"] == rows["rows"] == [256, False]
    assert rows["writing, late"] == [384, False]
    assert rows["before taking place"] == [512, False]
    assert rows["last rows"] == [1500 + 7 * 128, False]
    assert rows["writing the end"] == [2500, False]
    assert end == ["end", 0, 2500, True, []]
    assert sum(bool(beside) for *_, beside in killed) >= 5
    plain, whole, resumed = (np.load(tmp_path / name) for name in ("plain.npz", "whole-out.npz", "resumed.npz"))
    for name in ("scores", "classes"):
        np.testing.assert_array_equal(whole[name], plain[name])
        np.testing.assert_array_equal(resumed[name], plain[name])
