"""The built-in MINT modules: worked examples dealt by the record, parameters, instructions, identity."""

import asyncio
from collections import Counter

import dspy
import pytest

from tests.tasks.worlds import line, recipe, writer
from tokenrec.errors import InputError
from tokenrec.tasks.program import ask, make_program, program_id, program_state
from tokenrec.tasks.spec import task_spec

EXAMPLES = [{"liked": [f"thing {i}: It was fine."], "query": f"I look for something like number {i}."} for i in range(5)]


def craving(module="NarrativeQuery", **more):
    outputs = {"query": {"type": "text", "grounding": "none"}}
    task = {"for": "set", "use": f"mint.{module}", "outputs": outputs, "examples": EXAMPLES, "temperature": 0.7}
    spec = task_spec(recipe(craving=task | more), "craving")
    return spec, make_program(spec, writer())


def shown(program, n, sample=0):
    return [d.query for d in program.dealt({"liked": [f"plant {n}"]}, sample)]


class Engine:
    """Answers with one text and keeps what it was asked."""

    supports_response_schema = False
    supported_params = ("temperature", "seed", "response_format")

    def __init__(self, text='{"query": "What is good in winter?"}'):
        self.asked, self.text = [], text

    def complete(self, request):
        from dspy.lm15 import Message, Response, TextPart, Usage

        self.asked.append(request)
        return Response(
            id=None, model="m", message=Message.assistant([TextPart(self.text)]),
            finish_reason="stop", usage=Usage(input_tokens=1, output_tokens=1, total_tokens=2),
        )  # fmt: skip

    def close(self):
        pass


class Async:
    supports_response_schema, supported_params = False, Engine.supported_params

    def __init__(self, engine):
        self.engine = engine

    async def complete(self, request):
        return self.engine.complete(request)

    async def aclose(self):
        pass


def test_three_examples_in_an_order_of_the_records_own():
    _, program = craving()
    orders = [tuple(shown(program, n)) for n in range(60)]
    assert all(len(set(o)) == 3 for o in orders) and orders == [tuple(shown(program, n)) for n in range(60)]
    firsts, lasts = Counter(o[0] for o in orders), Counter(o[-1] for o in orders)
    assert len(firsts) == len(lasts) == 5 and max(*firsts.values(), *lasts.values()) < 30
    assert any(shown(program, n) != shown(program, n, sample=1) for n in range(10))


@pytest.mark.parametrize("given, wanted", [
    ({"shuffled": False}, [0, 1, 2]), ({"shuffled": False, "demos": 1}, [0]), ({"demos": 0}, []), ({"shuffled": False, "demos": 9}, [0, 1, 2, 3, 4]),
])  # fmt: skip
def test_how_many_and_whether_shuffled_are_parameters(given, wanted):
    assert shown(craving(**{"with": given})[1], 7) == [EXAMPLES[i]["query"] for i in wanted]


def test_the_model_is_told_the_instruction_and_the_examples_as_they_are_dealt():
    spec, program = craving()
    at, engine = writer(), Engine()
    at.lm = dspy.LM("m", engine=engine, async_engine=Async(engine), cache=False)
    inputs = {"liked": ["plant 3: It grew.", "plant 4"]}
    answer = asyncio.run(ask(program, spec, at, inputs))
    assert answer.raw == '{"query":"What is good in winter?"}' and not answer.error
    [request] = engine.asked
    text = "".join(m.text or "" for m in request.messages)
    places = [text.index(d.query) for d in program.dealt(inputs, 0)]
    assert places == sorted(places) and text.count("I look for") == 3
    assert text.startswith("Each list holds things that one person liked") and text.endswith("plant 4\nOutput:")
    assert request.config.temperature == 0.7


def test_an_instruction_of_ones_own():
    state = program_state(craving(**{"with": {"instruction": "Ask in verse."}})[1])
    assert state["write"]["signature"]["instructions"] == "Ask in verse."
    assert "one person liked" in program_state(craving()[1])["write"]["signature"]["instructions"]


def test_parameters_belong_to_a_programs_identity():
    made = [craving(), craving(), craving(**{"with": {"demos": 2}}), craving(**{"with": {"shuffled": False}})]
    ids = [program_id(spec, program, writer()) for spec, program in made]
    assert ids[0] == ids[1] and len(set(ids)) == 3


@pytest.mark.parametrize("given, says", [({"demo": 2}, "demo"), ({"demos": -1}, "demos"), ({"instruction": ""}, "instruction")])
def test_wrong_parameters_are_refused(given, says):
    with pytest.raises(InputError, match=says):
        craving(**{"with": given})


def test_a_query_about_one_item_is_an_item_task():
    examples = [{"name": "fern", "query": "Something green for a dark corner?"}]
    task = line(use="mint.ItemQuery", write=None, outputs={"query": {"type": "text", "grounding": "none"}}, examples=examples)
    spec = task_spec(recipe(ask=task), "ask")
    program = make_program(spec, writer())
    assert [d.query for d in program.dealt({"name": "ivy"}, 0)] == ["Something green for a dark corner?"]
    assert "was glad to find" in program_state(program)["write"]["signature"]["instructions"]
