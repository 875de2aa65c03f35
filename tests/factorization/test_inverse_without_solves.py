"""The inverse at the pattern of forests, cycles and triangles: against numpy, as a gradient, and without solves."""

import math
from fractions import Fraction

import numpy as np
import pytest

import stridiag
from stridiag import StridiagMatrix, Structure, StructureError
from stridiag.testing import THRESHOLD, zoo

METHODS = ("triangular", "cyclic", "forest")
DTYPES = ("float32", "float64", "complex64", "complex128")


def ratios(A, F):
    """Return the errors of both patterns and of the diagonal in units n eps cond max|Z|; None if A is too singular."""
    n, eps = A.shape[0], np.finfo(A.dtype).eps
    dense = A.toarray().astype(np.result_type(A.dtype, np.float64))
    condition = np.linalg.cond(dense) if n else 1.0
    if not n * eps * condition < 0.01:
        return None
    Z = np.linalg.inv(dense)
    rows, columns = A.structure.coordinates()
    unit = n * eps * condition * np.abs(Z).max(initial=0.0)
    found = (
        (F.inverse_on_pattern(), Z[rows, columns]),
        (F.inverse_on_pattern(transpose=True), Z[columns, rows]),
    )
    assert all(result.structure == A.structure and result.dtype == A.dtype for result, _ in found)
    errors = [np.abs(result.values - expected).max(initial=0.0) for result, expected in found]
    errors.append(np.abs(F.inverse_diagonal() - Z.diagonal()).max(initial=0.0))
    return [error / unit if error else 0.0 for error in errors]


def numbers(rng, dtype, shape):
    v = rng.standard_normal(shape)
    return (v + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else v).astype(dtype)


def without_solves(F):
    """Return a factor whose decompositions cannot solve."""

    def refuse(*_, **__):
        raise AssertionError("a solve")

    for member in F._members:
        for part in (member, getattr(member, "_core", None)):
            if part is not None:
                part.solve = refuse
    return F


def cycles(rng, lengths, between, *, on_the_diagonal=True):
    """Return a structure of cycles of some lengths, 1 for none, with links from each to those before it."""
    n = sum(lengths)
    label = rng.permutation(n)
    rows, columns = [], []
    first = 0
    for m in lengths:
        if m > 1:
            rows.extend(range(first, first + m))
            columns.extend((*range(first + 1, first + m), first))
        first += m
    block = np.repeat(np.arange(len(lengths)), lengths)
    for i, j in rng.integers(0, n, (between, 2)):
        if block[i] > block[j]:
            rows.append(i)
            columns.append(j)
    rows, columns = label[rows], label[columns]
    if on_the_diagonal:
        return Structure(n, (0,), (rows, columns))
    shift = rng.permutation(n)
    return Structure(n, (), (np.append(rows, label), shift[np.append(columns, label)]))


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_over_the_zoo(method, dtype):
    checked = 0
    sizes = (0, 1, 2, 3, 5, 10, 50) if dtype == "float64" else (1, 3, 10)
    for case in zoo(sizes=sizes, dtypes=[dtype]):
        A = case.matrix
        if not A.structure.is_square or "singular" in case.tags:
            continue
        try:
            F = A.factor(method=method)
        except StructureError:
            continue
        if F.singular or (found := ratios(A, F)) is None:
            continue
        checked += 1
        assert max(found) < THRESHOLD, (case.name, found)
    assert checked > 12


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("on_the_diagonal", [True, False])
def test_cycles_with_entries_between_them(dtype, on_the_diagonal):
    rng = np.random.default_rng(3)
    checked = 0
    for lengths in ((2,), (3,), (8,), (2, 2), (1, 1, 1), (4, 1, 3), (1, 5, 1, 1, 2, 6), (1,) * 12, (2,) * 8):
        for between in (0, 1, 3, 20):
            S = cycles(rng, lengths, between, on_the_diagonal=on_the_diagonal)
            for kind in ("normal", "some zero"):
                values = numbers(rng, dtype, S.nnz)
                if kind == "some zero":
                    values[rng.random(S.nnz) < 0.2] = 0
                A = StridiagMatrix(S, values)
                for method in ("cyclic", "triangular") if max(lengths) == 1 else ("cyclic",):
                    F = A.factor(method=method)
                    if F.singular or (found := ratios(A, F)) is None:
                        continue
                    checked += 1
                    assert max(found) < THRESHOLD, (lengths, between, kind, found)
                    # The gradient never takes a solve, whatever lies between the cycles.
                    without_solves(F).inverse_on_pattern(transpose=True)
    assert checked > 40


@pytest.mark.parametrize("zeros", [(), (0,), (2,), (2, 3), (4, 0), (1, 3), (0, 1, 2)])
def test_zeros_on_a_cycle(zeros):
    rng = np.random.default_rng(4)
    d, c = rng.uniform(1, 2, (2, 5))
    d[list(zeros)] = 0
    A = StridiagMatrix.from_diagonals({0: d, 1: c[:-1], -4: c[-1:]})
    assert max(ratios(A, without_solves(A.factor(method="cyclic")))) < THRESHOLD
    B = StridiagMatrix.from_diagonals({0: c, 1: d[:-1], -4: d[-1:]})
    assert max(ratios(B, without_solves(B.factor(method="cyclic")))) < THRESHOLD


def test_products_along_a_cycle_beyond_the_exponent_range():
    rng = np.random.default_rng(5)
    compared = 0
    for low, high in ((200, 200), (-200, -200), (-90, 90), (-20, 20)):
        m = 30
        d, c = rng.uniform(1, 9, (2, m)) * 10.0 ** rng.choice([low, high], m)
        A = StridiagMatrix.from_diagonals({0: d, 1: c[:-1], 1 - m: c[-1:]})
        F = A.factor(method="cyclic")
        dd, cc = list(map(Fraction, d)), list(map(Fraction, c))
        exact = math.prod(dd) - math.prod(cc)
        if abs(exact) < max(math.prod(dd), math.prod(cc)) / 1000:
            continue
        along, against = F.inverse_on_pattern(), F.inverse_on_pattern(transpose=True)
        for i in range(m):
            rest = math.prod(x for k, x in enumerate(dd) if k not in (i, (i + 1) % m))
            around = (-1) ** (m - 1) * math.prod(x for k, x in enumerate(cc) if k != i)
            for result, truth in ((along, -cc[i] * rest / exact), (against, around / exact)):
                entry = result.values[A.structure.slots([i], [(i + 1) % m])[0]]
                if 1e-300 < abs(truth) < 1e300:
                    compared += 1
                    assert entry == pytest.approx(float(truth), rel=1e-11)
    assert compared > 100


@pytest.mark.parametrize(
    ("offsets", "method"),
    [((0, 3), "triangular"), ((-4, 0), "triangular"), ((-12, 0, 15), "triangular"), ((-10, 0, 14), "cyclic")],
)
def test_at_most_one_entry_beside_each_row_needs_no_solve(offsets, method):
    A = stridiag.random(24, offsets, rng=1, dominant=True)
    F = without_solves(A.factor(method=method))
    assert max(ratios(A, F)) < THRESHOLD


def test_a_way_around_is_found_by_solves():
    # Upper triangular with the offsets 1 and 2: the entry (i, i + 2) has two ways.
    A = stridiag.random(20, (0, 1, 2), rng=2, dominant=True)
    assert max(ratios(A, A.factor(method="triangular"))) < THRESHOLD
    F = without_solves(A.factor(method="triangular"))
    with pytest.raises(AssertionError, match="a solve"):
        F.inverse_on_pattern()
    gradient = F.inverse_on_pattern(transpose=True)
    np.testing.assert_allclose(gradient.toarray(), np.diag(1 / A.diagonal(0)), rtol=1e-15)


def test_graded_triangles_do_not_leave_the_range_in_between():
    A = StridiagMatrix.from_diagonals({0: [1e-200, 1e-200, 1e200, 1e200], 1: [1e-250, 1.0, 1e250]})
    found = A.factor(method="triangular").inverse_on_pattern().diagonal(1)
    np.testing.assert_allclose(found, [-1e150, -1.0, -1e-150], rtol=1e-14)


def tree(rng, n, parent):
    """Return the structure of a tree or forest, -1 for no parent, in a random order."""
    label = rng.permutation(n)
    child = 1 + np.flatnonzero(parent >= 0)
    rows, columns = label[child], label[parent[child - 1]]
    return Structure(n, (0,), (np.append(rows, columns), np.append(columns, rows)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_forests_need_no_solve(dtype):
    rng = np.random.default_rng(6)
    n = 40
    k = np.arange(1, n)
    some = np.where(rng.random(n - 1) < 0.3, -1, (rng.random(n - 1) * k).astype(int))
    for parent in (0 * k, k - 1, (rng.random(n - 1) * k).astype(int), some, 0 * k - 1):
        S = tree(rng, n, parent)
        rows, columns = S.coordinates()
        for kind in ("normal", "small diagonal", "some zero", "dominant"):
            values = numbers(rng, dtype, S.nnz)
            values[rows == columns] *= {"small diagonal": 1e-2, "dominant": n}.get(kind, 1)
            if kind == "some zero":
                values[(rng.random(S.nnz) < 0.3) & (rows != columns)] = 0
            A = StridiagMatrix(S, values)
            found = ratios(A, without_solves(A.factor(method="forest")))
            assert found is None or max(found) < THRESHOLD, (kind, found)


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
def test_trees_on_a_cycle_need_no_solve(dtype):
    rng = np.random.default_rng(7)
    core, n = 12, 50
    vertex = np.arange(n)
    parent = np.where(vertex < core, (vertex + 1) % core, (rng.random(n) * vertex).astype(int))
    rows, columns = vertex, parent
    # One way round the cycle, both ways on the trees.
    S = Structure(n, (0,), (np.append(rows, columns[core:]), np.append(columns, rows[core:])))
    A = StridiagMatrix(S, numbers(rng, dtype, S.nnz))
    F = A.factor(method="forest")
    assert F._members[0]._layout.core.plan.method == "cyclic"
    assert max(ratios(A, without_solves(F))) < THRESHOLD


@pytest.mark.parametrize("dtype", DTYPES)
def test_trees_on_other_cores(dtype):
    rng = np.random.default_rng(8)
    for n, core in ((6, 3), (30, 8), (60, 30)):
        i, j = np.triu_indices(core, 1)
        chosen = rng.random(i.size) < (0.3 if core == 30 else 1)
        leaf = np.arange(core, n)
        parent = (rng.random(leaf.size) * leaf).astype(int)
        i, j = np.append(i[chosen], leaf), np.append(j[chosen], parent)
        S = Structure(n, (0,), (np.append(i, j), np.append(j, i)))
        A = StridiagMatrix(S, numbers(rng, dtype, S.nnz))
        assert max(ratios(A, A.factor(method="forest"))) < THRESHOLD


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("method", [*METHODS, "core"])
def test_the_transposed_pattern_is_the_gradient_of_the_log_determinant(method, dtype):
    rng = np.random.default_rng(9)
    n = 16
    k = np.arange(1, n)
    S = {
        "triangular": Structure(n, (0, 1, 3)),
        "cyclic": cycles(rng, (3, 1, 6, 2, 4), 12),
        "forest": tree(rng, n, (rng.random(n - 1) * k).astype(int)),
        "core": Structure(n, (0,), (np.append(k, k[:8]), np.append(k // 2, k[:8] // 2 + 7))),
    }[method]
    A = StridiagMatrix(S, numbers(rng, dtype, S.nnz))
    method = "forest" if method == "core" else method
    gradient = A.factor(method=method).inverse_on_pattern(transpose=True).values
    step = 1e-6
    for slot in range(A.nnz):
        moved = []
        for change in (step, -step):
            values = A.values.copy()
            values[slot] += change
            moved.append(A.with_values(values).factor(method=method).slogdet().logabsdet)
        assert (moved[0] - moved[1]) / (2 * step) == pytest.approx(gradient[slot].real, rel=1e-5, abs=1e-6)


def test_batches_with_a_singular_member():
    rng = np.random.default_rng(10)
    for S, method in ((Structure(20, (-12, 0, 8)), "cyclic"), (tree(rng, 20, np.arange(19)), "forest")):
        values = rng.standard_normal((3, S.nnz))
        values[1] = 0
        B = StridiagMatrix(S, values)
        found = B.factor(method=method).inverse_on_pattern(transpose=True).values
        assert np.isnan(found[1]).all()
        alone = StridiagMatrix(S, values[2]).factor(method=method).inverse_on_pattern(transpose=True).values
        np.testing.assert_array_equal(found[2], alone)
