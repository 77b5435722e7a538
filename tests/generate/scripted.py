"""A writer whose model is a function: what DSPy, the gates and the store do with its answers is real."""

import json
import re
import threading

from tests.tasks.worlds import dataset, line, recipe, writer
from tokenrec.gates.build import make_judge
from tokenrec.generate.run import generate
from tokenrec.lm.meter import note_end
from tokenrec.store.store import open_store
from tokenrec.tasks.inputs import prompts
from tokenrec.tasks.program import make_program
from tokenrec.tasks.spec import task_spec


def good(n: int) -> str:
    """A sound line about plant n, unlike the others'."""
    words = ["amber", "birch", "cedar", "delta", "ember", "frost", "grove", "heath", "ivory", "jade", "kelp", "lunar"]
    return json.dumps({"line": f"{words[n % 12]} {words[(n * 5 + 3) % 12]} {words[(n * 7 + 1) % 12]} Plant {n}"})


CUT = json.dumps({"line": "A tall plant with amber leaves, a birch stem"})  # at the limit of LM tokens
BAD = json.dumps({"line": "As an AI language model, I cannot help with that."})


class Script:
    """`answer(plant, k)`: the k-th answer (from 0) about plant n. It gives raw text, or raises."""

    supports_response_schema = True
    supported_params = ("response_format", "temperature", "max_tokens", "seed")

    def __init__(self, answer):
        self.answer, self.asked, self.lock = answer, [], threading.Lock()

    def complete(self, request):
        from dspy.lm15 import Message, Response, TextPart, Usage

        text = "".join(m.text or "" for m in request.messages)
        plant = int(re.findall(r"Name: Plant (\d+)", text)[-1])
        with self.lock:
            k = self.asked.count(plant)
            self.asked.append(plant)
        raw = self.answer(plant, k)
        note_end(end := "length" if raw == CUT else "stop")
        return Response(
            id=None, model="scripted", message=Message.assistant([TextPart(raw)]), finish_reason=end,
            usage=Usage(input_tokens=10, output_tokens=5, total_tokens=15),
        )  # fmt: skip

    def close(self):
        pass


class AsyncScript:
    """The same from asyncio."""

    def __init__(self, script):
        self.script = script
        self.supports_response_schema, self.supported_params = True, script.supported_params

    async def complete(self, request):
        return self.script.complete(request)

    async def aclose(self):
        pass


class World:
    """A store, a recipe with one text task, and a scripted model; `run` generates once."""

    def __init__(self, answer=lambda plant, k: good(plant), n=6, path=":memory:", **task):
        self.db, self.script, self.data = open_store(path), Script(answer), dataset(n)
        self.task, self.concurrency = task, 2

    def parts(self, meter=None):
        import dspy

        self.recipe = recipe(line=line(**self.task))
        spec = task_spec(self.recipe, "line")
        lm = dspy.LM("scripted/lm", engine=self.script, async_engine=AsyncScript(self.script), cache=False)
        at = writer(meter=meter) if meter else writer()
        at.lm = lm
        return spec, make_program(spec, at), at, make_judge(self.recipe, spec, self.data)

    def run(self, meter=None, **more):
        self.script.asked.clear()
        spec, program, at, judge = self.parts(meter)
        told = list(prompts(self.recipe, self.data, spec, {}))
        return generate(
            self.db, "plants", spec, program, at, judge, told, run="run", concurrency=self.concurrency, **more
        )

    def raws(self):
        return {(r["input_hash"], r["sample"]): r["raw"] for r in self.db["completions"].rows}
