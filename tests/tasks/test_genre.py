"""The built-in GENRE modules: what each tells the writer, and the chain from one to the next."""

import asyncio

import dspy
import pytest

from tests.tasks.test_mint import Async, Engine
from tests.tasks.worlds import recipe, writer
from tokenrec.errors import InputError
from tokenrec.tasks.program import ask, make_program
from tokenrec.tasks.spec import task_spec

TEXT = {"type": "text", "grounding": "none"}
TASKS = {
    "retitle": {"for": "item", "use": "genre.TitleRewriter", "inputs": ["name", "parts"], "outputs": {"new_name": TEXT}},
    "profile": {"for": "user", "use": "genre.UserProfiler", "outputs": {"interests": TEXT}},
    "past": {"for": "user", "use": "genre.HistoryCompressor", "outputs": {"summary": TEXT}},
    "imagined": {
        "for": "user", "use": "genre.ItemInventor", "inputs": ["$profile.interests", "$past.summary"], "augment": {},
        "outputs": {"name": TEXT, "parts": TEXT},
    },
}  # fmt: skip
LIKED = {"liked": ["Fern", "Moss", "Ivy"]}


def told(name: str, inputs: dict, answer: str, **more) -> tuple[str, str]:
    """(what the writer was told, the answer as it is kept)."""
    spec, at, engine = task_spec(recipe(**TASKS | {name: TASKS[name] | more}), name), writer(), Engine(answer)
    at.lm = dspy.LM("m", engine=engine, async_engine=Async(engine), cache=False)
    said = asyncio.run(ask(make_program(spec, at), spec, at, inputs))
    assert not said.error
    [request] = engine.asked
    return "".join(m.text or "" for m in request.messages), said.raw


@pytest.mark.parametrize("name, inputs, answer, words", [
    ("retitle", {"name": "Fern", "parts": ["leaf"]}, '{"new_name":"A leafy fern"}', "do not repeat the old title"),
    ("profile", LIKED, '{"interests":"shade"}', "which subjects this person is interested in"),
    ("past", LIKED, '{"summary":"Plants of the shade. Lately climbers."}', "at most two sentences what they have in common"),
    ("imagined", LIKED, '{"name":"Lamp moss","parts":"glow"}', "Invent one further thing"),
])  # fmt: skip
def test_each_tells_the_writer_its_own_words_and_the_record(name, inputs, answer, words):
    text, raw = told(name, inputs, answer)
    assert words in text and raw == answer
    assert text.endswith("Liked: Fern, Moss, Ivy\nOutput:" if inputs is LIKED else "Name: Fern\nParts: leaf\nOutput:")
    text, _ = told(name, inputs, answer, **{"with": {"instruction": "Do it in verse."}})
    assert text.startswith("Do it in verse.") and words not in text


def test_profile_and_summary_steer_the_invention():
    text, _ = told("imagined", {"interests": "shade", "summary": "Lately climbers."} | LIKED, '{"name":"a","parts":"b"}')
    assert text.index("Interests: shade\nSummary: Lately climbers.\nLiked: Fern")


def test_a_word_that_is_no_parameter_is_refused():
    with pytest.raises(InputError, match="instructions"):
        told("past", LIKED, "", **{"with": {"instructions": "In verse."}})
