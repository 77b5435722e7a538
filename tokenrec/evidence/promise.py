"""Which threshold keeps the share of unsupported sentences among the accepted ones under a limit, and how surely.

Learn-then-Test (Angelopoulos et al. 2021): every threshold is a hypothesis, "the share is not under `risk`", and the
loosest one that is rejected is taken, with the chance that any true one is rejected at most 1 - confidence. (MAPIE
does this for single predictions; here sentences come in texts, and texts were drawn with unequal chances.)

The p-value of one threshold. Text i has a_i accepted sentences, b_i of them unsupported, and stands for w_i texts.
The share is under `risk` when the sum of w z, z = b - risk a, is below 0 over all texts. For a bet l with
l w z <= 1 everywhere, E = product of (1 - l w z) over the labelled texts has a mean of at most 1 if it is not: one
stratum's draws without replacement have at most the mean that draws with replacement have (Maclaurin's inequality for
elementary symmetric means), strata are drawn independently, and 1 + x <= e^x joins them. So the mean of E over fixed
bets is an e-value and 1 / E a p-value (Waudby-Smith and Ramdas 2024), exact for any number of texts, any dependence
of the sentences in one, and stratified draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BETS = 0.75 ** np.arange(12)  # shares of the largest bet that can't lose more than it has
HOPED = 0.4  # of the risk: half of the money is on the bet that is best when this share of texts is bad
SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)  # of the sentences or texts that thresholds let in
RISKS = (0.5, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01)


@dataclass(frozen=True)
class Unit:
    """A labelled text: float[n] probabilities and bool[n] of its n sentences, and how many texts it stands for."""

    p: np.ndarray
    bad: np.ndarray
    weight: float = 1.0


@dataclass(frozen=True)
class Promise:
    """`threshold`: None when none keeps the risk. `passes`: the share of sentences (`drop`) or texts below it.
    `could`: the smallest risk that a threshold of this grid keeps, with its threshold and share; None without any."""

    threshold: float | None
    passes: float
    texts: int
    sentences: int
    bad: int
    could: tuple[float, float, float] | None


def promise(
    units: Sequence[Unit], scores: Sequence[np.ndarray], risk: float, confidence: float, drop: bool
) -> Promise:
    """The loosest threshold that keeps `risk` with `confidence`.

    units: labelled texts. scores: the probabilities of the sentences of any texts of the kind, unlabelled ones too;
    the grid is made from them, before a label is looked at. drop: sentences are accepted singly; else a text is
    accepted when all its sentences are.
    """
    grid = thresholds(scores, drop)
    most = max((len(s) for s in scores), default=1)
    told = Promise(None, 0.0, len(units), sum(len(u.p) for u in units), int(sum(u.bad.sum() for u in units)), None)
    if not units or not grid:
        return told
    accepted = np.array([[_accepted(u, t, drop) for t, _ in grid] for u in units])  # texts x grid x (sentences, bad)
    weights = np.array([u.weight for u in units])
    could = None
    for level in sorted({risk, *RISKS}, reverse=True):  # a fixed order, the first that can't be kept ends it
        best = _loosest(accepted, weights, most, level, 1 - confidence)
        if best is None:
            break
        could = (level, *grid[best])
    best = _loosest(accepted, weights, most, risk, 1 - confidence)
    found = grid[best] if best is not None else (None, 0.0)
    return Promise(*found, told.texts, told.sentences, told.bad, could)


def thresholds(scores: Sequence[np.ndarray], drop: bool) -> list[tuple[float, float]]:
    """(threshold, share that it lets in), the strictest first; what is below a threshold is let in."""
    values = np.concatenate(list(scores)) if drop and scores else np.array([s.max() for s in scores if len(s)])
    if not len(values):
        return []
    found = {1.0 + 1e-9 if share == 1 else float(np.quantile(values, share)) for share in SHARES}
    return [(t, float((values < t).mean())) for t in sorted(found) if (values < t).any()]


def _accepted(unit: Unit, threshold: float, drop: bool) -> tuple[int, int]:
    into = unit.p < threshold
    if not drop and not into.all():
        return 0, 0
    return int(into.sum()), int((unit.bad & into).sum())


def _loosest(accepted: np.ndarray, weights: np.ndarray, most: int, risk: float, delta: float) -> int | None:
    """The last threshold rejected by the fallback procedure (Wiens 2003): each has its part of delta, and hands what
    it had on when it is rejected. The strictest that could be rejected without one bad sentence has the largest."""
    n = accepted.shape[1]
    able = [p_value(accepted[:, k, 0], 0 * accepted[:, k, 1], weights, most, risk) <= delta / 2 for k in range(n)]
    if not any(able):
        return None
    first = able.index(True)
    part = np.full(n - first, delta / 2 / max(n - first - 1, 1))
    part[0] = delta / 2 if n - first > 1 else delta
    level, best = 0.0, None
    for k, own in enumerate(part, first):
        level += own
        if p_value(accepted[:, k, 0], accepted[:, k, 1], weights, most, risk) <= level:
            best = k
        else:
            level = 0.0
    return best


def p_value(sentences: np.ndarray, bad: np.ndarray, weights: np.ndarray, most: int, risk: float) -> float:
    """Of "the weighted share of bad among accepted sentences is at least `risk`". int[n] accepted sentences a text,
    bad ones among them, float[n] weights; `most`: sentences that any text can have."""
    bets = BETS[:, None] / (weights.max() * (1 - risk) * most)
    with np.errstate(divide="ignore"):
        clean = np.log1p(bets * weights * risk * sentences).sum(1)
        wrong = np.log1p(-np.minimum(bets * weights * (1 - risk) * sentences, 1.0)).sum(1)
        logs = np.log1p(-np.minimum(bets * weights * (bad - risk * sentences), 1.0)).sum(1)
        hoped = HOPED * risk * np.maximum(wrong, -1e9) + (1 - HOPED * risk) * clean  # without a look at labels
    stakes = np.full(len(BETS), 0.5 / len(BETS))
    stakes[np.argmax(hoped)] += 0.5
    top = logs.max()
    return float(min(1.0, np.exp(-top) / (stakes @ np.exp(logs - top)))) if np.isfinite(top) else 1.0
