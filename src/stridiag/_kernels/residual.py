r"""Residuals: ``r = b - op(A) x``, in the precision of the arrays, or in twice that of float64.

In twice the precision, with :math:`(p, e) = a \times x` the rounded product and its exact error (Dekker) and
:math:`(s, t) = a + b` the rounded sum and its exact error (Knuth),

.. math:: p_k + e_k = -a_{ik} x_k, \qquad h_k + t_k = h_{k-1} + p_k, \qquad l_k = l_{k-1} + (t_k + e_k),

starting from h = b and l = 0. The sum h + l of t products has an error of at most :math:`(t\,u)^2 (|A||x| + |b|)`,
before its own rounding, as if everything had been computed with twice as many digits. 25 operations a product in
place of 2. Products must not overflow, nor their errors underflow: the caller scales A and x to about one.

Matrices are taken as `StridiagMatrix` stores them: ``values`` by slot, diagonals by ascending offset, then links.
``starts[k]`` is the first slot of diagonal k, and last the first slot of the links. With ``transposed`` rows and
columns change places; conjugates, and complex numbers, are the caller's business: a complex product is four real ones.

References: T. Ogita, S. M. Rump and S. Oishi, "Accurate sum and dot product", SIAM J. Sci. Comput. 26 (2005),
algorithm 5.3; T. J. Dekker, Numer. Math. 18 (1971).
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stridiag._kernels.compile import kernel, literal_inlined, literal_kernel

__all__ = ["subtract_product", "subtract_product_twofold"]

Array = NDArray[Any]


@kernel
def subtract_product(
    values: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    transposed: bool,
    x: Array,
    r: Array,
) -> None:
    """Subtract op(A) x from `r`, (n, m), in its own precision."""
    m = x.shape[1]
    for k in range(starts.size):
        links = k == offsets.size
        count = link_rows.size if links else starts[k + 1] - starts[k]
        for t in range(count):
            if links:
                row = link_rows[t]
                column = link_columns[t]
            else:
                row = t + max(0, -offsets[k])
                column = row + offsets[k]
            if transposed:
                row, column = column, row
            value = values[starts[k] + t]
            for c in range(m):
                r[row, c] -= value * x[column, c]


@literal_inlined
def _halves(a: Any) -> tuple[Any, Any]:
    """Split a number of 53 bits into two of 26."""
    wide = 134217729.0 * a
    high = wide - (wide - a)
    return high, a - high


@literal_kernel
def subtract_product_twofold(
    values: Array,
    offsets: Array,
    starts: Array,
    link_rows: Array,
    link_columns: Array,
    transposed: bool,
    x: Array,
    high: Array,
    low: Array,
) -> None:
    """Subtract op(A) x from ``high + low``, each (n, m) of float64, in twofold precision."""
    m = x.shape[1]
    for k in range(starts.size):
        links = k == offsets.size
        count = link_rows.size if links else starts[k + 1] - starts[k]
        for t in range(count):
            if links:
                row = link_rows[t]
                column = link_columns[t]
            else:
                row = t + max(0, -offsets[k])
                column = row + offsets[k]
            if transposed:
                row, column = column, row
            value = -values[starts[k] + t]
            value_high, value_low = _halves(value)
            for c in range(m):
                factor = x[column, c]
                factor_high, factor_low = _halves(factor)
                product = value * factor
                lost = value_low * factor_low - (
                    ((product - value_high * factor_high) - value_low * factor_high) - value_high * factor_low
                )
                before = high[row, c]
                total = before + product
                part = total - before
                rest = (before - (total - part)) + (product - part)
                high[row, c] = total
                low[row, c] += rest + lost
