"""Metrics of requests against hand-made values, intervals and paired tests against scipy, and the real Recipe-MPR."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tokenrec.dataset.queries import Queries
from tokenrec.evidence.queries import Judged, judge, mean_of
from tokenrec.ranking.retrieval import Top

ROOT = Path(__file__).parents[2]
MPR = ROOT.parent / "shared/data/recipe_mpr"


def top(*rows):
    item = np.array(rows, np.int32)
    return Top(item, np.where(item >= 0, 1.0, np.nan).astype(np.float32))


def queries(*judged, n):
    columns = [np.array([j[k] for j in judged], np.int32) for k in range(3)]
    return Queries([f"q{i}" for i in range(n)], [f"text {i}" for i in range(n)], *columns)


def test_graded_metrics_of_one_request():
    """Items 0 (grade 2) and 1 (grade 1) are relevant, 2 was judged and is not; the ranking is 2, 1, 9, 0."""
    found = judge(queries((0, 0, 2), (0, 1, 1), (0, 2, 0), n=1), {"a": top([2, 1, 9, 0])}).values["a"]
    ideal = 2 / np.log2(2) + 1 / np.log2(3)
    assert found["ndcg@5"][0] == pytest.approx((1 / np.log2(3) + 2 / np.log2(5)) / ideal)
    assert found["map"][0] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert found["mrr"][0] == 0.5 and found["recall@100"][0] == 1.0


def test_a_request_without_any_ranked_item_has_nothing_and_counts():
    found = judge(queries((0, 0, 1), (1, 1, 1), n=2), {"a": top([0, -1], [-1, -1]), "b": top([-1, -1], [-1, -1])})
    assert found.values["a"]["mrr"].tolist() == [1, 0] and found.values["b"]["ndcg@10"].tolist() == [0, 0]
    means = {(r["system"], r["metric"]): r["value"] for r in found.systems()}
    assert means["a", "mrr"] == 0.5 and means["b", "map"] == 0


def test_places_count_and_not_scores():
    """All scores are alike here: the order in which items are ranked is what is measured."""
    found = judge(queries((0, 3, 1), n=1), {"a": top([5, 3, 4]), "b": top([3, 5, 4])})
    assert found.values["a"]["mrr"][0] == 0.5 and found.values["b"]["mrr"][0] == 1


def test_intervals_and_paired_tests_are_those_of_t():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.5, 0.2, 60), rng.normal(0.55, 0.2, 60)
    judged = Judged({"a": {"map": a}, "b": {"map": b}, "c": {"map": b + rng.normal(0, 0.01, 60)}})
    row = judged.systems()[0]
    low, high = stats.t.interval(0.95, 59, a.mean(), stats.sem(a))
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    rows = judged.paired()
    assert [(r["system"], r["against"]) for r in rows] == [("b", "a"), ("c", "a"), ("c", "b")]
    truth = stats.ttest_rel(b, a)
    assert rows[0]["p"] == pytest.approx(truth.pvalue) and rows[0]["delta"] == pytest.approx((b - a).mean())
    assert rows[0]["p_adjusted"] >= rows[0]["p"] and rows[0]["low"] == pytest.approx(truth.confidence_interval().low)
    assert [r["system"] for r in judged.paired([("a", "c")])] == ["a"]


def test_one_request_has_no_interval():
    row = Judged({"a": {"map": np.array([0.3])}}).systems()[0]
    assert row["value"] == 0.3 and row["low"] is None and row["high"] is None
    assert np.isnan(mean_of(np.array([])).value)


def benchmark(folder, *args):
    done = subprocess.run(
        [sys.executable, str(ROOT / "evals/benchmarks/narrative.py"), str(folder), *args],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_benchmark_on_any_folder_of_that_layout(tmp_path):
    rows = [
        {"query": "a cold soup with beets", "options": {"a": "Cold beet soup", "b": "Hot beef pie", "c": "Cold rice"}, "answer": "a"},
        {"query": "sweet lemon pie", "options": {"b": "Hot beef pie", "d": "Lemon meringue pie", "e": "Salted fish"}, "answer": "d"},
        {"query": "zzz", "options": {"a": "Cold beet soup", "e": "Salted fish"}, "answer": "e"},
    ]  # fmt: skip
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    code, out, said = benchmark(tmp_path, "--json")
    assert code == 0, said
    document = json.loads(out)
    assert document["requests"] == 3 and document["pool"] == 5
    found = {(r["system"], r["metric"]): r["value"] for r in document["systems"]}
    # no word of the third request is known: its two options tie, and share the point
    assert found["bm25", "accuracy"] == pytest.approx(2.5 / 3) and found["bm25", "mrr"] == pytest.approx(2 / 3)
    assert all(set(r) == {"system", "metric", "value", "low", "high"} for r in document["systems"])
    assert benchmark(tmp_path / "none")[0] != 0


def test_recipe_mpr_as_it_was_measured():
    """BM25's accuracy is chance there, by design of the options; MiniLM's is well above."""
    if not MPR.is_dir():
        pytest.skip(f"{MPR} is not there")
    sys.path.insert(0, str(ROOT / "evals/benchmarks"))
    try:
        import narrative
    finally:
        sys.path.pop(0)
    data = narrative.read(MPR)
    assert len(data.queries) == 300 and all(len(o) == 5 and a in o for o, a in zip(data.options, data.answer))
    judged = narrative.measure(data, lambda texts: np.zeros((len(texts), 2)), ["bm25"])
    [row] = [r for r in judged.systems() if r["metric"] == "accuracy"]
    assert 0.15 < row["value"] < 0.25
