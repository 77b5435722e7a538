"""`tokenrec eval --recalibrate`: a judge fitted to this task by its labels, and the threshold that keeps a promise.

The fit is a ridge logistic regression on the judge's own log-odds and, where it has any, on the features that it looks
at: what a detector learnt of other domains is the prior, and a few dozen labels bend it. Texts fall in thirds
(gates/calibration.py): no label has a part in how its own text is judged, so the gain shown, and later the rates, are
of texts that the fit has not seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tokenrec.evidence.promise import Promise, Unit, promise
from tokenrec.gates.calibration import THIRDS, Third, logit, third_of
from tokenrec.recipe.outputs import Factuality

RIDGE, LEAN = 0.03, 10.0  # strength of the ridge, and how much less of it the judge's own log-odds feel
LEAST = 30  # labelled sentences of either kind, below which a third keeps the judge's probabilities
DRAWS = 1000


@dataclass(frozen=True)
class Scored:
    """A text as the judge sees it: its sentences' probabilities and features; of a labelled one also which are
    unsupported (None: not said) and how many texts it stands for. `bad` is empty without a label."""

    record: Any
    p: tuple[float, ...]
    features: tuple[Mapping[str, float], ...]
    bad: tuple[bool | None, ...] = ()
    weight: float = 1.0


def recalibrate(task: str, texts: Sequence[Scored], asked: Factuality | None, drop: bool) -> dict[str, Any]:
    """One output's entry of a calibration document: thirds, what is promised, and the gain.

    texts: all that are labelled, and any number that are not, all past the hard checks.
    """
    parts: list[list[Scored]] = [[] for _ in range(THIRDS)]
    for text in texts:
        parts[third_of(task, text.record)].append(text)
    labelled = [[t for t in part if t.bad] for part in parts]
    thirds = [fit(labelled[(k + 1) % THIRDS]) for k in range(THIRDS)]
    found: list[Promise] = []
    if asked:
        for k, third in enumerate(thirds):
            scores = [fitted(third, t) for t in texts]
            units = [Unit(fitted(third, t), _bad(t), t.weight) for t in labelled[(k + 2) % THIRDS]]
            confidence = 1 - (1 - asked.confidence) / THIRDS
            found.append(promise(units, scores, asked.risk, confidence, drop))
            thirds[k] = replace(third, threshold=found[k].threshold)
    promised = bool(found) and all(p.threshold is not None for p in found)
    return {
        "risk": asked and asked.risk,
        "confidence": asked and asked.confidence,
        "promised": promised,
        "said": _said(found, asked, drop) if asked else "",
        "labels": sum(map(len, labelled)),
        "passes": float(np.mean([p.passes for p in found])) if promised else None,
        "thirds": [_document(t) for t in thirds],
        "gain": gain(thirds, labelled),
    }


def fit(texts: Sequence[Scored]) -> Third:
    """Probabilities fitted to labelled texts; the judge's own where there are too few."""
    from sklearn.linear_model import LogisticRegression

    rows = [(logit(p), f, bad) for t in texts for p, f, bad in zip(t.p, t.features, t.bad) if bad is not None]
    y = np.array([bad for *_, bad in rows], bool)
    if min(y.sum(), (~y).sum()) < LEAST:
        return Third()
    names = sorted(rows[0][1])
    x = np.array([[LEAN * z, *(f[n] for n in names)] for z, f, _ in rows])
    weight = np.repeat([t.weight for t in texts], [sum(b is not None for b in t.bad) for t in texts])
    line = LogisticRegression(C=RIDGE, max_iter=500).fit(x, y, sample_weight=weight / weight.mean())
    slope, *more = line.coef_[0]
    weights = {n: round(float(w), 5) for n, w in zip(names, more) if abs(w) >= 5e-4}
    third = Third(round(float(slope * LEAN), 5), round(float(line.intercept_[0]), 5), weights)
    ends = [(third.text([(0, 0, p) for p in fitted(third, t)]), any(b is not False for b in t.bad)) for t in texts]
    wrong = np.array([bad for _, bad in ends], bool)
    if min(wrong.sum(), (~wrong).sum()) < LEAST / 2:
        return third
    end = LogisticRegression(C=1.0).fit(np.array([[logit(p)] for p, _ in ends]), wrong)
    return replace(third, text_slope=round(float(end.coef_[0, 0]), 5), text_bias=round(float(end.intercept_[0]), 5))


def fitted(third: Third, text: Scored) -> np.ndarray:
    """float[n]: the probabilities of a text's sentences."""
    if (third.slope, third.bias) == (1.0, 0.0) and not third.weights:
        return np.array(text.p)
    return np.array([round(third.sentence(p, f), 4) for p, f in zip(text.p, text.features)])  # as verdicts have it


def _bad(text: Scored) -> np.ndarray:
    """bool[n]; where people did not say which sentences are unsupported, all are taken to be."""
    return np.array([b is not False for b in text.bad], bool)


def gain(thirds: Sequence[Third], labelled: Sequence[Sequence[Scored]]) -> dict[str, Any] | None:
    """AUROC and Brier score of the sentences before and after, each by a fit that its labels had no part in; the
    AUROC's rise with a 95% interval by a bootstrap over texts. None without both kinds of label."""
    rows = [
        (i, t.weight, p, q, bad)
        for i, (k, t) in enumerate((k, t) for k, part in enumerate(labelled) for t in part)
        for p, q, bad in zip(t.p, fitted(thirds[k], t), t.bad)
        if bad is not None
    ]
    if not rows:
        return None
    of, w, p, q, bad = map(np.array, zip(*rows))
    if bad.all() or not bad.any():
        return None
    rng, n = np.random.default_rng(0), int(of.max()) + 1
    draws = []
    for _ in range(DRAWS):
        again = w * np.bincount(rng.integers(0, n, n), minlength=n)[of]
        if (again * bad).sum() > 0 and (again * ~bad).sum() > 0:
            draws.append(_auroc(bad, q, again) - _auroc(bad, p, again))
    low, high = np.quantile(draws, (0.025, 0.975))
    brier = [float(np.average((x - bad) ** 2, weights=w)) for x in (p, q)]
    auroc = [_auroc(bad, x, w) for x in (p, q)]
    return {
        "sentences": len(bad), "unsupported": int(bad.sum()),
        "auroc_before": auroc[0], "auroc_after": auroc[1], "rise": auroc[1] - auroc[0],
        "rise_low": float(low), "rise_high": float(high), "brier_before": brier[0], "brier_after": brier[1],
    }  # fmt: skip


def _auroc(bad: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    from tokenrec.evidence.quality import auroc

    return auroc(bad, score, weight) or 0.5


def _said(found: Sequence[Promise], asked: Factuality, drop: bool) -> str:
    """In a sentence: what is promised, on how many labels it rests and what it lets through; or what could be."""
    unit = "sentences" if drop else "texts"
    labels = sum(p.texts for p in found)
    about = f"{asked.confidence:.0%} confidence, {labels} labelled texts"
    if all(p.threshold is not None for p in found):
        passes = np.mean([p.passes for p in found])
        return f"at most {asked.risk:.0%} of accepted sentences unsupported ({about}); {passes:.0%} of {unit} pass"
    could = [p.could for p in found]
    if not all(could):
        return f"at most {asked.risk:.0%} can't be promised, nor any other share up to 50% ({about})"
    risk, passes = max(c[0] for c in could), float(np.mean([c[2] for c in could]))
    return f"at most {asked.risk:.0%} can't be promised ({about}); {risk:.0%} could be, of {passes:.0%} of {unit}"


def _document(third: Third) -> dict[str, Any]:
    return {name: getattr(third, name) for name in Third.__dataclass_fields__}
