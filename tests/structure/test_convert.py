"""From dense and sparse matrices and back, without loss."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import stridiag
from stridiag import StridiagMatrix, StructureError, detect
from stridiag.testing.strategies import matrices

FORMATS = ["csr", "csc", "coo", "dia", "bsr", "lil", "dok"]
DTYPES = ["float32", "float64", "complex64", "complex128"]


def scattered(shape=(9, 7), dtype="float64", rng=0):
    generator = np.random.default_rng(rng)
    dense = generator.integers(-9, 10, shape) * (generator.random(shape) < 0.3)
    return (dense * (1 + 2j) if dtype.startswith("c") else dense).astype(dtype)


# ---------------------------------------------------------------------- round trips


@given(matrices())
def test_dense_round_trip(A):
    dense = A.toarray()
    B = StridiagMatrix.from_dense(dense)
    assert B.dtype == A.dtype
    assert np.array_equal(B.toarray(), dense)
    # With the offsets given, a matrix without stored zeros comes back as it was.
    C = StridiagMatrix.from_dense(dense, offsets=A.offsets)
    assert np.array_equal(C.toarray(), dense)
    assert C.offsets == A.offsets
    if (A.values != 0).all():
        assert C.equals(A)


@given(matrices(), st.sampled_from(FORMATS))
def test_scipy_round_trip_keeps_stored_zeros(A, format):
    S = A.to_scipy(format)
    assert S.format == format
    assert S.dtype == A.dtype
    assert np.array_equal(S.toarray(), A.toarray())
    B = StridiagMatrix.from_scipy(S, offsets=A.offsets)
    if format in ("dia", "bsr"):
        # These two formats store whole diagonals and whole blocks: more zeros may come, none may go.
        assert np.array_equal(B.toarray(), A.toarray())
        assert (B.structure.slots(*A.structure.coordinates()) >= 0).all()
    else:
        assert B.equals(A)


@pytest.mark.parametrize("container", ["array", "matrix"])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_scipy_format(format, container, dtype):
    dense = scattered(dtype=dtype)
    S = getattr(sp, f"{format}_{container}")(dense)
    before = S.copy()
    for A in (StridiagMatrix.from_scipy(S), StridiagMatrix.from_scipy(S, offsets=(1, -4))):
        assert A.dtype == dtype
        assert A.shape == S.shape
        assert np.array_equal(A.toarray(), dense)
    assert A.offsets == (-4, 1)
    assert np.array_equal(S.toarray(), before.toarray()), "the argument is left alone"


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, bool])
def test_integers_become_float64(dtype):
    dense = abs(scattered()).astype(dtype)
    for A in (StridiagMatrix.from_scipy(sp.csr_array(dense)), StridiagMatrix.from_dense(dense)):
        assert A.dtype == np.float64
        assert np.array_equal(A.toarray(), dense.astype(float))


def test_stored_zeros_of_sparse_matrices():
    stored = ([1.0, 0.0, 0.0, 2.0], ([0, 1, 4, 2], [0, 1, 0, 3]))
    for kind in (sp.coo_array, sp.csr_array, sp.csc_array):
        A = StridiagMatrix.from_scipy(kind(stored, shape=(5, 5)), offsets=())
        assert A.structure.link_rows.tolist() == [0, 1, 2, 4], kind
        assert A.nnz == 4
    # A diagonal of zeros that a DIA array stores is still a diagonal.
    D = sp.dia_array((np.array([[1.0, 2, 3, 4], [0, 0, 0, 0]]), [0, 2]), shape=(4, 4))
    assert StridiagMatrix.from_scipy(D).offsets == (0, 2)
    # Rows of DIA data may be shorter or longer than the matrix.
    for width in (2, 4, 7):
        D = sp.dia_array((np.ones((2, width)), [-1, 1]), shape=(3, 4))
        assert np.array_equal(StridiagMatrix.from_scipy(D).toarray(), D.toarray()), width


def test_duplicates_add_up():
    S = sp.coo_array(([1.0, 2.0, 4.0, -4.0], ([0, 0, 3, 3], [2, 2, 0, 0])), shape=(4, 4))
    A = StridiagMatrix.from_scipy(S)
    assert A[0, 2] == 3
    assert A[3, 0] == 0
    assert A.nnz == A.structure.nnz
    assert S.nnz == 4, "the argument is left alone"
    twice = sp.csr_array(([1.0, 2.0], [1, 1], [0, 2, 2]), shape=(2, 2))
    assert StridiagMatrix.from_scipy(twice)[0, 1] == 3


def test_nan_and_infinity_are_entries():
    dense = np.array([[1.0, np.nan, 0], [0, 1, 0], [np.inf, 0, 1]])
    for given_matrix in (dense, sp.csr_array(dense)):
        A = StridiagMatrix.from_dense(dense) if given_matrix is dense else StridiagMatrix.from_scipy(given_matrix)
        assert np.array_equal(A.toarray(), dense, equal_nan=True)


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (0, 4), (4, 0), (1, 5), (5, 1), (3, 3)])
def test_matrices_of_zeros(shape):
    for A in (StridiagMatrix.from_dense(np.zeros(shape)), StridiagMatrix.from_scipy(sp.csr_array(shape))):
        assert A.shape == shape
        assert A.nnz == 0
        assert np.array_equal(A.toarray(), np.zeros(shape))


@pytest.mark.parametrize("layout", ["C", "F", "strided", "transposed", "list", "big-endian", "read-only"])
def test_layouts_of_dense_input(layout):
    dense = scattered((6, 8))
    forms = {
        "C": dense,
        "F": np.asfortranarray(dense),
        "strided": np.repeat(dense, 3, axis=1)[:, ::3],
        "transposed": dense.T.copy().T,
        "list": dense.tolist(),
        "big-endian": dense.astype(">f8"),
        "read-only": np.frombuffer(dense.tobytes()).reshape(dense.shape),
    }
    assert np.array_equal(StridiagMatrix.from_dense(forms[layout]).toarray(), dense)


def test_to_scipy_cannot_change_the_matrix():
    A = stridiag.random(6, rng=0)
    before = A.values.copy()
    for format in FORMATS:
        S = A.to_scipy(format)
        try:
            S *= 2
        except ValueError as error:
            assert "read-only" in str(error)  # noqa: PT017 - either way is fine, only a change is not
    assert np.array_equal(A.values, before)


def test_refusals():
    batch = StridiagMatrix(stridiag.Structure(3), np.ones((2, 3)))
    with pytest.raises(StructureError, match=r"to_scipy takes a single matrix, got a batch of shape \(2,\)"):
        batch.to_scipy()
    with pytest.raises(StructureError, match=r"detect takes a single matrix, got a batch of shape \(2,\)"):
        detect(batch)
    for bad in (np.ones(3), np.ones((2, 2, 2)), sp.coo_array(np.ones(3))):
        with pytest.raises(StructureError, match=r"two axes, got shape \("):
            detect(bad)
    for bad in (np.array([["a"]]), sp.csr_array(np.ones((2, 2), np.longdouble)), np.array([[object()]])):
        with pytest.raises(TypeError, match=r"the matrix must hold float32.*got dtype"):
            detect(bad)
    with pytest.raises(ValueError, match="nonsense"):
        stridiag.random(3, rng=0).to_scipy("nonsense")


# ---------------------------------------------------------------------- detect


def test_detect_counts():
    n = 20
    dense = 2 * np.eye(n) + np.eye(n, k=5) + np.eye(n, k=-3)
    dense[3, 5 + 3] = 0  # one hole: padding
    dense[0, n - 1] = dense[n - 1, 0] = dense[7, 9] = 4  # links, two of them in corners
    found = detect(dense)
    assert found.offsets == found.matrix.offsets == (-3, 0, 5)
    on, links = 20 + 14 + 17, 3
    assert found.links == found.matrix.structure.link_count == links
    assert found.coverage == on / (on + links)
    assert found.padding == 1
    assert found.matrix.nnz == on + links + found.padding
    assert str(found) == "offsets (-3, 0, 5) hold 94.4% of the nonzeros; 3 links; 1 zeros of padding"


@pytest.mark.parametrize("n", [10, 60])
@pytest.mark.parametrize("p", [1, 4])
@pytest.mark.parametrize("q", [1, 3])
def test_detect_finds_what_random_put(n, p, q):
    A = stridiag.random(n, (-q, 0, p), links=n // 10, rng=n + p + q)
    for matrix in (A, A.toarray(), A.to_scipy("csc")):
        assert detect(matrix).matrix.equals(A)


def test_corners_of_periodic_problems_are_links():
    n = 12
    ring = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    ring[0, -1] = ring[-1, 0] = -1
    found = detect(ring)
    assert found.offsets == (-1, 0, 1)
    assert found.links == 2


def test_min_fill_decides():
    n = 40
    dense = np.eye(n) + np.eye(n, k=1) + np.eye(n, k=-1)
    dense[np.arange(0, 30, 3), np.arange(0, 30, 3) + 10] = 1  # a third of diagonal 10
    assert detect(dense).offsets == (-1, 0, 1)
    assert detect(dense, min_fill=0.3).offsets == (-1, 0, 1, 10)
    # The only super-diagonal, of which less than half of min_fill is nonzero, stays links.
    lonely = np.eye(n) + np.eye(n, k=-1)
    lonely[np.arange(0, 30, 6), np.arange(0, 30, 6) + 10] = 1
    assert detect(lonely).offsets == (-1, 0)
    assert detect(lonely, min_fill=0.3).offsets == (-1, 0, 10)


def test_detect_with_given_offsets():
    dense = scattered((6, 6))
    found = detect(dense, offsets=[2, -1])
    assert found.offsets == (-1, 2)
    assert np.array_equal(found.matrix.toarray(), dense)
    on = np.count_nonzero(np.diagonal(dense, 2)) + np.count_nonzero(np.diagonal(dense, -1))
    assert found.coverage == on / np.count_nonzero(dense)
    with pytest.raises(StructureError, match=r"integers, got \(0\.7,\)|integers, got \[0\.7\]"):
        detect(dense, offsets=[0.7])
    with pytest.raises(StructureError, match="offset 6 lies outside a 6 x 6"):
        detect(dense, offsets=[6])


@pytest.mark.parametrize("min_fill", [0.0, -1.0, 1.5, float("nan")])
def test_detect_refuses_fills_outside(min_fill):
    with pytest.raises(ValueError, match=r"min_fill must lie in \(0, 1\], got"):
        detect(np.eye(3), min_fill=min_fill)


@given(matrices(), st.sampled_from([0.1, 0.5, 1.0]))
def test_detect_is_lossless_and_consistent(A, min_fill):
    found = detect(A, min_fill=min_fill)
    assert np.array_equal(found.matrix.toarray(), A.toarray())
    assert found.offsets == found.matrix.offsets
    assert found.links == found.matrix.structure.link_count
    assert found.matrix.nnz == A.nnz + found.padding
    assert 0 <= found.coverage <= 1
    if A.nnz:
        assert found.coverage == (A.nnz - found.links) / A.nnz


def test_numbers_without_a_shape():
    with pytest.raises(StructureError, match="a constant diagonal only with shape"):
        StridiagMatrix.from_diagonals({0: 1.0})
