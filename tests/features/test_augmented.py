"""Invented items: events of a weight in short histories, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from tests.ranking.worlds import make_lists, taste_world
from tokenrec.compiler.augmenting import leak
from tokenrec.dataset.types import TEST, TUNE_A, TUNE_B
from tokenrec.features.columns import shuffle_vectors, token_columns
from tokenrec.features.types import Vectors


@pytest.fixture(scope="module")
def world():
    data, tastes = taste_world(seed=1, n_users=60, n_items=30, n_events=500, d=4)
    return data, tastes, make_lists(data, TEST)


def vectors(matrix, weight=None, under=5):
    subject, source = ("item", "raw_text") if weight is None else ("user", "imagined")
    columns = [f"e{j}" for j in range(matrix.shape[1])]
    augment = None if weight is None else (weight, under)
    return Vectors(source, "synthetic" if augment else "text", subject, matrix.astype(np.float32), columns, False, "enc", augment)


def columns_of(world, invented, weight, under=5):
    data, tastes, lists = world
    return token_columns(vectors(invented, weight, under), data, lists, item_vectors=vectors(tastes)).matrix


def invent(world, seed=0):
    data, tastes, _ = world
    return np.random.default_rng(seed).normal(size=(len(data.user_ids), tastes.shape[1]))


def test_an_invented_item_counts_its_weight_beside_real_ones(world):
    data, tastes, lists = world
    invented, weight, under = invent(world), 0.5, 6
    got = columns_of(world, invented, weight, under)
    assert got.shape == (len(lists.label), 1)
    e, centre = data.events, tastes.astype(np.float32).mean(0)
    active = np.bincount(e.user[lists.before], minlength=len(data.user_ids))
    some, most = 0, 0
    for row in range(0, len(lists.label), 23):
        user, item = lists.user[lists.list_of_row[row]], lists.item_of_row[row]
        liked = np.unique(e.item[lists.before & e.positive & (e.user == user)])
        total = (tastes[liked] - centre).sum(0)
        if active[user] <= under:
            some += 1
            total, n = total + weight * (invented[user] - centre), len(liked) + weight
        else:
            most += 1
            n = len(liked)
        profile, text = total / n, tastes[item] - centre
        assert got[row, 0] == pytest.approx(profile @ text / np.linalg.norm(profile) / np.linalg.norm(text), abs=1e-4)
    assert some > 10 and most > 10


def test_weight_nothing_and_no_invention_are_the_profile_as_it_is(world):
    data, tastes, lists = world
    raw = token_columns(vectors(tastes), data, lists)
    profile = raw.matrix[:, raw.names.index("raw_text.text.profile")]
    for invented, weight in ((invent(world), 0.0), (np.full((60, tastes.shape[1]), np.nan), 1.0)):
        np.testing.assert_allclose(columns_of(world, invented, weight)[:, 0], profile, atol=1e-5)
    assert np.abs(columns_of(world, invent(world), 1.0)[:, 0] - profile).max() > 0.1


def test_readers_with_longer_histories_are_left_alone(world):
    _, _, lists = world
    one, other = (columns_of(world, invent(world, seed), 1.0, under=5) for seed in (0, 1))
    moved = (one != other)[:, 0]
    assert moved[lists.sparse_list[lists.list_of_row]].mean() > 0.9
    assert not moved[~lists.sparse_list[lists.list_of_row]].any()


def test_the_placebo_deals_inventions_to_others_and_keeps_their_weight(world):
    made = vectors(invent(world), 0.5)
    dealt = shuffle_vectors(made, 0)
    assert dealt.augment == made.augment and (dealt.matrix != made.matrix).any()
    assert sorted(map(tuple, dealt.matrix)) == sorted(map(tuple, made.matrix))


def test_they_are_no_candidates_and_are_not_measured(world):
    data, tastes, lists = world
    assert lists.item_of_row.max() < len(data.item_ids) == len(tastes)


def test_an_invention_that_knows_what_comes_later_shows_as_a_leak(world):
    data, tastes, _ = world
    items = vectors(tastes)
    e = data.events
    told = invent(world)
    honest = leak(data, vectors(told, 1.0), items)
    assert honest[1] <= 2 * honest[2] + 2
    for user in np.unique(e.user):
        mine = np.flatnonzero((e.user == user) & e.positive & np.isin(e.window, (TUNE_A, TUNE_B)))
        if len(mine):
            told[user] = tastes[e.item[mine[0]]]
    n, own, dealt = leak(data, vectors(told, 1.0), items)
    assert own == n > 10 and own > 2 * dealt + 2
    test = replace(data, events=replace(e, window=np.where(e.window == TEST, TUNE_B, TEST).astype(np.int8)))
    assert leak(test, vectors(told, 1.0), items)[1] < own  # it looks at tune alone
