"""evals/benchmarks/reward.py: what it prints follows from the programs' scores and truths, and programs are as said."""

import importlib.util
import sys

import numpy as np
import pytest

from tests.end_to_end.worlds import ROOT
from tests.ranking.worlds import taste_world


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("reward_benchmark", ROOT / "evals/benchmarks/reward.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["reward_benchmark"] = module
    spec.loader.exec_module(module)
    return module


def programs(bench, noise, n=12):
    rng = np.random.default_rng(0)
    made = []
    for i in range(n):
        gains = i + noise * rng.normal(size=400)
        made.append(bench.Program(f"p{i}", [], truth=gains.mean(), lite=i**3, retrained=-i, gains=gains, seconds=0.5))
    return made


def test_a_score_in_the_order_of_the_truth_correlates_fully_and_a_constant_one_not(bench):
    found = bench.summary(programs(bench, 0.1))
    assert {"programs", "spearman", "low", "high", "seconds_per_program", "halves", "rows"} <= set(found)
    assert [found[k] for k in ("spearman", "low", "high")] == pytest.approx([1, 1, 1])
    assert found["retrained"]["spearman"] == pytest.approx(-1) and found["completion"]["spearman"] == 0
    assert found["programs"] == 12 and found["seconds_per_program"] == 0.5 and "history" not in found
    assert bench.table({"tags": found}).splitlines()[-1].startswith("| tags | 12 | 1.00 |")


def test_halves_tell_a_truth_of_noise(bench):
    assert bench.halves(programs(bench, 0.1)) > 0.99
    assert abs(bench.halves(programs(bench, 10**4))) < 0.5


def test_programs_get_worse_as_they_say(bench):
    worlds, rng = bench.worlds, np.random.default_rng(0)
    tags = np.eye(5)[np.arange(400) % 5]
    for rate in (0.0, 0.3, 1.0):
        made = worlds.wrong(tags, rate, rng)
        assert np.mean((made != tags).any(axis=1)) == pytest.approx(rate, abs=0.07) and (made.sum(axis=1) == 1).all()
        assert np.mean((worlds.dealt(tags, rate, rng) != tags).any(axis=1)) <= rate
    liked = np.arange(400)
    made = dict(worlds.worn(tags, liked, rng))
    assert np.isnan(made["only the popular half"][:200]).all() and (made["only the popular half"][200:] == tags[200:]).all()
    assert np.isnan(made["75% missing"]).all(axis=1).mean() == pytest.approx(0.75, abs=0.07)


def test_a_query_holds_out_what_its_prompt_does_not_show(bench):
    data, _ = taste_world(seed=4, n_users=50, n_events=1500)
    halves, e = bench.worlds.shown(data, 7), data.events
    assert halves
    for user, (seen, held) in halves.items():
        past = set(e.item[(e.user == user) & e.positive & (e.window == 0)])
        assert seen and held and not set(seen) & set(held) and set(seen) | set(held) == past
    assert halves == bench.worlds.shown(data, 7) != bench.worlds.shown(data, 8)
