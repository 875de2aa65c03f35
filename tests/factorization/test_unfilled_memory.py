"""Nothing is read before it is written: results do not change where new memory is full of NaN."""

import importlib
import pkgutil

import numpy as np
import pytest

import stridiag
from stridiag import _recycled, _results, linalg
from stridiag.cli.bench.problem import Case, Problem

ROOMS = ("factorization", "linalg", "planning", "structure", "_results", "_recycled")


class Unfilled:
    """numpy, but what is new and not filled is full of NaN, or of numbers that are no index."""

    def __getattr__(self, name):
        return getattr(np, name)

    @staticmethod
    def empty(*args, **options):
        return spoiled(np.empty(*args, **options))

    @staticmethod
    def empty_like(*args, **options):
        return spoiled(np.empty_like(*args, **options))


def spoiled(array):
    if array.dtype == np.uint8:
        # Every float made of these bytes is NaN.
        array[...] = 0xFF
    elif array.dtype.kind in "fc":
        array[...] = np.nan
    elif array.dtype.kind == "i":
        array[...] = -7777
    return array


@pytest.fixture
def unfilled(monkeypatch):
    """Spoil the memory that rooms take from numpy, and that which they take from earlier arrays."""

    def spoil():
        numpy = Unfilled()
        for module in pkgutil.walk_packages(stridiag.__path__, "stridiag."):
            if module.name.split(".")[1] in ROOMS:
                room = importlib.import_module(module.name)
                if getattr(room, "np", None) is np:
                    monkeypatch.setattr(room, "np", numpy)
        monkeypatch.setattr(_results.aligned, "__defaults__", (numpy.empty,))
        take = _recycled._Store.take

        def taken(self, size):
            memory, new = take(self, size)
            spoiled(memory.room)
            return memory, new

        monkeypatch.setattr(_recycled._Store, "take", taken)

    return spoil


def everything(A):
    """What users may ask of a matrix and two factors, in an order that reaches notes and stored factors."""
    rng = np.random.default_rng(3)
    n = A.shape[0]
    b, B = rng.standard_normal(n), rng.standard_normal((n, 12))
    yield linalg.solve(A, b)
    yield np.array(linalg.slogdet(A))
    factor = A.factor()
    for _ in range(3):
        yield factor.solve(b)
    yield factor.solve(B)
    yield factor.solve(b, trans="T")
    yield factor.solve(B, trans="T")
    yield np.array(factor.slogdet())
    yield factor.inverse_diagonal()
    yield np.array(factor.rcond)
    yield factor.refactor(A.values[::-1].copy()).solve(b)
    yield A @ B


def compare(A, spoil):
    try:
        expected = list(everything(A))
    except stridiag.SingularMatrixError:
        pytest.skip("singular")
    spoil()
    for k, (before, after) in enumerate(zip(expected, everything(A), strict=True)):
        np.testing.assert_array_equal(after, before, err_msg=f"result {k}")


pytestmark = pytest.mark.filterwarnings("ignore::stridiag.errors.IllConditionedWarning")
CASES = ["1,1,0", "1,1,4", "8,8,0", "8,8,20", "2,3,0", "2,3,8", "17,29,5", "1,1,200"]


@pytest.mark.parametrize("kind", ["dominant", "random", "constant", "signs"])
@pytest.mark.parametrize("n", [40, 700, 4000])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_results_do_not_depend_on_what_stood_in_memory(case, n, kind, unfilled):
    compare(Problem(Case.parse(case), n, kind).matrix, unfilled)


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nor_do_they_in_other_dtypes(case, dtype, unfilled):
    A = Problem(Case.parse(case), 700, "random").matrix
    compare(A.with_values(A.values.astype(dtype)), unfilled)


@pytest.mark.parametrize("kind", ["dominant", "random"])
@pytest.mark.parametrize("case", ["1,1,0", "1,1,30", "8,8,10", "2,3,0"], ids=str)
def test_nor_do_those_of_long_chains_and_bands(case, kind, unfilled):
    compare(Problem(Case.parse(case), 60_000, kind).matrix, unfilled)
