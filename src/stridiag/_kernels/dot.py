"""Inner products, and differences, of stretches of two arrays: in vectors, where numbers are real."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types

from stridiag._kernels.compile import borrowing_form
from stridiag._kernels.vectors import BYTES, load, multiply_add, store, total_of

__all__ = ["LANES", "dot", "subtract_multiple"]

LANES = BYTES // 8
"""Numbers of double precision in a vector."""

PAIR = 2 * LANES


def dot(values: Any, at: int, other: Any, first: int, last: int) -> Any:
    """Return the sum of products of ``values[at ...]`` with ``other[first ... last - 1]``.

    In vectors two sums a lane are made, which do not wait for one another, and come together at the end; else four.
    """
    s0 = s1 = s2 = s3 = other[0] * 0
    shift = at - first
    k = first
    while k + 4 <= last:
        s0 += values[shift + k] * other[k]
        s1 += values[shift + k + 1] * other[k + 1]
        s2 += values[shift + k + 2] * other[k + 2]
        s3 += values[shift + k + 3] * other[k + 3]
        k += 4
    while k < last:
        s0 += values[shift + k] * other[k]
        k += 1
    return (s0 + s1) + (s2 + s3)


@borrowing_form(dot)
def _dot(values, at, other, first, last):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _in_vectors if values.dtype == types.float64 else dot


def _in_vectors(values, at, other, first, last):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    shift = at - first
    k = first
    total = 0.0
    if last - first >= LANES:
        one = load(values, shift + k) * load(other, k)
        k += LANES
        if k + LANES <= last:
            two = load(values, shift + k) * load(other, k)
            k += LANES
            while k + PAIR <= last:
                one = multiply_add(load(values, shift + k), load(other, k), one)
                two = multiply_add(load(values, shift + k + LANES), load(other, k + LANES), two)
                k += PAIR
            if k + LANES <= last:
                one = multiply_add(load(values, shift + k), load(other, k), one)
                k += LANES
            one = one + two
        total = total_of(one)
    rest = 0.0
    while k + 2 <= last:
        total += values[shift + k] * other[k]
        rest += values[shift + k + 1] * other[k + 1]
        k += 2
    if k < last:
        total += values[shift + k] * other[k]
    return total + rest


def subtract_multiple(values: Any, at: int, factor: Any, other: Any, first: int, last: int) -> None:
    """Subtract the conjugates of ``values[at ...]``, times a factor, from ``other[first ... last - 1]``."""
    for k in range(last - first):
        other[first + k] -= np.conj(values[at + k]) * factor


@borrowing_form(subtract_multiple)
def _subtract_multiple(values, at, factor, other, first, last):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return _subtract_in_vectors if values.dtype == types.float64 else subtract_multiple


def _subtract_in_vectors(values: Any, at: int, factor: Any, other: Any, first: int, last: int) -> None:
    shift = at - first
    k = first
    while k + LANES <= last:
        store(other, k, load(other, k) - factor * load(values, shift + k))
        k += LANES
    while k < last:
        other[k] -= factor * values[shift + k]
        k += 1
