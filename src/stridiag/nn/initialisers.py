r"""Draws of weights, and what their condition is.

``"random"``: entries g |g|, g standard normal: most rows then lean on one or two of their inputs and some on all, so
that one structure holds units of many degrees of interaction. Nothing bounds the condition; on 3 square diagonals it
is about 4e2 for n = 64 and 2e4 for n = 1024.

The other two bound it. Let k be the smaller side, and cut the longer one into blocks of k (the last may be shorter).
The first wrapped offset holds one entry in each row and each column of a whole block: it becomes +-1, the *pivots*.
With the pivots brought to the main diagonal a block is :math:`D (I + E)` with signs D.

``"dominant"``: E has absolute row sums and column sums of at most rho = 1/2. So :math:`\|E\|_2 \le \rho`, and

.. math:: \operatorname{cond}_2 \le \frac{1 + \rho}{1 - \rho} = 3 .

``"skew"``: where the structure has both (i, j) and (j, i) of E, these are opposite numbers; they form a skew matrix K
of absolute row sums of at most kappa = 2. The singular values of I + K are :math:`\sqrt{1 + \lambda^2}` for the
eigenvalues :math:`\pm i \lambda` of K: never below 1, however large K is, so that neighbours may weigh as much as
pivots. What has no partner is bounded as above (offsets 0, s, -s of square layers all have):

.. math:: \operatorname{cond}_2 \le \sqrt{1 + \kappa^2} = 2.24, \qquad
          \operatorname{cond}_2 \le \frac{\sqrt{1 + \kappa^2} + \rho}{1 - \rho} = 5.48 \text{ with entries that have
          none.}

Rectangular weights: blocks lie side by side, squares of their singular values add up, and the bound grows by
:math:`\sqrt{\lceil q \rceil / \lfloor q \rfloor}`, q the ratio of the sides. A later change of row r's scale by s_r,
as in training, multiplies it by at most max s / min s.

Cost: O(nnz log nnz) for ``"skew"``, O(nnz) for the others.

References: R. A. Horn, C. R. Johnson, Matrix Analysis, 2nd ed., 5.6.P21 (norm by row and column sums) and 2.5 (skew
matrices are normal).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stridiag import linalg
from stridiag import structure as structures
from stridiag.nn.layers import Layer
from stridiag.nn.offsets import wrapped_offsets
from stridiag.nn.options import check_name
from stridiag.structure import StridiagMatrix, Structure

__all__ = ["INITS", "Init", "condition_bound", "condition_numbers", "draw_weight"]

Array = NDArray[Any]
Init = Literal["random", "dominant", "skew"]

INITS = ("random", "dominant", "skew")
_DOMINANCE, _SKEWNESS = 0.5, 2.0
# Beyond this order condition numbers in the 2-norm may need a dense decomposition that is refused.
_LARGE = 2048


def draw_weight(
    shape: tuple[int, int],
    offsets: tuple[int, ...],
    links: int,
    rng: np.random.Generator,
    *,
    init: Init = "random",
    tied: bool = False,
) -> StridiagMatrix:
    """Draw a weight on wrapped diagonals and random links.

    Parameters
    ----------
    shape : tuple of int
        ``(units, columns)``.
    offsets : tuple of int
        Wrapped offsets; the first holds the pivots of ``"dominant"`` and ``"skew"``.
    links : int
        How many further entries, at random places.
    rng : numpy.random.Generator
        Where the numbers come from.
    init : {"random", "dominant", "skew"}, default "random"
        See the module.
    tied : bool, default False
        One number for each wrapped diagonal, as in a convolution. It stands in each of the diagonal's slots, since
        that is what products read; a `Layer` with ``tied=True`` counts it once. Not with links.

    Returns
    -------
    StridiagMatrix

    Raises
    ------
    StructureError
        If there is no room for that many links.
    ValueError
        If `init` is unknown, or tied diagonals are asked for with links, or with ``"skew"`` in a shape whose longer
        side is no multiple of the shorter one.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag import linalg
    >>> from stridiag.nn import draw_weight
    >>> W = draw_weight((256, 256), (0, 1, -1), 10, np.random.default_rng(0), init="dominant")
    >>> bool(linalg.cond(W) <= 3.0)
    True
    """
    check_name(init, "init", INITS)
    if tied and links:
        raise ValueError(f"tied diagonals go without links, got {links}")
    if tied and init == "skew" and max(shape) % min(shape):
        raise ValueError(f"tied skew diagonals need one side that is a multiple of the other, got shape {shape}")
    if tied:
        structure = Structure(shape, wrapped_offsets(shape, offsets))
        rows, columns = structure.coordinates()
        _, first, which = np.unique((columns - rows) % min(shape), return_index=True, return_inverse=True)
        draw = rng.standard_normal(first.size)[which]
    else:
        drawn = structures.random(shape, wrapped_offsets(shape, offsets), links, rng=rng)
        structure, draw = drawn.structure, drawn.values
    values = draw * np.abs(draw)
    if init != "random":
        values = _conditioned(structure, values, int(offsets[0]), skew=init == "skew")
    if tied:
        # Sums of equal numbers in another order: what differs is rounding.
        values = values[first][which]
    return StridiagMatrix(structure, values, copy=False)


def condition_bound(shape: tuple[int, int], init: Init, *, paired: bool = True) -> float:
    """Return what the condition in the 2-norm of a drawn weight cannot exceed, up to rounding; see the module.

    Parameters
    ----------
    shape : tuple of int
        Of the weight.
    init : {"random", "dominant", "skew"}
        How it is drawn; "random" has no bound.
    paired : bool, default True
        For "skew": whether each offset but the first, o + s, comes with another one, o - s, and there are no links.

    Examples
    --------
    >>> from stridiag.nn import condition_bound
    >>> condition_bound((64, 64), "dominant"), condition_bound((64, 64), "random")
    (3.0, inf)
    """
    check_name(init, "init", INITS)
    if init == "random":
        return math.inf
    long, short = max(shape), min(shape)
    if init == "dominant":
        square = (1.0 + _DOMINANCE) / (1.0 - _DOMINANCE)
    else:
        # What is left over at the end of a longer side cuts pairs apart.
        rest = 0.0 if paired and long % short == 0 else _DOMINANCE
        square = (math.hypot(1.0, _SKEWNESS) + rest) / (1.0 - rest)
    return square * math.sqrt(-(-long // short) / (long // short))


def condition_numbers(layers: Iterable[Layer]) -> tuple[float, ...]:
    """Return the condition number of each layer's weight: of a network, give its `layers`.

    In the 2-norm; of square weights of order beyond 2048 an estimate in the 1-norm, a lower bound that is rarely off by
    more than a factor of three (see `stridiag.linalg.cond`). Infinite, or beyond 1e15, for
    singular weights.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import Layer, condition_numbers, draw_weight
    >>> W = draw_weight((63, 63), (0, 1, -1), 0, np.random.default_rng(0), tied=True)
    >>> ones = W.with_values(np.ones(W.nnz))     # 0, 1, -1: singular where 3 divides the order
    >>> condition_numbers([Layer(ones, np.zeros(63), "tanh", tied=True)])[0] > 1e15
    True
    """
    return tuple(_condition(layer.weight) for layer in layers)


def _condition(weight: StridiagMatrix) -> float:
    rows, columns = weight.structure.shape
    return float(linalg.cond(weight, 1 if rows == columns and rows > _LARGE else None))


def _conditioned(structure: Structure, values: Array, pivot: int, *, skew: bool) -> Array:
    """Return the values with pivots of +-1 and all others brought within their bounds."""
    short = min(structure.shape)
    rows, columns = structure.coordinates()
    # At most one of the two is not 0: blocks lie along the longer side.
    block = rows // short + columns // short
    # Within a block, the pivots on its main diagonal.
    i, j = rows % short, (columns - pivot) % short
    result = np.where(values < 0.0, -1.0, 1.0)
    signs = np.ones((int(block.max(initial=0)) + 1, short))
    pivots = i == j
    signs[block[pivots], i[pivots]] = result[pivots]
    off = np.flatnonzero(~pivots)
    i, j, block, entries = i[off], j[off], block[off], values[off]
    free = np.ones(off.size, bool)
    if skew:
        partner = _partners(block, i, j, short)
        paired = partner >= 0
        # By their distance and not by i < j, so that a diagonal that is constant stays so where it wraps around.
        forward = paired & (2 * ((j - i) % short) < short)
        entries[partner[forward]] = -entries[forward]
        entries[paired] = _bounded(block[paired], i[paired], j[paired], entries[paired], short, _SKEWNESS)
        # Rows take the signs of their pivots, so that what is beside these is skew.
        entries[paired] *= signs[block[paired], i[paired]]
        free = ~paired
    entries[free] = _bounded(block[free], i[free], j[free], entries[free], short, _DOMINANCE)
    result[off] = entries
    return result


def _bounded(block: Array, i: Array, j: Array, entries: Array, short: int, bound: float) -> Array:
    """Scale entries so that absolute row sums and column sums of each block are at most the bound."""
    size = np.abs(entries)
    row, column = block * short + i, block * short + j
    sums = np.maximum(np.bincount(row, size)[row], np.bincount(column, size)[column]) if size.size else size
    return np.divide(bound * entries, sums, out=np.zeros_like(entries), where=sums > 0.0)


def _partners(block: Array, i: Array, j: Array, short: int) -> Array:
    """Return the index of the entry (j, i) of the same block for each entry (i, j), -1 where there is no other."""
    keys = (block * short + i) * short + j
    wanted = (block * short + j) * short + i
    order = np.argsort(keys)
    place = np.minimum(np.searchsorted(keys, wanted, sorter=order), max(keys.size - 1, 0))
    found = order[place] if keys.size else place
    # Half way around a block a constant diagonal is its own partner, and would have to vanish.
    return np.where((keys[found] == wanted) & (2 * ((j - i) % short) != short), found, -1) if keys.size else found
