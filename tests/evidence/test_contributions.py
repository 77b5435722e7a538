"""The ranker's own account of its columns: what is planted is found, and credit is shared as the module says."""

import numpy as np
import pytest

from tests.ranking.worlds import taste_world, windows
from tokenrec.evidence.arms import measure_arms
from tokenrec.evidence.contributions import ARM, Explainer, opinions, part_of
from tokenrec.features.columns import token_columns
from tokenrec.features.types import Columns, Vectors
from tokenrec.ranking.behaviour import behaviour_columns
from tokenrec.ranking.metrics import per_list, relevant_ranks, tie_order
from tokenrec.ranking.ranker import Settings, score

QUICK = Settings(objective="rank:ndcg", min_child_weight=5.0, rounds=15, depth=3, eta=0.3, negatives=20)
SEEDS = [0, 1]


def measured(blocks, data, fit, test, tasks, rows=10**9):
    """(Explainer, ArmScores, what each training of the explained arm scored) of an arm a task and of all."""
    base = ["behaviour", "raw_text"]
    arms = {"raw_text": base, ARM: [*base, *tasks], **{f"raw_text+{t}": [*base, t] for t in tasks}}
    explained, seen = Explainer(test, SEEDS, rows=rows), {}

    def look(arm, seed, booster, columns):
        explained(arm, seed, booster, columns)
        if arm == ARM:
            seen[seed] = score(booster, columns)

    return explained, measure_arms(data, fit, test, blocks, arms, QUICK, SEEDS, None, look), seen


@pytest.fixture(scope="module")
def world():
    data, tastes = taste_world(seed=2, n_users=1200, n_items=120, n_events=12000, taste=4.0)
    fit, _, test = windows(data)
    rng = np.random.default_rng(2)

    def both(name, matrix):
        vectors = Vectors(name, "taste", "item", matrix, [f"c{j}" for j in range(matrix.shape[1])], True, name)
        return token_columns(vectors, data, fit), token_columns(vectors, data, test)

    blocks = {
        "behaviour": (behaviour_columns(data, fit), behaviour_columns(data, test)),
        "raw_text": both("raw_text", rng.normal(size=(120, 20)).astype(np.float32)),
        "flavour": both("flavour", tastes), "noise": both("noise", rng.normal(size=(120, 6)).astype(np.float32)),
    }  # fmt: skip
    return data, fit, test, blocks


@pytest.fixture(scope="module")
def found(world):
    data, fit, test, blocks = world
    return measured(blocks, data, fit, test, ["flavour", "noise"])


def test_contributions_add_up_to_the_margin(world, found):
    explained, _, seen = found
    assert set(explained.of) == {"behaviour", "raw_text", "flavour", "noise"}
    whole = np.where(explained.lists.list_of_row % 2 == 0, seen[0], seen[1])
    assert explained.margin == pytest.approx(whole, abs=1e-4)
    rest = explained.margin - sum(explained.of.values())
    for turn in (0, 1):  # what is left is one number a booster
        assert np.ptp(rest[explained.lists.list_of_row % 2 == turn]) < 1e-4


def test_a_planted_signal_has_the_credit_and_agrees_with_the_leaderboard(world, found):
    data, _, test, _ = world
    explained, scores, _ = found
    flavour, noise = opinions(explained, scores, ["flavour", "noise"], "ndcg@10", tie_order(data.item_ids))
    assert (flavour.task, noise.task) == ("flavour", "noise") and flavour.lists == len(test)
    assert flavour.low > 0 and flavour.agrees and flavour.share > 3 * noise.share > 0
    assert flavour.mean_abs > noise.mean_abs and noise.low < 0.01
    assert flavour.share + noise.share < 1


def test_a_sample_of_lists_is_whole_and_its_figures_are_those_of_its_lists(world):
    data, fit, test, blocks = world
    size = int(np.diff(test.indptr)[:1][0])
    explained, scores, _ = measured(blocks, data, fit, test, ["flavour"], rows=40 * size)
    assert 20 < len(explained.drawn) < len(test) / 2 and len(explained.rows) <= 40 * size
    assert explained.lists.label.sum() == test.label[explained.rows].sum()
    whole = per_list(scores.ranks["raw_text"], test, "ndcg@10")[explained.drawn]
    again = relevant_ranks(scores.scores["raw_text"][explained.rows], explained.lists, tie_order(data.item_ids))
    assert per_list(again, explained.lists, "ndcg@10") == pytest.approx(whole)
    (one,) = opinions(explained, scores, ["flavour"], "ndcg@10", tie_order(data.item_ids))
    assert one.lists == len(explained.drawn)


def test_two_prompts_that_say_the_same_share_the_credit(world, found):
    data, fit, test, blocks = world
    twice = blocks | {"again": tuple(Columns("again", c.names, c.matrix) for c in blocks["flavour"])}
    explained, scores, _ = measured(twice, data, fit, test, ["flavour", "again"])
    one, two = opinions(explained, scores, ["flavour", "again"], "ndcg@10", tie_order(data.item_ids))
    alone = opinions(*found[:2], ["flavour"], "ndcg@10", tie_order(data.item_ids))[0]
    assert one.mean_abs + two.mean_abs == pytest.approx(alone.mean_abs, rel=0.15)
    assert two.lift_by_contribution < alone.lift_by_contribution


def test_an_opposite_verdict_is_told(world, found):
    """A ranker that was trained on columns which then turn round is hurt by them, whatever retraining says."""
    data, fit, test, blocks = world
    turned = Columns("flavour", blocks["flavour"][1].names, -blocks["flavour"][1].matrix)
    explained, _, _ = measured(blocks | {"flavour": (blocks["flavour"][0], turned)}, data, fit, test, ["flavour"])
    _, scores, _ = found
    (one,) = opinions(explained, scores, ["flavour"], "ndcg@10", tie_order(data.item_ids))
    assert one.lift_by_contribution < 0 and one.disagreement == "sign" and not one.agrees


def test_part_of_lists_keeps_their_rows():
    from tests.ranking.worlds import flat_lists

    lists = flat_lists(np.random.default_rng(0))
    drawn = np.array([1, 4, 7])
    rows = np.flatnonzero(np.isin(lists.list_of_row, drawn))
    part = part_of(lists, drawn, rows)
    assert len(part) == 3 and part.indptr[-1] == len(rows)
    for new, old in enumerate(drawn):
        mine, was = slice(*part.indptr[new : new + 2]), slice(*lists.indptr[old : old + 2])
        assert (part.item_of_row[mine] == lists.item_of_row[was]).all() and (part.label[mine] == lists.label[was]).all()
