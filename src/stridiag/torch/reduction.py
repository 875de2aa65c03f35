r"""Solving, determinants and selected inverses in torch operations: cyclic reduction by reflections.

Rows and columns are put in an order of small bandwidth (kl below, ku above; t = kl + ku). Columns then fall into
segments of L columns with t columns, a *separator*, between each and the next. The L columns of a segment are touched
by L + t rows that touch no column of another segment, only the separators beside it:

.. math::
    Q_k^T \begin{pmatrix} A_{\text{left}} & A_{\text{in}} & A_{\text{right}} \end{pmatrix}_k =
    \begin{pmatrix} U_{\text{left}} & R & U_{\text{right}} \\ B_{\text{left}} & 0 & B_{\text{right}} \end{pmatrix}_k

All segments are reduced at once, by Householder reflections; what is left is block bidiagonal, and pairs of
neighbours are reduced in the same way until one separator remains: about log2(n / t) steps. Only orthogonal
transformations, so no growth, whatever the pivots. Cost O(n t^2), depth O(L + t log n).

The last separator lies to the left of the first segment too: the system is closed to a ring, and rows and columns
beyond the matrix are those of the identity. So all segments are alike, and signs need one correction.

**Determinant.** A reflection has determinant -1, so a pivot beta counts as -beta; reordering rows and columns alike
changes no sign. **Selected inverse.** From the ring inwards: the block of the inverse at a segment's columns and rows
follows from that of its parent by

.. math::
    G = \begin{pmatrix} R^{-1} & -R^{-1} (U_{\text{left}}\; U_{\text{right}})\, G_{\text{parent}} \\
        0 & G_{\text{parent}} \end{pmatrix} Q_k^T .

Reference: S. J. Wright, Stable parallel algorithms for two-point boundary value problems, SIAM J. Sci. Stat. Comput.
13 (1992). The separators are those of `stridiag._kernels.band_condensation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

import torch
from stridiag.structure import Structure
from stridiag.torch.batches import broadcast_shape, members_and_vectors
from torch import Tensor

__all__ = ["inverse_on_pattern", "slogdet", "solve"]

# Of the order, above which a separator makes the dense way cheaper.
_DENSE = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Ring:
    """How the rows and columns of a structure are laid out in segments; decided once for each structure."""

    order: Tensor
    below: int
    width: int
    inner: int
    segments: int
    slots: Tensor
    identity: Tensor

    @property
    def length(self) -> int:
        """Rows of a segment."""
        return self.inner + self.width


@lru_cache(maxsize=64)
def ring_of(structure: Structure, device: torch.device) -> Ring | None:
    """Return the layout, on a device; None if the matrix is better taken as dense."""
    n = structure.shape[0]
    rows, columns = structure.coordinates()
    order = _narrow_order(rows, columns, n)
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    i, j = place[rows], place[columns]
    below = int(max((i - j).max(initial=0), 0))
    above = int(max((j - i).max(initial=0), 0))
    if below + above == 0:
        above = 1
    t = below + above
    if t > _DENSE * n and n > 8:
        return None
    total = n + t
    segments = 1 << max(0, (total // (3 * t)).bit_length() - 1)
    length = max(-(-total // segments), t + 1)
    inner = length - t
    # Position of an entry within (segments, length, inner + 2 t), columns ordered inner, left, right.
    span = inner + 2 * t

    def position(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        k, at = np.divmod(row + above, length)
        local = column - k * length
        local = np.where(local < 0, inner + local + t, np.where(local < inner, local, local + t))
        result: np.ndarray = (k * length + at) * span + local
        return result

    last = segments * length
    extra = np.concatenate((np.arange(-above, 0), np.arange(n, last - above)))
    return Ring(
        order=torch.from_numpy(order).to(device),
        below=below,
        width=t,
        inner=inner,
        segments=segments,
        slots=torch.from_numpy(position(i, j)).to(device),
        identity=torch.from_numpy(position(extra, extra)).to(device),
    )


def _narrow_order(rows: np.ndarray, columns: np.ndarray, n: int) -> np.ndarray:
    """Return an order of small bandwidth: as it is, or the reverse of Cuthill and McKee's."""
    from scipy.sparse import coo_array, csr_array
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    both = (np.concatenate((rows, columns)).astype(np.int32), np.concatenate((columns, rows)).astype(np.int32))
    pattern = csr_array(coo_array((np.ones(both[0].size), both), shape=(n, n)))
    # Its type is that of scipy's indices, whatever they are.
    order = np.asarray(reverse_cuthill_mckee(pattern, symmetric_mode=True)).astype(np.int64)
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    natural = np.abs(rows - columns).max(initial=0)
    return order if np.abs(place[rows] - place[columns]).max(initial=0) < natural else np.arange(n)


@dataclass(slots=True, eq=False)
class Level:
    """What the reduction of one level leaves behind: R with its neighbours, transformed right-hand sides."""

    pivots: Tensor
    rest: Tensor
    sign: Tensor
    logarithm: Tensor
    zero: Tensor


def _reduce(blocks: Tensor, count: int) -> Level:
    """Reduce the first `count` columns of every block, (..., rows, columns), by reflections."""
    rest = blocks
    pivots = []
    signs = blocks.new_ones(blocks.shape[:-2])
    logarithms = blocks.new_zeros(blocks.shape[:-2])
    zero = torch.zeros(blocks.shape[:-2], dtype=torch.bool, device=blocks.device)
    for step in range(count):
        x = rest[..., 0]
        norm = torch.linalg.vector_norm(x, dim=-1)
        side = torch.where(x[..., 0] < 0, -1.0, 1.0).to(x.dtype)
        v = x.clone()
        v[..., 0] += side * norm
        # v'v = 2 norm (norm + |x_0|), of which 2 / v'v is taken; nothing is reflected where the column is zero.
        half = norm * (norm + x[..., 0].abs())
        scale = torch.where(half > 0, half.reciprocal(), torch.zeros_like(half))
        others = rest[..., 1:]
        product = (v.unsqueeze(-2) @ others) * scale[..., None, None]
        others = others - v.unsqueeze(-1) * product
        signs = signs * side
        logarithms = logarithms + norm.log()
        zero = zero | (norm == 0)
        head = torch.cat((-(side * norm).unsqueeze(-1), others[..., 0, :]), -1)
        pivots.append(torch.nn.functional.pad(head, (step, 0)))
        rest = others[..., 1:, :]
    return Level(torch.stack(pivots, -2), rest, signs, logarithms, zero)


def _paired(rest: Tensor, t: int) -> Tensor:
    """Put neighbours, with columns (left, right, further), one above the other: (middle, left, right, further)."""
    even, odd = rest[..., 0::2, :, :], rest[..., 1::2, :, :]
    none = torch.zeros_like(even[..., :t])
    first = torch.cat((even[..., t : 2 * t], even[..., :t], none, even[..., 2 * t :]), -1)
    second = torch.cat((odd[..., :t], none, odd[..., t : 2 * t], odd[..., 2 * t :]), -1)
    return torch.cat((first, second), -2)


@dataclass(slots=True, eq=False)
class Reduced:
    """All levels, and the matrix of the one separator that remains."""

    levels: list[Level]
    last: Tensor
    exponent: Tensor
    zero: Tensor


def _reduced(ring: Ring, values: Tensor, further: Tensor | None, *, square: bool) -> Reduced:
    """Reduce a batch (members, nnz) with right-hand sides (members, segments, length, m), or with the identity."""
    t = ring.width
    largest = values.abs().amax(-1)
    exponent = torch.frexp(torch.where(torch.isfinite(largest) & (largest > 0), largest, 1.0)).exponent
    scaled = torch.ldexp(values, -exponent.unsqueeze(-1))
    blocks = values.new_zeros((values.shape[0], ring.segments * ring.length * (ring.inner + 2 * t)))
    blocks[:, ring.identity] = 1
    blocks[:, ring.slots] = scaled
    blocks = blocks.reshape(-1, ring.segments, ring.length, ring.inner + 2 * t)
    # A row without an entry makes the matrix singular, which rounding would hide.
    zero = (blocks == 0).all(-1).any(-1).any(-1)
    levels: list[Level] = []
    count = ring.inner
    while True:
        if square:
            eye = torch.eye(blocks.shape[-2], dtype=values.dtype, device=values.device)
            blocks = torch.cat((blocks[..., : count + 2 * t], eye.expand(*blocks.shape[:-1], -1)), -1)
        elif not levels and further is not None:
            blocks = torch.cat((blocks, further), -1)
        level = _reduce(blocks, count)
        levels.append(level)
        zero = zero | level.zero.any(-1)
        if level.rest.shape[-3] == 1:
            break
        blocks = _paired(level.rest, t)
        count = t
    rest = level.rest[:, 0]
    return Reduced(levels, torch.cat((rest[..., :t] + rest[..., t : 2 * t], rest[..., 2 * t :]), -1), exponent, zero)


def _members(structure: Structure, values: Tensor) -> Tensor:
    return values.reshape(values.shape[:-1].numel(), structure.nnz)


def _dense(structure: Structure, values: Tensor) -> Tensor:
    rows, columns = (torch.from_numpy(part).to(values.device) for part in structure.coordinates())
    result = values.new_zeros((values.shape[0], *structure.shape))
    result[:, rows, columns] = values
    return result


def solve(structure: Structure, values: Tensor, b: Tensor, *, transposed: bool) -> tuple[Tensor, Tensor]:
    """Return solutions and, for each matrix, -1 where it is singular, else 0; those members' solutions are NaN."""
    if transposed:
        structure, source = structure.transposed()
        values = values[..., torch.as_tensor(np.arange(structure.nnz)[source], device=values.device)]
    n = structure.shape[0]
    batch = broadcast_shape(values.shape[:-1], b.shape[:-1])
    own, lead, vectors = members_and_vectors(tuple(values.shape[:-1]), batch)
    flat = _members(structure, values.reshape(*own, structure.nnz).expand(*lead, structure.nnz))
    right = b.expand(*batch, n).reshape(flat.shape[0], vectors, n).transpose(-1, -2)
    if n == 0 or right.numel() == 0:
        return b.new_empty((*batch, n)), torch.zeros(values.shape[:-1], dtype=torch.int64, device=b.device)
    ring = ring_of(structure, values.device)
    if ring is None:
        x, found = torch.linalg.solve_ex(_dense(structure, flat), right)
        bad = found != 0
    else:
        x, bad = _solve_on_ring(ring, flat, right)
    bad = bad | ~torch.isfinite(flat).all(-1)
    x = torch.where(bad[:, None, None], torch.nan, x)
    # Of matrices that were repeated along axes of the right-hand sides, the first tells for all.
    each = bad.reshape(lead)[tuple(slice(0, 1) if size == 1 else slice(None) for size in own)]
    return x.transpose(-1, -2).reshape(*batch, n), -each.to(torch.int64).reshape(values.shape[:-1])


def _solve_on_ring(ring: Ring, values: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    members, n, m = right.shape
    t, above = ring.width, ring.width - ring.below
    spread = right.new_zeros((members, ring.segments * ring.length, m))
    spread[:, above : above + n] = right[:, ring.order]
    reduced = _reduced(ring, values, spread.reshape(members, ring.segments, ring.length, m), square=False)
    x, info = torch.linalg.solve_ex(reduced.last[..., :t], reduced.last[..., t:])
    separators = x.unsqueeze(1)
    for number, level in reversed(list(enumerate(reduced.levels))):
        count = level.pivots.shape[-2]
        left = separators.roll(1, 1)
        known = level.pivots[..., count + 2 * t :] - level.pivots[..., count : count + t] @ left
        known = known - level.pivots[..., count + t : count + 2 * t] @ separators
        inner = torch.linalg.solve_triangular(level.pivots[..., :count], known, upper=True)
        both = torch.cat((inner, separators), -2)
        # Above the first level what was eliminated is a separator itself: neighbours in one sequence.
        separators = both if number == 0 else both.reshape(members, -1, t, m)
    flat = separators.reshape(members, -1, m)[:, :n]
    x = torch.empty_like(right)
    x[:, ring.order] = torch.ldexp(flat, -reduced.exponent[:, None, None])
    return x, (info != 0) | reduced.zero


def slogdet(structure: Structure, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return signs and logarithms of the magnitudes of the determinants."""
    n = structure.shape[0]
    batch = values.shape[:-1]
    flat = _members(structure, values)
    ring = ring_of(structure, values.device) if n and flat.shape[0] else None
    if ring is None:
        sign, logarithm = torch.linalg.slogdet(_dense(structure, flat))
    else:
        reduced = _reduced(ring, flat, None, square=False)
        sign, logarithm = torch.linalg.slogdet(reduced.last)
        for level in reduced.levels:
            sign = sign * level.sign.prod(-1)
            logarithm = logarithm + level.logarithm.sum(-1)
        above = ring.width - ring.below
        if above * (ring.segments * ring.length - 1) % 2:
            sign = -sign
        logarithm = logarithm + reduced.exponent.to(logarithm.dtype) * (n * float(np.log(2.0)))
        sign = torch.where(reduced.zero, 0.0, sign)
        logarithm = torch.where(reduced.zero, -torch.inf, logarithm)
    bad = ~torch.isfinite(flat).all(-1)
    sign, logarithm = torch.where(bad, torch.nan, sign), torch.where(bad, torch.nan, logarithm)
    return sign.to(values.dtype).reshape(batch), logarithm.to(values.dtype).reshape(batch)


def inverse_on_pattern(structure: Structure, values: Tensor) -> Tensor:
    """Return the entry (j, i) of the inverse at every slot (i, j); NaN for singular members."""
    flat = _members(structure, values)
    if structure.nnz == 0 or flat.shape[0] == 0:
        return torch.empty_like(values)
    ring = ring_of(structure, values.device)
    if ring is None:
        rows, columns = (torch.from_numpy(part).to(values.device) for part in structure.coordinates())
        inverse, info = torch.linalg.inv_ex(_dense(structure, flat))
        found, bad = inverse[:, columns, rows], info != 0
    else:
        found, bad = _pattern_on_ring(ring, flat)
    bad = bad | ~torch.isfinite(flat).all(-1)
    return torch.where(bad[:, None], torch.nan, found).reshape(values.shape)


def _pattern_on_ring(ring: Ring, values: Tensor) -> tuple[Tensor, Tensor]:
    t = ring.width
    reduced = _reduced(ring, values, None, square=True)
    inverse, info = torch.linalg.inv_ex(reduced.last[..., :t])
    # The response of (left, right) to a unit in each row that is left of the last block.
    parent = torch.cat((inverse, inverse), -2).unsqueeze(1)
    found = parent
    for number, level in reversed(list(enumerate(reduced.levels))):
        count = level.pivots.shape[-2]
        upper = level.pivots[..., :count]
        middle = -torch.linalg.solve_triangular(upper, level.pivots[..., count : count + 2 * t] @ parent, upper=True)
        transform = torch.cat((level.pivots[..., count + 2 * t :], level.rest[..., 2 * t :]), -2)
        # The first `count` rows of the transformation belong to the pivots, which reach nothing but the inside.
        inside = torch.linalg.solve_triangular(upper, transform[..., :count, :], upper=True)
        inside = inside + middle @ transform[..., count:, :]
        outside = parent @ transform[..., count:, :]
        if number == 0:
            found = torch.cat((inside, outside), -2)
            break
        left, right = outside[..., :t, :], outside[..., t:, :]
        even = torch.cat((left, inside), -2)[..., :t]
        odd = torch.cat((inside, right), -2)[..., t:]
        parent = torch.stack((even, odd), 2).flatten(1, 2)
    # Rows and columns change places: what lies at (row, column) of the matrix is wanted at (column, row).
    turned = found.transpose(-1, -2).reshape(values.shape[0], -1)
    return torch.ldexp(turned[:, ring.slots], -reduced.exponent[:, None]), (info != 0) | reduced.zero
