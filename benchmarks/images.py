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
    print(
        f"| {name} | {100 * accuracy:.2f} | {wall:.2f} | {cpu:.2f} | {count.hidden:,} | {count.readout:,} | "
        f"{net.readout.alpha[0]:.0e} | {cpu / gemm:.1f} |",
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
            net = fit_images(x[train], targets(y[train]), (8, 8), rng=seed)
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
        net = fit_images(x, targets(y), (28, 28), preset=preset, rng=seed)
        wall, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
        accuracy = float((net.decision(u).argmax(axis=1) == v).mean())
        what = "held out" if held_out else "test"
        line(f"MNIST, {len(x):,} images, {preset}, {what}, seed {seed}", accuracy, wall, cpu, gemm, net)


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of mnist.npz; without it only digits")
    parser.add_argument("--presets", nargs="*", default=["fast", "balanced"], help="for MNIST")
    parser.add_argument("--rows", type=int, default=60_000, help="so many training images")
    parser.add_argument("--held-out", action="store_true", help="score on the last 10,000 training images instead")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="of digits; MNIST takes the first")
    arguments = parser.parse_args()
    compile_kernels()
    gemm = gemm_seconds()
    print(f"gemm of 4000 x 4000 in float32: {gemm:.2f} CPU s\n")
    print("| data | accuracy % | fit wall s | fit CPU s | hidden | readout | alpha | gemms |")
    print("|---|---|---|---|---|---|---|---|")
    digits(arguments.seeds, gemm)
    if arguments.data is not None:
        mnist(arguments.data, arguments.presets, arguments.rows, arguments.held_out, arguments.seeds[0], gemm)


if __name__ == "__main__":
    main()
