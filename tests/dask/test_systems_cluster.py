"""Linear systems on a cluster of processes: the same bits, after the death of a worker too; what moves."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster, wait
from numpy.typing import NDArray

import dask
from stridiag import dask as sd
from stridiag.errors import SingularMatrixError

Array = NDArray[Any]
N, CHUNK = 120_000, 10_000
LINKS = ([0, N - 1, 5, 70_000], [N - 1, 0, 90_000, 3], [1.0, 1.0, 0.5, -2.0])


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    # Workers cannot import this file.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    settings = {"distributed.worker.memory.terminate": False, "distributed.comm.timeouts.connect": "60s"}
    with (
        dask.config.set(settings),
        LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as connected,
    ):
        yield connected


def arrays() -> tuple[da.Array, da.Array, da.Array, da.Array]:
    rng = da.random.default_rng(0)
    lower, upper = (rng.standard_normal(N - 1, chunks=CHUNK) for _ in range(2))
    return lower, rng.standard_normal(N, chunks=CHUNK), upper, rng.standard_normal(N, chunks=CHUNK)


@pytest.fixture(scope="module")
def expected() -> tuple[Array, Any]:
    lower, diagonal, upper, b = arrays()
    return dask.compute(
        sd.solve(lower, diagonal, upper, b, links=LINKS),
        tuple(sd.slogdet(lower, diagonal, upper, links=LINKS)),
        scheduler="sync",
    )


@pytest.mark.parametrize("read_again", [False, True])
def test_results_are_those_of_one_process_to_the_last_bit(
    client: Client, expected: tuple[Array, Any], read_again: bool
) -> None:
    lower, diagonal, upper, b = arrays()
    x = sd.solve(lower, diagonal, upper, b, links=LINKS, read_again=read_again)
    assert (client.compute(x, sync=True) == expected[0]).all()
    assert tuple(client.compute(tuple(sd.slogdet(lower, diagonal, upper, links=LINKS)), sync=True)) == expected[1]


def die_once(block: Array, marks: str, time: int, block_info: Any = None) -> Array:
    """Kill this process when chunk 3 is computed for the `time`-th time."""
    if block_info and block_info[None]["chunk-location"] == (3,):
        count = len(os.listdir(marks))
        Path(marks, str(count)).touch()
        if count + 1 == time:
            os.kill(os.getpid(), signal.SIGKILL)
    return block


@pytest.mark.parametrize("time", [1, 2])
def test_a_worker_killed_in_either_pass_changes_no_bit(
    client: Client, expected: tuple[Array, Any], tmp_path: Path, time: int
) -> None:
    lower, diagonal, upper, b = arrays()
    # Chunks are computed twice: in the first pass, and, with the reduced system solved, in the second.
    deadly = da.map_blocks(die_once, b, str(tmp_path), time, dtype=float, meta=np.empty(0))
    x = sd.solve(lower, diagonal, upper, deadly, links=LINKS, read_again=True)
    assert (client.compute(x, sync=True, retries=3) == expected[0]).all()
    assert len(os.listdir(tmp_path)) > time
    client.wait_for_workers(2, timeout=120)


def test_only_small_messages_move_where_chunks_lie_together(client: Client) -> None:
    workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
    half = N // 2

    def there(worker: str, value: float) -> da.Array:
        future = client.submit(np.full, half, value, workers=[worker], pure=False)
        return da.from_delayed(dask.delayed(future), (half,), float)

    d, b = (da.concatenate([there(worker, value) for worker in workers]) for value in (4.0, 1.0))
    before = moved(client)
    x = sd.solve(1.0, d, 1.0, b, links=LINKS).persist()
    wait(x)
    # A chunk has 480,000 bytes.
    assert sum(moved(client).values()) - sum(before.values()) < 50_000
    assert np.isfinite(x.compute()).all()


def moved(client: Client) -> dict[str, int]:
    return client.run(lambda dask_worker: dask_worker.transfer_outgoing_bytes_total)


def test_errors_arrive(client: Client) -> None:
    x = sd.solve(0.0, da.zeros(100, chunks=50), 0.0, np.ones(100))
    with pytest.raises(SingularMatrixError) as caught:
        client.compute(x, sync=True)
    assert caught.value.column == 0


def test_chunks_that_lie_on_the_cluster_cannot_be_read_again(client: Client) -> None:
    d = client.persist(da.full(100, 4.0, chunks=50))
    with pytest.raises(ValueError, match="persisted"):
        sd.solve(1.0, d, 1.0, d, read_again=True)
