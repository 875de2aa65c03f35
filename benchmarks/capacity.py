"""Capacity surfaces: under- and over-fitting steered by diagonals, links and units, with the penalty off and on.

    OPENBLAS_NUM_THREADS=1 python benchmarks/capacity.py [--seeds 5] [--plot docs/_static/capacity.svg] [--quick]

Features are drawn (`fit_random`); what is fitted to them is structured: wrapped diagonals and links chosen by data,
solved by masked least squares. Scores are means over seeds, each with other held-out rows and features; the table gives
the held-out score and, in brackets, that on the training rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_diabetes, load_digits

from stridiag import StridiagMatrix, Structure
from stridiag.nn import Architecture, Network, Statistics, fit_random, wrapped_structure
from stridiag.nn.capacity import CapacitySurface, capacity_surface
from stridiag.nn.links import choose_links


class StructuredReadout(NamedTuple):
    """Drawn features and a structured linear map of them."""

    net: Network
    weight: StridiagMatrix
    bias: np.ndarray

    def decision(self, rows: np.ndarray) -> np.ndarray:
        """Return the outputs."""
        return (self.weight @ self.net.features(rows).T).T + self.bias


def structured_fit(alpha: float):  # noqa: ANN201 - a function of the knobs
    """Return a fit of drawn features and a map of so many diagonals and chosen links."""

    def fit(x: np.ndarray, z: np.ndarray, rng: int, links: int, units: int = 300, diagonals: int = 0):  # noqa: ANN202
        net = fit_random(x, z, Architecture(units=units, layers=1), alpha=1.0, rng=rng)
        moments = Statistics.from_rows(net.features(x), z)
        shape = (z.shape[1], moments.row_mean.size)
        start = wrapped_structure(shape, range(diagonals)) if diagonals else Structure(shape, ())
        found = choose_links(moments, start, links, alpha)
        return StructuredReadout(net, found.weight, found.bias)

    return fit


def random_fit(alpha: float | str):  # noqa: ANN201
    """Return a fit of the mode "random", whose diagonals and links are drawn and not solved for."""

    def fit(x: np.ndarray, z: np.ndarray, rng: int, diagonals: int, links: int) -> Network:
        return fit_random(
            x, z, Architecture(units=64, layers=1, diagonals=diagonals, links=links), alpha=alpha, rng=rng
        )

    return fit


def accuracy(model: StructuredReadout, x: np.ndarray, z: np.ndarray) -> float:
    return float((model.decision(x).argmax(axis=1) == z.argmax(axis=1)).mean())


def table(title: str, surface: CapacitySurface) -> None:
    first, second = surface.names
    print(f"\n{title}; best {surface.best()}, deviation {np.median(surface.deviation):.3f}\n")
    print(f"| {first} \\ {second} | " + " | ".join(str(v) for v in surface.values[1]) + " |")
    print("|---" * (len(surface.values[1]) + 1) + "|")
    for i, value in enumerate(surface.values[0]):
        cells = (f"{h:.3f} ({t:.3f})" for h, t in zip(surface.held_out[i], surface.train[i], strict=True))
        print(f"| {value} | " + " | ".join(cells) + " |")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--plot", help="file for the picture of the digits surfaces")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    given = parser.parse_args(arguments)
    seeds = 1 if given.quick else given.seeds

    x, y = load_diabetes(return_X_y=True)
    knobs = {"units": [16, 256], "links": [2, 8]} if given.quick else {
        "units": [16, 64, 256], "links": [1, 2, 4, 8, 16, 32, 64, 128]
    }  # fmt: skip
    for alpha in (0.0, 0.1):
        surface = capacity_surface(structured_fit(alpha), x, y[:, None], knobs, seeds=seeds)
        table(f"Diabetes, R2, links of one output chosen by data, penalty {alpha}", surface)
    knobs = {"diagonals": [1, 16] if given.quick else [1, 2, 4, 8, 16], "links": [0, 64, 256, 1024]}
    for penalty in (1e-9, "loo"):
        surface = capacity_surface(random_fit(penalty), x, y[:, None], knobs, seeds=seeds)
        table(f"Diabetes, R2, 64 random units whose diagonals and links are drawn, penalty {penalty}", surface)

    x, y = load_digits(return_X_y=True)
    some = np.random.default_rng(0).permutation(y.size)[: 150 if given.quick else 600]
    x, z = x[some], np.eye(10)[y[some]]
    knobs = {
        "diagonals": [1, 2] if given.quick else [1, 2, 4, 8],
        "links": [0, 50] if given.quick else [0, 50, 200, 800],
    }
    surfaces = []
    for alpha in (0.0, 0.01):
        surfaces.append(capacity_surface(structured_fit(alpha), x, z, knobs, seeds=seeds, score=accuracy))
        table(f"Digits, 600 rows, accuracy, structured readout of 300 units, penalty {alpha}", surfaces[-1])
    if given.plot:
        import matplotlib

        matplotlib.use("svg")
        # Text stays text: a tenth of the size, and it can be searched.
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "capacity"})
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), constrained_layout=True)
        for ax, surface, title in zip(axes, surfaces, ("no penalty", "penalty 0.01"), strict=True):
            surface.plot(ax).set_title(f"{title}: held-out accuracy (training accuracy)", fontsize=10)
        figure.savefig(given.plot, metadata={"Date": None})


if __name__ == "__main__":
    main()
