"""What an item costs those below it, and that two-way intervals which count it hold."""

import numpy as np
import pytest

from tokenrec.dataset.types import TEST, Lists
from tokenrec.evidence.arms import ArmScores
from tokenrec.evidence.distractors import costs, distractor_parts
from tokenrec.evidence.statistics import compare, estimate
from tokenrec.ranking.metrics import SLICES, Contributions, per_list, relevant_ranks


def lists_of(label, missed=0, cold=None):
    """Every user has every item as a candidate; `label` is bool[users, items]."""
    users, items = label.shape
    cold = np.zeros(items, bool) if cold is None else cold
    return Lists(
        TEST, np.arange(users, dtype=np.int32), np.arange(users + 1) * items, np.repeat(np.arange(users), items).astype(np.int32),
        np.tile(np.arange(items), users).astype(np.int32), label.ravel().astype(np.uint8), np.full(users, missed, np.int32),
        np.zeros(0, bool), np.tile(cold, users), np.arange(users) % 2 == 0,
    )  # fmt: skip


def arms_of(lists, **scores):
    flat = {name: s.ravel().astype(np.float32) for name, s in scores.items()}
    return ArmScores(lists, flat, {name: relevant_ranks(s, lists) for name, s in flat.items()})


@pytest.mark.parametrize("slice", SLICES)
@pytest.mark.parametrize("metric", ["ndcg@3", "recall@3", "mrr@3"])
def test_an_item_costs_what_its_list_gains_without_it(metric, slice):
    rng = np.random.default_rng(4)
    users, items = 16, 9
    label = rng.random((users, items)) < 0.35
    label[:, 0] = True
    lists = lists_of(label, missed=1, cold=np.arange(items) % 2 == 0)
    score = rng.integers(0, 6, (users, items))  # many ties
    rows, found = costs(score.ravel().astype(float), lists, metric, slice)
    cost = np.zeros(users * items)
    cost[rows] = found

    def value(score):
        ranks = relevant_ranks(score.ravel().astype(float), lists)
        return np.nan_to_num(per_list(ranks, lists, metric, slice))

    for i in range(items):
        without = score.astype(float)
        without[:, i] = -np.inf
        foreign = ~label[:, i]  # a relevant item takes its own part along
        assert cost.reshape(users, items)[foreign, i] == pytest.approx((value(without) - value(score))[foreign])
    assert cost.any()


@pytest.mark.parametrize("metric", ["ndcg@3", "recall@3", "mrr@3"])
def test_what_all_items_do_is_no_items_own(metric):
    rng = np.random.default_rng(5)
    label = rng.random((30, 9)) < 0.35
    label[:, 0] = True
    base = rng.normal(size=label.shape)
    scores = arms_of(lists_of(label), base=base, arm=base + label, same=base + 0.0)
    assert distractor_parts(scores, "arm", "base", metric).value.sum() == pytest.approx(0, abs=1e-9)
    same = distractor_parts(scores, "same", "base", metric)
    assert np.bincount(same.item, same.value) == pytest.approx(np.zeros(9), abs=1e-9)


KINDS = {  # (trust in taste, its spread over items, lift by luck, lift of new items) of the arm and of the base
    "lifted": ((0.5, 0, 0.5, 0), (0.5, 0, 0.5, 0)),
    "trusted": ((0.5, 0.5, 0, 0), (0.5, 0.5, 0, 0)),
    "better": ((0.8, 0, 0.2, 0), (0.5, 0, 0.2, 0)),
    "better of new items": ((0.8, 0.2, 0.3, 2), (0.4, 0.2, 0.3, 2)),
    "lifts new items": ((0.5, 0, 0.2, 2), (0.5, 0, 0.2, 0)),
}


def world(rng, kind, users=250, items=60):
    """Two arms as two prompts make them: each knows how much each user likes an item, of some items better by luck, and
    lifts items everywhere, some by luck, new ones together. Where new items are lifted, they are what people like."""
    new = np.arange(items) < 12
    liking = np.where(new, 0, -2.5) if "new" in kind else -0.03 * np.arange(items)
    taste = rng.normal(size=(users, items))
    liked = np.argsort(-(taste + rng.gumbel(size=taste.shape) + liking), axis=1)[:, :3]
    label = np.zeros(taste.shape, bool)
    np.put_along_axis(label, liked, True, axis=1)

    def arm(trust, spread, lift, fresh):
        known = np.clip(trust + spread * rng.normal(size=items), 0, 1)
        everywhere = lift * rng.normal(size=items) + fresh * new
        return known * taste + everywhere + 0.5 * rng.normal(size=taste.shape)

    arm, base = (arm(*how) for how in KINDS[kind])
    return arms_of(lists_of(label), arm=arm, base=base)


def covered(kind, worlds, seed, metric="ndcg@10"):
    """Shares of 95% intervals that hold the truth (the worlds' mean), and mean standard error as a multiple of the true
    spread: with distractors, with the relevant item's part alone, with users alone."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(worlds):
        scores = world(rng, kind)
        one, other = (scores.contributions(a, metric) for a in ("arm", "base"))
        part = estimate(Contributions(one.list, one.item, one.value - other.value, one.member))
        every = [compare(scores, "arm", "base", metric), part, compare(scores, "arm", "base", metric, by="user")]
        made.append([(d.value, d.se, *d.interval()) for d in every])
    value, se, low, high = np.moveaxis(np.array(made), 2, 0)
    truth = value[:, 0].mean() if KINDS[kind][0] != KINDS[kind][1] else 0.0
    return ((low <= truth) & (truth <= high)).mean(axis=0), se.mean(axis=0) / value[:, 0].std(), truth


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_hold_what_is_true(kind):
    """Over 400 worlds they cover .95, .94, .96, .90 and .97, users alone .80, .83, .94, .81 and .92; the relevant item's
    part alone covers nearly all, with errors of 1.4 to 2.6 times the true spread."""
    (share, relevant_only, users_only), (width, wide, _), truth = covered(kind, 120, 7)
    assert 0.87 <= share <= 1 and 0.7 < width < 1.3 and relevant_only >= share
    assert wide > 1.15 * width
    if kind != "better":
        assert users_only < share
    assert ("better" in kind or "new" in kind) == (truth > 0.02)
