"""Every text check as a registered Guardrails validator, and one ordinary Guard for a task.

Import late: this module imports Guardrails (4 s). Bulk judging does not need it; `judge.Judge` calls the same
functions directly. Usable outside tokenrec:

    from guardrails import Guard
    from tokenrec.gates.registry import VALIDATORS
    guard = Guard().use(VALIDATORS["noise/refusal"](on_fail="noop"))

Guardrails tells its makers of every run unless ~/.guardrailsrc forbids it, and each new Guard reads that file
again, which is why setting the attribute in code does not last. Here the reader of that file is told to answer
"no metrics", and the exporter is never built: no socket is opened (tests/gates/test_registry.py holds it to that).
"""

from collections.abc import Callable, Mapping
from typing import Any

import guardrails
from guardrails import Guard
from guardrails.classes.rc import RC
from guardrails.settings import settings
from guardrails.utils.hub_telemetry_utils import HubTelemetry
from guardrails.validator_base import ErrorSpan, FailResult, PassResult, Validator, register_validator
from pydantic import Field, create_model

from .base import Finding
from .batch import BOILERPLATE, COLLAPSE, NEAR, boilerplate, collapse, near_duplicates
from .checks import CLOSED, DETECTOR, EXTRACT, NOISE, OPEN, Check, Rules, Source, checks_for
from .factuality.open import is_unknown
from .judge import Judge
from .noise.vocabulary import vocabulary
from .not_telling import TELLING, not_telling
from .schema import Answer, tag_limits
from .text import as_text, count_words


def silence_telemetry() -> None:
    """Keep Guardrails from reporting home, in this process, without touching the user's files. Idempotent."""
    if getattr(RC, "_tokenrec_silenced", False):
        return
    load = RC.load.__func__

    def load_silently(cls, logger=None):
        rc = load(cls, logger)
        rc.enable_metrics = False
        return rc

    RC.load = classmethod(load_silently)
    RC._tokenrec_silenced = True
    settings.rc = RC.load()
    HubTelemetry.initialize_tracer = lambda self, *args, **kwargs: None  # no exporter, no thread
    if HubTelemetry._instance is not None:  # somebody made a Guard before us
        HubTelemetry._instance._enabled = False
        HubTelemetry._instance._tracer = None


silence_telemetry()


def _answer(finding: Any, value: Any) -> PassResult | FailResult:
    if finding.passed:
        return PassResult(metadata={"gate": finding.gate, "score": finding.score})
    spans = []
    if isinstance(value, str) and finding.quote and finding.quote in value:
        at = value.index(finding.quote)
        spans = [ErrorSpan(start=at, end=at + len(finding.quote), reason=finding.reason)]
    return FailResult(
        error_message=f"{finding.gate}: {finding.reason}: {finding.quote}",
        metadata={"gate": finding.gate, "score": finding.score, "quote": finding.quote, "reason": finding.reason},
        error_spans=spans,
    )


def _source(metadata: dict[str, Any]) -> Source:
    told = [metadata.get("record") or {}, metadata.get("name", ""), metadata.get("finish_reason", "")]
    return Source(*told, metadata.get("facts") or {}, tuple(metadata.get("others") or ()))


def _register(gate: str, check: Check) -> type[Validator]:
    class TextCheck(Validator):
        __doc__ = f"""{gate} of tokenrec. Metadata, where the check looks at it: record (dict), name, finish_reason,
        facts (dict, of the catalogue), others (further answers)."""

        def __init__(self, rules: Rules | None = None, on_fail: Any = "noop", **kwargs: Any):
            super().__init__(on_fail=on_fail, **kwargs)
            self.rules = rules or Rules()

        def _validate(self, value: Any, metadata: dict[str, Any]) -> PassResult | FailResult:
            value = as_text(value)
            if self.rules.or_unknown and is_unknown(str(value)):
                return PassResult(metadata={"gate": gate, "score": None})
            return _answer(check(str(value), self.rules, _source(metadata)), value)

    TextCheck.__name__ = TextCheck.__qualname__ = "".join(p.title() for p in gate.replace("/", "_").split("_"))
    return register_validator(name=f"tokenrec/{gate.split('/')[1]}", data_type=["list", "string"])(TextCheck)


_ALL = NOISE | EXTRACT | CLOSED | DETECTOR | OPEN
VALIDATORS: dict[str, type[Validator]] = {gate: _register(gate, check) for gate, check in _ALL.items()}


@register_validator(name="tokenrec/vocabulary", data_type=["list", "string"])
class Vocabulary(Validator):
    """noise/vocabulary of tokenrec: distinct, in the vocabulary, not too few and not too many; without a vocabulary
    (`choices` None), of at most `words_each` words each."""

    def __init__(
        self,
        choices: list[str] | None = None,
        least: int = 1,
        most: int | None = None,
        words_each: int | None = None,
        on_fail: Any = "noop",
        **kwargs: Any,
    ):
        super().__init__(on_fail=on_fail, choices=choices, least=least, most=most, words_each=words_each, **kwargs)
        self.limits, self.words_each = (choices, least, most), words_each

    def _validate(self, value: Any, metadata: dict[str, Any]) -> PassResult | FailResult:
        tags = value if isinstance(value, list) else [value]
        long = [t for t in tags if self.words_each and not 1 <= count_words(t) <= self.words_each]
        if long:
            return _answer(Finding("schema", False, 1.0, f"not of 1 to {self.words_each} words", long[0]), value)
        return _answer(vocabulary(tags, *self.limits), value)


VALIDATORS["noise/vocabulary"] = Vocabulary


def _register_batch(gate: str, check: Callable[..., Mapping[int, Any]]) -> type[Validator]:
    class BatchCheck(Validator):
        __doc__ = f"""{gate} of tokenrec: of a list of texts, side by side. Metadata, all optional, an entry for each
        text: subjects, names (strings), records (dicts). Which texts fail stands in the result's `failed`."""

        def __init__(self, on_fail: Any = "noop", **kwargs: Any):
            super().__init__(on_fail=on_fail, **kwargs)

        def _validate(self, value: Any, metadata: dict[str, Any]) -> PassResult | FailResult:
            subjects = metadata.get("subjects") or [str(i) for i in range(len(value))]
            names, records = metadata.get("names") or [""] * len(value), metadata.get("records") or [{}] * len(value)
            found = check(value, subjects, names, records)
            failed = {i: f for i, f in found.items() if not f.passed}
            if not failed:
                return PassResult(metadata={"gate": gate})
            first = next(iter(failed.values()))
            text = f"{gate}: {len(failed)} of {len(value)} texts: {first.reason}: {first.quote}"
            said = {"gate": gate, "failed": list(failed), "reason": first.reason}
            return FailResult(error_message=text, metadata=said)

    BatchCheck.__name__ = BatchCheck.__qualname__ = "".join(p.title() for p in gate.replace("/", "_").split("_"))
    return register_validator(name=f"tokenrec/{gate.split('/')[1]}", data_type="list")(BatchCheck)


BATCH: dict[str, Callable[..., Mapping[int, Any]]] = {
    COLLAPSE: lambda texts, subjects, names, records: collapse(texts, subjects),
    NEAR: lambda texts, subjects, names, records: near_duplicates(texts, subjects, names),
    BOILERPLATE: lambda texts, subjects, names, records: boilerplate(texts, subjects, names),
    TELLING: lambda texts, subjects, names, records: not_telling(texts, subjects, records, names),
}
VALIDATORS |= {gate: _register_batch(gate, check) for gate, check in BATCH.items()}


def guard_for(judge: Judge) -> Guard:
    """One ordinary Guard with all per-record checks of a task, every one `on_fail="noop"`: it reports, changes nothing.

    Use: `guard.parse(raw_json, metadata={"record": ..., "name": ...}, num_reasks=0).validation_passed`. Batch checks
    are not in it. Guardrails coerces types before it validates (1 becomes "1"): for what is malformed, `schema.parse`
    decides.
    """
    fields: dict[str, Any] = {}
    for name, output in judge.task.outputs.items():
        if output.type in ("tags", "choice"):
            least, most = tag_limits(output) if output.type == "tags" else (1, 1)
            checks: list[Validator] = [Vocabulary(judge.choices.get(name), least, most, output.words_each)]
        else:
            checks = []
        if name in judge.rules:
            checks += [VALIDATORS[gate](judge.rules[name]) for gate in checks_for(judge.rules[name])]
        kind = {"tags": list[str], "choice": str, "text": str}.get(output.type, float)
        bounds = Field(ge=output.min, le=output.max)
        fields[name] = (kind, bounds if kind is float else Field(json_schema_extra={"validators": checks}))
    return guardrails.Guard.for_pydantic(create_model("Shape", __base__=Answer, **fields), name=judge.task_name)


def failures(outcome: Any, guard: Guard) -> list[str]:
    """Gates that failed in the last run of `guard`, by name, in order."""
    summaries = outcome.validation_summaries or []
    return [s.validator_name for s in summaries if s.validator_status == "fail"]
