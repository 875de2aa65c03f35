"""Chains with links whose diagonals are Dask arrays: solutions and determinants.

Each partition of the rows is condensed where it lies. The equations that are left over, a few for each boundary and
each link, make up the reduced system, which one worker solves; then each partition recovers its own rows. How it
works, what it costs and what moves: docs/dask-systems.md.
"""

# Dask has types, but not all over.
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed
from numpy.typing import ArrayLike, NDArray

from stridiag.dask import partition_tasks as tasks
from stridiag.dask.chain_input import DaskChain, right_sides
from stridiag.dask.second_reading import SecondReading, readings
from stridiag.factorization.factor import SlogdetResult

__all__ = ["slogdet", "solve"]

Links = tuple[ArrayLike, ArrayLike, ArrayLike]


def solve(
    lower: da.Array | ArrayLike,
    diagonal: da.Array | ArrayLike,
    upper: da.Array | ArrayLike,
    b: da.Array | ArrayLike,
    *,
    links: Links | None = None,
    offset: int = 1,
    check_finite: bool = True,
    read_again: bool = False,
) -> da.Array:
    r"""Solve :math:`A x = b` for a chain with links that is cut into partitions.

    .. math:: A_{i,i} = d_i, \quad A_{i,i+p} = u_i, \quad A_{i+p,i} = l_i, \quad \text{links added}

    Nothing is computed before the result is. The chunks of `diagonal` are the partitions; some 100,000 to some
    millions of rows each serve best.

    Parameters
    ----------
    lower, upper : dask array or array_like, (n - p,), or a number
        Sub- and super-diagonal.
    diagonal : dask array or array_like, (n,), or a number
        Main diagonal.
    b : dask array or array_like, (n,) or (n, k)
        Right-hand sides. At least one of the four must be a Dask array. Where chunks differ, they are cut anew.
    links : tuple of array_like, (rows, columns, values), optional
        Entries anywhere, corners of a periodic chain among them. Values at the same place, or on a diagonal, add up.
    offset : int, default 1
        The p of both diagonals, ``1 <= p < n``.
    check_finite : bool, default True
        Whether to look for NaN and infinity. Without, they make results that mean nothing.
    read_again : bool, default False
        Whether to compute the chunks of the diagonals and of `b` a second time rather than to keep them between the
        two passes: for data on disk that exceed the memory. They must be the same both times.

    Returns
    -------
    dask array
        The solution, of the shape and the chunks of `b` (of the partitions, where `b` is no Dask array), and of the
        type that numpy would give.

    Raises
    ------
    StructureError, ValueError, TypeError
        If shapes or types do not fit, or chunk sizes are unknown.
    SingularMatrixError
        When computed, if a pivot is exactly zero.
    NonFiniteError
        When computed, if an entry is NaN or infinite; it names the array and the index.

    Warns
    -----
    IllConditionedWarning
        When computed, if a random right-hand side that goes along shows a condition number beyond ``1 / eps``. On a
        cluster the warning reaches the client.

    Notes
    -----
    Backward stable for all nonsingular matrices, since everything is eliminated by reflections. Results depend on
    where partitions begin by rounding errors only, and not at all on workers, threads and retries.
    For the transposed system exchange `lower` with `upper`, and the rows of the links with their columns.
    Each partition sends some two equations for each of its two boundaries, and about one for each column that a link
    keeps; bytes, operations and memory: docs/dask-systems.md.

    See Also
    --------
    stridiag.linalg.solve : in one piece, and for all other structures.

    Examples
    --------
    A periodic chain of 100,000 rows in four partitions:

    >>> import dask.array as da
    >>> import numpy as np
    >>> from stridiag import dask as sd
    >>> n = 100_000
    >>> d = da.full(n, 4.0, chunks=25_000)
    >>> b = da.ones(n, chunks=25_000)
    >>> corners = ([0, n - 1], [n - 1, 0], [1.0, 1.0])
    >>> x = sd.solve(1.0, d, 1.0, b, links=corners)
    >>> x
    dask.array<..., shape=(100000,), dtype=float64, chunksize=(25000,), chunktype=numpy.ndarray>
    >>> bool(abs(x.compute() - 1 / 6).max() < 1e-15)
    True
    """
    chain = DaskChain.of(lower, diagonal, upper, links, offset, b)
    right, finish = right_sides(b, chain)
    columns = right.shape[1]
    kind = np.result_type(chain.dtype, right.dtype)
    # Real matrices take real and imaginary parts as right-hand sides of their own.
    work = kind if chain.dtype.kind == "c" else np.empty(0, kind).real.dtype
    pieces = chain.pieces(work)
    arrays = (*chain.diagonals, right)
    chunks = _chunks(arrays, len(pieces))
    again = readings(arrays, len(pieces)) if read_again else []
    condensed = [
        delayed(partial(tasks.condense, piece, work, check_finite), nout=2, pure=False)(*mine)
        for piece, mine in zip(pieces, chunks, strict=True)
    ]
    solved = delayed(tasks.solve_reduced, pure=False)([equations for _, equations in condensed])
    recover = [partial(tasks.recover, piece, work, kind) for piece in pieces]
    solutions = []
    for k, (piece, (carried, _)) in enumerate(zip(pieces, condensed, strict=True)):
        if read_again:
            x = delayed(SecondReading(recover[k], again[k]), pure=False)(carried, solved[k])
        else:
            x = delayed(recover[k], pure=False)(carried, solved[k], *chunks[k])
        solutions.append(da.from_delayed(x, (piece.partition.rows, columns), kind))
    return finish(da.concatenate(solutions))


def slogdet(
    lower: da.Array | ArrayLike,
    diagonal: da.Array | ArrayLike,
    upper: da.Array | ArrayLike,
    *,
    links: Links | None = None,
    offset: int = 1,
    check_finite: bool = True,
) -> SlogdetResult:
    """Return sign (or complex phase) and logarithm of the magnitude of a determinant.

    Parameters
    ----------
    lower, diagonal, upper, links, offset, check_finite
        As for `solve`; one of the three diagonals must be a Dask array.

    Returns
    -------
    SlogdetResult
        A named tuple ``(sign, logabsdet)``, as that of `numpy.linalg.slogdet`, of two Dask arrays without axes;
        ``dask.compute(*result)`` takes one pass for both. (0, -inf) if a pivot is exactly zero.

    Raises
    ------
    StructureError, ValueError, TypeError, NonFiniteError
        As for `solve`.

    Examples
    --------
    >>> import dask
    >>> import dask.array as da
    >>> from stridiag import dask as sd
    >>> sign, logabsdet = dask.compute(*sd.slogdet(1.0, da.full(100_000, 4.0, chunks=25_000), 1.0))
    >>> round(float(sign)), round(float(logabsdet), 6)
    (1, 131695.864197)
    """
    chain = DaskChain.of(lower, diagonal, upper, links, offset, None)
    pieces = chain.pieces(chain.dtype)
    parts = [
        delayed(partial(tasks.condense_for_determinant, piece, chain.dtype, check_finite), pure=False)(*chunks)
        for piece, chunks in zip(pieces, _chunks(chain.diagonals, len(pieces)), strict=True)
    ]
    sign, log = delayed(partial(tasks.determinant, chain.dtype), nout=2, pure=False)(parts)
    real: np.dtype[Any] = np.empty(0, chain.dtype).real.dtype
    return SlogdetResult(da.from_delayed(sign, (), chain.dtype), da.from_delayed(log, (), real))


def _chunks(arrays: Sequence[da.Array | NDArray[Any]], count: int) -> list[tuple[Any, ...]]:
    """Return the chunks of all arrays, partition by partition; numbers for each."""
    listed = [array.to_delayed().ravel() if isinstance(array, da.Array) else [array] * count for array in arrays]
    return list(zip(*listed, strict=True))
