"""Triangular and cyclic matrices: against numpy for all small offsets, over the zoo, on cycles made to fail."""

import math
from fractions import Fraction

import numpy as np
import pytest

import stridiag
from stridiag import SingularMatrixError, StridiagMatrix, Structure
from stridiag.factorization import inverse_factors, multiply_out
from stridiag.planning.layout import NotApplicable
from stridiag.planning.triangular import CyclicLayout, TriangularLayout
from stridiag.testing import THRESHOLD, factor_ratio, inverse_ratio, slogdet_ratio, solve_ratio, zoo

METHODS = ("triangular", "cyclic")


def factor(A, method):
    """Return the factor, None where the method does not serve."""
    layout = {"triangular": TriangularLayout, "cyclic": CyclicLayout}[method]
    try:
        layout.build(A.structure)
    except NotApplicable:
        return None
    return A.factor(method=method)


def ring(d, c, dtype=float):
    """Return the cyclic bidiagonal matrix with d on the diagonal and c beside it, the last one in the corner."""
    d, c = np.asarray(d, dtype), np.asarray(c, dtype)
    return StridiagMatrix.from_diagonals({0: d, 1: c[:-1], 1 - d.size: c[-1:]})


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("method", METHODS)
def test_everything_over_the_zoo(method, dtype):
    sizes = (0, 1, 2, 3, 5, 10, 50, 333) if dtype in ("float64", "complex128") else (1, 3, 10)
    eps = np.finfo(dtype).eps
    rng = np.random.default_rng(0)
    failures, families, solved = [], set(), 0

    def check(what, ratio):
        if not ratio < THRESHOLD:
            failures.append((case.name, what, ratio))

    for case in zoo(sizes=sizes, dtypes=[dtype]):
        A, n = case.matrix, case.matrix.shape[0]
        F = factor(A, method) if A.structure.is_square else None
        if F is None:
            continue
        families.add(case.name.split("/")[0])
        if n and n <= 50:
            check("reconstruct", factor_ratio(A, F.reconstruct()))
            check("factors", factor_ratio(A, multiply_out(F.factors(), np.eye(n, dtype=dtype))))
        if F.singular:
            assert "singular" in case.tags
            assert F.slogdet() == (0.0, -np.inf)
            continue
        solution = rng.standard_normal((n, 2)).astype(dtype)
        for trans, op in (("N", A), ("T", A.T), ("H", A.H)):
            b = op @ solution
            if n and np.isfinite(b).all():
                check(trans, solve_ratio(A, F.solve(b, trans=trans), b, trans))
                solved += 1
        if 0 < n <= 50 and np.isfinite(cond := np.linalg.cond(A.toarray())) and 30 * n * eps * cond < 1:
            wide = A.toarray().astype("complex128" if A.dtype.kind == "c" else "float64")
            check("slogdet", slogdet_ratio(F.slogdet(), np.linalg.slogdet(wide), n, cond, dtype=dtype))
            inverse = np.linalg.inv(wide)
            error = np.abs(F.inverse_diagonal() - inverse.diagonal()).max()
            check("inverse diagonal", error / (np.abs(inverse).max() * cond * n * eps))
            check("inverse factors", inverse_ratio(A, multiply_out(inverse_factors(F.factors()), np.eye(n))))
    assert not failures
    assert {"wide", "bidiagonal", "diagonal"} - {
        "wide" if method == "triangular" and dtype == "float32" else ""
    } <= families
    assert solved > 20


def test_all_offsets_up_to_order_14_agree_with_numpy():
    rng = np.random.default_rng(0)
    worst = 0.0
    for n in range(2, 15):
        for p in range(1, n):
            for q in range(max(1, n - p), n):
                A = StridiagMatrix(Structure(n, (-q, 0, p)), rng.standard_normal(3 * n - p - q))
                dense = A.toarray()
                F = A.factor(method="triangular" if p + q >= n + math.gcd(p, q) else "cyclic")
                b = rng.standard_normal(n)
                for trans, op in (("N", A), ("T", A.T)):
                    worst = max(worst, solve_ratio(A, F.solve(b, trans=trans), b, trans))
                    np.testing.assert_allclose(op @ F.solve(b, trans=trans), b, atol=1e-11 * np.linalg.cond(dense))
                expected = np.linalg.slogdet(dense)
                worst = max(worst, slogdet_ratio(F.slogdet(), expected, n, np.linalg.cond(dense)))
                assert F.slogdet().sign == expected.sign
                np.testing.assert_allclose(
                    F.inverse_diagonal(),
                    np.linalg.inv(dense).diagonal(),
                    rtol=1e-11 * np.linalg.cond(dense),
                    atol=1e-14,
                )
    assert worst < 5


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("m", [2, 3, 4, 10, 57, 400])
def test_cycles_of_every_kind_do_not_grow(m, dtype):
    rng = np.random.default_rng(m)
    eps = np.finfo(dtype).eps
    units = rng.choice([1, -1, 1j, -1j] if dtype.startswith("c") else [1, -1], (2, m))
    steps = np.linspace(-6, 6, m)
    for d, c in (
        rng.standard_normal((2, m)),
        units,
        units * [[0.5], [1]],
        units * 10.0**steps,
        units * np.stack((10.0**steps, 10.0**-steps)),
        np.where(np.arange(m) % 2, [[3.0], [0.25]], [[0.5], [2.0]]),
        np.stack((np.zeros(m), units[0])),
        np.stack((units[0] * (np.arange(m) != m // 2), units[1])),
    ):
        A = ring(d, c, dtype)
        F = A.factor(method="cyclic")
        decomposition = F._members[0]
        largest = max(abs(A.values))
        assert max(abs(part).max() for part in decomposition._cycles[:2]) <= 2 * largest * (1 + m * eps)
        assert abs(decomposition._cycles[2]).max() <= 1 + eps
        assert factor_ratio(A, F.reconstruct()) < THRESHOLD
        if F.singular:
            continue
        b = rng.standard_normal((m, 2)).astype(dtype)
        for trans in "NTH":
            with np.errstate(all="ignore"):
                x = decomposition.solve((b.conj() if trans == "T" else b).copy(), adjoint=trans != "N")
            assert solve_ratio(A, x.conj() if trans == "T" else x, b, trans) < THRESHOLD


@pytest.mark.parametrize("m", [2, 3, 7, 64, 1001])
@pytest.mark.parametrize("power", [0, 300, -300])
def test_the_periodic_difference_is_singular_exactly(m, power):
    scale = 10.0**power
    A = ring(np.full(m, scale), np.full(m, -scale))
    F = A.factor(method="cyclic")
    assert F.singular
    assert F.rcond == 0.0
    with pytest.raises(SingularMatrixError, match="row"):
        F.solve(np.ones(m))
    # With the other sign it is singular for even lengths only.
    other = ring(np.full(m, scale), np.full(m, scale)).factor(method="cyclic")
    assert other.singular == (m % 2 == 0)


def test_a_zero_on_the_diagonal_of_a_triangle_names_its_row():
    for offsets, place in (((-2, 0), 5), ((0, 3), 0), ((-7, 0, 6), 11)):
        structure = Structure(12, offsets)
        values = np.ones(structure.nnz)
        values[structure.diagonal_slots(0).start + place] = 0
        with pytest.raises(SingularMatrixError, match=f"row {place}") as caught:
            StridiagMatrix(structure, values).factor(method="triangular").solve(np.ones(12))
        assert caught.value.row == place


def test_products_beyond_the_exponent_range():
    rng = np.random.default_rng(0)
    for m in (2, 5, 50):
        for low, high in ((300, 300), (-300, -300), (-130, 130), (-250, 0)):
            powers = rng.choice([low, high], m)
            d, c = rng.uniform(1, 9, (2, m)) * 10.0**powers
            F = ring(d, c).factor(method="cyclic")
            exact = math.prod(map(Fraction, d)) - (-1) ** m * math.prod(map(Fraction, c))
            # Both products are known to m eps of their size, their sum to that of the larger.
            larger = max(math.prod(map(Fraction, d)), math.prod(map(Fraction, c)))
            if abs(exact) < larger / 1000:
                continue
            if F.singular:
                # Only where the true last pivot cannot be told from zero: the condition number is beyond 1e280.
                pivots = F._members[0]._cycles[0][:-1]
                assert abs(exact / math.prod(map(Fraction, pivots))) < Fraction(10) ** -280 * Fraction(max(*d, *c))
                continue
            sign, log = F.slogdet()
            assert sign == (1 if exact > 0 else -1)
            expected = math.log(abs(exact.numerator)) - math.log(exact.denominator)
            assert log == pytest.approx(expected, rel=1e-13, abs=1e-10)
            for i, entry in enumerate(F.inverse_diagonal()):
                truth = math.prod(map(Fraction, np.delete(d, i))) / exact
                if 1e-300 < abs(truth) < 1e300:
                    assert entry == pytest.approx(float(truth), rel=1e-9)
                else:
                    assert abs(entry) < 1e-299 or abs(entry) > 1e299


def test_batches_and_many_right_hand_sides():
    rng = np.random.default_rng(0)
    for offsets, method in (((-40, 0, 30), "triangular"), ((-30, 0, 20), "cyclic"), ((0, 1, 5), "triangular")):
        structure = Structure(50, offsets)
        values = rng.standard_normal((3, structure.nnz))
        values[..., structure.diagonal_slots(0)] += 4
        A = StridiagMatrix(structure, values)
        x = rng.standard_normal((3, 50, 7))
        F = A.factor()
        assert F.plan.method == method
        np.testing.assert_allclose(F.solve(A @ x), x, atol=1e-11)
        np.testing.assert_allclose(F.inverse_diagonal(), np.diagonal(np.linalg.inv(A.toarray()), axis1=1, axis2=2))
        assert F.nbytes == 3 * F.plan.bytes


def test_factors_hold_no_more_than_the_matrix():
    A = stridiag.random(60, (-35, 0, 25), rng=0)
    F = A.factor(method="cyclic")
    stored = sum(len(getattr(E, "rows", ())) for E in F.factors())
    # Off the diagonal, and a multiplier for each step along a cycle.
    assert stored <= A.nnz - 60 + 60
    triangular = stridiag.random(60, (-35, 0, 26), rng=0).factor(method="triangular")
    assert sum(len(getattr(E, "rows", ())) for E in triangular.factors()) == triangular.matrix.nnz - 60
