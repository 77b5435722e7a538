"""The words that gates share: what they look at and what they answer."""

from dataclasses import dataclass, field
from typing import Any


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


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's complaint or pass on one completion."""

    gate: str  # e.g. "noise/refusal"
    passed: bool
    score: float | None = None  # soft score where the check has one; higher is worse
    reason: str = ""  # for people, one line
    quote: str = ""  # the offending words, verbatim


@dataclass(frozen=True)
class Verdict:
    """All findings on one completion; `state` is malformed, rejected or accepted (CONTRACT)."""

    key: str
    state: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def reasons(self) -> list[Finding]:
        return [f for f in self.findings if not f.passed]
