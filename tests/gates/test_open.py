"""Open grounding: what further answers and the catalogue say of a text, claim by claim."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenrec.gates.base import Candidate
from tokenrec.gates.factors import Facts
from tokenrec.gates.factuality.agreement import agreement
from tokenrec.gates.factuality.catalogue import Terms, catalogue_terms
from tokenrec.gates.factuality.open import is_unknown, refuted
from tokenrec.gates.judge import Judge
from tokenrec.recipe.tasks import Task

DUNE = "Dune is a science fiction novel by Frank Herbert, published in 1965."
TEXTS = st.lists(
    st.sampled_from(
        [DUNE, "It was published in 1970.", "Published by Ace in 1963.", "A saga of 6 books.", "A saga of 9 books.",
         "unknown", "", "《沙丘》于1965年出版。", "这部电影由张艺谋导演。", "Written by Isaac Asimov in Boston.", "Italian"]
    ),
    max_size=5,
)  # fmt: skip


def verdicts(text, *others, **more):
    return [c.verdict for c in agreement(text, others, **more)]


@given(st.text(max_size=80), TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_the_answers_is_nothing(text, others, random):
    for said in (text, DUNE, "Written by Isaac Asimov. A saga of 6 books."):
        shuffled = random.sample(others, len(others))
        assert agreement(said, others) == agreement(said, shuffled)


@given(st.text(max_size=120), st.integers(1, 4))
def test_a_text_agrees_with_itself(text, times):
    assert {c.verdict for c in agreement(text, [text] * times)} <= {"supported"}
    assert {c.verdict for c in agreement(DUNE, [DUNE] * times)} == {"supported"}


@given(TEXTS, st.text(max_size=60))
def test_quotes_are_verbatim_and_scores_are_shares(others, extra):
    for text in (DUNE, extra, "It was published in 1970.", "Italian"):
        for claim in agreement(text, [*others, extra]):
            assert 0 <= claim.score <= 1 and claim.quote in text and 0 <= claim.start < claim.end <= len(text)
            assert bool(claim.reason) == (claim.verdict == "contradicted")


@given(TEXTS)
def test_without_further_answers_nothing_is_contradicted(texts):
    for text in texts:
        assert "contradicted" not in verdicts(text) and "supported" not in verdicts(text)
        if texts[1:]:
            assert "contradicted" not in verdicts(text, texts[1])  # one may be wrong as well as the other


@pytest.mark.parametrize(
    ("text", "others", "verdict"),
    [
        ("It was published in 1970.", ["It was published in 1965."] * 3, "contradicted"),
        ("It was published in 1970.", ["Published in 1965.", "Published in 1981.", "It was published in 1977."],
         "contradicted"),
        ("It was published in 1970.", ["Published in 1970.", "Published in 1981.", "It was published in 1970."],
         "supported"),
        ("It was published in 1970.", ["Published in 1965.", "A tale of sand and spice."] * 1, "unverifiable"),
        ("A tale written by Isaac Asimov.", ["A tale written by Frank Herbert."] * 2, "contradicted"),
        ("A saga of 6 books.", ["A saga of 9 books.", "A long saga of 12 books."], "contradicted"),
        ("A saga of sand and spice.", ["Sand, spice and a saga.", "Spice rules this saga."], "supported"),
        ("A comedy about two bakers in love.", ["Sand, spice and a saga.", "Spice rules this saga."], "unverifiable"),
        ("Italian", ["French", "Spanish", "Thai"], "contradicted"),
        ("Italian", ["Italy", "italian", "French"], "supported"),
        ("melancholic", ["gloomy", "sad", "wistful"], "unverifiable"),  # other words contradict nothing
        ("The first fight was in 1971.", ["One fight in 1980.", "Fights in 1980, then a fight in 1989."],
         "unverifiable"),  # there were several
        ("《沙丘》于1970年出版。", ["《沙丘》于1965年出版。", "1965年出版。"], "contradicted"),
        ("《沙丘》于1965年出版。", ["《沙丘》于1965年出版。", "小说于1965年出版。"], "supported"),
        ("这部电影由张艺谋导演。", ["这部电影由陈凯歌导演。", "该片由李安导演。"], "contradicted"),
    ],
)  # fmt: skip
def test_three_ways(text, others, verdict):
    assert verdicts(text, *others) == [verdict]


def test_the_subjects_name_is_no_support_and_the_record_is():
    assert verdicts("Golden Moon Soup of eels.", "Golden Moon Soup of plums.", name="Golden Moon Soup") == [
        "unverifiable"
    ]
    assert verdicts("A soup of eels.", known={"soup", "eel"}) == ["supported"]


RECORD = {"title": "Dune", "author": "Frank Herbert", "year": 1965, "tracks": 10, "director": "陈凯歌"}


@pytest.mark.parametrize(
    ("text", "quote", "reason"),
    [
        ("A novel by Isaac Asimov.", "novel by Isaac Asimov", "author is Frank Herbert"),
        ("First published in 1970.", "1970", "year is 1965"),
        ("An album of 12 tracks.", "12", "10"),
        ("这部电影由张艺谋导演。", "张艺谋", "陈凯歌"),
        ("《沙丘》于1970年出版。", "1970年", "1965"),
        ("A novel by Frank Herbert.", None, None),
        ("Herbert's novel inspired a film by David Lynch in 1984.", None, None),  # the record has its director
        ("Set in the year 10191.", None, None),
        ("Written by Herbert, published in 1965.", None, None),
        ("The first 5 tracks are slow.", None, None),
    ],
)
def test_the_record_contradicts_what_it_has_a_field_for(text, quote, reason):
    record = {k: v for k, v in RECORD.items() if k != "director" or "由" in text}
    found = refuted(text, record, Terms(), "Dune")
    if quote is None:
        assert found is None
    else:
        assert found[1] == quote and reason in found[0]


def test_a_category_of_the_catalogue():
    items = [{"name": f"Band {i}", "genre": g} for i, g in enumerate(["rock", "jazz", "folk", "soul"] * 6)]
    terms = catalogue_terms(items, [])
    assert "rock" in {w for values in terms.values.values() for t in values for w in t}
    assert refuted("A jazz quartet.", items[0], terms) == ("the record's genre is rock", "jazz")
    assert refuted("Rock with a jazz influence.", items[0], terms) is None  # it says its own genre too
    assert refuted("A quartet.", items[0], terms) is None


@pytest.mark.parametrize(
    ("text", "unknown"),
    [("unknown", True), ("Unknown.", True), ("", True), (" - ", True), ("I don't know", True), ("N/A", True),
     ("未知", True), ("不知道。", True), ("I'm sorry, but I have no information about this dish.", True),
     ("Unknown Pleasures", False), ("A stew of unknown origin", False), ("未知的味道", False)],
)  # fmt: skip
def test_answers_that_say_that_they_do_not_know(text, unknown):
    assert is_unknown(text) == unknown


def task(agreement=True, **output) -> Task:
    text = {"type": "text", "grounding": "open", **output}
    return Task.model_validate({
        "for": "item", "inputs": ["name"], "write": "What is known of it?", "outputs": {"origin": text, "mood": text},
        **({"agreement": {"samples": 3}} if agreement else {}),
    })  # fmt: skip


def judged(of: Task, first: dict, *others: dict, facts: dict | None = None):
    judge = Judge("facts", of, facts=Facts(lambda subject: facts or {}, "d"))
    record = {"name": "Dal Makhani"}
    candidate = Candidate("k", "facts", "s", json.dumps(first), None, record, "Dal Makhani", others=others)
    return judge.judge([candidate])["k"]


PUNJAB = {"origin": "A stew from the north of India.", "mood": "Warm and festive evenings."}
YEARS = (1902, 1920, 1947)
FRANCE = {"origin": "A court cook of Lahore, it was invented in 1802.", "mood": "Warm and festive evenings."}


def test_a_contradicted_text_is_rejected_with_both_quoted():
    others = [{**FRANCE, "origin": f"A court cook of Lahore, it was invented in {year}."} for year in YEARS]
    verdict = judged(task(), FRANCE, *others)
    (reason,) = verdict.reasons
    assert (verdict.state, reason.gate, reason.quote) == ("rejected", "factuality/agreement", "1802")
    assert '"1902", "1920", "1947"' in reason.reason and reason.field == "origin"


def test_the_catalogue_decides_whatever_further_answers_say():
    said = {**FRANCE, "origin": "Lentils of a court cook, published in 1802."}
    verdict = judged(task(), said, said, said, said, facts={"year": 1947})
    assert [(f.gate, f.quote) for f in verdict.reasons] == [("factuality/record", "1802")]


def test_one_factor_goes_alone_and_the_item_stays():
    others = [{**FRANCE, "origin": f"A court cook of Lahore, it was invented in {year}."} for year in YEARS]
    verdict = judged(task(or_unknown=True), FRANCE, *others)
    assert (verdict.state, verdict.kept) == ("accepted", {"origin": None, "mood": FRANCE["mood"]})
    assert any(f.gate == "unknown/contradicted" and "factuality/agreement" in f.reason and f.quote == "1802"
               for f in verdict.findings)  # fmt: skip
    verdict = judged(task(or_unknown=True), {**PUNJAB, "mood": "unknown"}, PUNJAB, PUNJAB)
    assert (verdict.state, verdict.kept) == ("accepted", {**PUNJAB, "mood": None})


def test_an_item_of_which_nothing_is_known_has_no_token_and_is_no_noise():
    verdict = judged(task(or_unknown=True), {"origin": "I don't know", "mood": "unknown"})
    assert verdict.state == "rejected" and {f.gate for f in verdict.reasons} == {"unknown"}
    verdict = judged(task(), {"origin": "I don't know the dish.", "mood": "unknown"})
    assert verdict.state == "rejected" and verdict.reasons[0].gate.startswith("noise/")  # no proper answer there


@pytest.mark.parametrize("what", ["keep", "drop", "reject"])
def test_what_nothing_bears_out(what):
    mixed = {**PUNJAB, "origin": PUNJAB["origin"] + " Sailors carried thirty recipes across stormy oceans."}
    verdict = judged(task(unverifiable=what), mixed, PUNJAB, PUNJAB, PUNJAB)
    unsure = next(f for f in verdict.findings if f.gate == "factuality/unverifiable" and f.field == "origin")
    assert unsure.score == 0.5 and unsure.quote.startswith("Sailors")
    assert (verdict.state, verdict.kept) == {
        "keep": ("accepted", None), "drop": ("accepted", PUNJAB), "reject": ("rejected", None),
    }[what]  # fmt: skip
    alone = {**PUNJAB, "origin": "Sailors carried thirty recipes across stormy oceans."}
    assert judged(task(unverifiable=what), alone, PUNJAB, PUNJAB).state == ("accepted" if what == "keep" else "rejected")
    verdict = judged(task(unverifiable=what, or_unknown=True), alone, PUNJAB, PUNJAB)
    assert verdict.state == "accepted" and verdict.kept == (None if what == "keep" else {**alone, "origin": None})


def test_generated_tags_and_choices_agree_too():
    outputs = {"course": {"type": "choice", "choices": ["main", "side", "dessert"]},
               "taste": {"type": "tags", "choices": ["sour", "sweet", "hot"], "max": 2}}  # fmt: skip
    of = Task.model_validate({"for": "item", "inputs": ["name"], "write": "?", "outputs": outputs,
                              "agreement": {"samples": 3}})  # fmt: skip
    first = {"course": "main", "taste": ["sour", "hot"]}
    verdict = judged(of, first, first, first, {"course": "main", "taste": ["hot"]})
    assert verdict.state == "accepted"
    scores = {f.field: f.score for f in verdict.findings if f.gate == "factuality/unverifiable"}
    assert scores == {"course": 0.0, "taste": 0.0}
    verdict = judged(of, first, *[{"course": "dessert", "taste": ["sweet"]}] * 3)
    assert [(f.gate, f.quote) for f in verdict.reasons] == [("factuality/agreement", "main")]


def test_many_unknown_factors_do_not_look_like_one_answer_for_all():
    of = task(or_unknown=True, agreement=False)
    judge = Judge("facts", of)
    moods = ["calm nights", "loud parties", "slow Sundays", "brave starts", "soft rain"]
    found = [Candidate(f"k{i}", "facts", f"s{i}", json.dumps({"origin": "unknown", "mood": f"{moods[i % 5]} {i} crows"}),
                       None, {"name": f"Dish {i}"}, f"Dish {i}") for i in range(5)]  # fmt: skip
    assert {v.state for v in judge.judge(found).values()} == {"accepted"}


def test_a_judge_is_not_asked_about_unknown():
    of = task(or_unknown=True, agreement=False, grounding="closed", judge="detector")
    judge = Judge("facts", of)
    found = judge.check(Candidate("k", "facts", "s", json.dumps({**PUNJAB, "origin": "unknown"}), None,
                                  {"name": "Dal", "kept_for": "warm, festive evenings"}, "Dal"))  # fmt: skip
    assert [f.field for f in found if f.gate == "factuality/detector"] == ["mood"] and judge.whole(found)
