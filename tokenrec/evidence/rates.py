"""Noise and hallucination rates of a set of texts from an audited sample and the gate's flag (CONTRACT, "Rates").

PPI++ (Angelopoulos, Duchi and Zrnic, 2023, arXiv:2311.01453), weighted by inclusion probabilities:

    θ = ȳ_w + λ (f̄_N − f̄_w),    λ = Cov_w(y, f) / Var_w(f), clipped to [0, 1]

y: the human label, f: the gate's flag, 0 or 1; ȳ_w and f̄_w: Hájek means of the audited texts (weights 1/p);
f̄_N: the flag's share of all N texts, audited ones included. With a flag of two values and this λ, θ is the
post-stratified estimate: the audited rate among flagged and among unflagged texts, each times its share of the N.
The interval follows from that: an exact one in each stratum, put together by MOVER (Zou and Donner, 2008). It stays
honest where a normal one does not (no errors seen, few labels, a flag that never fires) and so there is one method,
not two.

The rate is that of the texts which are in the store, a finite set. Where all texts of a stratum are audited, its
part of the interval has width 0.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Rate:
    """A share with its 95% interval; None without labels. `flagged`: the gate's own share, None without texts."""

    value: float | None
    low: float | None
    high: float | None
    audited: int
    flagged: float | None


def estimate_rate(bad: np.ndarray, flag: np.ndarray, p: np.ndarray, unflagged_texts: int, flagged_texts: int) -> Rate:
    """The share of bad texts among all `unflagged_texts + flagged_texts`.

    bad, flag: bool[n] of the audited texts; p: float[n], their inclusion probabilities in (0, 1], of which only the
    ratios count. A stratum with texts and without a label is taken for unknown: its share widens the interval.
    """
    bad, flag, p = np.asarray(bad, float), np.asarray(flag, bool), np.asarray(p, float)
    total, n = unflagged_texts + flagged_texts, len(bad)
    share = flagged_texts / total if total else None
    if not n or share is None:
        return Rate(None, None, None, 0, share)
    w = 1 / p
    mean, flagged = np.average(bad, weights=w), np.average(flag, weights=w)
    variance = flagged * (1 - flagged)
    covariance = np.average(bad * flag, weights=w) - mean * flagged
    slope = float(np.clip(covariance / variance, 0, 1)) if variance > 0 else 0.0
    value = float(np.clip(mean + slope * (share - flagged), 0, 1))
    if slope == 0 and 0 < flagged < 1:  # the flag tells nothing: one stratum
        parts = [(1.0, bad, w, total)]
    else:
        parts = [(1 - share, bad[~flag], w[~flag], unflagged_texts), (share, bad[flag], w[flag], flagged_texts)]
    below = above = 0.0
    for part, y, weights, size in parts:
        if part == 0:
            continue
        centre = np.average(y, weights=weights) if len(y) else mean
        low, high = exact_interval(y, weights, size) if len(y) else (0.0, 1.0)
        below += (part * (centre - low)) ** 2
        above += (part * (high - centre)) ** 2
    low, high = max(0.0, value - below**0.5), min(1.0, value + above**0.5)
    return Rate(value, float(low), float(high), n, share)


def exact_interval(y: np.ndarray, weights: np.ndarray, size: int) -> tuple[float, float]:
    """Exact interval for the mean of `size` texts from the 0/1 labels y[n] of a sample of them.

    Equal weights: inverts the hypergeometric test (a point when all are audited). Unequal ones: Clopper and Pearson's
    on the effective sample size (Σw)²/Σw² (Korn and Graubard, 1998).
    """
    n = len(y)
    if n >= size:
        return float(np.mean(y)), float(np.mean(y))
    if np.ptp(weights) <= 1e-9 * weights.max():
        return hypergeometric(int(y.sum()), n, size)
    n_eff = weights.sum() ** 2 / (weights**2).sum()
    return clopper_pearson(n_eff * np.average(y, weights=weights), n_eff)


def clopper_pearson(x: float, n: float) -> tuple[float, float]:
    """The exact interval for `x` of `n`, neither of which has to be whole."""
    from scipy.special import betaincinv

    tail = (1 - LEVEL) / 2
    low = betaincinv(x, n - x + 1, tail) if x > 1e-9 else 0.0
    high = betaincinv(x + 1, n - x, 1 - tail) if n - x > 1e-9 else 1.0
    return float(low), float(high)


@lru_cache(4096)
def hypergeometric(x: int, n: int, size: int) -> tuple[float, float]:
    """The exact interval for the share among `size` when `x` of `n` drawn evenly have it."""
    from scipy.stats import hypergeom

    tail = (1 - LEVEL) / 2
    # K bad ones among `size`: at least those seen, at most those seen and everything that was not looked at
    least = _first(lambda k: hypergeom.sf(x - 1, size, k, n) > tail, x, size - n + x)
    most = _first(lambda k: hypergeom.cdf(x, size, k, n) <= tail, x, size - n + x + 1) - 1
    return least / size, most / size


def _first(holds, low: int, high: int) -> int:
    """The smallest k in [low, high] for which `holds`, which is false, then true; `high` when never before it."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def verdict(limit: float, low: float | None, high: float | None) -> str:
    """failed, fine or unknown (CONTRACT: exits 1, 0, 5), for `fail_if: "> limit"`."""
    if low is None or high is None:
        return "unknown"
    return "failed" if low > limit else "fine" if high <= limit else "unknown"


def exit_code(verdicts: list[str]) -> int:
    """Any failed limit beats any unknown one."""
    return 1 if "failed" in verdicts else 5 if "unknown" in verdicts else 0
