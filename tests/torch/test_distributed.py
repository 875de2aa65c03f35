"""Layers under DistributedDataParallel and DataParallel: the step of several processes is that of one."""

import copy
from datetime import timedelta

import pytest
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DataParallel, DistributedDataParallel

import torch
from stridiag.torch import StridiagInvertible, StridiagLinear
from torch import nn


def _model():
    torch.manual_seed(3)
    return nn.Sequential(
        StridiagLinear(6, 8, (0, 1, -1), links=([0, 3], [4, 1])), nn.Tanh(), StridiagInvertible(8), StridiagLinear(8, 2)
    ).double()


def _batch():
    generator = torch.Generator().manual_seed(5)
    return torch.randn(8, 6, generator=generator, dtype=torch.float64)


def _step(model, rows):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(rows).square().mean().backward()
    optimizer.step()


def _work(rank, folder):
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2, timeout=timedelta(minutes=10)
    )
    try:
        model = _model()
        if rank:  # what the others start from is overwritten by the first one's parameters
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.zero_()
        _step(DistributedDataParallel(model), _batch()[4 * rank : 4 * rank + 4])
        torch.save(model.state_dict(), f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


def _other(_, folder):
    torch.set_num_threads(1)
    _work(1, folder)


@pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="needs gloo")
def test_a_step_of_two_processes_is_that_of_the_union(tmp_path):
    # This process is the first of the two: another one costs the seconds that torch takes to load.
    other = spawn(_other, (str(tmp_path),), nprocs=1, join=False)
    _work(0, str(tmp_path))
    while not other.join():
        pass
    alone = _model()
    _step(alone, _batch())
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, expected in alone.state_dict().items():
            torch.testing.assert_close(found[name], expected, rtol=1e-12, atol=1e-14, msg=f"{name} of process {rank}")


def test_copies_share_nothing_and_data_parallel_runs():
    model = _model()
    other = copy.deepcopy(model)
    _step(DataParallel(other), _batch())
    untouched = _model()
    for name, value in model.state_dict().items():
        assert torch.equal(value, untouched.state_dict()[name])
    _step(model, _batch())
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=1e-12, atol=1e-14)
