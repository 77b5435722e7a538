"""AUC, MRR and NDCG by impression, as MIND's own evaluation has them (Wu et al. 2020): the mean over impressions.

AUC: share of (clicked, not clicked) pairs in the right order, ties half. MRR: mean of 1/rank over an impression's
clicks (not only the first, as `mrr@k` elsewhere). NDCG@k: binary gains, the ideal over the impression's own clicks.
"""

import re
from typing import Any

import numpy as np
from scipy.stats import rankdata

from tokenrec.evidence.arms import ArmScores
from tokenrec.evidence.statistics import user_draws
from tokenrec.evidence.verdicts import placebos
from tokenrec.ids import finite
from tokenrec.ranking.metrics import mean, per_list, relevant_rows

METRICS = ("auc", "mrr", "ndcg@5", "ndcg@10")


def by_impression(scores: ArmScores, base: str = "raw_text") -> list[dict[str, Any]]:
    """Every arm and metric: arm, metric, value, lift over `base` with its paired 95% interval (low, high; bootstrap
    over users, who may have several impressions), n impressions. Of an arm that has placebos (`_placebos`) also
    lift_over_placebo, which is over the mean of their draws, with low_ and high_over_placebo; else they are None.

    Items are not drawn anew: of texts about items the intervals are too sure, the leaderboard's are those to go by.
    """
    values = {(arm, metric): _of(scores, arm, metric) for arm in scores.ranks for metric in METRICS}
    owner, rows = scores.lists.user, []
    for (arm, metric), of in values.items():
        if "~" in arm:
            continue
        lift = _paired(of, values[base, metric], owner) if arm != base and base in scores.ranks else (None,) * 3
        dealt = [values[other, metric] for other in _placebos(scores, arm)]
        over = _paired(of, np.mean(dealt, axis=0), owner) if dealt else (None,) * 3
        rows.append({
            "arm": arm, "metric": metric, "value": finite(mean(of)), **dict(zip(("lift", "low", "high"), lift)),
            **dict(zip(("lift_over_placebo", "low_over_placebo", "high_over_placebo"), over)),
            "n": int((~np.isnan(of)).sum()),
        })  # fmt: skip
    return rows


def _placebos(scores: ArmScores, arm: str) -> list[str]:
    """The arms with the same texts dealt to others: a task's own draws, or those of all tokens."""
    found = re.fullmatch(r"raw_text\+([A-Za-z]\w*)", arm)
    return placebos(scores, found[1]) if found else []


def _paired(of: np.ndarray, other: np.ndarray, owner: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """(mean difference by impression, low, high); None where no impression has both."""
    paired = of - other
    if np.isnan(paired).all():
        return None, None, None
    low, high = np.quantile(user_draws(paired, 400, owner=owner), (0.025, 0.975)).tolist()
    return finite(mean(paired)), low, high


def _of(scores: ArmScores, arm: str, metric: str) -> np.ndarray:
    """float64[L]; NaN where an impression has nothing to tell apart."""
    lists = scores.lists
    if metric == "auc":
        return np.array([
            auc(scores.scores[arm][a:b], lists.label[a:b])
            for a, b in zip(lists.indptr[:-1], lists.indptr[1:], strict=True)
        ])  # fmt: skip
    if metric == "mrr":
        of = lists.list_of_row[relevant_rows(lists)]
        clicks = np.bincount(of, minlength=len(lists))
        return np.bincount(of, 1 / scores.ranks[arm], minlength=len(lists)) / np.where(clicks > 0, clicks, np.nan)
    return per_list(scores.ranks[arm], lists, metric)


def auc(score: np.ndarray, label: np.ndarray) -> float:
    """Area under the ROC curve of one impression; NaN without both a click and something else."""
    clicked = label.astype(bool)
    n, others = int(clicked.sum()), int((~clicked).sum())
    if not n or not others:
        return float("nan")
    return float((rankdata(score)[clicked].sum() - n * (n + 1) / 2) / (n * others))
