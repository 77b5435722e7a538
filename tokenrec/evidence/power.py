"""What lift could be seen at all, before anything is spent."""

import numpy as np
from scipy.stats import norm


def smallest_lift(difference: np.ndarray, n: int, alpha: float = 0.025) -> float:
    """The lift that a one-sided test at `alpha` on `n` lists finds with 80% power (CONTRACT).

    (z₁₋α + z.₈₀) · sd / √n, sd of `difference`: paired per-list values of raw_text minus behaviour on tune-A
    (NaN: not in the slice). An upper guess, since a task's texts move fewer lists than raw text does. The default
    alpha is the upper side of a 95% interval; use `promotion_alpha` for a look at tune-B. Infinite without lists.
    """
    difference = difference[~np.isnan(difference)]
    if n < 1 or len(difference) < 2:
        return float("inf")
    return float((norm.ppf(1 - alpha) + norm.ppf(0.8)) * difference.std(ddof=1) / np.sqrt(n))


def smallest_lift_two_way(se: float, alpha: float = 0.025) -> float:
    """The same with items as a sample too: (z₁₋α + z.₈₀) · se, se of `statistics.compare` for raw_text - behaviour.

    The sober figure for item texts: where few items make most of the likes it is well above `smallest_lift`, and more
    users alone do not lower it. evals/benchmarks/planted.py prints both beside what was found.
    """
    return float((norm.ppf(1 - alpha) + norm.ppf(0.8)) * se) if np.isfinite(se) else float("inf")


def promotion_alpha(look: int) -> float:
    """α_j = .05 / (j(j+1)) for the j-th look at one tune-B; all looks together spend .05."""
    return 0.05 / (look * (look + 1))
