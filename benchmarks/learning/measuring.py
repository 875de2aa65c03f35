"""One fit, measured in a process of its own: one thread, a limit of CPU seconds, memory above what was there before.

Seconds are CPU seconds, which other work on the machine hardly changes; wall seconds stand beside them.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from learning.data import Split, load
from learning.models import Model, Problem, models

__all__ = ["Job", "accuracy", "gemm_seconds", "in_fork", "in_interpreter", "measured", "perform", "rmse"]

Array = NDArray[Any]

_GEMM = 768
# Seconds that a measurement takes at least.
_LEAST = 0.15
_WARM_ROWS = 64
_SINGLE_ROWS = 200


@dataclass(frozen=True, slots=True)
class Job:
    """What one process does."""

    folder: str
    data: str
    split: int
    model: str
    size: dict[str, int] | None = None


def rmse(guess: Array, truth: Array) -> float:
    """Return the root of the mean squared error."""
    return float(np.sqrt(np.mean((np.asarray(guess, np.float64) - truth) ** 2)))


def accuracy(guess: Array, truth: Array) -> float:
    """Return the share of right labels."""
    return float(np.mean(np.asarray(guess) == truth))


def gemm_seconds(size: int = _GEMM, least: float = _LEAST) -> float:
    """Return the mean CPU seconds of a product of two float64 matrices of that order, over `least` seconds."""
    a = np.random.default_rng(0).standard_normal((size, size))
    b = a.T.copy()
    # The first one finds its memory unmapped.
    a @ b
    return mean_seconds(lambda: a @ b, least)[1]


def mean_seconds(call: Callable[[], Any], least: float = _LEAST, most: int = 50) -> tuple[Any, float]:
    """Return a call's first value and its mean CPU seconds.

    A short call is repeated for `least` seconds, up to `most` times: one alone is noise.
    """
    start = time.process_time()
    value, calls = call(), 1
    while (taken := time.process_time() - start) < least and calls < most:
        call()
        calls += 1
    return value, taken / calls


def perform(job: Job) -> dict[str, Any]:
    """Load, fit and measure; return the fields of a result."""
    from_ours = _estimator() if job.model.startswith(("ours", "random places")) else None
    model = models(from_ours)[job.model]
    table = load(Path(job.folder), job.data)
    problem = Problem(table.task == "classification", table.image_shape, job.split, job.size)
    with warnings.catch_warnings():
        # Rivals say that they have not converged; that is their result.
        warnings.simplefilter("ignore")
        return measured(model, problem, table.split(job.split))


def measured(model: Model, problem: Problem, split: Split) -> dict[str, Any]:
    """Fit a model on one thread and measure it."""
    with threadpool_limits(1):
        _one_thread_of_numba()
        warm = _warm_rows(split)
        # Compiled code is loaded and modules are imported outside the clock. A search would take as long as the fit.
        if model.name != "mlp, tuned":
            first = model.build(problem)
            first.fit(*warm)
            first.predict(warm[0][:1])
        gemm = [gemm_seconds()]
        fitted, before = model.build(problem), _reset_peak()
        cpu, wall = time.process_time(), time.perf_counter()
        fitted.fit(split.x_train, split.y_train)
        fit_cpu, fit_wall = time.process_time() - cpu, time.perf_counter() - wall
        memory = max(0, _peak() - before)
        if fit_cpu < _LEAST:
            fit_cpu = mean_seconds(lambda: model.build(problem).fit(split.x_train, split.y_train))[1]
        guess, predict_cpu = mean_seconds(lambda: fitted.predict(split.x_test))
        gemm.append(gemm_seconds())
        return {
            "score": (accuracy if problem.classify else rmse)(guess, split.y_test),
            "fit_cpu": fit_cpu,
            "fit_wall": fit_wall,
            "predict_cpu": predict_cpu,
            "gemm_cpu": statistics.mean(gemm),
            "memory": memory,
            **fitted.counts(),
            "bytes": saved_bytes(fitted),
            "latency": latency(fitted.predict, split.x_test),
            "train_rows": len(split.x_train),
            "test_rows": len(split.x_test),
            "columns": split.x_train.shape[1],
        }


def latency(predict: Callable[[Array], Any], rows: Array) -> float:
    """Return the median wall seconds of predicting a single row."""
    taken = []
    for k in range(_SINGLE_ROWS):
        row = rows[k % len(rows)][None]
        start = time.perf_counter()
        predict(row)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def saved_bytes(fitted: Any) -> int:
    """Return the bytes of the saved model: by its own `save` where it has one, pickled otherwise."""
    estimator = getattr(fitted, "estimator", fitted)
    if hasattr(estimator, "save"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.npz"
            estimator.save(path)
            return sum(file.stat().st_size for file in Path(folder).iterdir())
    return len(pickle.dumps(estimator, protocol=5))


def in_fork(job: Job, limit: float) -> dict[str, Any]:
    """Perform a job in a fork of this process, which must not have computed on several threads before.

    Returns
    -------
    dict
        The fields of a result and ``status``: "ok", "time limit" after `limit` CPU seconds, or what went wrong.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, job))
    process.start()
    sender.close()
    told = {"status": "time limit"}
    try:
        if _in_time(process.pid, receiver.poll, limit):
            told = receiver.recv()
        else:
            process.kill()
    except EOFError:
        process.join()
        told = {"status": f"failed: exit {process.exitcode}"}
    process.join()
    receiver.close()
    return told


def in_interpreter(python: str, job: Job, limit: float) -> dict[str, Any]:
    """Perform a job in another Python, for a rival that is installed there; returns what `in_fork` does."""
    root = Path(__file__).resolve().parents[1]
    command = [python, "-c", "import sys, learning.measuring as m; m.main(sys.argv[1])", json.dumps(asdict(job))]
    with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, cwd=root, stdout=told, stderr=errors, text=True)

        def ended(seconds: float) -> bool:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                return False
            return True

        if not _in_time(process.pid, ended, limit):
            process.kill()
            process.wait()
            return {"status": "time limit"}
        told.seek(0)
        errors.seek(0)
        try:
            return json.loads(told.read().splitlines()[-1])
        except (IndexError, ValueError):
            return {"status": f"failed: {(errors.read().splitlines() or ['no answer'])[-1]}"}


def _in_time(pid: int | None, ready: Callable[[float], bool], limit: float) -> bool:
    """Wait until a process is ready, looking at its CPU seconds now and then; whether it stayed within the limit.

    A limit set for the process itself (RLIMIT_CPU) would make its clock of CPU seconds one of ticks.
    """
    start, pause = time.monotonic(), 0.05
    while not ready(pause):
        pause = min(1.0, 1.5 * pause)
        # A process that sleeps uses no CPU seconds; on a busy machine wall seconds are many more.
        if _cpu_seconds(pid) > limit or time.monotonic() - start > 60.0 + 40.0 * limit:
            return False
    return True


def _cpu_seconds(pid: int | None) -> float:
    """Return the CPU seconds of another process; 0 where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    # The name, in parentheses, may hold spaces.
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def main(text: str) -> None:
    print(json.dumps(_outcome(Job(**json.loads(text)))))


def _send(sender: Any, job: Job) -> None:
    sender.send(_outcome(job))
    sender.close()


def _outcome(job: Job) -> dict[str, Any]:
    # Whatever a rival raises is its result.
    try:
        return {"status": "ok", **perform(job)}
    except Exception as error:
        return {"status": f"failed: {type(error).__name__}: {error}"[:300].replace("\n", " ")}


def _estimator() -> type:
    from stridiag.sklearn import StridiagRegressor

    return StridiagRegressor


def _one_thread_of_numba() -> None:
    if "numba" in sys.modules:
        sys.modules["numba"].set_num_threads(1)


def _warm_rows(split: Split) -> tuple[Array, Array]:
    """Return a few training rows; of labels, two of each at least."""
    order = np.random.default_rng(0).permutation(len(split.y_train))
    some = order[:_WARM_ROWS]
    if split.y_train.dtype.kind in "iu":
        labels = split.y_train[order]
        some = np.concatenate([some, *(order[labels == label][:2] for label in np.unique(labels))])
    return split.x_train[some], split.y_train[some]


def _reset_peak() -> int:
    """Make the peak of this process's memory start here, where the system can; return what it has now, in bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return _peak()
    return _status("VmRSS")


def _peak() -> int:
    try:
        return _status("VmHWM")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"the system does not tell {field}")
