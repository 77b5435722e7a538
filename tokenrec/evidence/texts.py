"""The texts that rates are about: first answers and accepted ones of a task's program, as the gates see them."""

from dataclasses import dataclass, field
from typing import Any

from tokenrec.ids import canonical_json
from tokenrec.store import completions as store

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

    @property
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


def task_texts(db, recipe: str, task: str, program_id: str, lm_id: str) -> TaskTexts:
    """Read the texts of one program as they were last judged."""
    found = TaskTexts(task)
    failed = store.failed_gates(db, program_id, lm_id)
    first: set[str] = set()
    formed: set[str] = set()
    accepted: set[str] = set()
    for row in store.completions_of(db, recipe, task, program_id, lm_id):  # by subject, then sample
        is_first = row.subject not in first
        first.add(row.subject)
        text = None
        if row.output is not None:
            formed.add(row.subject)
            flag = flag_of(failed.get(row.key.id, []))
            text = Text(task, row.subject, row.name, row.key.id, row.inputs, row.output, flag)
        if is_first:
            if text and not row.repaired:
                found.before.append(text)
            else:
                found.malformed_before += 1
        if text and row.state == "accepted" and row.subject not in accepted:
            accepted.add(row.subject)
            found.after.append(text)
    found.n, found.malformed = len(first), len(first) - len(formed)
    return found


def flag_of(gates: list[str]) -> str:
    """Noise first, as people label."""
    return next((kind for kind, prefix in FLAGS.items() if any(g.startswith(prefix) for g in gates)), "")
