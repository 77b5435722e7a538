"""The texts that rates are about: first answers and accepted ones of a task's program, as the gates see them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tokenrec.gates.factuality.open import CONTRADICTED_GONE, UNKNOWN, UNSURE
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
TAKEN_OUT = (DROPPED, CONTRADICTED_GONE)  # gates that passed a text without a part that they refused
FLAGS = {"noise": "noise/", "hallucination": "factuality/"}  # human label: the gates that look for it
OPEN = {"unverifiable": UNSURE, "unknown": UNKNOWN, "contradicted": CONTRADICTED_GONE}  # the gates of open grounding


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
    open: dict[str, float] = field(default_factory=dict)  # by key of OPEN: share of claims; 1 where an output is gone

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
    dropped = failed_gates(db, program_id, lm_id, TAKEN_OUT)
    soft = soft_scores(db, program_id, lm_id, FLAGS)
    said = soft_scores(db, program_id, lm_id, OPEN)
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
            text = Text(*what, flag_of(gates), scores, gates, where, fitted.get(row.key.id), said.get(row.key.id, {}))
            text, left = cut(text, row.kept, dropped.get(row.key.id, ()))
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


def cut(text: Text, kept: dict[str, Any] | None, gone: Iterable[tuple[str, str]]) -> tuple[Text, Text]:
    """(the answer, what is left of it) where the gates took unsupported sentences out, or a contradicted output: they
    flagged the answer. `gone`: (gate, output) of these; what is only unknown or unverifiable goes without a flag."""
    if not kept:
        return text, text
    if not (gone := tuple(gone)):
        return text, replace(text, output=kept)
    gates = tuple(sorted({*text.gates, *(gate for gate, _ in gone)}))
    flagged = replace(text, flag=text.flag or "hallucination", gates=gates, where=text.where + gone)
    return flagged, replace(text, output=kept)


def flag_of(gates: Iterable[str]) -> str:
    """Noise first, as people label. What is only unverifiable is neither; what was contradicted and went is one."""
    gates = [FLAGS["hallucination"] if g == CONTRADICTED_GONE else g for g in gates if g != UNSURE]
    return next((kind for kind, prefix in FLAGS.items() if any(g.startswith(prefix) for g in gates)), "")


def open_rates(texts: TaskTexts) -> dict[str, Any] | None:
    """Shares of a task's open outputs, by stage, as the gates see them: texts with an unverifiable claim, unverifiable
    claims, texts with an output that is unknown. None where no text was judged so. `n`: texts that were."""
    shares = {}
    for stage in (BEFORE, AFTER):
        judged = [t.open for t in texts.of(stage) if t.open]
        n = len(judged)
        unsure = [o["unverifiable"] for o in judged if "unverifiable" in o]
        shares[stage] = {
            "n": n,
            "unverifiable": sum(u > 0 for u in unsure) / len(unsure) if unsure else None,
            "claims": sum(unsure) / len(unsure) if unsure else None,
            "unknown": sum("unknown" in o for o in judged) / n if n else None,
        }
    return shares if any(s["n"] for s in shares.values()) else None


def doubt_of(spec: TaskSpec, weights: dict[str, dict[str, float] | None]) -> Doubt:
    """1 − the mean calibrated probability of what was chosen; None for answers that were not scored."""

    def unsure(row: Stored) -> float | None:
        likely = []
        for output, chances in (row.probabilities or {}).items():
            chosen, after = decode(spec.outputs[output], spec.choices[output], chances, weights.get(output))
            likely += [after[c] for c in (chosen if isinstance(chosen, list) else [chosen])]
        return 1 - sum(likely) / len(likely) if likely else None

    return unsure
