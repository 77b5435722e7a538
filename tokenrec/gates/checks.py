"""The per-record checks of one text, cheap to dear: one list, walked by the judge and wrapped for Guardrails."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..recipe.outputs import Factuality, Lexicon
from .base import RECALIBRATED, Finding
from .calibration import Calibration
from .factuality.catalogue import Terms
from .factuality.extract import extracted
from .factuality.names import contradicted, entities, names
from .factuality.numbers import numbers
from .factuality.open import AGREEMENT, RECORD, UNSURE, by_agreement, by_record, unverifiable
from .noise.catalogue import Titles, in_catalogue, not_in_catalogue
from .noise.copy import copied, shortened
from .noise.echo import echo
from .noise.known import known
from .noise.language import language
from .noise.length import length
from .noise.lexicon import within
from .noise.loops import cut_off, loops
from .noise.markup import markup
from .noise.refusal import refusal
from .noise.telling import telling
from .text import strings


@dataclass(frozen=True)
class Rules:
    """What one text output is held to; the same for every subject of a task."""

    min_words: int = 1
    max_words: int | None = None
    language: str = "en"
    ground: str = "closed"  # closed | open | none
    instruction: str = ""
    examples: tuple[Mapping[str, Any], ...] = ()
    terms: Terms = field(default_factory=Terms)
    extract: bool = False  # sentences taken over from the source are wanted
    lexicon: Lexicon | None = None
    not_in: tuple[str, ...] = ()  # fields whose entries are known already
    judge: str = "rules"  # rules | detector | nli | lm
    drop: bool = False  # an unsupported sentence is taken out and the rest kept
    factuality: Factuality | None = None  # what is promised of accepted texts
    calibration: Calibration | None = None  # of the judge, from labels of this task
    in_catalogue: bool = False  # must be a title that `terms` has
    fields: tuple[str, ...] = ()  # the names of the task's outputs, which the prompt shows
    unverifiable: str = "keep"  # keep | drop | reject: open claims that nothing bears out
    or_unknown: bool = False  # "unknown" is a proper answer, and no value
    new: bool = False  # must not be a title that `terms` has
    against: tuple[str, ...] = ()  # the inputs that claims must follow from; all unless said
    tags: bool = False  # words of the model's own, joined: a list that is whole is not cut off

    def grounds(self, source: "Source") -> "Source":
        """What closed claims are held to. The name, an old headline say, is no ground where the inputs are named."""
        if not self.against:
            return source
        return replace(source, record={k: v for k, v in source.record.items() if k in self.against}, name="")

    @property
    def wanted_language(self) -> str:
        return "und" if self.in_catalogue or self.new else self.language  # a title is in any

    @property
    def least_content(self) -> int:
        """Content words that a text must have: one where a word or two is the whole answer, none in a title."""
        if self.in_catalogue or self.new:
            return 0
        return 1 if self.tags or (self.max_words is not None and self.max_words <= 5) else 2


@dataclass(frozen=True)
class Source:
    """What one text was written from."""

    record: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    finish_reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)  # of the catalogue, shown to the LM or not
    others: tuple[str, ...] = ()  # further answers to the same question


SUSPICION = "factuality/detector"
Check = Callable[[str, Rules, Source], Finding]

NOISE: dict[str, Check] = {
    "noise/length": lambda text, r, s: length(text, r.min_words, r.max_words),
    "noise/refusal": lambda text, r, s: refusal(text),
    "noise/markup": lambda text, r, s: markup(text, s.name),
    "noise/cut_off": lambda text, r, s: cut_off(text, s.finish_reason),
    "noise/lexicon": lambda text, r, s: within(text, r.lexicon, s.record),
    "noise/loops": lambda text, r, s: loops(text),
    "noise/language": lambda text, r, s: language(text, r.wanted_language, [s.name, *strings(dict(s.record))]),
    "noise/tells_nothing": lambda text, r, s: telling(text, s.name, r.least_content),
    "noise/known": lambda text, r, s: known(text, r.not_in, s.record),
    "noise/catalogue": lambda text, r, s: in_catalogue(text, r.terms.titles if r.in_catalogue else Titles()),
    "noise/exists": lambda text, r, s: not_in_catalogue(text, r.terms.titles if r.new else Titles()),
    "noise/echo": lambda text, r, s: echo(text, s.record, r.instruction, r.examples, r.fields),
    "noise/copy": lambda text, r, s: (shortened if r.extract else copied)(text, s.record),
}
CLOSED: dict[str, Check] = {
    "factuality/numbers": lambda text, r, s: numbers(text, s.record),
    "factuality/contradicted": lambda text, r, s: contradicted(text, s.record, r.terms, s.name),
    "factuality/names": lambda text, r, s: names(text, s.record, r.terms, s.name),
    "factuality/entities": lambda text, r, s: entities(text, s.record, s.name, r.language),
}


EXTRACT: dict[str, Check] = {"factuality/extract": lambda text, r, s: extracted(text, s.record)}


def suspicion(text: str, rules: Rules, source: Source) -> Finding:
    """The trained detector's probability that the text holds an unsupported claim, as a soft score: it rejects nothing.
    Its quote is the worst sentence. About 8 ms a text; figures and limits stand in factuality/MODEL_CARD.md."""
    from .scoring import DetectorScorer, finding

    return finding("detector", text, DetectorScorer().score_all([(text, told(source))])[0])


def told(source: Source) -> dict[str, Any]:
    """The record as a judge reads it, the subject's name among it."""
    return dict(source.record) | ({"name": source.name} if source.name else {})


def recalibrated(text: str, rules: Rules, source: Source, said: Finding) -> Finding | None:
    """What the judge `said`, fitted to this task by its labels (`tokenrec eval --recalibrate`), as a soft score.
    None where no labels have fitted any."""
    if rules.calibration is None or not rules.calibration.fits:
        return None
    third = rules.calibration.of(source.record)
    scored = [(start, end, p, {}) for start, end, p in said.parts]
    if said.gate == SUSPICION:
        from .factuality.detector import load_detector

        scored = load_detector().with_features(text, told(source))
    parts = tuple((start, end, round(third.sentence(p, features), 4)) for start, end, p, features in scored)
    return Finding(RECALIBRATED, True, round(third.text(parts), 4), "fitted to this task's labels", parts=parts)


DETECTOR: dict[str, Check] = {SUSPICION: suspicion}  # for whoever checks one text; `Judge` asks for many at once


# the world is wanted: the catalogue's facts and further answers contradict; what nothing bears out is unverifiable
OPEN: dict[str, Check] = {
    RECORD: lambda text, r, s: by_record(text, _facts(s), r.terms, s.name),
    AGREEMENT: lambda text, r, s: by_agreement(text, _facts(s), s.others, s.name),
    UNSURE: lambda text, r, s: unverifiable(text, _facts(s), s.others, s.name, reject=r.unverifiable == "reject"),
}


def _facts(source: Source) -> dict[str, Any]:
    return {**source.facts, **source.record}


def checks_for(rules: Rules, hard: bool = False) -> dict[str, Check]:
    """The checks that apply to a text under `rules`, in order; only those that can reject, where `hard`."""
    noise = NOISE | EXTRACT if rules.extract else NOISE
    if rules.tags:
        return {gate: check for gate, check in noise.items() if gate != "noise/cut_off"}
    if rules.ground == "closed":
        return noise | CLOSED | (DETECTOR if rules.judge == "detector" and not hard else {})
    return noise | OPEN if rules.ground == "open" else noise
