"""How good the gates are beside people, what they complained about, and which accepted texts look worst."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tokenrec.evidence.audited import Sample, score
from tokenrec.evidence.sampling import suspicion
from tokenrec.evidence.texts import FLAGS, TaskTexts
from tokenrec.store.audits import findings_of

WORST = 3  # accepted texts that are shown a task
Known = Mapping[tuple[str, str], tuple[str, float]]  # a text's key → its label, and how many texts it stands for


def quality(texts: TaskTexts, kind: str, known: Known) -> dict[str, Any] | None:
    """The gates against the labels of first answers, weighted; None without a label.

    all_positive_f1: what calling every text `kind` would score, below which a gate is worth nothing. auroc: the
    chance that a bad text has a higher score than another, ties half. null: not defined by these labels.
    """
    rows = [(t, *known[t.key]) for t in texts.before if t.key in known] if known else []
    if not rows:
        return None
    bad = np.array([label == kind for _, label, _ in rows])
    flag = np.array([t.flag == kind for t, _, _ in rows])
    f = np.array([score(t, kind) for t, _, _ in rows])
    w = np.array([weight for *_, weight in rows])
    hit, said, there = (float(w[m].sum()) for m in (bad & flag, flag, bad))
    return {
        "labels": len(rows),
        "bad": int(bad.sum()),
        "precision": hit / said if said else None,
        "recall": hit / there if there else None,
        "f1": 2 * hit / (said + there) if said + there else None,
        "all_positive_f1": 2 * there / (there + float(w.sum())) if there else None,
        "auroc": auroc(bad, f, w),
    }


def auroc(bad: np.ndarray, f: np.ndarray, w: np.ndarray) -> float | None:
    """Weighted area under the ROC curve; None without both kinds."""
    if bad.all() or not bad.any():
        return None
    values, place = np.unique(f, return_inverse=True)
    good = np.bincount(place, w * ~bad, len(values))
    below = np.cumsum(good) - good / 2
    return float((w[bad] * below[place[bad]]).sum() / (w[bad].sum() * good.sum()))


def reasons(texts: TaskTexts, known: Known) -> list[dict[str, Any]]:
    """By gate that rejected first answers: how many, how many have a label, and of those how many are bad indeed."""
    found: dict[str, list] = {}
    for text in texts.before:
        for gate in text.gates:
            found.setdefault(gate, []).append(known.get(text.key, (None,))[0] if known else None)
    return [
        {"gate": gate, "texts": len(labels), "labelled": sum(x is not None for x in labels),
         "bad": sum(x in FLAGS for x in labels)}
        for gate, labels in sorted(found.items())
    ]  # fmt: skip


def strata(sample: Sample) -> list[dict[str, Any]]:
    """What people found in each stratum of the sample."""
    told = []
    for name, texts in sample.strata.items():
        labels = [sample.labels[t.key] for t in texts if t.key in sample.labels]
        told.append({"stratum": name, "texts": len(texts), "labelled": len(labels),
                     "skipped": sum(t.key in sample.skipped for t in texts),
                     **{kind: labels.count(kind) for kind in FLAGS}})  # fmt: skip
    return told


def worst(db, texts: TaskTexts, labels: Mapping[tuple[str, str, str], dict]) -> list[dict[str, Any]]:
    """The accepted texts that the scores find worst: what they say, what was suspected, and what people called them.

    labels: every label in the store, by (task, subject, canonical output).
    """
    above = suspicion(texts.after)
    told = []
    for text in sorted(texts.after, key=lambda t: (-above[t.key], t.key))[:WORST]:
        if not above[text.key]:
            break
        soft = [f for f in findings_of(db, text.completion_id) if f["score"] is not None]
        top = max(soft, key=lambda f: f["score"], default={"gate": None, "score": None, "quote": None})
        label = labels.get((text.task, *text.key), {})
        told.append({
            "subject": text.subject, "name": text.name, "completion": text.completion_id, "output": text.output,
            "scores": text.scores, "gate": top["gate"], "score": top["score"], "quote": top["quote"] or None,
            "label": label.get("label"), "reason": label.get("reason") or None,
        })  # fmt: skip
    return told
