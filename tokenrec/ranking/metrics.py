"""NDCG, recall and MRR of whole rankings, list by list, from the ranks of the relevant items alone.

Binary relevance, as in trec_eval and ir-measures. A list's value is the sum of what each of its relevant
items contributes, which is what the two-way intervals of `evidence.statistics` resample.
"""

import re
from dataclasses import dataclass

import numpy as np

from tokenrec.dataset.types import Lists
from tokenrec.errors import InputError

METRICS = ("ndcg", "recall", "mrr")
SLICES = ("all", "cold_items", "sparse_users", "warm")


def parse_metric(metric: str) -> tuple[str, int]:
    """("ndcg", 10) from "ndcg@10". Raises InputError for anything but ndcg, recall or mrr at k >= 1."""
    found = re.fullmatch(r"(ndcg|recall|mrr)@([1-9][0-9]*)", metric)
    if not found:
        raise InputError(f"metric {metric!r} is not known: write ndcg@K, recall@K or mrr@K, for example ndcg@10")
    return found[1], int(found[2])


def tie_order(item_ids: list[str]) -> np.ndarray:
    """int32[n_items]: place of each item code among the sorted item ids, the order that breaks ties in score."""
    place = np.empty(len(item_ids), np.int32)
    place[np.argsort(np.asarray(item_ids, dtype=object), kind="stable")] = np.arange(len(item_ids), dtype=np.int32)
    return place


def relevant_rows(lists: Lists) -> np.ndarray:
    """int64[R]: the rows of the relevant items; everything of length R here is parallel to it."""
    return np.flatnonzero(lists.label)


def relevant_ranks(score: np.ndarray, lists: Lists, tie: np.ndarray | None = None) -> np.ndarray:
    """int32[R]: the place (1 is best) of each relevant item in its list, over all its candidates.

    `score` is float[n_rows]; NaN ranks last. Ties go by `tie` (see `tie_order`), or by item code without it.
    """
    score = np.where(np.isnan(score), -np.inf, score)
    relevant = relevant_rows(lists)
    worst = np.full(len(lists), np.inf)
    np.minimum.at(worst, lists.list_of_row[relevant], score[relevant])
    rows = np.flatnonzero(score >= worst[lists.list_of_row])  # nothing below can move a relevant item
    of_list = lists.list_of_row[rows]
    keys = (-score[rows], of_list) if tie is None else (tie[lists.item_of_row[rows]], -score[rows], of_list)
    order = np.lexsort(keys)  # stable: rows come by item code within a list
    first = np.concatenate([[0], np.cumsum(np.bincount(of_list, minlength=len(lists)))])
    rank = np.zeros(len(score), np.int32)
    rank[rows[order]] = np.arange(len(rows)) - first[of_list[order]] + 1
    return rank[relevant]


@dataclass(frozen=True)
class Contributions:
    """What each relevant item adds to its list's value; `value` sums to the metric list by list."""

    list: np.ndarray  # int32[P]
    item: np.ndarray  # int32[P]
    value: np.ndarray  # float64[P]
    member: np.ndarray  # bool[L], lists that belong to the slice


def contributions(ranks: np.ndarray, lists: Lists, metric: str, slice: str = "all") -> Contributions:
    """The (list, relevant item) parts of a metric on one slice, in row order (the same for every arm).

    NDCG@k: 1/log2(1+rank) within the first k over the ideal sum of min(k, relevant) such terms; recall@k:
    1/relevant within the first k; MRR@k: 1/rank of the first relevant item within the first k.
    Relevant items that the candidate stage missed count as relevant and never found.

    Slices: `all`; `sparse_users` keeps their lists whole; `cold_items` counts only cold relevant items and
    takes the warm ones out of the ranking, `warm` the other way round; lists left without a relevant item
    are no members. Missed items are left out of these two, since nothing is known of them.
    """
    kind, k = parse_metric(metric)
    if slice not in SLICES:
        raise InputError(f"slice {slice!r} is not known: use one of {', '.join(SLICES)}")
    rows = relevant_rows(lists)
    of_list = lists.list_of_row[rows]
    if slice in ("cold_items", "warm"):
        keep = lists.cold_row[rows] == (slice == "cold_items")
        ranks = ranks - _above(ranks, of_list, ~keep)
        total = np.bincount(of_list[keep], minlength=len(lists))
        member = total > 0
    else:
        member = lists.sparse_list.copy() if slice == "sparse_users" else np.ones(len(lists), bool)
        keep = member[of_list]
        total = np.bincount(of_list, minlength=len(lists)) + lists.missed
    rows, of_list, ranks = rows[keep], of_list[keep], ranks[keep]
    hit = ranks <= k
    if kind == "ndcg":
        ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])
        value = hit / np.log2(ranks + 1.0) / ideal[np.minimum(total[of_list], k)]
    elif kind == "recall":
        value = hit / total[of_list]
    else:
        best = np.full(len(lists), np.iinfo(np.int32).max)
        np.minimum.at(best, of_list, ranks)
        value = (hit & (ranks == best[of_list])) / ranks
    return Contributions(of_list, lists.item_of_row[rows], value.astype(float), member)


def members(lists: Lists, slice: str = "all") -> int:
    """How many lists belong to a slice."""
    if slice == "all":
        return len(lists)
    if slice == "sparse_users":
        return int(lists.sparse_list.sum())
    rows = relevant_rows(lists)
    return len(np.unique(lists.list_of_row[rows][lists.cold_row[rows] == (slice == "cold_items")]))


def per_list(ranks: np.ndarray, lists: Lists, metric: str, slice: str = "all") -> np.ndarray:
    """float64[L]: the metric of each list, NaN for lists outside the slice (see `contributions`)."""
    parts = contributions(ranks, lists, metric, slice)
    value = np.bincount(parts.list, parts.value, minlength=len(lists))
    return np.where(parts.member, value, np.nan)


def mean(values: np.ndarray) -> float:
    """Mean over the lists of a slice; NaN when it has none."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def _above(ranks: np.ndarray, of_list: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """int64[R]: how many removed relevant items stand above each relevant item of the same list."""
    order = np.lexsort((ranks, of_list))
    running = np.concatenate([[0], np.cumsum(removed[order])])
    start = np.searchsorted(of_list[order], of_list[order], side="left")
    above = np.empty(len(ranks), np.int64)
    above[order] = running[:-1] - running[start]
    return above
