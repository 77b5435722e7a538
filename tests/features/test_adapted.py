"""Columns of an adaptor: right rows, gaps, no later events, and better than a cosine where taste is crooked."""

import numpy as np
import pytest

from tests.models.test_adaptor import SMALL
from tests.ranking.worlds import taste_world, windows
from tokenrec.features.adapted import adapted_columns, fit_adapted, fit_pca, fold_of, pair_texts, user_texts
from tokenrec.features.types import Vectors


def world(gap: bool = False, n_users: int = 150, n_items: int = 60, n_events: int = 3000):
    data, tastes = taste_world(seed=2, n_users=n_users, n_items=n_items, n_events=n_events)
    if gap:
        tastes[7] = np.nan
    return data, tastes, windows(data)


def vectors(matrix, subject="item", output="text", space="enc", named=False):
    return Vectors("about", output, subject, matrix, [""] * matrix.shape[1], named, space)


@pytest.mark.parametrize(("columns", "width"), [("pair", 2), ("products", 10), ("vectors", 26)])
def test_columns_of_all_windows(columns, width):
    data, items, (fit, tune, test) = world(gap=True)
    made = fit_adapted(items, None, data, fit, SMALL, folds=2, columns=columns)
    assert len(made.adaptors) == 4 and made.folds == 2
    for lists in (fit, tune, test):
        got = adapted_columns(made, "about", items, None, data, lists)
        assert got.matrix.shape == (len(lists.label), width) and got.names[:2] == ["about.adapted", "about.match"]
        silent = np.isnan(user_texts(items, data, lists)).any(axis=1)[lists.user][lists.list_of_row]
        gone = (lists.item_of_row == 7) | silent
        assert np.isnan(got.matrix[gone, :2]).all() and np.isfinite(got.matrix[~gone]).all()


@pytest.mark.parametrize("window", [0, 2])
def test_a_pair_is_scored_by_the_adaptor_that_has_seen_neither(window):
    data, items, all_lists = world()
    fit, lists = all_lists[0], all_lists[window]
    made = fit_adapted(items, None, data, fit, SMALL, folds=2, columns="vectors")
    got = adapted_columns(made, "about", items, None, data, lists).matrix
    told = user_texts(items, data, lists)
    user_fold, item_fold = fold_of(data.user_ids, 2), fold_of(data.item_ids, 2)
    assert 0.2 < user_fold.mean() < 0.8 and 0.2 < item_fold.mean() < 0.8
    seen = np.isfinite(told).all(axis=1)[lists.user][lists.list_of_row]
    for row in np.flatnonzero(seen)[::97]:
        u, i = lists.user[lists.list_of_row[row]], lists.item_of_row[row]
        own = made.adaptors[user_fold[u] * 2 + item_fold[i]]
        short = own.adapt("user", told[[u]])[0], own.adapt("item", items[[i]])[0]
        cosine = short[0] @ short[1] / np.linalg.norm(short[0]) / np.linalg.norm(short[1])
        assert np.allclose(got[row, :2], [own.score(told[[u]], items[[i]])[0, 0], cosine], atol=1e-4)
        assert np.allclose(got[row, 2:], [*(short[0] * short[1]), *short[0], *short[1]], atol=1e-4)


def test_it_ranks_what_users_take():
    """Of pairs whose user and item no adaptor has seen."""
    data, items, (fit, _, test) = world(n_users=300, n_items=150, n_events=6000)
    made = fit_adapted(items, None, data, fit, SMALL)
    score, lists = adapted_columns(made, "about", items, None, data, test).matrix[:, 0], test
    better = [np.mean(score[rows][lists.label[rows] == 1]) > np.mean(score[rows]) for rows in
              (slice(lists.indptr[k], lists.indptr[k + 1]) for k in range(len(lists)))]  # fmt: skip
    assert np.mean(better) > 0.8


def test_pca_is_a_projection_of_the_same_size():
    data, items, (_, _, test) = world(gap=True)
    made = fit_pca(items, out=3)
    got = adapted_columns(made, "about", items, None, data, test)
    told, known = user_texts(items, data, test), np.isfinite(items).all(axis=1)
    centred = items[known] - items[known].mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    short = made.adaptors[0].adapt("item", items)
    assert np.allclose(np.abs(short[known]), np.abs(u * s)[:, :3], atol=1e-4) and np.isnan(short[7]).all()
    row = int(np.flatnonzero(test.item_of_row == 3)[0])
    of_user = made.adaptors[0].adapt("user", told[[test.user[test.list_of_row[row]]]])[0]
    assert np.isclose(got.matrix[row, 0], of_user @ short[3], atol=1e-4)


def test_which_texts_a_source_pairs():
    items, users = np.arange(12.0).reshape(4, 3), np.ones((5, 3))
    half = np.where([[True], [True], [False], [False]], np.nan, items)
    other = np.where([[True], [False], [False], [False]], np.nan, 2 * items)
    mean, none = pair_texts([vectors(half), vectors(other, output="more"), vectors(items, named=True)])
    assert none is None and np.isnan(mean[0]).all()
    assert np.allclose(mean[1:], [2 * items[1], 1.5 * items[2], 1.5 * items[3]])
    assert pair_texts([vectors(items, named=True)]) is None and pair_texts([vectors(users, "user")]) is None
    got = pair_texts([vectors(users, "user")], [vectors(items, space="no"), vectors(2 * items), vectors(items)])
    assert np.array_equal(got[0], items) and np.array_equal(got[1], users)


def test_too_few_lists_teach_nothing():
    data, items, (fit, *_) = world()
    users = np.full((150, items.shape[1]), np.nan)
    users[:20] = 1.0
    assert fit_adapted(items, users, data, fit, SMALL) is None
