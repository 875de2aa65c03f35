"""Fits on a cluster of processes: equal, whatever happens to workers."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import cloudpickle
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

import dask
import stridiag.dask as wing
from stridiag.sklearn import StridiagClassifier, StridiagRegressor

NETWORK = {"units": 24, "layers": 2, "random_state": 0}
PARTS, ROWS, COLUMNS, PATIENCE = 12, 200, 6, 120.0


@pytest.fixture(scope="module")
def cluster():
    # Workers cannot import this file.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    patient = {f"distributed.nanny.pre-spawn-environ.{name}": 2 for name in variables} | {
        "distributed.comm.timeouts.connect": "60s",
        "distributed.comm.timeouts.tcp": "120s",
    }
    with (
        dask.config.set(patient),
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as running,
    ):
        yield running


@pytest.fixture
def client(cluster):
    with Client(cluster) as connected:
        cluster.scale(2)
        connected.wait_for_workers(2, timeout=PATIENCE)
        yield connected


def rows_of(number):
    """Make a partition, the same wherever and however often."""
    return np.random.default_rng(number).standard_normal((ROWS, COLUMNS))


def labels_of(rows):
    return np.where(rows[:, 0] * rows[:, 1] > 0.0, "same", "other")


def wait_for(found):
    end = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < end
        time.sleep(0.02)


def table(make=rows_of):
    """Return rows and labels, made on workers by a function of the partition's number."""

    # Functions of a function, since those of the file would be sent by its name.
    def made(number):
        return make(number)

    def labels(rows):
        return labels_of(rows)

    parts = [dask.delayed(made, pure=True)(number) for number in range(PARTS)]
    x = da.concatenate([da.from_delayed(part, (ROWS, COLUMNS), float) for part in parts])
    return x, x.map_blocks(labels, drop_axis=1, dtype="U5", meta=np.empty(0, "U5"))


def fitted(x, y, **options):
    return wing.fit(StridiagClassifier(**NETWORK), x, y, sample_rows=500, fan_in=3, **options)


@pytest.fixture(scope="module")
def expected():
    with dask.config.set(scheduler="synchronous"):
        return fitted(*table())


@pytest.fixture(scope="module")
def data():
    x = np.concatenate([rows_of(number) for number in range(PARTS)])
    return x, labels_of(x)


def assert_same(model, expected, data):
    """Whoever adds, in one tree with equal kernels: equal to the last bit."""
    for found, wanted in zip(model._online.streams, expected._online.streams, strict=True):
        np.testing.assert_array_equal(found.statistics.scatter, wanted.statistics.scatter)
        np.testing.assert_array_equal(found.statistics.cross, wanted.statistics.cross)
    np.testing.assert_array_equal(model.decision_function(data[0]), expected.decision_function(data[0]))


def test_processes_fit_and_predict_as_one(client, data, expected):
    x, y = table()
    model = fitted(x, y)
    assert_same(model, expected, data)
    first = np.zeros(len(data[0]), bool)
    first[np.random.default_rng(0).choice(len(first), 500, replace=False, shuffle=False)] = True
    alone = StridiagClassifier(**NETWORK)
    for part in (first, ~first):
        alone.partial_fit(data[0][part], data[1][part])
    scores = alone.decision_function(data[0])
    np.testing.assert_allclose(model.decision_function(data[0]), scores, rtol=0, atol=1e-10 * np.abs(scores).max())
    lazy = wing.predict(model, x)
    np.testing.assert_array_equal(lazy.compute(), model.predict(data[0]))
    assert float((lazy == y).mean().compute()) > 0.8


def started_here(data):
    return StridiagClassifier(**NETWORK).partial_fit(data[0][:500], data[1][:500])


def test_a_killed_worker_changes_nothing(client, tmp_path, data):
    killed = tmp_path / "killed"

    def make(number):
        # In the middle: this worker has measured two partitions, and all of that is lost.
        mine = f"made-{os.getpid()}"
        if len(list(tmp_path.glob(f"{mine}-*"))) == 2 and not killed.exists():
            (tmp_path / f"waiting-{os.getpid()}").touch()
            wait_for(killed.exists)
        (tmp_path / f"{mine}-{number}").touch()
        return rows_of(number)

    def kill():
        wait_for(lambda: list(tmp_path.glob("waiting-*")))
        pid = int(next(tmp_path.glob("waiting-*")).name.partition("-")[2])
        assert pid in pids
        os.kill(pid, signal.SIGKILL)
        killed.touch()
        dead.append(pid)

    pids, dead = set(client.run(os.getpid).values()), []
    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    model = wing.partial_fit(started_here(data), *table(make), fan_in=3)
    killer.join(PATIENCE)
    assert len(dead) == 1
    with dask.config.set(scheduler="synchronous"):
        assert_same(model, wing.partial_fit(started_here(data), *table(), fan_in=3), data)
    client.wait_for_workers(2, timeout=PATIENCE)
    assert dead[0] not in client.run(os.getpid).values()


def test_a_task_that_fails_once_is_tried_again(client, tmp_path, data):
    def make(number):
        if number == 3:
            try:
                (tmp_path / "tried").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                raise OSError("the disk was away")
        return rows_of(number)

    before = started_here(data)
    with pytest.raises(OSError, match="the disk was away"):
        wing.partial_fit(before, *table(make), fan_in=3)
    np.testing.assert_array_equal(before.decision_function(data[0]), started_here(data).decision_function(data[0]))
    (tmp_path / "tried").unlink()
    model = wing.partial_fit(started_here(data), *table(make), fan_in=3, retries=1)
    with dask.config.set(scheduler="synchronous"):
        assert_same(model, wing.partial_fit(started_here(data), *table(), fan_in=3), data)


def test_workers_that_come_and_go(client, cluster, data, expected):
    adaptive = cluster.adapt(minimum=1, maximum=2, interval="100ms", wait_count=1)
    try:
        assert_same(fitted(*table()), expected, data)
    finally:
        adaptive.stop()


def test_one_thread_for_each_task(client, tmp_path):
    here = os.getpid()

    class Nosy(StridiagRegressor):
        """Looks around while it works."""

        def _look(self):
            from threadpoolctl import threadpool_info

            import stridiag

            blas = {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
            # What this process, which is no worker, asks for an example is not looked at.
            if os.getpid() != here:
                (tmp_path / f"{stridiag.get_num_threads()}-{max(blas)}-{time.time_ns()}").touch()

        def _later(self, *rows, least):
            self._look()
            return super()._later(*rows, least=least)

        def _decide(self, X):
            self._look()
            return super()._decide(X)

    def found():
        files = list(tmp_path.iterdir())
        assert len(files) >= 12
        seen = [tuple(map(int, file.name.split("-")[:2])) for file in files]
        for file in files:
            file.unlink()
        return set(seen)

    x = np.random.default_rng(0).standard_normal((600, COLUMNS))
    rows = da.from_array(x, chunks=(100, COLUMNS))
    model = Nosy(**NETWORK).partial_fit(x, x[:, 0])
    for threads in (1, 2):
        wing.partial_fit(model, rows, rows[:, 0], threads_per_task=threads)
        lazy = wing.predict(model, rows, threads_per_task=threads)
        lazy.compute()
        if threads == 1:
            # These workers leave BLAS two threads, as workers without Dask's own settings may.
            assert found() == {(1, 1)}
        else:
            assert {kernels for kernels, _ in found()} == {2}


def test_memory_of_a_worker_is_that_of_a_few_chunks(client):
    import resource

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    columns, rows, parts = 100, 10_000, 40

    def make(number):
        return np.random.default_rng(number).standard_normal((rows, columns))

    def table(count):
        made = [dask.delayed(make, pure=True)(number) for number in range(count)]
        return da.concatenate([da.from_delayed(part, (rows, columns), float) for part in made])

    model = StridiagRegressor(units=16, layers=1, random_state=0)
    small = table(2)
    wing.fit(model, small, small[:, 0], sample_rows=500)
    before = client.run(peak)
    x = table(parts)
    fitted = wing.fit(model, x, x[:, 0], sample_rows=500)
    assert fitted._online.streams[0].rows == rows * parts
    after = client.run(peak)
    assert x.nbytes == 320_000_000
    # Partitions are of 8 MB; all would be 160 MB for each worker.
    assert max(after[worker] - before[worker] for worker in before) < 100_000_000
