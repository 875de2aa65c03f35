"""Normal vectors of a given covariance: the linear maps exactly, the draws within a derived bound."""

import numpy as np
import pytest

import stridiag
from stridiag import StridiagMatrix, Structure

DTYPES = ("float32", "float64", "complex64", "complex128")


def positive_definite(kind, dtype, n=12):
    rng = np.random.default_rng(3)
    links = ([0, 7], [7, 0]) if kind == "links" else None
    structure = Structure(n, (-2, 0, 2), links)
    rows, columns = structure.coordinates()
    values = rng.standard_normal(structure.nnz)
    if dtype[0] == "c":
        values = values + 1j * rng.standard_normal(structure.nnz)
    values = np.where(rows > columns, values, values[structure.slots(columns, rows)].conj())
    return StridiagMatrix(structure, np.where(rows == columns, 5.0, values).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["chain", "links"])
def test_the_maps_are_roots_of_the_matrix_and_of_its_inverse(kind, dtype):
    A = positive_definite(kind, dtype)
    F = A.factor(method="cholesky")
    n, eps = 12, np.finfo(dtype).eps
    dense, one = A.toarray(), np.eye(12, dtype=dtype)
    C = F.colorize(one).T
    assert C.dtype == dtype
    np.testing.assert_allclose(C @ C.conj().T, dense, atol=10 * n * eps)
    G = F.colorize(one, precision=True).T
    np.testing.assert_allclose(G @ G.conj().T, np.linalg.inv(dense), atol=10 * n * eps)
    np.testing.assert_allclose(F.whiten(one).T, G.conj().T, atol=10 * n * eps)
    np.testing.assert_allclose(F.whiten(one, precision=True).T, C.conj().T, atol=10 * n * eps)
    np.testing.assert_allclose(F.whiten(C.T), one, atol=10 * n * eps)
    np.testing.assert_allclose(F.whiten(G.T, precision=True), one, atol=10 * n * eps)


@pytest.mark.parametrize("precision", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("kind", ["chain", "links"])
def test_sample_covariances_are_near_the_matrix(kind, dtype, precision):
    A = positive_definite(kind, dtype)
    count = 40_000
    x = A.factor(method="cholesky").sample(count, rng=7, precision=precision)
    expected = np.linalg.inv(A.toarray()) if precision else A.toarray()
    found = x.T @ x.conj() / count
    # Entry (i, j) of the sample covariance has the variance (s_ii s_jj + |s_ij|^2) / count for real numbers and
    # s_ii s_jj / count for circular complex ones: 6 standard deviations, for 144 entries.
    size = np.diag(expected).real
    deviation = np.sqrt(np.outer(size, size) * (1 if dtype[0] == "c" else 2) / count)
    assert (np.abs(found - expected) < 6 * deviation).all()
    assert (np.abs(x.mean(axis=0)) < 6 * np.sqrt(size / count)).all()
    if dtype[0] == "c":
        assert (np.abs(x.T @ x / count) < 6 * np.sqrt(2) * deviation).all()


def test_shapes_follow_scipy_and_batches_come_before_the_last_axis():
    A = positive_definite("links", "float64")
    F = A.factor(method="cholesky")
    assert F.sample(rng=0).shape == (12,)
    assert F.sample((), rng=0).shape == (12,)
    assert F.sample(4, rng=0).shape == (4, 12)
    assert F.sample((2, 3), rng=0).shape == (2, 3, 12)
    assert F.sample(0, rng=0).shape == (0, 12)
    np.testing.assert_array_equal(F.sample(4, rng=0), F.sample(4, rng=np.random.default_rng(0)))
    assert not np.array_equal(F.sample(), F.sample())
    batch = A.with_values(np.stack([A.values, 4 * A.values])).factor(method="cholesky")
    x = batch.sample((5, 3), rng=1)
    assert x.shape == (5, 3, 2, 12)
    z = np.random.default_rng(0).standard_normal((5, 1, 12))
    colored = batch.colorize(z)
    assert colored.shape == (5, 2, 12)
    np.testing.assert_allclose(colored[:, 0], F.colorize(z[:, 0]))
    np.testing.assert_allclose(colored[:, 1], 2 * F.colorize(z[:, 0]))
    np.testing.assert_allclose(batch.whiten(colored), np.broadcast_to(z, (5, 2, 12)), atol=1e-14)
    np.testing.assert_array_equal(z, np.random.default_rng(0).standard_normal((5, 1, 12)))


def test_complex_points_of_a_real_matrix_and_types():
    F = positive_definite("chain", "float32").factor(method="cholesky")
    assert F.sample(2, rng=0).dtype == np.float32
    z = np.arange(12) + 1j
    result = F.colorize(z)
    np.testing.assert_allclose(result, F.colorize(z.real) + 1j * F.colorize(z.imag))
    assert StridiagMatrix(Structure(0), []).factor(method="cholesky").sample(3, rng=0).shape == (3, 0)


@pytest.mark.parametrize("power", [-1001, 1000, 1015])
def test_the_ends_of_the_exponent_range(power):
    A = positive_definite("links", "float64")
    F, G = A.factor(method="cholesky"), (A * 2.0**power).factor(method="cholesky")
    z = np.arange(12.0)
    root = 2.0 ** (power / 2)
    for precision, scale in ((False, root), (True, 1 / root)):
        expected = F.colorize(z, precision=precision)
        np.testing.assert_allclose(G.colorize(z, precision=precision) / scale, expected, rtol=1e-13)
        np.testing.assert_allclose(G.whiten(expected * scale, precision=precision), z, atol=1e-12)


def test_bad_input_is_refused():
    A = positive_definite("links", "float64")
    F = A.factor(method="cholesky")
    with pytest.raises(ValueError, match=r"points must have shape \(\.\.\., 12\), got \(12, 3\)"):
        F.colorize(np.ones((12, 3)))
    with pytest.raises(ValueError, match=r"got \(\)"):
        F.whiten(1.0)
    with pytest.raises(stridiag.NonFiniteError, match="points must be finite"):
        F.colorize([np.nan] * 12)
    for function in (lambda G: G.sample(rng=0), lambda G: G.colorize(np.ones(12)), lambda G: G.whiten(np.ones(12))):
        with pytest.raises(
            ValueError, match=r"needs the factor of .* A\.factor\(method='cholesky'\), got one of method"
        ):
            function(A.factor())
