r"""Negative eigenvalues of a sparse Hermitian matrix, counted by elimination with interchanges.

The number of negative eigenvalues is the number of changes of sign along the leading principal minors
:math:`1, D_1, \dots, D_N`. Row k enters when the rows before it stand in the columns before it as an upper
triangle P. Column by column, ascending, the row's entry is eliminated by the row that stands there, after the two
have been exchanged if the entering one is larger. An exchange turns the sign of the determinant; with
:math:`p_j` the old and :math:`p_j'` the new entry on the diagonal,

.. math:: \frac{D_k}{D_{k-1}} = r_k \prod_{j \text{ exchanged}} \left(-\frac{p_j'}{p_j}\right),

so that only phases have to be multiplied. A diagonal entry that is zero counts as a positive minor that has
vanished, as if the matrix had been changed by less than rounding.

Without exchanges the counts are not safe; with them every multiplier is at most one.

**Structure.** That of LU with any exchanges of rows (`stridiag._kernels.sparse_qr.merge_rows`), since exchanges
stay within the rows that meet in a column. Every row has its diagonal entry in the pattern, so the path of row k
through the columns comes to k.

**Cost.** At most :math:`\sum_k (m_k - 1) (1 + 2 (r_k - 1))` operations.

References: R. S. Martin and J. H. Wilkinson, Solution of symmetric and unsymmetric band equations and the
calculation of eigenvectors of band matrices, Numer. Math. 9 (1967) 279-301.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stridiag._kernels.compile import kernel

__all__ = ["count_negative"]

Array = NDArray[Any]


@kernel
def count_negative(
    pointers: Array,
    indices: Array,
    data: Array,
    leads: Array,
    r_pointers: Array,
    r_columns: Array,
    r_values: Array,
    phases: Array,
    work: Array,
) -> int:
    """Return the number of negative eigenvalues of the Hermitian matrix given by its rows.

    Rows and columns stand in the order of elimination. `work`, (n,), starts and ends as zeros; `phases`, (n,), and
    `r_values` need no initial values.
    """
    n = r_pointers.size - 1
    negative = 0
    for k in range(n):
        for p in range(pointers[k], pointers[k + 1]):
            work[indices[p]] += data[p]
        phase = data[0] * 0 + 1
        j = leads[k]
        while j < k:
            top = r_pointers[j]
            end = r_pointers[j + 1]
            x = work[j]
            if x != 0:
                pivot = r_values[top]
                size = abs(x)
                if size > abs(pivot):
                    direction = np.conj(x) / size
                    phase *= -np.conj(direction) * phases[j]
                    phases[j] = direction
                    r_values[top] = x
                    multiplier = pivot / x
                    for p in range(top + 1, end):
                        column = r_columns[p]
                        old = r_values[p]
                        new = work[column]
                        r_values[p] = new
                        work[column] = old - multiplier * new
                else:
                    multiplier = x / pivot
                    for p in range(top + 1, end):
                        work[r_columns[p]] -= multiplier * r_values[p]
                work[j] = 0
            j = r_columns[top + 1]
        top = r_pointers[k]
        end = r_pointers[k + 1]
        last = work[k]
        size = abs(last)
        if size > 0.0:
            phases[k] = np.conj(last) / size
            if (phase * last).real < 0.0:
                negative += 1
        else:
            phases[k] = phase
        for p in range(top, end):
            r_values[p] = work[r_columns[p]]
            work[r_columns[p]] = 0
    return negative
