"""Bands: every way to factor one over the zoo, where numbers grow, and where they fail."""

import numpy as np
import pytest

import stridiag
from stridiag import SingularMatrixError, StridiagMatrix, Structure
from stridiag._kernels import band_lu, narrow_band
from stridiag.factorization import band as factorization
from stridiag.factorization import multiply_out
from stridiag.factorization.band import BandLU, factor_band
from stridiag.factorization.guard import Check
from stridiag.factorization.sparse_qr import SparseQR
from stridiag.planning import band as planning
from stridiag.planning.band import BandLayout
from stridiag.testing import THRESHOLD, factor_ratio, plain_twin, slogdet_ratio, solve_ratio, zoo

DTYPES = ("float32", "float64", "complex64", "complex128")


def band_of(n, kl, ku, dtype, seed=0):
    rng = np.random.default_rng(seed)
    S = Structure(n, range(-min(kl, n - 1), min(ku, n - 1) + 1))
    values = rng.standard_normal(S.nnz) + (1j * rng.standard_normal(S.nnz) if dtype.startswith("c") else 0)
    return StridiagMatrix(S, values.astype(dtype))


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("way", ["compiled", "lapack", "rotations"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_zoo_by_every_way(way, dtype, monkeypatch):
    if way != "compiled":
        monkeypatch.setattr(planning, "STABLE_WIDTH", -1)
        monkeypatch.setattr(planning, "COMPILED_WIDTH", -1)
    if way == "rotations":
        monkeypatch.setattr(factorization, "TAME_GROWTH", -1.0)
        monkeypatch.setattr(factorization, "MILD_GROWTH", -1.0)
        monkeypatch.setattr(factorization, "check_solves", lambda *_: Check(1.0, 1.0, 0.0, 1e16, 0))
    rng = np.random.default_rng(0)
    failures, solved = [], 0
    for case in zoo(sizes=(1, 2, 5, 10, 50) if way == "compiled" else (3, 10), dtypes=[dtype]):
        A, n = case.matrix, case.matrix.shape[0]
        if not A.structure.is_square or (way == "rotations" and not A.values.any()):
            continue
        D = factor_band(BandLayout.build(A.structure), A.values / max(np.abs(A.values).max(initial=0.0), 1e-37))
        assert D.name == ("sparse QR by rotations" if way == "rotations" else "banded LU with partial pivoting")
        A = A.with_values(A.values / max(np.abs(A.values).max(initial=0.0), 1e-37))
        if n <= 10:
            product = D.multiply(np.eye(n, dtype=dtype))
            failures += [(case.name, "multiply")] if not factor_ratio(A, product) < THRESHOLD else []
            product = multiply_out(D.factors(), np.eye(n, dtype=dtype))
            failures += [(case.name, "factors")] if not factor_ratio(A, product) < THRESHOLD else []
        if D.singularity is not None or case.tags & {"singular"}:
            continue
        for trans, op in (("N", A), ("H", A.H)):
            for m in (1, 3):
                b = op @ rng.standard_normal((n, m)).astype(dtype)
                x = D.solve(b.copy(), adjoint=trans == "H")
                solved += 1
                if not solve_ratio(A, x, b, trans) < THRESHOLD and "ill-conditioned" not in case.tags:
                    failures.append((case.name, trans, m))
    assert solved > 100
    assert not failures


# Each pair of widths and each type would be compiled anew, in ten seconds: most run as plain Python.
@pytest.mark.parametrize(
    ("kl", "ku", "dtype", "compiled"),
    [(1, 2, "complex128", True), (1, 2, "float32", False), (2, 3, "float64", False), (2, 3, "complex128", False)],
)
def test_kernels_in_registers_do_what_the_plain_ones_do(kl, ku, dtype, compiled):
    kernels = narrow_band.factor, narrow_band.solve, band_lu.factor, band_lu.solve
    factor, solve, plain_factor, plain_solve = kernels if compiled else map(plain_twin, kernels)
    for n in (1, 2, 3, 4, 7, 60):
        A = band_of(n, kl, ku, dtype, seed=n)
        rows = np.zeros((n, kl + ku + 1), dtype)
        for k in A.structure.offsets:
            first = max(-k, 0)
            part = A.diagonal(k)
            rows[first : first + part.size, kl + k] = part
        if n > 1:
            rows[: n // 2, kl] = 0
        results = []
        for narrow in (False, True):
            factors = rows.copy(), np.zeros((n, kl), dtype), np.zeros(n, np.uint8)
            x = np.linspace(1, 2, n).astype(dtype)[:, None]
            if narrow:
                info = factor(*factors, (0,) * kl, (0,) * (kl + ku))
                if info < 0:
                    solve(*factors, x, (0,) * kl, (0,) * (kl + ku))
            else:
                info = plain_factor(*factors, 0, -1)
                if info < 0:
                    plain_solve(*factors, x)
            results.append((info, factors, x))
        (info, plain, x), (other, narrow, y) = results
        assert info == other
        for one, two in zip(plain, narrow, strict=True):
            np.testing.assert_allclose(one, two, rtol=0, atol=20 * np.finfo(dtype).eps)
        if info < 0:
            np.testing.assert_allclose(x, y, rtol=1e4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("offsets", [(-3, 0, 2), (-4, 0, 6)])
def test_long_bands_take_the_kernels_in_registers(offsets):
    n = 12_001
    A = stridiag.random(n, offsets, 0, rng=0)
    D = BandLU(BandLayout.build(A.structure), A.values)
    assert D._widths is not None
    for m in (1, 2):
        b = np.ones((n, m))
        for trans in "NH":
            assert solve_ratio(A, D.solve(b.copy(), adjoint=trans == "H"), b, trans) < THRESHOLD


@pytest.mark.parametrize(
    "offsets", [(-2, -1, 0, 1), (-3, -2, -1, 0, 1, 2, 3, 4), (-6, -1, 0, 1, 7), (-60, -1, 0, 1, 70)]
)
@pytest.mark.parametrize("kind", ["constant", "signs", "signs and zeros"])
def test_families_on_which_elimination_lets_numbers_grow(offsets, kind):
    n = 300
    rng = np.random.default_rng(5)
    for links in (None, ([200, 30], [190, 35])):
        S = Structure(n, offsets, links)
        if kind == "constant":
            values = np.concatenate(
                [np.full(n - abs(k), {-1: -0.9, 0: 0.99, 1: 1.0}.get(k, -0.7)) for k in offsets]
                + [np.full(S.link_count, 2.0)]
            )
        else:
            values = rng.choice([-1.0, 1.0] if kind == "signs" else [-1.0, 0.0, 1.0], S.nnz)
        A = StridiagMatrix(S, values)
        F = A.factor(method="band")
        assert factor_ratio(A, F.reconstruct()) < THRESHOLD
        if not F.singular and F.rcond > 1e-15:
            b = A @ rng.standard_normal(n)
            assert solve_ratio(A, F.solve(b), b) < THRESHOLD


def test_growth_beyond_the_mild_is_found_and_answered_by_rotations():
    # Wilkinson's matrix: 1 on the diagonal, -1 below it, the last column 1. The last pivot is 2^(n-1).
    n = 64
    rows, columns = np.tril_indices(n, -1)
    dense = np.eye(n)
    dense[rows, columns] = -1.0
    dense[:, -1] = 1.0
    A = StridiagMatrix.from_dense(dense)
    forwards = BandLayout(A.structure, 1, None, False, n - 1, n - 1)
    lu = BandLU(forwards, A.values)
    assert lu.largest > 1e18
    D = factor_band(forwards, A.values)
    assert D.name == SparseQR.name
    b = np.linspace(-1.0, 1.0, n)[:, None] / 3
    assert solve_ratio(A, D.solve(b.copy()), b) < THRESHOLD


@pytest.mark.parametrize("dtype", DTYPES)
def test_determinants_and_diagonals_of_inverses(dtype):
    eps = np.finfo(dtype).eps
    for n, kl, ku in ((1, 0, 0), (2, 1, 1), (9, 2, 3), (40, 3, 2), (40, 5, 7), (60, 49, 50), (30, 1, 29)):
        A = band_of(n, kl, ku, dtype, seed=n)
        F = A.factor(method="band")
        wide = A.toarray().astype(np.result_type(dtype, "float64"))
        condition = np.linalg.cond(wide)
        assert slogdet_ratio(F.slogdet(), np.linalg.slogdet(wide), n, condition, dtype=dtype) < THRESHOLD
        inverse = np.linalg.inv(wide)
        error = np.abs(F.inverse_diagonal() - np.diag(inverse)).max()
        assert error < 10 * eps * condition * np.abs(inverse).max()


@pytest.mark.parametrize("widths", [(2, 3), (8, 9), (50, 50)])
@pytest.mark.parametrize("place", [0, 40, 119])
def test_a_zero_column_is_singular_at_its_own_row(widths, place):
    A = band_of(120, *widths, "float64")
    _, columns = A.structure.coordinates()
    F = A.with_values(np.where(columns == place, 0.0, A.values)).factor(method="band")
    assert F.singular
    assert F.slogdet() == (0.0, -np.inf)
    with pytest.raises(SingularMatrixError):
        F.solve(np.ones(120))


def test_a_zero_pivot_names_an_original_row_in_every_order():
    for offsets in ((-3, 0, 2), (-6, 0, 4), (-2, 0, 3)):
        d = np.where(np.arange(30) == 7, 0.0, 2.0)
        A = StridiagMatrix.from_diagonals({k: d if k == 0 else np.zeros(30 - abs(k)) for k in offsets})
        D = BandLU(BandLayout.build(A.structure), A.values)
        assert D.singularity.row == 7


def test_nothing_at_all():
    F = StridiagMatrix(Structure(0), np.zeros(0)).factor(method="band")
    assert F.solve(np.zeros(0)).shape == (0,)
    assert F.slogdet() == (1.0, 0.0)
    assert F.factors() == []
    assert band_of(60, 49, 50, "float64").factor(method="band").solve(np.zeros((60, 0))).shape == (60, 0)
