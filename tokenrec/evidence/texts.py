"""The texts that rates are about: first answers and accepted ones of a task's program, as the gates see them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tokenrec.gates.sentences import DROPPED
from tokenrec.ids import canonical_json
from tokenrec.store import completions as store
from tokenrec.store.audits import fitted_scores, soft_scores
from tokenrec.store.completions import Stored
from tokenrec.store.verdicts import failed_gates
from tokenrec.tasks.program import decode
from tokenrec.tasks.spec import TaskSpec

Doubt = Callable[[Stored], float | None]  # how unsure the LM was of a scored answer
BEFORE, AFTER = "before", "after"
FLAGS = {"noise": "noise/", "hallucination": "factuality/"}  # human label: the gates that look for it


@dataclass(frozen=True)
class Text:
    """One well-formed answer about one subject. `flag`: noise, hallucination, or "" where the gates passed it."""

    task: str
    subject: str
    name: str
    completion_id: str
    record: dict[str, Any]
    output: dict[str, Any]
    flag: str
    scores: dict[str, float] = field(default_factory=dict)  # by human label, 0 to 1, higher is worse; no probability
    gates: tuple[str, ...] = ()  # those that rejected it
    where: tuple[tuple[str, str], ...] = ()  # (gate, output) of each rejection; "" where a task has one output
    fitted: float | None = None  # probability of an unsupported claim, fitted by labels of other texts

    @cached_property
    def key(self) -> tuple[str, str]:
        """What a label is matched by, within a task."""
        return self.subject, canonical_json(self.output)


@dataclass
class TaskTexts:
    """n: subjects with an answer. `before`: first ones, well-formed, before repair and best of n; `after`: tokens."""

    task: str
    n: int = 0
    malformed: int = 0  # subjects all of whose answers are malformed
    malformed_before: int = 0  # subjects whose first answer was
    before: list[Text] = field(default_factory=list)
    after: list[Text] = field(default_factory=list)

    def of(self, stage: str) -> list[Text]:
        return self.before if stage == BEFORE else self.after

    def distinct(self) -> list[Text]:
        """Every text once, though it may be both a first answer and an accepted one."""
        return list({t.key: t for t in [*self.before, *self.after]}.values())


def task_texts(db, recipe: str, task: str, program_id: str, lm_id: str, doubt: Doubt | None = None) -> TaskTexts:
    """Read the texts of one program as they were last judged.

    Scores are the worst of the gates' soft scores for each kind; for the outputs that `doubt` speaks of, its own.
    """
    found = TaskTexts(task)
    failed = failed_gates(db, program_id, lm_id)
    soft = soft_scores(db, program_id, lm_id, FLAGS)
    fitted = fitted_scores(db, program_id, lm_id)
    first: set[str] = set()
    formed: set[str] = set()
    accepted: set[str] = set()
    for row in store.completions_of(db, recipe, task, program_id, lm_id):  # by subject, then sample
        is_first = row.subject not in first
        first.add(row.subject)
        text = None
        if row.output is not None:
            formed.add(row.subject)
            where = tuple(sorted(failed.get(row.key.id, [])))
            gates = tuple(sorted({gate for gate, _ in where}))
            scores = soft.get(row.key.id, {})
            if doubt and (unsure := doubt(row)) is not None:
                scores = {**scores, "hallucination": unsure}
            what = (task, row.subject, row.name, row.key.id, row.inputs, row.output)
            text, left = cut(Text(*what, flag_of(gates), scores, gates, where, fitted.get(row.key.id)), row.kept)
        if is_first:
            if text and not row.repaired:
                found.before.append(text)
            else:
                found.malformed_before += 1
        if text and row.state == "accepted" and row.subject not in accepted:
            accepted.add(row.subject)
            found.after.append(left)
    found.n, found.malformed = len(first), len(first) - len(formed)
    return found


def cut(text: Text, kept: dict[str, Any] | None) -> tuple[Text, Text]:
    """(the answer, what is left of it) where the gates took unsupported sentences out: they flagged the answer."""
    if not kept:
        return text, text
    gone = tuple((DROPPED, name) for name, value in kept.items() if value != text.output.get(name))
    gates = tuple(sorted({*text.gates, DROPPED}))
    flagged = replace(text, flag=text.flag or "hallucination", gates=gates, where=text.where + gone)
    return flagged, replace(text, output=kept)


def flag_of(gates: Collection[str]) -> str:
    """Noise first, as people label."""
    return next((kind for kind, prefix in FLAGS.items() if any(g.startswith(prefix) for g in gates)), "")


def doubt_of(spec: TaskSpec, weights: dict[str, dict[str, float] | None]) -> Doubt:
    """1 − the mean calibrated probability of what was chosen; None for answers that were not scored."""

    def unsure(row: Stored) -> float | None:
        likely = []
        for output, chances in (row.probabilities or {}).items():
            chosen, after = decode(spec.outputs[output], spec.choices[output], chances, weights.get(output))
            likely += [after[c] for c in (chosen if isinstance(chosen, list) else [chosen])]
        return 1 - sum(likely) / len(likely) if likely else None

    return unsure
