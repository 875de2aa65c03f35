"""What a worker does with one partition, and what one of them does with the reduced system.

Each task uses one thread: workers run several tasks at a time.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._dtypes import eps_of
from stridiag._kernels.thread_count import num_threads
from stridiag.errors import IllConditionedWarning
from stridiag.factorization import partition as parts
from stridiag.planning.partition import Partition

__all__ = ["Piece", "Solved", "condense", "condense_for_determinant", "determinant", "recover", "solve_reduced"]

Array = NDArray[Any]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Piece:
    """A partition with the entries that its tasks bring along.

    Attributes
    ----------
    partition : Partition
    links : ndarray, (links,)
        In the order of the partition's links.
    on_chains : tuple of ndarray
        Rows, columns and values of links that lie on the diagonals.
    """

    partition: Partition
    links: Array
    on_chains: tuple[Index, Index, Array]


@dataclass(frozen=True, slots=True)
class Solved:
    """What a partition takes from the solution of the reduced system.

    Attributes
    ----------
    core : ndarray, (r, m + 1)
        See `stridiag.factorization.partition.recover`.
    largest : float
        Largest magnitude in the whole matrix.
    warned : bool
        Whether the condition number has been warned of.
    """

    core: Array
    largest: float
    warned: bool


def condense(
    piece: Piece, work: np.dtype[Any], check_finite: bool, lower: Array, diagonal: Array, upper: Array, b: Array
) -> tuple[parts.Carried | None, parts.Equations]:
    """Eliminate the interior columns; what stays on the worker, and what goes to the reduced system."""
    if check_finite and not np.isfinite(b).all():
        # A single right-hand side has one index.
        parts.require_finite_chunk(b[:, 0] if b.shape[1] == 1 else b, "b", piece.partition.start)
    with num_threads(1), np.errstate(all="ignore"):
        values = _values(piece, lower, diagonal, upper, check_finite=check_finite)
        power = _power(values)
        return parts.condense(piece.partition, _times(values, power), _times(_columns(b, work), power))


def solve_reduced(equations: Sequence[parts.Equations]) -> list[Solved]:
    """Solve the reduced system, and part its solution."""
    with num_threads(1), np.errstate(all="ignore"):
        cores = parts.solve_reduced(equations)
        largest = max(part.largest for part in equations)
        size = max((float(np.linalg.norm(core[:, -1])) for core in cores if core.size), default=0.0)
    warned = _warn_of_condition(largest, size, cores[0].dtype)
    return [Solved(core, largest, warned) for core in cores]


def recover(
    piece: Piece,
    work: np.dtype[Any],
    kind: np.dtype[Any],
    carried: parts.Carried | None,
    solved: Solved,
    lower: Array,
    diagonal: Array,
    upper: Array,
    b: Array,
) -> Array:
    """Return the solution in the partition's rows, of the type `kind`."""
    with num_threads(1), np.errstate(all="ignore"):
        values = _values(piece, lower, diagonal, upper, check_finite=False)
        power = _power(values)
        sides = _times(_columns(b, work), power)
        x, size = parts.recover(piece.partition, _times(values, power), sides, carried, solved.core)
    if not solved.warned:
        _warn_of_condition(solved.largest, size, work)
    if kind.kind == "c" and work.kind != "c":
        half = x.shape[1] // 2
        return np.asarray(x[:, :half] + 1j * x[:, half:])
    return x


def condense_for_determinant(
    piece: Piece, work: np.dtype[Any], check_finite: bool, lower: Array, diagonal: Array, upper: Array
) -> parts.Equations:
    """Eliminate the interior columns, whose pivots are part of the determinant."""
    with num_threads(1), np.errstate(all="ignore"):
        values = _values(piece, lower, diagonal, upper, check_finite=check_finite)
        power = _power(values)
        found = parts.condense_for_determinant(piece.partition, _times(values, power))
        phase, log = found.log
        return replace(found, log=(phase, log - power * piece.partition.rows * math.log(2.0)))


def determinant(kind: np.dtype[Any], equations: Sequence[parts.Equations]) -> tuple[Any, Any]:
    """Return sign or phase, and logarithm, as numbers of the matrix's type."""
    with num_threads(1), np.errstate(all="ignore"):
        phase, log = parts.determinant(equations)
    return kind.type(phase), np.empty(0, kind).real.dtype.type(log)


def _values(piece: Piece, lower: Array, diagonal: Array, upper: Array, *, check_finite: bool) -> Array:
    # Numbers stand for diagonals of equal entries.
    rows = (piece.partition.rows,)
    lower, diagonal, upper = (np.broadcast_to(part, rows) for part in (lower, diagonal, upper))
    return parts.gather(
        piece.partition, lower, diagonal, upper, piece.links, piece.on_chains, check_finite=check_finite
    )


def _power(values: Array) -> int:
    """Return the power of 2 that a partition's equations are multiplied by: 0 unless their squares leave the range.

    It may differ from partition to partition: what is multiplied are rows of the matrix, with their right-hand sides.
    """
    largest = max((float(np.abs(part).max(initial=0.0)) for part in (values.real, values.imag)), default=0.0)
    exponent = math.frexp(largest)[1] if math.isfinite(largest) else 0
    limit = int(np.finfo(values.dtype).maxexp) // 4
    return 0 if abs(exponent) <= limit else -exponent


def _times(array: Array, power: int) -> Array:
    """Return an array times a power of 2, exactly but for what is too small."""
    if not power:
        return array
    real = array.view(np.empty(0, array.dtype).real.dtype)
    return np.asarray(np.ldexp(real, power).view(array.dtype))


def _columns(b: Array, work: np.dtype[Any]) -> Array:
    """Return right-hand sides of the type the work is done in: complex ones in two columns, if that is real."""
    if b.dtype.kind == "c" and work.kind != "c":
        b = np.concatenate((b.real, b.imag), axis=1)
    return np.ascontiguousarray(b, dtype=work)


def _warn_of_condition(largest: float, size: float, kind: np.dtype[Any]) -> bool:
    """Warn if a right-hand side of random numbers of unit variance has so large a solution; return whether."""
    eps = eps_of(kind)
    # Accepts the good, so that NaN warns.
    if largest * size < 1.0 / eps:
        return False
    message = (
        f"the matrix is singular to working precision: its condition number is about {largest * size:.1g}, beyond "
        f"1 / eps = {1.0 / eps:.1g}; such a solution may have no correct digit"
    )
    # Workers tell the client, which warns there. A process that runs a worker has loaded distributed.
    distributed = sys.modules.get("distributed")
    warn = warnings.warn if distributed is None else distributed.warn
    warn(message, IllConditionedWarning, 2)
    return True
