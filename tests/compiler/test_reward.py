"""userAUC against a brute-force reading of its definition."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.ranking.worlds import dataset
from tokenrec.compiler.reward import NO_TOKEN, PENALTY, ItemAUC, UserAUC
from tokenrec.dataset.types import FIT, HISTORY, TEST, TUNE_A, TUNE_B


def world(seed=0, n_users=60, n_items=24, d=4):
    """Users who like one kind of item each, before and after."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, d, n_items)
    wants = rng.integers(0, d, n_users)
    user, item, window = [], [], []
    for w, n in ((HISTORY, 5), (FIT, 3), (TUNE_A, 2), (TUNE_B, 2), (TEST, 2)):
        for u in range(n_users):
            own = np.flatnonzero(kind == wants[u])
            picked = rng.choice(own, min(n, len(own)), replace=False)
            user += [u] * len(picked)
            item += list(picked)
            window += [w] * len(picked)
    return dataset(user, item, window, n_users, n_items), np.eye(d)[kind] + rng.normal(0, 0.01, (n_items, d)), kind


def test_a_perfect_text_scores_high_and_noise_half():
    data, vectors, kind = world()
    reward = UserAUC(data, vectors)
    items = reward.subjects()
    right = np.mean([reward.score(i, vectors[i]) for i in items])
    wrong = np.mean([reward.score(i, vectors[np.flatnonzero(kind != kind[i])[0]]) for i in items])
    rng = np.random.default_rng(1)
    noise = np.mean([reward.score(i, rng.normal(size=4)) for i in items for _ in range(40)])
    assert right > 0.85 and wrong < 0.45 and noise == pytest.approx(0.5, abs=0.06)


def test_saying_nothing_is_worth_half_and_a_rejected_text_less():
    data, vectors, _ = world()
    reward = UserAUC(data, vectors)
    item = reward.subjects()[0]
    assert reward.score(item, vectors.mean(axis=0)) == NO_TOKEN
    assert reward.score(item, None) == reward.score(item, np.full(4, np.nan)) == NO_TOKEN - PENALTY == 0.45


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_it_is_the_mean_percentile_of_the_likers(seed):
    """Popularity cancels; ties count half; users without a profile are left out."""
    rng = np.random.default_rng(seed)
    n_users, n_items, d, n = 9, 7, 3, 70
    window = rng.choice([HISTORY, FIT, TUNE_A, TUNE_B, TEST], n)
    data = dataset(
        rng.integers(0, n_users, n), rng.integers(0, n_items, n), window, n_users, n_items, rng.random(n) < 0.7
    )
    reference = rng.integers(0, 2, (n_items, d)).astype(float)
    reference[rng.random(n_items) < 0.2] = np.nan
    reference[0] = rng.normal(size=d)
    reward = UserAUC(data, reference)
    known = ~np.isnan(reference).any(axis=1)
    mean, scale = reference[known].mean(axis=0), np.maximum(reference[known].std(axis=0), 1e-6)
    e = data.events
    profile = {}
    for u in range(n_users):
        past = [i for i, w, p, v in zip(e.item, e.window, e.positive, e.user, strict=True)
                if v == u and p and w == HISTORY and known[i]]  # fmt: skip
        total = sum(((reference[i] - mean) / scale for i in past), np.zeros(d))
        if np.linalg.norm(total) > 1e-9:
            profile[u] = total / np.linalg.norm(total)
    assume(len(profile) > 1)
    for item in reward.subjects(least=1):
        vector = rng.normal(size=d)
        like = {u: p @ ((vector - mean) / scale) for u, p in profile.items()}
        later = {v for i, w, p, v in zip(e.item, e.window, e.positive, e.user, strict=True)
                 if i == item and p and w in (FIT, TUNE_A) and v in profile}  # fmt: skip
        least, most = (
            np.mean([np.mean([like[u] > like[o] + tie for o in profile if o != u]) for u in later])
            for tie in (1e-9, -1e-9)
        )
        score = reward.score(item, vector)
        assert least - 1e-9 <= score <= most + 1e-9
        if most - least > 0.3:  # many ties: half of each
            assert score == pytest.approx((least + most) / 2, abs=0.26)


def test_nothing_of_tune_b_or_test_is_seen():
    data, vectors, _ = world()
    e = data.events
    past = e.window <= TUNE_A
    cut = dataset(e.user[past], e.item[past], e.window[past], 60, 24)
    whole, part = UserAUC(data, vectors), UserAUC(cut, vectors)
    assert whole.subjects() == part.subjects()
    assert [whole.score(i, vectors[0]) for i in whole.subjects()] == [part.score(i, vectors[0]) for i in part.subjects()]


def plain_percentile(likeness, among, find):
    """The share of other items that each item to be found stands above, ties half."""
    others = [j for j in among if j not in find]
    return np.mean([(likeness[i] > likeness[j]) + (likeness[i] == likeness[j]) / 2 for i in find for j in others])


@pytest.fixture
def tastes():
    """(ItemAUC, items, kinds): each subject is to find the unseen items of its kind."""
    rng = np.random.default_rng(5)
    kind = np.arange(40) % 4
    items = np.eye(4)[kind] + rng.normal(0, 0.05, (40, 4))
    items[39] = np.nan
    find = {k: {i for i in range(20, 40) if kind[i] == k} for k in range(4)}
    return ItemAUC(items, find, {k: {i for i in range(20) if kind[i] == k} for k in range(4)}), items, kind


def test_a_text_about_a_user_is_worth_what_it_finds(tastes):
    reward, items, kind = tastes
    for k in range(4):
        assert reward.score(k, np.eye(4)[k]) == 1.0
        assert reward.score(k, np.eye(4)[(k + 1) % 4]) < 0.7  # chance, less the ones that it names
        assert reward.score(k, reward.mean) == NO_TOKEN
        assert reward.score(k, None) == reward.score(k, np.full(4, np.nan)) == NO_TOKEN - PENALTY
    vector = np.array([0.4, 0.3, 0.2, 0.9])
    centred = (vector - reward.mean) / np.linalg.norm(vector - reward.mean)
    likeness = np.round(reward.items @ centred, 9)
    among = [i for i in range(39) if i not in reward.seen[2]]
    assert reward.score(2, vector) == pytest.approx(plain_percentile(likeness, among, reward.find[2] - {39}))


def test_a_query_is_worth_the_half_that_it_was_not_shown(tastes):
    _, items, kind = tastes
    reward = ItemAUC.of_queries(items, {"hot": ([0, 4], [8, 12, 16])})
    assert reward.score("hot", items[0]) > 0.85 and reward.find == {"hot": {8, 12, 16}}
    shown_only = ItemAUC.of_queries(items, {"hot": ([0, 4], [1, 5])})
    assert shown_only.score("hot", items[0]) < 0.5  # what the prompt showed is no merit


def test_invented_history_is_worth_what_it_changes(tastes):
    reward, items, kind = tastes
    vague = [1, 2, 3]  # nothing of kind 0
    assert reward.score_history(0, vague, items[[4, 8]]) > 0.6
    assert reward.score_history(0, vague, items[vague]) == pytest.approx(0.5, abs=0.01)
    assert reward.score_history(0, [0, 4], items[[1, 5, 9, 13]]) < 0.5
    assert reward.score_history(0, vague, None) == NO_TOKEN - PENALTY


def test_a_users_score_sees_no_list_after_tune_a():
    """Nor is a user of tune-B scored, who is to judge what was chosen."""
    data, vectors, _ = world()
    e = data.events
    half = np.where(np.isin(e.window, (TUNE_A, TUNE_B)), np.where(e.user % 2, TUNE_A, TUNE_B), e.window)
    other = np.where(half > TUNE_A, (e.item + 7) % 24, e.item)
    whole, part = (ItemAUC.of_users(dataset(e.user, i, half, 60, 24), vectors) for i in (e.item, other))
    assert whole.find == part.find and whole.find and all(u % 2 for u in whole.find)
    assert all(whole.score(u, vectors[0]) == part.score(u, vectors[0]) for u in whole.find)


def test_what_item_holdout_keeps_for_test_is_not_scored():
    data, vectors, _ = world()
    held = np.arange(24) % 5 == 0
    whole, part = UserAUC(data, vectors), UserAUC(dataclasses.replace(data, held=held), vectors)
    assert part.subjects() == [i for i in whole.subjects() if not held[i]]
    e = data.events
    alone = dataset(e.user, e.item, np.where(e.window == TUNE_B, TEST, e.window), 60, 24)
    whole, part = (ItemAUC.of_users(d, vectors) for d in (alone, dataclasses.replace(alone, held=held)))
    assert {i for f in part.find.values() for i in f} == {i for f in whole.find.values() for i in f if not held[i]}


def test_a_cold_objective_asks_a_users_text_for_cold_items():
    data, vectors, _ = world(n_items=48)
    e = data.events
    posed = np.arange(48) % 4 == 0
    alone = dataclasses.replace(dataset(e.user, e.item, np.where(e.window == TUNE_B, TEST, e.window), 60, 48), posed=posed)
    likes = np.bincount(e.item[(e.window == HISTORY) & ~posed[e.item]], minlength=48)
    found = {s: {i for f in ItemAUC.of_users(alone, vectors, slice=s).find.values() for i in f}
             for s in ("all", "cold_items", "warm")}  # fmt: skip
    assert found["cold_items"] == {i for i in found["all"] if likes[i] <= 2} >= set(np.flatnonzero(posed)) & found["all"]
    assert found["warm"] == found["all"] - found["cold_items"] and found["warm"]
