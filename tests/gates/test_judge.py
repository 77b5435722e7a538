"""The judge: order, states, batch checks, and the id that makes stored verdicts stale."""

import json
import time

import pytest

from tokenrec.gates.base import Candidate
from tokenrec.gates.factuality.catalogue import catalogue_terms
from tokenrec.gates.judge import Judge
from tokenrec.recipe.tasks import Task

THINGS = [
    "tofu",
    "beef",
    "leek",
    "squid",
    "carrot",
    "okra",
    "plum",
    "duck",
    "rice",
    "lamb",
    "kale",
    "cod",
    "feta",
    "corn",
    "egg",
    "pea",
    "yam",
    "fig",
    "trout",
    "mint",
    "lime",
    "beet",
    "oat",
    "clam",
    "veal",
]
ITEMS = [
    {
        "name": f"Dish {a} {b}",
        "ingredients": [a, b],
        "method": f"Fry the {a}, then fold in {b} and rest {i + 5} minutes.",
    }
    for i, (a, b) in enumerate(zip(THINGS, THINGS[7:] + THINGS[:7]))
]


def line_task(**output) -> Task:
    line = {"type": "text", "max_words": 25, **output}
    return Task.model_validate(
        {"for": "item", "inputs": ["name"], "write": "Tempt the diner in one line.", "outputs": {"line": line}}
    )


def candidate(i: int, text: str, key: str = "", **more) -> Candidate:
    return Candidate(
        key or f"k{i}", "line", f"s{i}", json.dumps({"line": text}), None, ITEMS[i], ITEMS[i]["name"], **more
    )


ENDINGS = [
    "crisp at the edge",
    "slow and mellow",
    "for rainy days",
    "bright as morning",
    "with a long smoky finish",
    "cool in summer heat",
]


def sound(i: int) -> str:
    a, b = ITEMS[i]["ingredients"]
    openings = [
        f"Pan-fried {a} folded around {b}",
        f"{b.title()} meets {a}",
        f"Golden {a}, gentle {b}",
        f"We fry {a} and add {b}",
    ]
    return f"{openings[i % 4]}, {ENDINGS[i % 6]}."


JUDGE = Judge("line", line_task(), terms=catalogue_terms(ITEMS))


def test_sound_texts_are_accepted_in_a_batch():
    verdicts = JUDGE.judge([candidate(i, sound(i)) for i in range(len(ITEMS))])
    assert {v.state for v in verdicts.values()} == {"accepted"}, [v.reasons for v in verdicts.values() if v.reasons]


@pytest.mark.parametrize(
    "text, gate",
    [
        ("I'm sorry, but I cannot describe this dish.", "noise/refusal"),
        ("Tofu **fried** golden", "noise/markup"),
        (ITEMS[0]["method"], "noise/copy"),
        ("Fried tofu, ready in 90 minutes", "factuality/numbers"),
        ("Fried tofu with squid", "factuality/names"),
        ("Dish tofu is a dish", "noise/tells_nothing"),
    ],
)
def test_each_gate_rejects_with_a_verbatim_quote(text, gate):
    findings = JUDGE.check(candidate(0, text))
    verdict = JUDGE.verdict("k0", findings)
    assert verdict.state == "rejected"
    assert [f.gate for f in verdict.reasons] == [gate]
    assert verdict.reasons[0].quote and verdict.reasons[0].quote in text


def test_malformed_is_a_state_of_its_own():
    bad = Candidate("k", "line", "s", '{"line": 3}', {"line": "3"}, {}, "")
    assert JUDGE.verdict("k", JUDGE.check(bad)).state == "malformed"


def test_cut_off_uses_the_finish_reason():
    assert [
        f.gate for f in JUDGE.check(candidate(0, "Fried tofu and duck", finish_reason="length")) if not f.passed
    ] == ["noise/cut_off"]


def test_soft_scores_are_kept_beside_the_failure():
    gates = {f.gate: f for f in JUDGE.check(candidate(0, "Crisp fried tofu with squid"))}
    assert gates["noise/loops"].passed and gates["noise/tells_nothing"].score > 0
    assert not gates["factuality/names"].passed


def test_grounding_decides_what_is_checked():
    text = "Fried tofu with squid, ready in 90 minutes"
    soft = [
        f
        for f in Judge("line", line_task(grounding="open"), terms=JUDGE.terms).check(candidate(0, text))
        if "factuality" in f.gate
    ]
    assert len(soft) == 1 and soft[0].passed and soft[0].quote == text
    assert not [
        f for f in Judge("line", line_task(grounding="none")).check(candidate(0, text)) if "factuality" in f.gate
    ]


def test_near_duplicates_of_another_subject_but_not_of_another_sample():
    same = "Golden and gently fried, slow and mellow, with a smoky finish."
    many = [candidate(i, sound(i)) for i in range(8)]
    alone = JUDGE.judge([*many, candidate(0, same, "a"), candidate(0, same, "b")])
    assert alone["a"].state == alone["b"].state == "accepted"
    twice = JUDGE.judge([*many, candidate(0, same, "a"), candidate(1, same.replace("smoky", "spicy"), "b")])
    assert [f.gate for f in twice["a"].reasons] == [f.gate for f in twice["b"].reasons] == ["noise/near_duplicate"]


def test_collapse_boilerplate_and_not_telling():
    texts = [sound(i) for i in range(len(ITEMS))]
    for i in range(6):
        texts[i] = "A treat from our kitchen that warms you through and through."
    for i in range(6, 14):
        texts[i] = f"Come and taste the very best that we have: {ITEMS[i]['ingredients'][0]}."
    texts[20] = sound(21)
    findings = {f"k{i}": JUDGE.check(candidate(i, t)) for i, t in enumerate(texts)}
    batch = JUDGE.check_batch([candidate(i, t) for i, t in enumerate(texts)], {key: [] for key in findings})
    failed = {k: {f.gate for f in found if not f.passed} for k, found in batch.items()}
    assert "noise/collapse" in failed["k0"]
    assert "noise/boilerplate" in failed["k8"]
    assert "noise/not_telling" in failed["k20"]
    assert "noise/not_telling" not in failed.get("k22", set())


def test_rejected_ones_get_no_further_findings():
    texts = [candidate(0, "Same old words about nothing much."), candidate(1, "Same old words about nothing much.")]
    so_far = {"k0": JUDGE.check(candidate(0, "I'm sorry, but I cannot describe it.")), "k1": []}
    assert "k0" not in JUDGE.check_batch(texts, so_far)


TAGS = Task.model_validate(
    {
        "for": "item",
        "inputs": ["name"],
        "write": "Tag it.",
        "outputs": {"taste": {"type": "tags", "choices": ["hot", "sour"], "or_none": True}},
    }
)


def test_equal_tags_are_fine_and_only_noted_when_nearly_all_are_equal():
    judge = Judge("taste", TAGS)

    def tagged(tags, n):
        return [
            Candidate(f"k{i}", "taste", f"s{i}", json.dumps({"taste": tags}), None, {"name": "x"}, "x")
            for i in range(n)
        ]

    verdicts = judge.judge(tagged(["hot"], 40))
    assert {v.state for v in verdicts.values()} == {"accepted"}
    assert [f.gate for f in verdicts["k0"].findings] == ["noise/collapse"] and verdicts["k0"].findings[0].passed
    assert judge.judge(tagged(["hot"], 5))["k0"].findings == []
    assert judge.judge(tagged(["salty"], 1))["k0"].reasons[0].quote == "salty"
    assert judge.judge(tagged([], 1))["k0"].state == "accepted"


def test_gate_id_changes_with_every_setting_and_only_then():
    first = Judge("line", line_task(), terms=JUDGE.terms)
    assert first.gate_id == JUDGE.gate_id
    others = [
        Judge("line", line_task(max_words=24), terms=JUDGE.terms),
        Judge("line", line_task(grounding="open"), terms=JUDGE.terms),
        Judge("line", line_task()),
        Judge("line", line_task(), terms=JUDGE.terms, examples=[{"line": "x"}]),
        Judge("line", line_task(), terms=JUDGE.terms, instruction="y"),
    ]
    assert len({j.gate_id for j in [*others, first]}) == len(others) + 1


def test_a_big_batch_stays_linear():
    record = {"name": "x", "ingredients": ["tofu"]}
    texts = [f"A {THINGS[i % 25]} and {THINGS[i // 25 % 25]} plate number {i}" for i in range(2000)] + [
        "one text for all of them"
    ] * 2000
    found = [Candidate(str(i), "line", str(i), json.dumps({"line": t}), None, record, "") for i, t in enumerate(texts)]
    start = time.process_time()
    JUDGE.check_batch(found, {})
    assert time.process_time() - start < 8


def test_the_detector_adds_a_probability_and_rejects_nothing():
    def judged_by(judge):
        outputs = {"line": {"type": "text", "judge": judge}}
        task = {"for": "item", "inputs": ["name"], "write": "Say it.", "outputs": outputs}
        return Judge("line", Task.model_validate(task))

    judge = judged_by("detector")
    record = {"name": "Borscht", "ingredients": ["beetroot", "cabbage", "sour cream"], "cuisine": "Ukrainian"}

    def found(text):
        said = Candidate("k", "line", "s", json.dumps({"line": text}), None, record, "Borscht")
        return {f.gate: f for f in judge.check(said)}["factuality/detector"]

    true = found("Beetroot and cabbage with sour cream.")
    false = found("Beetroot and cabbage with sour cream. It was invented by famous chefs for a royal wedding and won every prize.")
    assert true.passed and false.passed and 0 <= true.score < false.score <= 1
    assert false.quote.startswith("It was invented by")
    assert judge.gate_id != judged_by("rules").gate_id


@pytest.mark.parametrize("output", [{"type": "tags", "choices": ["a", "b"]}, {"type": "text", "grounding": "open"}])
def test_the_detector_is_for_closed_texts(output):
    task = {"for": "item", "inputs": ["name"], "write": "x", "outputs": {"x": output | {"judge": "detector"}}}
    with pytest.raises(ValueError, match="judge: detector goes with text"):
        Task.model_validate(task)
