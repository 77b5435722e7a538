"""The audited sample of a task: what was drawn, which of it has a label, and the rates that follow."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tokenrec.evidence.ppi import Group, combined
from tokenrec.evidence.rates import Rate
from tokenrec.evidence.sampling import sample_id, strata_of
from tokenrec.evidence.texts import TaskTexts, Text
from tokenrec.store.audits import audit_id, last_sample, promoted_after, sample_rows, skipped_of

ENOUGH = 0.9  # of the drawn texts must have a label before the sample speaks where a labels file does too


@dataclass
class Sample:
    """strata: all texts by stratum; labels: those of drawn texts, by the text's key. `stale`: why there is none.

    `rows`: all that is stored of each label; `skipped`: drawn texts that somebody was shown and that have no label.
    """

    strata: dict[str, list[Text]] = field(default_factory=dict)
    drawn: int = 0
    labels: dict[tuple[str, str], str] = field(default_factory=dict)
    stale: str | None = None
    rows: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    skipped: set[tuple[str, str]] = field(default_factory=set)

    @property
    def finished(self) -> bool:
        return self.drawn > 0 and len(self.labels) >= ENOUGH * self.drawn

    def weights(self) -> dict[tuple[str, str], float]:
        """How many texts each labelled one stands for. Who is labelled so far is chance: texts come in random order."""
        found = {}
        for texts in self.strata.values():
            known = [t.key for t in texts if t.key in self.labels]
            found.update(dict.fromkeys(known, len(texts) / len(known) if known else 0.0))
        return found


def load_sample(db, recipe: str, texts: TaskTexts, labels: dict[tuple[str, str, str], dict]) -> Sample:
    """The sample of just these texts; where only an earlier one exists, an empty one that says why it is stale.

    labels: every label in the store, by (task, subject, canonical output).
    """
    rows = sample_rows(db, sample_id(recipe, texts))
    if not rows:
        last = last_sample(db, recipe, texts.task)
        return Sample(stale=_why(db, recipe, texts.task, last[1]) if last else None)
    strata = strata_of(texts, settled=True)
    drawn = [t for found in strata.values() for t in found if (t.subject, t.completion_id) in rows]
    known = {t.key: labels[key] for t in drawn if (key := (t.task, *t.key)) in labels}
    gone = skipped_of(db, recipe, texts.task)
    skipped = {t.key for t in drawn if t.key not in known and audit_id(recipe, t.task, t.subject, t.output) in gone}
    said = {key: row["label"] for key, row in known.items()}
    return Sample(strata, len(rows), said, rows=known, skipped=skipped)


def _why(db, recipe: str, task: str, drawn_at: str) -> str:
    at = promoted_after(db, recipe, task, drawn_at)
    if at:
        return (
            f"another prompt was promoted on {at[:10]}, after its sample was drawn ({drawn_at[:10]}): labels of the "
            "earlier prompt's texts, and thresholds set with them, don't measure this one's"
        )
    return f"its texts or gates changed after its sample was drawn ({drawn_at[:10]})"


def score(text: Text, kind: str) -> float:
    """What the gates think of a text, 0 to 1: 1 when they called it `kind`, else their soft score, or what labels of
    other texts have made of it."""
    if text.flag == kind:
        return 1.0
    fitted = text.fitted if kind == "hallucination" else None
    return text.scores.get(kind, 0.0) if fitted is None else fitted


def sample_rate(texts: TaskTexts, stage: str, kind: str, sample: Sample) -> Rate:
    """The rate of texts that people call `kind` at a stage, from the sample."""
    of_stage = list(texts.of(stage))
    keys = {t.key for t in of_stage}
    flagged = sum(t.flag == kind for t in of_stage) / len(of_stage) if of_stage else None
    groups: dict[str, list[list[Text]]] = {}
    for name, found in sample.strata.items():
        if found[0].key in keys:  # a stratum lies wholly in a stage or outside
            groups.setdefault("accepted" if name.startswith("accepted") else name, []).append(found)
    parts = [_group(strata, kind, sample) for strata in groups.values()]
    audited = sum(len(p.y) for p in parts)
    if not audited:
        return Rate(None, None, None, 0, flagged)
    return Rate(*combined(parts), audited, flagged)


def _group(strata: list[list[Text]], kind: str, sample: Sample) -> Group:
    known = [(t, h) for h, found in enumerate(strata) for t in found if t.key in sample.labels]
    read = {h for _, h in known}
    scores = [score(t, kind) for h in read for t in strata[h]]
    return Group(
        np.array([sample.labels[t.key] == kind for t, _ in known], bool),
        np.array([score(t, kind) for t, _ in known], float),
        np.array([h for _, h in known], int),
        np.array([len(s) for s in strata]),
        float(np.mean(scores)) if scores else 0.0,
    )
