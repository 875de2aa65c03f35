"""What is eliminated before a window: by simulation on dense patterns, and where nothing is."""

import numpy as np
import pytest

import stridiag
from stridiag.planning.band import BandLayout
from stridiag.planning.window import WindowLayout
from stridiag.planning.window_thinning import MAX_PRODUCTS, thin

CASES = [(60, (-5, 0, 4), 0), (200, (-29, 0, 17), 12), (300, (-9, 0, 20), 3), (300, (-12, 0, 20), 10)]


def thinned(structure, **options):
    return thin(structure, BandLayout.without_links(structure), **options)


@pytest.mark.parametrize(("n", "offsets", "links"), CASES)
def test_entries_are_those_of_a_simulation(n, offsets, links):
    structure = stridiag.random(n, offsets=offsets, links=links, rng=n).structure
    thinning = thinned(structure)
    filled = np.zeros((n, n), bool)
    filled[structure.coordinates()] = True
    low = up = aim = 0
    rows, columns = np.full((2, thinning.slots), -1)
    rows[: structure.nnz], columns[: structure.nnz] = structure.coordinates()
    gone = np.zeros(n, bool)
    for e, (many, more) in zip(thinning.order.tolist(), thinning.counts.tolist(), strict=True):
        assert rows[thinning.main[e]] == columns[thinning.main[e]] == e
        gone[e] = True
        below = thinning.lower_rows[low : low + many]
        beside = thinning.upper_columns[up : up + more]
        assert sorted(below) == np.flatnonzero(filled[:, e] & ~gone).tolist()
        assert sorted(beside) == np.flatnonzero(filled[e] & ~gone).tolist()
        assert (rows[thinning.lower[low : low + many]] == below).all()
        assert (columns[thinning.upper[up : up + more]] == beside).all()
        filled[np.ix_(below, beside)] = True
        targets = thinning.targets[aim : aim + many * more].reshape(many, more)
        new = rows[targets] < 0
        rows[targets[new]] = np.broadcast_to(below[:, None], new.shape)[new]
        columns[targets[new]] = np.broadcast_to(beside, new.shape)[new]
        assert (rows[targets] == below[:, None]).all()
        assert (columns[targets] == beside).all()
        # May be used again.
        rows[thinning.lower[low : low + many]] = rows[thinning.upper[up : up + more]] = -1
        low, up, aim = low + many, up + more, aim + many * more
    assert (low, up, aim) == (thinning.lower.size, thinning.upper.size, thinning.targets.size)
    assert aim <= MAX_PRODUCTS * n
    assert sorted([*thinning.order, *thinning.kept]) == list(range(n))
    left = set(zip(rows[thinning.window.sources].tolist(), columns[thinning.window.sources].tolist(), strict=True))
    kept = np.zeros(n, bool)
    kept[thinning.kept] = True
    assert left == set(zip(*np.nonzero(filled & kept & kept[:, None]), strict=True))
    assert len(left) == thinning.window.sources.size
    assert thinning.window.n == thinning.kept.size


def test_most_are_eliminated_and_the_window_becomes_no_wider_than_twice():
    structure = stridiag.random(20_000, offsets=(-29, 0, 17), links=10, rng=0).structure
    thinning, layout = thinned(structure), WindowLayout.build(structure, BandLayout.without_links(structure))
    assert thinning.kept.size < structure.shape[0] / 6
    assert thinning.window.widths.max() <= 2 * layout.widths.max()
    assert thinning.window.numbers < layout.numbers / 4
    # The ends of links are left.
    assert np.isin([structure.link_rows, structure.link_columns], thinning.kept).all()


def test_where_it_is_not_worth_it():
    # Every unknown has neighbours at once.
    assert thinned(stridiag.Structure(500, range(-9, 10))) is None
    assert thinned(stridiag.Structure(500, tuple(range(-4, 5)))) is None
    assert thinned(stridiag.Structure(500, (-7, 0, 9)), rounds=0) is None
