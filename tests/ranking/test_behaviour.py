"""Behaviour columns: the textbook numbers, the right gaps, nothing from the window itself."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from tests.ranking.worlds import dataset, make_lists, taste_world
from tokenrec.dataset.types import FIT, HISTORY, TEST
from tokenrec.ranking import behaviour
from tokenrec.ranking.behaviour import NAMES, behaviour_columns
from tokenrec.ranking.metrics import mean, per_list, relevant_ranks


@pytest.fixture(scope="module")
def world():
    data, _ = taste_world(seed=3, n_users=80, n_items=40, n_events=2500)
    return data, make_lists(data, TEST)


def clicks(data, lists):
    x = np.zeros((len(data.user_ids), len(data.item_ids)))
    e = data.events
    keep = lists.before & e.positive
    x[e.user[keep], e.item[keep]] = 1
    return x


def standard(score, lists):
    out = np.empty(len(score))
    for a, b in zip(lists.indptr[:-1], lists.indptr[1:], strict=True):
        out[a:b] = (score[a:b] - np.nanmean(score[a:b])) / np.nanstd(score[a:b])
    return out


def test_ease_equals_steck_whichever_side_is_solved(world):
    data, lists = world
    x = clicks(data, lists)
    inverse = np.linalg.inv(x.T @ x + behaviour.PENALTIES[0] * np.eye(x.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    expected = (x @ weights)[lists.user[lists.list_of_row], lists.item_of_row]
    got = behaviour_columns(data, lists)
    ease = got.matrix[:, NAMES.index("ease")]
    known = ~np.isnan(ease)
    expected = standard(np.where(known, expected, np.nan), lists)
    assert known.any() and np.allclose(ease[known], expected[known], atol=1e-3)
    narrow = behaviour._ease(behaviour.liked_matrix(data, lists.before)[:20], behaviour.PENALTIES[0])  # fewer users than items
    few = np.linalg.inv(x[:20].T @ x[:20] + behaviour.PENALTIES[0] * np.eye(x.shape[1]))
    unseen = x[:20] == 0
    assert np.allclose(narrow(np.arange(20))[unseen], (x[:20] @ (-few / np.diag(few)))[unseen], atol=1e-6)


def test_the_penalty_is_the_one_that_ranks_the_lists_best(world):
    data, lists = world
    alone = {}
    for penalty in behaviour.PENALTIES:
        ease = behaviour_columns(data, lists, penalty).matrix[:, NAMES.index("ease")]
        alone[penalty] = mean(per_list(relevant_ranks(np.nan_to_num(ease), lists), lists, "ndcg@10"))
    assert len(set(alone.values())) > 1
    assert behaviour.choose_penalty(data, lists, "ndcg@10") == max(alone, key=alone.get)
    bare = replace(lists, before=np.zeros_like(lists.before))
    assert behaviour.choose_penalty(data, bare, "ndcg@10") == behaviour.PENALTIES[0]


def test_item_knn_is_the_mean_shrunk_cosine(world):
    data, lists = world
    x = clicks(data, lists)
    both = x.T @ x
    cosine = both / (np.sqrt(np.outer(np.diag(both), np.diag(both))) + behaviour.SHRINK)
    np.fill_diagonal(cosine, 0)
    expected = (x @ cosine / np.maximum(x.sum(1, keepdims=True), 1))[lists.user[lists.list_of_row], lists.item_of_row]
    got = behaviour_columns(data, lists).matrix[:, NAMES.index("item_knn")]
    known = ~np.isnan(got)
    assert np.allclose(got[known], expected[known], atol=1e-5)
    assert np.array_equal(~known, (x.sum(0) == 0)[lists.item_of_row] | (x.sum(1) == 0)[lists.user[lists.list_of_row]])


def test_only_the_nearest_neighbours_count(world, monkeypatch):
    data, lists = world
    monkeypatch.setattr(behaviour, "NEIGHBOURS", 3)
    near = behaviour._neighbours(behaviour.liked_matrix(data, lists.before))
    assert np.diff(near.tocsc().indptr).max() == 3


def test_last_liked_item_age_and_popularity_of_a_world_small_enough_to_read():
    #          user 0 likes 0, 1, then dislikes 2; user 1 likes 0, 1, 2; user 2 acts in fit only
    user, item = [0, 0, 1, 1, 1, 0, 2], [0, 1, 0, 1, 2, 2, 1]
    data = dataset(user, item, [HISTORY] * 6 + [FIT], 3, 4, positive=[1, 1, 1, 1, 1, 0, 1])
    lists = make_lists(data, FIT)
    got = dict(zip(NAMES, behaviour_columns(data, lists).matrix.T, strict=True))
    assert lists.user.tolist() == [2] and lists.item_of_row.tolist() == [0, 1, 2, 3]
    assert np.allclose(got["popularity"], np.log((np.array([2, 2, 1, 0]) + 0.1) / 1.35))
    assert np.allclose(got["item_age"], [5, 4, 1, np.nan], equal_nan=True)
    assert np.isnan(got["item_knn"]).all()  # user 2 has no past
    assert (got["user_activity"] == 0).all()
    assert behaviour._last_liked(data, lists.before)[:2].tolist() == [1, 2]


def test_the_window_itself_is_never_looked_at(world):
    data, lists = world
    e = data.events
    item, time = np.where(lists.before, e.item, 0), np.where(lists.before, e.time, 1e9)
    other = replace(e, item=item.astype(np.int32), time=time)
    a, b = behaviour_columns(data, lists), behaviour_columns(replace(data, events=other), lists)
    assert np.array_equal(a.matrix, b.matrix, equal_nan=True)


def test_every_score_beats_chance_where_people_have_tastes(world):
    data, lists = world
    got = behaviour_columns(data, lists)
    chance = mean(per_list(relevant_ranks(np.random.default_rng(0).random(len(lists.label)), lists), lists, "ndcg@10"))
    for name in ("popularity", "popularity_recent", "item_knn", "ease", "pure_svd"):
        ranks = relevant_ranks(got.matrix[:, NAMES.index(name)], lists)
        assert mean(per_list(ranks, lists, "ndcg@10")) > 1.2 * chance, name


def test_files_without_times_say_nothing_of_recency(world):
    data, lists = world
    for without in (replace(data, split="given"), replace(data, split="item_holdout", timed=False)):
        got = dict(zip(NAMES, behaviour_columns(without, lists).matrix.T, strict=True))
        for name in NAMES:
            assert np.isnan(got[name]).all() == (name in ("popularity_recent", "item_age", "last_item_knn"))


def test_a_world_without_a_past_gives_gaps_and_no_warnings(world):
    data, lists = world
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = behaviour_columns(data, replace(lists, before=np.zeros_like(lists.before)))
    assert np.isnan(got.matrix[:, NAMES.index("ease")]).all()
    assert not np.isinf(got.matrix).any()


def test_repeats_exactly(world):
    data, lists = world
    assert np.array_equal(behaviour_columns(data, lists).matrix, behaviour_columns(data, lists).matrix, equal_nan=True)
