"""Operations that plans predict exactly, against what the kernels execute, method by method over the zoo.

Every kernel runs as its plain-loop twin on counting numbers, called by the decompositions themselves.
"""

from collections import Counter
from itertools import product

import numpy as np
import pytest

import stridiag
from stridiag.factorization.decompose import decompose
from stridiag.factorization.factor import Factor
from stridiag.factorization.singularity import evident_singularity
from stridiag.planning import plan
from stridiag.planning.band_condensation import BandCondensationLayout
from stridiag.planning.condensation import CondensationLayout
from stridiag.testing import recording, zoo

SIZES = (0, 1, 2, 3, 5, 10, 25)
METHODS = ("triangular", "cyclic", "chain", "condensation", "band", "forest")


def outside_kernels(layout):
    """Return the operations that numpy executes to factor, and Python for the determinant."""
    if isinstance(layout, CondensationLayout):
        # The sum of the logarithms of three determinants.
        return 0, 2
    if not isinstance(layout, BandCondensationLayout):
        return 0, 0
    # The sums that make up a reduced system, the products of links with the factors by which they enter it; and the
    # sum of the logarithms of two determinants.
    return layout.reduced.place.size + layout.reduced.linked[0].size + layout.link_slots.size, 1


def moderate(values):
    """Whether all numbers lie where no kernel scales them first."""
    sizes = np.abs(values[values != 0])
    return sizes.size == 0 or (sizes.min() > 1e-60 and sizes.max() < 1e60)


def matrices(method):
    """Yield names and matrices; those of the zoo are too small for bands to be condensed."""
    if method == "condensation":
        for n, offsets, links in product((45, 90), ((-3, 0, 2), (-2, 0, 4), (-1, 0, 1, 2), (-2, -1, 0, 2)), (1, 3)):
            yield f"band/{offsets}-{links}-{n}", stridiag.random(n, offsets, links, rng=n)
    else:
        yield from ((case.name, case.matrix) for case in zoo(sizes=SIZES, dtypes=["float64"]))


def exact_plans(method):
    for name, A in matrices(method):
        if not A.structure.is_square or A.batch_shape or not moderate(A.values):
            continue
        try:
            planned = plan(A.structure, method=method)
        except stridiag.StructureError:
            continue
        if planned.operations.exact:
            yield name, A, planned


@pytest.mark.parametrize("method", METHODS)
def test_counts_are_what_is_executed(method):
    checked = 0
    for name, A, planned in exact_plans(method):
        predicted = planned.operations
        sums, additions = outside_kernels(planned.layout)
        with recording() as factor:
            decomposition = decompose(planned, A.values)
        if decomposition.singularity is not None or evident_singularity(planned, A) is not None:
            continue
        n = A.shape[0]
        with recording() as solve:
            decomposition.solve(np.ones((n, 1)))
        with recording() as adjoint:
            decomposition.solve(np.ones((n, 1)), adjoint=True)
        with recording() as slogdet:
            decomposition.slogdet()
        executed = (factor[0] + sums, solve[0], adjoint[0], slogdet[0] + additions)
        assert executed == (predicted.factor, predicted.solve, predicted.solve, predicted.slogdet), name
        assert decomposition.nbytes == planned.bytes, name
        checked += 1
    assert checked >= 5


@pytest.mark.parametrize("method", METHODS)
def test_the_dense_inverse_executes_what_is_predicted(method):
    # On a chain a diagonal that is not there saves the operations on it.
    families = {"offsets", "links", "band"} if method == "chain" else {"offsets", "links", "band", "wide", "bidiagonal"}
    checked = 0
    for name, A, planned in exact_plans(method):
        if name.split("/")[0] not in families or A.shape[0] * planned.operations.solve > 100_000:
            continue
        F = Factor(planned, A)
        if F.singular or (A.values == 0).any():
            continue
        F.solve(np.ones(A.shape[0]))  # which learns about the condition first, at the cost of one more
        with recording() as inverse:
            F.inverse()
        assert inverse[0] == planned.operations.inverse, name
        checked += 1
    assert checked >= 2


def test_automatic_plans_of_the_zoo_are_mostly_exact():
    squares = [case.matrix for case in zoo(sizes=(50,), dtypes=["float64"]) if case.matrix.structure.is_square]
    exact = Counter(plan(A.structure).operations.exact for A in squares)
    assert exact[True] > exact[False]
