"""A user's ranker in the place of ours: what it is given, and that the place makes no difference."""

import numpy as np
import pytest
import xgboost

from tests.ranking.worlds import taste_world, windows
from tokenrec.errors import InputError
from tokenrec.evidence.arms import measure_arms
from tokenrec.evidence.statistics import compare
from tokenrec.features.columns import token_columns
from tokenrec.features.types import Columns, Vectors
from tokenrec.ranking.behaviour import behaviour_columns
from tokenrec.ranking.own import METRIC, Reward, load_reward, reward_id
from tokenrec.ranking.ranker import Settings

OURS = Settings(rounds=20, negatives=15)


@pytest.fixture(scope="module")
def world():
    data, tastes = taste_world(n_users=150, n_items=60, n_events=1800)
    fit, _, test = windows(data)
    vectors = Vectors("flavour", "taste", "item", tastes, [f"t{i}" for i in range(tastes.shape[1])], True, "tastes")
    text = [Columns("flavour", *(getattr(token_columns(vectors, data, x), f) for f in ("names", "matrix")), (vectors,)) for x in (fit, test)]
    blocks = {"behaviour": tuple(behaviour_columns(data, x) for x in (fit, test)), "flavour": tuple(text)}
    return data, fit, test, blocks, tastes


def measured(world, settings, seeds=(0, 1)):
    data, fit, test, blocks, _ = world
    return measure_arms(data, fit, test, blocks, {"without": ["behaviour"], "with": [*blocks]}, settings, list(seeds))


def as_ours(fit, lists, seed):
    """XGBoost as `ranker.train` has it, through the user's door."""
    matrix = xgboost.QuantileDMatrix(fit.features, label=fit.label, max_bin=OURS.max_bin, nthread=1)
    model = xgboost.train(OURS.parameters(seed) | {"nthread": 1}, matrix, OURS.rounds)
    return model.inplace_predict(lists.features, predict_type="margin")


def test_our_own_ranker_through_the_users_door_gives_the_same_scores(world):
    ours, theirs = measured(world, OURS), measured(world, Reward("x", as_ours, None, "ndcg@10", OURS.negatives))
    assert theirs.arms == ours.arms
    for arm in ours.arms:
        assert np.array_equal(ours.scores[arm], theirs.scores[arm])
        assert ours.mean(arm, "mrr@5", "warm") == theirs.mean(arm, "mrr@5", "warm")


def test_a_list_score_is_an_objective_with_intervals_over_users(world):
    """The same metric, told by the user: the same values, and the interval that compare(by="user") gives."""
    from tokenrec.ranking.metrics import per_list, relevant_ranks

    _, fit, test, _, _ = world

    def ndcg(learn, lists, seed):
        assert (lists.label == test.label).all() and (lists.missed == test.missed).all()
        return per_list(relevant_ranks(as_ours(learn, lists, seed), test), test, "ndcg@10")

    ours = measured(world, OURS, seeds=[0])
    theirs = measured(world, Reward("x", ndcg, None, METRIC, OURS.negatives), seeds=[0])
    assert theirs.arms == ours.arms and not theirs.scores and not theirs.ranks
    for slice in ("all", "sparse_users"):
        assert np.allclose(theirs.per_list("with", METRIC, slice), ours.per_list("with", "ndcg@10", slice), equal_nan=True)
    assert np.isnan(theirs.per_list("with", METRIC, "warm")).all()
    told = compare(theirs, "with", "without", METRIC)
    known = compare(ours, "with", "without", "ndcg@10", by="user")
    assert (told.value, told.se, told.n, told.clusters) == pytest.approx((known.value, known.se, known.n, known.n))


def test_what_the_function_is_given(world):
    data, fit, test, blocks, tastes = world
    seen = []
    measured(world, Reward("x", lambda *given: seen.append(given) or np.zeros(len(test.label)), None, "ndcg@10", 15), seeds=[3])
    (_, bare, _), (learn, lists, seed) = seen
    assert seed == 3 and bare.item_tokens == {}
    assert lists.label is None and lists.missed is None and learn.label.sum() == fit.label.sum()
    assert lists.users == [data.user_ids[u] for u in test.user] and lists.items == data.item_ids
    assert lists.features.shape == (len(test.label), len(lists.names)) and set(lists.sources) == {"behaviour", "flavour"}
    assert np.array_equal(lists.item_tokens["flavour.taste"], tastes)
    assert (np.bincount(learn.list_of_row, learn.label == 0) <= 15).all()
    e = data.events
    for k in (0, len(test) // 2, len(test) - 1):
        mine = test.before & e.positive & (e.user == test.user[k])
        assert lists.liked[k].tolist() == e.item[mine].tolist()
    for array in (lists.features, learn.label, lists.item_of_row, lists.item_tokens["flavour.taste"], lists.liked[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0


def test_an_edited_file_or_another_function_is_another_reward(tmp_path):
    (tmp_path / "mine.py").write_text("def a(fit, lists, seed): pass\nb = a\n")
    first = reward_id("./mine.py:a", tmp_path)
    assert first == reward_id("mine.py:a", tmp_path) != reward_id("./mine.py:b", tmp_path) and reward_id(None, tmp_path) is None
    (tmp_path / "mine.py").write_text("def a(fit, lists, seed): return 1\n")
    assert reward_id("./mine.py:a", tmp_path) != first
    with pytest.raises(InputError, match="none.py can't be read"):
        reward_id("none.py:a", tmp_path)
    with pytest.raises(InputError, match="none.py is not there"):
        load_reward("none.py:a", tmp_path, "ndcg@10", 5)
