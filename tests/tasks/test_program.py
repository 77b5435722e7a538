"""Identity and saved state of programs."""

import json

import dspy
import pytest
from dspy.experimental import Choice

from tests.tasks.worlds import flavour, line, palate, recipe, writer
from tokenrec.lm.plain import block
from tokenrec.tasks.program import (
    calibrate,
    load_program_state,
    make_program,
    program_id,
    program_state,
    saved_weights,
    weights_of,
)
from tokenrec.tasks.spec import task_spec

EXAMPLES = [{"name": "Lemon", "parts": ["peel"], "taste": ["sour"]}, {"name": "Honey", "taste": ["sweet"]}]


class Chooser:
    """Scores every choice alike; no model behind it."""

    supports_decision_requests, model = True, "test/chooser"

    def __call__(self, state, questions):
        self.seen = state
        return {
            f: {"choice": next(iter(q["criteria"])), "confidence": 1 / len(q["criteria"]),
                "probabilities": {c: 1 / len(q["criteria"]) for c in q["criteria"]}}
            for f, q in questions.items()
        }  # fmt: skip

    async def acall(self, state, questions):
        return self(state, questions)

    def copy(self, **_):
        return self

    def dump_state(self):
        return {"model": self.model}


def program(made=None, name="flavour", scored=True):
    spec = task_spec(made or recipe(), name)
    at = writer(chooser=Chooser()) if scored else writer()
    return spec, make_program(spec, at), at


def identity(made=None, name="flavour", scored=True):
    return program_id(*program(made, name, scored))


def test_an_id_is_stable():
    assert identity() == identity() and len(identity()) == 64


@pytest.mark.parametrize(
    "changed",
    [
        flavour(write="Name the taste."),
        flavour(examples=EXAMPLES),
        flavour(inputs=["name"]),
        flavour(outputs={"taste": {"type": "tags", "choices": ["sour", "sweet", "salty"], "max": 2}}),
        flavour(outputs={"taste": {"type": "tags", "choices": ["sour", "sweet", "hot"], "max": 1}}),
        flavour(outputs={"taste": flavour()["outputs"]["taste"] | {"describe": "in the mouth"}}),
    ],
    ids=["instruction", "demos", "inputs", "choices", "limits", "description"],
)
def test_an_id_tells_what_is_asked_and_how(changed):
    for scored in (True, False):
        assert identity(recipe(flavour=changed), scored=scored) != identity(scored=scored)


def test_an_id_does_not_tell_weights_or_where_things_are():
    spec, made, at = program()
    before = program_id(spec, made, at)
    calibrate(made, spec, [{"taste": {"sour": 0.5, "sweet": 0.3, "hot": 0.2}}] * 20)
    assert weights_of(made, "taste") and program_id(spec, made, at) == before
    assert identity(recipe(flavour=flavour(subjects={"most": 3}, samples=2))) == before


def test_an_id_tells_the_words_behind_a_referred_vocabulary():
    """Otherwise a palate that was scored over the old words would be read with the new ones."""
    other = flavour(outputs={"taste": {"type": "tags", "choices": ["sour", "sweet", "salty"], "max": 2}})
    assert identity(recipe(flavour=flavour(), palate=palate()), "palate") != identity(
        recipe(flavour=other, palate=palate()), "palate"
    )


@pytest.mark.parametrize("scored", [True, False])
def test_a_state_goes_through_json_and_back(scored):
    made = recipe(flavour=flavour(examples=EXAMPLES, outputs=flavour()["outputs"] | line()["outputs"]))
    spec, first, at = program(made, scored=scored)
    for _, predictor in first.named_predictors():
        predictor.signature = predictor.signature.with_instructions("Another instruction: süß, 甜.")
    if scored:
        calibrate(first, spec, [{"taste": {"sour": 0.5, "sweet": 0.3, "hot": 0.2}}] * 20)
    state = json.loads(json.dumps(program_state(first)))
    _, second, _ = program(made, scored=scored)
    assert program_id(spec, second, at) != program_id(spec, first, at)
    load_program_state(second, state)
    assert program_state(second) == state and program_id(spec, second, at) == program_id(spec, first, at)
    assert weights_of(second, "taste") == saved_weights(state, spec)["taste"] == weights_of(first, "taste")
    assert "lm" not in str(state.keys()) and not any("traces" in s or "lm" in s for s in state.values())


def test_a_program_from_a_file_with_sorted_keys_shows_the_same_prompt():
    made = recipe(flavour=flavour(examples=EXAMPLES))
    (_, first, _), (_, second, _) = program(made), program(made)
    load_program_state(second, json.loads(json.dumps(program_state(first), sort_keys=True)))
    shown = [[block(dict(d)) for _, p in one.named_predictors() for d in p.demos] for one in (first, second)]
    assert shown[0] == shown[1] and shown[0][0].startswith("Name: Lemon")


def test_bootstrapped_demos_with_choices_survive_saving():
    spec, first, at = program()
    taste = first.choose(lm=at.chooser, name="Lemon").taste
    assert isinstance(taste, Choice) and taste.value == "sour"
    first.choose.demos = [dspy.Example(augmented=True, name="Lemon", taste=taste).with_inputs("name")]
    state = json.loads(json.dumps(program_state(first)))
    (demo,) = state["choose"]["demos"]
    assert demo.keys() == {"name", "taste"} and block(demo) == "Name: Lemon\nTaste: sour\n"
    _, second, _ = program()
    load_program_state(second, state)
    assert program_id(spec, second, at) == program_id(spec, first, at)
    second.choose(lm=at.chooser, name="Fig")
    assert at.chooser.seen["inputs"] == {"name": "Fig"}


def test_too_few_answers_are_not_calibrated():
    spec, made, _ = program()
    calibrate(made, spec, [{"taste": {"sour": 0.5, "sweet": 0.3, "hot": 0.2}}] * 19)
    assert weights_of(made, "taste") is None
