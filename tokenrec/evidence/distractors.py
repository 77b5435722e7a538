"""What an item takes from other users' lists by standing in the way, in one arm more than in another.

A text that lifts an item everywhere lifts it in the lists of those who like it and in everybody else's: what it wins in
the first it takes from others in the second. An item's part in the mean is the sum of both. Credited to the relevant
item alone, a difference between two texts of equal worth looks like many strong item effects, and a two-way standard
error built on them is too wide (twice the true spread in evals/benchmarks/planted.py's null worlds).

Each arm is asked what its lists would gain if the item were no candidate: a delete-one jackknife over the catalogue.
To move items one by one from their place in one arm to that in the other was tried: where a good text lifts all new
items together, each alone gains what they all take back from each other, and that looked like noise (four times the
error).
"""

import numpy as np

from tokenrec.dataset.types import Lists
from tokenrec.evidence.arms import ArmScores
from tokenrec.ranking.metrics import Contributions, parse_metric


def distractor_parts(scores: ArmScores, arm: str, base: str, metric: str, slice: str = "all") -> Contributions:
    """The (list, item) parts of what items cost in `base` and no longer in `arm`, beyond what all items do.

    Where an arm puts the relevant items higher, a place costs more, whoever stands there. So the costs of both arms
    are held against their common ratio, as a list's value is against the mean: the parts sum to 0.
    """
    (old, before), (new, after) = (costs(scores.scores[a], scores.lists, metric, slice) for a in (base, arm))
    row, spent = np.concatenate([old, new]), np.concatenate([before, after])
    value = np.concatenate([before, -after])
    value -= spent * (value.sum() / (spent.sum() or 1.0))
    lists = scores.lists
    return Contributions(lists.list_of_row[row], lists.item_of_row[row], value, np.ones(len(lists), bool))


def costs(score: np.ndarray, lists: Lists, metric: str, slice: str = "all") -> tuple[np.ndarray, np.ndarray]:
    """(int64[n] rows, float64[n] what the list of each would gain without it), rows that cost nothing left out.

    The list's ideal stays as it is; ties go by row. Slices as in `metrics.contributions`.
    """
    kind, k = parse_metric(metric)
    score = np.where(np.isnan(score), -np.inf, score)
    counted = lists.label == 1
    out = np.zeros(len(score), bool)  # relevant, and out of the slice's ranking
    if slice in ("cold_items", "warm"):
        counted = counted & (lists.cold_row == (slice == "cold_items"))
        out = (lists.label == 1) & ~counted
    elif slice == "sparse_users":
        counted = counted & lists.sparse_list[lists.list_of_row]
    place = np.arange(1, k + 1)
    gain = np.append(1 / np.log2(place + 1) if kind == "ndcg" else np.ones(k) if kind == "recall" else 1 / place, 0)
    ideal = np.append(0, np.cumsum(gain))
    relevant = np.bincount(lists.list_of_row[counted], minlength=len(lists))
    total = relevant + (0 if slice in ("cold_items", "warm") else lists.missed)
    whole = {"ndcg": ideal[np.minimum(total, k)], "recall": total, "mrr": np.ones(len(lists))}[kind]
    rows, costs = [], []
    for u in np.flatnonzero(relevant):
        mine = np.arange(lists.indptr[u], lists.indptr[u + 1])
        mine = mine[~out[mine]]
        of = score[mine]
        if len(mine) > k + 1:  # nothing below place k + 1 counts
            best = np.flatnonzero(of >= np.partition(of, -k - 1)[-k - 1])
            mine, of = mine[best], of[best]
        top = mine[np.argsort(-of, kind="stable")[: k + 1]]
        hit = np.flatnonzero(counted[top])
        if kind == "mrr":
            hit = hit[:1]
        step = np.zeros(len(top))
        step[hit[hit > 0]] = gain[hit[hit > 0] - 1] - gain[hit[hit > 0]]
        cost = (step[::-1].cumsum()[::-1] - step) / whole[u]  # of those below
        rows.append(top[cost > 0])
        costs.append(cost[cost > 0])
    return np.concatenate(rows or [np.zeros(0, int)]), np.concatenate(costs or [np.zeros(0)])
