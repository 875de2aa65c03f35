"""Hypothesis strategies for structures, matrices and vectors. The one module here that needs hypothesis.

Positions are drawn one by one, so that failures shrink to few of them; values come from a drawn kind and
seed, which is fast and shrinks to ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from stridiag._validate import VALUE_TYPES
from stridiag.structure import StridiagMatrix, Structure

__all__ = ["matrices", "structures", "vectors_for"]

Array = NDArray[Any]

_KINDS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "ones": lambda _, size: np.ones(size),
    "integers": lambda rng, size: rng.integers(-3, 4, size).astype(float),
    "signs": lambda rng, size: rng.choice([-1.0, 1.0], size),
    "normal": lambda rng, size: rng.standard_normal(size),
    "graded": lambda rng, size: rng.standard_normal(size) * 10.0 ** rng.integers(-8, 9, size),
}


@st.composite
def _values(draw: st.DrawFn, size: int, dtype: np.dtype[Any]) -> Array:
    make = _KINDS[draw(st.sampled_from(sorted(_KINDS, key=list(_KINDS).index)))]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = make(rng, size)
    return (values + 1j * make(rng, size) if dtype.kind == "c" else values).astype(dtype)


@st.composite
def _shapes(draw: st.DrawFn, square: bool | None, max_size: int) -> tuple[int, int]:
    rows = draw(st.integers(0, max_size))
    if square is True or (square is None and draw(st.booleans())):
        return rows, rows
    return rows, draw(st.integers(0, max_size).filter(lambda columns: square is None or columns != rows))


@st.composite
def _positions(
    draw: st.DrawFn, square: bool | None, max_size: int, max_links: int
) -> tuple[tuple[int, int], list[int], list[tuple[int, int]]]:
    """Draw a shape, offsets (the outermost ones often), and links with repeats, some on diagonals."""
    rows, columns = draw(_shapes(square, max_size))
    possible = sorted({0, *range(1 - rows, columns)}, key=lambda k: (abs(k), k))
    ends = st.sampled_from((possible[0], possible[-1], *possible[-2:-1]))
    offsets = draw(st.lists(st.one_of(st.sampled_from(possible), ends), max_size=5, unique=True))
    if not rows * columns:
        return (rows, columns), offsets, []
    anywhere = st.tuples(st.integers(0, rows - 1), st.integers(0, columns - 1))
    corners = st.sampled_from([(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)])
    links = draw(st.lists(st.one_of(anywhere, corners), max_size=max_links))
    if links:
        links += draw(st.lists(st.sampled_from(links), max_size=2))
    return (rows, columns), offsets, links


def structures(*, square: bool | None = None, max_size: int = 12, max_links: int = 6) -> st.SearchStrategy[Structure]:
    """Return a strategy for structures of any kind.

    Parameters
    ----------
    square : bool or None
        True: square only; False: rectangular only; None: both. Sizes of zero occur in each case.
    max_size : int
        The most rows and columns.
    max_links : int
        The most links, before up to two repeats are added.

    Examples
    --------
    >>> from hypothesis import find
    >>> from stridiag.testing import strategies
    >>> find(strategies.structures(), lambda S: S.link_count > 0)
    Structure(1 x 1, offsets (), 1 link, 1 slots)
    """
    return _positions(square, max_size, max_links).map(
        lambda drawn: Structure(drawn[0], drawn[1], ([r for r, _ in drawn[2]], [c for _, c in drawn[2]]))
    )


@st.composite
def matrices(
    draw: st.DrawFn,
    *,
    square: bool | None = None,
    dtypes: Sequence[DTypeLike] = VALUE_TYPES,
    max_size: int = 12,
    max_links: int = 6,
) -> StridiagMatrix:
    """Return a strategy for matrices with finite values, built by `from_diagonals` with links as drawn.

    Duplicate links and links on diagonals occur. Values are ones, small integers, signs, normal or graded
    over 16 decades, with zeros among them.

    Parameters
    ----------
    square, max_size, max_links
        As for `structures`.
    dtypes : sequence of dtype
        What to choose from, the simplest first.

    Examples
    --------
    >>> from hypothesis import find
    >>> from stridiag.testing import strategies
    >>> find(strategies.matrices(dtypes=["float64"]), lambda A: A.nnz > 2).nnz
    3
    """
    shape, offsets, links = draw(_positions(square, max_size, max_links))
    dtype = np.dtype(draw(st.sampled_from([np.dtype(kind) for kind in dtypes])))
    bare = Structure(shape, offsets)
    values = draw(_values(bare.nnz + len(links), dtype))
    diagonals = {offset: values[bare.diagonal_slots(offset)] for offset in bare.offsets}
    triples = ([r for r, _ in links], [c for _, c in links], values[bare.nnz :])
    return StridiagMatrix.from_diagonals(diagonals, triples, shape=shape, dtype=dtype)


@st.composite
def vectors_for(
    draw: st.DrawFn,
    matrix: StridiagMatrix,
    *,
    side: str = "right",
    max_columns: int | None = None,
    dtype: DTypeLike | None = None,
) -> Array:
    """Return a strategy for operands that fit a matrix.

    Parameters
    ----------
    matrix : StridiagMatrix
        What they are to fit.
    side : {"right", "left"}
        "right": operands of ``A @ x``, with as many rows as A has columns. "left": right-hand sides, and
        operands of ``A.H @ x``, with as many rows as A.
    max_columns : int, optional
        Draw blocks (n, k) with k up to this, in either memory order; default: vectors (n,).
    dtype : dtype, optional
        Default: the matrix's own.

    Examples
    --------
    >>> import stridiag
    >>> from hypothesis import find
    >>> from stridiag.testing import strategies
    >>> find(strategies.vectors_for(stridiag.random((2, 3), (0,), rng=0)), lambda x: True)
    array([1., 1., 1.])
    """
    if side not in ("right", "left"):
        raise ValueError(f"side must be 'right' or 'left', got {side!r}")
    rows = matrix.structure.shape[1 if side == "right" else 0]
    kind = np.dtype(matrix.dtype if dtype is None else dtype)
    if max_columns is None:
        return draw(_values(rows, kind))
    columns = draw(st.integers(0, max_columns))
    return draw(_values(rows * columns, kind)).reshape((rows, columns), order=draw(st.sampled_from("CF")))
