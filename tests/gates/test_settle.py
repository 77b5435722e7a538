"""Sentence by sentence: what the rules refuse is taken out where that is asked for, and thresholds decide the rest."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenrec.gates.base import Candidate, Finding
from tokenrec.gates.calibration import THIRDS, Calibration, Third, third_of
from tokenrec.gates.checks import RECALIBRATED, SUSPICION
from tokenrec.gates.judge import Judge
from tokenrec.gates.sentences import DROPPED, without
from tokenrec.gates.settle import RISK, SETTLED, unsettled
from tokenrec.gates.text import places
from tokenrec.recipe.tasks import Task

RECORD = {"name": "Leek soup", "minutes": 40, "ingredients": ["leek", "potato", "cream"]}
TRUE = "Leeks and potato simmer in cream. It takes 40 minutes."
MIXED = "Leeks and potato simmer in cream. It takes 90 minutes. A soup with leek for cold days."


def task(**output) -> Task:
    line = {"type": "text", "max_words": 60, **output}
    return Task.model_validate({"for": "item", "inputs": ["name"], "write": "Describe it.", "outputs": {"line": line}})


def candidate(text: str) -> Candidate:
    return Candidate("k", "line", "s", json.dumps({"line": text}), None, RECORD, "Leek soup")


def verdict(judge: Judge, text: str):
    return judge.judge([candidate(text)])["k"]


def calibration(threshold: float | None, promised: bool = True, risk: float = 0.1, **third) -> dict[str, Calibration]:
    thirds = (Third(threshold=threshold, **third),) * THIRDS
    return {"line": Calibration("line", thirds, "20% could be", promised, risk, 0.9)}


def test_a_false_sentence_is_dropped_and_the_rest_kept():
    found = verdict(Judge("line", task(unsupported="drop")), MIXED)
    assert found.state == "accepted"
    assert found.kept == {"line": "Leeks and potato simmer in cream. A soup with leek for cold days."}
    dropped = next(f for f in found.findings if f.gate == DROPPED)
    assert dropped.quote == "It takes 90 minutes." and "numbers" in dropped.reason
    assert [MIXED[a:b] for a, b, _ in dropped.parts] == ["It takes 90 minutes."]


def test_without_dropping_the_same_text_is_rejected():
    found = verdict(Judge("line", task()), MIXED)
    assert found.state == "rejected" and found.kept is None


def test_a_text_whose_rest_would_say_too_little_is_rejected():
    assert verdict(Judge("line", task(unsupported="drop", min_words=14)), MIXED).state == "rejected"
    assert verdict(Judge("line", task(unsupported="drop")), "It takes 90 minutes.").state == "rejected"


def test_a_true_text_is_left_alone():
    found = verdict(Judge("line", task(unsupported="drop")), TRUE)
    assert found.state == "accepted" and found.kept is None


def judged(*chances: float, text: str = MIXED) -> list[Finding]:
    """What the detector might have said of the three sentences."""
    parts = tuple((a, b, p) for (a, b), p in zip(places(text), chances, strict=True))
    return [Finding(SUSPICION, True, max(chances), "", "", "line", parts)]


PROMISED = {"judge": "detector", "factuality": {"risk": 0.1}}


def test_a_threshold_rejects_the_whole_text_or_takes_the_sentence_out():
    whole = Judge("line", task(**PROMISED), calibrations=calibration(0.5))
    kept, found = whole.settle(candidate(MIXED), {"line": MIXED}, judged(0.1, 0.7, 0.2))
    risk = next(f for f in found if f.gate == RISK)
    assert kept is None and not risk.passed and risk.quote == "It takes 90 minutes."
    dropping = Judge("line", task(**PROMISED, unsupported="drop"), calibrations=calibration(0.5))
    kept, found = dropping.settle(candidate(TRUE), {"line": TRUE}, judged(0.1, 0.7, text=TRUE))
    assert kept == {"line": "Leeks and potato simmer in cream."}
    assert all(f.passed for f in found)


@pytest.mark.parametrize(("on_unmet", "passed"), [("flag", True), ("reject", False)])
@pytest.mark.parametrize(
    "calibrations", [None, calibration(None, promised=False), calibration(0.5, risk=0.2)],
    ids=["none", "unmet", "other"],
)
def test_where_nothing_is_promised_on_unmet_decides(on_unmet, passed, calibrations):
    """No labels yet; labels that allow no promise; a promise of less than the recipe asks for now."""
    output = {"judge": "detector", "factuality": {"risk": 0.1, "on_unmet": on_unmet}}
    judge = Judge("line", task(**output), calibrations=calibrations)
    kept, found = judge.settle(candidate(TRUE), {"line": TRUE}, judged(0.9, 0.9, text=TRUE))
    risk = next(f for f in found if f.gate == RISK)
    assert kept is None and risk.passed is passed and "not promised" in risk.reason


def test_fitted_probabilities_take_the_place_of_the_judges_own():
    judge = Judge("line", task(**PROMISED), calibrations=calibration(0.5, slope=1.0, bias=-3.0))
    found = judge.judge([candidate(TRUE)])["k"].findings
    by = {f.gate: f for f in found}
    assert by[RECALIBRATED].score < by[SUSPICION].score
    assert len(by[RECALIBRATED].parts) == len(by[SUSPICION].parts) == 2


def test_a_threshold_is_no_part_of_the_checks_id_but_a_fit_is():
    ids = {name: Judge("line", task(**PROMISED), calibrations=c) for name, c in
           {"none": None, "low": calibration(0.2), "high": calibration(0.8), "fit": calibration(0.2, bias=1.0)}.items()}  # fmt: skip
    assert ids["none"].gate_id == ids["low"].gate_id == ids["high"].gate_id != ids["fit"].gate_id
    assert len({ids[n].settle_id for n in ("none", "low", "high")}) == 3 and Judge("line", task()).settle_id == ""


def test_unsettled_findings_settle_the_same_again():
    judge = Judge("line", task(**PROMISED, unsupported="drop"), calibrations=calibration(0.5))
    first = judge.check(candidate(MIXED))
    kept, found = judge.settle(candidate(MIXED), {"line": MIXED}, first)
    assert judge.settle(candidate(MIXED), {"line": MIXED}, unsettled(found)) == (kept, found)
    assert [f for f in unsettled(found) if f.gate not in SETTLED] == [f for f in first if f.gate not in SETTLED]


SENTENCES = st.sampled_from(["It is red.", "Soup!", "Who knows?", "40 minutes", "热汤。", "\n"])


@given(st.lists(SENTENCES, max_size=8), st.data())
def test_without_takes_out_just_those_sentences(parts, data):
    text = " ".join(parts)
    found = places(text)
    assert all(text[a:b].strip() == text[a:b] and a < b for a, b in found)
    gone = data.draw(st.sets(st.sampled_from(found))) if found else set()
    rest = without(text, gone)
    left = [text[a:b] for a, b in found if (a, b) not in gone]
    assert [rest[a:b] for a, b in places(rest)] == left or not gone


def test_thirds_are_even_and_depend_on_the_record_alone():
    thirds = [third_of("t", {"n": i}) for i in range(3000)]
    assert all(900 < thirds.count(k) < 1100 for k in range(THIRDS))
    assert third_of("t", {"a": 1, "b": 2}) == third_of("t", {"b": 2, "a": 1})
