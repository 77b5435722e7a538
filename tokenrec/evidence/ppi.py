"""Rates from an audited sample: human labels of a stratified draw, and a score of every text (CONTRACT, "Rates").

PPI++ (Angelopoulos, Duchi and Zrnic, 2023, arXiv:2311.01453), weighted by inclusion probabilities:

    θ = ȳ_w + λ (f̄_N − f̄_w)

y: the label, 0 or 1; f: the score; ȳ_w, f̄_w: means of the labelled texts, each weighing as many texts as it stands
for (1/pi); f̄_N: the score's mean over all texts. λ, at least 0, is the one that makes the variance of θ under this
design (strata, finite numbers of texts) smallest: with a score that tells nothing it is about 0, and θ the labels' own.

A normal interval fails for rare things, so the variance only says how many labels θ is worth: n_eff = θ(1−θ)/Var, and
the interval is Clopper and Pearson's exact one at θ·n_eff in n_eff (Korn and Graubard, 1998). Three guards, each of
which can only widen it, and whose worth the simulations in tests/evidence/test_ppi.py show:

* texts that the gates passed, called noise and called hallucination are estimated apart and put together by MOVER
  (Zou and Donner, 2008): their rates differ so much that one variance for all says little;
* each stratum gets one misfit more than was seen: labels that all agree with the score don't prove it right;
* with fewer than FEW labels of a kind, or where it would not help, the score is left alone. The interval is then exact
  for an even draw, else that of an even draw as thin as the most thinly drawn stratum: no mix of strata hides more.

The package ppi-python was weighed: it has no inclusion probabilities or finite populations, its intervals are normal,
and it wants numba, pandas, statsmodels and gdown.
"""

from dataclasses import dataclass

import numpy as np

from tokenrec.evidence.rates import LEVEL, clopper_pearson, hypergeometric

FEW = 8  # labels of the rarer kind, within one group, below which a variance can't be trusted


@dataclass(frozen=True)
class Group:
    """Texts that the gates called alike. The labelled ones: y bool[n], f float[n], stratum int[n]; and of all texts:
    `sizes`[strata] how many each stratum has, `mean` of f over the strata that have a label."""

    y: np.ndarray
    f: np.ndarray
    stratum: np.ndarray
    sizes: np.ndarray
    mean: float


def combined(groups: list[Group]) -> tuple[float, float, float]:
    """(value, low, high) of the share over all groups. Strata without a label may be anything, and widen it.

    Raises ValueError when there is no label at all.
    """
    total = sum(int(g.sizes.sum()) for g in groups)
    labelled = sum(len(g.y) for g in groups)
    if not labelled:
        raise ValueError("no label")
    parts = []  # (share, value, low, high)
    unread = 0
    for g in groups:
        has = np.bincount(g.stratum, minlength=len(g.sizes)) > 0
        unread += int(g.sizes[~has].sum())
        if has.any():
            place = np.cumsum(has) - 1
            known = Group(g.y, g.f, place[g.stratum], g.sizes[has], g.mean)
            parts.append((known.sizes.sum() / total, *group_interval(known)))
    value = min(1.0, sum(p * v for p, v, _, _ in parts) / sum(p for p, *_ in parts))  # rounding
    if unread:
        parts.append((unread / total, value, 0.0, 1.0))
    below = sum((p * (v - low)) ** 2 for p, v, low, _ in parts) ** 0.5
    above = sum((p * (high - v)) ** 2 for p, v, _, high in parts) ** 0.5
    return float(value), float(min(value, max(0.0, value - below))), float(min(1.0, value + above))


def group_interval(g: Group) -> tuple[float, float, float]:
    """(value, low, high) of one group, every stratum of which has a label."""
    y, f = np.asarray(g.y, float), np.asarray(g.f, float)
    n_h = np.bincount(g.stratum, minlength=len(g.sizes))
    share = g.sizes / g.sizes.sum()
    w = (share / n_h)[g.stratum]
    mean = float(w @ y)
    if (n_h >= g.sizes).all():
        return mean, mean, mean
    plain = mean, *_plain(mean, y, w, n_h, g.sizes)
    if min(y.sum(), len(y) - y.sum()) < FEW:
        return plain
    scale = share**2 * (1 - n_h / g.sizes) / (n_h * np.maximum(n_h - 1, 1))  # turns sums of squares into a variance
    within_y, within_f = (v - (np.bincount(g.stratum, v) / n_h)[g.stratum] for v in (y, f))
    of_f = float(scale[g.stratum] @ within_f**2)
    slope = max(0.0, float(scale[g.stratum] @ (within_y * within_f)) / of_f) if of_f > 1e-12 else 0.0
    value = mean + slope * (g.mean - float(w @ f))
    if not 0 < value < 1:
        return plain
    misfit = np.bincount(g.stratum, (within_y - slope * within_f) ** 2, len(g.sizes)) + 1
    n_eff = value * (1 - value) / float(scale @ misfit) * _students(len(y) - len(g.sizes) - (slope > 0))
    low, high = clopper_pearson(value * n_eff, n_eff)
    return (value, low, high) if high - low < plain[2] - plain[1] else plain


def _plain(mean: float, y: np.ndarray, w: np.ndarray, n_h: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """What the labels say without a score."""
    if np.ptp(w) <= 1e-9 * w.max():
        return hypergeometric(int(y.sum()), len(y), int(sizes.sum()))
    return _thinnest(mean, float((n_h / (sizes / sizes.sum()))[n_h < sizes].min()), int(sizes.sum()))


def _thinnest(mean: float, n: float, texts: int) -> tuple[float, float]:
    """The interval as if `n` of the texts had been drawn evenly, and `mean` of them were bad: neither is whole.

    Clopper and Pearson's forgets that the texts are finite, the hypergeometric one is rounded outwards: both are too
    wide, so what they share is wide enough.
    """
    low, high = clopper_pearson(mean * n, n)
    bad, even = mean * n, int(n + 1e-9)
    least, _ = hypergeometric(min(int(bad + 1e-9), even), even, texts)
    _, most = hypergeometric(min(int(np.ceil(bad - 1e-9)), even), even, texts)
    return min(max(low, least), mean), max(min(high, most), mean)


def _students(freedom: int) -> float:
    """What a variance that was itself estimated takes from n_eff: (z / t)²."""
    from scipy.special import ndtri, stdtrit

    tail = 1 - (1 - LEVEL) / 2
    return float((ndtri(tail) / stdtrit(max(freedom, 1), tail)) ** 2)
