"""`use:` modules: the user's own file, the built-in digest, and whatever can be wrong with them."""

import asyncio
import json

import pytest

from tests.tasks.worlds import line, recipe, writer
from tokenrec.errors import InputError
from tokenrec.tasks.program import ask, make_program, program_id
from tokenrec.tasks.spec import task_spec

MINE = """
import dspy

class Shout(dspy.Module):
    def __init__(self, spec, writer):
        super().__init__()
        self.output = next(iter(spec.outputs))

    async def aforward(self, sample=0, **inputs):
        return dspy.Prediction(**{self.output: inputs["name"].upper()})

class Picky(dspy.Module):
    def __init__(self):
        super().__init__()
"""


def spec(use, **more):
    return task_spec(recipe(line=line(**{"use": use, "write": None} | more)), "line")


def test_a_users_module_answers(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    at, task = writer(), spec("./mine.py:Shout")
    program = make_program(task, at, tmp_path)
    answer = asyncio.run(ask(program, task, at, {"name": "fern"}))
    assert answer.raw == '{"line":"FERN"}' and not answer.error
    assert program_id(task, program, at) != program_id(spec("./other.py:Shout"), program, at)


@pytest.mark.parametrize(
    "use, says",
    [
        ("./mine.py:Picky", r"\(spec, writer\)"), ("./mine.py:Nobody", "Nobody"), ("./mine.py:dspy", "no dspy.Module"),
        ("./raises.py:X", "ZeroDivisionError"), ("./syntax.py:X", "SyntaxError"), ("./none.py:X", "none.py"),
        ("nothing.X", "no built-in program nothing"), ("digest.split_sentences", "no dspy.Module"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_module_is_said(tmp_path, use, says):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "raises.py").write_text("1 / 0")
    (tmp_path / "syntax.py").write_text("def")
    with pytest.raises(InputError, match=says):
        make_program(spec(use), writer(), tmp_path)


class LongIsMain:
    """Says of a sentence that it is a main step the more, the longer it is."""

    supports_decision_requests = True
    model = "long"

    async def acall(self, state, questions):
        return {field: {"noul": min(len(state["inputs"]["step"]) / 100, 1.0)} for field in questions}

    def copy(self, **_):
        return self


@pytest.mark.parametrize(
    "parts, kept",
    [
        ("Rinse. Boil the rice for twelve minutes. Stir. Let it rest under a lid.",
         "Boil the rice for twelve minutes. Let it rest under a lid."),
        (["Rinse", "Boil the rice for twelve minutes", "Stir", "Serve"],
         "Rinse. Boil the rice for twelve minutes."),
        ("洗米。把米饭煮十二分钟直到变软。", "把米饭煮十二分钟直到变软。"),
        ("Only one step", "Only one step"),
    ],
)  # fmt: skip
def test_a_digest_is_made_of_the_texts_own_sentences_in_order(parts, kept):
    at = writer(chooser=LongIsMain())
    task = spec("digest.KeySentences", inputs=["name", "parts"])
    answer = asyncio.run(ask(make_program(task, at), task, at, {"name": "Rice", "parts": parts}))
    assert not answer.error
    assert json.loads(answer.raw) == {"line": kept}
