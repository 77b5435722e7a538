"""What one item's own move between two arms does to a list: as the item to be found, and as what stands in the way.

A text that lifts an item everywhere lifts it in the lists of those who like it and in everybody else's: what it wins in
the first it takes from others in the second. An item's effect on the mean is the sum of both. Credited to the relevant
item alone, a difference between two texts of equal worth looks like many strong item effects, and a two-way standard
error built on them is too wide (twice the true spread in evals/benchmarks/planted.py's null worlds).
"""

import numpy as np

from tokenrec.dataset.types import Lists
from tokenrec.evidence.arms import ArmScores
from tokenrec.ranking.metrics import parse_metric


def item_moves(scores: ArmScores, arm: str, base: str, metric: str, slice: str = "all") -> np.ndarray:
    """float64[n_rows]: what the metric of a row's list gains by that row's item standing where `arm` puts it.

    Each item is moved by itself from `base`'s score to `arm`'s, once among the others as `base` ranks them and once as
    `arm` does; the mean of the two gains. Scores are on one scale, as `measure_arms` standardises them in each list.
    Slices as in `metrics.contributions`; rows outside are 0. Ties go by row.
    """
    lists, (kind, k) = scores.lists, parse_metric(metric)
    old, new = (np.nan_to_num(scores.scores[a], nan=-np.inf) for a in (base, arm))
    counts, out = _counted(lists, slice), np.zeros(len(lists.label))
    places = np.arange(1, k + 1)
    gain = np.append(1 / np.log2(places + 1) if kind == "ndcg" else np.ones(k) if kind == "recall" else 1 / places, 0)
    ideal = np.cumsum(gain[:k])
    for u in np.flatnonzero(np.diff(lists.indptr)):
        rows = np.arange(lists.indptr[u], lists.indptr[u + 1])
        if slice in ("cold_items", "warm"):
            rows = rows[counts[rows] | (lists.label[rows] == 0)]  # the other relevant items are out of the ranking
        relevant = np.flatnonzero(counts[rows])
        if not len(relevant):
            continue
        all_of_them = len(relevant) + (0 if slice in ("cold_items", "warm") else lists.missed[u])
        whole = {"ndcg": ideal[min(all_of_them, k) - 1], "recall": all_of_them, "mrr": 1}[kind]
        a, b = old[rows], new[rows]
        merge = np.max if kind == "mrr" else np.sum
        out[rows] = (_gains(a, b, relevant, gain, merge) - _gains(b, a, relevant, gain, merge)) / (2 * whole)
    return out


def _counted(lists: Lists, slice: str) -> np.ndarray:
    """bool[n_rows]: the relevant rows that the slice counts."""
    if slice in ("cold_items", "warm"):
        return (lists.label == 1) & (lists.cold_row == (slice == "cold_items"))
    return (lists.label == 1) & (lists.sparse_list[lists.list_of_row] if slice == "sparse_users" else True)


def _gains(score: np.ndarray, moved: np.ndarray, relevant: np.ndarray, gain: np.ndarray, merge) -> np.ndarray:
    """float64[n]: what one list gains when each item by itself goes from its `score` to `moved`, the others staying.

    `gain` is what a relevant item brings at places 1, 2, ..., its last entry for all places beyond.
    """
    mine, own = score[relevant, None], moved[relevant, None]
    first = np.arange(len(score)) < relevant[:, None]  # of equal scores the earlier row is the better
    above = (score > mine) | (first & (score == mine))
    place = above.sum(axis=1)
    after = place[:, None] + ((moved > mine) | (first & (moved == mine))) - above
    others = (score > own) | (first & (score == own))
    each = np.arange(len(relevant))
    others[each, relevant] = False
    after[each, relevant] = others.sum(axis=1)
    last = len(gain) - 1
    return merge(gain[np.minimum(after, last)], axis=0) - merge(gain[np.minimum(place, last)])
