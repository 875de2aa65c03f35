"""Orders, widths and counts of bands, decided without a number."""

import numpy as np
import pytest

import stridiag
from stridiag import Structure
from stridiag._kernels import band_lu, narrow_band
from stridiag.planning.band import BandLayout
from stridiag.planning.layout import NotApplicable
from stridiag.testing import count, counted


def dense(layout, values):
    """Write the rows of a band out as a matrix in the order of the band."""
    rows = layout.rows(values)
    result = np.zeros((layout.n, layout.n), values.dtype)
    for i, c in np.argwhere(rows):
        result[i, i - layout.lower + c] = rows[i, c]
    return result


@pytest.mark.parametrize(
    ("n", "offsets", "links", "order", "widths"),
    [
        (50, (-3, 0, 2), None, "natural", (2, 3)),
        (50, (-2, 0, 3), None, "natural", (2, 3)),
        (51, (-6, 0, 4), None, "residues", (2, 3)),
        (50, (-4, 4), None, "residues", (1, 1)),
        (50, (0, 3), None, "residues", (0, 1)),
        (50, (), ([3, 40], [5, 36]), "natural", (2, 4)),
        (51, (-6, 0, 4), ([7, 20], [9, 18]), "residues", (2, 3)),
        (51, (-6, 0, 4), ([7, 20], [10, 17]), "natural", (4, 6)),
        (400, (-21, 0, 20), None, "cuthill-mckee", None),
        (40, (-1, 0, 1), ([0], [39]), "natural", (1, 39)),
        (0, (), None, "natural", (0, 0)),
        (3, (), None, "natural", (0, 0)),
    ],
)
def test_every_entry_stands_where_the_layout_says(n, offsets, links, order, widths):
    S = Structure(n, offsets, links)
    A = stridiag.StridiagMatrix(S, np.arange(1.0, S.nnz + 1))
    layout = BandLayout.build(S)
    if widths is not None:
        assert (layout.order, layout.lower, layout.upper) == (order, *widths)
    assert layout.lower <= layout.upper
    places = layout.to_band(np.arange(n))
    np.testing.assert_array_equal(layout.positions(places), np.arange(n))
    np.testing.assert_array_equal(layout.from_band(places), np.arange(n))
    assert [layout.index(i) for i in range(n)] == places.tolist()
    expected = A.toarray()[np.ix_(places, places)]
    np.testing.assert_array_equal(dense(layout, A.values), expected)
    band = layout.lapack(A.values)
    assert band.flags.f_contiguous
    for i, j in np.argwhere(expected):
        assert band[layout.lower + layout.upper + i - j, j] == expected[i, j]
    assert np.count_nonzero(band) == A.nnz


def test_far_offsets_collapse_in_the_order_of_cuthill_and_mckee():
    layout = BandLayout.build(Structure(20_000, (-1001, 0, 1000)))
    assert layout.order == "cuthill-mckee"
    assert layout.upper <= 40


def test_a_plan_of_diagonals_holds_no_array():
    layout = BandLayout.build(Structure(10**7, (-6, 0, 4)))
    assert not any(isinstance(part, np.ndarray) for part in vars(layout).values())
    assert layout.cost.operations.exact
    assert 33 < layout.cost.operations.factor / 10**7 < 34


def test_a_band_too_wide_is_refused():
    with pytest.raises(NotApplicable, match="the narrowest band found has 2 sub-diagonals and 3 super-diagonals"):
        BandLayout.build(Structure(100, (-3, 0, 2)), max_bytes=1000)


def test_the_plan_takes_bands_by_price_and_says_so():
    P = stridiag.plan(Structure(20_000, offsets=(-6, 0, 4)))
    assert P.method == "band"
    assert "residue classes modulo 2" in str(P)
    assert P.operations.exact


@pytest.mark.parametrize("widths", [(1, 1), (1, 4), (2, 3), (3, 3), (4, 6), (0, 2), (0, 0)])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 6, 23])
@pytest.mark.parametrize("kind", ["random", "dominant", "zero diagonal"])
def test_counts_are_exact(n, widths, kind):
    kl, ku = (min(k, max(n - 1, 0)) for k in widths)
    S = Structure(n, range(-kl, ku + 1))
    rng = np.random.default_rng(n)
    values = rng.standard_normal(S.nnz)
    values[S.diagonal_slots(0)] *= {"random": 1.0, "dominant": 20.0, "zero diagonal": kl == 0}[kind]
    layout = BandLayout.build(S)
    operations = layout.cost.operations
    assert operations.exact
    rows, lower = counted(layout.rows(values)), counted(np.zeros((n, kl)))
    pivots = np.zeros(n, np.uint8)
    assert count(band_lu.factor, rows, lower, pivots, 0, -1) == operations.factor
    for solve in (band_lu.solve, band_lu.solve_adjoint):
        for m in (1, 3):
            assert count(solve, rows, lower, pivots, counted(rng.standard_normal((n, m)))) == m * operations.solve
    if kl:
        below, beside = (0,) * kl, (0,) * (kl + ku)
        again = counted(layout.rows(values)), counted(np.zeros((n, kl))), pivots
        assert count(narrow_band.factor, *again, below, beside) == operations.factor
        x = counted(rng.standard_normal((n, 1)))
        assert count(narrow_band.solve, *again, x, below, beside) == operations.solve


def test_bytes_are_those_of_the_factor():
    for offsets in ((-3, 0, 2), (-60, 0, 60, 61)):
        A = stridiag.random(500, offsets, 0, rng=1)
        assert A.factor(method="band").nbytes <= stridiag.plan(A.structure, method="band").bytes
    A = stridiag.random(500, (-3, 0, 2), 0, rng=1)
    assert A.factor(method="band").nbytes == stridiag.plan(A.structure, method="band").bytes
