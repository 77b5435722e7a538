"""Which threshold keeps the share of unsupported sentences among the accepted ones under a limit, and how surely.

Learn-then-Test (Angelopoulos et al. 2021): every threshold is a hypothesis, "the share is not under `risk`", and the
loosest one that is rejected is taken, with the chance that any true one is rejected at most 1 - confidence. (MAPIE
does this for single predictions; here sentences come in texts, and texts were drawn with unequal chances.)

The p-value of one threshold is Korn and Graubard's (1998): a binomial tail with as many sentences as the clustered and
weighted ones are worth. Text i has a_i accepted sentences, b_i of them unsupported, and stands for w_i texts; the
share r = sum w b / sum w a has the linearised variance of a ratio over texts, and n = r (1 - r) / variance. So that few
labels without a bad one don't look certain, the variance is that with one more text, all bad, of the largest weight.
Measured at the limit itself (risk .03 to .16, texts of 1 to 15 sentences, clustered up to all-or-nothing, even draws
of 20 to 300 and two strata): of tests at .10 it rejected .00 to .11, at .033 up to .043, at .017 up to .024; thirds and
grid share the level out, and a whole promise was broken less often than stated (tests/evidence/test_promise.py).
An exact bound for any clustering (fixed bets on bounded sums) asked for three to four times as many labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

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

    units: labelled texts, each with a sentence. scores: the probabilities of the sentences of any texts of the kind,
    unlabelled ones too; the grid is made from them, before a label is looked at. drop: sentences are accepted singly;
    else a text is accepted when all its sentences are.
    """
    grid = thresholds(scores, drop)
    told = Promise(None, 0.0, len(units), sum(len(u.p) for u in units), int(sum(u.bad.sum() for u in units)), None)
    if not units or not grid:
        return told
    accepted = [_accepted(units, t, drop) for t, _ in grid]
    weights = np.array([u.weight for u in units])
    clean = [worth(into, 0 * bad, weights) for into, bad in accepted]
    found = [worth(into, bad, weights) for into, bad in accepted]
    could = None
    for level in sorted({risk, *RISKS}, reverse=True):  # a fixed order, the first that can't be kept ends it
        best = _loosest(clean, found, level, 1 - confidence)
        if best is None:
            break
        could = (level, *grid[best])
    best = _loosest(clean, found, risk, 1 - confidence)
    set_at = grid[best] if best is not None else (None, 0.0)
    return Promise(*set_at, told.texts, told.sentences, told.bad, could)


def thresholds(scores: Sequence[np.ndarray], drop: bool) -> list[tuple[float, float]]:
    """(threshold, share that it lets in), the strictest first; what is below a threshold is let in."""
    values = np.concatenate(list(scores)) if drop and scores else np.array([s.max() for s in scores if len(s)])
    if not len(values):
        return []
    found = {1.0 + 1e-9 if share == 1 else float(np.quantile(values, share)) for share in SHARES}
    return [(t, float((values < t).mean())) for t in sorted(found) if (values < t).any()]


def _accepted(units: Sequence[Unit], threshold: float, drop: bool) -> tuple[np.ndarray, np.ndarray]:
    """int[texts]: accepted sentences, and bad ones among them."""
    starts = np.cumsum([0, *(len(u.p) for u in units[:-1])])
    into = np.concatenate([u.p for u in units]) < threshold
    if not drop:
        into = np.repeat(np.logical_and.reduceat(into, starts), [len(u.p) for u in units])
    bad = np.concatenate([u.bad for u in units]) & into
    return np.add.reduceat(into.astype(int), starts), np.add.reduceat(bad.astype(int), starts)


def _loosest(clean: list, found: list, risk: float, delta: float) -> int | None:
    """The last threshold rejected by the fallback procedure (Wiens 2003): each has its part of delta, and hands what
    it had on when it is rejected. The strictest that could be rejected without one bad sentence has the largest.

    clean, found: what the sentences below each threshold are worth (`worth`), were none bad, and as they are.
    """
    able = [p_value(*w, risk) <= delta / 2 for w in clean]
    if not any(able):
        return None
    first = able.index(True)
    rest = len(found) - first - 1
    level, best = 0.0, None
    for k in range(first, len(found)):
        level += delta if not rest else delta / 2 if k == first else delta / 2 / rest
        if p_value(*found[k], risk) <= level:
            best = k
        else:
            level = 0.0
    return best


def worth(sentences: np.ndarray, bad: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """(weighted share of bad sentences, how many independent sentences they are worth); (1, 0) for nothing.

    int[n] accepted sentences a text, bad ones among them, float[n] weights.
    """
    some = sentences > 0
    a, b, w = (x[some].astype(float) for x in (sentences, bad, weights))
    n = len(a)
    if n < 2:
        return 1.0, 0.0
    share = (w * b).sum() / (w * a).sum()
    a1, b1, w1 = np.append(a, a.mean()), np.append(b, a.mean()), np.append(w, w.max())
    total = (w1 * a1).sum()
    worse = (w1 * b1).sum() / total
    variance = (n + 1) / n * ((w1 * (b1 - worse * a1) / total) ** 2).sum()
    if not variance:  # all bad
        return 1.0, 0.0
    size = worse * (1 - worse) / variance * (special.ndtri(0.95) / special.stdtrit(n - 1, 0.95)) ** 2
    return float(share), float(min(size, a.sum()))


def p_value(share: float, size: float, risk: float) -> float:
    """Of "the share of bad sentences is at least `risk`", for what `worth` found."""
    return 1.0 if share >= risk else float(special.betainc(size * (1 - share), size * share + 1, 1 - risk))
