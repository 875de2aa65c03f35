"""StridiagMatrix: what it is, its entries, and that it cannot be changed."""

from __future__ import annotations

import copy
import operator
import pickle

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stridiag
from stridiag import StridiagMatrix, Structure, StructureError
from stridiag.testing.strategies import matrices

DTYPES = ["float32", "float64", "complex64", "complex128"]
SQUARE = stridiag.random(7, (-2, 0, 3), links=4, rng=1)
TALL = stridiag.random((9, 4), (-3, 0, 1), links=3, rng=2)
BATCH = SQUARE.with_values(np.random.default_rng(0).standard_normal((2, 3, SQUARE.nnz)))


# ---------------------------------------------------------------------- construction


@pytest.mark.parametrize("dtype", DTYPES)
def test_from_diagonals(dtype):
    unit = np.dtype(dtype).type(1j if dtype.startswith("c") else 1)
    A = StridiagMatrix.from_diagonals(
        {
            0: unit * np.arange(1, 5, dtype=np.int8),
            2: unit * np.array([5, 6], np.int8),
            -3: unit * np.array([7], np.int8),
        },
        ([0, 0, 3, 1], [1, 1, 3, 0], unit * np.array([10, 20, 30, 40], np.int8)),
    )
    expected = unit * np.array([[1, 30, 5, 0], [40, 2, 0, 6], [0, 0, 3, 0], [7, 0, 0, 34]])
    assert A.dtype == dtype
    assert np.array_equal(A.toarray(), expected)
    assert (A.offsets, A.structure.link_count, A.nnz) == ((-3, 0, 2), 2, 9)


def test_from_diagonals_rectangular_and_constant():
    A = StridiagMatrix.from_diagonals({0: 2, 1: -1.5}, ([2], [0], 4), shape=(3, 5))
    assert np.array_equal(A.toarray(), [[2, -1.5, 0, 0, 0], [0, 2, -1.5, 0, 0], [4, 0, 2, -1.5, 0]])


def test_from_diagonals_empty():
    assert StridiagMatrix.from_diagonals({}, shape=3).nnz == 0
    assert StridiagMatrix.from_diagonals({0: []}).shape == (0, 0)
    assert StridiagMatrix.from_diagonals({}, shape=(2, 0)).dtype == np.float64


def test_common_type():
    A = StridiagMatrix.from_diagonals({0: np.ones(3, np.float32)}, ([0], [2], np.array([1j], np.complex64)))
    assert A.dtype == np.complex64
    assert StridiagMatrix.from_diagonals({0: [1, 2, 3]}).dtype == np.float64
    assert StridiagMatrix.from_diagonals({0: [0.5, 2]}, dtype="float32").dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (({0: [1, 2], 1: [1, 2]},), {}, r"with one n for all; got lengths .*1: \(2,\)"),
        (({0: 3.0},), {}, r"without shape"),
        (({},), {}, r"without shape"),
        (({0: [1, 2]},), {"shape": 3}, r"diagonal 0 of a 3 x 3 matrix has 3 entries, got 2"),
        (({0: [[1, 2]]},), {"shape": 2}, r"diagonal 0 must be one-dimensional, got shape \(1, 2\)"),
        (({2: [1]},), {"shape": 2}, r"offset 2 lies outside a 2 x 2"),
        (({0.5: [1, 2]},), {}, r"offsets must be integers, got \[0\.5\]"),
        (({0: [1, 2]}, ([0], [1])), {}, r"links must be \(rows, columns, values\), got 2 arrays"),
        (({0: [1, 2]}, ([0, 0], [1, 1], [1, 2, 3])), {}, r"expected 2 link values, got shape \(3,\)"),
        (({0: [1, 2]}, ([0], [2], [1])), {}, r"link columns must lie in 0 \.\.\. 1, got 2"),
    ],
)
def test_from_diagonals_refusals(arguments, options, message):
    with pytest.raises(StructureError, match=message):
        StridiagMatrix.from_diagonals(*arguments, **options)


def test_from_diagonals_never_rounds_to_the_dtype_asked_for():
    with pytest.raises(TypeError, match=r"dtype must be float32.*got int64"):
        StridiagMatrix.from_diagonals({0: [1.5, 2.0]}, dtype="int64")
    with pytest.raises(TypeError, match="cannot cast complex128 to float64"):
        StridiagMatrix.from_diagonals({0: [1.5j, 2.0]}, dtype=float)


def test_constructor_refusals():
    with pytest.raises(TypeError, match="structure must be a Structure, got tuple"):
        StridiagMatrix((3, 3), [1, 2, 3])
    for values in (np.ones(4), 1.0, np.ones((3, 1))):
        with pytest.raises(StructureError, match=r"values must have shape \(\.\.\., 3\) for .*, got"):
            StridiagMatrix(Structure(3), values)


INPUTS = {
    "integers": np.arange(5),
    "uint8": np.arange(5, dtype=np.uint8),
    "booleans": np.array([True, False, True, True, False]),
    "list": [0.0, 1.0, 2.0, 3.0, 4.0],
    "strided": np.arange(15.0)[::3],
    "reversed": np.arange(5.0)[::-1],
    "big-endian": np.arange(5).astype(">f8"),
    "big-endian complex": np.arange(5).astype(">c8"),
    "float16": np.arange(5).astype(np.float16),
    "big-endian float16": np.arange(5).astype(">f2"),
    "read-only": np.frombuffer(np.arange(5.0).tobytes()),
}
KINDS = {"float16": "float32", "big-endian float16": "float32", "big-endian complex": "complex64"}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("copied", [True, False])
def test_kinds_of_input(name, copied):
    A = StridiagMatrix(Structure(5), INPUTS[name], copy=copied)
    assert A.dtype == KINDS.get(name, "float64")
    assert A.dtype.isnative
    assert A.values.flags.c_contiguous
    assert np.array_equal(A.toarray(), np.diag(np.asarray(INPUTS[name]).astype(A.dtype)))


def test_fortran_ordered_batch():
    values = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    A = StridiagMatrix(Structure(3), values)
    assert np.array_equal(A.values, values)
    assert np.array_equal(A @ np.ones(3), values)


@pytest.mark.parametrize(
    "values",
    [np.array([1, None], object), np.ones(2, np.longdouble), np.array(["a", "b"]), np.ones(2, "M8[s]")],
)
def test_types_that_are_refused(values):
    if values.dtype == np.float64:
        pytest.skip("long double is double here")
    for build in (
        lambda: StridiagMatrix(Structure(2), values),
        lambda: StridiagMatrix.from_diagonals({0: values}),
        lambda: StridiagMatrix.from_dense(np.diag(values)) if values.dtype.kind not in "UM" else SQUARE @ values,
    ):
        with pytest.raises(TypeError, match=r"must hold float32, float64.*got dtype .*convert it with \.astype"):
            build()


def test_constructors_copy():
    values = np.arange(1.0, 4.0)
    built = {
        "constructor": StridiagMatrix(Structure(3), values),
        "from_diagonals": StridiagMatrix.from_diagonals({0: values}),
        "links": StridiagMatrix.from_diagonals({}, ([0, 1, 2], [0, 1, 2], values), shape=3),
        "with_values": StridiagMatrix(Structure(3), np.zeros(3)).with_values(values),
        "a view": StridiagMatrix(Structure(3), values[:]),
    }
    dense = np.diag(values)
    built["from_dense"] = StridiagMatrix.from_dense(dense)
    values[:] = dense[:] = -1
    for name, A in built.items():
        assert np.array_equal(A.diagonal(), [1, 2, 3]), name


def test_copy_false_keeps_a_read_only_view():
    values = np.arange(1.0, 4.0)
    for A in (
        StridiagMatrix(Structure(3), values, copy=False),
        SQUARE.with_values(np.ones(SQUARE.nnz), copy=False),
    ):
        assert not A.values.flags.writeable
    assert np.shares_memory(StridiagMatrix(Structure(3), values, copy=False).values, values)
    assert values.flags.writeable, "the caller's array stays as it was"


# ---------------------------------------------------------------------- immutability and copies


def test_values_are_read_only():
    for A in (
        SQUARE,
        TALL,
        BATCH,
        SQUARE.T,
        SQUARE + SQUARE,
        SQUARE * 2,
        SQUARE.astype("complex64"),
        SQUARE.H,
    ):
        with pytest.raises(ValueError, match="read-only"):
            A.values[..., 0] = 1
    diagonal = SQUARE.diagonal()
    diagonal[0] += 1
    assert SQUARE.diagonal()[0] != diagonal[0], "diagonal() gives a copy"
    for name in ("values", "structure", "shape", "anything"):
        with pytest.raises(AttributeError):
            setattr(SQUARE, name, 1)


@given(matrices())
def test_pickle_and_copies(A):
    for B in (pickle.loads(pickle.dumps(A)), copy.copy(A), copy.deepcopy(A)):
        assert B.equals(A)
        assert not B.values.flags.writeable
        assert hash(B.structure) == hash(A.structure)


@pytest.mark.parametrize("A", [SQUARE, TALL, BATCH], ids=["square", "tall", "batch"])
@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_joblib(A, tmp_path, mmap_mode):
    joblib.dump(A, tmp_path / "A")
    B = joblib.load(tmp_path / "A", mmap_mode=mmap_mode)
    assert B.equals(A)
    assert joblib.hash(B) == joblib.hash(A)
    assert joblib.hash(A * 2) != joblib.hash(A)


# ---------------------------------------------------------------------- what it is


def test_attributes():
    assert (TALL.shape, TALL.ndim, TALL.dtype, TALL.batch_shape) == ((9, 4), 2, np.float64, ())
    assert (BATCH.shape, BATCH.ndim, BATCH.batch_shape) == ((2, 3, 7, 7), 4, (2, 3))
    assert BATCH.nnz == SQUARE.nnz == SQUARE.structure.nnz == 5 + 7 + 4 + 4


def test_repr():
    assert repr(TALL) == "StridiagMatrix(9 x 4, float64, offsets (-3, 0, 1), 3 links)"
    assert repr(BATCH) == "StridiagMatrix(batch (2, 3), 7 x 7, float64, offsets (-2, 0, 3), 4 links)"


def test_members_of_a_batch():
    members = BATCH.members
    assert len(members) == 6
    for k, index in enumerate(np.ndindex(2, 3)):
        assert members[k].equals(SQUARE.with_values(BATCH.values[index]))
    assert SQUARE.members == (SQUARE,)
    assert SQUARE.with_values(np.empty((0, SQUARE.nnz))).members == ()


def test_equals():
    assert SQUARE.equals(SQUARE.with_values(SQUARE.values))
    changed = SQUARE.values.copy()
    changed[-1] = np.nextafter(changed[-1], np.inf)
    assert not SQUARE.equals(SQUARE.with_values(changed))
    assert not SQUARE.equals(SQUARE.astype("complex128"))
    assert not SQUARE.equals(SQUARE.T)
    assert not SQUARE.equals(BATCH)
    nan = SQUARE.with_values(np.full(SQUARE.nnz, np.nan))
    assert not nan.equals(nan)
    # The same numbers in another structure.
    assert not StridiagMatrix.from_dense(np.eye(3)).equals(StridiagMatrix.from_dense(np.eye(3), offsets=(0, 1)))
    with pytest.raises(TypeError, match="got ndarray"):
        SQUARE.equals(SQUARE.toarray())


def test_comparison_raises():
    for other in (SQUARE, SQUARE.toarray()):
        for compare in (operator.eq, operator.ne):
            for pair in ((SQUARE, other), (other, SQUARE)):
                with pytest.raises(TypeError, match="equals"):
                    compare(*pair)
    assert (SQUARE == "a matrix") is False
    with pytest.raises(TypeError, match="truth value"):
        bool(SQUARE)
    assert len({SQUARE, TALL}) == 2, "hashable by identity"


@pytest.mark.parametrize(
    "function",
    [
        lambda A: np.dot(A, np.ones(7)),
        np.linalg.inv,
        np.sum,
        lambda A: np.asarray(A, float),
        np.sin,
        np.transpose,
    ],
)
def test_numpy_does_not_take_it_apart(function):
    with pytest.raises(TypeError):
        function(SQUARE)


def test_nan_and_infinity_are_allowed_in_values():
    A = StridiagMatrix.from_diagonals({0: [1.0, np.nan, np.inf], 1: [2.0, 3.0]})
    assert np.array_equal(A.toarray(), [[1, 2, 0], [0, np.nan, 3], [0, 0, np.inf]], equal_nan=True)
    assert np.isnan(A.trace())


# ---------------------------------------------------------------------- entries


@given(matrices(), st.data())
def test_entries(A, data):
    dense = A.toarray()
    rows, columns = A.shape
    if rows and columns:
        i, j = data.draw(st.integers(-rows, rows - 1)), data.draw(st.integers(-columns, columns - 1))
        assert A[i, j] == dense[i, j]
        assert type(A[i, j]) is A.dtype.type
        every = np.ix_(np.arange(rows), np.arange(columns))
        assert np.array_equal(A[every], dense)
        assert A[every].dtype == A.dtype
    for offset in range(1 - rows, columns):
        assert np.array_equal(A.diagonal(offset), np.diagonal(dense, offset))
    assert A.trace() == A.diagonal().sum()
    assert np.isclose(A.trace(), np.trace(dense), rtol=1e-5, atol=1e-2)
    assert np.count_nonzero(dense) <= A.nnz


@given(matrices(), st.data())
def test_blocks_rows_and_columns(A, data):
    dense = A.toarray()
    rows, columns = (data.draw(st.slices(size).filter(lambda part: part.step in (None, 1))) for size in A.shape)
    block = A[rows, columns]
    assert isinstance(block, StridiagMatrix)
    assert np.array_equal(block.toarray(), dense[rows, columns])
    assert block.dtype == A.dtype
    assert block.nnz <= A.nnz
    if all(A.shape):
        assert A[: A.shape[0] + 5, -A.shape[1] - 5 :].equals(A)
        assert np.array_equal(A[rows, -1], dense[rows, -1])
        assert np.array_equal(A[0, columns], dense[0, columns])


def test_blocks_of_a_batch():
    block = BATCH[1:5, 2:]
    assert block.batch_shape == BATCH.batch_shape
    assert np.array_equal(block.toarray(), BATCH.toarray()[..., 1:5, 2:])
    assert np.array_equal(BATCH[3, :], BATCH.toarray()[..., 3, :])


def test_a_block_of_a_chain_is_a_chain():
    A = stridiag.random(50, offsets=(-2, 0, 2), rng=0)
    assert A[10:30, 10:30].offsets == (-2, 0, 2)
    assert A[10:30, 12:30].offsets == (-4, -2, 0)


def test_entries_of_a_batch():
    dense = BATCH.toarray()
    assert np.array_equal(BATCH[2, 0], dense[..., 2, 0])
    assert np.array_equal(BATCH[[2, 6], [0, -7]], dense[..., [2, 6], [0, -7]])
    assert np.array_equal(BATCH.trace(), np.trace(dense, axis1=-2, axis2=-1))
    for k in range(-6, 7):
        assert np.array_equal(BATCH.diagonal(k), np.diagonal(dense, k, -2, -1)), k


def test_entries_of_a_matrix_without_any():
    empty = StridiagMatrix.from_diagonals({}, shape=(2, 3))
    assert empty[1, 2] == 0
    assert np.array_equal(empty[[0, 1], [0, 1]], [0, 0])
    assert empty.trace() == 0


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ((7, 0), "axis 0 of size 7"),
        ((0, 7), "axis 1 of size 7"),
        ((-8, 0), "axis 0"),
        (([0, 9], 0), "axis 0"),
        (3, "two indices"),
        ((1, 2, 3), "two indices"),
        ((0.0, 1), "integers"),
        ((True, False), "integers"),
        ((slice(None, None, 2), 0), "steps of 1, got 2"),
        ((slice(None, None, -1), slice(None)), "steps of 1, got -1"),
        ((slice(None), [0, 1]), "with an array, use"),
        ((slice(None), 7), "axis 1 of size 7"),
        ((slice(None), 1.0), "integers"),
    ],
)
def test_refused_indices(index, message):
    with pytest.raises(IndexError, match=message):
        SQUARE[index]


def test_refused_diagonals():
    for k in (7, -7):
        with pytest.raises(StructureError, match=f"offset {k} lies outside a 7 x 7 matrix"):
            SQUARE.diagonal(k)
