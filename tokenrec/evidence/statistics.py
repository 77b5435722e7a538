"""How sure a difference between two arms is: users and items are both samples, so both are resampled.

The pigeonhole bootstrap (Owen 2007) draws weights for users and for items and weighs each (user, relevant item)
contribution by their product. Its spread over infinitely many draws has a closed form, V_user + V_item + V_pair
(each the sum of squared cluster totals), and is known to count what belongs to a single pair three times (Owen
2007, section 4). Most of ΔNDCG's noise is of that kind. Taking the surplus 2 V_pair off gives V_user + V_item -
V_pair, the two-way cluster-robust variance (Cameron, Gelbach and Miller 2011), which `compare` uses, never below
the plain user-level variance. Neither covers regeneration or retraining.

V_item also sums what an item takes from the relevant ones below it, in one arm more than in the other
(`distractors.distractor_parts`), so that a text counts as a distractor too. `estimate` without them credits all to
the relevant item, which is too wide. In five kinds of worlds of 250 users x 60 items (two equal texts, one better,
one better of new items, one that lifts new items; tests/evidence/test_distractors.py) the error is .83 to 1.10 of the
true spread and 95% intervals cover .90 to .97; without that part 1.4 to 2.6 of it, with users alone .65 to .93 of it,
covering .80 to .94. In evals/benchmarks/planted.py's worlds (100 each) it is 1.08 of it where texts are equal, 1.10
and 1.12 where one is better by 3 and 10%.

Intervals are estimate ± t · se with min(users, items) - 1 degrees of freedom: means over hundreds of lists are
close to normal, and after Holm a percentile would rest on a handful of draws. Measured over 400
worlds of 400 users x 60 long-tailed items (tests/evidence/test_statistics.py), 95% intervals cover: noise of pairs
.96, of users too .97, of items too .95 (users alone there: .75); plain pigeonhole 1.00, .98 and 1.00, and up to
1.65 times as wide. Where items alone make all the noise it is .91 to .93.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse, stats

from tokenrec.evidence.arms import ArmScores
from tokenrec.evidence.distractors import distractor_parts
from tokenrec.ranking.metrics import Contributions
from tokenrec.ranking.own import METRIC as OWN


@dataclass(frozen=True)
class Difference:
    """An estimated mean difference per list, its standard error, and the samples behind it."""

    value: float
    se: float  # NaN when fewer than two lists
    n: int  # lists
    clusters: int  # the smaller of users and items that took part

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided interval at `level`; (-inf, inf) where there is nothing to go by."""
        if not np.isfinite(self.se):
            return -np.inf, np.inf
        half = stats.t.ppf(0.5 + level / 2, self._freedom) * self.se if self.se else 0.0
        return float(self.value - half), float(self.value + half)

    @property
    def p_value(self) -> float:
        """Two-sided, of no difference; 1 where there is nothing to go by."""
        return self._tail(abs(self.value), 2)

    @property
    def p_greater(self) -> float:
        """One-sided p-value of "not better", for promotion; 1 where there is nothing to go by."""
        return self._tail(self.value, 1)

    def _tail(self, value: float, sides: int) -> float:
        if not np.isfinite(self.se):
            return 1.0
        if self.se == 0:
            return 0.0 if value > 0 else 1.0
        return float(sides * stats.t.sf(value / self.se, self._freedom))

    @property
    def _freedom(self) -> int:
        return max(self.clusters - 1, 1)


def compare(
    scores: ArmScores, arm: str, base: str | list[str], metric: str, slice: str = "all", by: str = "user_item"
) -> Difference:
    """`arm` minus `base` (the mean of several, for placebo draws) on the lists of the slice.

    `by`: "user_item" (item texts move many users at once) or "user" (texts about users).
    """
    bases = [base] if isinstance(base, str) else base
    parts = scores.contributions(arm, metric, slice)
    other = np.mean([scores.contributions(b, metric, slice).value for b in bases], axis=0)
    pairs = Contributions(parts.list, parts.item, parts.value - other, parts.member)
    owner = scores.lists.user
    if by == "user" or metric == OWN:  # a user's own score of a list has no parts that are an item's
        return estimate(pairs, "user", owner=owner)
    in_the_way = [distractor_parts(scores, arm, b, metric, slice) for b in bases]
    cells = Contributions(
        np.concatenate([c.list for c in in_the_way]), np.concatenate([c.item for c in in_the_way]),
        np.concatenate([c.value for c in in_the_way]) / len(bases), parts.member,
    )  # fmt: skip
    return estimate(pairs, by, cells, owner)


def estimate(
    pairs: Contributions, by: str = "user_item", distractors: Contributions | None = None,
    owner: np.ndarray | None = None,
) -> Difference:  # fmt: skip
    """The mean over lists of the summed `pairs.value`, with its standard error (see the module).

    `distractors` are the (list, item) parts of what items take from others (`distractors.distractor_parts`), which
    enter V_item and V_pair alone. `owner` (int[L]) is whose list it is: lists of one user (impressions) are one
    cluster; each its own unless given.
    """
    user, item, value, mass, n = _cells(pairs)
    if n == 0:
        return Difference(float("nan"), float("nan"), 0, 0)
    mean = value.sum() / n
    rest = value - mean * mass  # what each cell adds to the deviation of the ratio
    n_items = len(np.unique(item[item >= 0]))
    n_users = n
    if owner is not None:
        users, owner = np.unique(owner, return_inverse=True)
        n_users = len(np.unique(owner[pairs.member]))
        if len(users) < len(owner):  # several lists of one user
            user, item, rest = _summed(owner[user], item, rest)
        else:
            owner = None
    if n_users < 2 or (by == "user_item" and n_items < 2):
        return Difference(float(mean), float("nan"), n, min(n_users, n_items))
    v_user = _squares(user, rest) * n_users / (n_users - 1)
    variance = v_user
    if by == "user_item":
        if distractors is not None:
            whose = distractors.list if owner is None else owner[distractors.list]
            parts = ((user, whose), (item, distractors.item), (rest, distractors.value))
            user, item, rest = _summed(*map(np.concatenate, parts))
        v_item = _squares(item, rest) * n_items / (n_items - 1)
        variance = max(v_user, v_user + v_item - (rest**2).sum())
    clusters = min(n_users, n_items) if by == "user_item" else n_users
    return Difference(float(mean), float(np.sqrt(variance) / n), n, clusters)


def pigeonhole_draws(pairs: Contributions, draws: int = 1000, seed: int = 0) -> np.ndarray:
    """float64[draws]: pigeonhole bootstrap of the mean over lists, with Exp(1) weights on users and items.

    Each draw is Σ w_u v_i c_ui / Σ w_u v_i m_ui, m_ui the pair's share of its list. Wider than `estimate` by the
    surplus that the module describes; kept for checking it and for whoever wants the cautious interval.
    """
    user, item, value, mass, n = _cells(pairs)
    users, user = np.unique(user, return_inverse=True)
    items, item = np.unique(item, return_inverse=True)
    rng = np.random.default_rng(seed)
    shape = (len(items), len(users))
    top, bottom = sparse.csr_matrix((value, (item, user)), shape), sparse.csr_matrix((mass, (item, user)), shape)
    out = []
    for start in range(0, draws, 500):
        size = min(500, draws - start)
        w, v = rng.exponential(size=(len(users), size)), rng.exponential(size=(len(items), size))
        out.append(((top @ w) * v).sum(axis=0) / ((bottom @ w) * v).sum(axis=0))
    return np.concatenate(out)


def user_draws(
    difference: np.ndarray, draws: int = 1000, seed: int = 0, owner: np.ndarray | None = None
) -> np.ndarray:
    """float64[draws]: plain paired bootstrap over users of a per-list difference (NaN: not in the slice).

    `owner` (int[L]): whose list it is, where a user may have several; users are drawn with all of theirs.
    """
    known = ~np.isnan(difference)
    difference = difference[known]
    total, lists = difference, np.ones(len(difference))
    if owner is not None:
        users, place = np.unique(owner[known], return_inverse=True)
        if len(users) < len(place):
            total, lists = np.bincount(place, difference), np.bincount(place)
    rng = np.random.default_rng(seed)
    n = len(total)
    step = max(1, 2_000_000 // max(n, 1))  # draws that are held at a time
    sizes = [min(step, draws - done) for done in range(0, draws, step)]
    drawn = [rng.integers(0, n, (size, n)) for size in sizes]
    return np.concatenate([total[d].sum(axis=1) / lists[d].sum(axis=1) for d in drawn])


def holm(p_values: list[float], level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(adjusted p-values, level of each one's interval), Holm (1979), in the order given.

    The i-th smallest p of m is multiplied by m - i + 1 (running maximum). Its interval takes the level
    1 - α / (m - i + 1), and after the first that is not significant all take that one's, so that an interval
    leaves 0 exactly when the adjusted p is below α = 1 - level.
    """
    p = np.asarray(p_values, float)
    m, alpha = len(p), 1 - level
    order = np.argsort(p, kind="stable")
    factor = m - np.arange(m)
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factor), 1)
    failed = np.flatnonzero(p[order] * factor >= alpha)
    if len(failed):
        factor[failed[0] :] = factor[failed[0]]
    levels = np.empty(m)
    levels[order] = 1 - alpha / factor
    return adjusted, levels


def _cells(pairs: Contributions) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """(list, item, value, share of the list, number of lists); a member list without pairs gets an empty cell.

    Such a list (all of its relevant items were missed) has the value 0 for every arm; its item is its own.
    """
    members = np.flatnonzero(pairs.member)
    count = np.bincount(pairs.list, minlength=len(pairs.member))
    bare = members[count[members] == 0]
    user = np.concatenate([pairs.list, bare])
    item = np.concatenate([pairs.item, -1 - bare])
    value = np.concatenate([pairs.value, np.zeros(len(bare))])
    mass = np.concatenate([1 / np.maximum(count[pairs.list], 1), np.ones(len(bare))])
    return user, item, value, mass, len(members)


def _summed(user: np.ndarray, item: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cells with one (user, item) made one."""
    key = user.astype(np.int64) * (item.max() - item.min() + 1) + item - item.min()
    _, first, cell = np.unique(key, return_index=True, return_inverse=True)
    return user[first], item[first], np.bincount(cell, value)


def _squares(cluster: np.ndarray, value: np.ndarray) -> float:
    """Sum of squared cluster totals."""
    _, code = np.unique(cluster, return_inverse=True)
    return float((np.bincount(code, value) ** 2).sum())
