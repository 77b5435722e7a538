"""Train the judge of swapped values: planted swaps (planted.py) against the values of sentences that no human marked.

Every text is read with a catalogue (all records of its domain in training) and without, and for half of the texts what
is known of words is hidden, so that one set of trees serves each case.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from swaps import swaps

from tokenrec.gates.factuality.facts import Facts
from tokenrec.gates.factuality.slots import Catalogue, Slot, matrix, slots
from tokenrec.gates.factuality.swapped import FEWEST, Glue, SwapJudge

TREES = {"max_depth": 5, "eta": 0.08, "subsample": 0.7, "colsample_bytree": 0.5, "min_child_weight": 5}
TREES |= {"reg_lambda": 3, "objective": "binary:logistic", "nthread": 1, "seed": 0}
ROUNDS, ALARMS = 120, 0.05


def catalogues(examples: Sequence) -> dict[str, Catalogue]:
    """One for each domain, of the records of `examples`."""
    records: dict[str, dict[str, object]] = {}
    for e in examples:
        records.setdefault(e.domain, {})[e.record] = e.facts
    return {domain: Catalogue(found.values()) for domain, found in records.items()}


def fit_swaps(examples: Sequence, fold: np.ndarray) -> SwapJudge:
    """Trees of all `examples`; thresholds from two halves of `fold` (int[n], by record), each judged by the other."""
    known = {e.record: Facts(e.facts) for e in examples}
    held = catalogues(examples)
    views = {
        "plain": [e.reading.slots for e in examples],
        "catalogue": [slots(e.text, known[e.record], held[e.domain]) for e in examples],
    }
    made = []
    for s in swaps([e.text for e in examples], [known[e.record] for e in examples], [e.domain for e in examples]):
        e = examples[s.source]
        at = next((j for j, (a, b) in enumerate(e.reading.places) if a <= s.start < b), None)
        if at is not None and not e.wrong[at]:
            both = {v: slots(s.text, known[e.record], held[e.domain] if v == "catalogue" else None, at) for v in views}
            made.append((s.source, {v: [x for x in f if x.start < s.end and s.start < x.end] for v, f in both.items()}))

    def sound(i: int, found: Sequence[Slot]) -> list[Slot]:
        wrong = examples[i].wrong
        return [s for s in found if s.sentence < len(wrong) and not wrong[s.sentence]]

    def train(some: set[int]) -> SwapJudge:
        import xgboost

        order = sorted(some)
        count = Counter(w for i in order for w in {w for s in sound(i, views["plain"][i]) for w in s.words})
        glue = Glue(len(order), {w: n for w, n in sorted(count.items()) if n >= FEWEST})
        inputs, labels = [], []

        def add(found: Sequence[Slot], hidden: bool, itself: int) -> None:
            if found:
                words = np.full((len(found), 2), np.nan, np.float32) if hidden else glue.features(found, itself)
                inputs.append(np.hstack([matrix(found), words]))
                labels.append(np.full(len(found), 1 - itself))

        for number, (view, found) in enumerate(views.items()):
            for i in order:
                add(sound(i, found[i]), (i + number) % 2 == 0, 1)
            for i, hit in made:
                if i in some:
                    add(hit[view], False, 0)
                    add(hit[view], True, 0)
        y = np.concatenate(labels)
        weight = np.where(y, 0.5 * (len(y) - y.sum()) / y.sum(), 1.0)
        return SwapJudge(glue, xgboost.train(TREES, xgboost.DMatrix(np.vstack(inputs), y, weight=weight), ROUNDS), {})

    half = fold % 2
    parts = [train({i for i in range(len(examples)) if half[i] != k}) for k in (0, 1)]
    limits = {}
    for view, found in views.items():
        calm = [
            score
            for i, e in enumerate(examples)
            for (score, _), wrong in zip(parts[half[i]].by_sentence(found[i], True, len(e.wrong)), e.wrong)
            if not e.any_wrong
        ]
        limits[view] = float(np.quantile(calm, 1 - ALARMS))
    judge = train(set(range(len(examples))))
    return SwapJudge(judge.glue, judge.booster, limits)
