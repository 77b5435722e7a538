"""Probabilities that a text's sentences are unsupported, from whichever judge an output names, many texts at a time.

A judge is a `Scorer`. What it says becomes one soft finding a text, `factuality/<judge>`: it rejects nothing by itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .base import Finding, Part
from .factuality.facts import flatten
from .text import clip

AT_ONCE = 256  # texts that are handed to a judge together
SUSPECT = 0.5  # probability from which a sentence is counted as unsupported in a finding's words
LINE = 300  # characters of a record's line that takes in several values of one field


@dataclass(frozen=True)
class Scored:
    """`probability`: that the text holds an unsupported claim. `parts`: of each sentence, with its place."""

    probability: float
    parts: tuple[Part, ...]
    suspects: int  # sentences that look unsupported


class Scorer(Protocol):
    """`judge`: detector, nli or lm. `id`: what its scores depend on, beside text and record; part of the gate id.
    `local`: it stays on this machine, so that it may be told the subject's name (a user's is their id)."""

    judge: str
    id: str
    local: bool

    def score_all(self, pairs: Sequence[tuple[str, Any]]) -> list[Scored | None]:
        """Of (text, record) pairs, in order; None for a text that the judge has not been asked about."""

    def heard(self) -> str:
        """What scores depend on beside the id, and may grow: the answers in a store. "" for a pure function."""


def scored(parts: Iterable[Part]) -> Scored:
    """A text is as unsupported as its worst sentence: uncalibrated probabilities would add up to 1 in any long text."""
    parts = tuple((start, end, _share(p)) for start, end, p in parts)
    worst = max((p for *_, p in parts), default=0.0)
    return Scored(worst, parts, sum(p >= SUSPECT for *_, p in parts))


def _share(p: float) -> float:
    """As verdicts have it; 1 is what rules say of a sentence, no judge is as sure."""
    return round(min(float(p), 0.9999), 4)


class DetectorScorer:
    """The trained detector that is shipped: about 11 ms a text, most of it features (factuality/MODEL_CARD.md)."""

    judge, id, local = "detector", "", True

    def score_all(self, pairs: Sequence[tuple[str, Any]]) -> list[Scored]:
        from .factuality.detector import load_detector

        found = []
        for one in load_detector().score_all(pairs):
            parts = tuple((s.start, s.end, _share(s.probability)) for s in one.sentences)
            found.append(Scored(round(one.probability, 4), parts, len(one.suspects())))
        return found

    def heard(self) -> str:
        return ""


def gate_of(judge: str) -> str:
    return f"factuality/{judge}"


JUDGES = ("detector", "nli", "lm")
SOFT_GATES = frozenset(map(gate_of, JUDGES))


def finding(judge: str, text: str, found: Scored) -> Finding:
    """The soft finding on one text; its quote is the worst sentence."""
    worst = max(found.parts, key=lambda part: part[2], default=None)
    quote = clip(text[worst[0] : worst[1]]) if worst else ""
    reason = f"{found.suspects} of {len(found.parts)} sentences look unsupported"
    return Finding(gate_of(judge), True, found.probability, reason, quote, parts=found.parts)


def lines(record: Any) -> list[str]:
    """Any nested record as plain lines, `field: value`; short values of one field share a line."""
    found: list[str] = []
    lead = None
    for fact in flatten(record):
        name, mark, value = fact.partition(": ")
        if mark and name == lead and len(found[-1]) + len(value) < LINE:
            found[-1] += f", {value}"
        else:
            found.append(fact)
            lead = name if mark else None
    return found
