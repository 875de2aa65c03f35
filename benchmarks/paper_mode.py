"""The paper's mode beside its random control on digits and on two functions, and the defaults on three data sets.

    OPENBLAS_NUM_THREADS=1 python benchmarks/paper_mode.py [--repeats 3] [--quick]

The control has identical structure, anchors and scaling, random weights, and the same solved readout. The
second control is trained by targets too, but its hidden layers saw shuffled labels: what is left of a gain
there has nothing to do with the labels. All figures are means over repeated shuffled 5-fold cross-validation,
with the standard deviation over folds; `difference` is paired by fold, with its standard error.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
from sklearn.datasets import load_diabetes, load_digits, make_friedman1
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stridiag.nn import Architecture, Network, fit_random, fit_targets
from stridiag.nn.training import solve_readout
from stridiag.sklearn import StridiagClassifier, StridiagRegressor

ARCHITECTURES = (
    Architecture(units=256, layers=1, diagonals=3),
    Architecture(units=256, layers=1, diagonals=12),
    Architecture(units=256, layers=3, diagonals=3),
    Architecture(units=256, layers=3, diagonals=12),
    Architecture(units=256, layers=3, diagonals=3, links=256),
    Architecture(units=512, layers=3, diagonals=7, scaling="arcsinh"),
)


def shuffled_targets(x: np.ndarray, z: np.ndarray, shape: Architecture, seed: int) -> Network:
    """Train hidden layers on shuffled labels, then solve the readout for the true ones."""
    order = np.random.default_rng(seed + 1000).permutation(len(z))
    net = fit_targets(x, z[order], shape, rng=seed)
    solved = solve_readout(net.inputs.apply(x), net.hidden, z, np.ones(len(z)), "loo", per_output=False)
    return replace(net, readout=solved.readout)


def digits_table(architectures: tuple[Architecture, ...], repeats: int) -> None:
    x, y = load_digits(return_X_y=True)
    z = np.where(y[:, None] == np.arange(10), 1.0, -1.0)
    print("| layers x units | diagonals + links | random | targets | shuffled labels | difference | CPU seconds |")
    print("|---|---|---|---|---|---|---|")
    for shape in architectures:
        rows, seconds = [], []
        for repeat in range(repeats):
            for train, test in StratifiedKFold(5, shuffle=True, random_state=repeat).split(x, y):
                scores, times = [], []
                for fit in (
                    lambda a, b, s=shape, r=repeat: fit_random(a, b, s, rng=r),
                    lambda a, b, s=shape, r=repeat: fit_targets(a, b, s, rng=r),
                    lambda a, b, s=shape, r=repeat: shuffled_targets(a, b, s, r),
                ):
                    start = time.process_time()
                    net = fit(x[train], z[train])
                    times.append(time.process_time() - start)
                    scores.append(100.0 * (net.decision(x[test]).argmax(axis=1) == y[test]).mean())
                rows.append(scores)
                seconds.append(times)
        table, clock = np.array(rows), np.median(seconds, axis=0)
        gain = table[:, 1] - table[:, 0]
        error = gain.std(ddof=1) / np.sqrt(gain.size)
        cells = [f"{m:.2f} ± {s:.2f}" for m, s in zip(table.mean(axis=0), table.std(axis=0, ddof=1), strict=True)]
        print(
            f"| {shape.layers} x {shape.units} | {shape.diagonals} + {shape.links} | {' | '.join(cells)} "
            f"| {gain.mean():+.2f} ± {error:.2f} | {clock[0]:.2f} / {clock[1]:.2f} |",
            flush=True,
        )


def functions_table(repeats: int, rows: int = 3000) -> None:
    """Compare the modes where few of the columns matter, and only through their products."""
    print("\n| function | layers | random, R2 | targets, R2 | difference |")
    print("|---|---|---|---|---|")
    for name, layers in (("sin(x0) x1", 1), ("sin(x0) x1", 2), ("sin(x0) x1", 3), ("Friedman-1", 2)):
        scores = []
        for repeat in range(repeats):
            if name == "Friedman-1":
                x, y = make_friedman1(rows, noise=1.0, random_state=repeat)
            else:
                x = np.random.default_rng(repeat).standard_normal((rows, 20))
                y = np.sin(x[:, 0]) * x[:, 1]
            for train, test in KFold(5, shuffle=True, random_state=repeat).split(x):
                models = (
                    StridiagRegressor(layers=layers, training=mode, random_state=repeat).fit(x[train], y[train])
                    for mode in ("random", "targets")
                )
                scores.append([model.score(x[test], y[test]) for model in models])
        table = np.array(scores)
        gain = table[:, 1] - table[:, 0]
        cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(table.mean(axis=0), table.std(axis=0, ddof=1), strict=True)]
        error = gain.std(ddof=1) / np.sqrt(gain.size)
        print(f"| {name} | {layers} | {' | '.join(cells)} | {gain.mean():+.3f} ± {error:.3f} |", flush=True)


def defaults_table(repeats: int) -> None:
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 25)))
    print(
        "\n| data | described estimator, its own defaults | linear ridge | fit CPU seconds | hidden + readout numbers |"
    )
    print("|---|---|---|---|---|")
    for name in ("digits, accuracy %", "Friedman-1 (2000 rows, noise 1), R2", "diabetes, R2"):
        rows, seconds, count = [], [], ""
        for repeat in range(repeats):
            if name.startswith("digits"):
                x, y = load_digits(return_X_y=True)
                folds = StratifiedKFold(5, shuffle=True, random_state=repeat)
                model = StridiagClassifier(training="random", random_state=repeat)
            else:
                model = StridiagRegressor(training="random", random_state=repeat)
                folds = KFold(5, shuffle=True, random_state=repeat)
                if name.startswith("diabetes"):
                    x, y = load_diabetes(return_X_y=True)
                else:
                    x, y = make_friedman1(2000, noise=1.0, random_state=repeat)
            z = np.eye(10)[y] if name.startswith("digits") else y
            for train, test in folds.split(x, y):
                start = time.process_time()
                model.fit(x[train], y[train])
                seconds.append(time.process_time() - start)
                linear = ridge.fit(x[train], z[train])
                if name.startswith("digits"):
                    base = 100.0 * (linear.predict(x[test]).argmax(axis=1) == y[test]).mean()
                    rows.append((100.0 * model.score(x[test], y[test]), base))
                else:
                    rows.append((model.score(x[test], y[test]), linear.score(x[test], y[test])))
                count = f"{model.n_parameters_.hidden} + {model.n_parameters_.readout}"
        table = np.array(rows)
        digits = 2 if name.startswith("digits") else 4
        cells = [
            f"{m:.{digits}f} ± {s:.{digits}f}"
            for m, s in zip(table.mean(axis=0), table.std(axis=0, ddof=1), strict=True)
        ]
        print(f"| {name} | {' | '.join(cells)} | {np.median(seconds):.2f} | {count} |", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="how often to shuffle and cut the folds")
    parser.add_argument("--quick", action="store_true", help="one small architecture, one repeat: only that it runs")
    options = parser.parse_args(arguments)
    if options.quick:
        digits_table((Architecture(units=32, layers=2, diagonals=3),), 1)
        functions_table(1, 100)
        return
    digits_table(ARCHITECTURES, options.repeats)
    functions_table(max(1, options.repeats // 2))
    defaults_table(options.repeats)


if __name__ == "__main__":
    main()
