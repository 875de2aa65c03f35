"""The dense inverse, the inverse on the pattern, entries and exact condition numbers, by `Factor`."""

import warnings
from fractions import Fraction

import numpy as np
import pytest

import stridiag
from stridiag import IllConditionedWarning, SingularMatrixError, StridiagMatrix
from stridiag.testing import closed_forms, zoo

METHODS = ("auto", "chain", "sparse-lu", "sparse-qr", "dense")


def exact_inverse(A):
    """Return the inverse in fractions, or None if there is none."""
    n = len(A)
    rows = [[*map(Fraction, row.tolist()), *(Fraction(int(i == k)) for k in range(n))] for i, row in enumerate(A)]
    for k in range(n):
        pivot = next((i for i in range(k, n) if rows[i][k]), None)
        if pivot is None:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(n):
            if i != k and rows[i][k]:
                factor = rows[i][k]
                rows[i] = [x - factor * y if y else x for x, y in zip(rows[i], rows[k], strict=True)]
    return [row[n:] for row in rows]


def chain_of(kind, n, rng):
    dl, d, du = rng.standard_normal((3, n))
    if kind == "zero diagonal":
        d[::2] = 0
    elif kind == "decoupled":
        dl *= rng.random(n) < 0.6
        du *= rng.random(n) < 0.6
    elif kind == "graded":
        dl, d, du = np.array([dl, d, du]) * 10.0 ** rng.uniform(-30, 30, (3, n))
    elif kind == "integers":
        dl, d, du = rng.integers(-1, 2, (3, n)).astype(float)
    return StridiagMatrix.from_diagonals({-1: dl[: n - 1], 0: d, 1: du[: n - 1]} if n > 1 else {0: d})


KINDS = ("random", "zero diagonal", "decoupled", "graded", "integers")


@pytest.mark.parametrize("kind", KINDS)
def test_inverses_of_chains_are_accurate_entry_by_entry(kind):
    rng = np.random.default_rng(KINDS.index(kind))
    unit = Fraction(1, 2**53)
    worst, checked = 0.0, 0
    for n in (1, 2, 3, *range(4, 15)):
        A = chain_of(kind, n, rng)
        M = A.toarray()
        Z = exact_inverse(M)
        F = A.factor(method="chain")
        if Z is None:
            assert F.singular or F.rcond < 1e-15
            continue
        size = [[abs(z) for z in row] for row in Z]
        width = [range(max(0, k - 1), min(n, k + 2)) for k in range(n)]
        left = [
            [sum((size[i][k] * abs(Fraction(M[k, j])) for k in width[j]), Fraction()) for j in range(n)]
            for i in range(n)
        ]
        rows, columns = np.indices((n, n))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IllConditionedWarning)
            found = [F.inverse(), F.inverse(np.empty((n, n), order="F")), F.inverse_entries(rows, columns)]
        for i in range(n):
            for j in range(n):
                bound = unit * sum((left[i][k] * size[k][j] for k in range(n)), Fraction())
                for result in found:
                    error = abs(Fraction(result[i, j]) - Z[i][j])
                    assert error == 0 or bound > 0
                    worst = max(worst, float(error / bound) if error else 0.0)
        checked += 1
    assert checked > (2 if kind == "integers" else 5)
    assert worst < 12


def reference(A):
    """Return the inverse in double precision, and the condition number."""
    M = A.toarray().astype("complex128" if A.dtype.kind == "c" else "float64")
    scale = 2.0 ** -np.floor(np.log2(np.abs(M).max(initial=0.0) or 1.0))
    M = M * scale
    condition = np.linalg.cond(M) if len(M) else 1.0
    if not condition < 1e15:
        return np.full(M.shape, np.nan), condition
    # Not numpy.linalg.inv, which loses digits on the growth families.
    Q, R = np.linalg.qr(M)
    return np.linalg.solve(R, Q.conj().T) * scale, condition


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
def test_inverse_and_pattern_over_the_zoo(method, dtype):
    eps = np.finfo(dtype).eps
    checked = 0
    for case in zoo(sizes=(0, 1, 2, 3, 10, 50) if dtype == "float64" else (1, 3, 10), dtypes=[dtype]):
        A = case.matrix
        if not A.structure.is_square or "singular" in case.tags:
            continue
        n = A.shape[0]
        Z, condition = reference(A)
        if not condition * n * eps < 1e-3 or not np.isfinite(Z.astype(dtype)).all():
            continue
        F = A.factor(method=method)
        rows, columns = A.structure.coordinates()
        tolerance = (30 * n * eps * condition + 4 * eps) * np.abs(Z).max(initial=0.0)
        for result, expected in (
            (F.inverse(), Z),
            (F.inverse_on_pattern().values, Z[rows, columns]),
            (F.inverse_on_pattern(transpose=True).values, Z[columns, rows]),
        ):
            assert result.dtype == A.dtype
            assert np.abs(result - expected).max(initial=0.0) <= tolerance, case.name
        checked += 1
    assert checked > 60


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("n", [7, 40, 1100])
@pytest.mark.parametrize("offsets", ["both", "upper", "lower", "no main"])
def test_condensed_inverses_with_links_and_long_segments(stride, n, offsets):
    rng = np.random.default_rng(n + stride)
    main = {0: 6.0 + rng.random(n)}
    beside = {k: rng.standard_normal(n - stride) for k in (-stride, stride)}
    if offsets == "no main":
        # A folded main diagonal: all its entries are links.
        chain, dense = beside, True
    else:
        chain = main | {k: v for k, v in beside.items() if offsets == "both" or (k > 0) == (offsets == "upper")}
        dense = False
    rows, columns = rng.integers(0, n, (2, 6))
    links = [rows, columns, rng.standard_normal(6)]
    if dense:
        links = [
            np.concatenate((part, extra)) for part, extra in zip(links, (*[np.arange(n)] * 2, main[0]), strict=True)
        ]
    A = StridiagMatrix.from_diagonals(chain, tuple(links), shape=n)
    Z = np.linalg.inv(A.toarray())
    F = A.factor(method="chain")
    row, column = A.structure.coordinates()
    np.testing.assert_allclose(F.inverse_on_pattern().values, Z[row, column], atol=1e-14)
    np.testing.assert_allclose(F.inverse_on_pattern(transpose=True).values, Z[column, row], atol=1e-14)
    np.testing.assert_allclose(F.inverse_diagonal(), np.diagonal(Z), atol=1e-14)
    np.testing.assert_allclose(F.inverse(), Z, atol=1e-14)
    np.testing.assert_allclose(F.inverse(np.empty((n, n), order="F")), Z, atol=1e-14)


@pytest.mark.parametrize("links", [0, 4])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_pattern_is_the_gradient_of_the_log_determinant(links, dtype):
    A = stridiag.random(24, (-2, 0, 2), links, rng=5, dtype=dtype, dominant=True)
    gradient = A.factor(method="chain").inverse_on_pattern(transpose=True)
    assert gradient.structure == A.structure
    step = 1e-6
    for k in range(A.nnz):
        moved = []
        for sign in (step, -step):
            values = A.values.copy()
            values[k] += sign
            moved.append(A.with_values(values).factor(method="chain").slogdet().logabsdet)
        assert (moved[0] - moved[1]) / (2 * step) == pytest.approx(gradient.values[k].real, abs=1e-8)


def test_explicit_zeros_are_answered():
    A = StridiagMatrix.from_diagonals({-1: 0.0, 0: 2.0, 1: [0.0, 1.0, 1.0, 0.0]}, ([0, 4], [3, 1], [0.0, 1.0]), shape=5)
    Z = np.linalg.inv(A.toarray())
    rows, columns = A.structure.coordinates()
    for method in METHODS:
        np.testing.assert_allclose(A.factor(method=method).inverse_on_pattern().values, Z[rows, columns], atol=1e-15)


def test_batches_of_patterns_and_inverses():
    A = stridiag.random(12, (-1, 0, 1), 2, rng=0, dominant=True)
    B = A.with_values(np.stack([A.values, 2 * A.values, 0 * A.values]))
    F = B.factor()
    pattern = F.inverse_on_pattern()
    assert pattern.shape == (3, 12, 12)
    np.testing.assert_allclose(pattern.values[1], A.factor().inverse_on_pattern().values / 2, rtol=1e-13)
    assert np.isnan(pattern.values[2]).all()
    out = np.zeros((3, 12, 12))
    with pytest.warns(IllConditionedWarning, match="1 matrices of the batch"):
        assert F.inverse(out) is out
    np.testing.assert_allclose(out[0], np.linalg.inv(A.toarray()), atol=1e-14)
    assert np.isnan(out[2]).all()


# ---------------------------------------------------------------------- range and length


@pytest.mark.parametrize("exponent", [-150, 150])
def test_entries_at_the_ends_of_the_exponent_range(exponent):
    A = 10.0**exponent * closed_forms.second_difference(60)
    Z = closed_forms.second_difference_inverse(60) / 10.0**exponent
    F = A.factor()
    np.testing.assert_allclose(F.inverse(), Z, rtol=1e-12)
    np.testing.assert_allclose(F.inverse_on_pattern().diagonal(1), np.diagonal(Z, 1), rtol=1e-12)
    assert F.cond(1) == pytest.approx(closed_forms.second_difference(60).factor().cond(1), rel=1e-12)


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
def test_products_far_outside_the_range_meet_again_inside():
    # The leading continuants overflow 1e300 by far, the products of off-diagonals underflow, the entries do neither.
    n = 3000
    rng = np.random.default_rng(1)
    d = 10.0 ** rng.uniform(-100, 100, n)
    ratio = 10.0 ** np.cumsum(rng.uniform(-1, 1, n))
    du, dl = -0.4 * d[:-1] * ratio[:-1] / ratio[1:], -0.4 * d[1:] * ratio[1:] / ratio[:-1]
    A = StridiagMatrix.from_diagonals({-1: dl, 0: d, 1: du})
    # A = D S K S^-1 with K = (-0.4, 1, -0.4): Z = S K^-1 S^-1 D^-1.
    T = np.linalg.inv(np.eye(n) - 0.4 * (np.eye(n, k=1) + np.eye(n, k=-1)))
    Z = A.factor().inverse()
    near = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) < 40
    with np.errstate(all="ignore"):
        expected = T * ratio[:, None] / ratio[None, :] / d
    np.testing.assert_allclose(Z[near], expected[near], rtol=1e-11)


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
def test_long_chains_neither_overflow_nor_vanish():
    n = 10_000
    A = StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=n)
    out = np.empty((n, n), "float32")
    A.astype("float32").factor().inverse(out)
    k = np.arange(1.0, n + 1)
    for i in (0, 4999, 9999):
        expected = np.minimum(i + 1, k) * (n + 1 - np.maximum(i + 1, k)) / (n + 1)
        np.testing.assert_allclose(out[i], expected, rtol=1e-6)
    # Each entry is the one before it times -10: the last one of the row is 1e9999, and infinite as it should be.
    B = StridiagMatrix.from_diagonals({0: 1.0, 1: 10.0}, shape=n)
    i = np.array([0, 0, 0, 9000, 9999])
    j = np.array([0, 5, 9999, 9300, 0])
    np.testing.assert_allclose(
        B.factor(method="chain").inverse_entries(i, j), [1.0, -1e5, -np.inf, 1e300, 0.0], rtol=1e-13
    )


@pytest.mark.parametrize("n", [2, 10, 50])
def test_clement(n):
    # Zero diagonal: all leading blocks of odd order are singular.
    A = closed_forms.clement(n)
    F = A.factor(method="chain")
    Z = F.inverse()
    # Exactly zero where a product of continuants is: entries of even distance.
    even = np.add.outer(np.arange(n), np.arange(n)) % 2 == 0
    assert (Z[even] == 0).all()
    np.testing.assert_allclose(A.toarray() @ Z, np.eye(n), atol=1e-12 * F.cond(1))


# ---------------------------------------------------------------------- condition


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_condition_numbers_of_chains_are_exact(kind, dtype):
    rng = np.random.default_rng(10 + KINDS.index(kind))
    checked = 0
    for n in (1, 2, 3, 5, *rng.integers(4, 60, 60)):
        A = chain_of(kind, int(n), rng)
        if dtype == "complex128":
            A = A.with_values(A.values * np.exp(2j * np.pi * rng.random(A.nnz)))
        M = A.toarray()
        F = A.factor(method="chain")
        if F.singular:
            assert F.cond(1) == F.cond(np.inf) == np.inf
            continue
        if kind == "graded":
            # numpy's inverse has no correct digit here: the sums of our own, which is accurate entry by entry.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", IllConditionedWarning)
                Z = np.abs(F.inverse())
            M = np.abs(M)
            expected = M.sum(axis=0).max() * Z.sum(axis=0).max(), M.sum(axis=1).max() * Z.sum(axis=1).max()
            tolerance = 1e-12
        else:
            # Older numpys give complex numbers for complex matrices.
            expected = np.real(np.linalg.cond(M, 1)), np.real(np.linalg.cond(M, np.inf))
            tolerance = 1e-14 * n * max(expected)
            if not tolerance < 1e-3:
                continue
        assert F.cond_is_exact
        assert F.cond(1) == pytest.approx(expected[0], rel=tolerance)
        assert F.cond(np.inf) == pytest.approx(expected[1], rel=tolerance)
        assert F.rcond == 1 / F.cond(1)
        checked += 1
    assert checked > (5 if kind == "integers" else 15)


def test_condition_of_long_chains():
    n = 1_000_000
    A = StridiagMatrix.from_diagonals({-1: -1.0, 0: 2.0, 1: -1.0}, shape=n)
    # The largest column sum of the inverse is (n + 1)^2 / 8 (n odd), n (n + 2) / 8 (n even).
    assert A.factor().cond(1) == pytest.approx(4 * n * (n + 2) / 8, rel=1e-9)
    B = StridiagMatrix.from_diagonals({0: 1.0, 1: 2.0}, shape=n)
    assert B.factor(method="chain").cond(1) == np.inf
    C = StridiagMatrix.from_diagonals({0: 1.0, 1: -0.5}, shape=n)
    assert C.factor(method="chain").cond(1) == pytest.approx(1.5 * 2, rel=1e-12)
    assert C.astype("float32").factor(method="chain").cond(np.inf) == pytest.approx(1.5 * 2, rel=1e-6)


def test_estimates_are_said_to_be_estimates():
    with_links = stridiag.random(300, (-1, 0, 1), 5, rng=0, dominant=True)
    assert not with_links.factor().cond_is_exact
    assert stridiag.random(300, (-1, 0, 1), 0, rng=0, dominant=True).factor().cond_is_exact
    assert stridiag.random(4, (-1, 0, 1), 2, rng=0, dominant=True).factor(method="dense").cond_is_exact


def test_where_continuants_give_no_answer_it_comes_from_solves(monkeypatch):
    A = stridiag.random(20, (-2, 0, 2), rng=3, dominant=True)
    Z = np.linalg.inv(A.toarray())
    kinds = ("chain_diagonal", "chain_pattern", "generators")
    for kind in kinds:
        monkeypatch.setattr(f"stridiag.factorization.chain_inverse.kernels.{kind}", lambda *_: 3)
    monkeypatch.setattr("stridiag.factorization.chain_inverse.kernels.largest_column_sum", lambda *_: (np.inf, 0, 3))
    F = A.factor()
    rows, columns = A.structure.coordinates()
    np.testing.assert_allclose(F.inverse(), Z, atol=1e-15)
    np.testing.assert_allclose(F.inverse_diagonal(), np.diagonal(Z), atol=1e-15)
    np.testing.assert_allclose(F.inverse_on_pattern().values, Z[rows, columns], atol=1e-15)
    np.testing.assert_allclose(F.inverse_entries([0, 3], [2, 3]), Z[[0, 3], [2, 3]], atol=1e-15)
    assert not F.cond_is_exact
    assert F.cond(1) == pytest.approx(np.linalg.cond(A.toarray(), 1), rel=1e-9)


def test_singular_chains_are_refused_by_everything():
    # The second chain is [[1, 1], [1, 1]].
    A = StridiagMatrix.from_diagonals({-2: 1.0, 0: [2.0, 1.0, 2.0, 1.0], 2: 1.0}, shape=4)
    F = A.factor()
    for call in (F.inverse, F.inverse_on_pattern, F.inverse_diagonal, lambda: F.inverse_entries(0, 0)):
        with pytest.raises(SingularMatrixError):
            call()
    assert F.rcond == 0.0


# ---------------------------------------------------------------------- memory given, rows instead of columns


def test_out_is_checked_and_left_alone_when_it_cannot_be_used():
    A = stridiag.random(5, (-1, 0, 1), rng=0, dominant=True)
    F = A.factor()
    frozen = np.zeros((5, 5))
    frozen.setflags(write=False)
    for out, message in (
        (np.zeros((5, 4)), r"shape \(5, 5\) and dtype float64, got \(5, 4\)"),
        (np.zeros((5, 5), "float32"), "got .* and float32"),
        (frozen, "writeable"),
        (np.zeros((5, 10))[:, ::2], "C- or F-contiguous"),
    ):
        with pytest.raises(ValueError, match=message):
            F.inverse(out)
    with pytest.raises(TypeError, match="numpy array, got list"):
        F.inverse([[0.0] * 5] * 5)
    out = np.full((5, 5), 7.0)
    with pytest.raises(SingularMatrixError):
        (0 * A).factor().inverse(out)
    assert (out == 7.0).all()


@pytest.mark.parametrize("method", ["chain", "dense", "sparse-qr"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_few_rows_are_found_by_solves_with_the_adjoint(method, dtype):
    A = stridiag.random(60, (-1, 0, 1), 3, rng=2, dominant=True, dtype=dtype)
    F = A.factor(method=method)
    solves = []
    member = F._members[0]
    original = member.solve
    member.solve = lambda b, *, adjoint=False: (solves.append((b.shape, adjoint)), original(b, adjoint=adjoint))[1]
    columns = np.arange(60)
    found = F.inverse_entries(7, columns)
    np.testing.assert_allclose(found, np.linalg.inv(A.toarray())[7], atol=1e-14)
    assert solves == [((60, 1), True)]
