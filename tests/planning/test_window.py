"""What a moving window holds: by simulation, and which structures are given to it."""

import numpy as np
import pytest

import stridiag
from stridiag.factorization.window_lu import WindowLU
from stridiag.planning import plan
from stridiag.planning.band import BandLayout
from stridiag.planning.layout import NotApplicable
from stridiag.planning.window import PANEL, WindowLayout
from stridiag.testing import recording


def window(structure):
    return WindowLayout.build(structure, BandLayout.without_links(structure))


@pytest.mark.parametrize(("n", "offsets", "links"), [(1, (0,), 0), (50, (-3, 0, 9), 6), (300, (-29, 0, 17), 20)])
def test_rows_and_columns_are_those_of_a_simulation(n, offsets, links):
    structure = stridiag.random(n, offsets=offsets, links=links, rng=n).structure
    layout = window(structure)
    assert np.array_equal(np.sort(layout.columns), np.arange(n))
    rows, columns = structure.coordinates()
    place = np.argsort(layout.columns)[columns]
    entered = set()
    for t in range(-(-n // PANEL)):
        entered |= set(rows[place < PANEL * (t + 1)].tolist())
        inside = len(entered) - PANEL * t
        assert inside <= layout.heights[t] < inside + PANEL
        # Columns of rows in the window that have no slot in the ring.
        waiting = {c for r, c in zip(rows.tolist(), place.tolist(), strict=True) if r in entered}
        early = [c for c in waiting if c >= PANEL * (t + layout.ring)]
        assert layout.widths[t] >= len(early) + PANEL * layout.ring


def test_a_link_costs_a_column_or_a_row_and_one():
    n = 4000
    bare = window(stridiag.Structure(n, (-29, 0, 17)))
    for row, column in ((100, 3900), (3900, 100)):
        linked = window(stridiag.Structure(n, (-29, 0, 17), ([row], [column])))
        assert linked.heights.max() <= bare.heights.max() + PANEL
        assert linked.widths.max() <= bare.widths.max() + PANEL


def test_wide_bands_with_links_go_through_a_window():
    P = plan(stridiag.random(20_000, offsets=(-29, 0, 17), links=20, rng=0).structure)
    assert P.method == "band"
    assert isinstance(P.layout, WindowLayout)
    assert not P.operations.exact
    assert "window" in P.layout.describe()


def test_bands_too_wide_for_the_compiled_loops_do_too():
    offsets = (-60, -31, -1, 0, 1, 33, 61)
    assert isinstance(plan(stridiag.Structure(5000, offsets), method="band").layout, WindowLayout)
    assert isinstance(plan(stridiag.Structure(5000, (-5, 0, 7)), method="band").layout, BandLayout)


def test_what_a_window_does_not_serve():
    with pytest.raises(NotApplicable, match="main diagonal"):
        window(stridiag.Structure(100, (-3, 2)))
    with pytest.raises(NotApplicable, match="more than"):
        window(stridiag.Structure(5000, (-700, 0, 701)))


def test_bounds_hold_what_is_executed():
    A = stridiag.random(120, offsets=(-9, 0, 5), links=6, rng=0)
    layout = window(A.structure)
    with recording() as factor:
        lu = WindowLU(layout, A.values)
    vectors = WindowLU(layout, A.values)
    with recording() as solve:
        x = lu.solve(np.ones((120, 1)))
    with recording() as adjoint:
        y = lu.solve(np.ones((120, 1)), adjoint=True)
    # What ran were the plain loops.
    assert np.allclose(x, vectors.solve(np.ones((120, 1))), rtol=1e-10)
    assert np.allclose(y, vectors.solve(np.ones((120, 1)), adjoint=True), rtol=1e-10)
    sides = np.random.default_rng(0).standard_normal((120, 5))
    for transposed in (False, True):
        found = vectors.solve(sides.copy(), adjoint=transposed)
        with recording():
            assert np.allclose(lu.solve(sides.copy(), adjoint=transposed), found, rtol=1e-10)
    assert 0.5 * layout.cost.operations.solve < solve[0] <= layout.cost.operations.solve
    assert 0.5 * layout.cost.operations.solve < adjoint[0] <= layout.cost.operations.solve
    assert 0.05 * layout.cost.operations.factor < factor[0] <= layout.cost.operations.factor
    assert lu.nbytes <= layout.cost.bytes
