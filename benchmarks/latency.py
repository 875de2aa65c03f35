"""Time of one prediction from Python, row by row: a Markdown table of p50 and p99 in microseconds.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/latency.py [--calls 5000] [--quick]

Networks of 64 inputs and 10 outputs. *plain* is `Network.decision` of one row, with its checks; *compiled* is
`compile_network(network)` of one row, without; *difference* is the largest one between their outputs. Beside them
`predict` of scikit-learn's MLPClassifier of the same layers and of HistGradientBoostingClassifier, both with their
checks, and the dense layers of that MLP written in NumPy, without any. Every call takes another row, and calls of all
that stand in a table alternate, so that a busy machine disturbs them alike.

A second table has the estimators with the recipe that is their default, after a fit of 1,000 rows: `predict` of one row
with its checks, `decision` of the model, with fewer, and `estimator.compile()`.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from stridiag.nn import Architecture, compile_network, fit_random
from stridiag.sklearn import StridiagClassifier, StridiagRegressor

INPUTS, OUTPUTS, ROWS = 64, 10, 2000
# Units, layers, diagonals, links.
CASES = ((256, 3, 7, 0), (256, 1, 7, 0), (512, 3, 3, 0), (512, 3, 3, 200), (2048, 1, 7, 0))
# Columns, preset, memory, outputs (more than one: classes) of recipes.
RECIPES = (
    (10, "fast", False, 1),
    (20, "fast", False, 1),
    (20, "fast", False, 5),
    (4, "fast", True, 1),
    (20, "fast", True, 1),
    (20, "accurate", False, 1),
    (20, "accurate", True, 1),
)
FITTED = 1000
# Rivals take milliseconds, and their percentiles settle sooner.
SLOWER = 10

Call = Callable[[Any], Any]


def percentiles(calls: dict[str, Call], rows: Any, count: int) -> dict[str, tuple[float, float]]:
    """Return p50 and p99 of each callable on single rows, in microseconds."""
    for call in calls.values():
        for row in rows[:20]:
            call(row)
    times = {name: np.empty(count) for name in calls}
    for k in range(count):
        row = rows[k % len(rows)]
        for name, call in calls.items():
            start = time.perf_counter()
            call(row)
            times[name][k] = time.perf_counter() - start
    return {name: tuple(1e6 * np.percentile(spent, (50, 99))) for name, spent in times.items()}


def dense_in_numpy(model: MLPClassifier) -> Call:
    """Return the scores of a fitted MLP of tanh units, without checks."""
    weights = list(zip(model.coefs_, model.intercepts_, strict=True))

    def scores(row: Any) -> Any:
        for matrix, shift in weights[:-1]:
            row = np.tanh(row @ matrix + shift)
        return row @ weights[-1][0] + weights[-1][1]

    return scores


def print_recipes(cases: Sequence[tuple[int, str, bool, int]], count: int) -> None:
    """Print the table of the default models."""
    print(
        "\n| columns | preset | memory | outputs | predict p50 | p99 | decision p50 | compiled p50 | p99 | difference |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for columns, preset, memory, outputs in cases:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((FITTED, columns))
        y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.3 * rng.standard_normal(FITTED)
        kind = StridiagRegressor if outputs == 1 else StridiagClassifier
        if outputs > 1:
            y = np.argsort(np.argsort(y)) * outputs // FITTED
        model = kind(preset=preset, memory=memory, random_state=0).fit(x, y)
        compiled = model.compile()
        calls: dict[str, Call] = {
            "predict": lambda row, m=model: m.predict(row[None]),
            "decision": lambda row, m=model: m.model_.decision(row[None]),
            "compiled": compiled,
        }
        found = percentiles(calls, x, count)
        plain = model.model_.decision(x[:200])
        worst = float(np.abs(np.stack([compiled.scores(row) for row in x[:200]]) - plain).max())
        (a, b), (c, _), (d, e) = found["predict"], found["decision"], found["compiled"]
        title = f"{columns} | {preset} | {'yes' if memory else 'no'} | {outputs}"
        print(f"| {title} | {a:.0f} | {b:.0f} | {c:.0f} | {d:.1f} | {e:.1f} | {worst:.0e} |")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--quick", action="store_true", help="one small case and small rivals")
    options = parser.parse_args(arguments)
    count = options.calls
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, INPUTS))
    labels = np.argmax(np.tanh(x @ rng.standard_normal((INPUTS, OUTPUTS))), axis=1)
    targets = np.eye(OUTPUTS)[labels]
    print("| units x layers | diagonals | links | plain p50 | p99 | compiled p50 | p99 | ratio of p50 | difference |")
    print("|---|---|---|---|---|---|---|---|---|")
    for units, layers, diagonals, links in CASES[1:2] if options.quick else CASES:
        shape = Architecture(units=units, layers=layers, diagonals=diagonals, links=links)
        network = fit_random(x, targets, shape, alpha=1e-3, rng=0)
        compiled = compile_network(network)
        calls: dict[str, Call] = {"plain": lambda row, n=network: n.decision(row[None]), "compiled": compiled}
        found = percentiles(calls, x, count)
        worst = max(float(np.abs(compiled(row) - network.decision(row[None])[0]).max()) for row in x[:200])
        (a, b), (c, d) = found["plain"], found["compiled"]
        title = f"{units} x {layers} | {diagonals} | {links}"
        print(f"| {title} | {a:.1f} | {b:.1f} | {c:.1f} | {d:.1f} | {a / c:.1f} | {worst:.0e} |")
    print_recipes(RECIPES[:1] if options.quick else RECIPES, max(1, count // SLOWER))
    mlp = MLPClassifier((256, 256, 256), activation="tanh", max_iter=2, random_state=0)
    with warnings.catch_warnings():
        # Its weights do not matter here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(x, labels)
    boosting = HistGradientBoostingClassifier(max_iter=2 if options.quick else 100, random_state=0).fit(x, labels)
    rivals: dict[str, Call] = {
        "MLPClassifier 256 x 3, predict": lambda row: mlp.predict(row[None]),
        "the same in NumPy, scores": dense_in_numpy(mlp),
        "HistGradientBoosting 100 x 10 trees, predict": lambda row: boosting.predict(row[None]),
    }
    print("\n| rival | p50 | p99 |\n|---|---|---|")
    for name, (half, last) in percentiles(rivals, x, max(1, count // SLOWER)).items():
        print(f"| {name} | {half:.1f} | {last:.1f} |")


if __name__ == "__main__":
    main()
