r"""The hyperbolic tangent of explicit vectors.

.. math:: \tanh |x| = \frac{m}{m + 2}, \qquad m = e^{2 |x|} - 1 = 2^k (e^r - 1) + (2^k - 1), \quad
          2 |x| = k \log 2 + r, \quad |r| \le \tfrac12 \log 2 .

With :math:`e^r - 1 = r + r^2 q(r)`, q the polynomial of least largest error on that interval (Remez; degree 9, error
4e-17, in double precision, degree 4, error 2e-8, in single precision) no digit cancels: the error stays below 3 units
in the last place, also near 0, where k = 0 and the quotient is x to all digits. The sign is put back at the end, so
that the function is odd to the last bit; NaN stays NaN. About 30 operations and one division a vector.

References: N. J. Higham, Accuracy and Stability, 2nd ed., sec. 1.14 (e^x - 1); W. J. Cody, W. Waite, Software Manual
for the Elementary Functions, 1980 (reduction with log 2 in two parts).
"""

from __future__ import annotations

import math
from typing import Any

from numba.core import types

from stridiag._kernels.compile import compiled_form, inlined
from stridiag._kernels.vectors import choose, less, magnitude, two_to, with_sign_of

__all__ = ["tanh_of"]

_TWICE_LOG2_OF_E = 2.8853900817779268
# From here on tanh is 1 to all digits, and 2^k stays in the number range.
_END_DOUBLE, _END_SINGLE = 20.0, 10.0
# A number added to these is rounded to an integer.
_ROUND_DOUBLE, _ROUND_SINGLE = 1.5 * 2.0**52, 1.5 * 2.0**23
# log 2 in two parts: products of the first with k are exact.
_LOG2_DOUBLE, _REST_DOUBLE = 0.6931467056274414, 4.7493250390316726e-07
_LOG2_SINGLE, _REST_SINGLE = 0.693115234375, 3.194618329871446e-05


@inlined
def _tanh_double(x: Any) -> Any:
    a = magnitude(x)
    # This way round, so that NaN is kept.
    a = choose(less(_END_DOUBLE, a), _END_DOUBLE, a)
    t = a * _TWICE_LOG2_OF_E + _ROUND_DOUBLE
    k = t - _ROUND_DOUBLE
    r = (a + a) - k * _LOG2_DOUBLE
    r = r - k * _REST_DOUBLE
    q = r * 2.5100472505694996e-08 + 2.7620201591031547e-07
    q = q * r + 2.7557268276905696e-06
    q = q * r + 2.4801521057868204e-05
    q = q * r + 0.00019841269863171557
    q = q * r + 0.0013888888917367081
    q = q * r + 0.008333333333330039
    q = q * r + 0.041666666666623824
    q = q * r + 0.16666666666666669
    q = q * r + 0.5
    power = two_to(t)
    m = power * (r * r * q + r) + (power - 1.0)
    return with_sign_of(m / (m + 2.0), x)


@inlined
def _tanh_single(x: Any) -> Any:
    a = magnitude(x)
    a = choose(less(_END_SINGLE, a), _END_SINGLE, a)
    t = a * _TWICE_LOG2_OF_E + _ROUND_SINGLE
    k = t - _ROUND_SINGLE
    r = (a + a) - k * _LOG2_SINGLE
    r = r - k * _REST_SINGLE
    q = r * 0.0013926250394433737 + 0.00836323294788599
    q = q * r + 0.04166655242443085
    q = q * r + 0.16666576266288757
    q = q * r + 0.5
    power = two_to(t)
    m = power * (r * r * q + r) + (power - 1.0)
    return with_sign_of(m / (m + 2.0), x)


def tanh_of(x: Any) -> Any:
    """Return the hyperbolic tangent, lane by lane."""
    return math.tanh(x)


@compiled_form(tanh_of)
def _tanh_of(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if x.element is types.float32:
        return lambda x: _tanh_single(x)
    return lambda x: _tanh_double(x)
