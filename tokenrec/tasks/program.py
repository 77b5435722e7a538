"""A task as a DSPy program, and its answer to one subject."""

import json
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from tokenrec.errors import BudgetStop, ServiceGone, TokenrecError
from tokenrec.ids import canonical_json, content_id
from tokenrec.lm.meter import Usage, attempts, finished
from tokenrec.lm.writer import Writer
from tokenrec.recipe.outputs import Output
from tokenrec.tasks.spec import TaskSpec

# of an output: what only gates look at, or the signature has already
_NOT_ASKED = {"describe", "in_catalogue", "not_in", "judge", "factuality", "unsupported", "unverifiable", "or_unknown",
              "new", "against"}
DECODE_VERSION = 2  # raise it with any change of `decode`: typed outputs and verdicts in stores are then stale

_RAW: ContextVar[list | None] = ContextVar("raw completions of the call in progress", default=None)


@dataclass
class Answer:
    """One completion as it came. `error` is set when there is none: it is never stored as an answer."""

    raw: str = ""
    probabilities: dict[str, dict[str, float]] | None = None  # raw, closed outputs that were scored
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    error: str = ""
    finish_reason: str = ""  # why the LM stopped: "stop", "length", ...; "" when unknown
    first_raw: str | None = None  # the malformed answer before its repair


def make_program(spec: TaskSpec, writer: Writer, project_root=None):
    """The task's DSPy program, not compiled: the recipe's instruction and worked examples.

    Closed outputs are DSPy decisions when the writer can score them, typed fields otherwise.
    """
    from tokenrec.tasks.module import TaskModule, load_used

    if spec.task.use:
        return load_used(spec, writer, project_root)
    return TaskModule(spec, writer)


def program_state(program) -> dict[str, Any]:
    """The program as JSON (DSPy's own state): instructions, demos, decision weights; no LM, no traces."""
    state = {}
    for name, predictor in sorted(program.named_predictors()):
        dumped = predictor.dump_state()
        known = predictor.signature.fields  # an optimiser's demos also carry what it knows them by
        demos = [{k: v for k, v in d.items() if k in known} for d in dumped["demos"]]
        state[name] = {
            "signature": dumped["signature"],
            "demos": json.loads(json.dumps(demos, default=_plain)),
            "fields": dumped.get("fields", {}),
        }
    return state


def load_program_state(program, state: dict[str, Any]) -> None:
    """Put a saved state (see `program_state`) into the task's program."""
    for name, predictor in program.named_predictors():
        if name in state:
            # JSON files have their keys sorted; a prompt shows a demo's fields in the signature's order
            order = predictor.signature.fields
            demos = [{k: d[k] for k in order if k in d} for d in state[name]["demos"]]
            saved = {**state[name], "demos": demos}
            predictor.load_state({"traces": [], "train": [], "lm": None, **saved})


def program_id(spec: TaskSpec, program, writer: Writer) -> str:
    """SHA-256 as CONTRACT.md has it: what is asked and how, not the decision weights.

    Two things more: the recipe, since verdicts and calibration rest on its other texts and its data, so that recipes
    that share a store don't share those; and the code and parameters of a `use:` module.
    """
    state = {n: {k: s[k] for k in ("signature", "demos")} for n, s in program_state(program).items()}
    adapter = type(writer.adapter).__name__ if writer.adapter else "replay"
    # a key that came later leaves the ids of programs without it as they are: their answers stay
    later = {o: set() if out.words_each else {"words_each"} for o, out in spec.outputs.items()}
    schema = {o: out.model_dump(exclude=_NOT_ASKED | later[o]) for o, out in spec.outputs.items()}
    for output, choices in spec.choices.items():  # the words themselves, where the recipe refers to them
        schema[output]["choices"] = choices
    code = getattr(program, "source_hash", None)
    parameters = {"with": spec.task.with_} if spec.task.with_ else {}
    return content_id({
        "recipe": spec.recipe, "task": spec.name, "use": spec.task.use, "code": code, "state": state,
        "adapter": adapter, "schema": schema, **parameters,
    })  # fmt: skip


async def ask(program, spec: TaskSpec, writer: Writer, inputs: dict[str, Any], sample: int = 0) -> Answer:
    """Ask the program about one subject. Raises BudgetStop and ServiceGone; other failures come back as `error`."""
    import dspy

    raws: list[str] = []
    ends: list[str] = []
    token, ending, began = _RAW.set(raws), finished.set(ends), time.perf_counter()
    count = [0]  # attempts, where the wire counts them
    counting = attempts.set(count) if writer.wire else None
    answer = Answer()
    if not writer.wire:
        writer.meter.check()
        writer.meter.in_flight += 1
        count[0] = 1
    try:
        with dspy.context(lm=writer.lm, adapter=recording(writer.adapter)), dspy.track_usage() as tracker:
            try:
                prediction = await program.acall(sample=sample, **inputs)
                answer.raw, answer.probabilities = typed_answer(spec, prediction, raws)
            except Exception as error:  # the LM's or DSPy's; told apart by whether there was an answer
                _raise_final(error)
                if raws:
                    answer.raw = raws[-1]
                else:
                    answer.error = _short(error, writer)
            finally:
                for entry in [e for many in tracker.usage_data.values() for e in many]:
                    answer.usage.add(writer.usage(entry))
                answer.usage.calls = count[0] if writer.wire else max(answer.usage.calls, 1)
                writer.meter.add(answer.usage)
    finally:
        writer.meter.in_flight -= count[0]
        if counting:
            attempts.reset(counting)
        _RAW.reset(token)
        finished.reset(ending)
    answer.finish_reason = ends[-1] if ends and not answer.probabilities else ""
    answer.seconds = time.perf_counter() - began
    return answer


def _raise_final(error: BaseException | None) -> None:
    """Raise the BudgetStop or ServiceGone inside what DSPy made of it, if there is one."""
    while error is not None:
        if isinstance(error, (BudgetStop, ServiceGone)):
            raise error
        error = error.__cause__ or error.__context__


def recording(adapter):
    """The adapter itself, taught to note each raw completion it parses."""
    kind = type(adapter)
    if not getattr(kind, "_records", False):
        parse = kind.parse

        def noted(self, signature, completion):
            if (raws := _RAW.get()) is not None:
                raws.append(completion)
            return parse(self, signature, completion)

        adapter.__class__ = type(kind.__name__, (kind,), {"parse": noted, "_records": True})
    return adapter


def typed_answer(spec: TaskSpec, prediction, raws: list[str]) -> tuple[str, dict | None]:
    """(raw text, probabilities): scored fields have no raw text of their own, theirs is made here."""
    scored = {
        o: {k: round(float(p), 6) for k, p in value.probabilities.items()}
        for o in spec.outputs
        if getattr(value := prediction.get(o), "probabilities", None)
    }
    if not scored:
        if raws and not spec.task.use:
            return raws[-1], None
        return canonical_json({o: _plain(prediction.get(o)) for o in spec.outputs}), None
    written = {o: _plain(prediction.get(o)) for o in spec.outputs if o not in scored}
    return canonical_json({**written, **{o: {"probabilities": p} for o, p in scored.items()}}), scored


def decode(output: Output, choices: list[str], chances: dict[str, float], weights: dict[str, float] | None) -> tuple:
    """Typed value and calibrated probabilities of one scored output.

    `weights` (DSPy's own decision weights) are one over each choice's mean probability in a batch:
    batch calibration (Zhou et al., 2024). Tags are those at least .8 as likely as the best one and
    likelier than chance; with `or_none`, nothing when the best is hardly likelier than chance.
    """
    raw = {c: chances[c] * (weights or {}).get(c, 1.0) for c in choices}
    norm = sum(raw.values()) or 1.0
    likely = {c: p / norm for c, p in raw.items()}
    ranked = sorted(choices, key=lambda c: (-likely[c], c))
    best = likely[ranked[0]]
    if output.type == "choice":
        return ranked[0], likely
    even = 1 / len(choices)
    if output.or_none and best < 1.25 * even:
        return [], likely
    most = int(output.max or len(choices))
    least = int(output.min if output.min is not None else 0 if output.or_none else 1)
    chosen = [c for i, c in enumerate(ranked) if i < least or (likely[c] >= 0.8 * best and likely[c] > even)]
    return chosen[:most], likely


def weights_of(program, output: str) -> dict[str, float] | None:
    for _, predictor in program.named_predictors():
        if output in getattr(predictor, "fields", {}):
            return predictor.fields[output].get("weights")
    return None


def saved_weights(state: dict[str, Any], spec: TaskSpec) -> dict[str, dict[str, float] | None]:
    """`weights_of` for every closed output, from a saved state: no program and no LM is needed."""
    fields = {o: f for predictor in reversed(state.values()) for o, f in predictor.get("fields", {}).items()}
    return {o: fields.get(o, {}).get("weights") for o in spec.choices}


def calibrate(program, spec: TaskSpec, batch: list[dict[str, dict[str, float]]]) -> None:
    """Set the decision weights from a batch of raw probabilities (one over the mean; 1 on average)."""
    for output, choices in spec.choices.items():
        rows = [b[output] for b in batch if output in b]
        if len(rows) < 20:
            continue
        mean = {c: max(sum(r[c] for r in rows) / len(rows), 1e-6) for c in choices}
        weights = {c: 1 / (len(choices) * m) for c, m in mean.items()}
        for _, predictor in program.named_predictors():
            if output in predictor.signature.output_fields:
                predictor.fields = {
                    **predictor.fields,
                    output: {"weights": {c: round(w, 6) for c, w in weights.items()}},
                }


def _plain(value: Any) -> Any:
    value = getattr(value, "value", value)
    if hasattr(value, "model_dump"):
        return value.model_dump()
    return value if isinstance(value, (str, int, float, bool, list, dict, type(None))) else str(value)


def _short(error: Exception, writer: Writer) -> str:
    text = writer.redact(str(error)).strip().splitlines() or [type(error).__name__]
    kind = "" if isinstance(error, TokenrecError) else f"{type(error).__name__}: "
    return (kind + text[0])[:300]
