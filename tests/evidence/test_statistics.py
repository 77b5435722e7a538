"""Intervals hold what they promise, in worlds whose truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tokenrec.evidence.power import promotion_alpha, smallest_lift, smallest_lift_two_way
from tokenrec.evidence.statistics import Difference, estimate, holm, pigeonhole_draws, user_draws
from tokenrec.evidence.verdicts import verdict
from tokenrec.ranking.metrics import Contributions


def pairs(rng, users=400, items=60, user_sd=0.0, item_sd=0.0, pair_sd=1.0, mean=0.0):
    """One to five relevant items a user, long-tailed; effects of users, items and pairs."""
    popular = 1 / (np.arange(items) + 5)
    lists = np.repeat(np.arange(users), rng.integers(1, 6, users))
    cell = np.unique(lists * items + rng.choice(items, len(lists), p=popular / popular.sum()))
    lists, item = cell // items, cell % items
    effect = mean + rng.normal(0, user_sd, users)[lists] + rng.normal(0, item_sd, items)[item]
    value = (effect + rng.normal(0, pair_sd, len(lists))) / np.bincount(lists)[lists]
    return Contributions(lists.astype(np.int32), item.astype(np.int32), value, np.ones(users, bool))


@pytest.mark.parametrize("effects", [{}, {"user_sd": 1.0}, {"item_sd": 0.3}])
def test_ninety_five_percent_intervals_cover_about_that(effects):
    """Measured over 400 worlds: pairs alone .958, users .968, items .952 (user bootstrap there: .75)."""
    rng = np.random.default_rng(11)
    hits = [low <= 0 <= high for low, high in (estimate(pairs(rng, **effects)).interval() for _ in range(400))]
    assert 0.92 <= np.mean(hits) <= 0.985


def test_users_alone_are_too_sure_when_items_move_many_of_them():
    rng = np.random.default_rng(12)
    intervals = [estimate(pairs(rng, item_sd=0.3), "user").interval() for _ in range(150)]
    hits = [low <= 0 <= high for low, high in intervals]
    assert np.mean(hits) < 0.88


def test_pigeonhole_draws_spread_as_the_closed_form_says():
    """V_pigeonhole = V_user + V_item + V_pair (Owen 2007); `estimate` takes 2 V_pair off."""
    one = pairs(np.random.default_rng(1), item_sd=0.3)
    count = np.bincount(one.list)[one.list]
    rest = one.value - one.value.sum() / 400 / count
    v = [sum(rest[c == k].sum() ** 2 for k in np.unique(c)) for c in (one.list, one.item, np.arange(len(rest)))]
    draws = pigeonhole_draws(one, 4000)
    assert draws.std() == pytest.approx(np.sqrt(sum(v)) / 400, rel=0.05)
    ours = estimate(one).se
    assert ours == pytest.approx(np.sqrt(v[0] * 400 / 399 + v[1] * 60 / 59 - v[2]) / 400)
    assert ours < draws.std()
    assert draws.mean() == pytest.approx(estimate(one).value, abs=ours / 5)


def test_the_user_level_equals_the_plain_paired_bootstrap():
    one = pairs(np.random.default_rng(2), user_sd=1)
    per_list = np.bincount(one.list, one.value)
    ours = estimate(one, "user")
    assert ours.se == pytest.approx(per_list.std(ddof=1) / 20)
    assert user_draws(per_list, 2000).std() == pytest.approx(ours.se, rel=0.06)
    assert ours.p_greater == pytest.approx(stats.ttest_1samp(per_list, 0, alternative="greater").pvalue)


def test_a_true_lift_is_found_at_the_rate_that_power_promises():
    """Measured: .81 of 300 worlds at the smallest detectable lift."""
    rng = np.random.default_rng(3)
    guess = np.bincount((one := pairs(rng, user_sd=0.5)).list, one.value)
    lift = smallest_lift(guess, 400)
    found = [estimate(pairs(rng, user_sd=0.5, mean=lift), "user").interval()[0] > 0 for _ in range(300)]
    assert 0.7 < np.mean(found) < 0.9
    assert smallest_lift(guess, 1600) == pytest.approx(lift / 2)
    assert smallest_lift_two_way(estimate(one, "user").se) == pytest.approx(lift)
    assert smallest_lift_two_way(float("nan")) == np.inf
    assert smallest_lift(guess, 0) == np.inf and smallest_lift(guess[:1], 5) == np.inf
    assert sum(promotion_alpha(j) for j in range(1, 10000)) == pytest.approx(0.05, abs=1e-5)


def test_lists_without_candidates_to_hit_still_count():
    one = Contributions(np.array([0, 1]), np.array([3, 4]), np.array([0.4, 0.2]), np.array([True, True, True]))
    assert estimate(one).value == pytest.approx(0.2) and estimate(one).n == 3
    assert estimate(one).se > 0


@pytest.mark.parametrize("lists", [0, 1])
def test_too_few_lists_say_nothing(lists):
    none = Contributions(np.arange(lists), np.arange(lists), np.ones(lists), np.ones(lists, bool))
    answer = estimate(none)
    assert answer.interval() == (-np.inf, np.inf)
    assert answer.p_value == answer.p_greater == 1


def test_equal_arms_differ_by_nothing_for_sure():
    same = pairs(np.random.default_rng(0), pair_sd=0)
    assert estimate(same).interval() == (0, 0)
    assert estimate(same).p_value == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-4, 4), min_size=1, max_size=8))
def test_holm_interval_leaves_zero_exactly_when_the_adjusted_p_is_small(ts):
    differences = [Difference(t, 1.0, 500, 80) for t in ts]
    adjusted, levels = holm([d.p_value for d in differences])
    raw = np.array([d.p_value for d in differences])
    assert (adjusted >= raw - 1e-12).all() and (adjusted <= len(ts) * raw + 1e-12).all()
    for d, p, level in zip(differences, adjusted, levels, strict=True):
        low, high = d.interval(level)
        if abs(p - 0.05) > 1e-9:
            assert (low > 0 or high < 0) == (p < 0.05)


def test_holm_of_the_textbook():
    adjusted, levels = holm([0.01, 0.04, 0.03, 0.005])
    assert np.allclose(adjusted, [0.03, 0.06, 0.06, 0.02])
    assert np.allclose(levels, 1 - 0.05 / np.array([3, 2, 2, 4]))
    assert len(holm([])[0]) == 0


def test_holm_keeps_false_helps_under_the_level():
    """Five null tasks a world: any called significant in at most .05 of 600 worlds, give or take."""
    worlds = np.random.default_rng(5).normal(size=(600, 5))
    false = [holm([Difference(t, 1.0, 500, 500).p_value for t in world])[0].min() < 0.05 for world in worlds]
    assert np.mean(false) < 0.075


@pytest.mark.parametrize(
    ("value", "se", "placebo", "word"),
    [
        (0.010, 0.002, 0.010, "helps"),
        (0.010, 0.002, 0.001, "too_little_data"),  # no better than dealt tokens
        (0.010, 0.002, None, "too_little_data"),
        (-0.010, 0.002, 0.0, "hurts"),
        (0.0005, 0.0002, 0.0, "no_effect"),
        (0.0, 0.0, 0.0, "no_effect"),
        (0.002, 0.004, 0.0, "too_little_data"),
    ],
)
def test_verdict_words(value, se, placebo, word):
    beside = None if placebo is None else Difference(placebo, 0.002, 900, 200)
    assert verdict(Difference(value, se, 900, 200), 0.95, 0.001, beside) == word
    assert verdict(Difference(value, se, 12, 12), 0.95, 0.001, beside) == "too_little_data"
