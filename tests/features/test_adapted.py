"""Columns of an adaptor: right rows, gaps, no later events, and better than a cosine where taste is crooked."""

import numpy as np

from tests.models.test_adaptor import SMALL
from tests.ranking.worlds import taste_world, windows
from tokenrec.features.adapted import adapted_columns, user_texts
from tokenrec.features.types import Vectors


def world(gap: bool = False):
    data, tastes = taste_world(seed=2, n_users=150, n_items=60, n_events=3000)
    if gap:
        tastes[7] = np.nan
    items = Vectors("about", "text", "item", tastes, [""] * tastes.shape[1], False, "enc")
    return data, items, windows(data)


def test_columns_of_all_windows():
    data, items, (fit, tune, test) = world(gap=True)
    made, adaptors = adapted_columns(items, data, fit, [tune, test], SMALL, folds=2)
    assert [c.matrix.shape for c in made] == [(len(x.label), 17) for x in (fit, tune, test)]
    assert made[0].names[:3] == ["about.text.adapted", "about.text.u0", "about.text.u1"] and len(adaptors) == 2
    for columns, lists in zip(made, (fit, tune, test), strict=True):
        silent = np.isnan(user_texts(items.matrix, data, lists)).any(axis=1)[lists.user][lists.list_of_row]
        gone = (lists.item_of_row == 7) | silent
        assert np.isnan(columns.matrix[gone, 0]).all() and np.isfinite(columns.matrix[~gone]).all()
    told = user_texts(items.matrix, data, test)
    some = np.flatnonzero((test.item_of_row != 7) & np.isfinite(told).all(axis=1)[test.user][test.list_of_row])[::97]
    for row in some:
        u, i = test.user[test.list_of_row[row]], test.item_of_row[row]
        mean = np.mean([a.score(told[[u]], items.matrix[[i]])[0, 0] for a in adaptors])
        assert np.isclose(made[2].matrix[row, 0], mean, atol=1e-4)


def test_it_ranks_what_users_take():
    data, items, (fit, _, test) = world()
    made, _ = adapted_columns(items, data, fit, [test], SMALL, vectors=False)
    assert made[1].matrix.shape[1] == 1
    score, lists = made[1].matrix[:, 0], test
    better = [np.mean(score[rows][lists.label[rows] == 1]) > np.mean(score[rows]) for rows in
              (slice(lists.indptr[k], lists.indptr[k + 1]) for k in range(len(lists)))]  # fmt: skip
    assert np.mean(better) > 0.7


def test_a_users_own_text_goes_before_the_mean_of_items():
    data, items, (_, _, test) = world()
    own = np.full((150, 6), np.nan, np.float32)
    own[3] = 1.0
    users = Vectors("reasoning", "text", "user", own, [""] * 6, False, "enc")
    told, plain = user_texts(items.matrix, data, test, users), user_texts(items.matrix, data, test)
    assert (told[3] == 1).all() and np.array_equal(np.delete(told, 3, 0), np.delete(plain, 3, 0), equal_nan=True)
