"""Forests and trees on a core: backward errors, determinants, inverses, factors, growth, singular matrices, batches."""

import numpy as np
import pytest

import stridiag
from stridiag import IllConditionedWarning, SingularMatrixError, StridiagMatrix, Structure
from stridiag.factorization import Elementary, inverse_factors, multiply_out
from stridiag.testing import THRESHOLD, factor_ratio, inverse_ratio, slogdet_ratio, solve_ratio

DTYPES = ("float32", "float64", "complex64", "complex128")


def parents(kind, n, rng):
    """Return the parent of each vertex 1 ... n - 1, among those before it; -1 for none."""
    k = np.arange(1, n)
    if kind == "path":
        return k - 1
    if kind == "star":
        return k * 0
    if kind == "broom":
        return np.minimum(k - 1, n // 2)
    if kind == "caterpillar":
        return np.where(k % 2, k - 1, k - 2)
    if kind == "cable":
        return np.where(rng.random(n - 1) < 0.1, (rng.random(n - 1) * k).astype(int), k - 1)
    if kind == "hubs":
        return (rng.random(n - 1) ** 4 * k).astype(int)
    assert kind in ("random", "scattered")
    parent = (rng.random(n - 1) * k).astype(int)
    return parent if kind == "random" else np.where(rng.random(n - 1) < 0.3, -1, parent)


KINDS = ("path", "star", "broom", "caterpillar", "cable", "hubs", "random", "scattered")
VALUES = ("normal", "zero diagonal", "graded", "signs", "growth", "mixed zeros")


def structure_of(kind, n, rng, *, cycles=0, one_sided=0.0, diagonal=True):
    parent = parents(kind, n, rng)
    label = rng.permutation(n)
    child = np.flatnonzero(parent >= 0) + 1
    rows, columns = label[child], label[parent[child - 1]]
    rows = np.append(rows, rng.integers(0, n, cycles))
    columns = np.append(columns, rng.integers(0, n, cycles))
    kept = rng.random((2, rows.size)) >= one_sided
    links = np.append(rows[kept[0]], columns[kept[1]]), np.append(columns[kept[0]], rows[kept[1]])
    return Structure(n, (0,) if diagonal else (), links)


def matrix_of(structure, values, dtype, rng):
    shape = structure.nnz
    v = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else 0)
    rows, columns = structure.coordinates()
    on = rows == columns
    if values == "zero diagonal":
        v[on] = 0
    elif values == "graded":
        v *= 10.0 ** rng.uniform(-8, 8, structure.shape[0])[rows]
    elif values == "signs":
        v = np.sign(v.real) * (1j ** rng.integers(0, 4, shape) if np.dtype(dtype).kind == "c" else 1)
    elif values == "growth":
        v = np.where(on, 0.99, np.where(rows < columns, 1.0, -0.9))
    elif values == "mixed zeros":
        v[rng.random(shape) < 0.2] = 0
    return StridiagMatrix(structure, v.astype(dtype))


def cases(dtype, sizes, cycles=0):
    rng = np.random.default_rng(20)
    for kind in KINDS:
        for values in VALUES:
            for n in sizes:
                one_sided = 0.3 if n % 2 else 0.0
                S = structure_of(kind, n, rng, cycles=cycles, one_sided=one_sided, diagonal=n != 10)
                yield f"{kind}, {values}, {n}", matrix_of(S, values, dtype, rng)


def wide(A):
    return A.toarray().astype("complex128" if A.dtype.kind == "c" else "float64")


def factored(A):
    try:
        return A.factor(method="forest")
    except stridiag.StructureError:
        return None


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("cycles", [0, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_answer_over_many_trees(dtype, cycles):
    rng = np.random.default_rng(0)
    eps = np.finfo(dtype).eps
    worst = dict.fromkeys(("N", "T", "H", "product", "factors", "inverse", "slogdet", "diagonal"), 0.0)
    worst |= {"pattern": 0.0, "gradient": 0.0}
    regular = 0
    sizes = (2, 3, 10, 33, 90) if dtype == "float64" and not cycles else (3, 10, 33)
    for name, A in cases(dtype, sizes, cycles):
        n = A.shape[0]
        F = factored(A)
        if F is None:
            continue
        found = {"product": factor_ratio(A, F.reconstruct())}
        factors = F.factors()
        found["factors"] = factor_ratio(A, multiply_out(factors, np.eye(n, dtype=dtype)))
        if not F.singular:
            for trans, op in (("N", A), ("T", A.T), ("H", A.H)):
                b = op @ rng.standard_normal((n, 2)).astype(dtype)
                found[trans] = solve_ratio(A, F.solve(b, trans=trans), b, trans)
        dense = wide(A)
        condition = np.linalg.cond(dense)
        if condition * n * eps < 0.01:
            regular += 1
            assert not F.singular, name
            inverse = np.linalg.inv(dense)
            found["inverse"] = inverse_ratio(A, multiply_out(inverse_factors(factors), np.eye(n, dtype=dtype)))
            found["slogdet"] = slogdet_ratio(F.slogdet(), np.linalg.slogdet(dense), n, condition, dtype=dtype)
            unit = eps * n * condition * np.abs(inverse).max()
            found["diagonal"] = np.abs(F.inverse_diagonal() - np.diagonal(inverse)).max() / unit
            i, j = A.structure.coordinates()
            found["pattern"] = np.abs(F.inverse_on_pattern().values - inverse[i, j]).max() / unit
            gradient = F.inverse_on_pattern(transpose=True).values
            found["gradient"] = np.abs(gradient - inverse[j, i]).max() / unit
        for what, ratio in found.items():
            assert ratio < THRESHOLD, (name, what, ratio)
            worst[what] = max(worst[what], ratio)
    assert regular > len(sizes) * 12
    assert all(ratio > 0 for ratio in worst.values())


def test_numbers_grow_no_more_than_by_the_number_of_children():
    rng = np.random.default_rng(1)
    exchanged = 0
    for kind in KINDS:
        for values in ("normal", "signs", "growth", "zero diagonal"):
            A = matrix_of(structure_of(kind, 200, rng), values, "float64", rng)
            F = A.factor(method="forest")._members[0]
            largest = np.abs(A.values).max()
            assert np.abs(F._multipliers).max() <= 1
            assert np.abs(F._scales).max() <= 1
            children = np.bincount(F._layout.parent, minlength=200)
            assert (np.abs(F._pivots) <= (1 + children[: F._pivots.size]) * largest * (1 + 1e-12)).all()
            exchanged += np.count_nonzero(F._scales)
    assert exchanged > 1000


def star(n, spread):
    """Return a matrix with a hub whose row grows from child to child, so that all may exchange their rows with it."""
    rng = np.random.default_rng(2)
    leaf = np.arange(1, n)
    S = Structure(n, (0,), (np.append(0 * leaf, leaf), np.append(leaf, 0 * leaf)))
    rows, columns = S.coordinates()
    v = rng.choice([-1.0, 1.0], S.nnz)
    v[(rows == columns) & (rows > 0)] *= spread
    v[rows == 0] *= rng.uniform(0.5, 1.0, n)
    return StridiagMatrix(S, v)


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1.0001])
def test_a_hub_of_many_interchanged_children_stays_linear(spread):
    # A diagonal of small numbers: nearly every child exchanges its row with the hub's, or half of them do.
    n = 100_000
    rng = np.random.default_rng(2)
    S = Structure(
        n, (0,), (np.append(np.zeros(n - 1, int), np.arange(1, n)), np.append(np.arange(1, n), [0] * (n - 1)))
    )
    rows, columns = S.coordinates()
    v = rng.choice([-1.0, 1.0], S.nnz)
    v[(rows == columns) & (rows > 0)] *= spread
    v[rows == 0] *= rng.uniform(0.5, 1.0, n)
    A = StridiagMatrix(S, v)
    F = A.factor()
    assert F.plan.method == "forest"
    assert F.nbytes < 50 * n
    x = rng.standard_normal(n)
    for trans, op in (("N", A), ("T", A.T)):
        b = op @ x
        assert solve_ratio(A, F.solve(b, trans=trans), b, trans) < 1


def test_a_star_whose_every_child_is_interchanged():
    # The factor alpha is divided by 2 at each step; row 0 of A is doubled from one to the next to keep up with it.
    n = 400
    A = star(n, 1.0)
    F = A.factor(method="forest")
    order = F.plan.layout.order[:-1]
    rows, columns = A.structure.coordinates()
    values = np.where(rows == columns, 0.5, 1.0)
    values[A.structure.slots(np.zeros(n - 1, int), order)] = 2.0 ** np.arange(n - 1)
    values[A.structure.slots(order, np.zeros(n - 1, int))] = np.random.default_rng(3).standard_normal(n - 1)
    F = A.with_values(values).factor(method="forest")
    assert np.count_nonzero(F._members[0]._scales) == n - 1
    factors = F.factors()
    assert sum(1 + factor.rows.size for factor in factors if isinstance(factor, Elementary)) <= 8 * n
    assert factor_ratio(F.matrix, multiply_out(factors, np.eye(n))) < 1
    assert factor_ratio(F.matrix, F.reconstruct()) < 1
    x = np.random.default_rng(4).standard_normal(n)
    b = F.matrix @ x
    with pytest.warns(IllConditionedWarning):
        assert solve_ratio(F.matrix, F.solve(b), b) < THRESHOLD


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
def test_large_trees_in_many_precisions():
    rng = np.random.default_rng(3)
    for kind in ("cable", "random", "path", "hubs"):
        for dtype in ("float32", "complex128"):
            A = matrix_of(structure_of(kind, 20_000, rng), "normal", dtype, rng)
            F = A.factor(method="forest")
            b = rng.standard_normal((20_000, 3)).astype(dtype)
            for trans in ("N", "T", "H"):
                assert solve_ratio(A, F.solve(b, trans=trans), b, trans) < THRESHOLD


def test_a_path_agrees_with_the_chain():
    A = stridiag.random(500, (-1, 0, 1), rng=0)
    chain, forest = (A.factor(method=method) for method in ("chain", "forest"))
    b = np.ones(500)
    np.testing.assert_allclose(forest.solve(b), chain.solve(b), rtol=1e-9)
    np.testing.assert_allclose(forest.slogdet(), chain.slogdet(), rtol=1e-12)
    np.testing.assert_allclose(forest.inverse_diagonal(), chain.inverse_diagonal(), rtol=1e-9)


def test_links_on_the_diagonals_and_duplicates_fold():
    A = StridiagMatrix.from_diagonals(
        {0: np.full(6, 3.0)}, links=([1, 2, 2, 5, 0, 1], [0, 1, 2, 3, 1, 0], [1.0, 2.0, 4.0, 5.0, 6.0, 7.0])
    )
    F = A.factor(method="forest")
    np.testing.assert_allclose(F.reconstruct(), A.toarray(), atol=1e-15)
    np.testing.assert_allclose(A @ F.solve(np.arange(6.0)), np.arange(6.0), atol=1e-14)


# ---------------------------------------------------------------------- singular matrices


def test_two_leaves_without_diagonal_on_one_parent_are_singular_by_structure():
    S = Structure(5, (), ([0, 1, 2, 2, 4, 3, 2], [2, 2, 0, 1, 2, 3, 4]))
    A = StridiagMatrix(S, np.arange(1.0, 8.0))
    F = A.factor(method="forest")
    assert F.singular
    assert F.slogdet() == (0.0, -np.inf)
    with pytest.raises(SingularMatrixError):
        F.solve(np.ones(5))
    assert F._members[0]._core is None


@pytest.mark.parametrize("kind", KINDS)
def test_laplacians_of_trees_are_exactly_singular(kind):
    n = 40
    rng = np.random.default_rng(4)
    S = structure_of(kind, n, rng)
    rows, columns = S.coordinates()
    degree = np.bincount(rows[rows != columns], minlength=n)
    A = StridiagMatrix(S, np.where(rows == columns, degree[rows], -1.0))
    F = A.factor(method="forest")
    assert F.singular
    with pytest.raises(SingularMatrixError, match="row"):
        F.solve(np.ones(n))
    # Raised by one anywhere on each tree, it is regular.
    label = F.plan.layout.order[F.plan.layout.parent.size :]
    grounded = A.with_values(A.values + ((rows == columns) & np.isin(rows, label)))
    assert not grounded.factor(method="forest").singular


@pytest.mark.parametrize("place", range(9))
def test_the_row_without_a_pivot_is_an_original_row(place):
    # All rows but one are those of a regular matrix; the zero row survives every interchange.
    rng = np.random.default_rng(5)
    A = matrix_of(structure_of("random", 9, rng), "normal", "float64", rng)
    rows, _ = A.structure.coordinates()
    A = A.with_values(np.where(rows == place, 0.0, A.values))
    found = A.factor(method="forest")._members[0].singularity
    assert found.row == place


def test_a_singular_core_is_named_in_the_whole_matrix():
    # A triangle of ones with a leaf at each corner: rows 3, 4 and 5 of the core are equal.
    rows = [3, 3, 4, 4, 5, 5, 0, 1, 2]
    columns = [4, 5, 3, 5, 3, 4, 3, 4, 5]
    A = StridiagMatrix.from_diagonals({0: np.ones(6)}, links=(rows, columns, np.ones(9)))
    F = A.factor(method="forest")
    found = F._members[0]._place(F._members[0]._core.singularity)
    assert (found.row if found.row is not None else found.column) in (3, 4, 5)
    with pytest.raises(SingularMatrixError):
        F.solve(np.ones(6))


def test_factors_of_singular_trees_multiply_out():
    for name, A in cases("float64", (3, 10)):
        A = A.with_values(np.where(A.structure.coordinates()[1] == 1, 0.0, A.values))
        F = A.factor(method="forest")
        assert F.singular, name
        product = multiply_out(F.factors(), np.eye(A.shape[0]))
        assert factor_ratio(A, product) < THRESHOLD, name


# ---------------------------------------------------------------------- batches


def test_batches_with_a_singular_member():
    rng = np.random.default_rng(6)
    A = matrix_of(structure_of("cable", 30, rng), "normal", "float64", rng)
    values = A.values * np.array([1.0, 2.0, 0.0])[:, None]
    F = A.with_values(values).factor(method="forest")
    assert F.singular.tolist() == [False, False, True]
    b = np.ones(30)
    with pytest.warns(IllConditionedWarning, match="1 matrices"):
        x = F.solve(b)
    np.testing.assert_allclose(x[0], 2 * x[1], rtol=1e-12)
    np.testing.assert_allclose(A @ x[0], b, atol=1e-10)
    assert np.isnan(x[2]).all()


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_the_ends_of_the_exponent_range(scale):
    rng = np.random.default_rng(7)
    A = matrix_of(structure_of("random", 60, rng), "normal", "float64", rng)
    F = (scale * A).factor(method="forest")
    x = rng.standard_normal(60)
    b = (scale * A) @ x
    assert solve_ratio(scale * A, F.solve(b), b) < THRESHOLD
