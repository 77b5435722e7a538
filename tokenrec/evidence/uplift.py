"""Which subjects' texts are worth most to ranking: selective generation, learnt from a pilot on tune-A.

A text about an item works in two places: where the item is a candidate, and where it is one of the items that a user
liked, from which the user's profile is made. Neither is worth anything without the other, which is why writing about
cold items alone lifts nothing. So the worth of a set S of items is taken as

    sum of worth(i) over S, times the mean over users of reliability(texts of S among what the user liked)

`worth` is an uplift model (T-learner; Künzel et al. 2019) of what the pilot's texts gained where they were candidates,
from what is known of any item. `reliability` is the Spearman-Brown formula: how well a mean of c vectors stands for the
user, when any two things that one user liked are as alike as `likeness` says. `grow` adds what raises the product most.
A user's text works on that user's list alone: there the worth decides.
"""

import numpy as np
from scipy import sparse

from tokenrec.dataset.types import Lists
from tokenrec.evidence.arms import ArmScores
from tokenrec.ranking.metrics import relevant_rows

STEPS = 200  # sets grow in so many steps at least: one item a step is slow in a large catalogue
HALF = 50.0  # penalty of the ridge regressions: a pilot is small, and leave-one-out then trusts what it should not
LEARNT = 500  # relevant fit pairs with a text that teach a ranker half of how to use it
TINY = 1e-9
FEWEST = 5  # subjects with a text, and without, below which nothing is learnt


def likeness(matrix: np.ndarray, liked: sparse.csr_matrix) -> float:
    """Intraclass correlation of item vectors (float[items, d], NaN rows left out) within what each user liked, in
    .01 to .99. `liked`: float[users, items] of ones."""
    known = ~np.isnan(matrix).any(axis=1)
    if known.sum() < 2:
        return 0.01
    x = matrix[known].astype(float) - matrix[known].mean(axis=0, dtype=float)
    mine = liked[:, known]
    size = np.asarray(mine.sum(axis=1)).ravel()
    mine, size = mine[size >= 2], size[size >= 2]
    if not len(size):
        return 0.01
    own = mine @ (x**2).sum(axis=1)
    between = (((mine @ x) ** 2).sum(axis=1) - own).sum() / (size * (size - 1)).sum()
    return float(np.clip(between / max(own.sum() / size.sum(), 1e-12), 0.01, 0.99))


def reliability(count: np.ndarray, alike: float) -> np.ndarray:
    """Spearman-Brown: how well the mean of `count` vectors stands for a user; 0 for none."""
    return count * alike / (1 + np.maximum(count - 1, 0) * alike)


def grow(
    chosen: np.ndarray, most: int, able: np.ndarray, liked: sparse.csr_matrix, alike: float,
    worth: np.ndarray | None = None, taught: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """bool[items]: `chosen` and what is worth most beside it, until there are `most`; only items of `able` (bool).

    `taught` (float[items]): relevant fit pairs of each item. Without `worth` those are added that make the users'
    profiles most reliable: the start of a pilot.
    """
    chosen = chosen.copy()
    by_item, n_users = liked.T.tocsr(), max(liked.shape[0], 1)
    count = np.asarray(liked[:, chosen].sum(axis=1)).ravel()
    step = max(1, most // STEPS)
    while (left := most - int(chosen.sum())) > 0 and (able & ~chosen).any():
        now = reliability(count, alike)
        gain = by_item @ (reliability(count + 1, alike) - now) / n_users
        if worth is not None:  # of a product, as the gain of its logarithm
            pairs = taught[chosen].sum()
            gain = gain / max(now.mean(), TINY) + worth / max(worth[chosen].sum(), TINY)
            gain += LEARNT / (LEARNT + pairs) * taught / max(pairs, 1)
        gain[chosen | ~able] = -np.inf
        some = np.argsort(-gain, kind="stable")[: min(step, left, int((able & ~chosen).sum()))]
        chosen[some] = True
        count += np.asarray(liked[:, some].sum(axis=1)).ravel()
    return chosen


def gains(
    scores: ArmScores, arm: str, base: str, n: int, slice: str = "all", of: str = "item"
) -> tuple[np.ndarray, np.ndarray]:
    """(float[n], int[n]) by subject: what `arm` gains over `base` where the subject is a relevant candidate (or owns
    the list), summed, and how often that is.

    The gain is DCG without a cut-off, 1 / log2(1 + rank): few of a pilot's texts reach the first k.
    """
    lists, rows = scores.lists, relevant_rows(scores.lists)
    keep = _in_slice(lists, rows, slice)
    change = 1 / np.log2(1.0 + scores.ranks[arm]) - 1 / np.log2(1.0 + scores.ranks[base])
    subject = (lists.item_of_row[rows] if of == "item" else lists.user[lists.list_of_row[rows]])[keep]
    return np.bincount(subject, change[keep], minlength=n), np.bincount(subject, minlength=n)


def _in_slice(lists: Lists, rows: np.ndarray, slice: str) -> np.ndarray:
    if slice in ("cold_items", "warm"):
        return lists.cold_row[rows] == (slice == "cold_items")
    return lists.sparse_list[lists.list_of_row[rows]] | (slice == "all")


def worth(
    gain: np.ndarray, times: np.ndarray, treated: np.ndarray, able: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """float[n] >= 0: what a text about each subject may gain, from its features `known` (float[n, k]).

    `gain`, `times`: see `gains`. `treated` (bool) have a text, drawn at random; of `able` the others have none. The
    gain each time is the difference of two ridge regressions; how often, a third one. Zero everywhere where fewer than
    FEWEST of either kind were relevant at all.
    """
    x = np.nan_to_num((known - np.nanmean(known, axis=0)) / np.maximum(np.nanstd(known, axis=0), 1e-9))
    each = []
    for some in (treated & (times > 0), able & ~treated & (times > 0)):
        if some.sum() < FEWEST:
            return np.zeros(len(gain))
        each.append(_ridge(x, some, gain[some] / times[some], times[some]))
    often = _ridge(x, able, times[able].astype(float), np.ones(able.sum()))
    return np.maximum(each[0] - each[1], 0) * np.maximum(often, 0)


def _ridge(x: np.ndarray, some: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """float[n]: y predicted for all rows of `x` from those of `some`; slopes are half believed from HALF rows on."""
    from sklearn.linear_model import Ridge

    return Ridge(HALF).fit(x[some], y, weight / weight.mean()).predict(x)
