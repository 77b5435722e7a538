"""Selective generation in worlds of known worth: who gains is found, and profiles are not forgotten."""

import numpy as np
import pytest
from scipy import sparse

from tests.ranking.worlds import flat_lists
from tokenrec.evidence.arms import ArmScores
from tokenrec.evidence.uplift import gains, grow, likeness, reliability, worth
from tokenrec.ranking.metrics import relevant_ranks

TAUGHT = np.full(60, 100.0)


def histories(rng, n_users=200, n_items=60, each=8, popular=2.0):
    """float[users, items]: what each user liked; items are the more popular the smaller their number."""
    weight = np.exp(-popular * np.arange(n_items) / n_items * 3)
    weight[-15:] = 0  # new items: nobody has liked them yet
    liked = np.zeros((n_users, n_items), np.float32)
    for u in range(n_users):
        liked[u, rng.choice(n_items, each, replace=False, p=weight / weight.sum())] = 1
    return sparse.csr_matrix(liked)


def test_likeness_is_the_share_of_variance_that_belongs_to_the_user():
    rng = np.random.default_rng(0)
    n_users, each = 400, 6
    own = np.repeat(rng.normal(size=(n_users, 3)), each, axis=0)
    for share in (0.1, 0.5):
        items = np.sqrt(share) * own + np.sqrt(1 - share) * rng.normal(size=own.shape)
        liked = sparse.csr_matrix(np.kron(np.eye(n_users), np.ones(each)).astype(np.float32))
        assert likeness(items, liked) == pytest.approx(share, abs=0.05)
    assert likeness(np.full((5, 3), np.nan), sparse.csr_matrix(np.ones((2, 5)))) == 0.01


def test_reliability_is_spearman_brown():
    count = np.array([0, 1, 2, 4])
    assert reliability(count, 0.5) == pytest.approx([0, 0.5, 2 / 3, 0.8])
    rng = np.random.default_rng(1)  # the squared correlation of a mean of 4 with the truth
    truth = rng.normal(size=20000)
    mean = truth + rng.normal(size=(4, 20000)).mean(axis=0)
    assert np.corrcoef(truth, mean)[0, 1] ** 2 == pytest.approx(0.8, abs=0.01)


def test_without_worth_the_items_that_stand_for_most_users_come_first():
    liked = histories(np.random.default_rng(2))
    able = np.ones(60, bool)
    chosen = grow(np.zeros(60, bool), 6, able, liked, 0.05)
    likes = np.asarray(liked.sum(axis=0)).ravel()
    assert chosen.sum() == 6 and likes[chosen].min() >= np.sort(likes)[-10]
    able[np.flatnonzero(chosen)[0]] = False
    assert not grow(np.zeros(60, bool), 6, able, liked, 0.05)[~able].any()


def test_new_items_are_chosen_with_the_history_that_makes_them_useful():
    """Only new items gain as candidates. The best set of all has both, and growing finds nearly its value."""
    rng = np.random.default_rng(3)
    liked, value = histories(rng), np.zeros(60)
    value[-15:] = rng.uniform(0.5, 1.5, 15)
    start = np.zeros(60, bool)
    start[[0, 50]] = True
    chosen = grow(start, 15, np.ones(60, bool), liked, 0.1, value, TAUGHT)

    def worth_of(some):
        return value[some].sum() * reliability(np.asarray(liked[:, some].sum(axis=1)).ravel(), 0.1).mean()

    assert chosen[[0, 50]].all() and chosen.sum() == 15
    assert 4 < chosen[-15:].sum() < 12
    by_worth, by_likes = np.argsort(-value)[:15], np.argsort(-np.asarray(liked.sum(axis=0)).ravel())[:15]
    best = max(
        worth_of(np.concatenate([np.argsort(-value)[:k], by_likes[: 15 - k]])) for k in range(16)
    )
    assert worth_of(chosen) >= 0.95 * best > 0 == worth_of(by_worth) == worth_of(by_likes)


def test_a_large_step_chooses_nearly_as_well(monkeypatch):
    rng = np.random.default_rng(4)
    liked, value = histories(rng), rng.uniform(0, 1, 60)
    start = np.arange(60) < 3
    one = grow(start, 30, np.ones(60, bool), liked, 0.1, value, TAUGHT)
    monkeypatch.setattr("tokenrec.evidence.uplift.STEPS", 3)
    many = grow(start, 30, np.ones(60, bool), liked, 0.1, value, TAUGHT)
    assert many.sum() == 30 and (one & many).sum() >= 24


def test_gains_are_of_the_relevant_subject_and_the_slice():
    rng = np.random.default_rng(5)
    lists = flat_lists(rng)
    before, after = rng.normal(size=(2, len(lists.label)))
    scores = ArmScores(lists, {}, {"a": relevant_ranks(before, lists), "b": relevant_ranks(after, lists)})
    rows = np.flatnonzero(lists.label)
    change = 1 / np.log2(1 + scores.ranks["b"]) - 1 / np.log2(1 + scores.ranks["a"])
    everything, times = gains(scores, "b", "a", 15)
    assert times.sum() == len(rows) and (everything[times == 0] == 0).all()
    assert everything.sum() == pytest.approx(change.sum())
    item = lists.item_of_row[rows[0]]
    assert everything[item] == pytest.approx(change[lists.item_of_row[rows] == item].sum())
    cold, warm = (gains(scores, "b", "a", 15, s)[0] for s in ("cold_items", "warm"))
    assert cold + warm == pytest.approx(everything) and cold.any() and warm.any()
    users, _ = gains(scores, "b", "a", 12, of="user")
    assert users[3] == pytest.approx(change[lists.list_of_row[rows] == 3].sum())
    sparse_ones, _ = gains(scores, "b", "a", 12, "sparse_users", "user")
    assert (sparse_ones[~lists.sparse_list] == 0).all()


def test_what_the_ranker_learns_from_is_not_forgotten():
    """Of two items that are alike, the one that the fit window's lists want is written about."""
    liked, value, taught = sparse.csr_matrix(np.ones((20, 4), np.float32)), np.ones(4), np.array([0, 0, 30.0, 0])
    assert grow(np.arange(4) == 0, 2, np.ones(4, bool), liked, 0.1, value, taught).tolist() == [True, False, True, False]


def test_worth_follows_who_gains_and_is_nothing_for_noise():
    rng = np.random.default_rng(6)
    n = 600
    cold = (rng.random(n) < 0.3).astype(float)
    known = np.stack([cold, rng.normal(size=n), np.ones(n)], axis=1)
    treated, able, times = rng.random(n) < 0.15, np.ones(n, bool), rng.poisson(2 + 2 * (1 - cold))
    gain = times * (rng.normal(0, 0.02, n) - 0.01 + treated * (0.05 * cold))
    found = worth(gain, times, treated, able, known)
    assert 0.03 < found[cold == 1].mean() < 0.13  # the truth is .05 twice; slopes from few texts are shrunk
    assert found[cold == 0].mean() < found[cold == 1].mean() and (found >= 0).all()
    hurt = worth(times * (-0.05 * treated + rng.normal(0, 0.01, n)), times, treated, able, known)
    assert hurt.max() == 0
    few = np.zeros(n, bool)
    few[np.flatnonzero(times)[:3]] = True
    assert not worth(gain, times, few, able, known).any()
