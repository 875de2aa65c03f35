"""Hub rows and columns, stretched into a band."""

import numpy as np
import pytest

import stridiag
from stridiag import SingularMatrixError, StridiagMatrix, Structure, StructureError
from stridiag.factorization import multiply_out
from stridiag.planning.bordered import BorderedLayout
from stridiag.testing import THRESHOLD, factor_ratio, slogdet_ratio, solve_ratio

N = 60
BORDERS = [([N - 1], [N - 1]), ([N // 2], []), ([], [0]), ([0, N - 1], [0, N - 1]), ([N // 3], [N // 2, N - 1])]
KINDS = ["normal", "signs", "constant", "zero diagonal", "graded", "large hubs", "small hubs", "huge", "tiny"]


def bordered(offsets, rows, columns, kind="normal", dtype="float64", n=N, seed=0):
    rng = np.random.default_rng(seed)
    every = np.arange(n)
    links = [(np.full(n, r), every) for r in rows] + [(every, np.full(n, c)) for c in columns]
    S = Structure(n, offsets, tuple(np.concatenate(part) for part in zip(*links, strict=True)))
    v = rng.standard_normal(S.nnz) + (1j * rng.standard_normal(S.nnz) if dtype.startswith("c") else 0)
    first = S.starts[-1]
    if kind == "signs":
        v = np.sign(v.real)
    elif kind == "constant":
        for k in offsets:
            v[S.diagonal_slots(k)] = {-1: -0.9, 0: 0.99, 1: 1.0}.get(k, 0.3)
        v[first:] = 0.1
    elif kind == "zero diagonal":
        v[S.diagonal_slots(0)] = 0
    elif kind == "graded":
        grades = 10.0 ** (-12 * every / n)
        i, j = S.coordinates()
        v = v * grades[i] * grades[j]
    elif kind.endswith("hubs"):
        v[first:] *= {"large hubs": 1e6, "small hubs": 1e-6}[kind]
    elif kind in ("huge", "tiny"):
        v = v * {"huge": 1e150, "tiny": 1e-150}[kind]
    return StridiagMatrix(S, v.astype(dtype))


@pytest.mark.filterwarnings("ignore::stridiag.IllConditionedWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("offsets", [(0,), (-1, 0, 1), (-3, 0, 2)])
def test_solves_and_products(offsets, kind):
    solved = 0
    for rows, columns in BORDERS:
        for dtype in ("float64", "complex128") if kind in ("huge", "tiny", "graded") else ("float32", "complex64"):
            A = bordered(offsets, rows, columns, kind, dtype)
            F = A.factor(method="bordered")
            assert factor_ratio(A, F.reconstruct()) < THRESHOLD
            if F.singular:
                assert np.linalg.matrix_rank(A.toarray()) < N
                continue
            for trans, op in (("N", A), ("T", A.T), ("H", A.H)):
                b = op @ np.linspace(-1, 2, 2 * N).reshape(N, 2).astype(dtype)
                assert solve_ratio(A, F.solve(b, trans=trans), b, trans) < THRESHOLD
                solved += 1
    assert solved or kind == "zero diagonal"


@pytest.mark.parametrize(("rows", "columns"), BORDERS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_determinants_diagonals_of_inverses_and_factors(rows, columns, dtype):
    for offsets in ((-1, 0, 1), (-3, 0, 2)):
        A = bordered(offsets, rows, columns, dtype=dtype)
        F = A.factor(method="bordered")
        dense = A.toarray()
        condition = np.linalg.cond(dense)
        assert slogdet_ratio(F.slogdet(), np.linalg.slogdet(dense), N, condition, dtype=dtype) < THRESHOLD
        inverse = np.linalg.inv(dense)
        error = np.abs(F.inverse_diagonal() - np.diag(inverse)).max()
        assert error < 100 * np.finfo(dtype).eps * condition * np.abs(inverse).max()
        assert factor_ratio(A, multiply_out(F.factors(), np.eye(N, dtype=dtype))) < THRESHOLD
        i, j = A.structure.coordinates()
        for transpose, expected in ((False, inverse[i, j]), (True, inverse[j, i])):
            error = np.abs(F.inverse_on_pattern(transpose=transpose).values - expected).max()
            assert error < 100 * np.finfo(dtype).eps * condition * np.abs(inverse).max()


@pytest.mark.parametrize(("rows", "columns"), BORDERS)
@pytest.mark.parametrize("transpose", [False, True])
def test_the_inverse_at_the_pattern_is_read_off_the_stretched_one(rows, columns, transpose):
    A = bordered((-1, 0, 1), rows, columns)
    F = A.factor(method="bordered")
    member = F._members[0]
    inner, solve = member._inner, member.solve
    stretched = np.linalg.inv(inner.multiply(np.eye(member._layout.inner.n)))
    there = member._layout.inner.structure.coordinates()
    inner.inverse_on_pattern = lambda transpose: (stretched.T if transpose else stretched)[there]
    widths = []
    member.solve = lambda b, adjoint=False: widths.append(b.shape[1]) or solve(b, adjoint=adjoint)
    inverse = np.linalg.inv(A.toarray())
    i, j = A.structure.coordinates()
    expected = (inverse.T if transpose else inverse)[i, j]
    found = F.inverse_on_pattern(transpose=transpose).values
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.linalg.cond(A.toarray()))
    # A right-hand side for each hub, or none at all.
    assert sum(widths) == (0 if transpose else len(rows) + len(columns))


def test_a_singular_band_below_a_border_does_no_harm():
    # An elimination of the band first would divide by zero.
    A = bordered((-1, 0, 1), [N - 1], [N - 1])
    values = A.values.copy()
    i, j = A.structure.coordinates()
    values[(i == 20) & (j != N - 1)] = 0.0
    A = A.with_values(values)
    F = A.factor(method="bordered")
    b = np.linspace(0, 1, N)
    assert solve_ratio(A, F.solve(b), b) < THRESHOLD


@pytest.mark.parametrize("place", [0, 17, N - 1])
@pytest.mark.parametrize("line", [0, 1])
def test_zero_rows_and_columns_are_singular(line, place):
    A = bordered((-1, 0, 1), [N // 2], [N - 1])
    index = A.structure.coordinates()[line]
    F = A.with_values(np.where(index == place, 0.0, A.values)).factor(method="bordered")
    assert F.singular
    assert F.slogdet() == (0.0, -np.inf)
    with pytest.raises(SingularMatrixError):
        F.solve(np.ones(N))


def test_links_beside_the_hubs_and_bands_by_residues():
    base = bordered((-6, 0, 4), [N - 1], [3])
    i, j = base.structure.coordinates()
    S = Structure(N, (-6, 0, 4), (np.append(i, [10, 20]), np.append(j, [12, 16])))
    A = StridiagMatrix(S, np.random.default_rng(0).standard_normal(S.nnz))
    F = A.factor(method="bordered")
    b = np.linspace(0, 1, N)
    assert solve_ratio(A, F.solve(b), b) < THRESHOLD


def test_a_long_arrow_is_linear_and_taken_by_itself():
    n = 20_000
    A = bordered((-1, 0, 1), [n - 1], [n - 1], n=n)
    P = stridiag.plan(A.structure)
    assert P.method == "bordered"
    assert P.operations.factor < 1000 * n
    F = A.factor()
    b = np.ones(n)
    for trans in "NT":
        assert solve_ratio(A, F.solve(b, trans=trans), b, trans) < THRESHOLD


def test_structures_without_hubs_or_with_too_many_are_refused():
    with pytest.raises(StructureError, match="no row or column has more than 28 links"):
        stridiag.plan(Structure(50, (-1, 0, 1)), method="bordered")
    many = bordered((0,), range(9), [])
    with pytest.raises(StructureError, match="9 rows and columns have more than 20 links each, the limit is 8"):
        many.factor(method="bordered")
    layout = BorderedLayout.build(bordered((0,), range(8), []).structure)
    assert layout.hub_rows.size == 8
    assert layout.origins.size == layout.inner.n
