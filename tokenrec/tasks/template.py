"""A task's request rendered once by DSPy, then filled for each record: DSPy's words at a tenth of its work.

DSPy builds the same system message, demonstrations and schema anew for every record. Here it builds them once; a record
changes only the last message, which DSPy's adapter writes as ever. The first filled request is held against DSPy's own,
and where they differ nothing is filled: the program is then called in the ordinary way.
"""

import json
import time
from typing import Any

from tokenrec.lm.meter import attempts
from tokenrec.lm.writer import Writer
from tokenrec.tasks.program import Answer, ask
from tokenrec.tasks.spec import TaskSpec

_HERE = "\x00here\x00"


class Template:
    """One request of an inline task with a hole in the place of the record."""

    def __init__(self, program, writer: Writer, request, document: dict):
        self.writer, self.adapter, self.signature = writer, writer.adapter, program.write.signature
        self.method, self.url, self.headers = request.method, request.url, request.headers
        last = {**document["messages"][-1], "content": _HERE}
        whole = json.dumps({**document, "messages": [*document["messages"][:-1], last]}, ensure_ascii=False)
        self.before, self.after = (part.encode() for part in whole.split(json.dumps(_HERE)))
        self.wanted = self.adapter.user_message_output_requirements(self.signature)

    def content(self, inputs: dict[str, Any]) -> str:
        """The last message, as DSPy's ChatAdapter.format_user_message_content writes it (a test compares them).

        DSPy builds a pydantic TypeAdapter for every value; a text or a list of texts needs none.
        """
        fields = self.signature.input_fields
        parts = [f"[[ ## {k} ## ]]\n{_shown(info, inputs[k])}" for k, info in fields.items() if k in inputs]
        return "\n\n".join([*parts, self.wanted]).strip()

    def body(self, inputs: dict[str, Any]) -> bytes:
        return self.before + json.dumps(self.content(inputs), ensure_ascii=False).encode() + self.after

    async def ask(self, inputs: dict[str, Any]) -> Answer:
        """As tasks.program.ask: BudgetStop and ServiceGone are raised, other failures come back as `error`."""
        from tokenrec.lm.wire import said

        answer, began, count = Answer(), time.perf_counter(), [0]
        token = attempts.set(count)
        try:
            reply = await self.writer.wire.send(self.method, self.url, self.headers, self.body(inputs))
            if reply.status >= 400:
                answer.error = f"HTTP {reply.status}: {self.writer.redact(said(reply.text))}"
            else:
                answer.raw, answer.finish_reason, used = _read(reply.document)
                answer.usage = self.writer.usage(used)
        except (TimeoutError, OSError, ValueError, KeyError, IndexError, TypeError) as error:
            answer.error = self.writer.redact(f"{type(error).__name__}: {error}")[:300]
        finally:
            attempts.reset(token)
            answer.usage.calls = count[0]
            self.writer.meter.in_flight -= count[0]
            self.writer.meter.add(answer.usage)
        answer.seconds = time.perf_counter() - began
        return answer


def _shown(info, value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is list and all(type(v) is str for v in value):
        return json.dumps(value, ensure_ascii=False)
    from dspy.adapters.utils import format_field_value

    return format_field_value(field_info=info, value=value)


def _read(document: dict) -> tuple[str, str, dict]:
    """(text, finish reason, usage) of a chat completion; a refusal is the text where there is no other."""
    choice = document["choices"][0]
    text = choice["message"].get("content") or choice["message"].get("refusal") or ""
    return text, str(choice.get("finish_reason") or "")[:20], document.get("usage") or {}


class Asker:
    """Asks a program about records, through templates where the writer has a wire and the program is an inline task."""

    def __init__(self, program, spec: TaskSpec, writer: Writer):
        self.program, self.spec, self.writer = program, spec, writer
        self.templates: dict[bool, Template | None] = {}
        self.filled = writer.wire is not None and not spec.task.use and hasattr(program, "write")

    async def ask(self, inputs: dict[str, Any], sample: int = 0) -> Answer:
        if not self.filled:
            return await ask(self.program, self.spec, self.writer, inputs, sample)
        first = sample == 0  # further samples are hotter, and all alike
        if first not in self.templates:
            self.templates[first] = await template(self.program, self.writer, inputs, sample)
        made = self.templates[first]
        if made is None:
            return await ask(self.program, self.spec, self.writer, inputs, sample)
        return await made.ask(inputs)


async def template(program, writer: Writer, inputs: dict[str, Any], sample: int) -> Template | None:
    """The template of a program's requests; None where filling would not give what DSPy itself would send."""
    request = await rendered(program, writer, inputs, sample)
    if request is None:
        return None
    document = json.loads(request.body)
    if not document.get("messages") or not isinstance(document["messages"][-1].get("content"), str):
        return None
    made = Template(program, writer, request, document)
    return made if json.loads(made.body(inputs)) == document else None


async def rendered(program, writer: Writer, inputs: dict[str, Any], sample: int):
    """The HTTP request that DSPy would send, unsent; None when it sends none."""
    import dspy

    from tokenrec.lm.wire import captured

    seen: list = []
    token = captured.set(seen)
    try:
        with dspy.context(lm=writer.lm, adapter=writer.adapter):
            await program.acall(sample=sample, **inputs)
    except Exception:  # `captured` ends every request with an error, which DSPy wraps as it likes
        pass
    finally:
        captured.reset(token)
    return seen[0] if seen else None
