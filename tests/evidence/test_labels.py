"""Which sentences a label speaks of, and that quotes and flags go from the file to the store and stay there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evidence.test_rates import TASKS, line, text, write
from tokenrec.evidence.labels import draw, matched_labels, read_labels, sentence_labels
from tokenrec.evidence.quality import reasons
from tokenrec.evidence.sampling import strata_of
from tokenrec.evidence.texts import TaskTexts, Text, cut
from tokenrec.gates.text import places
from tokenrec.store.audits import doubled_of, drop_label, labels_of, save_audits, save_skip, skipped_of
from tokenrec.store.store import open_store

TEXT = "The soup is hot. It was made in 1990. The soup is hot. Serve it."


@pytest.mark.parametrize(("label", "quotes", "wanted"), [
    ("sound", None, [False] * 4),
    ("noise", None, [False] * 4),
    ("hallucination", None, [None] * 4),
    ("hallucination", [], [False] * 4),  # another output of the task is wrong
    ("hallucination", ["made in 1990"], [False, True, False, False]),
    ("hallucination", ["1990. The"], [False, True, True, False]),
    ("hallucination", ["The soup is hot."], [True, False, True, False]),  # it stands there twice
    ("hallucination", ["in 1990.", " Serve it."], [False, True, False, True]),
    ("hallucination", ["what another text of the answer says"], [False] * 4),
])  # fmt: skip
def test_sentences_that_a_label_speaks_of(label, quotes, wanted):
    assert sentence_labels(TEXT, label, quotes, places(TEXT)) == wanted


def test_the_only_sentence_is_the_one_that_is_meant():
    assert sentence_labels("Made in 1990.", "hallucination", None, [(0, 13)]) == [True]
    assert sentence_labels("", "hallucination", None, []) == []


@given(st.lists(st.sampled_from(["It is hot.", "Is it?", "说它热。", "1.5 l of it!"]), min_size=1, max_size=6), st.data())
def test_a_quoted_sentence_is_always_found(parts, data):
    said = " ".join(parts)
    found = places(said)
    at = data.draw(st.integers(0, len(found) - 1))
    start, end = found[at]
    labels = sentence_labels(said, "hallucination", [said[start:end]], found)
    assert labels[at] and all(said[a:b] == said[start:end] for (a, b), bad in zip(found, labels, strict=True) if bad)


def test_quotes_and_blindness_go_from_file_to_store_and_back(tmp_path):
    texts = TaskTexts("mood", 3, before=[text(1), text(2), text(3)])
    rows = [line(1, "hallucination", unsupported=["text"], blind=True, who="Ann"), line(2, who="Ann", blind=False), line(3)]
    labels = read_labels(write(tmp_path / "l.jsonl", rows), TASKS)
    again = read_labels(write(tmp_path / "2.jsonl", [r for r in draw([texts], 3, labels)]), TASKS)
    assert {k: v.model_dump(exclude={"p", "name", "record"}) for k, v in again.by.items()} == {
        k: v.model_dump(exclude={"p", "name", "record"}) for k, v in labels.by.items()}  # fmt: skip
    db = open_store(":memory:")
    assert save_audits(db, "r", matched_labels(labels, [texts])[0]) == 3
    stored = {r["subject"]: (r["unsupported"], r["blind"]) for r in labels_of(db, "r").values()}
    assert stored == {"s1": (["text"], True), "s2": (None, False), "s3": (None, None)}

    bare = [line(1, "hallucination", who="Ann"), line(2, "noise", who="Ann"), line(3)]  # says less: what is known stays
    rows, _ = matched_labels(read_labels(write(tmp_path / "3.jsonl", bare), TASKS), [texts])
    assert save_audits(db, "r", rows) == 1 and save_audits(db, "r", rows) == 0
    stored = {r["subject"]: (r["label"], r["unsupported"], r["blind"]) for r in labels_of(db, "r").values()}
    assert stored == {"s1": ("hallucination", ["text"], True), "s2": ("noise", None, None), "s3": ("sound", None, None)}


def test_an_answer_that_lost_a_sentence_was_flagged_and_what_is_left_was_not():
    whole = Text("t", "s", "", "c", {}, {"line": "One. Two.", "n": 1}, "", {"hallucination": 0.4})
    where = (("factuality/dropped", "line"),)
    first, left = cut(whole, {"line": "One.", "n": 1}, where)
    assert (first.flag, first.gates, first.where) == ("hallucination", ("factuality/dropped",), where)
    assert (left.flag, left.gates, left.output) == ("", (), {"line": "One.", "n": 1}) and left.key != first.key
    assert reasons(TaskTexts("t", 1, before=[first]), {}) == [
        {"gate": "factuality/dropped", "texts": 1, "labelled": 0, "bad": 0}]  # fmt: skip
    assert cut(whole, None, ()) == (whole, whole)
    assert list(strata_of(TaskTexts("t", 1, before=[first], after=[left]))) == [
        "accepted, not the first answer", "rejected, hallucination"]  # fmt: skip


def test_what_two_people_said_of_one_text_is_kept():
    db = open_store(":memory:")
    row = {"task": "t", "subject": "s", "output": {"a": 1}, "completion_id": "c", "reason": ""}
    for label, who in (("sound", "Ann"), ("noise", "Ann"), ("noise", ""), ("noise", "Ann")):
        save_audits(db, "r", [row | {"label": label, "who": who}])
    assert doubled_of(db, "r") == []  # Ann changed her mind; who nobody is can't be told
    for _ in range(2):
        save_audits(db, "r", [row | {"label": "sound", "who": "Bob"}])
    assert doubled_of(db, "r") == [("noise", "sound")]
    assert next(iter(labels_of(db, "r").values()))["who"] == "Bob"
    drop_label(db, "r", "t", "s", {"a": 1})
    assert doubled_of(db, "r") == [] and not labels_of(db, "r")


def test_a_skip_counts_until_there_is_a_label():
    db = open_store(":memory:")
    row = {"task": "t", "subject": "s", "output": {"a": 1}, "completion_id": "c", "who": "Ann"}
    save_skip(db, "r", row)
    save_skip(db, "r", row | {"who": "Bob"})
    assert len(skipped_of(db, "r", "t")) == 1 and not skipped_of(db, "r", "u")
    assert [r["who"] for r in db.query("select who from skips where at is not null")] == ["Bob"]
    save_audits(db, "r", [row | {"label": "sound", "reason": ""}])
    assert not skipped_of(db, "r", "t")
    drop_label(db, "r", "t", "s", {"a": 1})
    assert not skipped_of(db, "r", "t") and not db["skips"].count
