"""DSPy 3.4 on llama.cpp: an engine for text, a decision client for closed vocabularies.

DSPy's decision requests are experimental; everything that knows of them is here and in tasks/program.py.
"""

import asyncio
import contextlib
from typing import Any

from tokenrec.lm import plain
from tokenrec.lm.llama import Copies, Llama
from tokenrec.lm.meter import note_end


class EmbeddedEngine:
    """`dspy.LM(name, engine=EmbeddedEngine(llama))`. With `chat`, the model's own template is used."""

    supports_response_schema = True
    supported_params = ("response_format", "temperature", "max_tokens", "seed")

    def __init__(self, llama: Llama, name: str, chat: bool = False, max_tokens: int = 128):
        self.llama, self.name, self.chat, self.max_tokens = llama, name, chat, max_tokens

    def complete(self, request, llama: Llama | None = None):
        from dspy.lm15 import Message, Response, TextPart, Usage

        system = request.system or ""
        system = system if isinstance(system, str) else "".join(p.text for p in system)
        config = request.config
        schema = (config.response_format or {}).get("schema")
        messages = [{"role": m.role, "content": m.text or ""} for m in request.messages]
        if self.chat and system:
            messages = [{"role": "system", "content": system}, *messages]
        done = (llama or self.llama).complete(
            "\n\n".join([system] * bool(system) + [m["content"] for m in messages]),
            messages=messages if self.chat else None,
            max_tokens=config.max_tokens or self.max_tokens,
            temperature=config.temperature or 0.0,
            seed=config.seed or 0,
            schema=schema,
            stop=() if schema or self.chat else ("\n\n",),
        )
        note_end(done.finish_reason)
        usage = Usage(
            input_tokens=done.prompt_tokens, output_tokens=done.completion_tokens,
            total_tokens=done.prompt_tokens + done.completion_tokens,
        )  # fmt: skip
        return Response(
            id=None, model=self.name, message=Message.assistant([TextPart(done.text)]),
            finish_reason="length" if done.finish_reason == "length" else "stop", usage=usage,
        )  # fmt: skip

    def close(self):
        pass


class AsyncEmbeddedEngine:
    """The same from asyncio; llama.cpp works in threads, on as many copies as requests come at once."""

    def __init__(self, engine: EmbeddedEngine, copies: Copies | None = None):
        self.engine, self.copies = engine, copies
        self.supports_response_schema = engine.supports_response_schema
        self.supported_params = engine.supported_params

    async def complete(self, request):
        return await asyncio.to_thread(self._complete, request)

    def _complete(self, request):
        with one_of(self.copies, self.engine.llama) as llama:
            return self.engine.complete(request, llama)

    async def aclose(self):
        pass


class EmbeddedChooser:
    """Answers DSPy's decision requests by likelihood: each choice as the next words of a plain prompt.

    The fields of one record are read in order, each after the best choice of those before it, so that
    the record is computed once. Probabilities are raw: calibration is the program's `weights`.
    """

    supports_decision_requests = True

    def __init__(self, llama: Llama, name: str, copies: Copies | None = None):
        self.llama, self.model, self.copies = llama, name, copies

    def __call__(self, state: dict, questions: dict[str, dict], llama: Llama | None = None) -> dict[str, Any]:
        import dspy

        demos = [_demo(d, questions) for d in state.get("demos", [])]
        prompt = plain.head(state["instructions"], demos) + plain.block(state["inputs"])
        answers: dict[str, Any] = {}
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0}
        for field, question in questions.items():
            prompt += f"{plain.label(field)}:"
            labels = ["yes", "no"] if question["type"] == "noul" else list(question["criteria"])
            if question["type"] == "score":
                labels = [str(c) for c in question["criteria"]]
            chances, used = (llama or self.llama).choose(prompt, labels)
            usage["prompt_tokens"] += used.prompt_tokens
            usage["cached_tokens"] += used.cached_tokens
            usage["completion_tokens"] += used.completion_tokens
            best = max(chances, key=chances.get)
            prompt += f" {best}\n"
            if question["type"] == "noul":
                answers[field] = {"noul": chances["yes"]}
            elif question["type"] == "score":
                answers[field] = {"probabilities": dict(enumerate(chances.values())), "confidence": chances[best]}
            else:
                answers[field] = {"choice": best, "confidence": chances[best], "probabilities": chances}
        if tracker := dspy.settings.usage_tracker:
            tracker.add_usage(self.model, usage)
        return answers

    async def acall(self, state: dict, questions: dict[str, dict]) -> dict[str, Any]:
        return await asyncio.to_thread(self._call, state, questions)

    def _call(self, state: dict, questions: dict[str, dict]) -> dict[str, Any]:
        with one_of(self.copies, self.llama) as llama:  # one for all fields: the record is computed once
            return self(state, questions, llama)

    def copy(self, **_):
        return self

    def dump_state(self) -> dict:
        return {"model": self.model}


def one_of(copies: Copies | None, llama: Llama):
    """A copy to work on, or the model itself where there are none."""
    return copies.one() if copies else contextlib.nullcontext(llama)


def _demo(demo: dict, questions: dict) -> dict:
    """A worked example, closed answers as words: yes/no for booleans, DSPy's own answers by their value."""
    shown = {k: v for k, v in demo.items() if k not in ("augmented", "rationale")}
    for k in questions.keys() & shown.keys():
        value = shown[k].get("value", shown[k]) if isinstance(shown[k], dict) else shown[k]
        shown[k] = ("yes" if value else "no") if isinstance(value, bool) else value
    return shown
