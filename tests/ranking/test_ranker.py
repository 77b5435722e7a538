"""The ranker learns, repeats exactly, and tells a good program from a bad one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ranking.worlds import flat_lists, taste_world, windows
from tokenrec.features.columns import shuffle_vectors, token_columns
from tokenrec.features.types import Columns, Vectors
from tokenrec.ranking.behaviour import behaviour_columns
from tokenrec.ranking.metrics import mean, per_list, relevant_ranks
from tokenrec.ranking.ranker import (
    GRID,
    Settings,
    average,
    choose_settings,
    likelihood,
    lite,
    margins,
    sample_rows,
    score,
    sharpness,
    train,
)

QUICK = Settings(objective="rank:ndcg", min_child_weight=5.0, rounds=20, depth=3, eta=0.3)


@pytest.fixture(scope="module")
def world():
    data, tastes = taste_world(seed=4, n_users=800, n_events=8000)
    fit, tune, test = windows(data)
    vectors = Vectors("flavour", "taste", "item", tastes, [f"c{j}" for j in range(6)], True, "taste")
    behaviour = [behaviour_columns(data, lists) for lists in (fit, tune, test)]
    taste = [token_columns(vectors, data, lists) for lists in (fit, tune, test)]
    deal = shuffle_vectors(vectors, 1)
    dealt = [token_columns(deal, data, lists) for lists in (fit, tune, test)]
    return fit, tune, test, behaviour, taste, dealt


def ndcg(booster, blocks, lists):
    return mean(per_list(relevant_ranks(score(booster, blocks), lists), lists, "ndcg@10"))


@pytest.mark.parametrize("objective", ["rank:ndcg", "rank:pairwise", "binary:logistic"])
def test_every_objective_beats_chance_and_repeats_exactly(world, objective):
    fit, _, test, behaviour, _, _ = world
    quick = replace(QUICK, objective=objective)
    booster = train([behaviour[0]], fit, quick, 1)
    again = train([behaviour[0]], fit, quick, 1)
    random = np.random.default_rng(0).random(len(test.label))
    assert np.array_equal(score(booster, [behaviour[2]]), score(again, [behaviour[2]]))
    assert ndcg(booster, [behaviour[2]], test) > 1.3 * mean(per_list(relevant_ranks(random, test), test, "ndcg@10"))


def test_taste_that_people_choose_by_lifts_the_ranking(world):
    fit, _, test, behaviour, taste, _ = world
    alone = ndcg(train([behaviour[0]], fit, QUICK, 0), [behaviour[2]], test)
    assert ndcg(train([behaviour[0], taste[0]], fit, QUICK, 0), [behaviour[2], taste[2]], test) > alone + 0.005


def test_columns_of_nothing_but_gaps_change_nothing(world):
    fit, _, test, behaviour, taste, _ = world
    gaps = [Columns(t.source, t.names, np.full_like(t.matrix, np.nan)) for t in taste]
    whole = replace(QUICK, colsample=1.0)
    with_gaps = score(train([behaviour[0], gaps[0]], fit, whole, 0), [behaviour[2], gaps[2]])
    assert np.array_equal(with_gaps, score(train([behaviour[0]], fit, whole, 0), [behaviour[2]]))
    assert len(np.unique(score(train([gaps[0]], fit, whole, 0), [gaps[2]]))) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 12))
def test_the_fit_sample_keeps_every_positive_and_the_negatives_asked_for(seed, negatives):
    lists = flat_lists(np.random.default_rng(seed))
    rows = sample_rows(lists, negatives, seed)
    assert (np.diff(rows) > 0).all()
    assert np.isin(np.flatnonzero(lists.label), rows).all()
    for lst in range(len(lists)):
        there = (lists.list_of_row == lst) & (lists.label == 0)
        assert (lists.label[rows[lists.list_of_row[rows] == lst]] == 0).sum() == min(negatives, there.sum())


def test_averaging_ignores_a_seed_s_scale_and_keeps_ties():
    lists = flat_lists(np.random.default_rng(0))
    a, b = np.random.default_rng(1).normal(size=(2, len(lists.label))).astype(np.float32)
    same = average([a, 100 * b + 7], lists)
    assert np.allclose(same, average([a, b], lists), atol=1e-4)
    assert np.array_equal(relevant_ranks(average([a], lists), lists), relevant_ranks(a, lists))
    assert (average([np.full_like(a, 0.3)] * 2, lists) == 0).all()


def test_settings_are_chosen_on_tune_and_the_table_shows_why(world):
    fit, tune, _, behaviour, _, _ = world
    best, table = choose_settings(behaviour[:1], fit, behaviour[1:2], tune, "ndcg@10", negatives=30, grid=GRID[:2])
    assert best.negatives == 30
    assert {row["value"] for row in table if row["settings"] == best} == {max(row["value"] for row in table)}
    booster = train(behaviour[:1], fit, best, 0)  # fewer rounds are the first of more
    assert ndcg(booster, behaviour[1:2], tune) == pytest.approx(max(row["value"] for row in table), abs=1e-6)


def test_lite_tells_true_tokens_from_dealt_ones(world):
    fit, tune, _, behaviour, taste, dealt = world
    fit_margin, tune_margin = margins(behaviour[0], fit, behaviour[1], QUICK)
    good = lite(fit_margin, [taste[0]], fit, tune_margin, [taste[1]], tune)
    bad = lite(fit_margin, [dealt[0]], fit, tune_margin, [dealt[1]], tune)
    assert good.shape == (len(fit) + len(tune),)
    for part in (slice(len(fit)), slice(len(fit), None)):
        assert mean(good[part]) > 0 and mean(good[part]) > mean(bad[part]) + 0.03
    gaps = [replace(t, matrix=np.full_like(t.matrix, np.nan)) for t in taste[:2]]
    assert np.abs(lite(fit_margin, gaps[:1], fit, tune_margin, gaps[1:], tune)).max() < 1e-5
    sparse = lite(fit_margin, [taste[0]], fit, tune_margin, [taste[1]], tune, "sparse_users")
    of_few = np.concatenate([fit.sparse_list, tune.sparse_list])
    assert np.array_equal(~np.isnan(sparse), of_few) and np.allclose(sparse[of_few], good[of_few])


def test_what_lite_learns_it_did_not_see_in_the_lists_that_it_is_held_to(world):
    """A column that knows the labels of half of the fit lists and nothing of the others is worth nothing."""
    fit, tune, _, behaviour, _, _ = world
    fit_margin, tune_margin = margins(behaviour[0], fit, behaviour[1], QUICK)
    rng = np.random.default_rng(0)
    told = np.random.default_rng(0).permutation(len(fit)) % 2 == 0
    knows = rng.random((len(fit.label), 1)).astype(np.float32)
    knows[told[fit.list_of_row], 0] /= 2
    knows[told[fit.list_of_row] & (fit.label == 1), 0] += 0.5
    blind = rng.random((len(tune.label), 1)).astype(np.float32)
    gain = lite(fit_margin, [Columns("p", ["p"], knows)], fit, tune_margin, [Columns("p", ["p"], blind)], tune)
    assert mean(gain[: len(fit)][~told]) < 0 and mean(gain[len(fit) :]) < 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["all", "cold_items", "warm", "sparse_users"]))
def test_the_likelihood_is_that_of_the_likes_of_the_slice(seed, slice):
    rng = np.random.default_rng(seed)
    lists = flat_lists(rng)
    rows = sample_rows(lists, 4, seed)
    value = rng.normal(size=len(rows))
    found = likelihood(value, lists, rows, slice)
    for lst in range(len(lists)):
        here = lists.list_of_row[rows] == lst
        liked, cold, s = lists.label[rows][here] == 1, lists.cold_row[rows][here], value[here]
        counted = {"all": liked, "cold_items": liked & cold, "warm": liked & ~cold}.get(slice, liked)
        if not counted.any() or (slice == "sparse_users" and not lists.sparse_list[lst]):
            assert np.isnan(found[lst])
            continue
        among = np.exp(s[counted | ~liked]).sum()
        assert found[lst] == pytest.approx(np.mean(np.log(np.exp(s[counted]) / among)))


def test_margins_become_log_odds_of_being_taken():
    """Labels drawn from a softmax of 3 x margin: sharpness finds the 3, whatever is added to a list."""
    rng = np.random.default_rng(0)
    margin = rng.normal(size=(600, 30))
    drawn = (3 * margin + rng.gumbel(size=margin.shape)).argmax(axis=1)
    label = np.zeros(margin.shape, np.uint8)
    label[np.arange(600), drawn] = 1
    shifted, of_list = margin + rng.normal(size=(600, 1)), np.repeat(np.arange(600), 30)
    assert sharpness(shifted.ravel(), label.ravel(), of_list) == pytest.approx(3, rel=0.1)
    assert sharpness(np.zeros(60), label[:2].ravel(), of_list[:60]) == 1.0
    assert sharpness(shifted[:2].ravel(), np.zeros(60, np.uint8), of_list[:60]) == 1.0
