"""The transformed rows of a table, and what is done with all of them: units drawn and solved, errors left out.

Large regressions run in single precision where the penalty allows: features, their products and triangular solves
then take half the time, and half the memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stridiag.nn.mixed_units import MixedUnits, Mixing, draw_units
from stridiag.nn.penalty_walk import LOWEST, Judges, Walked, solve_by_walk
from stridiag.nn.readout import LEAST_LEFT, LEAST_SPREAD
from stridiag.nn.relevance import Relevance, gradient_product
from stridiag.nn.sampling import RowSampler
from stridiag.nn.shifted_products import SAFE, ShiftedProducts

__all__ = ["SolvedUnits", "TableRows", "errors_at", "left_out_errors", "short_blocks"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Bytes of features that are kept instead of computed again for leverages.
_KEPT = 1 << 28
# Flops of a readout from which single precision is worth a thought, and rows that are looked at together.
_LARGE, _CHUNK = 1e8, 2048


class SolvedUnits(NamedTuple):
    """Units, as they are and of the precision that the readout was solved with; features of all rows, or None."""

    hidden: MixedUnits
    reader: MixedUnits
    walked: Walked
    kept: Array | None


@dataclass(frozen=True, slots=True, eq=False, init=False)
class TableRows:
    """Transformed rows, targets in units of their spread, weights."""

    t: Array
    z: Array
    d: Array
    sampler: RowSampler

    def __init__(self, t: Array, z: Array, d: Array, rng: np.random.Generator) -> None:
        for name, value in (("t", t), ("z", z), ("d", d), ("sampler", RowSampler(t, d, rng))):
            object.__setattr__(self, name, value)

    def part(self, rows: Index, rng: np.random.Generator) -> TableRows:
        """Return some of the rows as a table of their own."""
        return TableRows(self.t[rows], self.z[rows], self.d[rows], rng)

    def spread(self) -> Array:
        """Return the covariance of the rows, (d, d)."""
        share = self.d / self.d.sum()
        apart = self.t - share @ self.t
        return np.asarray(apart.T @ (apart * share[:, None]))

    def draw(
        self, units: int, share: float, mixing: Mixing, relevance: Relevance, rng: np.random.Generator
    ) -> MixedUnits:
        """Draw units that bend at rows of the table, a share of them sparse."""
        sparse = round(units * share)
        anchors = self.t[self.sampler.draw(units, rng)]
        return draw_units(anchors, sparse, units - sparse, mixing, relevance.scale, relevance.factor, rng)

    def features(self, hidden: MixedUnits, rows: slice | Index) -> Array:
        """Return the features of some rows in the precision of the units."""
        return hidden.features(self.t[rows].astype(hidden.dtype, copy=False))

    def solve(
        self,
        hidden: MixedUnits,
        judges: Index,
        alpha: float | None,
        start: float,
        *,
        fine: bool = True,
        settle: bool = False,
        single: bool = False,
    ) -> SolvedUnits:
        """Solve the readout; `single`: in single precision, if there is so much work that this is worth it."""
        n, columns = self.t.shape[0], hidden.columns
        large = n * columns**2 >= _LARGE
        single = single and large
        reader = hidden.single() if single else hidden
        kept = self.features(reader, slice(None)) if n * columns * reader.dtype.itemsize <= _KEPT else None
        features = self.features(reader, judges) if kept is None else kept[judges]

        products = ShiftedProducts(
            columns, self.z.shape[1], features.mean(axis=0, dtype=np.float64), np.float32 if single else np.float64
        )
        for block in short_blocks(n):
            rows = self.features(reader, block) if kept is None else kept[block]
            products.add(rows, self.z[block], self.d[block])
        statistics = products.statistics()
        judged = Judges(features, self.z[judges], self.d[judges])
        walked = solve_by_walk(
            statistics,
            judged,
            alpha,
            start=start,
            fine=fine,
            least_spread=LEAST_SPREAD,
            settle=settle,
            single=large,
            lowest=np.log10(SAFE) if single else LOWEST,
        )
        return SolvedUnits(hidden, reader, walked, kept)

    def product(self, fit: SolvedUnits, rows: Index) -> Array:
        """Return the average gradient outer product of a solved network at some rows."""
        return gradient_product(fit.hidden, fit.walked.readout.coefficients, self.t[rows], self.d[rows])


def short_blocks(rows: int) -> Iterator[slice]:
    """Cut rows into blocks of some megabytes of features: scratch memory is used again, not mapped again."""
    for start in range(0, rows, _CHUNK):
        yield slice(start, min(start + _CHUNK, rows))


def errors_at(table: TableRows, fit: SolvedUnits, block: slice | Index) -> tuple[Array, Array]:
    """Return features and residuals of some rows."""
    features = table.features(fit.reader, block) if fit.kept is None else fit.kept[block]
    readout = fit.walked.readout
    return features, table.z[block] - features @ readout.coefficients.astype(features.dtype) - readout.intercept


def left_out_errors(table: TableRows, solved: list[SolvedUnits], rows: slice | Index) -> Array:
    """Return the mean over the networks of the exact leave-one-out residuals of some rows."""
    total = np.zeros_like(table.z[rows])
    for fit in solved:
        features, error = errors_at(table, fit, rows)
        left = fit.walked.left(features, table.d[rows])
        total += error / np.where(left > LEAST_LEFT, left, 1.0)[:, None]
    return total / len(solved)
