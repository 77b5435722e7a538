"""DSPy over the bundled model: text through the engine, closed questions through the chooser."""

import json
import re

import dspy
import pytest
from dspy.experimental import Choice, Noul, Score

from tokenrec.lm.embedded import AsyncEmbeddedEngine, EmbeddedChooser, EmbeddedEngine
from tokenrec.lm.plain import make_adapter
from tokenrec.recipe.outputs import Lexicon
from tokenrec.recipe.tasks import Task
from tokenrec.tasks.lexicon import lexicon_schema, pattern
from tokenrec.tasks.spec import TaskSpec

Taste = Choice[("sour", None), ("spicy", None), ("sweet", None)]

Stars = Score["bad", "fine", "great"]


class Tasting(dspy.Signature):
    """Say how each dish tastes."""

    name: str = dspy.InputField()
    taste: Taste = dspy.OutputField(desc="taste")
    hot: Noul = dspy.OutputField(desc="whether it burns")


class Line(dspy.Signature):
    """Write a menu line for each dish."""

    name: str = dspy.InputField()
    line: str = dspy.OutputField()


DEMOS = [
    dspy.Example(name="Lemon Tart", taste="sour", hot=False).with_inputs("name"),
    dspy.Example(name="Chilli Prawns", taste="spicy", hot=True).with_inputs("name"),
    dspy.Example(name="Honey Cake", taste="sweet", hot=False).with_inputs("name"),
]


@pytest.fixture
def chooser(llama):
    return EmbeddedChooser(llama, "embedded/test")


@pytest.fixture
def lm(llama):
    engine = EmbeddedEngine(llama, "embedded/test")
    return dspy.LM("embedded/test", engine=engine, async_engine=AsyncEmbeddedEngine(engine), cache=False)


def taster(demos=DEMOS):
    made = dspy.Predict(Tasting)
    made.demos = demos
    return made


def test_closed_outputs_come_with_probabilities(chooser):
    hot, cold = (taster()(lm=chooser, name=n) for n in ("Hot Chilli Peppers", "Lemon Juice"))
    assert hot.taste.value == "spicy" and cold.taste.value == "sour"
    for made in (hot, cold):
        assert set(made.taste.probabilities) == {"sour", "spicy", "sweet"}
        assert sum(made.taste.probabilities.values()) == pytest.approx(1)
    assert hot.hot.probability > cold.hot.probability


def test_what_a_record_says_does_not_depend_on_what_was_asked_before(chooser):
    first = taster()(lm=chooser, name="Ginger Biscuits").taste.probabilities
    taster([])(lm=chooser, name="Something else entirely")
    again = taster()(lm=chooser, name="Ginger Biscuits").taste.probabilities
    assert again == pytest.approx(first, abs=0.02)  # to the rounding of cached batches


def test_bootstrapped_demos_read_as_written_ones(chooser):
    """A demo whose answers are DSPy's own objects asks the same question as one with plain words."""
    seen = []
    choose = chooser.llama.choose

    class Spy:
        def choose(self, prompt, choices):
            seen.append(prompt)
            return choose(prompt, choices)

    told = taster()(lm=chooser, name="Hot Chilli Peppers")
    spied = EmbeddedChooser(Spy(), "embedded/test")
    demo = dspy.Example(augmented=True, name="Hot Chilli Peppers", taste=told.taste, hot=told.hot)
    taster([demo.with_inputs("name")])(lm=spied, name="Fig")
    plain = dspy.Example(name="Hot Chilli Peppers", taste=told.taste.value, hot=told.hot.value)
    taster([plain.with_inputs("name")])(lm=spied, name="Fig")
    assert seen[0] == seen[2] and "Taste: spicy\nHot: " in seen[0] and "augmented" not in seen[0].lower()
    assert re.search(r"Hot: (yes|no)\n", seen[0]), seen[0]


def test_scores_and_async_answers(chooser):
    import asyncio

    class Rating(dspy.Signature):
        """Rate it."""

        name: str = dspy.InputField()
        stars: Stars = dspy.OutputField(desc="stars")

    with dspy.track_usage() as tracker:
        made = asyncio.run(dspy.Predict(Rating).acall(lm=chooser, name="Lemon Tart"))
    assert sum(made.stars.probabilities.values()) == pytest.approx(1)
    (entry,) = tracker.usage_data["embedded/test"]
    assert entry["prompt_tokens"] > 5 and entry["completion_tokens"] >= 1


def test_text_goes_through_the_engine_as_json_and_its_tokens_are_counted(lm):
    adapter = make_adapter()
    demo = dspy.Example(name="Borscht", line="Beetroot soup with dill.").with_inputs("name")
    with dspy.context(lm=lm, adapter=adapter), dspy.track_usage() as tracker:
        program = dspy.Predict(Line)
        program.demos = [demo]
        first = program(name="Lemon Tart", config={"max_tokens": 60, "seed": 1})
        again = program(name="Lemon Tart", config={"max_tokens": 60, "seed": 1})
    assert isinstance(first.line, str) and first.line == again.line
    entries = tracker.usage_data["embedded/test"]
    assert len(entries) >= 2 and all(e["prompt_tokens"] > 10 and e["completion_tokens"] > 2 for e in entries)


def test_a_response_schema_reaches_the_model(lm):
    allowed = pattern(Lexicon(**{"from": ["x"], "words": ["with"], "most": 2}), {"x": ["zebra", "quince"]})
    schema = {
        "type": "object", "properties": {"line": {"type": "string", "pattern": allowed}},
        "required": ["line"], "additionalProperties": False,
    }  # fmt: skip
    form = {"type": "json_schema", "json_schema": {"name": "line", "schema": schema}}
    with dspy.context(lm=lm, adapter=make_adapter()):
        made = dspy.Predict(Line)(name="Lemon Tart", config={"response_format": form, "max_tokens": 40})
    assert re.fullmatch(allowed, made.line) and json.dumps(made.line)


def test_tags_in_ones_own_words_are_a_list_of_words(lm):
    tags = {"type": "tags", "words_each": 1, "min": 2, "max": 3}
    task = Task.model_validate({"for": "item", "inputs": ["name"], "write": "Say what it is good for.", "outputs": {"uses": tags}})
    form = lexicon_schema(TaskSpec("r", "t", task, {}, ()), {"name": "Lemon Tart"})
    made = dspy.Predict(dspy.Signature("name -> uses: list[str]", "Say in several words each what a dish is good for."))
    made.demos = [dspy.Example(name="Honey Cake", uses=["a cold winter evening", "tea with friends", "a feast", "a gift"]).with_inputs("name")]
    with dspy.context(lm=lm, adapter=make_adapter()):
        said = made(name="Lemon Tart", config={"response_format": form, "max_tokens": 60}).uses
    assert 2 <= len(said) <= 3 and all(word and " " not in word for word in said)
