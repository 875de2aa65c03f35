"""`__getitem__` raises IndexError for A[0], which Python's old iteration protocol takes for the end."""

import pytest

import stridiag


def test_a_matrix_is_not_an_empty_iterable():
    with pytest.raises(TypeError):
        list(stridiag.random(5, rng=0))
