"""Orthogonal factorization of a sparse matrix, square or tall. See `stridiag._kernels.front_qr`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels import front_qr as kernels
from stridiag._kernels.sparse_qr import multiply_upper, solve_upper, solve_upper_adjoint
from stridiag.errors import SizeLimitError
from stridiag.planning.fronts import FrontLayout
from stridiag.planning.sparse import leading_columns

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["MAX_FACTOR_BYTES", "FrontQR", "front_layout"]

Array = NDArray[Any]

MAX_FACTOR_BYTES = 2 << 30
"""Bytes of R and of the rotations, each, above which `FrontQR` refuses."""


def front_layout(matrix: csr_array[Any], work_limit: int) -> FrontLayout:
    """Return the layout of a matrix, or raise `SizeLimitError` if it would cost more than `work_limit` operations."""
    entry_bytes = matrix.dtype.itemsize + np.dtype(np.int32).itemsize
    layout = FrontLayout.build(matrix, max_entries=MAX_FACTOR_BYTES // entry_bytes)
    if layout is None:
        raise SizeLimitError(f"an orthogonal factorization of it would take more than {MAX_FACTOR_BYTES} bytes")
    if layout.row_work > work_limit:
        raise SizeLimitError(
            f"an orthogonal factorization of it may take {layout.row_work:.1e} operations, the limit is "
            f"{work_limit:.1e}"
        )
    return layout


class FrontQR:
    r"""The factorization :math:`A \Pi = Q (R; 0)` with Q kept as rotations.

    Parameters
    ----------
    layout : FrontLayout
        Of a pattern that holds that of the rows.
    rows : csr_array, (m, n)
        The matrix, its columns in the layout's order.

    Raises
    ------
    SizeLimitError
        If the rotations would occupy more than `MAX_FACTOR_BYTES`.
    """

    def __init__(self, layout: FrontLayout, rows: csr_array[Any]) -> None:
        n = layout.order.size
        indices = rows.indices.astype(np.int32, copy=False)
        pointers = rows.indptr.astype(np.int64)
        leads = leading_columns(pointers, indices, n)
        own_rows = np.argsort(leads, kind="stable")
        own_starts = np.searchsorted(leads[own_rows], np.arange(n + 1))
        self.layout = layout
        self.shape = (rows.shape[0], n)
        self.r_values = np.empty(layout.entries, rows.dtype)
        slots = np.empty(n, np.int64)
        room = layout.stack
        widest = layout.widest
        real = rows.data.real.dtype
        state = np.zeros(4, np.int64)
        rotations = 2 * indices.size + widest * rows.shape[0] // 4 + widest * widest
        rotations = min(rotations, 16 * indices.size + widest * widest)
        rotation_bytes = 8 + real.itemsize + rows.dtype.itemsize
        first = second = np.empty(0, np.int32)
        cosines, sines = np.empty(0, real), np.empty(0, rows.dtype)
        work = (
            np.empty(room[0], rows.dtype),
            np.empty(room[1], np.int64),
            np.empty(room[1], np.int64),
            np.empty((3, n), np.int64),
            np.empty((widest, widest), rows.dtype),
            np.full(widest, -1, np.int64),
            np.empty(n, np.int64),
            np.zeros(widest, rows.dtype),
        )
        while True:
            if rotations * rotation_bytes > 2 * MAX_FACTOR_BYTES:
                raise SizeLimitError(f"its rotations would take more than {MAX_FACTOR_BYTES} bytes")
            first, second = _enlarged(first, rotations), _enlarged(second, rotations)
            cosines, sines = _enlarged(cosines, rotations), _enlarged(sines, rotations)
            done = kernels.factor_fronts(
                pointers,
                indices,
                rows.data,
                own_starts,
                own_rows,
                layout.row_pointers,
                layout.columns,
                self.r_values,
                layout.child_first,
                layout.child_next,
                slots,
                *work,
                first,
                second,
                cosines,
                sines,
                state,
            )
            if done:
                break
            rotations *= 2
        count = int(state[1])
        self._rotations = (first[:count].copy(), second[:count].copy(), cosines[:count].copy(), sines[:count].copy())
        self._slots = _completed(slots, rows.shape[0])

    @classmethod
    def of(cls, matrix: csr_array[Any], layout: FrontLayout) -> FrontQR:
        """Factor a matrix given with its columns as they are."""
        return cls(layout, matrix[:, layout.order])

    def with_ridge(self, tau: float) -> FrontQR:
        """Factor R with ``tau`` times the identity below it."""
        from scipy.sparse import csr_array

        n = self.shape[1]
        pointers, columns = self.layout.row_pointers, self.layout.columns
        stacked = csr_array(
            (
                np.concatenate((self.r_values, np.full(n, tau, self.r_values.dtype))),
                np.concatenate((columns, np.arange(n, dtype=np.int32))),
                np.concatenate((pointers, pointers[-1] + np.arange(1, n + 1))),
            ),
            shape=(2 * n, n),
        )
        return FrontQR(self.layout, stacked)

    @property
    def diagonal(self) -> Array:
        """Diagonal of R."""
        return self.r_values[self.layout.row_pointers[:-1]]

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers stored."""
        return sum(part.nbytes for part in (*self._rotations, self.r_values, self._slots))

    def rotate(self, b: Array) -> Array:
        """Return ``Q^H b``, (m, k): first the part that belongs to R, then the rest."""
        z = np.array(b, self.r_values.dtype, order="C")
        kernels.rotate(*self._rotations, z)
        return z[self._slots]

    def rotate_back(self, z: Array) -> Array:
        """Return ``Q z``; `z` may have fewer rows than Q, and is then followed by zeros."""
        b = np.zeros((self.shape[0], z.shape[1]), self.r_values.dtype)
        b[self._slots[: z.shape[0]]] = z
        kernels.rotate_back(*self._rotations, b)
        return b

    def solve_upper(self, z: Array) -> Array:
        """Return ``R^-1 z``; where R has no inverse, NaN."""
        x = np.array(z, self.r_values.dtype, order="C")
        if solve_upper(self.layout.row_pointers, self.layout.columns, self.r_values, x) >= 0:
            x.fill(np.nan)
        return x

    def solve_upper_adjoint(self, z: Array) -> Array:
        """Return ``R^-H z``; where R has no inverse, NaN."""
        x = np.array(z, self.r_values.dtype, order="C")
        if solve_upper_adjoint(self.layout.row_pointers, self.layout.columns, self.r_values, x) >= 0:
            x.fill(np.nan)
        return x

    def multiply_upper(self, x: Array) -> Array:
        """Return ``R x``."""
        x = np.array(x, self.r_values.dtype, order="C")
        y = np.empty_like(x)
        multiply_upper(self.layout.row_pointers, self.layout.columns, self.r_values, x, y)
        return y


def _enlarged(array: Array, size: int) -> Array:
    larger = np.empty(size, array.dtype)
    larger[: array.size] = array
    return larger


def _completed(slots: Array, m: int) -> Array:
    """Return an order of all m rows that begins with the slots, empty ones taken by rows that became zero."""
    used = np.zeros(m, bool)
    used[slots[slots >= 0]] = True
    free = np.flatnonzero(~used)
    empty = np.flatnonzero(slots < 0)
    result = np.empty(m, np.int64)
    result[: slots.size] = slots
    result[empty] = free[: empty.size]
    result[slots.size :] = free[empty.size :]
    return result
