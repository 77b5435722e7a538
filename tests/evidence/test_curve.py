"""The learning curve: nested shares, and where it is flat."""

import numpy as np

from tokenrec.evidence.curve import SHARES, Point, enough, first_of, thinned
from tokenrec.features.types import Vectors


def test_shares_are_nested_and_of_the_right_size():
    ids = [f"i{n}" for n in range(41)]
    parts = [first_of(ids, share) for share in SHARES]
    assert [len(p) for p in parts] == [4, 10, 20, 31, 41]
    assert all(a < b for a, b in zip(parts, parts[1:], strict=False)) and first_of(ids[::-1], 0.5) == parts[2]


def test_who_is_left_out_has_no_text():
    vectors = Vectors("t", "o", "item", np.ones((3, 2), np.float32), ["a", "b"], True, "s")
    thin = thinned(vectors, ["x", "y", "z"], {"y"})
    assert np.isnan(thin.matrix[[0, 2]]).all() and (thin.matrix[1] == 1).all() and (vectors.matrix == 1).all()


def curve(*lifts, low=0.01):
    return [Point(s, 0, lift, low, 1.0) for s, lift in zip((0.0, *SHARES), lifts, strict=True)]


def test_enough_is_where_it_stays_near_the_whole():
    assert enough(curve(0, 0.01, 0.05, 0.095, 0.098, 0.1)) == 0.5
    assert enough(curve(0, 0.095, 0.05, 0.06, 0.098, 0.1)) == 0.75  # a lucky early share is not enough
    assert enough(curve(0, 0.01, 0.02, 0.03, 0.04, 0.1)) == 1
    assert enough(curve(0, 0.01, 0.05, 0.095, 0.098, 0.1, low=-0.01)) is None
