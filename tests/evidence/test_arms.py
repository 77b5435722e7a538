"""Arms in worlds whose truth is planted: what counts is found, what does not count is not."""

import numpy as np
import pytest

from tests.ranking.worlds import taste_world, windows
from tokenrec.evidence.arms import measure_arms
from tokenrec.evidence.statistics import compare
from tokenrec.evidence.verdicts import leaderboard, placebos
from tokenrec.features.columns import shuffle_vectors, token_columns
from tokenrec.features.types import Vectors
from tokenrec.ranking.behaviour import behaviour_columns
from tokenrec.ranking.ranker import Settings

QUICK = Settings(objective="rank:ndcg", min_child_weight=5.0, rounds=15, depth=3, eta=0.3, negatives=20)


def measured(seed, taste, tasks=("flavour",), seeds=(0,), n_users=600):
    """Arms of a world; `flavour` is what its items taste like, any other task is noise."""
    data, tastes = taste_world(seed=seed, n_users=n_users, n_items=120, n_events=10 * n_users, taste=taste)
    fit, _, test = windows(data)
    rng = np.random.default_rng(seed)

    def both(vectors):
        return token_columns(vectors, data, fit), token_columns(vectors, data, test)

    def task(name):
        matrix = tastes if name == "flavour" else rng.normal(size=tastes.shape).astype(np.float32)
        return Vectors(name, "taste", "item", matrix, [f"c{j}" for j in range(6)], True, name)

    raw = Vectors("raw_text", "text", "item", rng.normal(size=(120, 20)).astype(np.float32), [""] * 20, False, "enc")
    blocks = {"behaviour": (behaviour_columns(data, fit), behaviour_columns(data, test)), "raw_text": both(raw)}
    arms = {"behaviour": ["behaviour"], "raw_text": ["behaviour", "raw_text"]}
    for name in tasks:
        vectors = task(name)
        blocks[name], blocks[f"{name}~placebo"] = both(vectors), both(shuffle_vectors(vectors, seed))
        for block in (name, f"{name}~placebo"):
            arms[f"raw_text+{block}"] = [*arms["raw_text"], block]
    arms["raw_text+tokens"] = [*arms["raw_text"], *tasks]
    for name in tasks:
        arms[f"raw_text+tokens-{name}"] = [*arms["raw_text"], *(t for t in tasks if t != name)]
    seen = []
    scores = measure_arms(data, fit, test, blocks, arms, QUICK, list(seeds), lambda *step: seen.append(step))
    assert seen[-1][1:] == (len(arms) * len(seeds),) * 2
    return scores


@pytest.fixture(scope="module")
def planted():
    return measured(2, taste=4.0, tasks=("flavour", "noise"), seeds=(0, 1), n_users=2400)


def test_a_planted_signal_is_found_and_noise_beside_it_is_not(planted):
    rows = leaderboard(planted, ["flavour", "noise", "absent"], "ndcg@10")
    assert [row.task for row in rows] == ["flavour", "noise"]
    flavour, noise = rows
    assert flavour.verdict == "helps" and flavour.low > 0 and flavour.lift_left_out > 0
    assert noise.verdict != "helps"
    assert flavour.lift == pytest.approx(
        planted.mean("raw_text+flavour", "ndcg@10") - planted.mean("raw_text", "ndcg@10"), abs=1e-9
    )


def test_scores_and_ranks_answer_every_metric_and_slice(planted):
    assert planted.scores["raw_text"].dtype == np.float32
    assert planted.scores["raw_text"].shape == planted.lists.label.shape
    for metric in ("ndcg@5", "recall@20", "mrr@10"):
        for slice in ("all", "cold_items", "sparse_users", "warm"):
            value = planted.mean("raw_text", metric, slice)
            assert np.isnan(value) or 0 <= value <= 1
    cold = compare(planted, "raw_text+flavour", "raw_text", "ndcg@10", "cold_items")
    assert cold.n == (~np.isnan(planted.per_list("raw_text", "ndcg@10", "cold_items"))).sum()


def test_placebos_are_found_by_name_and_averaged(planted):
    assert placebos(planted, "flavour") == ["raw_text+flavour~placebo"]
    assert placebos(planted, "other") == []
    two = compare(planted, "raw_text", ["raw_text", "behaviour"], "ndcg@10")
    one = compare(planted, "raw_text", "behaviour", "ndcg@10")
    assert two.value == pytest.approx(one.value / 2) and two.se == pytest.approx(one.se / 2)


def test_in_worlds_where_texts_mean_nothing_none_helps():
    """Two worlds with two tasks of noise each."""
    words = [
        row.verdict
        for seed in (100, 101)
        for row in leaderboard(measured(seed, taste=0.0, tasks=("a", "b")), ["a", "b"], "ndcg@10")
    ]
    assert words.count("helps") == 0
