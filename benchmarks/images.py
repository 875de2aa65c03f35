"""Accuracy, time of fit and parameters of image networks on digits and MNIST: one line for each preset.

Digits are scikit-learn's, by stratified shuffled 5-fold cross-validation; MNIST is ``DIR/mnist.npz`` with x_train,
y_train, x_test, y_test, trained on all 60,000 images and scored on the test set once. CPU seconds are those of all
threads. The last column is the time of fit in units of a float32 product of two 4000 x 4000 matrices, timed in the same
process. The kernel is compiled before the first line.

    python benchmarks/images.py --data DIR --presets fast balanced accurate
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

from stridiag.nn import fit_images


def gemm_seconds(size: int = 4000) -> float:
    """Return the CPU seconds of one product in float32."""
    a = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
    b = a.copy()
    a @ b
    start = time.process_time()
    a @ b
    return time.process_time() - start


def compile_kernels() -> None:
    """Fit a few small images, so that no line pays for compilation."""
    x = np.random.default_rng(0).random((100, 18 * 18))
    fit_images(x, x[:, :1], (18, 18), rng=0)


def targets(labels: np.ndarray) -> np.ndarray:
    """Return one column for each class, 1 for its own and 0 for the others."""
    return (labels[:, None] == np.unique(labels)).astype(float)


def line(name: str, accuracy: float, wall: float, cpu: float, gemm: float, net: object) -> None:
    """Print one row of the table."""
    count = net.parameter_count()
    one = getattr(net, "members", (net,))[0]
    print(
        f"| {name} | {100 * accuracy:.2f} | {wall:.2f} | {cpu:.2f} | {count.hidden:,} | {count.readout:,} | "
        f"{one.readout.alpha[0]:.0e} | {cpu / gemm:.1f} |",
        flush=True,
    )


def digits(seeds: list[int], gemm: float) -> None:
    """Score digits, 5-fold, for some seeds of folds and network."""
    x, y = load_digits(return_X_y=True)
    for seed in seeds:
        right, wall, cpu = 0, 0.0, 0.0
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        for train, test in folds.split(x, y):
            begun = time.perf_counter(), time.process_time()
            net = fit_images(x[train], targets(y[train]), (8, 8), classification=True, rng=seed)
            wall += (time.perf_counter() - begun[0]) / 5
            cpu += (time.process_time() - begun[1]) / 5
            right += int((net.decision(x[test]).argmax(axis=1) == y[test]).sum())
        line(f"digits, 5-fold, seed {seed}", right / len(y), wall, cpu, gemm, net)


def mnist(folder: Path, presets: list[str], rows: int, held_out: bool, seed: int, gemm: float) -> None:
    """Score MNIST on its test set or, while settings are being looked for, on the last 10,000 training images."""
    data = np.load(folder / "mnist.npz")
    x, y = data["x_train"].reshape(-1, 784), data["y_train"]
    u, v = data["x_test"].reshape(-1, 784), data["y_test"]
    if held_out:
        x, y, u, v = x[:-10_000], y[:-10_000], x[-10_000:], y[-10_000:]
    x, y = x[:rows], y[:rows]
    for preset in presets:
        begun = time.perf_counter(), time.process_time()
        net = fit_images(x, targets(y), (28, 28), preset=preset, classification=True, rng=seed)
        wall, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
        accuracy = float((net.decision(u).argmax(axis=1) == v).mean())
        what = "held out" if held_out else "test"
        line(f"MNIST, {len(x):,} images, {preset}, {what}, seed {seed}", accuracy, wall, cpu, gemm, net)


def dense(folder: Path, epochs: int, units: int, seed: int, gemm: float) -> None:
    """Train a dense network by gradients, and print the best test accuracy that any of its epochs had: a gift to it."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    data = np.load(folder / "mnist.npz")
    x, u = (torch.from_numpy(data[k].reshape(-1, 784).astype(np.float32) / 255.0) for k in ("x_train", "x_test"))
    y, v = (torch.from_numpy(data[k].astype(np.int64)) for k in ("y_train", "y_test"))
    net = nn.Sequential(
        nn.Dropout(0.2),
        nn.Linear(784, units),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(units, units),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(units, 10),
    )
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, epochs=epochs, steps_per_epoch=-(-len(x) // 128))
    begun, best = (time.perf_counter(), time.process_time()), 0.0
    for _ in range(epochs):
        net.train()
        for rows in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
        net.eval()
        with torch.no_grad():
            best = max(best, float((net(u).argmax(dim=1) == v).double().mean()))
    wall, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
    hidden, readout = 784 * units + units + units * units + units, (units + 1) * 10
    name = f"MNIST, dense 784-{units}-{units}-10, dropout, Adam, best of {epochs} epochs on the test set, seed {seed}"
    print(f"| {name} | {100 * best:.2f} | {wall:.2f} | {cpu:.2f} | {hidden:,} | {readout:,} | | {cpu / gemm:.1f} |")


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of mnist.npz; without it only digits")
    parser.add_argument("--presets", nargs="*", default=["fast", "balanced"], help="for MNIST")
    parser.add_argument("--rows", type=int, default=60_000, help="so many training images")
    parser.add_argument("--held-out", action="store_true", help="score on the last 10,000 training images instead")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="of digits; MNIST takes the first")
    parser.add_argument("--dense", type=int, default=0, help="so many epochs of a dense network by gradients (torch)")
    parser.add_argument("--units", type=int, default=800, help="width of its two hidden layers")
    arguments = parser.parse_args(argv)
    compile_kernels()
    gemm = gemm_seconds()
    print(f"gemm of 4000 x 4000 in float32: {gemm:.2f} CPU s\n")
    print("| data | accuracy % | fit wall s | fit CPU s | hidden | readout | alpha | gemms |")
    print("|---|---|---|---|---|---|---|---|")
    digits(arguments.seeds, gemm)
    if arguments.data is not None:
        mnist(arguments.data, arguments.presets, arguments.rows, arguments.held_out, arguments.seeds[0], gemm)
        if arguments.dense:
            dense(arguments.data, arguments.dense, arguments.units, arguments.seeds[0], gemm)


if __name__ == "__main__":
    main()
