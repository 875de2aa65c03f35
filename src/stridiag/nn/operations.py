"""Costs of training known beforehand: how many operations each stage takes, from sizes alone.

A multiplication and an addition are two, a value of an activation one; leading terms only, except in forward passes,
which are counted in full. Real seconds differ by what a machine makes of each kind: products of whole matrices run
ten times faster than passes through sparse layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from stridiag.nn.architecture import Architecture

__all__ = [
    "LayerSize",
    "Operations",
    "forward_operations",
    "layer_sizes",
    "random_operations",
    "solve_operations",
    "statistics_operations",
]


class Operations(NamedTuple):
    """Operations of the hidden part, by stage.

    Parameters
    ----------
    layers : int
        Passes of rows through layers, to set scales and biases and to go on to the next one.
    targets : int
        Making what layers aim at.
    statistics : int
        Products of columns.
    solves : int
        Factorizations and solves on them.
    """

    layers: int = 0
    targets: int = 0
    statistics: int = 0
    solves: int = 0

    @property
    def total(self) -> int:
        """Sum over the stages."""
        return sum(self)


class LayerSize(NamedTuple):
    """Inputs, units and weights of a layer."""

    inputs: int
    units: int
    nnz: int

    @property
    def forward(self) -> int:
        """Operations of one row's way through the layer: product, bias, activation."""
        return self.preactivation + self.units

    @property
    def preactivation(self) -> int:
        """The same without the activation."""
        return 2 * self.nnz + self.units


def layer_sizes(inputs: int, architecture: Architecture) -> list[LayerSize]:
    """Return the sizes of an architecture's layers for that many inputs."""
    sizes = []
    for (units, columns), offsets in architecture.plan(inputs):
        sizes.append(LayerSize(inputs, units, max(units, columns) * len(offsets) + architecture.links))
        inputs = units
    return sizes


def link_operations(sizes: list[LayerSize], architecture: Architecture) -> int:
    """Return the operations of choosing links by data: the gain of every entry for each one that is taken."""
    links = architecture.data_links
    return sum(2 * links * size.inputs * -(-size.nnz // size.units) for size in sizes)


def forward_operations(rows: int, sizes: list[LayerSize]) -> int:
    """Return the operations of some rows' way through layers."""
    return rows * sum(size.forward for size in sizes)


def random_operations(rows: int, sizes: list[LayerSize]) -> int:
    """Return the operations of drawing and settling layers, each on the values of those before it."""
    before = 0
    total = 0
    for size in sizes:
        # All rows to measure the spread, and an anchor for each unit to set the bias.
        total += rows * (before + size.preactivation) + size.units * before
        before += size.forward
    return total


def statistics_operations(rows: int, columns: int, targets: int) -> int:
    """Return the operations of the products of columns, a symmetric matrix, and of columns with targets."""
    return rows * columns**2 + 2 * rows * columns * targets


def solve_operations(supports: Iterable[int]) -> int:
    """Return the operations of one small ridge problem for each support size."""
    return sum(k**3 // 3 + 5 * k * k // 2 for k in supports)
