"""Rates: honest intervals from few labels, with and without the gate's help; labels files read strictly."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from tokenrec.errors import InputError
from tokenrec.evidence.labels import draw, label_rate, matched_labels, read_labels
from tokenrec.evidence.rates import estimate_rate, exit_code, verdict
from tokenrec.evidence.texts import TaskTexts, Text
from tokenrec.recipe.outputs import Output
from tokenrec.recipe.tasks import Task

LINE = {"line": Output(type="text"), "tone": Output(type="choice", choices=["dry", "warm"])}
TASKS = {"mood": Task.model_validate({"for": "item", "inputs": ["name"], "write": "A line.", "outputs": LINE}),
         "card": Task.model_validate({"for": "item", "inputs": ["name"], "write": "A line.",
                                      "outputs": {"line": LINE["line"]}})}  # fmt: skip


def sample(rng, flag, design):
    """(drawn, p): which texts are audited, and their inclusion probabilities."""
    n = len(flag)
    if design == "uniform":
        p = np.full(n, 60 / n)
    elif design == "by flag":  # 30 of the flagged, 30 of the others
        p = np.where(flag, min(1, 30 / max(flag.sum(), 1)), min(1, 30 / max((~flag).sum(), 1)))
    else:  # chances that differ by three within each stratum
        p = np.clip(60 / n * np.where(rng.random(n) < 0.5, 0.5, 1.5), 0, 1)
        return rng.random(n) < p, p
    drawn = np.zeros(n, bool)
    for group in (flag, ~flag) if design == "by flag" else (np.ones(n, bool),):
        size = min(group.sum(), 30 if design == "by flag" else 60)
        drawn[rng.permutation(np.flatnonzero(group))[:size]] = True
    return drawn, p


@pytest.mark.parametrize("design", ["uniform", "by flag", "unequal"])
@pytest.mark.parametrize(
    ("texts", "bad", "hit", "false"), [(240, 0.1, 0.7, 0.05), (1000, 0.3, 0.8, 0.1), (1000, 0.04, 0, 0)]
)
def test_intervals_cover(design, texts, bad, hit, false):
    """95% intervals hold the truth at least about as often as they say, and the estimate has no bias."""
    rng = np.random.default_rng(3)
    covered, errors = [], []
    for _ in range(200):
        truth = rng.random(texts) < bad
        flag = rng.random(texts) < np.where(truth, hit, false)
        drawn, p = sample(rng, flag, design)
        rate = estimate_rate(truth[drawn], flag[drawn], p[drawn], int((~flag).sum()), int(flag.sum()))
        covered.append(rate.low - 1e-9 <= truth.mean() <= rate.high + 1e-9)
        errors.append(rate.value - truth.mean())
    assert np.mean(covered) >= 0.93, np.mean(covered)  # 0.95 less two standard errors of 200 runs, rounded
    assert abs(np.mean(errors)) < 0.01


def test_value_is_ppi_plus_plus():
    bad = np.array([1, 1, 0, 0, 0, 1, 0, 0], bool)
    flag = np.array([1, 1, 1, 0, 0, 0, 0, 0], bool)
    p = np.array([0.5, 0.5, 0.25, 0.2, 0.1, 0.1, 0.2, 0.4])
    w = 1 / p / (1 / p).sum()
    y, f = (w * bad).sum(), (w * flag).sum()
    slope = ((w * bad * flag).sum() - y * f) / (f * (1 - f))
    rate = estimate_rate(bad, flag, p, 70, 30)
    assert rate.value == pytest.approx(y + slope * (0.3 - f))
    assert (rate.audited, rate.flagged) == (8, 0.3)


def test_a_good_flag_makes_the_interval_narrower():
    rng = np.random.default_rng(1)
    truth = rng.random(1000) < 0.3
    flag = truth ^ (rng.random(1000) < 0.03)
    p = np.full(100, 0.1)
    helped = estimate_rate(truth[:100], flag[:100], p, int((~flag).sum()), int(flag.sum()))
    alone = estimate_rate(truth[:100], np.zeros(100, bool), p, 1000, 0)
    assert helped.high - helped.low < 0.7 * (alone.high - alone.low)


def test_a_flag_that_never_fires_leaves_the_binomial():
    rate = estimate_rate(np.arange(60) < 2, np.zeros(60, bool), np.ones(60), 100_000, 0)
    exact = binomtest(2, 60).proportion_ci(0.95, "exact")
    assert rate.low == pytest.approx(exact.low, abs=1e-3) and rate.high == pytest.approx(exact.high, abs=1e-3)


def test_all_read_leaves_nothing_to_guess():
    rate = estimate_rate(np.arange(24) < 3, np.arange(24) < 5, np.ones(24), 19, 5)
    assert rate.value == rate.low == rate.high == pytest.approx(3 / 24)


def test_agreement_with_the_flag_is_no_certainty():
    """A dozen labels that all agree with the gate do not prove that it is always right."""
    flag = np.arange(12) < 4
    rate = estimate_rate(flag, flag, np.ones(12), 200, 100)
    assert rate.value == pytest.approx(1 / 3) and rate.high - rate.low > 0.3


def test_what_nobody_looked_at_is_unknown():
    """Only unflagged texts were read: the flagged third may be anything."""
    rate = estimate_rate(np.zeros(50, bool), np.zeros(50, bool), np.ones(50), 200, 100)
    assert rate.low == 0 and rate.high > 1 / 3


def test_without_labels_or_texts_there_is_no_value():
    nothing = np.zeros(0)
    assert estimate_rate(nothing, nothing, nothing, 8, 2) == estimate_rate(nothing, nothing, nothing, 80, 20)
    assert estimate_rate(nothing, nothing, nothing, 8, 2).value is None
    assert estimate_rate(nothing, nothing, nothing, 0, 0).flagged is None


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_any_sample_gives_a_proper_interval(data):
    n = data.draw(st.integers(1, 30))
    bad, flag = (np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n))) for _ in range(2))
    p = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=n, max_size=n)))
    more = [data.draw(st.integers(0, 50)) for _ in range(2)]
    rate = estimate_rate(bad, flag, p, int((~flag).sum()) + more[0], int(flag.sum()) + more[1])
    assert 0 <= rate.low <= rate.value <= rate.high <= 1 and rate.audited == n


def test_limits():
    assert [verdict(0.1, *v) for v in ((0.11, 0.2), (0.0, 0.1), (0.05, 0.2), (None, None))] == [
        "failed", "fine", "unknown", "unknown"]  # fmt: skip
    assert exit_code(["unknown", "failed"]) == 1 and exit_code(["fine", "unknown"]) == 5 and exit_code([]) == 0


def text(i: int, flag: str = "", task: str = "mood") -> Text:
    return Text(task, f"s{i}", f"Name {i}", f"c{i}", {"name": f"Name {i}"}, {"line": f"text {i}"}, flag)


def write(path, rows):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


def line(i: int, label: str = "sound", **more):
    return {"task": "mood", "subject": f"s{i}", "output": {"line": f"text {i}"}, "label": label, **more}


@pytest.mark.parametrize(("rows", "words"), [
    (['{"task": '], "l.jsonl:1: no JSON"),
    (['"x"'], "l.jsonl:1: no JSON object"),
    ([line(1), {**line(2), "lable": "noise"}], "l.jsonl:2: lable: unknown key. did you mean label?"),
    ([line(1, "good")], "l.jsonl:1: label: "),
    ([line(1, task="moood")], "l.jsonl:1: task: moood is no task of this recipe. did you mean mood?"),
    ([line(1, p=0)], "l.jsonl:1: p: "),
    ([line(1), line(2), line(1, "noise")], "l.jsonl:3: label: noise, and line 1 calls the same text sound"),
    ([line(1, stage="before"), line(1, "noise")], "l.jsonl:2: label: noise, and line 1"),
    ([line(1, p=0.5), line(2)], "l.jsonl:2: p: other labels of mood have one"),
    (['{"task": "mood", "subject": "s", "output": {"n": NaN}}'], "l.jsonl:1: output: holds NaN"),
    (['{"task": "mood", "subject": "s", "output": {"n": 1e999}}'], "or a number that is too large"),
    ([{"task": "mood", "output": {}}], "l.jsonl:1: lacks subject. add it"),
    ([line(1, unsupported=["text 1"])], "l.jsonl:1: unsupported: goes with the label hallucination"),
    ([line(1), line(2, "hallucination", unsupported=["Text 2"])], "l.jsonl:2: unsupported: 'Text 2' stands in no text"),
    ([line(1, "hallucination", unsupported=["dry"], output={"line": "text 1", "tone": "dry"})], "'dry' stands in no text"),
    ([line(1, "hallucination", unsupported=[" "])], "' ' stands in no text"),
    ([line(1, "hallucination", unsupported=[], task="card")], "quotes no sentence"),
    ([line(1, "hallucination", unsupported="text 1")], "l.jsonl:1: unsupported: input should be a valid list"),
])  # fmt: skip
def test_faults_are_named_by_line(tmp_path, rows, words):
    path = tmp_path / "l.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    with pytest.raises(InputError) as error:
        read_labels(path, TASKS, "l.jsonl")
    assert words in str(error.value)


def test_all_faults_at_once_and_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "l.jsonl"
    path.write_bytes(b"\xff\xfe\n" + b"[" * 100_000 + b"\n" + json.dumps(line(1)).encode() + b"\n{}\n")
    with pytest.raises(InputError) as error:
        read_labels(path, TASKS)
    assert [x.split(":")[1] for x in str(error.value).splitlines()] == ["1", "2", "4"]


def test_labels_match_by_task_subject_and_output(tmp_path):
    texts = TaskTexts("mood", 3, before=[text(1, "noise"), text(2)], after=[text(2), text(3)])
    rows = [line(1, "noise"), line(2), line(2), line(3, "hallucination", stage="after"), line(9), line(4, "")]
    labels = read_labels(write(tmp_path / "l.jsonl", rows), TASKS)
    found, gone = matched_labels(labels, [texts])
    assert (len(labels), labels.empty, gone) == (4, 1, 1)
    assert {r["subject"]: r["label"] for r in found} == {"s1": "noise", "s2": "sound", "s3": "hallucination"}
    before, after = (label_rate(labels, texts, stage, "noise") for stage in ("before", "after"))
    assert (before.audited, before.value, before.flagged) == (2, 0.5, 0.5)
    assert (after.audited, after.value, after.flagged) == (2, 0.0, 0.0)
    assert label_rate(labels, texts, "after", "hallucination").value == 0.5


def test_a_label_of_one_stage_is_not_used_for_the_other(tmp_path):
    texts = TaskTexts("mood", 1, before=[text(1)], after=[text(1)])
    labels = read_labels(write(tmp_path / "l.jsonl", [line(1, stage="after")]), TASKS)
    assert label_rate(labels, texts, "before", "noise").audited == 0
    assert label_rate(labels, texts, "after", "noise").audited == 1


def test_draw_says_each_texts_chance(tmp_path):
    flags = ["noise"] * 30 + ["hallucination"] * 10 + [""] * 160
    mood = TaskTexts("mood", 200, before=[text(i, f) for i, f in enumerate(flags)])
    mood.after = mood.before[40:]
    card = TaskTexts("card", 6, before=[text(i, "", "card") for i in range(6)])
    rows = draw([mood, card, TaskTexts("empty")], 60)
    assert len(rows) == 60 and sum(r["task"] == "card" for r in rows) == 6
    flag = {t.subject: t.flag for t in mood.before}
    chances = {}
    for r in rows:
        if r["task"] == "mood":
            chances.setdefault(flag[r["subject"]], []).append(r["p"])
    for f, ps in chances.items():  # the weights add up to the stratum
        assert sum(1 / p for p in ps) == pytest.approx(flags.count(f))
    assert all(r["record"] and r["label"] == "" for r in rows)
    drawn = [{(r["task"], r["subject"]) for r in draw([mood, card], n)} for n in range(1, 207)]
    assert all(a < b for a, b in zip(drawn[:-1], drawn[1:], strict=True)) and len(drawn[-1]) == 206
    for r in rows:
        r["label"] = "noise" if r["task"] == "mood" and flag[r["subject"]] == "noise" else "sound"
    labels = read_labels(write(tmp_path / "l.jsonl", rows), TASKS)
    assert label_rate(labels, mood, "before", "noise").value == pytest.approx(0.15)
    assert sum(r["label"] != "" for r in draw([mood, card], 90, labels)) == 60
