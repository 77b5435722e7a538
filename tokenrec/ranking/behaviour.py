"""What clicks alone say: popularity, age, neighbours, EASE and a factor model, as ranker columns.

Only events in `lists.before` are used. NaN means that there was nothing to go by (a new user, a new item, a
file without times), which XGBoost treats as a direction of its own; a similarity of 0 is a finding.
"""

import numpy as np
from scipy import sparse

from tokenrec.dataset.types import Dataset, Lists
from tokenrec.features.profiles import factors, gather, liked_matrix, standardise
from tokenrec.features.types import Columns
from tokenrec.ranking.metrics import mean, per_list, relevant_ranks

TIMED = ("time", "item_holdout")  # splits whose event order means something
NEIGHBOURS = 50  # kept an item
SHRINK = 10.0  # added to the cosine's denominator: two shared users are weak evidence
PENALTIES = (500.0, 250.0, 100.0)  # EASE's; `choose_penalty`
EASE_MOST = 6000  # the smaller of users and items that EASE still solves for
HALF_LIFE = 0.1  # of all events before the window, for recent popularity

NAMES = [
    "popularity", "popularity_recent", "item_age", "user_activity", "item_knn", "last_item_knn", "ease", "pure_svd",
]


def choose_penalty(dataset: Dataset, lists: Lists, metric: str) -> float:
    """The one of PENALTIES at which EASE alone ranks `lists` best: those of fit, which no arm is judged on.

    Small data wants less: on last.fm 100 brings EASE from .195 to .209 NDCG@20 on fit, on Food.com and the kitchen
    500 stands. Equal values, and data that can't say, keep the first.
    """
    liked, n_items = liked_matrix(dataset, lists.before), len(dataset.item_ids)
    if not liked.nnz or not lists.label.any() or min(liked.shape) > EASE_MOST:
        return PENALTIES[0]

    def worth(penalty: float) -> float:
        score = gather(lists, n_items, _ease(liked, penalty))
        return float(np.nan_to_num(mean(per_list(relevant_ranks(score, lists), lists, metric)), nan=-1))

    return max(PENALTIES, key=worth)


def behaviour_columns(dataset: Dataset, lists: Lists, penalty: float = PENALTIES[0]) -> Columns:
    """Eight columns, source "behaviour":

    popularity: log of an item's positives over the mean item's; popularity_recent: the same with weights that
    halve every tenth of the events; item_age: time since its first event, in the file's unit; user_activity:
    log of the user's events; item_knn: mean shrunk cosine to the user's liked items, nearest 50 an item (Sarwar
    et al. 2001); last_item_knn: the same to the last liked item alone; ease (Steck 2019) and pure_svd
    (Cremonesi et al. 2010): scores standardised within the list (`features.profiles.standardise`).
    """
    e, before, n_items = dataset.events, lists.before, len(dataset.item_ids)
    liked = liked_matrix(dataset, before)
    item, user = lists.item_of_row, lists.user
    timed = dataset.timed and dataset.split in TIMED
    likes, active = np.asarray(liked.sum(axis=0)).ravel(), np.asarray(liked.sum(axis=1)).ravel()
    seen_item, seen_user = likes > 0, active > 0
    events_of = np.bincount(e.user[before], minlength=len(dataset.user_ids))

    columns = dict.fromkeys(NAMES)
    columns["popularity"] = _log_share(likes)[item]
    columns["user_activity"] = np.log1p(events_of)[user][lists.list_of_row]
    if timed and before.any():
        rows = np.flatnonzero(before)
        weight = 0.5 ** ((len(rows) - 1 - np.arange(len(rows))) / (HALF_LIFE * len(rows)))
        recent = np.bincount(e.item[rows], weight * e.positive[rows], minlength=n_items)
        columns["popularity_recent"] = _log_share(recent)[item]
        first = np.full(n_items, np.inf)
        np.minimum.at(first, e.item[rows], e.time[rows])
        age = e.time[rows].max() - first
        columns["item_age"] = np.where(np.isfinite(age), age, np.nan)[item]
    if liked.nnz:
        known = seen_user[user][lists.list_of_row] & seen_item[item]
        near = _neighbours(liked)
        mean_liked = sparse.diags_array(1 / np.maximum(active, 1)) @ liked
        columns["item_knn"] = _where(known, gather(lists, n_items, lambda u: (mean_liked[u] @ near).toarray()))
        if timed:
            last = _last_liked(dataset, before)
            columns["last_item_knn"] = _where(known, gather(lists, n_items, lambda u: near[last[u]].toarray()))
        ease = _ease(liked, penalty)
        if ease is not None:
            columns["ease"] = standardise(_where(known, gather(lists, n_items, ease)), lists)
        left, right = factors(liked)
        if right.shape[1]:
            columns["pure_svd"] = standardise(_where(known, gather(lists, n_items, lambda u: left[u] @ right.T)), lists)

    matrix = np.full((len(item), len(NAMES)), np.nan, np.float32)
    for j, name in enumerate(NAMES):
        if columns[name] is not None:
            matrix[:, j] = columns[name]
    return Columns("behaviour", list(NAMES), matrix)


def _where(known: np.ndarray, score: np.ndarray) -> np.ndarray:
    return np.where(known, score, np.nan)


def _log_share(weight: np.ndarray) -> np.ndarray:
    """Relative to the mean item, so that a longer past does not make everything look more popular."""
    return np.log((weight + 0.1) / (weight.mean() + 0.1))


def _neighbours(liked: sparse.csr_matrix) -> sparse.csr_matrix:
    """float32[items, items]: column j holds its NEIGHBOURS nearest items' shrunk cosines to j."""
    both = (liked.T @ liked).tocsr()
    both.setdiag(0)
    both.eliminate_zeros()
    length = np.sqrt(np.asarray(liked.sum(axis=0)).ravel())
    row = np.repeat(np.arange(both.shape[0]), np.diff(both.indptr))
    value = both.data / (length[row] * length[both.indices] + SHRINK)
    order = np.lexsort((both.indices, -value, row))
    keep = order[(np.arange(len(order)) - both.indptr[row[order]]) < NEIGHBOURS]
    near = (value[keep].astype(np.float32), (both.indices[keep], row[keep]))
    return sparse.csr_matrix(near, shape=both.shape)


def _last_liked(dataset: Dataset, before: np.ndarray) -> np.ndarray:
    """int[users]: the last liked item, 0 for users without one (their rows are NaN anyway)."""
    e = dataset.events
    rows = np.flatnonzero(before & e.positive)
    latest = np.zeros(len(dataset.user_ids), np.int64)
    np.maximum.at(latest, e.user[rows], rows)
    return e.item[latest]


def _ease(liked: sparse.csr_matrix, penalty: float):
    """EASE scores as a function of users, or None when both sides are too long.

    With G = X'X + cI and P = inverse of G, Steck's weights are B = I - P / diag(P), so an unseen item scores
    -(XP)_ui / P_ii. By XP = K X and P = (I - X'KX) / c, K = inverse of (XX' + cI), the shorter side is inverted.
    """
    from scipy.linalg import cho_factor, cho_solve

    n_users, n_items = liked.shape
    if min(n_users, n_items) > EASE_MOST:
        return None
    if n_items <= n_users:
        gram = (liked.T @ liked).toarray().astype(float)
        gram[np.diag_indices(n_items)] += penalty
        inverse = cho_solve(cho_factor(gram, overwrite_a=True), np.eye(n_items), overwrite_b=True)
        weights = (-inverse / np.diag(inverse)).astype(np.float32)
        return lambda users: liked[users] @ weights
    gram = (liked @ liked.T).toarray().astype(float)
    gram[np.diag_indices(n_users)] += penalty
    inverse = cho_solve(cho_factor(gram, overwrite_a=True), np.eye(n_users), overwrite_b=True)
    by_item = liked.T.tocsr()
    own = np.empty(n_items)
    for start in range(0, n_items, 1000):  # diag(X'KX), some items at a time
        some = by_item[start : start + 1000].toarray()
        own[start : start + 1000] = ((some @ inverse) * some).sum(axis=1)
    scale = penalty / np.maximum(1 - own, 1e-9)
    return lambda users: -(by_item @ inverse[:, users]).T * scale
