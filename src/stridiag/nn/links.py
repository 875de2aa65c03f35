r"""Links chosen by data: further entries of a layer, each the one that lowers its training loss most.

Row j of a layer solves a least-squares problem of its own on its support S (see `masked`). On standardised columns,
A their correlation matrix, b the row's correlations with the columns and r = b - A[:, S] w those of its residual, an
entry (j, i) that joins lowers the row's loss by exactly

.. math::
    \Delta_{ji} = \frac{r_i^2}{A_{ii} + \alpha - A_{iS} (A_{SS} + \alpha I)^{-1} A_{Si}} ,

numerator and denominator of which are updated after each choice (see `stridiag._kernels.greedy_rows`): orthogonal
least squares, the form of orthogonal matching pursuit that looks at the loss after the fit and not at the
correlation before it. The rows share A and nothing else. A budget for the layer goes, link by link, to the row whose
next link gains most; equal gains go to the lowest row, equal columns of a row to the lowest column.

Cost: 2 p k + k^2 flops a link in a row of k entries, p k^2 for a row of k entries to start from; 2 q p numbers for the
scores of q rows, and k^2 to 4 k^2 for the factor of each. The rows of data are not looked at again.

References: S. Chen, S. A. Billings, W. Luo, Int. J. Control 50 (1989) (orthogonal least squares); Y. C. Pati, R.
Rezaiifar, P. S. Krishnaprasad, "Orthogonal matching pursuit", Asilomar 1993.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag._kernels.greedy_rows import extend_row, row_coefficients
from stridiag._validate import as_floats, as_index
from stridiag.errors import StructureError
from stridiag.nn.masked import masked_least_squares
from stridiag.nn.options import check_penalty, is_integer
from stridiag.nn.statistics import Statistics
from stridiag.structure import StridiagMatrix, Structure

__all__ = ["ChosenLinks", "choose_links"]

Array = NDArray[Any]
Index = NDArray[np.int64]

# A column of which the support leaves no more than this share is one of its combinations.
_LEAST_LEFT = 1e-10
# A gain below this share of a target's variance is the square of a rounding error.
_LEAST_GAIN = (64 * np.finfo(np.float64).eps) ** 2


@dataclass(frozen=True, slots=True, eq=False)
class ChosenLinks:
    """A structure with its chosen links, the values solved on it, and the path that led there.

    Parameters
    ----------
    structure : Structure
        The given one and the links.
    values : ndarray, (structure.nnz,)
        By slot; solved together by `masked_least_squares` on the final structure.
    bias : ndarray, (rows,)
    rows, columns : ndarray of int64, (links,)
        The links in the order of choice.
    losses : ndarray, (links + 1,)
        Training loss before the first link and after each: over the rows, the sum of mean squared error plus penalty,
        weighted by `importance`. It never rises.
    held_out : ndarray or None
        Mean squared error on the held-out statistics after 0, 1, ... links, weighted in the same way; also of the
        links that were tried and given up.
    """

    structure: Structure
    values: Array
    bias: Array
    rows: Index
    columns: Index
    losses: Array
    held_out: Array | None = None

    @property
    def weight(self) -> StridiagMatrix:
        """The layer's weight."""
        return StridiagMatrix(self.structure, self.values)


def choose_links(
    statistics: Statistics,
    structure: Structure,
    budget: int,
    alpha: float = 0.0,
    *,
    per_row: int | None = None,
    source: ArrayLike | None = None,
    importance: ArrayLike | None = None,
    held_out: Statistics | None = None,
) -> ChosenLinks:
    """Add to a structure the links that lower the loss of its masked least squares most, one after another.

    Parameters
    ----------
    statistics : Statistics
        Of the layer's inputs (p columns) and its target pre-activations (q columns).
    structure : Structure
        Where to start: q rows and p columns, or as many columns as `source` has entries. It may be empty,
        ``Structure((q, p), ())``: then the result is a sparse regression.
    budget : int
        At most so many links for the layer. Fewer are taken where no other entry lowers the loss.
    alpha : float, default 0
        As for `masked_least_squares`; 0 gives plain least squares.
    per_row : int, optional
        At most so many links in each row.
    source : array_like of int, optional
        Which input each column reads. An input that several columns read is linked through the first of them.
    importance : array_like, (q,), optional
        What a unit of squared error of each row counts, nonnegative; 1 by default.
    held_out : Statistics, optional
        Of other rows and targets. The links then end where the loss on these is least (early stopping): `budget` is
        the most that is tried.

    Returns
    -------
    ChosenLinks

    Raises
    ------
    StructureError
        If shapes do not match, or `source` holds anything but indices of columns.
    ValueError
        If `budget`, `per_row`, `alpha` or `importance` is out of range, or `held_out` has other columns.

    Examples
    --------
    The rows of a circulant layer, and two entries off its diagonals:

    >>> import numpy as np
    >>> from stridiag import StridiagMatrix
    >>> from stridiag.nn import Statistics, wrapped_structure
    >>> from stridiag.nn import choose_links
    >>> S = wrapped_structure((6, 6), (0, 1))
    >>> W = StridiagMatrix(S, np.ones(12)).toarray()
    >>> W[0, 4], W[3, 1] = 2.0, -1.0
    >>> H = np.random.default_rng(0).standard_normal((200, 6))
    >>> found = choose_links(Statistics.from_rows(H, H @ W.T), S, budget=2)
    >>> found.rows, found.columns, bool(found.losses[-1] < 1e-12)
    (array([0, 3]), array([4, 1]), True)
    """
    check_penalty(alpha, ())
    q, p = statistics.target_mean.size, statistics.row_mean.size
    budget = _count(budget, "budget")
    most = p if per_row is None else _count(per_row, "per_row")
    source = np.arange(p) if source is None else as_index(source, "source")
    if not (source.min(initial=0) >= 0 and source.max(initial=-1) < p):
        raise StructureError(f"source must hold indices from 0 to {p - 1}, got {source.min()} to {source.max()}")
    if structure.shape != (q, source.size):
        raise StructureError(f"structure must be {q} x {source.size}, got {structure}")
    value = np.ones(q) if importance is None else as_floats(importance, "importance")
    if value.shape != (q,) or not (np.isfinite(value).all() and value.min(initial=0.0) >= 0.0):
        raise ValueError(f"importance must be {q} finite numbers of at least 0, got {importance!r}")
    if held_out is not None and held_out.cross.shape != (p, q):
        raise ValueError(f"held_out must have {p} columns and {q} targets, got {held_out.cross.shape}")
    search = _Search(statistics, float(alpha), source, held_out)
    rows, columns = structure.coordinates()
    order = np.argsort(rows, kind="stable")
    ends = np.cumsum(np.bincount(rows, minlength=q))
    heap: list[tuple[float, int, int]] = []
    for j in range(q):
        start = order[ends[j - 1] if j else 0 : ends[j]]
        gain, best = search.open(j, source[columns[start]])
        if best >= 0 and value[j] > 0.0:
            heap.append((-gain * value[j], j, best))
    heapq.heapify(heap)
    column_of = np.full(p, -1)
    column_of[source[::-1]] = np.arange(source.size)[::-1]
    added = np.zeros(q, np.int64)
    picks: list[tuple[int, int]] = []
    losses, outside = [float(value @ search.losses)], [float(value @ search.outside)]
    while heap and len(picks) < budget:
        _, j, best = heapq.heappop(heap)
        if added[j] >= most:
            continue
        before = search.outside[j]
        decrease, gain, following = search.join(j, np.array([best]))
        if decrease > 0.0:
            added[j] += 1
            picks.append((j, int(column_of[best])))
            losses.append(losses[-1] - value[j] * decrease)
            outside.append(outside[-1] + value[j] * (search.outside[j] - before))
        if following >= 0:
            heapq.heappush(heap, (-gain * value[j], j, following))
    kept = len(picks) if held_out is None else int(np.argmin(outside))
    found = np.array(picks[:kept], np.int64).reshape(-1, 2)
    if kept:
        links = np.column_stack((structure.link_rows, structure.link_columns))
        structure = Structure(structure.shape, structure.offsets, tuple(np.vstack((links, found)).T))
    values, bias = masked_least_squares(statistics, structure, alpha, source)
    return ChosenLinks(
        structure,
        values,
        bias,
        found[:, 0],
        found[:, 1],
        np.maximum(losses[: kept + 1], 0.0),
        None if held_out is None else np.array(outside),
    )


def _count(value: object, name: str) -> int:
    if not is_integer(value) or not int(value) >= 0:  # type: ignore[call-overload]
        raise ValueError(f"{name} must be an integer of at least 0, got {value!r}")
    return int(value)  # type: ignore[call-overload, no-any-return]


class _Search:
    """The state of all rows: scores of every entry, and each row's support with its factor."""

    def __init__(self, statistics: Statistics, alpha: float, source: Index, held_out: Statistics | None) -> None:
        scale = statistics.column_scale()
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0.0)
        self._statistics, self._held_out, self._alpha, self._inverse = statistics, held_out, alpha, inverse
        self._gram = statistics.scatter * (inverse / statistics.weight)
        self._gram *= inverse[:, None]
        self._residual = np.ascontiguousarray(statistics.cross.T) * (inverse / statistics.weight)
        # Constant columns, and those that nothing reads, never have anything left.
        diagonal = np.where(np.isin(np.arange(scale.size), source) & (scale > 0.0), np.diagonal(self._gram) + alpha, 0)
        q = statistics.target_mean.size
        self._left = np.repeat(diagonal[None, :], q, axis=0)
        self._work = np.empty(scale.size)
        self._support = [np.empty(0, np.int64)] * q
        self._factor = [np.empty((0, 0))] * q
        self._partial = [np.empty((2, 0))] * q
        self._size = np.zeros(q, np.int64)
        self._variance = statistics.target_scatter / statistics.weight
        self.losses = self._variance.copy()
        self.outside = np.zeros(q)

    def open(self, j: int, inputs: Index) -> tuple[float, int]:
        """Let the inputs of a row's first support join; return gain and input of its best link."""
        _, gain, best = self.join(j, inputs[self._left[j, inputs] > 0.0])
        return gain, best

    def join(self, j: int, inputs: Index) -> tuple[float, float, int]:
        """Let inputs join a row; return by how much its loss falls, and gain and input (or -1) of its best link."""
        size = int(self._size[j])
        self._make_room(j, size + inputs.size)
        size, decrease, gain, best = extend_row(
            self._gram, self._alpha, inputs, self._support[j], self._factor[j], self._partial[j], size,
            self._residual[j], self._left[j], _LEAST_LEFT, self._work,
        )  # fmt: skip
        self._size[j] = size
        self.losses[j] -= decrease
        if self._held_out is not None:
            self.outside[j] = self._outside(j, self._held_out)
        return decrease, gain, best if gain > _LEAST_GAIN * self._variance[j] else -1

    def _make_room(self, j: int, size: int) -> None:
        old = self._support[j].size
        if size > old:
            new = min(max(size, 2 * old, 8), self._work.size + size)
            self._support[j] = np.append(self._support[j], np.empty(new - old, np.int64))
            factor, partial = np.zeros((new, new)), np.zeros((2, new))
            factor[:old, :old] = self._factor[j]
            partial[:, :old] = self._partial[j]
            self._factor[j], self._partial[j] = factor, partial

    def _outside(self, j: int, other: Statistics) -> float:
        """Return the mean squared error of row j on other statistics, from their moments about their own means."""
        size = self._size[j]
        support = self._support[j][:size]
        w = np.empty(size)
        row_coefficients(self._factor[j], self._partial[j], size, w)
        w *= self._inverse[support]
        # The bias was set on the training rows, so means differ by this.
        shift = (other.target_mean[j] - self._statistics.target_mean[j]) - w @ (
            other.row_mean - self._statistics.row_mean
        )[support]
        square = other.target_scatter[j] - 2.0 * (w @ other.cross[support, j])
        square += w @ other.scatter[np.ix_(support, support)] @ w
        return float(square / other.weight + shift * shift)
