"""The pruning ladder: what each stage keeps of a trained network's accuracy, beside random places of equal number.

    OPENBLAS_NUM_THREADS=1 python benchmarks/pruning.py [--seeds 3] [--density 0.025 0.05] [--mnist MNIST.npz MLP.npz]

Digits: scikit-learn's MLPClassifier of 128 x 128 units, trained here on three quarters of the rows, pruned on the same
rows, scored on the rest. With --mnist: the arrays x_train, y_train, x_test, y_test, and a trained network's weight0,
bias0, weight1, ... (outputs x inputs), relu between them; pruned on 20,000 training rows.
Densities are those of the hidden weights; the dense readout comes on top. No gradient step after the training.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from stridiag.nn.network_pruning import prune_mlp, pruning_ladder

Arrays = Sequence[np.ndarray]


def dense_decision(weights: Arrays, biases: Arrays, rows: np.ndarray) -> np.ndarray:
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        rows = np.maximum(rows @ w.T + b, 0.0)
    return rows @ weights[-1].T + biases[-1]


def ladder(weights: Arrays, biases: Arrays, rows: np.ndarray, new: np.ndarray, labels: np.ndarray, density: float):  # noqa: ANN201
    """Return accuracies by stage, and CPU seconds of the whole way (the last rung) alone."""
    start = time.process_time()
    whole = prune_mlp(weights, biases, "relu", rows, density=density)
    seconds = time.process_time() - start
    nets = pruning_ladder(weights, biases, "relu", rows, density=density, rng=0)
    nets["readout, links only"] = prune_mlp(weights, biases, "relu", rows, density=density, diagonals=0)
    scores = {"dense": (dense_decision(weights, biases, new).argmax(1) == labels).mean()}
    scores |= {name: (net.decision(new).argmax(1) == labels).mean() for name, net in nets.items()}
    return scores, seconds, [round(report.error, 4) for report in whole.reports], whole.parameter_count


def report(title: str, runs: list) -> None:  # type: ignore[type-arg]
    print(
        f"\n{title}: {np.mean([run[1] for run in runs]):.2f} CPU s, errors by layer {runs[0][2]}, numbers {runs[0][3]}"
    )
    for name in runs[0][0]:
        values = 100 * np.array([run[0][name] for run in runs])
        print(f"| {name} | {values.mean():.2f} | {' '.join(f'{v:.2f}' for v in values)} |")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--density", type=float, nargs="+", default=[0.025, 0.05])
    parser.add_argument("--iterations", type=int, default=300, help="of the network's training")
    parser.add_argument("--mnist", nargs=2, metavar=("DATA", "NETWORK"))
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore", ConvergenceWarning)
    x, y = load_digits(return_X_y=True)
    trained = []
    for seed in range(given.seeds):
        rows, new, labels, truth = train_test_split(x / 16.0, y, test_size=0.25, random_state=seed, stratify=y)
        net = MLPClassifier((128, 128), max_iter=given.iterations, random_state=seed).fit(rows, labels)
        trained.append(([w.T for w in net.coefs_], net.intercepts_, rows, new, truth))
    for density in given.density:
        report(f"digits at {density:.1%}", [ladder(*parts, density) for parts in trained])
    if given.mnist:
        data, net = (np.load(file, allow_pickle=False) for file in given.mnist)
        count = len(net.files) // 2
        weights, biases = ([net[f"{kind}{i}"].astype(float) for i in range(count)] for kind in ("weight", "bias"))
        rows, new = (data[f"x_{part}"].reshape(len(data[f"x_{part}"]), -1) / 255.0 for part in ("train", "test"))
        for density in given.density:
            report(f"MNIST at {density:.1%}", [ladder(weights, biases, rows[:20000], new, data["y_test"], density)])


if __name__ == "__main__":
    main()
