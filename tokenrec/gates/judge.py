"""The judge of one task: all gates in order, per record and over the batch."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from ..ids import content_id
from ..recipe.outputs import Output
from ..recipe.tasks import Task
from ..spool import Spool, texts
from .base import Candidate, Finding, Verdict
from .batch import boilerplate, collapse, near_duplicates
from .calibration import Calibration
from .checks import CLOSED, Rules, Source, checks_for, recalibrated, told
from .factors import NO_FACTS, Facts, agreed, dropped, gone, judged_unknown, left
from .factuality.catalogue import Terms
from .factuality.open import UNKNOWN, UNSURE, is_unknown
from .noise.vocabulary import vocabulary as check_vocabulary
from .not_telling import not_telling
from .schema import parse, shape_model, tag_limits, vocabulary
from .scoring import DetectorScorer, Scorer, finding, gate_of
from .sentences import trimmed
from .settle import settle
from .text import as_text
from .told import Told

GATES_VERSION = "10"  # raise it with any change that could change a verdict: stored ones are then stale


class Batch:
    """The readable completions of one task side by side, on disk; tags are a line each, sorted."""

    def __init__(self, task: Task):
        self.subjects, self.names, self.records = texts(), texts(), Spool()
        self.texts = {name: texts() for name, output in task.outputs.items() if output.type != "number"}
        self.or_unknown = {name: output.or_unknown for name, output in task.outputs.items()}

    def add(self, subject: str, name: str, record: Mapping[str, Any], output: Mapping[str, Any]) -> None:
        self.subjects.append(subject)
        self.names.append(name)
        self.records.append(record)
        for field, said in self.texts.items():
            value = output[field]
            if self.or_unknown[field] and is_unknown(value):
                value = ""
            said.append("\n".join(sorted(value)) if isinstance(value, list) else value)


def _without_value(findings: Sequence[Finding]) -> set[str]:
    """Outputs that say "unknown", or are taken for it."""
    return {f.field for f in findings if f.gate.startswith(UNKNOWN)}


class Judge:
    """Judges the completions of one task. Pure: the same candidates give the same findings.

    `choices`: resolved vocabulary by output field. `terms`: from `catalogue_terms`. `examples`: whatever worked
    examples and demos the prompt shows, by field; the recipe's unless said. `instruction`: what the LM was told.
    `calibrations`: of the outputs' judges, by field. `facts`: what the catalogue knows, for open grounding.
    `scorers`: those judges themselves; the detector needs none here.
    """

    def __init__(
        self,
        task_name: str,
        task: Task,
        choices: Mapping[str, list[str]] | None = None,
        terms: Terms | None = None,
        examples: Sequence[Mapping[str, Any]] | None = None,
        instruction: str | None = None,
        calibrations: Mapping[str, Calibration] | None = None,
        facts: Facts = NO_FACTS,
        scorers: Mapping[str, Scorer] | None = None,
    ):
        self.task_name, self.task = task_name, task
        self.terms = terms or Terms()
        self.choices = {
            name: vocabulary(task, dict(choices or {}), name)
            for name, output in task.outputs.items()
            if output.closed
        }
        self.examples = tuple(task.examples if examples is None else examples)
        self.instruction = (task.write or "") if instruction is None else instruction
        self.calibrations, self.facts = dict(calibrations or {}), facts
        self.shape = shape_model(task)
        self.free = [name for name, o in task.outputs.items() if o.words_each]  # tags in words of its own
        read = [name for name, o in task.outputs.items() if o.type == "text" or name in self.free]
        self.rules = {name: self._rules(name, task.outputs[name]) for name in read}
        self._checks = {name: checks_for(rules, hard=True) for name, rules in self.rules.items()}
        shipped = {n: DetectorScorer() for n, r in self.rules.items() if r.judge == "detector"}
        self.scorers: dict[str, Scorer] = shipped | dict(scorers or {})
        self._sets = {n: frozenset(found) for n, found in self.choices.items()} | dict.fromkeys(self.free)  # None: any

    def _rules(self, name: str, output: Output) -> Rules:
        shown = (self.instruction, self.examples, self.terms)
        return Rules(
            output.min_words,
            output.max_words,
            self.task.language,
            output.ground,
            *shown,
            output.extract,
            output.lexicon,
            tuple(output.not_in),
            output.judge,
            output.unsupported == "drop",
            output.factuality,
            self.calibrations.get(name),
            output.in_catalogue,
            tuple(self.task.outputs),
            output.unverifiable,
            output.or_unknown,
            output.new,
            tuple(output.against),
            bool(output.words_each),
        )

    @cached_property
    def gate_id(self) -> str:
        """Hash of the gates' version and all settings that a check looks at: what was found under another is stale."""
        shown = self.task.outputs.items()
        return content_id(
            {
                "version": GATES_VERSION,
                "task": self.task_name,
                "outputs": {name: output.model_dump(mode="json", exclude={"factuality"}) for name, output in shown},
                "choices": self.choices,
                "language": self.task.language,
                "instruction": self.instruction,
                "examples": [dict(e) for e in self.examples],
                "terms": self.terms.digest,
                "judges": {name: s.id for name, s in self.scorers.items() if s.id},
                "fitted": {name: c.fitted_id() for name, c in self.calibrations.items() if c.fits},
                "agreement": self.task.agreement and self.task.agreement.model_dump(),
                "facts": self.facts.digest,
            }
        )

    @cached_property
    def settle_id(self) -> str:
        """Short hash of what is decided with the scores of checks, promises and thresholds; "" without any."""
        promised = {name: o.factuality.model_dump() for name, o in self.task.outputs.items() if o.factuality}
        decided = {name: c.decided_id() for name, c in self.calibrations.items()}
        return content_id([promised, decided])[:8] if promised or decided else ""

    def heard(self) -> list[str]:
        """What judges know beside their settings, such as the answers of an LM; empty where they are pure functions."""
        return [f"{name}:{said}" for name, s in self.scorers.items() if (said := s.heard())]

    def read(self, candidate: Candidate) -> dict[str, Any] | None:
        """The typed answer, or None when malformed. The raw text decides, whatever `candidate.output` says."""
        return parse(self.shape, candidate.raw).output

    def check(self, candidate: Candidate) -> list[Finding]:
        """Findings on one completion: schema, noise, factuality, up to the first failure; then its judges' scores."""
        return self.check_all([candidate])[0]

    def check_all(self, candidates: Sequence[Candidate]) -> list[list[Finding]]:
        """`check` of many at once: judges see those that pass the rules, and all of them in one go."""
        found = [self.check_rules(c) for c in candidates]
        passed = [i for i, f in enumerate(found) if self.scorers and all(one.passed for one in f)]
        outputs = {i: self.read(candidates[i]) for i in passed}
        for field, scorer in self.scorers.items():
            valued = [i for i in passed if field not in _without_value(found[i])]
            grounds = self.rules[field].grounds
            sources = [grounds(Source(c.record, c.name, c.finish_reason)) for c in (candidates[i] for i in valued)]
            pairs = [(outputs[i][field], told(s) if scorer.local else s.record) for i, s in zip(valued, sources)]
            for i, source, (text, _), one in zip(valued, sources, pairs, scorer.score_all(pairs), strict=True):
                if one is not None:
                    said = finding(scorer.judge, text, one)
                    more = recalibrated(text, self.rules[field], source, said)
                    found[i] += [self._label(field, f) for f in (said, more) if f is not None]
        return found

    def whole(self, findings: Sequence[Finding]) -> bool:
        """Whether every judge that was to be heard was: a text that the rules refuse needs none."""
        had, none = {(f.gate, f.field) for f in findings}, _without_value(findings)
        return any(not f.passed for f in findings) or all(
            field in none or (gate_of(s.judge), field) in had for field, s in self.scorers.items()
        )

    def check_rules(self, candidate: Candidate) -> list[Finding]:
        """What the rules find on one completion, up to the first failure, soft scores kept."""
        parsed = parse(self.shape, candidate.raw)
        if parsed.output is None:
            return [Finding("schema", False, 1.0, parsed.reason, parsed.quote)]
        findings: list[Finding] = []
        for field, tags in self._tags(parsed.output):
            found = self._label(field, self._vocabulary(field, tags))
            if not found.passed:
                return [found]
        for field in self._sets:
            findings += [self._label(field, f) for f in agreed(self.task, field, parsed.output, candidate.others)]
        if not all(f.passed for f in findings):
            return findings
        refused: dict[str, Finding] = {}  # outputs that have no value, and why
        for field, rules in self.rules.items():
            source = self._source(candidate, field)
            grounds = rules.grounds(source)
            if rules.or_unknown and is_unknown(parsed.output[field]):
                refused[field] = self._label(field, judged_unknown(parsed.output[field]))
                findings.append(refused[field])
                continue
            spared = False  # closed-world checks of the whole text are done with, once sentences were taken out
            for gate, check in self._checks[field].items():
                if spared and gate in CLOSED:
                    continue
                found = check(as_text(parsed.output[field]), rules, grounds if gate in CLOSED else source)
                saved = not found.passed and rules.drop and gate in CLOSED
                if saved and (rest := trimmed(parsed.output[field], rules, grounds)):
                    found, spared = rest[1], True
                if gate == UNSURE and rules.unverifiable == "drop" and found.parts:
                    found = dropped(parsed.output[field], rules, source, found)
                if rules.or_unknown and not found.passed and found.gate.startswith("factuality/"):
                    findings.append(self._label(field, gone(found)))
                    refused[field] = self._label(field, found)
                    break
                found = self._label(field, found)
                if not found.passed or found.score is not None or found.parts:
                    findings.append(found)
                if not found.passed:
                    return findings
        if set(refused) == set(self.task.outputs):  # no factor is left
            stay = [f for f in findings if not f.gate.startswith(UNKNOWN)]
            return stay + [dataclasses.replace(f, passed=False) for f in refused.values()]
        return findings

    def _source(self, candidate: Candidate, field: str) -> Source:
        others = tuple(o[field] for o in candidate.others if isinstance(o.get(field), str))
        told = candidate.record, candidate.name, candidate.finish_reason
        return Source(*told, self.facts.of(candidate.subject), others)

    def settle(self, candidate: Candidate, output: dict[str, Any], findings: list[Finding]):
        """(what is kept of `output`, None where that is all of it; the findings with what was decided): takes sentences
        out, and holds texts to the threshold of their calibration. Only where all findings have passed."""
        if not all(f.passed for f in findings):
            return None, findings
        kept: dict[str, Any] = dict.fromkeys(_without_value(findings))
        decided = list(findings)
        for field, rules in self.rules.items():
            if field in kept:
                continue
            source = rules.grounds(self._source(candidate, field))
            own = [f for f in decided if f.field == field]
            if rules.unverifiable == "drop" and (text := left(output[field], {f.gate: f for f in own}.get(UNSURE))):
                if text != output[field]:
                    kept[field] = text
            elif rules.drop or rules.factuality or rules.calibration:
                text, found = settle(output[field], rules, source, own)
                decided = [f for f in decided if f.field != field] + [self._label(field, f) for f in found]
                if text != output[field]:
                    kept[field] = text
        return ({**output, **kept} if kept else None), decided

    def look_at(self, batch: "Batch") -> Callable[[int], list[Finding]]:
        """Look at all readable completions of the task together (all subjects, all samples): what is found at a place.

        Text: collapse, near-duplicate, boilerplate, not telling. Tags and choices: a soft finding when one answer
        covers over 90% of the subjects.
        """
        found: list[tuple[str, Mapping[int, Finding]]] = []
        subjects, names = batch.subjects, batch.names
        for field, rules in self.rules.items():
            if rules.in_catalogue or field in self.free:  # many may be told of one item, or like the same
                found.append((field, collapse(batch.texts[field], subjects, soft=True)))
                continue
            texts = Told(batch.texts[field], names)
            found.append((field, collapse(texts, subjects)))
            found.append((field, near_duplicates(texts, subjects, names)))
            if rules.lexicon is None and not rules.new:  # joining words are in every text, "the secret of" in titles
                found.append((field, boilerplate(texts, subjects, names)))
            if rules.ground != "none":
                hard = rules.ground == "closed"
                found.append((field, not_telling(texts, subjects, batch.records, names, hard=hard)))
        for field in self.choices:
            found.append((field, collapse(batch.texts[field], subjects, soft=True)))
        unknown = {field for field, rules in self.rules.items() if rules.or_unknown}
        has = lambda field, i: field not in unknown or batch.texts[field][i]  # noqa: E731
        return lambda i: [self._label(field, at[i]) for field, at in found if i in at and has(field, i)]

    def check_batch(
        self, candidates: Iterable[Candidate], findings_so_far: Mapping[str, list[Finding]]
    ) -> dict[str, list[Finding]]:
        """`look_at` candidates: further findings by key. Rejected ones count as neighbours but get none themselves."""
        batch, keys = Batch(self.task), []
        for c in candidates:
            output = self.read(c)
            if output is not None:
                batch.add(c.subject, c.name, c.record, output)
                keys.append(c.key)
        found = self.look_at(batch)
        extra: dict[str, list[Finding]] = {}
        for i, key in enumerate(keys):
            if all(f.passed for f in findings_so_far.get(key, [])) and (more := found(i)):
                extra.setdefault(key, []).extend(more)
        return extra

    def verdict(self, key: str, findings: Iterable[Finding], kept: dict[str, Any] | None = None) -> Verdict:
        """malformed, rejected or accepted (CONTRACT), with every finding."""
        findings = list(findings)
        failed = [f for f in findings if not f.passed]
        state = "accepted" if not failed else "malformed" if any(f.gate == "schema" for f in failed) else "rejected"
        return Verdict(key, state, findings, kept if state == "accepted" else None)

    def judge(self, candidates: Sequence[Candidate]) -> dict[str, Verdict]:
        """Per-record and batch checks of a whole task at once, and what follows from them: verdict by key."""
        findings = {c.key: self.check(c) for c in candidates}
        for key, more in self.check_batch(candidates, findings).items():
            findings[key] = findings[key] + more
        verdicts = {}
        for c in candidates:
            output, kept, found = self.read(c), None, findings[c.key]
            if output is not None:
                kept, found = self.settle(c, output, found)
            verdicts[c.key] = self.verdict(c.key, found, kept)
        return verdicts

    def _tags(self, output: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
        return [(name, value if isinstance(value := output[name], list) else [value]) for name in self._sets]

    def _vocabulary(self, field: str, tags: list[str]) -> Finding:
        output = self.task.outputs[field]
        least, most = tag_limits(output) if output.type == "tags" else (1, 1)
        return check_vocabulary(tags, self._sets[field], least, most)

    def _label(self, field: str, finding: Finding) -> Finding:
        """Says which output it speaks of; a reason too, where a task has several."""
        if finding.field:
            return finding
        several = len(self.task.outputs) > 1 and finding.reason
        return dataclasses.replace(finding, field=field, reason=f"{field}: " * bool(several) + finding.reason)
