"""Batches of chains in single kernel calls: what the members give one by one, to rounding errors."""

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


def adjusted(A, trans):
    return A if trans == "N" else A.T if trans == "T" else A.H


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize(("n", "offsets"), SHAPES)
def test_a_batch_is_its_members(n, offsets, dtype):
    A, rng = batch(n, offsets, (2, 3), dtype)
    F = A.factor(method="chain")
    assert isinstance(F._members, BatchedChains)
    single = [member.factor(method="chain") for member in A.members]
    sign, log = F.slogdet()
    conditions = np.array([max(np.linalg.cond(member.toarray()), 1.0) for member in A.members])
    eps = np.finfo(dtype).eps
    for k, G in enumerate(single):
        assert not isinstance(G._members, BatchedChains)
        found = sign.ravel()[k], log.ravel()[k]
        assert slogdet_ratio(found, tuple(G.slogdet()), n, conditions[k], dtype=dtype) < THRESHOLD
    for m in (1, 4):
        b = rng.standard_normal((2, 3, n, m)).astype(dtype)
        for trans in ("N", "T", "H"):
            x = F.solve(b, trans=trans).reshape(6, n, m)
            for k, member in enumerate(A.members):
                assert solve_ratio(adjusted(member, trans), x[k], b.reshape(6, n, m)[k]) < THRESHOLD
    z = rng.standard_normal(n) + 1j * rng.standard_normal(n)
    for k, x in enumerate(F.solve(z).reshape(6, n)):
        expected = single[k].solve(z)
        assert abs(x - expected).max() <= 30 * eps * conditions[k] * abs(expected).max()
    for found, G, condition in zip(F.inverse_diagonal().reshape(6, n), single, conditions, strict=True):
        expected = G.inverse_diagonal()
        assert abs(found - expected).max() <= 30 * eps * condition * abs(expected).max()
    np.testing.assert_array_equal(F.rcond.ravel(), [G.rcond for G in single])
    for product, member in zip(F.reconstruct().reshape(6, n, n), A.members, strict=True):
        assert abs(product - member.toarray()).max() <= 10 * eps * abs(member.values).max()
    assert not F.info.any()
    assert F.method == single[0].method
    # By now the factors have been made.
    assert F.nbytes >= 6 * single[0].nbytes


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize(("n", "offsets"), SHAPES)
def test_a_member_sees_neither_its_place_nor_the_number_of_threads(n, offsets, dtype):
    A, rng = batch(n, offsets, (75,), dtype)
    b = rng.standard_normal((75, n, 1)).astype(dtype)
    chosen = rng.permutation(75)[:41]
    F = A.factor(method="chain")
    G = A.with_values(A.values[chosen]).factor(method="chain")
    with stridiag.num_threads(1):
        H = A.factor(method="chain")
        first = {trans: H.solve(b, trans=trans) for trans in "NTH"}
        # What a first solve finds out in passing is found without it, too.
        later = {trans: H.solve(b, trans=trans) for trans in "NTH"}
    for trans in "NTH":
        x = F.solve(b, trans=trans)
        np.testing.assert_array_equal(x, first[trans])
        np.testing.assert_array_equal(x, later[trans])
        np.testing.assert_array_equal(x[chosen], G.solve(b[chosen], trans=trans))
    for full, part in zip(F.slogdet(), G.slogdet(), strict=True):
        np.testing.assert_array_equal(full[chosen], part)
    np.testing.assert_array_equal(np.asarray(F._rough)[chosen], G._rough)
    # Whatever asks first: the pass without a right-hand side finds the same.
    E = A.factor(method="chain")
    assert not E.singular.any()
    np.testing.assert_array_equal(E.solve(b), first["N"])
    np.testing.assert_array_equal(E._rough, F._rough)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("values", [(-0.9, 0.99, 1.0), (1.0, -1.0, -1.0), (1.0, 0.0, 1.0), (1.0, 1e-3, -1.0)])
def test_chains_on_which_growth_shows(values, dtype):
    low, main, up = values
    A = StridiagMatrix.from_diagonals({-1: low, 0: main, 1: up}, shape=100).astype(dtype)
    rng = np.random.default_rng(0)
    A = A.with_values(A.values * rng.choice(np.array([-1, 1], dtype), (40, A.nnz)))
    b = rng.standard_normal((40, 100, 1)).astype(dtype)
    F = A.factor()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = F.solve(b)
    for k, member in enumerate(A.members):
        if not F.info[k]:
            dense = member.toarray().astype(float)
            size = abs(dense).sum(axis=1).max() * abs(x[k]).max() + abs(b[k]).max()
            assert abs(b[k] - dense @ x[k]).max() <= 5 * np.finfo(dtype).eps * size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right_hand_sides_are_left_alone(dtype):
    A, rng = batch(20, (-1, 0, 1), (33,), dtype)
    b = rng.standard_normal((33, 20, 1)).astype(dtype)
    given = b.copy()
    F = A.factor()
    x = F.solve(b)
    np.testing.assert_array_equal(b, given)
    np.testing.assert_array_equal(F.solve(np.asfortranarray(b)), x)
    strided = np.zeros((33, 40, 1), dtype)
    strided[:, ::2] = b
    np.testing.assert_array_equal(F.solve(strided[:, ::2]), x)
    np.testing.assert_array_equal(F.solve(b[0]), F.solve(np.repeat(b[:1], 33, 0)))


def test_determinants_leave_the_range_of_the_type():
    A, _ = batch(300, (-1, 0, 1), (20,), "float64")
    for scale in (1e-60, 1e30, 1e80, 1e120):
        B = A.with_values(A.values * scale)
        for got, member in zip(B.factor().slogdet().logabsdet, B.members, strict=True):
            assert abs(got - member.factor().slogdet().logabsdet) < 1e-9 * abs(got)
    assert got > 2e4


def test_norms_and_probes_are_those_of_single_members():
    A, _ = batch(33, (-1, 0, 1), (20,), "float64")
    A = A.with_values(A.values * np.logspace(-30, 30, 20)[:, None])
    F = A.factor()
    F.solve(np.ones(33))
    expected = []
    for member in A.members:
        G = member.factor()
        G.solve(np.ones((33, 1)))
        expected.append(G._rough[0])
    np.testing.assert_allclose(F._rough, expected, rtol=1e-8)


def test_links_on_the_chains_belong_to_them():
    S = stridiag.Structure(12, (0, 1), links=([5, 7], [4, 6]))
    rng = np.random.default_rng(0)
    A = StridiagMatrix(S, rng.standard_normal((40, S.nnz)))
    F = A.factor(method="chain")
    assert isinstance(F._members, BatchedChains)
    b = rng.standard_normal((40, 12, 1))
    for member, x, right in zip(A.members, F.solve(b), b, strict=True):
        assert solve_ratio(member, x, right) < THRESHOLD


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


@pytest.mark.parametrize("options", [{}, {"refine": True}])
def test_batch_axes_that_do_not_fit_are_told(options):
    A = stridiag.random(50, offsets=(-1, 0, 1), links=3, rng=0)
    F = A.with_values(np.stack([A.values] * 3)).factor()
    with pytest.raises(ValueError, match=r"batch axes \(2,\).* of the matrices, \(3,\): give b the shape \(3, 50, 4\)"):
        F.solve(np.ones((2, 50, 4)), **options)


def test_a_matrix_is_no_array():
    A = stridiag.random(50, offsets=(-1, 0, 1), links=3, rng=0)
    F = A.factor()
    for run in (F.solve, F.refactor, lambda matrix: stridiag.linalg.solve(A, matrix)):
        with pytest.raises(TypeError, match=r"is a matrix, not an array: hand over its \.values"):
            run(A)
