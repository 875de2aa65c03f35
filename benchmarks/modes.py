"""Every training mode beside its random control: digits, Friedman-1, and a product of two of twenty columns.

    OPENBLAS_NUM_THREADS=1 python benchmarks/modes.py [--repeats 3] [--quick]

All modes start from the same draws, so differences are paired: by fold and seed. The difference from mode "random"
stands in brackets with its standard error; then hidden numbers and CPU seconds of a fit (median). "random, wider" has
more diagonals: with at least as many hidden numbers as the residual blocks, it is their second control.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from sklearn.datasets import load_digits, make_friedman1
from sklearn.model_selection import KFold, StratifiedKFold

from stridiag.nn import MODES, Architecture, train

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]

DIGITS = (
    Architecture(units=256, layers=1, diagonals=3),
    Architecture(units=256, layers=1, diagonals=12),
    Architecture(units=256, layers=3, diagonals=3),
    Architecture(units=256, layers=3, diagonals=12),
    Architecture(units=256, layers=6, diagonals=3),
)
FUNCTIONS = (
    Architecture(units=128, layers=1, diagonals=3),
    Architecture(units=128, layers=3, diagonals=3),
    Architecture(units=128, layers=6, diagonals=3),
)


def digits(repeats: int) -> Iterator[tuple[int, Split]]:
    x, y = load_digits(return_X_y=True)
    z = np.where(y[:, None] == np.arange(10), 1.0, -1.0)
    for seed in range(repeats):
        for inside, outside in StratifiedKFold(5, shuffle=True, random_state=seed).split(x, y):
            yield seed, (x[inside], z[inside], x[outside], z[outside], y[outside])


def friedman(repeats: int) -> Iterator[tuple[int, Split]]:
    for seed in range(repeats):
        x, y = make_friedman1(2000, noise=1.0, random_state=seed)
        yield from folds(seed, x, y[:, None])


def product(repeats: int) -> Iterator[tuple[int, Split]]:
    for seed in range(repeats):
        x = np.random.default_rng(seed).standard_normal((2000, 20))
        yield from folds(seed, x, np.sin(x[:, :1]) * x[:, 1:2])


def folds(seed: int, x: np.ndarray, z: np.ndarray) -> Iterator[tuple[int, Split]]:
    for inside, outside in KFold(5, shuffle=True, random_state=seed).split(x):
        yield seed, (x[inside], z[inside], x[outside], z[outside], None)


def score(mode: str, shape: Architecture, split: Split, seed: int) -> tuple[float, int, float]:
    """Return accuracy in % or R2, hidden numbers, and seconds."""
    x, z, x_new, z_new, labels = split
    start = time.process_time()
    network = train(MODES[mode], x, z, shape, rng=seed).model
    seconds = time.process_time() - start
    decision = network.decision(x_new)
    if labels is not None:
        result = 100.0 * (decision.argmax(axis=1) == labels).mean()
    else:
        result = 1.0 - ((decision - z_new) ** 2).mean() / z_new.var()
    return float(result), network.parameter_count().hidden, seconds


def table(name: str, splits: list[tuple[int, Split]], shapes: tuple[Architecture, ...], digit: int) -> None:
    modes = ["random", "random, wider", *(mode for mode in MODES if mode != "random")]
    print(f"\n| {name} | {' | '.join(modes)} |")
    print("|---" * (len(modes) + 1) + "|")
    for shape in shapes:
        diagonals = shape.diagonals or 3
        # What residual blocks of three layers or more have; below, one layer's worth more.
        weights = diagonals * max(2 * shape.layers - 2, shape.layers + 1)
        wider = replace(shape, diagonals=-(-weights // shape.layers))
        cells, control = [], None
        for mode in modes:
            if mode == "residual" and shape.layers < 3:
                cells.append("-")
                continue
            own, arch = ("random", wider) if mode == "random, wider" else (mode, shape)
            found = np.array([score(own, arch, split, seed) for seed, split in splits])
            control = found[:, 0] if control is None else control
            gain = found[:, 0] - control
            error = gain.std(ddof=1) / np.sqrt(gain.size)
            change = "" if mode == "random" else f" ({gain.mean():+.{digit}f} ± {error:.{digit}f})"
            cells.append(f"{found[:, 0].mean():.{digit}f}{change}, {found[0, 1]:.0f}, {np.median(found[:, 2]):.2f} s")
        print(f"| {shape.layers} x {shape.units}, {shape.diagonals} | {' | '.join(cells)} |", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="partitions into five folds, a seed each")
    parser.add_argument("--quick", action="store_true", help="one shape, two folds: a check that it runs")
    given = parser.parse_args(arguments)
    tables = (("digits, %", digits, DIGITS, 2), ("Friedman-1, R2", friedman, FUNCTIONS, 4))
    for name, splits, shapes, digit in (*tables, ("sin(x0) x1, R2", product, FUNCTIONS, 4)):
        drawn = list(splits(1 if given.quick else given.repeats))
        table(name, drawn[:2] if given.quick else drawn, shapes[1:2] if given.quick else shapes, digit)


if __name__ == "__main__":
    main()
