"""Operations predicted by the plan, against operations executed by the kernels' own loops on counting numbers."""

import math

import numpy as np
import pytest

import stridiag
from stridiag._kernels import condensation, tridiagonal_lu
from stridiag.planning import cost
from stridiag.planning.chain import ChainLayout
from stridiag.planning.condensation import CondensationLayout


class Counted:
    """A float that counts the operations it takes part in."""

    total = 0

    def __init__(self, value):
        self.value = value

    def __repr__(self):
        return f"Counted({self.value})"

    def __neg__(self):
        return Counted(-self.value)

    def __abs__(self):
        return Counted(abs(self.value))

    def __float__(self):
        return float(self.value)

    def __lt__(self, other):
        return self.value < float(other)

    def __gt__(self, other):
        return self.value > float(other)

    def conjugate(self):
        return self

    @property
    def real(self):
        return self


def _counting(name):
    operation = getattr(float, name)

    def method(self, other):
        # The kernels write x * 0 and x + 0 to get a zero of the right type: no arithmetic.
        if not (isinstance(other, int) and other == 0):
            Counted.total += 1
        return Counted(operation(float(self.value), float(getattr(other, "value", other))))

    return method


for _name in ("add", "sub", "mul", "truediv"):
    setattr(Counted, f"__{_name}__", _counting(f"__{_name}__"))
    setattr(Counted, f"__r{_name}__", _counting(f"__r{_name}__"))


def _sqrt(x):
    Counted.total += 1
    return Counted(math.sqrt(getattr(x, "value", x)))


def plain(function):
    """Return the Python body of a kernel, compiled or not."""
    return getattr(function, "py_func", function)


def counted(array):
    result = np.empty(array.shape, object)
    for place, value in np.ndenumerate(array):
        result[place] = Counted(float(value))
    return result


@pytest.fixture
def counting(monkeypatch):
    """Let the kernels' plain bodies run on counting numbers."""

    class Math:
        inf = math.inf
        sqrt = staticmethod(_sqrt)

    monkeypatch.setattr(condensation, "_reflection", plain(condensation._reflection))
    monkeypatch.setattr(condensation, "math", Math)
    Counted.total = 0

    def run(function, *arguments):
        Counted.total = 0
        plain(function)(*arguments)
        return Counted.total

    return run


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 57])
@pytest.mark.parametrize("kind", ["random", "dominant", "zero diagonal"])
def test_tridiagonal_counts_are_exact(counting, n, kind):
    rng = np.random.default_rng(n)
    dl, d, du = rng.standard_normal((3, n))
    dl[-1:] = du[-1:] = 0
    d += 5.0 * (kind == "dominant")
    d *= kind != "zero diagonal" or np.arange(n) == n - 1
    factors = (*map(counted, (dl, d, du, np.zeros(n))), np.zeros(n, bool))
    predicted = cost.tridiagonal(n).operations
    assert predicted.exact
    assert counting(tridiagonal_lu.factor, *factors) == predicted.factor
    for solve in (tridiagonal_lu.solve, tridiagonal_lu.solve_adjoint):
        for m in (1, 3):
            assert counting(solve, *factors, counted(rng.standard_normal((n, m)))) == m * predicted.solve


@pytest.mark.parametrize(("n", "stride", "links"), [(30, 1, 1), (60, 1, 3), (60, 2, 2), (90, 3, 4), (17, 1, 5)])
def test_condensation_counts_are_never_exceeded(counting, n, stride, links):
    A = stridiag.random(n, (-stride, 0, stride), links, rng=n)
    layout = CondensationLayout.build(ChainLayout(A.structure, stride))
    segments = (layout.first, layout.last, layout.neighbours)
    rows = counted(np.zeros((n, 8)))
    leftover = counted(np.zeros((layout.first.size, 2, 5)))
    interior = n - layout.columns.size
    executed = counting(
        condensation.condense, *map(counted, layout.chain.tridiagonal(A.values)), *segments, rows, leftover
    )
    assert executed == cost.CONDENSE * interior + cost.CONDENSE_SEGMENT * layout.first.size
    x = counted(np.ones((n, 1)))
    z = counted(np.ones((layout.columns.size, 1)))
    numbers = counted(A.values[layout.link_slots])
    bound = cost.CONDENSED_SOLVE * interior + 3 * numbers.size + 2 * layout.first.size
    for substitute, backwards in (
        (condensation.back_substitute, False),
        (condensation.forward_substitute_adjoint, True),
    ):
        executed = counting(condensation.reflect, rows, *segments, x, backwards)
        executed += counting(substitute, rows, *segments, layout.link_start, layout.link_kept, numbers, z, x)
        # A bound, and not a loose one: only the ends of chains and segments do less.
        assert 0.7 * bound < executed <= bound


def test_counts_grow_linearly_with_n():
    small = stridiag.plan(stridiag.random(10_000, (-2, 0, 2), 20, rng=0).structure)
    large = stridiag.plan(stridiag.random(100_000, (-2, 0, 2), 20, rng=0).structure)
    assert not small.operations.exact
    assert large.operations.factor < 10.5 * small.operations.factor
    assert large.operations.solve < 10.5 * small.operations.solve


def test_bounds_hold_for_the_sparse_factorizations():
    A = stridiag.random(400, (-3, 0, 2), 30, rng=1)
    P = stridiag.plan(A.structure, method="sparse-qr")
    F = A.factor(method="sparse-qr")
    assert F.nbytes <= P.bytes
    lu = stridiag.plan(A.structure, method="sparse-lu")
    assert lu.operations.factor > P.operations.factor > 0
    assert A.factor(method="sparse-lu").nbytes <= 2 * lu.bytes


def test_bytes_of_chains_are_those_of_the_factor():
    A = stridiag.random(1000, (-5, 0, 5), 0, rng=1)
    assert A.factor().nbytes == stridiag.plan(A.structure).bytes
    B = stridiag.random(1000, (-5, 0, 5), 8, rng=1)
    assert B.factor().nbytes <= stridiag.plan(B.structure).bytes
