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

from stridiag.nn.leverages import serves
from stridiag.nn.mixed_units import MixedUnits, Mixing, draw_units
from stridiag.nn.penalty_walk import LOWEST, Judges, Walked, solve_by_walk, solve_rows_by_walk
from stridiag.nn.readout import LEAST_LEFT, LEAST_SPREAD
from stridiag.nn.relevance import Relevance, gradient_product
from stridiag.nn.sampling import RowSampler
from stridiag.nn.shifted_products import SAFE, ShiftedProducts

__all__ = ["SolvedUnits", "TableRows", "judged_errors", "left_out_errors", "sketches_serve"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# Bytes of features that are kept instead of computed again for leverages.
_KEPT = 1 << 25
# Flops of a readout from which single precision is worth a thought, and rows that are looked at together.
_LARGE, _CHUNK = 1e8, 2048
# Up to this weight products stay in double precision: weights then are repetitions to many digits.
_FEW = 500.0
# More judges than this choose the penalty by every other one.
_CHOOSERS = 600
# From so many rows for each column on most leverages are small enough for sketches.
_SKETCHED = 4.0
# With no more rows than this share of the columns, products of rows are less work than products of columns.
_BY_ROWS = 1.0


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
        rough: bool = False,
    ) -> SolvedUnits:
        """Solve the readout; `single`: in single precision, if there is so much work that this is worth it.

        `rough`: leave-one-out errors that only compare networks may come from sketches.
        """
        n, columns = self.t.shape[0], hidden.columns
        large = self.d.sum() * columns**2 >= _LARGE
        single = bool(single and large and self.d.sum() > _FEW)
        reader = hidden.single() if single else hidden
        kept = self.features(reader, slice(None)) if n * columns * reader.dtype.itemsize <= _KEPT else None
        features = self.features(reader, judges) if kept is None else kept[judges]
        choosers = self.sampler.every_other(judges) if judges.size > _CHOOSERS else None
        judged = Judges(features, self.z[judges], self.d[judges], choosers)
        if judges.size == n <= _BY_ROWS * columns:
            walked = solve_rows_by_walk(judged, alpha, start=start, fine=fine, least_spread=LEAST_SPREAD, settle=settle)
            return SolvedUnits(hidden, reader, walked, kept)
        products = ShiftedProducts(
            columns, self.z.shape[1], features.mean(axis=0, dtype=np.float64), np.float32 if single else np.float64
        )
        for block in short_blocks(n):
            rows = self.features(reader, block) if kept is None else kept[block]
            products.add(rows, self.z[block], self.d[block])
        statistics = products.statistics()
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
            rough=(rough or choosers is not None) and self.d.sum() >= _SKETCHED * columns,
        )
        return SolvedUnits(hidden, reader, walked, kept)

    def product(self, fit: SolvedUnits, rows: Index) -> Array:
        """Return the average gradient outer product of a solved network at some rows."""
        return gradient_product(fit.hidden, fit.walked.readout.coefficients, self.t[rows], self.d[rows])


def short_blocks(rows: int) -> Iterator[slice]:
    """Cut rows into blocks of some megabytes of features: scratch memory is used again, not mapped again."""
    for start in range(0, rows, _CHUNK):
        yield slice(start, min(start + _CHUNK, rows))


def judged_errors(solved: list[SolvedUnits]) -> Array:
    """Return the mean over the networks of the exact leave-one-out residuals of the judges."""
    return np.asarray(sum(fit.walked.left_out for fit in solved) / len(solved))


def sketches_serve(solved: list[SolvedUnits]) -> bool:
    """Return whether `left_out_errors` says the same if it may be rough."""
    return all(
        fit.walked.leverages is None or serves(fit.walked.readout.degrees_of_freedom[0], fit.walked.leverages.weight)
        for fit in solved
    )


def left_out_errors(table: TableRows, solved: list[SolvedUnits], judges: Index, *, rough: bool = False) -> Array:
    """Return the mean over the networks of the leave-one-out residuals of all rows, (n, q).

    They are exact where all rows are judges, or leverages are large; else they come from sketches (see `leverages`).

    Parameters
    ----------
    table : TableRows
        The rows.
    solved : list of SolvedUnits
        The networks.
    judges : ndarray of int64
        Rows that judged the penalties.
    rough : bool, default False
        Whether sketches will do where leverages are large, too.
    """
    if judges.size == table.d.size:
        return judged_errors(solved)
    total = np.zeros_like(table.z)
    for fit in solved:
        leverages, readout = fit.walked.leverages, fit.walked.readout
        assert leverages is not None
        sketched = serves(readout.degrees_of_freedom[0], leverages.weight)
        form = leverages.sketch(mended=sketched) if rough or sketched else leverages
        coefficients = readout.coefficients.astype(fit.reader.dtype)
        for block in short_blocks(table.d.size):
            features = table.features(fit.reader, block) if fit.kept is None else fit.kept[block]
            error = table.z[block] - features @ coefficients
            error -= readout.intercept
            left = form.left(features, table.d[block])
            error /= np.where(left > LEAST_LEFT, left, 1.0)[:, None]
            total[block] += error
    return total / len(solved)
