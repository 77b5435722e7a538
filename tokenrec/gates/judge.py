"""The judge of one task: all gates in order, per record and over the batch."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..ids import content_id
from ..recipe.models import Output, Task
from .base import Candidate, Finding, Verdict
from .batch import boilerplate, collapse, near_duplicates, not_telling
from .checks import Rules, Source, checks_for
from .factuality.catalogue import Terms
from .noise.vocabulary import vocabulary as check_vocabulary
from .schema import parse, shape_model, tag_limits, vocabulary

GATES_VERSION = "5"  # raise it with any change that could change a verdict: stored ones are then stale


class Judge:
    """Judges the completions of one task. Pure: the same candidates give the same findings.

    `choices`: resolved vocabulary by output field. `terms`: from `catalogue_terms`. `examples`: whatever worked
    examples and demos the prompt shows, by field; the recipe's unless said. `instruction`: what the LM was told.
    """

    def __init__(
        self,
        task_name: str,
        task: Task,
        choices: Mapping[str, list[str]] | None = None,
        terms: Terms | None = None,
        examples: Sequence[Mapping[str, Any]] | None = None,
        instruction: str | None = None,
    ):
        self.task_name, self.task = task_name, task
        self.terms = terms or Terms()
        self.choices = {
            name: vocabulary(task, dict(choices or {}), name)
            for name, output in task.outputs.items()
            if output.type in ("tags", "choice")
        }
        self.examples = tuple(task.examples if examples is None else examples)
        self.instruction = (task.write or "") if instruction is None else instruction
        self.shape = shape_model(task)
        self.rules = {name: self._rules(output) for name, output in task.outputs.items() if output.type == "text"}
        self._checks = {name: checks_for(rules) for name, rules in self.rules.items()}
        self._sets = {name: frozenset(found) for name, found in self.choices.items()}

    def _rules(self, output: Output) -> Rules:
        shown = (self.instruction, self.examples, self.terms)
        return Rules(
            output.min_words,
            output.max_words,
            self.task.language,
            output.ground,
            *shown,
            output.extract,
            output.lexicon,
        )

    @property
    def gate_id(self) -> str:
        """Hash of the gates' version and all settings: a verdict stored under another id is stale."""
        return content_id(
            {
                "version": GATES_VERSION,
                "task": self.task_name,
                "outputs": {name: output.model_dump(mode="json") for name, output in self.task.outputs.items()},
                "choices": self.choices,
                "language": self.task.language,
                "instruction": self.instruction,
                "examples": [dict(e) for e in self.examples],
                "terms": self.terms.digest,
            }
        )

    def read(self, candidate: Candidate) -> dict[str, Any] | None:
        """The typed answer, or None when malformed. The raw text decides, whatever `candidate.output` says."""
        return parse(self.shape, candidate.raw).output

    def check(self, candidate: Candidate) -> list[Finding]:
        """Findings on one completion: schema, noise, factuality; up to the first failure, soft scores kept."""
        parsed = parse(self.shape, candidate.raw)
        if parsed.output is None:
            return [Finding("schema", False, 1.0, parsed.reason, parsed.quote)]
        findings: list[Finding] = []
        for field, tags in self._closed(parsed.output):
            found = self._label(field, self._vocabulary(field, tags))
            if not found.passed:
                return [found]
        source = Source(candidate.record, candidate.name, candidate.finish_reason)
        for field, rules in self.rules.items():
            for check in self._checks[field].values():
                found = self._label(field, check(parsed.output[field], rules, source))
                if not found.passed or found.score is not None:
                    findings.append(found)
                if not found.passed:
                    return findings
        return findings

    def check_batch(
        self,
        candidates: Iterable[Candidate],
        findings_so_far: Mapping[str, list[Finding]],
        outputs: Mapping[str, dict[str, Any] | None] | None = None,
    ) -> dict[str, list[Finding]]:
        """Further findings by key, from looking at all candidates of the task together (all subjects, all samples).

        Rejected candidates count as neighbours but get no further findings. Text: near-duplicate, collapse,
        boilerplate, not telling. Tags and choices: a soft finding when one answer covers over 90% of the subjects.
        """
        read = [(c, outputs[c.key] if outputs is not None else self.read(c)) for c in candidates]
        seen = [(c, out) for c, out in read if out is not None]
        open_keys = {c.key for c, _ in seen if all(f.passed for f in findings_so_far.get(c.key, []))}
        extra: dict[str, list[Finding]] = {}

        def add(field: str, found: Mapping[int, Finding]) -> None:
            for i, finding in found.items():
                key = seen[i][0].key
                if key in open_keys:
                    extra.setdefault(key, []).append(self._label(field, finding))

        subjects = [c.subject for c, _ in seen]
        names = [c.name for c, _ in seen]
        for field, rules in self.rules.items():
            texts = [out[field] for _, out in seen]
            add(field, collapse(texts, subjects))
            add(field, near_duplicates(texts, subjects, names))
            if rules.lexicon is None:  # a lexicon's joining words are in every text by design
                add(field, boilerplate(texts, subjects, names))
            if rules.ground != "none":
                records = [c.record for c, _ in seen]
                add(field, not_telling(texts, subjects, records, names, hard=rules.ground == "closed"))
        for field in self.choices:
            kept = [out[field] if isinstance(out[field], list) else [out[field]] for _, out in seen]
            shown = [", ".join(sorted(tags)) for tags in kept]
            found = collapse(shown, subjects, soft=True)
            add(field, {i: dataclasses.replace(f, quote=(kept[i] or ["[]"])[0]) for i, f in found.items()})
        return extra

    def verdict(self, key: str, findings: Iterable[Finding]) -> Verdict:
        """malformed, rejected or accepted (CONTRACT), with every finding."""
        findings = list(findings)
        failed = [f for f in findings if not f.passed]
        state = "accepted" if not failed else "malformed" if any(f.gate == "schema" for f in failed) else "rejected"
        return Verdict(key, state, findings)

    def judge(
        self,
        candidates: Sequence[Candidate],
        checked: Mapping[str, list[Finding]] | None = None,
        outputs: Mapping[str, dict[str, Any] | None] | None = None,
    ) -> dict[str, Verdict]:
        """Per-record and batch checks of a whole task at once: verdict by key.

        `checked` and `outputs`, by key, are what `check` and `read` said before, where the caller has it.
        """
        known = checked or {}
        findings = {c.key: known[c.key] if c.key in known else self.check(c) for c in candidates}
        for key, more in self.check_batch(candidates, findings, outputs).items():
            findings[key] = findings[key] + more
        return {key: self.verdict(key, found) for key, found in findings.items()}

    def _closed(self, output: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
        return [(name, value if isinstance(value := output[name], list) else [value]) for name in self.choices]

    def _vocabulary(self, field: str, tags: list[str]) -> Finding:
        output = self.task.outputs[field]
        least, most = tag_limits(output) if output.type == "tags" else (1, 1)
        return check_vocabulary(tags, self._sets[field], least, most)

    def _label(self, field: str, finding: Finding) -> Finding:
        """Where a task has several outputs, a reason says which one it speaks of."""
        if len(self.task.outputs) == 1 or not finding.reason:
            return finding
        return dataclasses.replace(finding, reason=f"{field}: {finding.reason}")
