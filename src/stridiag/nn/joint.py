r"""Joint masked least squares: a structured matrix between fixed features and a fixed readout.

With features F (n x m), a readout W (s x q) and residuals R (n x q), weights D of sum w, find B (s x m) on a
structure that minimises

.. math:: \tfrac1w \|R - F B^T W\|_D^2 + \lambda \|B\|^2 .

All entries are coupled, through the readout: for the entries (j, i) of the support, as a vector b, it is

.. math:: (M + \lambda I)\, b = r, \qquad
    M_{(j,i),(j',i')} = G_{ii'}\, (W W^T)_{jj'}, \qquad r_{(j,i)} = (F^T D R\, W^T)_{ij} / w,

with G = F' D F / w: the Hadamard product of two Gram matrices, each spread over the support, hence positive
semidefinite. Its product with a vector needs no such matrix, M b = [G (B' W) W']' on the support, which is what
conjugate gradients take. Small problems are solved directly, through the smaller of two systems: the z entries of
the support, or, with a penalty, the m q numbers c of

.. math:: G\, K(c) + \lambda c = F^T D R / w, \qquad K(c)_i = \sum_{j \in S_i} W_j (W_j^T c_i), \qquad
    b_{(j,i)} = c_i^T W_j,

which has the same b, and is small where outputs are few (m numbers for one output, however many entries B has).

Conjugate gradients lower the objective in every step, and b = 0 has the value of R alone: however early they stop,
the result is no worse than none, and without the penalty's share still less.

Cost, for a support of z entries: z^3 / 3 or 2 (m q)^3 / 3 direct; 2 m^2 q + 4 z q + 10 z flops for a step of
conjugate gradients.

References: docs/theory/residual.md (derivation); C. R. Rao, S. K. Mitra, *Generalized Inverse of Matrices and its
Applications*, 1971 (vec of A X B); M. R. Hestenes, E. Stiefel, "Methods of conjugate gradients for solving linear
systems", 1952.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from stridiag.errors import StructureError
from stridiag.nn.options import check_name, is_number
from stridiag.structure import StridiagMatrix, Structure

__all__ = ["DIRECT_LIMIT", "JointSolution", "joint_masked_least_squares"]

Array = NDArray[Any]
Method = Literal["auto", "direct", "cg"]

# Systems up to this size are solved directly: exact, in the time of some tens of steps. Where conjugate gradients
# could finish, their last steps would also multiply rounding by a million.
DIRECT_LIMIT = 1000


class JointSolution(NamedTuple):
    """Values by slot, how many steps were taken (0: direct), and the residual's norm over that of the right side."""

    values: Array
    steps: int
    residual: float


def joint_masked_least_squares(
    gram: Array,
    right: Array,
    readout: Array,
    structure: Structure,
    penalty: float,
    *,
    start: Array | None = None,
    method: Method = "auto",
    tolerance: float = 1e-8,
    steps: int = 500,
) -> JointSolution:
    """Return the values of a structured matrix B for which F B' W comes nearest to R.

    Parameters
    ----------
    gram : ndarray, (m, m)
        F' D F / w; of centred features if an intercept is free.
    right : ndarray, (m, q)
        F' D R / w.
    readout : ndarray, (s, q)
        W.
    structure : Structure
        (s, m): where B may have entries.
    penalty : float
        Lambda, at least 0. With 0 the solution of least norm is meant: conjugate gradients tend to it from
        ``start=None``, and the direct method takes it.
    start : ndarray, (structure.nnz,), optional
        Where conjugate gradients start; 0 by default. The direct method has no use for it, and refuses it.
    method : {"auto", "direct", "cg"}, default "auto"
        "auto" is direct where the smaller system has up to 1000 unknowns and there is no `start`.
    tolerance : float, default 1e-8
        Conjugate gradients end where the residual is below this share of the right-hand side.
    steps : int, default 500
        Or after so many steps.

    Returns
    -------
    JointSolution

    Raises
    ------
    StructureError
        If shapes do not match.
    ValueError
        If an option is unknown or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import joint_masked_least_squares, wrapped_structure
    >>> rng = np.random.default_rng(0)
    >>> F, W = rng.standard_normal((100, 6)), rng.standard_normal((4, 3))
    >>> S = wrapped_structure((4, 6), (0, 1))
    >>> B = np.zeros((4, 6)); B[S.coordinates()] = np.arange(12.0)
    >>> R = F @ B.T @ W
    >>> found = joint_masked_least_squares(F.T @ F / 100, F.T @ R / 100, W, S, 0.0)
    >>> bool(np.allclose(found.values, np.arange(12.0))), found.steps
    (True, 0)
    """
    check_name(method, "method", ("auto", "direct", "cg"))
    if not (is_number(penalty) and 0.0 <= penalty < np.inf):
        raise ValueError(f"penalty must be a finite number of at least 0, got {penalty!r}")
    if not (0.0 <= tolerance < 1.0 and steps >= 0):
        raise ValueError(f"tolerance must be in [0, 1) and steps at least 0, got {tolerance!r} and {steps!r}")
    rows, columns = structure.shape
    if gram.shape != (columns, columns) or readout.ndim != 2 or readout.shape[0] != rows:
        raise StructureError(
            f"for a structure of shape {structure.shape}, gram must be {(columns, columns)} and readout ({rows}, q), "
            f"got {gram.shape} and {readout.shape}"
        )
    if right.shape != (columns, readout.shape[1]):
        raise StructureError(f"right must be {(columns, readout.shape[1])}, got {right.shape}")
    if start is not None and start.shape != (structure.nnz,):
        raise StructureError(f"start must hold {structure.nnz} values, got shape {start.shape}")
    row, column = structure.coordinates()
    target = np.einsum("zq,zq->z", right[column], readout[row])
    multiply = hadamard_product(gram, readout, structure)
    if method == "auto":
        method = "direct" if direct_size(structure, readout.shape[1]) <= DIRECT_LIMIT and start is None else "cg"
    if method == "direct":
        if start is not None:
            raise ValueError("start is for conjugate gradients: leave it out with method='direct'")
        if right.size < structure.nnz and penalty > 0.0:
            values = _solve_by_outputs(gram, right, readout, structure, penalty)
        else:
            matrix = gram[column[:, None], column] * (readout @ readout.T)[row[:, None], row]
            values = _solve_by_entries(matrix, target, penalty)
        return JointSolution(values, 0, _share(multiply(values) + penalty * values - target, target))
    return _conjugate_gradients(multiply, target, penalty, start, tolerance, steps)


def hadamard_product(gram: Array, readout: Array, structure: Structure) -> Any:
    """Return the function b -> M b, [G (B' W) W']' on the support; M itself is never formed."""
    row, column = structure.coordinates()
    at_row = readout[row]
    matrix = StridiagMatrix(structure, np.zeros(structure.nnz))

    def multiply(values: Array) -> Array:
        spread = gram @ (matrix.with_values(values, copy=False).T @ readout)
        return np.asarray(np.einsum("zq,zq->z", spread[column], at_row))

    return multiply


def direct_size(structure: Structure, outputs: int) -> int:
    """Return the number of unknowns of the smaller direct system."""
    return min(structure.nnz, structure.shape[1] * outputs)


def _solve_by_outputs(gram: Array, right: Array, readout: Array, structure: Structure, penalty: float) -> Array:
    row, column = structure.coordinates()
    m, q = right.shape
    inner = np.zeros((m, q, q))
    np.add.at(inner, column, readout[row][:, :, None] * readout[row][:, None, :])
    matrix = np.einsum("ab,bqr->aqbr", gram, inner).reshape(m * q, m * q)
    matrix[np.arange(m * q), np.arange(m * q)] += penalty
    c = np.linalg.solve(matrix, right.ravel()).reshape(m, q)
    return np.asarray(np.einsum("zq,zq->z", c[column], readout[row]))


def _solve_by_entries(matrix: Array, target: Array, penalty: float) -> Array:
    n = target.size
    largest = float(np.diagonal(matrix).max(initial=0.0))
    if penalty > 8 * n * np.finfo(np.float64).eps * largest:
        shifted = matrix.copy()
        shifted[np.arange(n), np.arange(n)] += penalty
        return np.asarray(cho_solve(cho_factor(shifted, lower=True), target))
    squares, vectors = np.linalg.eigh(matrix)
    good = squares > 16 * n * np.finfo(np.float64).eps * squares.max(initial=0.0)
    return np.asarray(vectors[:, good] @ ((vectors[:, good].T @ target) / (squares[good] + penalty)))


def _conjugate_gradients(
    multiply: Any, target: Array, penalty: float, start: Array | None, tolerance: float, steps: int
) -> JointSolution:
    values = np.zeros_like(target) if start is None else start.astype(np.float64)
    residual = target if start is None else target - multiply(values) - penalty * values
    direction = residual
    square = float(residual @ residual)
    stop = (tolerance * float(np.linalg.norm(target))) ** 2
    taken = 0
    while taken < steps and square > stop:
        image = multiply(direction) + penalty * direction
        curvature = float(direction @ image)
        # In the null space of a semidefinite matrix, up to rounding: nothing is left to gain.
        if not curvature > 0.0:
            break
        length = square / curvature
        values = values + length * direction
        residual = residual - length * image
        new = float(residual @ residual)
        direction = residual + (new / square) * direction
        square = new
        taken += 1
    return JointSolution(values, taken, _share(residual, target))


def _share(residual: Array, target: Array) -> float:
    norm = float(np.linalg.norm(target))
    return float(np.linalg.norm(residual)) / norm if norm else 0.0
