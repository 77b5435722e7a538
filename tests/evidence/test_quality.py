"""The gates beside people, what changed since the last evaluation, and the limits as JUnit XML."""

from xml.etree import ElementTree as xml

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from tokenrec.evidence.history import compare
from tokenrec.evidence.quality import auroc, quality, reasons
from tokenrec.evidence.texts import TaskTexts, Text
from tokenrec.report.junit import junit
from tokenrec.store.store import open_store


def text(i, flag="", score=0.0, gates=()):
    return Text("mood", f"s{i}", "", f"c{i}", {}, {"n": i}, flag, {"noise": score}, gates)


def test_quality_is_sklearns_with_weights():
    rng = np.random.default_rng(2)
    bad, flag, w = rng.random(80) < 0.4, rng.random(80) < 0.3, rng.random(80) + 0.1
    f = np.round(rng.random(80), 1)
    texts = [text(i, "noise" if flag[i] else "", f[i]) for i in range(80)]
    known = {t.key: ("noise" if bad[i] else "sound", w[i]) for i, t in enumerate(texts)}
    got = quality(TaskTexts("mood", 80, before=texts), "noise", known)
    for name, sklearn in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        assert got[name] == pytest.approx(sklearn(bad, flag, sample_weight=w)), name
    assert got["all_positive_f1"] == pytest.approx(f1_score(bad, np.ones(80), sample_weight=w))
    assert got["auroc"] == pytest.approx(roc_auc_score(bad, np.where(flag, 1, f), sample_weight=w))
    assert (got["labels"], got["bad"]) == (80, bad.sum())
    assert auroc(bad, f, np.ones(80)) == pytest.approx(roc_auc_score(bad, f))


def test_what_labels_do_not_define_is_null():
    texts = TaskTexts("mood", 2, before=[text(0), text(1)])
    assert quality(texts, "noise", {}) is None
    got = quality(texts, "noise", {text(0).key: ("sound", 1.0)})
    assert got == {"labels": 1, "bad": 0, "precision": None, "recall": None, "f1": None, "all_positive_f1": None,
                   "auroc": None}  # fmt: skip


def test_reasons_say_which_gate_was_right():
    texts = [text(0, "noise", gates=("noise/echo",)), text(1, "noise", gates=("noise/copy", "noise/echo")), text(2)]
    known = {texts[0].key: ("noise", 1.0), texts[1].key: ("sound", 1.0)}
    assert reasons(TaskTexts("mood", 3, before=texts), known) == [
        {"gate": "noise/copy", "texts": 1, "labelled": 1, "bad": 0},
        {"gate": "noise/echo", "texts": 2, "labelled": 2, "bad": 1}]  # fmt: skip


def document(value, low, high, program="p", limits=()):
    rate = {"value": value, "low": low, "high": high, "audited": 9, "flagged": 0.0}
    task = {"task": "mood", "noise_rate": {"before": rate, "after": rate}, "hallucination_rate": None,
            "malformed_rate": 0.0, "program": {"program_id": program}, "basis": {"labelled": 9}}  # fmt: skip
    return {"recipe": "r", "tasks": [task], "failed_limits": list(limits)}


def test_the_evaluation_before():
    db = open_store(":memory:")
    assert compare(db, document(0.1, 0.05, 0.2)) is None
    assert compare(db, document(0.1, 0.05, 0.2)) is None  # the same again is no other evaluation
    for _ in range(2):
        got = compare(db, document(0.4, 0.3, 0.5, "q"))
        assert [(c["rate"], c["apart"], c["same_program"]) for c in got["changes"]] == [
            ("noise_rate_before", True, False), ("noise_rate", True, False)]  # fmt: skip
        assert got["changes"][0]["was"] == {"value": 0.1, "low": 0.05, "high": 0.2}
    got = compare(db, document(None, None, None, "q"))
    assert not got["changes"][0]["apart"] and got["changes"][0]["was"]["value"] == 0.4
    assert db["evals"].count == 3


def test_junit():
    limits = [{"task": "mood", "limit": "noise_rate > 0.1", "value": 0.4, "low": 0.3, "high": 0.5, "verdict": "failed"},
              {"task": "mood", "limit": "noise_rate_before > 0.4", "value": None, "low": None, "high": None,
               "verdict": "unknown"}]  # fmt: skip
    fail_if = {"noise_rate": "> 0.1", "noise_rate_before": "> 0.4", "hallucination_rate": "> 0.1", "malformed_rate": ">0"}
    suite = xml.fromstring(junit(document(0.4, 0.3, 0.5, limits=limits), fail_if))
    assert {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "1"}  # fmt: skip
    assert [c.get("name") for c in suite] == ["noise_rate > 0.1", "noise_rate_before > 0.4", "hallucination_rate > 0.1",
                                              "malformed_rate >0"]  # fmt: skip
    assert {c.get("classname") for c in suite} == {"r.mood"}
    assert suite[0][0].get("message") == "noise_rate is 40.0% (30.0% to 50.0%), limit > 0.1"
    assert suite[1][0].get("message") == "9 labels are too few to say whether noise_rate_before > 0.4"
    assert len(suite[3]) == 0
