"""Arrays of other libraries are read at the cost of a copy at most, or refused with a way out."""

from __future__ import annotations

from types import SimpleNamespace

import array_api_compat
import array_api_strict
import dask.array
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse

import stridiag
import torch
from stridiag import StridiagMatrix, linalg
from stridiag._arrays import as_array, is_array

N = 30


def numbers(seed: int = 0, shape=(N,)):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.fixture(scope="module")
def matrix():
    return stridiag.random(N, offsets=(-1, 0, 1), links=3, rng=0, dominant=True)


# How each library makes an array of NumPy's.
MAKERS = {
    "array_api_strict": array_api_strict.asarray,
    "torch": torch.from_numpy,
    "pandas": pd.Series,
    "polars": pl.Series,
    "memoryview": memoryview,
}
MATRIX_MAKERS = {name: MAKERS[name] for name in ("array_api_strict", "torch")} | {"pandas": pd.DataFrame}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
class TestVectors:
    def test_results_are_those_of_numpy_arrays(self, matrix, make):
        b = numbers()
        factor = matrix.factor()
        for function in (
            lambda x: linalg.solve(matrix, x),
            lambda x: factor.solve(x, trans="T"),
            lambda x: factor.solve(x, refine=True),
            lambda x: linalg.lstsq(matrix, x, damp=0.1).x,
            lambda x: linalg.lstsq(matrix, b, weights=x).x,
            matrix.matvec,
            matrix.rmatvec,
            linalg.inv_operator(matrix).matvec,
            linalg.pinv(matrix).matvec,
        ):
            argument = abs(b)
            result = function(make(argument.copy()))
            assert type(result) is np.ndarray
            np.testing.assert_array_equal(result, function(argument))

    def test_constructors_copy(self, make):
        given = numbers()
        for build in (
            lambda d: StridiagMatrix.from_diagonals({0: d}),
            lambda d: StridiagMatrix(stridiag.Structure(N, (0,)), d),
            lambda d: StridiagMatrix.from_diagonals({0: 1.0}, (range(N), range(N), d), shape=N),
        ):
            values = given.copy()
            built = build(make(values))
            before = built.values.copy()
            values[:] = 7.0
            np.testing.assert_array_equal(built.values, before)

    def test_other_values(self, matrix, make):
        values = 2.0 * matrix.values
        assert matrix.with_values(make(values)).equals(2.0 * matrix)
        factor = matrix.factor().refactor(make(values))
        np.testing.assert_array_equal(factor.solve(numbers()), (2.0 * matrix).factor().solve(numbers()))


@pytest.mark.parametrize("name", ["array_api_strict", "torch", "pandas", "polars"])
def test_products_from_the_left(matrix, name):
    b = numbers()
    for operator in (matrix, linalg.inv_operator(matrix), linalg.pinv(matrix)):
        product = operator @ MAKERS[name](b.copy())
        assert type(product) is np.ndarray
        np.testing.assert_array_equal(product, operator @ b)


@pytest.mark.parametrize("make", MATRIX_MAKERS.values(), ids=MATRIX_MAKERS)
def test_blocks_and_dense_matrices(matrix, make):
    block = numbers(1, (N, 4))
    np.testing.assert_array_equal(linalg.solve(matrix, make(block.copy())), linalg.solve(matrix, block))
    np.testing.assert_array_equal(matrix @ make(block.copy()), matrix @ block)
    assert StridiagMatrix.from_dense(make(matrix.toarray())).equals(StridiagMatrix.from_dense(matrix.toarray()))


@pytest.mark.parametrize("name", ["array_api_strict", "torch"])
def test_positions(matrix, name):
    make = MAKERS[name]
    rows, columns = np.array([0, 3, 7]), np.array([1, 3, 2])
    at = make(rows.copy()), make(columns.copy())
    np.testing.assert_array_equal(matrix[at], matrix[rows, columns])
    for inverse in (matrix.factor().inverse_entries, linalg.pinv(matrix).entries):
        np.testing.assert_array_equal(inverse(*at), inverse(rows, columns))
    assert stridiag.Structure(N, (0,), at) == stridiag.Structure(N, (0,), (rows, columns))


@pytest.mark.parametrize("kind", ["float32", "float64", "complex64", "complex128", "int64", "bool"])
def test_value_types_survive(kind):
    for library in (array_api_strict, torch):
        namespace = array_api_compat.array_namespace(library.asarray([1.0]))
        given = namespace.asarray([1, 0, 1], dtype=getattr(namespace, kind))
        expected = np.dtype(kind) if np.dtype(kind).kind in "fc" else np.float64
        assert StridiagMatrix.from_diagonals({0: given}).dtype == expected


def test_memory_is_shared_where_it_can_be():
    tensor = torch.ones(5, dtype=torch.float64)
    assert np.shares_memory(as_array(tensor, "b"), tensor.numpy())
    strict = array_api_strict.ones(5)
    assert np.shares_memory(as_array(strict, "b"), np.asarray(strict))


def test_lazy_conjugates_and_negatives_are_resolved():
    z = numbers() + 1j * numbers(1)
    tensor = torch.from_numpy(z).conj()
    np.testing.assert_array_equal(as_array(tensor, "b"), z.conj())
    np.testing.assert_array_equal(as_array(tensor.imag, "b"), -z.imag)


def test_dlpack_alone_suffices():
    array = numbers()

    class Exporter:
        def __dlpack__(self, **options):
            return array.__dlpack__(**options)

        def __dlpack_device__(self):
            return array.__dlpack_device__()

    assert np.shares_memory(as_array(Exporter(), "b"), array)
    assert is_array(Exporter())


class OnDevice:
    """What cupy's and torch's arrays on a GPU tell of themselves."""

    device = "cuda:0"
    shape = (N,)

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, **options):
        raise AssertionError("must not be asked for its memory")

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("must not be transferred")


CupyArray = type("ndarray", (OnDevice,), {"__module__": "cupy"})

REFUSED = {
    "dask": (lambda: dask.array.ones(N), r"b \(a dask\.Array\) is lazy: use stridiag\.dask"),
    "gradient": (lambda: torch.ones(N, requires_grad=True), r"requires a gradient.*stridiag\.torch.*detach"),
    "parameter": (lambda: torch.nn.Parameter(torch.ones(N)), r"requires a gradient"),
    "bfloat16": (lambda: torch.ones(N, dtype=torch.bfloat16), r"b \(a torch\.Tensor\) cannot be read.*BFloat16"),
    "sparse tensor": (lambda: torch.ones(N).to_sparse(), r"cannot be read.*to_dense"),
    "meta tensor": (lambda: torch.ones(N, device="meta"), r"cannot be read.*meta"),
    "strict device": (
        lambda: array_api_strict.ones(N, device=array_api_strict.Device("device1")),
        r"cannot be read.*device1",
    ),
    "gpu": (OnDevice, r"lies on the device cuda:0: move it to main memory first"),
    "cupy": (CupyArray, r"b \(a cupy\.ndarray\) lies on the device cuda:0: .*\.get\(\)"),
    "sparse": (lambda: scipy.sparse.csr_array(np.ones((N, 1))), r"is sparse: hand over what \.toarray"),
    "masked": (lambda: np.ma.masked_less(numbers(), 0.0), r"b is a masked array"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(matrix, make, message):
    factor = matrix.factor()
    for use in (factor.solve, lambda b: linalg.solve(matrix, b), lambda b: linalg.lstsq(matrix, b)):
        with pytest.raises(TypeError, match=message):
            use(make())
    with pytest.raises(
        TypeError, match=message.replace(r"b \(", r"diagonal 0 \(").replace("b is a", "diagonal 0 is a")
    ):
        StridiagMatrix.from_diagonals({0: make()})


@pytest.mark.parametrize("name", sorted(set(REFUSED) - {"sparse"}))
def test_products_refuse_too(matrix, name):
    with pytest.raises(TypeError, match="the right operand"):
        matrix @ REFUSED[name][0]()


def test_masked_arrays_without_a_mask_serve(matrix):
    b = numbers()
    np.testing.assert_array_equal(linalg.solve(matrix, np.ma.array(b)), linalg.solve(matrix, b))


def test_objects_that_are_no_arrays_are_left_to_themselves(matrix):
    class Right:
        def __rmatmul__(self, left):
            return "mine"

    assert matrix @ Right() == linalg.pinv(matrix) @ Right() == linalg.inv_operator(matrix) @ Right() == "mine"
    assert not is_array(SimpleNamespace())
    assert not is_array(np.float64(1.0))
    assert not is_array(3)
    with pytest.raises(TypeError, match="unsupported operand"):
        matrix @ 3
