"""Gradient training from a closed-form start against the usual one: epochs until a validation score is reached.

    OMP_NUM_THREADS=1 python benchmarks/torch_start.py [--seeds 3] [--epochs 60] [--out FOLDER]

The same structured network, trained by Adam on standardised inputs (and targets), from `reset_parameters` and from
`fit_closed_form`. Digits (mode "random" and "corrected-targets"), accuracy in percent; Friedman-1, R^2. Epoch 0 is the
start itself. The closed-form fit's own time is given in epochs of the training.
"""

from __future__ import annotations

import argparse
import copy
import csv
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits, make_friedman1
from sklearn.model_selection import train_test_split

import torch
from stridiag.torch import StridiagLinear
from stridiag.torch.fit import fit_closed_form
from torch import Tensor, nn

Data = tuple[Tensor, Tensor, Tensor, Tensor]


def split(x: np.ndarray, y: np.ndarray, seed: int) -> Data:
    """Return standardised training inputs and targets, and those of validation."""
    classes = y.dtype.kind == "i"
    rows, new, aims, truth = train_test_split(x, y, test_size=0.25, random_state=seed, stratify=y if classes else None)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    deviation[deviation == 0.0] = 1.0
    rows, new = ((part - mean) / deviation for part in (rows, new))
    if not classes:
        aims, truth = ((part - aims.mean()) / aims.std() for part in (aims, truth))
    kind = torch.int64 if classes else torch.float32
    return tuple(  # type: ignore[return-value]
        torch.as_tensor(part, dtype=target)
        for part, target in zip((rows, aims, new, truth), (torch.float32, kind) * 2, strict=True)
    )


def network(inputs: int, outputs: int) -> nn.Sequential:
    offsets = (0, 1, -1, 2, -2)
    wide = (0, 7, -7, 35, -35)
    return nn.Sequential(
        StridiagLinear(inputs, 512, offsets),
        nn.Tanh(),
        StridiagLinear(512, 512, wide),
        nn.Tanh(),
        nn.Linear(512, outputs),
    )


def score(net: nn.Module, data: Data) -> float:
    with torch.no_grad():
        found = net(data[2])
    if data[3].dtype == torch.int64:
        return 100.0 * float((found.argmax(1) == data[3]).float().mean())
    return 1.0 - float(((found[:, 0] - data[3]) ** 2).mean() / data[3].var(correction=0))


def curve(net: nn.Module, data: Data, epochs: int, rate: float, seed: int) -> tuple[list[float], float]:
    """Return the score after each epoch of Adam, the start included, and CPU seconds of an epoch."""
    torch.manual_seed(seed)
    loss = nn.functional.cross_entropy if data[1].dtype == torch.int64 else _squares
    optimizer = torch.optim.Adam(net.parameters(), rate)
    scores, start = [score(net, data)], time.process_time()
    for _ in range(epochs):
        for batch in torch.randperm(len(data[0])).split(64):
            optimizer.zero_grad()
            loss(net(data[0][batch]), data[1][batch]).backward()
            optimizer.step()
        scores.append(score(net, data))
    return scores, (time.process_time() - start) / epochs


def _squares(found: Tensor, aims: Tensor) -> Tensor:
    return ((found[:, 0] - aims) ** 2).mean()


def reached(scores: Sequence[float], level: float) -> str:
    place = next((epoch for epoch, value in enumerate(scores) if value >= level), None)
    return f">{len(scores) - 1}" if place is None else str(place)


def compare(
    name: str, make: Callable[[int], Data], levels: Sequence[float], given: argparse.Namespace
) -> list[list[str]]:
    table = []
    for seed in range(given.seeds):
        data = make(seed)
        torch.manual_seed(seed)
        outputs = 10 if data[1].dtype == torch.int64 else 1
        plain = network(data[0].shape[1], outputs)
        starts = {"default": (copy.deepcopy(plain), 0.0)}
        for mode in ("random", "corrected-targets"):
            # Kernels are compiled, or read from their cache, before any time is taken.
            fit_closed_form(copy.deepcopy(plain), data[0], data[1], mode=mode, rng=seed)
            begin = time.process_time()
            net = fit_closed_form(copy.deepcopy(plain), data[0], data[1], mode=mode, rng=seed)
            starts[f"closed form, {mode}"] = (net, time.process_time() - begin)
        for start, (net, seconds) in starts.items():
            # The better of two rates for each start, judged at the end.
            runs = [curve(copy.deepcopy(net), data, given.epochs, rate, seed) for rate in (1e-3, 1e-4)]
            (scores, epoch), rate = max(zip(runs, (1e-3, 1e-4), strict=True), key=lambda run: max(run[0][0]))
            fit = f"{seconds / epoch:.1f}"
            row = [name, str(seed), start, f"{rate:g}", f"{scores[0]:.4g}", f"{max(scores):.4g}", fit]
            table.append([*row, *(reached(scores, level) for level in levels)])
            print("  ".join(table[-1]), flush=True)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--rows", type=int, default=2000, help="of Friedman-1")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    levels = {"digits": (95.0, 97.0, 98.0), "friedman": (0.9, 0.95, 0.97)}
    head = ["data", "seed", "start", "rate", "epoch 0", "best", "fit in epochs", "first", "second", "third level"]
    print("levels", levels)
    digits = load_digits(return_X_y=True)
    table = compare("digits", lambda seed: split(*digits, seed), levels["digits"], given)
    table += compare(
        "friedman",
        lambda seed: split(*make_friedman1(given.rows, noise=0.5, random_state=seed), seed),
        levels["friedman"],
        given,
    )
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        with (given.out / "start.csv").open("w", newline="") as file:
            csv.writer(file).writerows([head, *table])


if __name__ == "__main__":
    main()
