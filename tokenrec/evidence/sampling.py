"""Which texts people are asked to label: a stratified draw with known chances, fixed before any label is seen.

Each text has one random number for good, a hash of what it says. In each stratum those with the smallest numbers are
drawn: a simple random sample of the stratum, so pi is drawn / there. A larger draw holds the smaller one (permanent
random numbers; Ohlsson, 1995), and when texts or strata change, most of what was labelled is drawn again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tokenrec.evidence.labels import share_out
from tokenrec.evidence.texts import FLAGS, TaskTexts, Text
from tokenrec.gates.base import RISK
from tokenrec.ids import content_id, unit_hash
from tokenrec.store.audits import sample_rows, save_sample

HIGH = 0.75  # accepted texts above this quantile of suspicion are a stratum, drawn half as often again
REJECTED = 0.3  # the share of labels for what the gates rejected; fail_if mostly acts on what they accepted
LEAST = 0.05  # the smallest part of the labels that any stratum gets, while it has texts


@dataclass(frozen=True)
class Drawn:
    """A text that was drawn, and with what chance."""

    text: Text
    stratum: str
    pi: float


def strata_of(texts: TaskTexts, settled: bool = False) -> dict[str, list[Text]]:
    """The task's texts by stratum, each wholly inside or outside of the first answers.

    A threshold that labels have set leaves the strata as they were when the sample was drawn. `settled`: they are cut
    by it, so that each is wholly inside or outside of the accepted texts too; of each part, those drawn are still an
    even draw, since no text's own label has a part in its threshold (gates/calibration.py).
    """
    passed = [*texts.after, *(t for t in texts.distinct() if t.gates == (RISK,))]
    accepted = {t.key for t in passed}
    kept = {t.key for t in texts.after} if settled else accepted
    first = {t.key for t in texts.before}
    above = suspicion(passed)
    cut = np.quantile(list(above.values()), HIGH) if above else 0.0
    found: dict[str, list[Text]] = {}
    for text in texts.distinct():
        if text.key not in accepted:
            name = f"rejected, {text.flag or 'other'}"
        else:
            name = "accepted" if text.key in first else "accepted, not the first answer"
            name += ", suspicious" if above[text.key] > cut else ""
            name = name if text.key in kept else f"over the threshold, else {name}"
        found.setdefault(name, []).append(text)
    return dict(sorted(found.items()))


def suspicion(texts: list[Text]) -> dict[tuple[str, str], float]:
    """How far up a text stands among its like in the worse of its scores; equal scores tell nothing."""
    worst = dict.fromkeys((t.key for t in texts), 0.0)
    for kind in FLAGS:
        scores = np.array([t.scores.get(kind, 0.0) for t in texts])
        ranks = np.searchsorted(np.sort(scores), scores, "left") / max(len(scores), 1)
        for text, rank in zip(texts, ranks, strict=True):
            worst[text.key] = max(worst[text.key], float(rank))
    return worst


def sample_id(recipe: str, texts: TaskTexts) -> str:
    """What a sample is of: these texts in these strata."""
    of = sorted([t.subject, t.completion_id, name] for name, found in strata_of(texts).items() for t in found)
    return content_id([recipe, texts.task, of])[:32]


def draw_task(texts: TaskTexts, size: int) -> list[Drawn]:
    """`size` of the task's texts, or all it has."""
    strata = strata_of(texts)
    takes = share_out(size, [len(s) for s in strata.values()], _parts(strata))
    drawn = []
    for (name, found), take in zip(strata.items(), takes, strict=True):
        order = sorted(found, key=lambda t: unit_hash("audit", t.task, *t.key))
        drawn += [Drawn(t, name, take / len(found)) for t in order[:take]]
    return drawn


def _parts(strata: dict[str, list[Text]]) -> list[float]:
    """How labels are shared out: to the rejected alike, to the accepted by size, a half more where suspicious."""
    weight = {name: len(found) * (1.5 if name.endswith("suspicious") else 1.0) for name, found in strata.items()}
    refused = [name for name in strata if name.startswith("rejected")]
    total = sum(w for name, w in weight.items() if name not in refused)
    return [
        max(LEAST, REJECTED / len(refused) if name in refused else (1 - REJECTED) * w / total)
        for name, w in weight.items()
    ]


def draw(db, recipe: str, tasks: Iterable[TaskTexts], most: int) -> list[Drawn]:
    """Draw `most` texts, every task its equal share, and store who has what chance; in random order.

    What was drawn of the same texts before is part of it: a sample only grows.
    """
    found = [t for t in tasks if t.distinct()]
    sizes = share_out(most, [len(t.distinct()) for t in found], [1.0] * len(found))
    drawn: list[Drawn] = []
    for texts, size in zip(found, sizes, strict=True):
        key = sample_id(recipe, texts)
        there = sample_rows(db, key)
        part = draw_task(texts, max(size, len(there)))
        rows = [(d.text.completion_id, d.text.subject, d.stratum, d.pi) for d in part]
        if {(subject, c): (stratum, pi) for c, subject, stratum, pi in rows} != there:
            save_sample(db, key, recipe, texts.task, rows)
        drawn += part
    return sorted(drawn, key=lambda d: unit_hash("order", d.text.task, *d.text.key))
