"""Plan is a frozen dataclass over arrays: == raised "truth value ... is ambiguous", hash "unhashable: ndarray"."""

import pickle

import stridiag


def test_a_plan_with_links_is_hashable_and_comparable():
    P = stridiag.plan(stridiag.Structure(1000, (-1, 0, 1), ([0], [500])))
    assert hash(P) == hash(P)
    assert pickle.loads(pickle.dumps(P)) == P
