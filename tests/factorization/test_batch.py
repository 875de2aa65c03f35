"""Batches of chains in single kernel calls: bit by bit what the members give one by one."""

import warnings

import numpy as np
import pytest

import stridiag
from stridiag import IllConditionedWarning, SingularMatrixError, StridiagMatrix
from stridiag.factorization.batch import BatchedChains, MemberList
from stridiag.testing import THRESHOLD, slogdet_ratio, solve_ratio

SHAPES = [
    (1, (0,)),
    (2, (-1, 0, 1)),
    (3, (-1, 0, 1)),
    (10, (-3, 0, 3)),
    (33, (-1, 0, 1)),
    (48, (-2, 2)),
    (17, (-8, 0, 8)),
]


def batch(n, offsets, members, dtype, seed=0):
    rng = np.random.default_rng(seed)
    S = stridiag.Structure(n, offsets)
    values = rng.standard_normal((*members, S.nnz))
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.standard_normal(values.shape)
    return StridiagMatrix(S, values.astype(dtype)), rng


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize(("n", "offsets"), SHAPES)
def test_a_batch_is_its_members_bit_by_bit(n, offsets, dtype):
    A, rng = batch(n, offsets, (2, 3), dtype)
    F = A.factor(method="chain")
    assert isinstance(F._members, BatchedChains)
    single = [member.factor(method="chain") for member in A.members]
    sign, log = F.slogdet()
    for k, G in enumerate(single):
        assert not isinstance(G._members, BatchedChains)
        assert (sign.ravel()[k], log.ravel()[k]) == tuple(G.slogdet())
    for m in (1, 4):
        b = rng.standard_normal((2, 3, n, m)).astype(dtype)
        for trans in ("N", "T", "H"):
            x = F.solve(b, trans=trans).reshape(6, n, m)
            for k, G in enumerate(single):
                np.testing.assert_array_equal(x[k], G.solve(b.reshape(6, n, m)[k], trans=trans))
    z = rng.standard_normal(n) + 1j * rng.standard_normal(n)
    for k, x in enumerate(F.solve(z).reshape(6, n)):
        np.testing.assert_array_equal(x, single[k].solve(z))
    np.testing.assert_array_equal(F.inverse_diagonal().reshape(6, n), [G.inverse_diagonal() for G in single])
    np.testing.assert_array_equal(F.rcond.ravel(), [G.rcond for G in single])
    np.testing.assert_array_equal(F.reconstruct().reshape(6, n, n), [G.reconstruct() for G in single])
    assert not F.info.any()
    assert F.method == single[0].method
    assert F.nbytes >= 6 * single[0].nbytes


def test_solutions_and_determinants_are_right():
    A, rng = batch(40, (-1, 0, 1), (9,), "float64")
    b = rng.standard_normal((40, 2))
    F = A.factor()
    x = F.solve(b)
    for member, solution, sign, log in zip(A.members, x, *F.slogdet(), strict=True):
        assert solve_ratio(member, solution, b) < THRESHOLD
        dense = member.toarray()
        assert slogdet_ratio((sign, log), np.linalg.slogdet(dense), 40, np.linalg.cond(dense)) < THRESHOLD


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("place", range(9))
def test_a_singular_member_gives_nan_in_its_own_place_only(place, dtype):
    A, rng = batch(12, (-2, 0, 2), (9,), dtype)
    values = A.values.copy()
    rows, _ = A.structure.coordinates()
    values[place, rows == 7] = 0.0
    F = A.with_values(values).factor()
    assert isinstance(F._members, BatchedChains)
    assert F.info[place] > 0
    assert np.count_nonzero(F.info) == 1
    assert F.singular.tolist() == [k == place for k in range(9)]
    assert F.info[place] == A.with_values(values[place]).factor().info
    b = rng.standard_normal((9, 12)).astype(dtype)[..., None]
    others = np.arange(9) != place
    expected = A.factor()
    for trans in "NTH":
        with pytest.warns(IllConditionedWarning, match=rf"1 matrices of the batch.*\({place},\)"):
            x = F.solve(b, trans=trans)
        assert np.isnan(x[place]).all()
        np.testing.assert_array_equal(x[others], expected.solve(b, trans=trans)[others])
    sign, log = F.slogdet()
    assert (sign[place], log[place]) == (0, -np.inf)
    np.testing.assert_array_equal(log[others], expected.slogdet().logabsdet[others])
    diagonals = F.inverse_diagonal()
    assert np.isnan(diagonals[place]).all()
    np.testing.assert_array_equal(diagonals[others], expected.inverse_diagonal()[others])


def test_info_is_one_more_than_the_original_row_or_column():
    S = stridiag.Structure(6, (-3, 0, 3))
    values = np.ones((3, S.nnz))
    values[:, S.diagonal_slots(-3)] = values[:, S.diagonal_slots(3)] = 0.0
    main = S.diagonal_slots(0).start
    # Stride 3: in chain order rows 1 and 2 stand elsewhere.
    values[1, main + 1] = values[2, main + 2] = 0.0
    assert StridiagMatrix(S, values).factor().info.tolist() == [0, 2, 3]
    assert StridiagMatrix(S, values[1]).factor().info == 2
    A = stridiag.random(40, (-2, 0, 2), 2, rng=0)
    _, columns = A.structure.coordinates()
    assert A.with_values(np.where(columns == 33, 0.0, A.values)).factor().info == 34
    assert A.with_values(np.zeros((2, 2, A.nnz))).factor().info.shape == (2, 2)


def test_a_structure_without_an_inverse_is_singular_in_every_member():
    A, _ = batch(5, (-1, 1), (4,), "float64")
    F = A.factor()
    assert F.singular.all()
    assert (F.info > 0).all()
    assert (F.slogdet().logabsdet == -np.inf).all()
    with pytest.raises(SingularMatrixError, match="every matrix of the batch"):
        F.solve(np.ones(5))


def test_right_hand_sides_broadcast_against_the_batch():
    A, rng = batch(8, (-1, 0, 1), (3, 1), "float64")
    F = A.factor()
    b = rng.standard_normal((2, 1, 4, 8, 2))
    x = F.solve(b)
    assert x.shape == (2, 3, 4, 8, 2)
    np.testing.assert_array_equal(x[1, 2, 3], A.members[2].factor().solve(b[1, 0, 3]))
    assert F.solve(np.zeros((8, 0))).shape == (3, 1, 8, 0)


def test_members_near_the_ends_of_the_exponent_range_are_scaled():
    A, rng = batch(20, (-1, 0, 1), (3,), "float64")
    values = A.values * np.array([[1.0], [1e300], [1e-300]])
    F = A.with_values(values).factor()
    assert isinstance(F._members, MemberList)
    b = rng.standard_normal(20)
    expected = A.factor().solve(b)
    np.testing.assert_allclose(F.solve(b)[0], expected[0], rtol=1e-15)
    np.testing.assert_allclose(F.solve(b)[1] * 1e300, expected[1], rtol=1e-10)


def test_ill_conditioned_members_are_named():
    A, _ = batch(20, (-1, 0, 1), (6,), "float64")
    values = A.values.copy()
    slots = A.structure.diagonal_slots(0)
    values[:, slots] += 5.0
    rows, _ = A.structure.coordinates()
    values[4, rows == 3] *= 1e-20
    F = A.with_values(values).factor()
    with pytest.warns(IllConditionedWarning, match=r"1 matrices of the batch \(6,\).*\(4,\)"):
        F.solve(np.ones(20))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        A.with_values(np.delete(values, 4, axis=0)).factor().solve(np.ones(20))


def test_numbers_that_are_not_finite_stay_in_their_member():
    A, rng = batch(15, (-1, 0, 1), (8,), "float64")
    b = rng.standard_normal((8, 15, 1))
    expected = A.factor().solve(b)
    b[5, 3] = np.nan
    x = A.factor().solve(b, check_finite=False)
    others = np.arange(8) != 5
    np.testing.assert_array_equal(x[others], expected[others])
    assert np.isnan(x[5]).any()
    values = A.values.copy()
    values[2, 20] = np.nan
    F = stridiag.factorization.factorize(A.with_values(values), check_finite=False)
    with pytest.warns(IllConditionedWarning):
        x = F.solve(np.ones(15))
    others = np.arange(8) != 2
    np.testing.assert_array_equal(x[others], A.factor().solve(np.ones(15))[others])
    assert F.info[2] > 0


def test_chains_with_links_go_member_by_member():
    A = stridiag.random(30, (-1, 0, 1), 2, rng=0, dominant=True)
    F = A.with_values(np.array([[1.0], [2.0]]) * A.values).factor(method="chain")
    assert isinstance(F._members, MemberList)
    np.testing.assert_array_equal(F.solve(np.ones(30))[0], A.factor(method="chain").solve(np.ones(30)))
