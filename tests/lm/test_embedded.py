"""The bundled model behind DSPy's own front doors: LM, Predict, decisions."""

import asyncio
import json
from typing import Any

import dspy
import pytest
from dspy.experimental import Choice, Noul

from tokenrec.lm.embedded import AsyncEmbeddedEngine, EmbeddedChooser, EmbeddedEngine
from tokenrec.lm.plain import make_adapter

TASTES = ("sour", "spicy", "sweet")
Taste = Choice[tuple((t, None) for t in TASTES)]
SHOTS = [
    dspy.Example(name="Lemon Tart", taste="sour"),
    dspy.Example(name="Hot Chilli Soup", taste="spicy"),
    dspy.Example(name="Honey Cake", taste="sweet"),
]


@pytest.fixture
def lm(llama):
    engine = EmbeddedEngine(llama, "embedded/test")
    return dspy.LM(
        "embedded/test", engine=engine, async_engine=AsyncEmbeddedEngine(engine), cache=False, temperature=0.0
    )


def predictor(kind: Any = Taste) -> dspy.Predict:
    made = dspy.Predict(
        dspy.make_signature(
            {"name": (Any, dspy.InputField()), "taste": (kind, dspy.OutputField(desc="taste"))}, "Say how it tastes."
        )
    )
    made.demos = [s.with_inputs("name") for s in SHOTS]
    return made


class Spy:
    """A model that only keeps the prompts and answers the first choice."""

    def __init__(self):
        self.prompts = []

    def choose(self, prompt, choices):
        from tokenrec.lm.llama import Completion

        self.prompts.append(prompt)
        rest = 0.2 / max(len(choices) - 1, 1)
        return {c: rest if i else 0.8 for i, c in enumerate(choices)}, Completion("", "stop", 10, 5, 1)


def test_plain_text_through_dspy_lm(lm):
    text = lm("One, two, three,", max_tokens=4)[0]
    assert "four" in str(text)
    assert lm.history[-1]["usage"]["completion_tokens"] <= 4


def test_typed_text_through_predict_sync_and_async(lm):
    class Line(dspy.Signature):
        """Write a menu line."""

        name: str = dspy.InputField()
        line: str = dspy.OutputField()

    schema = {
        "type": "json_schema",
        "json_schema": {"name": "line", "schema": {
            "type": "object", "properties": {"line": {"type": "string", "pattern": "^(Lemons|Sugar) (and|with) eggs\\.$"}},
            "required": ["line"], "additionalProperties": False,
        }},
    }  # fmt: skip
    write = dspy.Predict(Line)
    with dspy.context(lm=lm, adapter=make_adapter()), dspy.track_usage() as tracker:
        config = {"response_format": schema, "max_tokens": 40}
        said = write(name="Lemon Tart", config=config).line
        again = asyncio.run(write.acall(name="Lemon Tart", config=config)).line
    assert said == again and said.endswith(" eggs.")
    assert all(e["prompt_tokens"] > 0 for many in tracker.usage_data.values() for e in many)


def test_a_text_that_is_cut_off_says_length(llama):
    from dspy.lm15 import Config, Message, Request, TextPart

    engine = EmbeddedEngine(llama, "m")
    request = Request(
        model="m", messages=(Message.user([TextPart("One, two, three,")]),), config=Config(max_tokens=2)
    )
    done = engine.complete(request)
    assert done.finish_reason == "length" and done.usage.output_tokens == 2


def test_a_choice_comes_with_its_probabilities(llama):
    chooser = EmbeddedChooser(llama, "embedded/test")
    with dspy.track_usage() as tracker:
        taste = predictor()(name="Hot Chilli Oil", lm=chooser).taste
    assert taste.value == "spicy" and set(taste.probabilities) == set(TASTES)
    assert sum(taste.probabilities.values()) == pytest.approx(1)
    assert tracker.usage_data["embedded/test"][0]["prompt_tokens"] > 0
    assert asyncio.run(predictor().acall(name="Hot Chilli Oil", lm=chooser)).taste.value == "spicy"


def test_yes_or_no_is_a_probability(llama):
    signature = dspy.make_signature(
        {"name": (str, dspy.InputField()), "is_sweet": (Noul, dspy.OutputField(desc="is it sweet"))}, "Is it sweet?"
    )
    ask = dspy.Predict(signature)
    ask.demos = [
        dspy.Example(name=n, is_sweet=s).with_inputs("name")
        for n, s in (("Honey Cake", True), ("Salt Cod", False), ("Fudge", True), ("Vinegar", False))
    ]
    chooser = EmbeddedChooser(llama, "m")
    sweet, salty = (ask(name=n, lm=chooser).is_sweet.probability for n in ("Sugar Candy", "Salted Anchovies"))
    assert 0 <= salty < sweet <= 1


def test_demos_read_as_words_whatever_made_them():
    """Worked examples hold plain values, bootstrapped ones DSPy's own; the prompt shows both alike."""
    spy = Spy()
    chooser = EmbeddedChooser(spy, "m")
    ask = predictor()
    earlier = ask(name="Sorbet", lm=chooser).taste
    ask.demos = [*ask.demos, dspy.Example(augmented=True, name="Sorbet", taste=earlier)]
    ask(name="Toffee", lm=chooser)
    assert spy.prompts[-1].endswith("Name: Sorbet\nTaste: sour\n\nName: Toffee\nTaste:")
    saved = json.loads(json.dumps(ask.dump_state(), default=lambda v: v.model_dump()))
    other = predictor()
    other.load_state(saved)
    other(name="Toffee", lm=chooser)
    assert spy.prompts[-1] == spy.prompts[-2]


def test_bootstrapped_yes_and_no_read_as_words():
    spy = Spy()
    signature = dspy.make_signature({"name": (str, dspy.InputField()), "main": (Noul, dspy.OutputField(desc="main"))}, "Main?")
    ask = dspy.Predict(signature)
    earlier = ask(name="Roast it.", lm=EmbeddedChooser(spy, "m")).main
    ask.demos = [dspy.Example(name="Rest.", main=False), dspy.Example(augmented=True, name="Roast it.", main=earlier)]
    ask(name="Serve.", lm=EmbeddedChooser(spy, "m"))
    assert spy.prompts[-1] == "Main?\n\nName: Rest.\nMain: no\n\nName: Roast it.\nMain: yes\n\nName: Serve.\nMain:"


def test_later_fields_are_read_after_the_best_of_the_earlier_ones():
    spy = Spy()
    fields = {"name": (str, dspy.InputField())}
    fields |= {n: (Choice[(("a b", None), ("c", None))], dspy.OutputField(desc=n)) for n in ("first", "second_one")}
    dspy.Predict(dspy.make_signature(fields, "Say."))(name="X\n\nName: Y", lm=EmbeddedChooser(spy, "m"))
    assert spy.prompts == ["Say.\n\nName: X Name: Y\nFirst:", "Say.\n\nName: X Name: Y\nFirst: a b\nSecond one:"]
