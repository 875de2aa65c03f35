"""The inverse on the pattern of bands, with and without links: every entry passes through one recurrence."""

import numpy as np
import pytest

import stridiag
from stridiag import StridiagMatrix, Structure
from stridiag.factorization.band import BandLU, factor_band
from stridiag.factorization.band_condensation import BandCondensation
from stridiag.factorization.inverse_entries import KnowsPattern
from stridiag.planning import band as planning
from stridiag.planning.band import BandLayout
from stridiag.planning.band_condensation import BandCondensationLayout
from stridiag.planning.residue_band import ResidueBand
from stridiag.testing import zoo

DTYPES = ("float32", "float64", "complex64", "complex128")
OFFSETS = (
    (-1, 0, 1),
    (-3, 0, 2),
    (-2, 0, 3),
    (0, 1, 3),
    (-2, -1, 0),
    (-6, 0, 4),
    (-4, 0, 6),
    (-3, -1, 1, 4),
    (-2, 1),
    (-5, 7),
)
# Few widths: kernels are compiled for each of them, and for that of the mirrored band.
CONDENSED = ((-3, 0, 2), (-2, 0, 3), (-4, 0, 6), (0, 1, 2), (-2, -1, 0), (-2, 0, 1, 2))


def worst_ratio(A, found):
    """Return the largest error, of the inverse and of its transpose, in units n eps cond max|Z|; None if too large."""
    n, eps = A.shape[0], np.finfo(A.dtype).eps
    M = A.toarray().astype(np.result_type(A.dtype, "float64"))
    scale = 2.0 ** -np.floor(np.log2(np.abs(M).max(initial=0.0) or 1.0))
    M = M * scale
    condition = np.linalg.cond(M)
    if not condition * n * eps < 1e-2:
        return None
    # Not numpy.linalg.inv, which loses digits on the growth families.
    Q, R = np.linalg.qr(M)
    Z = np.linalg.solve(R, Q.conj().T) * scale
    rows, columns = A.structure.coordinates()
    unit = n * eps * condition * np.abs(Z).max()
    return max(
        np.abs(found(transpose=t) - e).max() / unit for t, e in ((False, Z[rows, columns]), (True, Z.T[rows, columns]))
    )


def matrix(n, offsets, links, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    structure = Structure(n, [k for k in offsets if abs(k) < n], links)
    values = rng.standard_normal(structure.nnz) + (1j * rng.standard_normal(structure.nnz) if dtype[0] == "c" else 0)
    # Stored zeros are part of the pattern.
    values[4::11] = 0
    return StridiagMatrix(structure, values.astype(dtype))


@pytest.mark.parametrize("way", ["compiled", "lapack"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bands_of_all_widths_and_orders(way, dtype, monkeypatch):
    if way == "lapack":
        monkeypatch.setattr(planning, "COMPILED_WIDTH", -1)
    checked = {}
    for offsets in OFFSETS:
        for n in (1, 2, 3, 5, 9, 24, 40):
            links = np.random.default_rng(n).integers(0, n, (2, 3)) if n in (9, 40) else ([], [])
            A = matrix(n, offsets, links, dtype, seed=n)
            for layout in (BandLayout.build(A.structure), BandLayout._by_cuthill_mckee(A.structure)):
                ratio = worst_ratio(A, BandLU(layout, A.values).inverse_on_pattern)
                if ratio is not None:
                    assert ratio < 30, (offsets, n)
                    kind = layout.order, layout.backwards
                    checked[kind] = checked.get(kind, 0) + 1
    assert len(checked) == 6


@pytest.mark.parametrize("dtype", DTYPES)
def test_bands_over_the_zoo(dtype):
    checked = 0
    for case in zoo(sizes=(1, 2, 3, 10, 50) if dtype == "float64" else (3, 10), dtypes=[dtype]):
        A = case.matrix
        if not A.structure.is_square or "singular" in case.tags:
            continue
        scaled = A.with_values(A.values / np.abs(A.values).max())
        D = factor_band(BandLayout.build(A.structure), scaled.values)
        if D.singularity is not None or not isinstance(D, KnowsPattern):
            continue
        ratio = worst_ratio(scaled, D.inverse_on_pattern)
        assert ratio is None or ratio < 30, case.name
        checked += ratio is not None
    assert checked > 30


@pytest.mark.parametrize("dtype", DTYPES)
def test_condensed_bands_with_segments_of_every_length(dtype):
    rng = np.random.default_rng(3)
    checked = 0
    offsets = ((-3, 0, 2), (-2, 0, 3), (-4, 0, 6)) if dtype != "float64" else CONDENSED
    for k in range(90):
        n = int(rng.integers(12, 70))
        links = rng.integers(0, n, (2, int(rng.integers(0, n // 6 + 2))))
        if k % 3 == 0:
            links = np.concatenate((links, [[0, n - 1, n - 1], [n - 1, 0, n // 2]]), axis=1)
        A = matrix(n, offsets[k % len(offsets)], links, dtype, seed=k)
        layout = BandCondensationLayout.build(ResidueBand.of(A.structure), longest=int(rng.choice([5, 11, 512])))
        D = BandCondensation(layout, A.values)
        if D.singularity is not None:
            continue
        ratio = worst_ratio(A, D.inverse_on_pattern)
        assert ratio is None or ratio < 30, k
        checked += ratio is not None
    assert checked > 40


@pytest.mark.parametrize("method", ["band", "condensation"])
@pytest.mark.parametrize("offsets", [(-3, 0, 2), (-2, 0, 3)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_gradient_of_the_log_determinant(offsets, dtype, method):
    A = stridiag.random(40, offsets, 2, rng=5, dtype=dtype, dominant=True)
    gradient = A.factor(method=method).inverse_on_pattern(transpose=True)
    assert gradient.structure == A.structure
    step = 1e-6
    for k in range(A.nnz):
        values = np.stack([A.values, A.values])
        values[:, k] += step, -step
        high, low = (A.with_values(v).factor(method=method).slogdet().logabsdet for v in values)
        assert (high - low) / (2 * step) == pytest.approx(gradient.values[k].real, abs=1e-8)


@pytest.mark.parametrize("offsets", [(-3, 0, 2), (-2, 0, 3)])
def test_long_condensed_bands_agree_with_solves_without_using_them(offsets, monkeypatch):
    A = stridiag.random(5_000, offsets, 3, rng=2, dominant=True)
    F = A.factor(method="condensation")
    rows, columns = A.structure.coordinates()
    some = np.concatenate((np.arange(0, A.nnz, 97), np.arange(A.nnz - 3, A.nnz)))
    expected = [F.inverse_entries(rows[some], columns[some]), F.inverse_entries(columns[some], rows[some])]
    monkeypatch.setattr(BandCondensation, "solve", None)
    for transpose in (False, True):
        found = F.inverse_on_pattern(transpose=transpose).values[some]
        np.testing.assert_allclose(found, expected[transpose], atol=1e-15)


def test_no_solve_is_needed_however_long(monkeypatch):
    monkeypatch.setattr(BandLU, "solve", None)
    n = 20_000
    # Powers of a shift: Z has 2^-k at distance 3 k above the diagonal, zeros elsewhere.
    A = StridiagMatrix.from_diagonals({0: 1.0, 3: -0.5, -2: 0.0}, shape=n)
    F = A.factor(method="band")
    for transpose in (False, True):
        Z = F.inverse_on_pattern(transpose=transpose)
        assert (Z.diagonal(0) == 1).all()
        assert (Z.diagonal(3) == (0 if transpose else 0.5)).all()
        assert (Z.diagonal(-2) == 0).all()
    assert (A.T.factor(method="band").inverse_on_pattern().diagonal(-3) == 0.5).all()


def test_what_overflows_on_the_way_comes_from_solves(monkeypatch):
    A = stridiag.random(12, (-2, 0, 3), 2, rng=1, dominant=True)
    monkeypatch.setattr("stridiag.factorization.band.band_lu.inverse_in_band", lambda *given: given[-1].fill(np.inf))
    rows, columns = A.structure.coordinates()
    Z = np.linalg.inv(A.toarray())
    F = A.factor(method="band")
    np.testing.assert_allclose(F.inverse_on_pattern().values, Z[rows, columns], atol=1e-14)
    np.testing.assert_allclose(F.inverse_on_pattern(transpose=True).values, Z[columns, rows], atol=1e-14)
