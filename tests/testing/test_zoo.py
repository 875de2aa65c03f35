"""The zoo has what it says it has: its tags are checked, not believed."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import stridiag
from stridiag import StridiagMatrix
from stridiag.testing import LONG_SIZES, SIZES, Case, closed_forms, families, zoo
from stridiag.testing._modular import is_singular
from stridiag.testing.strategies import matrices, structures, vectors_for

# To be found is enough: shrinking would take most of the time.
QUICK = settings(max_examples=3000, phases=[Phase.generate], database=None)
ALL = list(zoo())
DOUBLE = [case for case in ALL if case.matrix.dtype == np.float64]
NAMES = {
    "singular",
    "ill-conditioned",
    "chain",
    "links",
    "rectangular",
    "growth",
    "graded",
    "scaled",
    "huge",
    "tiny",
    "exact",
    "empty",
    "wide",
    "triangular",
    "rank-deficient",
    "singular-segment",
}


def of_family(name):
    return [case for case in ALL if case.name.startswith(f"{name}/")]


# ---------------------------------------------------------------------- the walk


def test_names_are_unique_and_every_family_has_members():
    assert max(Counter(case.name for case in ALL).values()) == 1
    for name in families():
        assert of_family(name), name
    assert len(families()) >= 20


def test_deterministic_and_independent_of_what_else_is_asked_for():
    again = {case.name: case for case in zoo(sizes=[10], dtypes=["complex64", "float64"])}
    compared = 0
    for case in ALL:
        if case.name in again:
            assert again[case.name].matrix.equals(case.matrix), case.name
            assert again[case.name].tags == case.tags
            compared += 1
    assert compared == len(again) > 100


def test_sizes_dtypes_and_families():
    assert {case.matrix.dtype.name for case in ALL} == {"float32", "float64", "complex64", "complex128"}
    sizes = {case.matrix.shape[0] for case in ALL if "rectangular" not in case.tags}
    assert sizes == set(SIZES) | set(LONG_SIZES)
    grown = {case.matrix.shape[0] for case in ALL if "growth" in case.tags}
    assert set(LONG_SIZES) <= grown
    only = list(zoo(sizes=[4, 6], dtypes=[np.float32], families=["links", "wide"]))
    assert {case.name.partition("/")[0] for case in only} == {"links", "wide"}
    assert {case.matrix.shape for case in only} == {(4, 4), (6, 6)}
    assert {case.matrix.dtype.name for case in only} == {"float32"}
    assert list(zoo(sizes=[])) == list(zoo(families=[])) == list(zoo(dtypes=[])) == []


def test_unknown_requests_are_refused_at_once():
    with pytest.raises(ValueError, match=r"families must be one of 'offsets', .*got 'nonsense'"):
        zoo(families=["nonsense"])
    with pytest.raises(ValueError, match=r"dtypes must be one of .*got dtype"):
        zoo(dtypes=[int])


def test_cases_are_frozen_and_printable():
    case = ALL[0]
    assert isinstance(case, Case)
    assert str(case) == case.name
    with pytest.raises(AttributeError):
        case.name = "other"
    assert hash(case) == hash(case)


def test_real_and_complex_members_share_their_structure():
    by_name = {case.name: case for case in ALL}
    for case in DOUBLE:
        if "rank-deficient" in case.tags:
            continue
        twin = by_name[case.name.replace("float64", "complex64")]
        assert twin.matrix.structure == case.matrix.structure, case.name
        assert twin.tags == case.tags


# ---------------------------------------------------------------------- what must be in it


def test_every_tag_occurs_and_no_other():
    assert {tag for case in ALL for tag in case.tags} == NAMES


def test_all_values_are_finite_and_complex_ones_are_complex():
    for case in ALL:
        assert np.isfinite(case.matrix.values).all(), case.name
        if case.matrix.dtype.kind == "c" and case.matrix.nnz > 3 and case.matrix.values.any():
            assert (case.matrix.values.imag != 0).any() or "singular" in case.tags, case.name


def test_offsets_of_every_kind():
    pairs = {(-c.matrix.offsets[0], c.matrix.offsets[-1]) for c in DOUBLE if len(c.matrix.offsets) == 3}
    assert {(1, 1), (2, 2), (8, 8), (3, 2), (4, 1), (29, 17)} <= pairs
    for n in (5, 10, 50, 333):
        sums = {
            sum(abs(k) for k in c.matrix.offsets)
            for c in of_family("wide")
            if c.matrix.shape == (n, n) and len(c.matrix.offsets) == 3
        }
        assert {n, n + 1, 2 * n - 2} <= sums
    assert any(len(case.matrix.offsets) == 5 for case in DOUBLE)
    assert any(case.matrix.offsets == () and case.matrix.nnz == 0 for case in DOUBLE)
    assert {(0,), (0, 1), (-1, 0), (-1, 1)} <= {case.matrix.offsets for case in DOUBLE}


@pytest.mark.parametrize("n", [5, 10, 50, 333])
def test_links_in_every_place(n):
    cases = [case for case in DOUBLE if case.matrix.shape == (n, n)]
    links = {
        (int(r), int(c))
        for case in cases
        for r, c in zip(case.matrix.structure.link_rows, case.matrix.structure.link_columns, strict=True)
    }
    assert {(0, n - 1), (n - 1, 0)} <= links
    for border in ({(0, k) for k in range(2, n)}, {(k, n - 1) for k in range(n - 2)}):
        assert border <= links
        assert {(c, r) for r, c in border} <= links
    # Next to a chain: two columns from the main diagonal, one beyond the neighbour.
    assert (n // 2, n // 2 + 2) in links
    counts = {case.matrix.structure.link_count for case in cases}
    assert 0 in counts
    assert max(counts) >= n // 4


def test_values_of_every_size():
    for tag, double, single in (("huge", 1e299, 1e35), ("tiny", 1e-299, 1e-35)):
        for case in ALL:
            if tag in case.tags:
                top = abs(case.matrix.values).max(initial=0)
                limit = double if case.matrix.dtype in (np.float64, np.complex128) else single
                good = top > limit if tag == "huge" else top < limit
                assert good or case.matrix.nnz == 0, case.name
    graded = [case for case in DOUBLE if "graded" in case.tags]
    spread = [abs(c.matrix.diagonal()).max() / abs(c.matrix.diagonal()).min() for c in graded]
    assert min(spread) > 1e12
    assert max(spread) > 1e150


def test_growth_families_are_the_dangerous_ones():
    """Partial pivoting on the chain alone, with the two columns left of it kept: those columns grow."""

    def growth(case):
        dense = case.matrix.toarray()
        n = min(dense.shape[0], 256)
        # Two kept columns 0 and 1; eliminate columns 2, 3 ... over all rows that touch them.
        active = [dense[1].copy(), dense[2].copy()]
        worst = 0.0
        for j in range(2, n - 1):
            active.append(dense[j + 1].copy())
            pivot = active.pop(max(range(len(active)), key=lambda k: abs(active[k][j])))
            if pivot[j]:
                active = [row - row[j] / pivot[j] * pivot for row in active]
            worst = max(worst, *(abs(row[:2]).max() for row in active))
        return worst

    long = [c for c in DOUBLE if "growth" in c.tags and c.matrix.shape == (256, 256) and "links" not in c.tags]
    values = {case.name: growth(case) for case in long}
    assert values["growth-constant/0.9-chain-256-float64"] > 1e15
    assert values["growth-random/signs-chain-256-float64"] > 1e6
    assert growth(next(c for c in DOUBLE if c.name == "second-difference/dirichlet-333-float64")) < 10


# ---------------------------------------------------------------------- tags


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_singular_is_singular_and_nothing_else_is(dtype):
    checked = Counter()
    for case in ALL:
        rows, columns = case.matrix.shape
        scaled = {"huge", "tiny", "scaled", "graded", "ill-conditioned"} & case.tags
        if case.matrix.dtype != dtype or rows != columns or not 0 < rows <= 50 or scaled:
            continue
        values = np.linalg.svd(case.matrix.toarray(), compute_uv=False)
        singular = values[-1] <= 1e-12 * values[0]
        assert singular == ("singular" in case.tags), (case.name, values[-1] / values[0])
        checked[bool(singular)] += 1
    assert min(checked[True], checked[False]) > 40


def test_long_growth_cases_are_rightly_called_singular():
    """By the exact continuant, an algorithm of its own, where there are no links."""
    checked = Counter()
    for case in DOUBLE:
        if "growth" in case.tags and "links" not in case.tags and case.matrix.shape[0] > 300:
            sign, _ = closed_forms.tridiagonal_slogdet(case.matrix)
            assert (sign == 0) == ("singular" in case.tags), case.name
            checked[sign == 0] += 1
    assert min(checked[True], checked[False]) >= 2


def test_ill_conditioned_ones_are():
    for case in DOUBLE:
        if "ill-conditioned" in case.tags and 10 <= case.matrix.shape[0] <= 50:
            with np.errstate(all="ignore"):
                values = np.linalg.svd(case.matrix.toarray(), compute_uv=False)
            assert values[-1] < 1e-7 * values[0], case.name


def test_structural_tags():
    for case in ALL:
        structure = case.matrix.structure
        assert ("links" in case.tags) == (structure.link_count > 0)
        assert ("rectangular" in case.tags) == (not structure.is_square)
        assert ("empty" in case.tags) == (0 in structure.shape)
        if "chain" in case.tags:
            assert len({abs(k) for k in structure.offsets if k}) <= 1
            assert structure.is_square
        if "wide" in case.tags:
            assert structure.offsets[-1] - structure.offsets[0] >= structure.shape[0]
        if "exact" in case.tags:
            values = case.matrix.values
            assert np.array_equal(values, np.round(values.real) + 1j * np.round(values.imag))
            assert abs(values).max(initial=0) < 2**24
        if "triangular" in case.tags:
            assert structure.link_count == 0
            assert min(structure.offsets) * max(structure.offsets) == 0


def test_rank_deficient_ones_are():
    found = 0
    for case in DOUBLE:
        if "rank-deficient" in case.tags and min(case.matrix.shape) <= 60:
            assert np.linalg.matrix_rank(case.matrix.toarray()) < min(case.matrix.shape)
            found += 1
    assert found > 5


def test_singular_segments():
    """A block of ones on three diagonals, of order 2 or 5: singular, within a matrix that is not."""
    for case in DOUBLE:
        if "singular-segment" in case.tags:
            n = case.matrix.shape[0]
            dense = case.matrix.toarray()
            starts = [s for s in range(n - 1) if np.linalg.matrix_rank(dense[s : s + 2, s : s + 2]) < 2]
            longer = [s for s in range(n - 4) if np.linalg.matrix_rank(dense[s : s + 5, s : s + 5]) < 5]
            assert starts or longer, case.name
            assert np.linalg.cond(dense) < 1e9


@given(st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_singularity_of_integers_is_decided_exactly(n, seed):
    rng = np.random.default_rng(seed)
    dense = rng.integers(-2, 3, (n, n)) * (rng.random((n, n)) < 0.6)
    # Fraction-free reference: Gaussian elimination over the rationals.
    rows = [[Fraction(int(v)) for v in row] for row in dense]
    rank = 0
    for column in range(n):
        pivot = next((k for k in range(rank, n) if rows[k][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for k in range(rank + 1, n):
            factor = rows[k][column] / rows[rank][column]
            rows[k] = [a - factor * b for a, b in zip(rows[k], rows[rank], strict=True)]
        rank += 1
    assert is_singular(StridiagMatrix.from_dense(dense)) == (rank < n)


# ---------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("n", [0, 1, 2, 3, 6, 9, 20])
def test_clement(n):
    A = closed_forms.clement(n).toarray()
    assert np.allclose(sorted(np.linalg.eigvals(A).real), sorted(closed_forms.clement_eigenvalues(n)), atol=1e-4)
    sign, log = closed_forms.clement_slogdet(n)
    assert sign == closed_forms.tridiagonal_slogdet(closed_forms.clement(n))[0]
    if sign:
        assert np.isclose(log, np.linalg.slogdet(A)[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 6, 20])
@pytest.mark.parametrize("entries", [(-1, 2, -1), (-0.9, 0.99, 1), (1, 0, 1), (1, 1, 1), (0, 3, 5)])
def test_toeplitz(n, entries):
    A = closed_forms.toeplitz(n, *entries).toarray()
    eigenvalues = closed_forms.toeplitz_eigenvalues(n, *entries)
    assert np.isclose(np.prod(eigenvalues), np.linalg.det(A), rtol=1e-10, atol=1e-10)
    sign, log = closed_forms.toeplitz_slogdet(n, *entries)
    assert np.isclose(sign * np.exp(log), np.linalg.det(A), rtol=1e-12, atol=1e-10)
    if entries == (1, 1, 1):
        assert (sign == 0) == (n % 3 == 2)


def test_second_difference():
    for n in (0, 1, 2, 7, 40):
        A, inverse = closed_forms.second_difference(n), closed_forms.second_difference_inverse(n)
        assert np.allclose(A @ inverse, np.eye(n), atol=1e-12)
        assert np.isclose(closed_forms.toeplitz_slogdet(n, -1, 2, -1)[1], np.log(n + 1), atol=1e-15)


@pytest.mark.parametrize("n", [1, 2, 3, 10])
@pytest.mark.parametrize("alpha", [0.5, -2.0, 1.0, -1.0])
def test_circulant(n, alpha):
    A = closed_forms.circulant(n, alpha).toarray()
    sign, log = closed_forms.circulant_slogdet(n, alpha)
    assert np.isclose(sign * np.exp(log), np.linalg.det(A), atol=1e-12)
    if sign:
        assert np.allclose(A @ closed_forms.circulant_inverse(n, alpha), np.eye(n), atol=1e-12)
    if alpha == 1.0:
        assert np.allclose(closed_forms.difference_circulant_pinv(n), np.linalg.pinv(A), atol=1e-14)


def test_circulant_of_order_zero():
    assert closed_forms.circulant(0).shape == (0, 0)
    assert closed_forms.circulant_slogdet(0, 1.0) == (1.0, 0.0)
    assert closed_forms.difference_circulant_pinv(0).shape == (0, 0)


@given(matrices(square=True, dtypes=["float64", "float32"], max_links=0))
def test_exact_determinant_of_tridiagonal_matrices(A):
    if not set(A.offsets) <= {-1, 0, 1}:
        with pytest.raises(ValueError, match="offsets -1, 0 and 1"):
            closed_forms.tridiagonal_slogdet(A)
        return
    sign, log = closed_forms.tridiagonal_slogdet(A)
    rows = [[Fraction(float(v)) for v in row] for row in A.toarray()]

    def determinant(minor):
        if not minor:
            return Fraction(1)
        return sum(
            (-1) ** k * value * determinant([row[:k] + row[k + 1 :] for row in minor[1:]])
            for k, value in enumerate(minor[0])
            if value
        )

    exact = determinant(rows)
    assert sign == (exact > 0) - (exact < 0)
    if exact:
        assert abs(np.exp(log - np.log(float(abs(exact)))) - 1) < 1e-12


def test_exact_determinant_beyond_the_range_of_floats():
    n = 2000
    sign, log = closed_forms.toeplitz_slogdet(n, 1e-5, 1e-5, 1e5)
    _, reference = np.linalg.slogdet(closed_forms.toeplitz(n, 1e-5, 1e-5, 1e5).toarray())
    assert abs(log - reference) < 1e-9
    assert sign in (1, -1)
    for bad in (
        stridiag.random(4, links=1, rng=0),
        stridiag.random((2, 3), (0,)),
        stridiag.random(3, dtype="c8"),
    ):
        with pytest.raises(ValueError, match="expected"):
            closed_forms.tridiagonal_slogdet(bad)


# ---------------------------------------------------------------------- strategies


@pytest.mark.parametrize(
    "wanted",
    [
        lambda S: S.shape[0] > S.shape[1] > 0 and S.link_count > 0,
        lambda S: 0 in S.shape and S.shape != (0, 0),
        lambda S: S.shape == (0, 0),
        lambda S: S.shape[0] > 3 and {1 - S.shape[0], S.shape[1] - 1} <= set(S.offsets),
        lambda S: len(S.offsets) == 5,
        lambda S: not S.offsets and S.link_count > 3,
        lambda S: S.link_count and S.link_rows[0] == 0 and S.link_columns[0] == S.shape[1] - 1 > 4,
    ],
)
def test_structures_cover(wanted):
    find(structures(), wanted, settings=QUICK)


def test_matrices_cover():
    for dtype in ("float32", "float64", "complex64", "complex128"):
        find(matrices(), lambda A, dtype=dtype: A.dtype == dtype and A.nnz > 2, settings=QUICK)
    find(matrices(), lambda A: A.nnz > 3 and (A.values == 0).any() and (A.values != 0).any(), settings=QUICK)
    find(
        matrices(),
        lambda A: A.nnz > 3 and abs(A.values).max() > 1e10 * abs(A.values).min() > 0,
        settings=QUICK,
    )


@given(matrices(square=True), matrices(square=False), st.data())
def test_arguments_of_the_strategies(square, rectangular, data):
    assert square.structure.is_square
    assert not rectangular.structure.is_square
    rows, columns = rectangular.shape
    assert data.draw(vectors_for(rectangular)).shape == (columns,)
    assert data.draw(vectors_for(rectangular, side="left")).shape == (rows,)
    block = data.draw(vectors_for(rectangular, max_columns=3, dtype="complex64"))
    assert block.shape[0] == columns
    assert block.shape[1] <= 3
    assert block.dtype == np.complex64
    assert np.isfinite(square.values).all()
    small = data.draw(matrices(max_size=3, dtypes=["float32"]))
    assert max(small.shape) <= 3
    assert small.dtype == np.float32


def test_vectors_refuse_other_sides():
    with pytest.raises(ValueError, match="side must be 'right' or 'left', got 'up'"):
        find(vectors_for(stridiag.random(3, rng=0), side="up"), bool)
