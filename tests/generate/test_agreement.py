"""Further answers for agreement: all asked, stored, resumable, paid for, and never a token."""

import json

import pytest

from tests.generate.scripted import BAD, World
from tokenrec.errors import BudgetStop
from tokenrec.evidence.texts import open_rates, task_texts
from tokenrec.generate.judging import judge_all
from tokenrec.lm.meter import Meter
from tokenrec.recipe.models import Budget
from tokenrec.store import completions as store

OPEN = {"line": {"type": "text", "max_words": 20, "grounding": "open"}}
NOTES = ["amber", "birch", "cedar", "delta", "ember", "frost", "grove", "heath", "ivory", "jade", "kelp", "lunar"]


def known(plant: int, k: int) -> str:
    """What a model says of a plant that it knows: the same each time, in other words."""
    what = f"{NOTES[plant]} {NOTES[plant + 3]} valleys, first described in {1800 + plant}"
    return json.dumps({"line": [f"A shrub of {what}.", f"This shrub is of {what}.", f"Of {what}, a shrub."][k % 3]})


def invented(plant: int, k: int) -> str:
    """The same form, and every time another year."""
    return json.dumps({"line": f"A shrub of {NOTES[plant]} {NOTES[plant + 3]} valleys, first described in {1700 + 31 * k}."})


def world(answer=known, n=4, output=None, **more):
    outputs = {"line": OPEN["line"] | (output or {})}
    return World(answer, n=n, outputs=outputs, agreement={"samples": 3}, **more)


def rates(of: World):
    pid, lm_id = of.db.execute("select program_id, lm_id from current").fetchone()
    return open_rates(task_texts(of.db, "plants", "line", pid, lm_id))


def test_all_are_asked_once_and_only_the_first_is_a_token():
    one = world()
    report = one.run()
    assert (report.asked, report.usage.calls, report.accepted, report.rejected) == (16, 16, 4, 0)
    rows = list(one.db["completions"].rows)
    assert sorted(r["sample"] for r in rows) == sorted([0, 1, 2, 3] * 4)
    assert {(r["sample"] > 0, r["state"]) for r in rows} == {(False, "accepted"), (True, None)}
    assert {r["sample"] for r in one.db["tokens"].rows} == {0}
    assert one.run().asked == 0
    assert rates(one)["before"] == {"n": 4, "unverifiable": 0.0, "claims": 0.0, "unknown": 0.0}


def test_an_answer_that_varies_is_rejected_and_no_further_one_takes_its_place():
    one = world(lambda plant, k: (invented if plant == 2 else known)(plant, k))
    report = one.run()
    assert (report.accepted, report.rejected, dict(report.reject_reasons)) == (3, 1, {"factuality/agreement": 1})
    assert "p2" not in store.tokens(one.db, "plants", "line")
    reason, quote = one.db.execute("select reason, quote from verdicts where not passed").fetchone()
    assert quote == "1700" and "3 of 3 further answers" in reason and '"1731"' in reason


def test_it_goes_on_where_a_budget_stopped_it():
    one = world(n=3)
    one.concurrency = 1
    with pytest.raises(BudgetStop):
        one.run(Meter(Budget(calls=6)))
    assert [r["calls"] for r in one.db["spend"].rows] == [6]
    assert sorted((r["sample"]) for r in one.db["completions"].rows) == [0, 0, 1, 1, 2, 3]
    report = one.run()
    assert report.asked == 6 and report.accepted == 3
    assert rates(one)["before"]["unverifiable"] == 0.0  # judged again with all of them


def test_agreement_added_later_keeps_the_first_answers():
    one = world(n=3)
    one.task.pop("agreement")
    one.run()
    one.task["agreement"] = {"samples": 2}
    report = one.run()
    assert report.asked == 6 and {r["sample"] for r in one.db["completions"].rows} == {0, 1, 2}
    one.task["agreement"] = {"samples": 2, "temperature": 1.2}  # another way to decode: other answers
    assert one.run().asked == 9


def test_a_refused_first_answer_stays_refused():
    one = world(lambda plant, k: BAD if k == 0 else known(plant, k), n=2)
    report = one.run()
    assert (report.asked, report.accepted, dict(report.reject_reasons)) == (8, 0, {"noise/refusal": 2})


def test_malformed_further_answers_say_nothing():
    one = world(lambda plant, k: known(plant, k) if k == 0 else "oops", n=2)
    assert one.run().accepted == 2
    assert rates(one)["after"] == {"n": 2, "unverifiable": 1.0, "claims": 1.0, "unknown": 0.0}


@pytest.mark.parametrize(("rule", "accepted"), [("keep", 2), ("drop", 0), ("reject", 0)])
def test_a_text_of_which_nothing_recurs(rule, accepted):
    other = [
        "A shrub of amber valleys.", "Vines that climb stone walls.", "Bitter roots under snow.", "Berries in August.",
        "Ferns beside cold rivers.", "Thorns and pale petals.", "Moss on old timber.", "Seeds that sailors traded.",
    ]  # fmt: skip
    answer = lambda plant, k: json.dumps({"line": other[4 * plant + k]})  # noqa: E731
    one = world(answer, n=2, output={"unverifiable": rule})
    report = one.run()
    assert report.accepted == accepted
    texts = rates(one)
    assert texts["before"]["unverifiable"] == 1.0
    pid, lm_id = one.db.execute("select program_id, lm_id from current").fetchone()
    flags = {t.flag for t in task_texts(one.db, "plants", "line", pid, lm_id).before}
    assert flags == {""}  # unverifiable is neither noise nor hallucination


def test_an_unknown_answer_is_proper_and_is_not_asked_again():
    said = json.dumps({"line": "unknown"})
    one = World(lambda plant, k: said, n=2, samples=3, outputs={"line": OPEN["line"] | {"or_unknown": True}})
    report = one.run()
    assert (report.asked, report.accepted, dict(report.reject_reasons)) == (2, 0, {"unknown": 2})
    assert rates(one)["before"]["unknown"] == 1.0 and one.run().asked == 0


def test_verdicts_do_not_depend_on_when_they_are_made():
    one = world(lambda plant, k: (invented if plant == 2 else known)(plant, k))
    one.run()
    before = {r["completion_id"]: (r["state"], r["kept"]) for r in one.db["completions"].rows}
    spec, program, at, judge = one.parts()
    pid, lm_id = one.db.execute("select program_id, lm_id from current").fetchone()
    one.db.execute("update completions set state = null, gate_id = null, checked = null, findings = null")
    judge_all(one.db, "plants", spec, {}, judge, pid, lm_id)
    assert {r["completion_id"]: (r["state"], r["kept"]) for r in one.db["completions"].rows} == before
