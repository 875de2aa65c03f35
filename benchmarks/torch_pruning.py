"""Pruned torch networks: accuracy by stage, bytes on disk and single-row latency, beside dense and torch's own pruning.

    OMP_NUM_THREADS=1 python benchmarks/torch_pruning.py --data FOLDER [--density 0.05 0.025] [--out FOLDER]

Digits 64-128-128-10 and, if FOLDER holds mnist.npz (x_train, y_train, x_test, y_test), MNIST 784-512-512-10: trained
here by Adam, pruned on training rows without labels, scored on test rows, no training afterwards. Densities are those
of the two hidden weights; the dense readout comes on top. "torch, magnitude" is torch.nn.utils.prune.l1_unstructured at
equal density, made permanent. Bytes: a state dict saved by torch.save, its sparse form for torch's pruning (CSR with
32-bit indices) as a further row. Latency: median and 99th percentile of single rows under inference_mode, one thread.
"""

from __future__ import annotations

import argparse
import copy
import csv
import io
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn.utils import prune as torch_prune

import torch
from stridiag.torch.prune import prune
from torch import Tensor, nn

Data = tuple[Tensor, Tensor, Tensor, Tensor]


def digits() -> Data:
    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x / 16.0, y, test_size=0.25, random_state=0, stratify=y)
    return _tensors(*parts)


def mnist(file: Path) -> Data:
    with np.load(file, allow_pickle=False) as data:
        rows, new = (data[f"x_{part}"].reshape(len(data[f"x_{part}"]), -1) / 255.0 for part in ("train", "test"))
        return _tensors(rows, new, data["y_train"], data["y_test"])


def _tensors(rows: np.ndarray, new: np.ndarray, labels: np.ndarray, truth: np.ndarray) -> Data:
    x, t = (torch.as_tensor(part, dtype=torch.float32) for part in (rows, new))
    return x, t, torch.as_tensor(labels.astype(np.int64)), torch.as_tensor(truth.astype(np.int64))


def trained(data: Data, units: int, epochs: int, batch: int) -> nn.Sequential:
    """Return a dense network of two hidden layers, trained by Adam with one cycle of rates."""
    torch.manual_seed(0)
    x, y = data[0], data[2]
    net = nn.Sequential(
        nn.Linear(x.shape[1], units), nn.ReLU(), nn.Linear(units, units), nn.ReLU(), nn.Linear(units, 10)
    )
    optimizer = torch.optim.Adam(net.parameters())
    steps = epochs * -(-len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[part]), y[part]).backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def accuracy(net: nn.Module, data: Data) -> float:
    with torch.inference_mode():
        return 100.0 * float((net(data[1]).argmax(1) == data[3]).float().mean())


def stored(state: dict[str, Tensor]) -> int:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getbuffer().nbytes


def latency(net: nn.Module, data: Data, repeats: int) -> tuple[float, float]:
    """Return median and 99th percentile of the microseconds that one row takes."""
    rows = [row[None].clone() for row in data[1][:64]]
    times = []
    with torch.inference_mode():
        for i in range(repeats + 100):
            start = time.perf_counter_ns()
            net(rows[i % len(rows)])
            times.append(time.perf_counter_ns() - start)
    return tuple(np.percentile(np.array(times[100:]) / 1e3, (50, 99)))  # type: ignore[return-value]


def by_magnitude(net: nn.Sequential, density: float) -> nn.Sequential:
    pruned = copy.deepcopy(net)
    for layer in (pruned[0], pruned[2]):
        torch_prune.l1_unstructured(layer, "weight", amount=1.0 - density)
        torch_prune.remove(layer, "weight")
    return pruned


def as_csr(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with its mostly empty matrices in torch's sparse form."""
    found = {}
    for name, value in state.items():
        if value.dim() == 2 and float((value != 0).float().mean()) < 0.5:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # sparse tensors are called a beta
                sparse = value.to_sparse_csr()
            found[f"{name}.rows"] = sparse.crow_indices().int()
            found[f"{name}.columns"] = sparse.col_indices().int()
            found[f"{name}.values"] = sparse.values()
        else:
            found[name] = value
    return found


def measure(name: str, net: nn.Sequential, data: Data, sample: Tensor, given: argparse.Namespace) -> list[list[str]]:
    dense = accuracy(net, data)
    head = [name, "1", "dense", f"{dense:.2f}", "0", str(stored(net.state_dict()))]
    table = [[*head, *(f"{t:.0f}" for t in latency(net, data, given.repeats)), ""]]
    print(", ".join(table[0]), flush=True)
    for density in given.density:
        rows: list[tuple[str, nn.Module, float]] = []
        for title, options in (("ours, links only", {"diagonals": 0}), ("ours, diagonals and links", {})):
            start = time.process_time()
            made, _ = prune(net, sample, density=density, conditions=False, rng=0, **options)
            rows.append((title, made, time.process_time() - start))
        rows.append(("torch, magnitude", by_magnitude(net, density), 0.0))
        for title, made, seconds in rows:
            found = accuracy(made, data)
            line = [name, f"{density:g}", title, f"{found:.2f}", f"{found - dense:.2f}", str(stored(made.state_dict()))]
            table.append([*line, *(f"{t:.0f}" for t in latency(made, data, given.repeats)), f"{seconds:.1f}"])
            print(", ".join(table[-1]), flush=True)
        sparse = stored(as_csr(rows[-1][1].state_dict()))
        table.append([name, f"{density:g}", "torch, magnitude, stored as CSR", "", "", str(sparse), "", "", ""])
        print(", ".join(table[-1]), flush=True)
        _, report = prune(
            net, sample, density=density, diagonals=0, evaluate=lambda model: accuracy(model, data), rng=0
        )
        print(report, flush=True)
        table += [
            [name, f"{density:g}", f"stage: {stage}", f"{value:.2f}", f"{value - dense:.2f}", "", "", "", ""]
            for stage, value in report.ladder.items()
        ]
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder with mnist.npz; without it, digits only")
    parser.add_argument("--density", type=float, nargs="+", default=[0.05, 0.025])
    parser.add_argument("--epochs", type=int, default=5, help="of the training on MNIST")
    parser.add_argument("--repeats", type=int, default=2000, help="of single rows")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    small = digits()
    table = measure("digits", trained(small, 128, 60, 32), small, small[0], given)
    if given.data is not None:
        large = mnist(given.data / "mnist.npz")
        table += measure("mnist", trained(large, 512, given.epochs, 128), large, large[0][:20000], given)
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        head = ["data", "density", "network", "accuracy", "points", "bytes", "p50 us", "p99 us", "CPU s"]
        with (given.out / "pruning.csv").open("w", newline="") as file:
            csv.writer(file).writerows([head, *table])


if __name__ == "__main__":
    main()
