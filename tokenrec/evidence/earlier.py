"""Rates of the texts that earlier programs of a task wrote, from the labels that were given then. They stay apart."""

from typing import Any

from tokenrec.evidence.audited import load_sample
from tokenrec.evidence.breakdown import basis_of, rates_of
from tokenrec.evidence.labels import Label, Labels
from tokenrec.evidence.texts import doubt_of, task_texts
from tokenrec.store import completions as store
from tokenrec.store.audits import labelled_programs
from tokenrec.tasks.program import saved_weights
from tokenrec.tasks.spec import TaskSpec


def earlier_programs(db, spec: TaskSpec, program_id: str, lm_id: str, labels: dict, kinds) -> list[dict[str, Any]]:
    """A row for each (program, LM) that wrote this task before and of whose texts labels are left, the newest first.

    Texts and verdicts are as they were last judged, by the gates of then. labels: every label in the store, by (task,
    subject, canonical output). basis: "sample" where the sample that was drawn of these texts can still be told, else
    "file": its labels are taken as an even draw.
    """
    told = []
    for pid, lm, created in labelled_programs(db, spec.recipe, spec.name):
        if (pid, lm) == (program_id, lm_id):
            continue
        texts = task_texts(db, spec.recipe, spec.name, pid, lm, _doubt(db, spec, pid, lm))
        known = {t.key: labels[key] for t in texts.distinct() if (key := (t.task, *t.key)) in labels}
        if not known:
            continue
        sample = load_sample(db, spec.recipe, texts, labels)
        found = Labels({(spec.name, key, None): _label(spec.name, key, row) for key, row in known.items()})
        basis = basis_of(texts, found, sample if sample.labels else None, None)
        told.append({
            "program_id": pid, "lm_id": lm, "created": created, "basis": "sample" if sample.labels else "file",
            "labelled": len(sample.labels or known), "texts": {"before": len(texts.before), "after": len(texts.after)},
            **rates_of(basis, kinds),
        })  # fmt: skip
    return told


def _label(task: str, key: tuple[str, str], row: dict[str, Any]) -> Label:
    return Label(task=task, subject=key[0], output={}, label=row["label"])


def _doubt(db, spec: TaskSpec, program_id: str, lm_id: str):
    """As the sample's scores were; None where the program's calibration or vocabulary is no longer there."""
    saved = store.load_program(db, program_id, lm_id)
    if saved is None:
        return None
    row = next(iter(store.completions_of(db, spec.recipe, spec.name, program_id, lm_id)), None)
    if row and any(set(p) != set(spec.choices.get(o, ())) for o, p in (row.probabilities or {}).items()):
        return None
    return doubt_of(spec, saved_weights(saved, spec))
