"""Condensed bands by themselves: every shape of segment, growth, singular matrices, extremes of the exponent."""

import numpy as np
import pytest

import stridiag
from stridiag import SingularMatrixError, StridiagMatrix, Structure, linalg
from stridiag.factorization.band_condensation import BandCondensation
from stridiag.planning.band_condensation import BandCondensationLayout
from stridiag.planning.residue_band import ResidueBand
from stridiag.testing import THRESHOLD, factor_ratio, inverse_ratio, slogdet_ratio, solve_ratio, zoo

# Total widths 5, and 2 and 3 in double precision only: the main kernel is compiled for each width and type.
WIDE = ((-3, 0, 2), (-2, 0, 3), (-5, 0), (0, 1, 5), (-1, 0, 4))
NARROW = ((-1, 0, 2), (-3, -1, 0), (-1, 2), (-2, -1, 0), (-1, 0, 1))


def decompose(A, longest=512):
    return BandCondensation(BandCondensationLayout.build(ResidueBand.of(A.structure), longest=longest), A.values)


def wild(rng, dtype):
    """Return a matrix of random offsets, classes and links, in corners and in neighbouring places too."""
    g = int(rng.integers(1, 4))
    choice = WIDE + NARROW if dtype == "float64" else WIDE
    offsets = tuple(g * k for k in choice[rng.integers(len(choice))])
    n = int(rng.integers(max(map(abs, offsets)) + 1, 70))
    links = rng.integers(0, n, (2, int(rng.integers(0, n // 6 + 2))))
    if rng.random() < 0.3:
        links = np.concatenate((links, [[0, n - 1, n - 1], [n - 1, 0, n // 2]]), axis=1)
    structure = Structure(n, offsets, links)
    values = rng.standard_normal(structure.nnz)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.standard_normal(structure.nnz)
    return StridiagMatrix(structure, values.astype(dtype))


def linked(n, offsets, links, dtype="float64", seed=0):
    """Return a random matrix, diagonally dominant, with links at these places."""
    structure = Structure(n, offsets, links)
    values = np.random.default_rng(seed).standard_normal(structure.nnz)
    values[structure.diagonal_slots(0)] += 5.0
    return StridiagMatrix(structure, values.astype(dtype))


def worst_solve_ratio(F, A, b, adjoint):
    """Return the solve ratio with A, or with its adjoint."""
    op = A.H if adjoint else A
    return solve_ratio(op, F.solve(b.copy(), adjoint=adjoint), b)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_every_shape_of_segment(dtype):
    rng = np.random.default_rng(7)
    eps = np.finfo(dtype).eps
    checked = 0
    for _ in range(150):
        A = wild(rng, dtype)
        n = A.shape[0]
        band = ResidueBand.of(A.structure)
        if band is None:
            continue
        dense = A.toarray().astype("complex128")
        sigma = np.linalg.svd(dense, compute_uv=False)
        if sigma[-1] <= 1e3 * eps * sigma[0]:
            continue
        checked += 1
        F = decompose(A, max(band.width, int(rng.choice([1, 6, 512]))))
        assert F.singularity is None
        x = rng.standard_normal((n, 2)).astype(dtype)
        assert worst_solve_ratio(F, A, A @ x, adjoint=False) < THRESHOLD
        assert worst_solve_ratio(F, A, A.H @ x, adjoint=True) < THRESHOLD
        product = np.stack([F.multiply(column[:, None].copy())[:, 0] for column in np.eye(n, dtype=dtype)], axis=1)
        assert factor_ratio(A, product) < THRESHOLD
        condition = sigma[0] / sigma[-1]
        assert slogdet_ratio(F.slogdet(), np.linalg.slogdet(dense), n, condition, dtype=dtype) < THRESHOLD
        inverse = np.linalg.inv(dense)
        error = abs(F.inverse_diagonal() - inverse.diagonal()).max()
        assert error <= 10 * eps * condition * abs(inverse).max()
    assert checked > 90


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_simple_factors_multiply_to_the_matrix(dtype):
    rng = np.random.default_rng(3)
    for _ in range(40):
        A = wild(rng, dtype)
        if ResidueBand.of(A.structure) is None:
            continue
        product = np.eye(A.shape[0], dtype=dtype)
        for factor in reversed(decompose(A, 9).factors()):
            product = factor @ product
        assert factor_ratio(A, product) < THRESHOLD


def test_the_zoo_through_the_general_case():
    # Most of the zoo is tridiagonal: there the kernels do what those of the chains do.
    rng = np.random.default_rng(0)
    solved = 0
    for case in zoo(sizes=(1, 2, 3, 5, 10, 50, 333), dtypes=["float64"]):
        A = case.matrix
        if not A.structure.is_square or case.tags & {"huge", "tiny", "scaled"}:
            continue
        band = ResidueBand.of(A.structure)
        if band is None or band.width > 5 or band.width in (1, 4):
            continue
        F = decompose(A, 100)
        if F.singularity is not None:
            continue
        x = rng.standard_normal((A.shape[0], 2))
        for adjoint in (False, True):
            b = (A.H if adjoint else A) @ x
            y = F.solve(b.copy(), adjoint=adjoint)
            if np.isfinite(y).all() or not case.tags & {"singular", "ill-conditioned"}:
                solved += 1
                assert solve_ratio(A.H if adjoint else A, y, b) < THRESHOLD, case.name
    assert solved > 300


@pytest.mark.parametrize("offsets", [(-3, 2), (-2, 3), (-2, 1), (-1, 2)])
@pytest.mark.parametrize("coefficients", [(-0.9, 0.99, 1.0), (1.0, -1.0, -1.0), (1.0, 0.3, -1.0), (0.5, 2.0, 0.7)])
def test_constant_diagonals_with_links_show_no_growth(offsets, coefficients):
    n = 4000
    lower, upper = offsets
    sub, main, over = coefficients
    links = ([0, n - 1, n // 3, 5], [n - 1, 0, n // 2 + 7, n // 4], [1.0, 1.0, -2.0, 0.5])
    A = StridiagMatrix.from_diagonals({lower: sub, 0: main, upper: over}, links, shape=n)
    F = decompose(A)
    rng = np.random.default_rng(0)
    for adjoint in (False, True):
        op = A.H if adjoint else A
        for b in (rng.standard_normal((n, 1)), op @ np.ones((n, 1))):
            x = F.solve(b.copy(), adjoint=adjoint)
            error = abs(op @ x - b).max() / (linalg.norm(op, np.inf) * abs(x).max() + abs(b).max())
            assert error < 30 * np.finfo(float).eps


@pytest.mark.parametrize("values", ["signs", "thirds"])
def test_random_signs_show_no_growth(values):
    rng = np.random.default_rng(1)
    n = 3000
    structure = Structure(n, (-3, 0, 2), rng.integers(0, n, (2, 12)))
    A = StridiagMatrix(structure, rng.choice([-1.0, 1.0] if values == "signs" else [-1.0, 0.0, 1.0], structure.nnz))
    F = decompose(A)
    if F.singularity is None:
        x = rng.standard_normal((n, 2))
        for adjoint in (False, True):
            assert worst_solve_ratio(F, A, (A.H if adjoint else A) @ x, adjoint) < THRESHOLD


# ---------------------------------------------------------------------- singular


@pytest.mark.parametrize("line", ["row", "column"])
@pytest.mark.parametrize("place", [0, 33, 61, 199])
def test_a_zero_row_or_column_is_found(line, place):
    A = linked(200, (-3, 0, 2), ([61, 10], [120, 180]))
    index = A.structure.coordinates()[line == "column"]
    A = A.with_values(np.where(index == place, 0.0, A.values))
    F = A.factor(method="condensation")
    assert F.singular
    assert F.slogdet() == (0.0, -np.inf)
    with pytest.raises(SingularMatrixError) as caught:
        F.solve(np.ones(200))
    if line == "column":
        assert caught.value.column == place
    # The product of the factors is the matrix all the same.
    assert factor_ratio(A, F.reconstruct()) < THRESHOLD


def test_an_exactly_dependent_interior_column_is_named():
    # In class order column 33 of 60 is position 16 of the second class.
    structure = Structure(60, (-6, 0, 4), ([1], [58]))
    _, columns = structure.coordinates()
    values = np.random.default_rng(0).standard_normal(structure.nnz)
    F = decompose(StridiagMatrix(structure, np.where(columns == 33, 0.0, values)))
    assert F.singularity.column == 33
    assert F.singularity.row is None
    assert F.slogdet()[1] == -np.inf


def test_a_singular_segment_is_no_trouble():
    # Rows 20 ... 79 of the band alone are singular: their first columns are zero but for the links.
    n = 100
    A = linked(n, (-3, 0, 2), ([10, 90], [20, 50]))
    rows, columns = A.structure.coordinates()
    off = (columns == 20) & (rows != 10)
    A = A.with_values(np.where(off, 0.0, A.values))
    F = decompose(A)
    assert F.singularity is None
    b = A @ np.random.default_rng(0).standard_normal((n, 2))
    assert solve_ratio(A, F.solve(b.copy()), b) < THRESHOLD


# ---------------------------------------------------------------------- the ends of the exponent range


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("end", [-1, 1])
def test_the_ends_of_the_exponent_range(dtype, end):
    A = linked(60, (-3, 0, 2), ([30], [3]), dtype)
    x = np.linspace(-1.0, 1.0, 60).astype(dtype)
    power = 36 if dtype == "float32" else 300
    scaled = A * A.dtype.type(10.0 ** (end * power))
    F = scaled.factor(method="condensation")
    for trans, op in (("N", scaled), ("T", scaled.T), ("H", scaled.H)):
        assert solve_ratio(scaled, F.solve(op @ x, trans=trans), op @ x, trans) < THRESHOLD
    expected = A.factor(method="condensation").slogdet().logabsdet + 60 * end * power * np.log(10.0)
    assert abs(F.slogdet().logabsdet - expected) < 1e-5 * abs(expected)


@pytest.mark.parametrize(("dtype", "power"), [("float32", 25), ("float64", 200), ("complex64", 25)])
@pytest.mark.parametrize("end", [-1, 1])
def test_squares_that_overflow_or_vanish(dtype, power, end):
    # Within the range that is not scaled beforehand.
    A = linked(60, (-3, 0, 2), ([30], [3]), dtype)
    scaled = A * A.dtype.type(10.0 ** (end * power))
    F = decompose(scaled)
    x = np.linspace(-1.0, 1.0, 60).astype(dtype)[:, None]
    b = scaled @ x
    assert solve_ratio(scaled, F.solve(b.copy()), b) < THRESHOLD


def test_graded_columns():
    rng = np.random.default_rng(5)
    A = linked(120, (-2, 0, 1), ([60], [3]))
    _, columns = A.structure.coordinates()
    A = A.with_values(A.values * 10.0 ** np.linspace(-120, 120, 120)[columns])
    F = decompose(A)
    b = rng.standard_normal((120, 1))
    # Column scaling goes through a QR factorization unchanged: componentwise small residuals.
    x = F.solve(b.copy())
    assert np.isfinite(x).all()
    residual = abs(A @ x - b) / (abs(A.toarray()) @ abs(x) + abs(b))
    assert residual.max() < 1e-13


# ---------------------------------------------------------------------- through the plan


@pytest.mark.parametrize("offsets", [(-3, 0, 2), (-6, 0, 4), (-2, 0, 1)])
def test_the_factor_users_hold(offsets):
    n = 3000
    A = stridiag.random(n, offsets, 6, rng=0)
    F = A.factor()
    assert F.plan.method == "condensation"
    assert F.method == "orthogonal condensation of bands"
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 3))
    for trans, op in (("N", A), ("T", A.T), ("H", A.H)):
        assert solve_ratio(A, F.solve(op @ x, trans=trans), op @ x, trans) < THRESHOLD
    reference = A.factor(method="sparse-qr")
    np.testing.assert_allclose(F.slogdet(), reference.slogdet(), rtol=1e-9)
    small = stridiag.random(150, offsets, 2, rng=0)
    inverse = linalg.inv(small)
    assert inverse_ratio(small, inverse) < THRESHOLD
    diagonal = small.factor(method="condensation").inverse_diagonal()
    np.testing.assert_allclose(diagonal, inverse.diagonal(), rtol=1e-9, atol=1e-9 * abs(inverse).max())


def test_a_batch_and_a_refactorization():
    A = stridiag.random(400, (-3, 0, 2), 3, rng=0, dominant=True)
    B = A.with_values(np.stack([A.values, 2 * A.values]))
    F = B.factor(method="condensation")
    x = F.solve(np.ones(400))
    np.testing.assert_allclose(x[0], 2 * x[1], rtol=1e-13)
    np.testing.assert_array_equal(F.refactor(B.values[::-1]).solve(np.ones(400)), x[::-1])
