"""The draw: strata, chances that are true, and samples that only grow."""

import numpy as np
import pytest

from tests.evidence.test_rates import text
from tokenrec.evidence.audited import load_sample, sample_rate
from tokenrec.evidence.sampling import draw, draw_task, sample_id, strata_of
from tokenrec.evidence.texts import TaskTexts, Text
from tokenrec.store.audits import sample_rows
from tokenrec.store.store import open_store


def mood(n=200, bad=40, salt="", task="mood"):
    """First answers, the last `bad` of which were rejected; scores that rise."""
    flags = [""] * (n - bad) + ["noise", "hallucination"] * (bad // 2)
    texts = [Text(task, f"{salt}s{i}", "", f"c{i}", {}, {"line": f"{i}"}, f, {"noise": i / n}) for i, f in enumerate(flags)]
    return TaskTexts(task, n, before=texts, after=texts[: n - bad])


def test_strata_by_gate_score_and_stage():
    found = mood()
    found.after.append(Text("mood", "s199", "", "c999", {}, {"line": "second"}, ""))
    strata = {name: len(s) for name, s in strata_of(found).items()}
    assert strata == {"accepted": 120, "accepted, suspicious": 40, "accepted, not the first answer": 1,
                      "rejected, noise": 20, "rejected, hallucination": 20}  # fmt: skip
    flat = TaskTexts("mood", 9, before=[text(i) for i in range(9)], after=[text(i) for i in range(9)])
    assert list(strata_of(flat)) == ["accepted"]  # equal scores tell nothing
    assert strata_of(TaskTexts("empty")) == {}


def test_a_larger_draw_holds_the_smaller_and_chances_are_shares():
    drawn = [draw_task(mood(), n) for n in range(1, 201)]
    keys = [{d.text.key for d in part} for part in drawn]
    assert all(a < b for a, b in zip(keys[:-1], keys[1:], strict=True)) and len(keys[-1]) == 200
    sizes = {name: len(s) for name, s in strata_of(mood()).items()}
    for part in drawn[40], drawn[99], drawn[-1]:
        for name, size in sizes.items():
            mine = [d.pi for d in part if d.stratum == name]
            assert len(mine) >= 2 and set(mine) == {len(mine) / size}


def test_every_text_of_a_stratum_is_drawn_as_often():
    """Over many data sets the chance of each place is the stored one."""
    hits = np.zeros(200)
    pi = np.zeros(200)
    for world in range(300):
        for d in draw_task(mood(salt=f"{world}-"), 60):
            hits[int(d.text.output["line"])] += 1
            pi[int(d.text.output["line"])] = d.pi
    error = (hits / 300 - pi) / np.sqrt(pi * (1 - pi) / 300)
    assert np.abs(error).max() < 4.5 and abs(error.mean()) < 0.3


def test_a_sample_is_of_its_texts_and_labels_live_on():
    db = open_store(":memory:")
    a, b = mood(), mood(task="card")
    first = draw(db, "r", [a, b], 60)
    assert len(first) == 60 and len(draw(db, "r", [a, b], 20)) == 60  # it never shrinks
    assert len(draw(db, "r", [a], 40)) == 40 and len(sample_rows(db, sample_id("r", a))) == 40
    more = mood(210)  # ten more texts: another sample, mostly the same texts
    assert sample_id("r", more) != sample_id("r", a)
    again = {d.text.key for d in draw(db, "r", [more], 40)}
    assert len(again & {d.text.key for d in draw(db, "r", [a], 40)}) > 25
    order = [d.text.task for d in first]
    assert order != sorted(order) and order != sorted(order, reverse=True)  # random: stop at any time
    with pytest.raises(Exception, match="pi"):
        db.execute("insert into samples values ('s', 'r', 't', 'c', 'x', 'h', 0, '')")


def judged(world, n=300):
    """Texts of one world and what people would call them; a fifth of the bad ones is accepted only as a second answer."""
    rng = np.random.default_rng(world)
    bad = rng.random(n) < 0.2
    flags = np.where(rng.random(n) < np.where(bad, 0.4, 0.05), "noise", "")
    scores = 1 / (1 + np.exp(-(3 * bad - 1.5 + rng.normal(size=n))))
    texts = [Text("mood", f"{world}-{i}", "", f"c{i}", {}, {"n": i}, str(flags[i]), {"noise": float(scores[i])})
             for i in range(n)]  # fmt: skip
    again = [Text("mood", t.subject, "", f"d{i}", {}, {"n": -i}, "", {"noise": 0.2}) for i, t in enumerate(texts)
             if t.flag and i % 2]  # fmt: skip
    found = TaskTexts("mood", n, before=texts, after=[t for t in texts if not t.flag] + again)
    label = {t.key: "noise" if bad[abs(t.output["n"])] else "sound" for t in found.distinct()}
    return found, label


@pytest.mark.parametrize("read", [1.0, 0.6])
def test_from_the_draw_to_the_rate(read):
    """The whole way holds the truth, before and after the gates, also when people stop on the way."""
    covered, errors = {"before": [], "after": []}, {"before": [], "after": []}
    db = open_store(":memory:")
    for world in range(300):
        texts, label = judged(world)
        drawn = draw(db, "r", [texts], 90)
        labels = {("mood", *d.text.key): {"label": label[d.text.key]} for d in drawn[: int(read * len(drawn))]}
        sample = load_sample(db, "r", texts, labels)
        for stage in covered:
            truth = np.mean([label[t.key] == "noise" for t in texts.of(stage)])
            rate = sample_rate(texts, stage, "noise", sample)
            covered[stage].append(rate.low - 1e-9 <= truth <= rate.high + 1e-9)
            errors[stage].append(rate.value - truth)
    for stage in covered:
        assert np.mean(covered[stage]) >= 0.93, stage  # .95 less two standard errors of 300 runs, rounded
        assert abs(np.mean(errors[stage])) < 0.01, stage
