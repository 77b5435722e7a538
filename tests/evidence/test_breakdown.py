"""Rates of parts hold the truth as those of the whole do, and what labels don't say is a range."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evidence.test_sampling import judged
from tokenrec.dataset.lists import make_lists
from tokenrec.dataset.load import load_dataset
from tokenrec.dataset.types import TEST
from tokenrec.evidence.audited import Sample, load_sample
from tokenrec.evidence.breakdown import (
    LEAST,
    Said,
    basis_of,
    blames,
    by_output,
    by_slice,
    by_type,
    enough,
    pooled,
    rates_of,
    slicer,
)
from tokenrec.evidence.labels import Label, Labels
from tokenrec.evidence.rates import Rate
from tokenrec.evidence.sampling import draw
from tokenrec.evidence.texts import TaskTexts, Text
from tokenrec.ids import canonical_json
from tokenrec.recipe.load import load_recipe
from tokenrec.recipe.tasks import Task
from tokenrec.store.store import open_store

ROOT = Path(__file__).parents[2]
TWO = Task.model_validate({"for": "item", "inputs": ["name"], "write": "x", "outputs": {
    "line": {"type": "text"}, "tone": {"type": "choice", "choices": ["dry", "warm"]}, "n": {"type": "number", "grounding": "none"}}})  # fmt: skip


@pytest.mark.parametrize("source", ["sample", "file"])
def test_a_slices_interval_holds_its_truth(source):
    """300 worlds; a third of the subjects is cold, and their texts are no better or worse labelled than others."""
    db, held, errors = open_store(":memory:"), {"before": [], "after": []}, {"before": [], "after": []}
    cold = lambda subject: "cold_items" if int(subject.split("-")[1]) % 3 == 0 else "warm"  # noqa: E731
    for world in range(300):
        texts, label = judged(world)
        drawn = draw(db, "r", [texts], 90)
        rows = {("mood", *d.text.key): {"label": label[d.text.key], "reason": "", "unsupported": None, "blind": None,
                                        "output": canonical_json(d.text.output)} for d in drawn}  # fmt: skip
        if source == "sample":
            basis = basis_of(texts, Labels({}), load_sample(db, "r", texts, rows), None)
        else:
            basis = basis_of(texts, Labels({("mood", d.text.key, None): Label(task="mood", subject=d.text.subject, p=d.pi,
                output=d.text.output, label=label[d.text.key]) for d in drawn}), None, cold)  # fmt: skip
        part = by_slice(basis, cold, "item", ["noise"])[0]
        for stage in held:
            mine = [t for t in texts.of(stage) if cold(t.subject) == "cold_items"]
            truth = np.mean([label[t.key] == "noise" for t in mine])
            rate = part["noise_rate"][stage]
            assert part["name"] == "cold_items" and part["texts"][stage] == len(mine)
            if rate.value is not None:
                held[stage].append(rate.low - 1e-9 <= truth <= rate.high + 1e-9)
                errors[stage].append(rate.value - truth)
    for stage in held:
        print(source, stage, np.mean(held[stage]), len(held[stage]))
        assert len(held[stage]) > 100 and np.mean(held[stage]) >= 0.93, stage
        assert abs(np.mean(errors[stage])) < 0.015, stage


def test_slices_are_those_of_the_test_lists():
    loaded = load_recipe(ROOT / "recipes/recipe_app.yaml")
    dataset = load_dataset(loaded.recipe, loaded.folder, most_users=300)
    lists = make_lists(dataset, TEST)
    of_item, of_user = slicer(dataset, "item"), slicer(dataset, "user")
    for item, cold in set(zip(lists.item_of_row.tolist(), lists.cold_row.tolist(), strict=True)):
        assert of_item(dataset.item_ids[item]) == ("cold_items" if cold else "warm")
    for user, few in zip(lists.user.tolist(), lists.sparse_list.tolist(), strict=True):
        assert of_user(dataset.user_ids[user]) == ("sparse_users" if few else "other_users")
    assert {of_item(i) for i in dataset.item_ids} == {"cold_items", "warm"}


@pytest.mark.parametrize(("reason", "quotes", "wanted"), [
    ("tone: not dry", None, {"tone"}), ("line, tone: both", None, {"line", "tone"}), ("it is 10:30", None, set()),
    ("colour: is no output", None, set()), ("not true", ["A dry"], {"line"}), ("not true", None, set()),
    ("tone: not dry", ["A dry"], {"tone"}), ("not true", [], set()),
])  # fmt: skip
def test_the_output_that_a_label_is_of(reason, quotes, wanted):
    assert blames(Said("hallucination", reason, quotes, {"line": "A dry line.", "tone": "dry", "n": 1}), TWO) == wanted


def two(n, reason, where=()):
    texts = [Text("t", f"s{i}", "", f"c{i}", {}, {"line": f"{i}.", "tone": "dry", "n": i}, "", where=where) for i in range(n)]
    found = TaskTexts("t", n, before=texts, after=texts)
    labels = {("t", t.key, None): Label(task="t", subject=t.subject, output=t.output, reason=reason if i < 10 else "",
                                        label="hallucination" if i < 10 else "sound") for i, t in enumerate(texts)}  # fmt: skip
    return found, Labels(labels)


def from_file(*args):
    return basis_of(*two(*args), None, None)


def test_rates_of_one_output_among_several():
    by = {row["name"]: row for row in by_output(from_file(40, "tone: no"), TWO)}
    value = {name: row["hallucination_rate"] and row["hallucination_rate"]["after"].value for name, row in by.items()}
    assert value == {"line": 0, "tone": 0.25, "n": None} and by["n"]["hallucination_rate"] is None
    assert by["n"]["noise_rate"]["after"].value == 0 and by["tone"]["type"] == "choice"
    by = {row["name"]: row["hallucination_rate"] for row in by_output(from_file(40, "no"), TWO)}
    for rate in by["line"]["after"], by["tone"]["after"]:  # nobody said which: none to all of them
        assert (rate.value, rate.low, rate.high, rate.audited) == (None, 0, 0.25, 40)
    flagged = by_output(from_file(40, "no", (("factuality/names", "line"), ("noise/loops", "n"))), TWO)
    assert [(r["noise_rate"]["before"].flagged, (r["hallucination_rate"] or r["noise_rate"])["before"].flagged)
            for r in flagged] == [(0, 1), (0, 0), (1, 1)]  # fmt: skip
    assert by_output(from_file(40, ""), replace_outputs(TWO, "line")) == []


def replace_outputs(task, *names):
    return task.model_copy(update={"outputs": {name: task.outputs[name] for name in names}})


def test_the_same_from_a_sample():
    texts, labels = two(40, "tone: no")
    rows = {k[1]: {"label": v.label, "reason": v.reason, "unsupported": None, "output": canonical_json(v.output)}
            for k, v in labels.by.items()}  # fmt: skip
    sample = Sample({"accepted": texts.before}, 40, {key: row["label"] for key, row in rows.items()}, rows=rows)
    by = {row["name"]: row["hallucination_rate"] for row in by_output(basis_of(texts, Labels({}), sample, None), TWO)}
    assert (by["line"]["after"].value, by["tone"]["after"].value) == (0, 0.25)


def test_types_are_pooled_over_the_tasks_that_have_labels():
    line = replace_outputs(TWO, "line")
    few = basis_of(TaskTexts("u", 30, before=two(30, "")[0].before), Labels({}), None, None)
    (found,) = by_type([("t", from_file(40, "x"), line), ("v", from_file(60, "x"), line), ("u", few, line)])
    rate = found["hallucination_rate"]["before"]
    assert found["tasks"] == ["t", "v", "u"] and found["texts"] == {"before": 130, "after": 100}
    assert rate.value == pytest.approx(20 / 100) and rate.audited == 100 and rate.low == rate.high
    assert {row["name"] for row in by_type([("t", from_file(40, "x"), TWO)])} == {"text", "choice", "number"}


def test_too_few_to_say_unless_all_was_read():
    rate = Rate(0.1, 0.0, 0.3, LEAST - 1, 0.5)
    assert enough(rate) == Rate(None, None, None, LEAST - 1, 0.5)
    assert enough(replace(rate, audited=LEAST)).value == 0.1
    assert enough(Rate(0.25, 0.25, 0.25, 4, 0.0)).value == 0.25
    assert rates_of(from_file(40, "x"), ["noise"])["hallucination_rate"] is None
    assert pooled([(Rate(None, None, None, 0, 0.5), 10), (Rate(None, None, None, 0, None), 0)]).flagged == 0.5
    both = pooled([(Rate(0.2, 0.1, 0.3, 30, 0.0), 50), (Rate(0.4, 0.3, 0.5, 30, 0.0), 50)])
    assert both.value == pytest.approx(0.3) and both.low == pytest.approx(0.3 - 0.5 * 0.1 * 2**0.5)
