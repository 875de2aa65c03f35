r"""Structured pruning of one dense layer: where its entries may be, and their values by masked least squares.

A dense layer Z = H W' + b is replaced by a structured one of few entries that comes nearest to it on the data. All that
is needed of the rows H are their second moments, since the products with the targets follow from them,

.. math:: B = C W^T, \qquad \mathrm{diag}(W C W^T), \qquad \bar z = W \bar h + b ,

with C the centred products of the rows. The stages, each at the same number of entries:

* *mask*: the wrapped diagonals of the largest sum of scores (w_ji d_i)^2, d the deviation of input i; values are those
  of W. This is what magnitude pruning does.
* *refit*: their values by masked least squares (`masked`), which also moves the bias.
* *permutation*: rows and columns ordered first so that the large scores come to lie on the diagonals
  (`diagonal_order`), then refit.
* *links*: fewer diagonals in that order, and the rest of the entries wherever they lower the error most (`links`).
* *random*: the control: as many entries at random places, refit.

No gradient step. Cost, for m x n and k = entries / m: 2 m n^2 flops for the products; at most eighteen assignments of
size max(m, n) (a second or so at 784); about m n k^2 for the links. `network_pruning` puts layers together.

References: T. Hoefler et al., "Sparsity in deep learning", arXiv 2102.00554 (survey); CORP, arXiv 2602.05243
(closed-form compensation after pruning).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._arrays import as_array
from stridiag._validate import as_floats, check_option, require_finite
from stridiag.errors import StructureError
from stridiag.nn.diagonal_order import diagonal_scores, order_for_diagonals
from stridiag.nn.links import choose_links
from stridiag.nn.masked import masked_least_squares
from stridiag.nn.offsets import wrapped_offsets
from stridiag.nn.options import is_integer, is_number
from stridiag.nn.statistics import Statistics
from stridiag.structure import StridiagMatrix, Structure

__all__ = ["STAGES", "PrunedLayer", "Stage", "dense_targets", "prune_layer", "reconstruction_error"]

Array = NDArray[Any]
Index = NDArray[np.int64]
Stage = Literal["mask", "refit", "permutation", "links", "random"]

STAGES: tuple[Stage, ...] = ("mask", "refit", "permutation", "links", "random")

# Of the entries, the share on diagonals where links are chosen: enough for chains, and most left to the data.
_DIAGONAL_SHARE = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class PrunedLayer:
    """A structured layer that stands in for a dense one: ``Z[:, outputs] = H[:, inputs] @ weight.T + bias``.

    Parameters
    ----------
    weight : StridiagMatrix
        (m, n), in the order that the permutations give.
    bias : ndarray, (m,)
        In the order of the weight's rows.
    inputs : ndarray of int64, (n,)
        Which input each column reads: what `Layer` calls `source`.
    outputs : ndarray of int64, (m,)
        Which output of the dense layer each row stands for.
    error : float
        Squared error on the statistics, summed over outputs, over the outputs' summed variance: 0 is perfect, 1 is
        what constants do.
    errors : dict of str to float
        The same for each stage that was asked for, this one included; see docs/theory/pruning.md.
    """

    weight: StridiagMatrix
    bias: Array
    inputs: Index
    outputs: Index
    error: float
    errors: dict[Stage, float]

    @property
    def density(self) -> float:
        """Stored entries over those of the dense weight."""
        rows, columns = self.weight.structure.shape
        return self.weight.nnz / (rows * columns)

    def toarray(self) -> Array:
        """Return the weight as a dense array, (m, n), in the order of the dense layer."""
        dense = np.empty(self.weight.structure.shape)
        dense[np.ix_(self.outputs, self.inputs)] = self.weight.toarray()
        return dense

    def preactivation(self, rows: ArrayLike) -> Array:
        """Return what the dense layer would put out before its activation, (samples, m), in its order."""
        h = as_array(rows, "rows")
        if h.ndim != 2 or h.shape[1] != self.inputs.size:
            raise StructureError(f"rows must have shape (samples, {self.inputs.size}), got {h.shape}")
        result = np.empty((h.shape[0], self.outputs.size))
        result[:, self.outputs] = (self.weight @ h[:, self.inputs].T).T + self.bias
        return result

    def condition(self) -> float:
        """Return the ratio of the weight's extreme singular values, infinite where it has not full rank.

        Cost: a dense singular value decomposition, for the report only.
        """
        singular = np.linalg.svd(self.weight.toarray(), compute_uv=False)
        smallest = singular.min(initial=np.inf)
        return float(singular.max(initial=0.0) / smallest) if smallest > 0.0 else float("inf")


def dense_targets(weight: ArrayLike, bias: ArrayLike, statistics: Statistics) -> Statistics:
    """Return the statistics of the same rows with a dense layer's pre-activations as targets, without the rows.

    Parameters
    ----------
    weight : array_like, (m, n)
    bias : array_like, (m,)
    statistics : Statistics
        Of the layer's inputs, n columns; its targets, if any, are put aside.

    Raises
    ------
    StructureError
        If shapes do not match.
    NonFiniteError
        If a number is NaN or infinite.
    """
    w, b = as_floats(weight, "weight"), as_floats(bias, "bias")
    if w.ndim != 2 or w.shape[1] != statistics.row_mean.size or b.shape != w.shape[:1]:
        raise StructureError(
            f"weight and bias must be (m, {statistics.row_mean.size}) and (m,), got {w.shape} and {b.shape}"
        )
    require_finite(w, "weight")
    require_finite(b, "bias")
    cross = statistics.scatter @ w.T
    squares = np.maximum(np.einsum("ij,ji->i", w, cross), 0.0)
    return replace(statistics, target_mean=w @ statistics.row_mean + b, cross=cross, target_scatter=squares)


def reconstruction_error(statistics: Statistics, weight: Array, bias: Array) -> float:
    """Return the squared error of ``H @ weight.T + bias`` over the targets' variance, both summed over the targets."""
    scatter = float(statistics.target_scatter.sum())
    product = statistics.scatter @ weight.T
    error = scatter + float(np.sum(weight.T * (product - 2.0 * statistics.cross)))
    shift = statistics.target_mean - weight @ statistics.row_mean - bias
    error += statistics.weight * float(shift @ shift)
    # No error of a target that does not vary is none; the rounding of a difference may fall below zero.
    return max(error, 0.0) / scatter if scatter > 0.0 else float(error > 0.0)


def prune_layer(
    weight: ArrayLike,
    bias: ArrayLike,
    statistics: Statistics,
    *,
    density: float | None = None,
    budget: int | None = None,
    diagonals: int | None = None,
    permute: bool = True,
    stage: Stage = "links",
    compare: Sequence[Stage] = (),
    targets: Literal["dense", "given"] = "dense",
    importance: ArrayLike | None = None,
    alpha: float = 1e-4,
    rng: int | np.random.Generator | None = None,
) -> PrunedLayer:
    """Replace a dense layer by a structured one of few entries.

    Parameters
    ----------
    weight, bias : array_like, (m, n) and (m,)
        The dense layer.
    statistics : Statistics
        Of the inputs that the structured layer will see.
    density : float, optional
        Entries to keep over m n, above 0 and at most 1. Either this or `budget`.
    budget : int, optional
        How many entries to keep.
    diagonals : int, optional
        How many of the entries' wrapped diagonals (max(m, n) entries each) stage "links" has beside its links: as many
        as a quarter of the entries fill, by default.
    permute : bool, default True
        Whether stage "links" puts rows and columns in order for its diagonals. With False (and in the first two
        stages) the best diagonals of the given order are taken.
    stage : {"links", "permutation", "refit", "mask", "random"}, default "links"
        How far to go; see docs/theory/pruning.md. The stages before "links" have as many whole diagonals as the entries
        fill; "random" is the control.
    compare : sequence of stages, optional
        Further ones whose error is wanted.
    targets : {"dense", "given"}, default "dense"
        What to come near to: the dense layer's pre-activations on these rows, or the targets in `statistics` (m of
        them), which may be those of the dense network where its rows differ by now.
    importance : array_like, (m,), optional
        What an error of each output counts when links compete; see `choose_links`.
    alpha : float, default 1e-4
        Penalty of the fits, on standardised inputs.
    rng : int, numpy.random.Generator or None
        For stage "random".

    Returns
    -------
    PrunedLayer

    Raises
    ------
    StructureError
        If shapes do not match.
    ValueError
        If an option is unknown or out of range, or `diagonals` need more entries than there are.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Statistics
    >>> from stridiag.nn import prune_layer
    >>> rng = np.random.default_rng(0)
    >>> W, b = rng.standard_normal((40, 60)) ** 3, np.zeros(40)
    >>> rows = rng.standard_normal((500, 60)) @ rng.standard_normal((60, 60))
    >>> moments = Statistics.from_rows(rows, np.empty((500, 0)))
    >>> pruned = prune_layer(W, b, moments, density=0.1, compare=("mask", "refit", "permutation"))
    >>> pruned.weight.nnz
    240
    >>> [name for name in sorted(pruned.errors, key=pruned.errors.get)]
    ['links', 'permutation', 'refit', 'mask']
    """
    wanted = [check_option(name, "stage", STAGES) for name in (*compare, stage)]
    check_option(targets, "targets", ("dense", "given"))
    w, b = as_floats(weight, "weight"), as_floats(bias, "bias")
    dense = dense_targets(w, b, statistics)
    if targets == "dense":
        statistics = dense
    elif statistics.target_mean.size != b.size:
        raise StructureError(f"statistics must have {b.size} targets, got {statistics.target_mean.size}")
    entries = _entries(w.shape, density, budget)
    scores = np.square(w * statistics.column_scale())
    generator = np.random.default_rng(rng)
    made: dict[Stage, PrunedLayer] = {}
    for name in wanted:
        if name not in made:
            count = _diagonal_count(w.shape, entries, diagonals, name)
            ordered = count > 0 and (name == "permutation" or (name == "links" and permute))
            plan = _Plan(w, b, statistics, scores, entries, count, alpha, importance)
            made[name] = plan.make(name, ordered=ordered, rng=generator)
    return replace(made[stage], errors={name: made[name].error for name in made})


def _entries(shape: tuple[int, int], density: float | None, budget: int | None) -> int:
    whole = shape[0] * shape[1]
    if (density is None) == (budget is None):
        raise ValueError(f"either density or budget must be given, got {density!r} and {budget!r}")
    if density is not None:
        if not (is_number(density) and 0.0 < density <= 1.0):
            raise ValueError(f"density must be above 0 and at most 1, got {density!r}")
        return max(1, round(density * whole))
    if not (is_integer(budget) and 0 < budget <= whole):  # type: ignore[operator]
        raise ValueError(f"budget must be an integer from 1 to {whole}, got {budget!r}")
    return int(budget)  # type: ignore[arg-type]


def _diagonal_count(shape: tuple[int, int], entries: int, diagonals: int | None, stage: Stage) -> int:
    longest = max(shape)
    if stage != "links":
        return entries // longest
    if diagonals is None:
        return int(_DIAGONAL_SHARE * entries) // longest
    if not is_integer(diagonals) or not 0 <= diagonals * longest <= entries:
        raise ValueError(f"diagonals must be 0 to {entries // longest} of {longest} entries, got {diagonals!r}")
    return int(diagonals)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    weight: Array
    bias: Array
    statistics: Statistics
    scores: Array
    entries: int
    diagonals: int
    alpha: float
    importance: ArrayLike | None

    def make(self, stage: Stage, *, ordered: bool, rng: np.random.Generator) -> PrunedLayer:
        outputs, inputs = (np.arange(size) for size in self.weight.shape)
        if ordered:
            outputs, inputs, _ = order_for_diagonals(self.scores, range(self.diagonals))
        moments = _with_outputs(self.statistics, outputs)
        structure = self._structure(stage, outputs, inputs, rng)
        if stage == "mask":
            rows, columns = structure.coordinates()
            values, bias = self.weight[rows, columns], self.bias
        elif stage == "links":
            value = None if self.importance is None else np.asarray(self.importance)[outputs]
            found = choose_links(
                moments, structure, self.entries - structure.nnz, self.alpha, source=inputs, importance=value
            )
            structure, values, bias = found.structure, found.values, found.bias
        else:
            values, bias = masked_least_squares(moments, structure, self.alpha, inputs)
        made = PrunedLayer(StridiagMatrix(structure, values), bias, inputs, outputs, np.nan, {})
        plain = np.empty_like(bias)
        plain[outputs] = bias
        return replace(made, error=reconstruction_error(self.statistics, made.toarray(), plain))

    def _structure(self, stage: Stage, outputs: Index, inputs: Index, rng: np.random.Generator) -> Structure:
        shape = (self.weight.shape[0], self.weight.shape[1])
        if stage == "random":
            return Structure(shape, (), np.divmod(rng.choice(shape[0] * shape[1], self.entries, False), shape[1]))
        if not self.diagonals:
            return Structure(shape, ())
        sums = diagonal_scores(self.scores[np.ix_(outputs, inputs)])
        best = np.argsort(-sums, kind="stable")[: self.diagonals]
        return Structure(shape, wrapped_offsets(shape, best))


def _with_outputs(statistics: Statistics, order: Index) -> Statistics:
    return replace(
        statistics,
        target_mean=statistics.target_mean[order],
        cross=statistics.cross[:, order],
        target_scatter=statistics.target_scatter[order],
    )
