"""Hermitian positive definite matrices: stability, closed forms, entries of the inverse, refusals."""

import pickle

import numpy as np
import pytest

import stridiag
from stridiag import NotHermitianError, NotPositiveDefiniteError, StridiagMatrix, Structure, linalg
from stridiag.factorization import multiply_out
from stridiag.planning import cholesky as planning
from stridiag.testing import THRESHOLD, closed_forms, factor_ratio, slogdet_ratio, solve_ratio, zoo

DTYPES = ("float32", "float64", "complex64", "complex128")


def hermitian(structure, rng, dtype, excess=0.3):
    """Random values, mirrored exactly; each diagonal entry exceeds the others of its row in sum."""
    rows, columns = structure.coordinates()
    values = rng.standard_normal(structure.nnz)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.standard_normal(structure.nnz)
    values = values.astype(dtype)
    values = np.where(rows > columns, values, values[structure.slots(columns, rows)].conj())
    sums = np.bincount(rows, np.abs(values) * (rows != columns), minlength=structure.shape[0])
    return StridiagMatrix(structure, np.where(rows == columns, sums[rows] + excess, values).astype(dtype))


def symmetric(n, pairs, offsets=(0,)):
    rows, columns = (np.array([pair[k] for pair in pairs], int) for k in (0, 1))
    offsets = [k for k in offsets if abs(k) < max(n, 1)]
    return Structure(n, offsets, (np.r_[rows, columns], np.r_[columns, rows]))


def random_pairs(n, count, rng):
    return [tuple(rng.integers(0, n, 2)) for _ in range(count)] if n else []


def structures(n, rng):
    """Yield names and structures with a symmetric pattern."""
    yield "chain", symmetric(n, [], (-1, 0, 1))
    yield "three chains", symmetric(n, [], (-3, 0, 3))
    yield "cable", symmetric(n, random_pairs(n, 3, rng), (-1, 0, 1))
    yield "periodic", symmetric(n, [(0, n - 1)] if n > 2 else [], (-1, 0, 1))
    yield "many links", symmetric(n, random_pairs(n, n // 2, rng), (-2, 0, 2))
    yield "tree", symmetric(n, [(v, int(rng.integers(0, v))) for v in range(1, n)])
    yield "hub first", symmetric(n, [(0, v) for v in range(1, n)])
    yield "band", symmetric(n, [], (-3, -1, 0, 1, 3))
    yield "grid", symmetric(n, [], (-7, -1, 0, 1, 7))
    yield "diagonal", Structure(n)
    yield "links on a chain", symmetric(n, [(v, v + 2) for v in range(0, n - 2, 3)])


def family(n, dtype):
    """Yield names and positive definite matrices of order n."""
    rng = np.random.default_rng(n)
    for name, structure in structures(n, rng):
        yield name, hermitian(structure, rng, dtype)
    if n <= 50:
        square = rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if dtype[0] == "c" else 0)
        full = square @ square.conj().T + np.eye(n)
        yield "Wishart", StridiagMatrix.from_dense(((full + full.conj().T) / 2).astype(dtype))
    if n <= (5 if dtype in ("float32", "complex64") else 10):
        yield "Hilbert", StridiagMatrix.from_dense((1 / (1 + np.add.outer(*[np.arange(n)] * 2))).astype(dtype))
    power = 15 if dtype in ("float32", "complex64") else 75
    for name in ("chain", "cable"):
        A = hermitian(dict(structures(n, rng))[name], rng, dtype)
        scale = (2.0 ** np.round(np.linspace(-power, power, max(n, 1)) * np.log2(10)))[:n].astype(dtype)
        rows, columns = A.structure.coordinates()
        yield f"graded {name}", A.with_values(A.values * scale[rows] * scale[columns])


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("dtype", DTYPES)
def test_solves_products_and_factors_are_backward_stable(dtype):
    sizes = (0, 1, 2, 3, 5, 10, 50, 333) if dtype == "float64" else (1, 2, 3, 10)
    rng = np.random.default_rng(0)
    worst = 0.0
    for n in sizes:
        for name, A in family(n, dtype):
            F = A.factor(method="cholesky")
            x = rng.standard_normal((n, 3)).astype(dtype)
            for trans, op in (("N", A), ("T", A.T), ("H", A.H)):
                for b in (op @ x, op @ x[:, 0]):
                    worst = max(worst, _checked(name, n, solve_ratio(A, F.solve(b, trans=trans), b, trans)))
            if n <= 50:
                worst = max(worst, _checked(name, n, factor_ratio(A, F.reconstruct())))
                product = multiply_out(F.factors(), np.eye(n, dtype=dtype))
                worst = max(worst, _checked(name, n, factor_ratio(A, product)))
    assert 0.0 < worst < THRESHOLD


def _checked(name, n, ratio):
    assert ratio < THRESHOLD, (name, n, ratio)
    return ratio


@pytest.mark.parametrize("dtype", DTYPES)
def test_determinants_and_entries_of_the_inverse(dtype):
    eps = np.finfo(dtype).eps
    wide = "complex128" if dtype[0] == "c" else "float64"
    for n in (0, 1, 2, 3, 10, 50):
        for name, A in family(n, dtype):
            if name.startswith(("graded", "Hilbert")):
                continue
            F = A.factor(method="cholesky")
            dense = A.toarray().astype(wide)
            condition = np.linalg.cond(dense) if n else 1.0
            assert slogdet_ratio(F.slogdet(), np.linalg.slogdet(dense), n, condition, dtype=dtype) < THRESHOLD
            inverse = np.linalg.inv(dense)
            bound = THRESHOLD * max(n, 1) * eps * condition * np.abs(inverse).max(initial=0.0)
            assert (np.abs(F.inverse_diagonal() - np.diag(inverse)) <= bound).all(), (name, n)
            rows, columns = A.structure.coordinates()
            rows, columns = np.r_[rows, 0:n], np.r_[columns, np.zeros(n, int)]
            assert (np.abs(F.inverse_entries(rows, columns) - inverse[rows, columns]) <= bound).all(), (name, n)
            assert (np.abs(linalg.inv(A, assume_a="pos") - inverse) <= bound).all(), (name, n)


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_grams_of_the_zoo(dtype):
    """A^H A of every square matrix of the zoo, shifted by what rounding may have taken."""
    solved = 0
    for case in zoo(sizes=(1, 2, 3, 10, 50), dtypes=[dtype]):
        A = case.matrix
        if not A.structure.is_square or case.tags & {"huge", "tiny"} or A.nnz == 0:
            continue
        gram = A.H @ A
        gram = (gram + gram.H) * 0.5
        n = A.shape[0]
        size = linalg.norm(gram, 1) * n * 1e-15
        if not 0 < size < np.inf:
            continue
        B = gram + StridiagMatrix.from_diagonals({0: size}, shape=n)
        F = B.factor(method="cholesky")
        b = B @ np.linspace(-1, 1, n)
        assert solve_ratio(B, F.solve(b), b) < THRESHOLD, case.name
        solved += 1
    assert solved > 100


@pytest.mark.parametrize("n", [1, 2, 3, 1000, 1_000_000])
def test_closed_forms_of_the_second_difference(n):
    A = StridiagMatrix.from_diagonals({0: 2.0, **({-1: -1.0, 1: -1.0} if n > 1 else {})}, shape=n)
    F = A.factor(method="cholesky")
    sign, log = F.slogdet()
    assert sign == 1.0
    # The componentwise condition of the determinant, the sum of all |a_ij| |z_ij|, is 2/3 n^2.
    assert abs(log - np.log(n + 1.0)) <= 2.3e-16 * n * (n + 2)
    i = np.arange(1, n + 1)
    np.testing.assert_allclose(F.inverse_diagonal(), i * (n + 1 - i) / (n + 1), rtol=2.3e-16 * (n * n + 5))
    b = np.random.default_rng(0).standard_normal(n)
    with np.errstate(all="raise"):
        assert solve_ratio(A, F.solve(b), b) < 1.0


@pytest.mark.parametrize("n", [5, 64, 501])
@pytest.mark.parametrize("main", [2.0, 2.5, 100.0])
def test_determinants_of_toeplitz_matrices(n, main):
    A = closed_forms.toeplitz(n, -1.0, main, -1.0)
    sign, log = linalg.slogdet(A, assume_a="pos")
    assert (sign, log) == (1.0, pytest.approx(closed_forms.toeplitz_slogdet(n, -1.0, main, -1.0)[1], rel=1e-14))


def test_a_long_cable_with_links_and_a_tree():
    rng = np.random.default_rng(1)
    for structure in (
        symmetric(100_000, random_pairs(100_000, 100, rng), (-1, 0, 1)),
        symmetric(30_000, [(v, int(rng.integers(0, v))) for v in range(1, 30_000)]),
    ):
        A = hermitian(structure, rng, "float64", excess=1e-3)
        b = rng.standard_normal((A.shape[0], 2))
        F = A.factor(method="cholesky")
        assert solve_ratio(A, F.solve(b), b) < 1.0
        some = rng.integers(0, A.shape[0], 20)
        expected = [F.solve(np.eye(1, A.shape[0], k)[0])[k] for k in some]
        np.testing.assert_allclose(F.inverse_diagonal()[some], expected, rtol=1e-8)


@pytest.mark.parametrize("power", [-300, 290])
def test_the_ends_of_the_exponent_range(power):
    rng = np.random.default_rng(2)
    for name in ("chain", "cable"):
        A = hermitian(dict(structures(20, rng))[name], rng, "float64")
        F, G = A.factor(method="cholesky"), (A * 2.0**power * 2.0**power).factor(method="cholesky")
        b = rng.standard_normal(20)
        np.testing.assert_allclose(G.solve(b * 2.0 ** (2 * power)), F.solve(b), rtol=1e-13)
        np.testing.assert_allclose(G.slogdet().logabsdet, F.slogdet().logabsdet + 40 * power * np.log(2))


# ---------------------------------------------------------------------- refusals


def first_failure(matrix, order):
    """Return the row with which the leading block, in this order, stops being positive definite."""
    for k in range(1, len(order) + 1):
        if np.linalg.eigvalsh(matrix[np.ix_(order[:k], order[:k])])[0] <= 1e-13:
            return int(order[k - 1])
    return None


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("n", [1, 2, 3, 10, 51])
def test_indefinite_matrices_are_refused_with_the_row(n, dtype):
    rng = np.random.default_rng(n)
    refused = 0
    for name, structure in structures(n, rng):
        good = hermitian(structure, rng, dtype)
        rows, columns = structure.coordinates()
        for bad in {0, n // 2, n - 1}:
            values = good.values.copy()
            values[(rows == bad) & (columns == bad)] *= -1
            A = good.with_values(values)
            with pytest.raises(NotPositiveDefiniteError, match=f"the pivot of row {bad} is not positive") as caught:
                A.factor(method="cholesky")
            assert caught.value.row == bad
            assert isinstance(caught.value, np.linalg.LinAlgError)
        shifted = good.with_values(np.where(rows == columns, 0.3 * good.values, good.values))
        order = stridiag.plan(structure, method="cholesky").layout.order
        assert sorted(order) == list(range(n)), name
        row = first_failure(shifted.toarray(), order)
        if row is not None:
            with pytest.raises(NotPositiveDefiniteError) as caught:
                shifted.factor(method="cholesky")
            assert caught.value.row == row, name
            refused += 1
    assert refused > 3 or n < 3


@pytest.mark.parametrize("n", [2, 3, 8, 9])
def test_semidefinite_matrices_with_exact_pivots_are_refused(n):
    """Laplacians of graphs without a grounded vertex: the last pivot is zero, exactly on trees."""
    ends = np.r_[1.0, np.full(n - 2, 2.0), 1.0]
    A = StridiagMatrix.from_diagonals({0: ends, 1: -1.0, -1: -1.0}, shape=n)
    order = stridiag.plan(A.structure, method="cholesky").layout.order
    with pytest.raises(NotPositiveDefiniteError) as caught:
        A.factor(method="cholesky")
    assert caught.value.row == order[-1]
    star = symmetric(n, [(0, v) for v in range(1, n)])
    rows, columns = star.coordinates()
    values = np.where(rows != columns, -1.0, np.where(rows == 0, n - 1.0, 1.0))
    with pytest.raises(NotPositiveDefiniteError) as caught:
        StridiagMatrix(star, values).factor(method="cholesky")
    assert caught.value.row == stridiag.plan(star, method="cholesky").layout.order[-1]


def test_a_row_without_a_diagonal_entry_has_no_pivot():
    for structure in (Structure(3, (-1, 1)), Structure(3, (), ([0, 1, 2, 0], [0, 2, 1, 0]))):
        with pytest.raises(NotPositiveDefiniteError):
            StridiagMatrix(structure, np.ones(structure.nnz)).factor(method="cholesky")


@pytest.mark.parametrize("links", [[], [(0, 5)]])
def test_values_that_do_not_mirror_are_refused(links):
    A = hermitian(symmetric(9, links, (-1, 0, 1)), np.random.default_rng(0), "complex128")
    values = A.values.copy()
    values[A.structure.slots([3, 6], [4, 7])] *= 1 + 2.0**-52
    with pytest.raises(
        NotHermitianError, match=r"entries \(4, 3\) and \(3, 4\) are not conjugate, .* \(2 such"
    ) as caught:
        A.with_values(values).factor(method="cholesky")
    assert (caught.value.row, caught.value.column) == (4, 3)
    A.with_values(values).factor()
    B = A.with_values(values)
    ((B + B.H) * 0.5).factor(method="cholesky")
    values = A.values.copy()
    values[A.structure.slots([2], [2])] += 1e-300j
    with pytest.raises(NotHermitianError, match=r"entry \(2, 2\) is not real"):
        A.with_values(values).factor(method="cholesky")
    real = A.with_values(A.values.real * 3)
    values = real.values.copy()
    values[A.structure.slots([1], [0])] = 7
    with pytest.raises(NotHermitianError, match=r"entries \(1, 0\) and \(0, 1\) are not equal"):
        real.with_values(values).factor(method="cholesky")


@pytest.mark.parametrize(
    ("structure", "entry"),
    [
        (Structure(5, (-1, 0, 2)), (0, 2)),
        (Structure(5, (0, 1)), (0, 1)),
        (Structure(5, (0,), ([3], [2])), (3, 2)),
        (Structure(5, (-1, 0), ([0, 1, 2], [1, 2, 3])), (4, 3)),
        (Structure(9, (-1, 0, 1), ([0, 8, 2], [8, 0, 6])), (2, 6)),
    ],
)
def test_patterns_that_are_not_symmetric_are_refused(structure, entry):
    i, j = entry
    with pytest.raises(stridiag.StructureError, match=rf"entry \({i}, {j}\) is stored and \({j}, {i}\) is not"):
        stridiag.plan(structure, method="cholesky")


def test_a_diagonal_above_may_be_mirrored_by_links():
    structure = Structure(5, (0, 1), (range(1, 5), range(4)))
    A = hermitian(structure, np.random.default_rng(0), "float64")
    np.testing.assert_allclose(A.factor(method="cholesky").reconstruct(), A.toarray(), atol=1e-15)


def test_members_of_a_batch_are_named():
    A = hermitian(symmetric(6, [(0, 4)], (-1, 0, 1)), np.random.default_rng(0), "float64")
    values = np.broadcast_to(A.values, (2, 3, A.nnz)).copy()
    batch = A.with_values(values)
    b = np.arange(6.0)
    np.testing.assert_allclose(batch.factor(method="cholesky").solve(b[:, None])[1, 2, :, 0], linalg.solve(A, b))
    values[1, 0] *= -1
    with pytest.raises(NotPositiveDefiniteError, match=r"\[matrix \(1, 0\)\]") as caught:
        A.with_values(values).factor(method="cholesky")
    assert caught.value.member == (1, 0)
    values[1, 0, 0] += 1
    with pytest.raises(NotHermitianError, match=r"\[matrix \(1, 0\)\]") as broken:
        A.with_values(values).factor(method="cholesky")
    for error in (caught.value, broken.value):
        copy = pickle.loads(pickle.dumps(error))
        assert (str(copy), copy.row, copy.member) == (str(error), error.row, (1, 0))


def test_fill_beyond_the_limit_is_refused_before_any_number(monkeypatch):
    structure = symmetric(300, random_pairs(300, 600, np.random.default_rng(0)), (-1, 0, 1))
    assert planning.cholesky_layout(structure).cost.bytes > 100_000
    monkeypatch.setattr(planning, "MAX_FILL_BYTES", 100_000)
    with pytest.raises(stridiag.SizeLimitError, match="the limit is 100000 bytes"):
        planning.cholesky_layout(structure)


# ---------------------------------------------------------------------- ways to ask for it


def test_it_is_only_taken_when_asked_for():
    A = closed_forms.toeplitz(50, -1.0, 2.0, -1.0)
    assert stridiag.plan(A.structure).method == "chain"
    assert "cholesky" not in stridiag.plan(A.structure).alternatives
    P = stridiag.plan(A.structure, method="cholesky")
    assert P.method == "cholesky"
    assert "L D L^H of 1 chain, from both ends" in str(P)
    assert "chain" in P.alternatives
    assert A.factor(method="cholesky").method == "Cholesky (L D L^H) of chains"


def test_assume_a():
    A = hermitian(symmetric(40, [(3, 30)], (-1, 0, 1)), np.random.default_rng(0), "float32")
    b = np.arange(40.0)
    np.testing.assert_allclose(linalg.solve(A, b, assume_a="pos"), linalg.solve(A, b), rtol=1e-12)
    assert linalg.solve(A, b, assume_a="pos").dtype == np.float64
    assert linalg.slogdet(A, assume_a="pos").sign == 1
    assert linalg.det(A, assume_a="pos") == pytest.approx(linalg.det(A), rel=1e-4)
    for function in (
        lambda **o: linalg.solve(A, b, **o),
        *(lambda f=f, **o: f(A, **o) for f in (linalg.inv, linalg.det)),
    ):
        with pytest.raises(ValueError, match="assume_a must be one of 'gen', 'pos', got 'sym'"):
            function(assume_a="sym")
    with pytest.raises(NotPositiveDefiniteError):
        linalg.solve(-A, b, assume_a="pos")


def test_refactoring_keeps_the_plan_and_factors_survive_pickling():
    A = hermitian(symmetric(60, [(3, 30), (7, 50)], (-1, 0, 1)), np.random.default_rng(0), "float64")
    F = A.factor(method="cholesky")
    b = np.arange(60.0)
    before = F.solve(b)
    G = F.refactor(2 * A.values)
    assert G.plan is F.plan
    np.testing.assert_array_equal(G.solve(b), before / 2)
    np.testing.assert_array_equal(F.solve(b), before)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(F)).solve(b), before)
    assert F.nbytes == F.plan.bytes
    assert not F.singular
