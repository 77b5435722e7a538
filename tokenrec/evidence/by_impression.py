"""AUC, MRR and NDCG by impression, as MIND's own evaluation has them (Wu et al. 2020): the mean over impressions.

AUC: share of (clicked, not clicked) pairs in the right order, ties half. MRR: mean of 1/rank over an impression's
clicks (not only the first, as `mrr@k` elsewhere). NDCG@k: binary gains, the ideal over the impression's own clicks.
"""

from typing import Any

import numpy as np
from scipy.stats import rankdata

from tokenrec.evidence.arms import ArmScores
from tokenrec.evidence.statistics import user_draws
from tokenrec.ids import finite
from tokenrec.ranking.metrics import mean, per_list, relevant_rows

METRICS = ("auc", "mrr", "ndcg@5", "ndcg@10")


def by_impression(scores: ArmScores, base: str = "raw_text") -> list[dict[str, Any]]:
    """Every arm and metric: arm, metric, value, lift over `base` with its paired 95% interval (low, high; bootstrap
    over users, who may have several impressions), n impressions."""
    values = {(arm, metric): _of(scores, arm, metric) for arm in scores.ranks if "~" not in arm for metric in METRICS}
    rows = []
    for (arm, metric), of in values.items():
        lift = low = high = None
        if arm != base and base in scores.ranks:
            paired = of - values[base, metric]
            lift = mean(paired)
            low, high = np.quantile(user_draws(paired, 400, owner=scores.lists.user), (0.025, 0.975)).tolist()
        rows.append({
            "arm": arm, "metric": metric, "value": finite(mean(of)), "lift": lift and finite(lift),
            "low": low, "high": high, "n": int((~np.isnan(of)).sum()),
        })  # fmt: skip
    return rows


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
