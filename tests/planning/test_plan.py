"""What is decided from the structure alone."""

import numpy as np
import pytest

import stridiag
from stridiag.planning import Plan


def method_of(n, offsets, links=0):
    return stridiag.plan(stridiag.random(n, offsets, links, rng=0).structure).method


@pytest.mark.parametrize(
    ("n", "offsets", "links", "expected"),
    [
        (1000, (-1, 0, 1), 0, "chain"),
        (1000, (-8, 0, 8), 0, "chain"),
        (1000, (0, 8), 0, "triangular"),
        (1000, (0,), 0, "triangular"),
        (1000, (-600, 0, 500), 0, "triangular"),
        (1000, (-500, 0, 501), 1, "cyclic"),
        (5000, (-1, 0, 1), 20, "chain"),
        (400, (-1, 0, 1), 3, "chain"),
        (5000, (-1, 0, 1, 4999), 0, "chain"),
        (1000, (-3, 0, 2), 0, "band"),
        (1000, (-2, -1, 0, 1, 2), 0, "band"),
        (1000, (-1, 0, 1), 600, "band"),
        (50, (-3, 0, 2), 0, "band"),
        (100, range(-99, 100), 0, "dense"),
        (200, (-1, 0, 1), 20_000, "dense"),
        (0, (0,), 0, "triangular"),
        (1, (0,), 0, "triangular"),
    ],
)
def test_choice(n, offsets, links, expected):
    assert method_of(n, offsets, links) == expected


def test_plans_are_cached_by_structure():
    first = stridiag.plan(stridiag.Structure(100, (-1, 0, 1), ([3], [50])))
    assert stridiag.plan(stridiag.Structure(100, (0, 1, -1), ([3, 3], [50, 50]))) is first


def test_printed_plan_names_method_reason_and_numbers():
    P = stridiag.plan(stridiag.random(5000, (-2, 0, 2), 30, rng=0).structure)
    text = str(P)
    for part in (
        "chain",
        "segments",
        "dummy separators",
        "reduced system",
        f"{P.operations.factor:,}",
        f"{P.bytes:,}",
        "dense",
    ):
        assert part in text
    assert "LAPACK" in str(stridiag.plan(stridiag.Structure(100, range(-99, 100))))
    assert "SuperLU" in str(stridiag.plan(stridiag.Structure(1000, (-1, 0, 1)), method="sparse-lu"))
    assert "window" in str(stridiag.plan(stridiag.random(1000, (-1, 0, 1), 600, rng=0).structure))


@pytest.mark.parametrize("method", ["chain", "band", "sparse-lu", "sparse-qr", "dense"])
def test_method_overrides_the_choice(method):
    A = stridiag.random(40, (-1, 0, 1), 5, rng=0)
    P = stridiag.plan(A.structure, method=method)
    assert isinstance(P, Plan)
    assert P.method == method
    b = np.ones(40)
    np.testing.assert_allclose(A @ A.factor(method=method).solve(b), b, atol=1e-10)


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match=r"method must be one of 'auto', .*'chain'.*got 'thomas'"):
        stridiag.plan(stridiag.Structure(5), method="thomas")


def test_rectangular_structures_are_refused_with_a_way_out():
    with pytest.raises(stridiag.StructureError, match=r"4 x 5; .*linalg\.lstsq"):
        stridiag.plan(stridiag.Structure((4, 5)))


def test_a_plan_for_another_structure_is_refused():
    A = stridiag.random(5, rng=0)
    with pytest.raises(stridiag.StructureError, match="the plan is for"):
        stridiag.Factor(stridiag.plan(stridiag.Structure(6)), A)
