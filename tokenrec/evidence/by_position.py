"""The objective with likes weighed by position: what the arms are worth to people who look at every place alike.

Test lists are logged on a page too: a like from its top counts once a look, one from far down for all who never got
there. Self-normalised inverse propensities (Swaminathan and Joachims 2015), clipped as in training. A ranking that
repeats the page's order looks better without weights than it is.
"""

from typing import Any

import numpy as np

from tokenrec.evidence.arms import ArmScores
from tokenrec.ranking.metrics import relevant_rows

DRAWS = 400


def by_position(scores: ArmScores, metric: str, slice: str = "all", base: str = "raw_text") -> list[dict[str, Any]]:
    """Of each arm without ~: arm, value, low, high, lift over `base`, lift_low, lift_high (95%, paired, over users), n.

    With w a relevant row's weight, c its part of the metric and m its share of its list: Σ w c / Σ w m.
    """
    lists, arms = scores.lists, [a for a in scores.arms if "~" not in a]
    rows, n_items = relevant_rows(lists), int(lists.item_of_row.max(initial=0)) + 1
    key = lists.list_of_row[rows].astype(np.int64) * n_items + lists.item_of_row[rows]
    top, n = {}, len(lists)
    for arm in arms:
        parts = scores.contributions(arm, metric, slice)
        weight = lists.weight[rows][np.searchsorted(key, parts.list.astype(np.int64) * n_items + parts.item)]
        top[arm] = np.bincount(parts.list, weight * parts.value, n)
        share = 1 / np.maximum(np.bincount(parts.list, minlength=n), 1)[parts.list]
        mass = np.bincount(parts.list, weight * share, n)
    members = np.flatnonzero(parts.member & (mass > 0)) if arms else np.zeros(0, int)
    if len(members) < 2:
        return []
    drawn = members[np.random.default_rng(0).integers(0, len(members), (DRAWS, len(members)))]
    total = mass[drawn].sum(axis=1)
    value = {a: top[a][members].sum() / mass[members].sum() for a in arms}
    draws = {a: top[a][drawn].sum(axis=1) / total for a in arms}

    def limits(of: np.ndarray) -> list[float]:
        return [float(x) for x in np.quantile(of, (0.025, 0.975))]

    made = []
    for arm in arms:
        low, high = limits(draws[arm])
        lift_low, lift_high = limits(draws[arm] - draws[base]) if arm != base else (None, None)
        made.append({
            "arm": arm, "value": float(value[arm]), "low": low, "high": high,
            "lift": float(value[arm] - value[base]) if arm != base else None,
            "lift_low": lift_low, "lift_high": lift_high, "n": len(members),
        })  # fmt: skip
    return made
