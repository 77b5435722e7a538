"""The words that gates share: what they look at and what they answer."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

RECALIBRATED, RISK = "factuality/recalibrated", "factuality/risk"  # a judge fitted by labels; the promised threshold
Part = tuple[int, int, float]  # start and end of a sentence, and the probability that a claim in it is unsupported


@dataclass(frozen=True)
class Candidate:
    """One completion as a gate sees it. `record` is the source that the LM was given."""

    key: str  # completion id
    task: str
    subject: str
    raw: str  # the LM's answer as it came
    output: dict[str, Any] | None  # typed output; None when malformed
    record: dict[str, Any]  # the inputs of the prompt, by name
    name: str = ""  # how a reader calls the subject (dish name)
    finish_reason: str = ""  # why the LM stopped: "stop", "length", ...; "" when unknown
    others: tuple[dict[str, Any], ...] = ()  # further answers to the same question, typed, asked for agreement


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's complaint or pass on one completion."""

    gate: str  # e.g. "noise/refusal"
    passed: bool
    score: float | None = None  # soft score where the check has one; higher is worse
    reason: str = ""  # for people, one line
    quote: str = ""  # the offending words, verbatim
    field: str = ""  # the output that it speaks of, in a task with several
    parts: tuple[Part, ...] = ()  # the sentences of a text, where the check scores each


def rows_of(findings: Iterable[Finding]) -> list[list]:
    """Findings as JSON has them."""
    return [[f.gate, f.passed, f.score, f.reason, f.quote, f.field, f.parts] for f in findings]


def findings_of(rows: Iterable[list]) -> list[Finding]:
    """What `rows_of` made."""
    return [Finding(g, bool(p), s, r, q, f, tuple(map(tuple, parts))) for g, p, s, r, q, f, parts in rows]


@dataclass(frozen=True)
class Verdict:
    """All findings on one completion; `state` is malformed, rejected or accepted (CONTRACT)."""

    key: str
    state: str
    findings: list[Finding] = field(default_factory=list)
    kept: dict[str, Any] | None = None  # the output without its unsupported sentences; None where it is whole

    @property
    def reasons(self) -> list[Finding]:
        return [f for f in self.findings if not f.passed]
