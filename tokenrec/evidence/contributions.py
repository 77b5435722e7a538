"""A second opinion on each prompt: what the trained ranker itself says that the prompt's columns add.

TreeSHAP (Lundberg et al. 2020; XGBoost's `pred_contribs`) divides every candidate's margin among the columns, so that
they add up to it; those of one prompt are summed. Taken off the margin, they leave a ranking whose loss is the lift by
contribution. Nothing is trained anew, which is both the point and the weakness: a retrained ranker makes up for columns
that it does not get, one that is cut does not, and columns that say the same share the credit as the trees happened to
split, half each where they are equal. So it is held beside the leaderboard, which retrains, and never decides.
"""

from dataclasses import dataclass, replace

import numpy as np

from tokenrec.dataset.types import Lists
from tokenrec.evidence.arms import ArmScores
from tokenrec.evidence.statistics import estimate
from tokenrec.features.types import Columns
from tokenrec.ranking.metrics import Contributions, contributions, relevant_ranks

ARM = "raw_text+tokens"  # the one ranker that has every prompt's columns
ROWS = 100_000  # explained in all, 6,000 a second and core: lists are drawn where there are more


@dataclass(frozen=True)
class Opinion:
    """One task in the ranker of all tasks. `low`, `high`: 95%, not adjusted for the number of tasks.

    `mean_abs` is how far the task's columns move a candidate within its list (in margin), `share` its part of what all
    blocks move. `disagreement` with the leaderboard's lift, beyond the 95% interval of the paired difference: "sign",
    or "order" where another task stands above by one and below by the other.
    """

    task: str
    lists: int
    mean_abs: float
    share: float
    lift_by_contribution: float
    low: float
    high: float
    disagreement: str | None

    @property
    def agrees(self) -> bool:
        return self.disagreement is None


class Explainer:
    """Explains one arm while `measure_arms` trains it: each drawn list by one of the seeds' boosters, in turn.

    Whole lists are drawn evenly, ROWS rows at most. Pass it as `on_trained`.
    """

    def __init__(self, lists: Lists, seeds: list[int], arm: str = ARM, rows: int = ROWS):
        self.arm, self.seeds = arm, seeds
        order = np.random.default_rng(0).permutation(len(lists))
        fit = int((np.cumsum(np.diff(lists.indptr)[order]) <= rows).sum())
        self.drawn = np.sort(order[: max(fit, 1)])
        self.rows = np.flatnonzero(np.isin(lists.list_of_row, self.drawn))
        self.lists = part_of(lists, self.drawn, self.rows)
        self.margin = np.zeros(len(self.rows))
        self.of: dict[str, np.ndarray] = {}  # source -> float64[rows], what its columns add to the margin

    def __call__(self, arm: str, seed: int, booster, blocks: list[Columns]) -> None:
        if arm != self.arm:
            return
        import xgboost

        mine = np.flatnonzero(self.lists.list_of_row % len(self.seeds) == self.seeds.index(seed))
        values = np.concatenate([b.matrix[self.rows[mine]] for b in blocks], axis=1)
        parts = booster.predict(xgboost.DMatrix(values), pred_contribs=True).astype(float)
        self.margin[mine] = parts.sum(axis=1)  # the last column is what all candidates have
        first = 0
        for block in blocks:
            last = first + len(block.names)
            self.of.setdefault(block.source, np.zeros(len(self.rows)))[mine] = parts[:, first:last].sum(axis=1)
            first = last


def part_of(lists: Lists, drawn: np.ndarray, rows: np.ndarray) -> Lists:
    """Some lists (sorted places) with all of their rows, numbered anew."""
    size = np.diff(lists.indptr)[drawn]
    return replace(
        lists, user=lists.user[drawn], indptr=np.concatenate([[0], np.cumsum(size)]),
        list_of_row=np.repeat(np.arange(len(drawn), dtype=np.int32), size), item_of_row=lists.item_of_row[rows],
        label=lists.label[rows], missed=lists.missed[drawn], cold_row=lists.cold_row[rows],
        sparse_list=lists.sparse_list[drawn],
    )  # fmt: skip


def opinions(
    explained: Explainer, scores: ArmScores, tasks: list[str], metric: str, tie: np.ndarray, slice: str = "all",
    by: dict[str, str] | None = None,
) -> list[Opinion]:  # fmt: skip
    """One a task whose columns the arm has, the largest lift by contribution first. `tie`: see `metrics.tie_order`.

    `by`: "user" for tasks about users, else "user_item" (see `statistics.compare`).
    """
    by = by or {}
    tasks = [t for t in tasks if t in explained.of and f"raw_text+{t}" in scores.ranks]
    moved = {source: _moved(values, explained.lists) for source, values in explained.of.items()}
    total = sum(moved.values())
    whole = _pairs(explained, explained.margin, metric, tie, slice)
    lost, lift = {}, {}
    for task in tasks:
        without = _pairs(explained, explained.margin - explained.of[task], metric, tie, slice)
        lost[task] = replace(whole, value=whole.value - without.value)
        lift[task] = replace(whole, value=_lift(explained, scores, task, metric, slice))
    made = []
    for task in tasks:
        found = estimate(lost[task], by.get(task, "user_item"))
        low, high = found.interval()
        made.append(Opinion(
            task, found.n, moved[task], moved[task] / total if total else 0.0, found.value, low, high,
            _disagreement(task, tasks, lost, lift, by.get(task, "user_item")),
        ))  # fmt: skip
    return sorted(made, key=lambda o: (np.isnan(o.lift_by_contribution), -o.lift_by_contribution))


def _disagreement(task: str, tasks: list[str], lost: dict, lift: dict, by: str) -> str | None:
    """The task alone, then beside each other one: opposite by the two, and surely so."""
    for kind, others in (("sign", [None]), ("order", [t for t in tasks if t != task])):
        for other in others:
            one, two = (g[task].value - (g[other].value if other else 0) for g in (lost, lift))
            if one.sum() * two.sum() >= 0:
                continue
            low, high = estimate(replace(lost[task], value=one - two), by).interval()
            if low > 0 or high < 0:
                return kind
    return None


def _pairs(explained: Explainer, score: np.ndarray, metric: str, tie: np.ndarray, slice: str) -> Contributions:
    # TreeSHAP adds up to the margin but for rounding: equal candidates stay equal
    return contributions(relevant_ranks(np.round(score, 5), explained.lists, tie), explained.lists, metric, slice)


def _lift(explained: Explainer, scores: ArmScores, task: str, metric: str, slice: str) -> np.ndarray:
    """The leaderboard's lift, pair by pair, on the drawn lists."""
    one, two = (scores.contributions(arm, metric, slice) for arm in (f"raw_text+{task}", "raw_text"))
    return (one.value - two.value)[np.isin(one.list, explained.drawn)]


def _moved(values: np.ndarray, lists: Lists) -> float:
    """Mean absolute contribution, less its list's mean: what all candidates of a list have moves nothing."""
    size = np.maximum(np.diff(lists.indptr), 1)
    centre = np.bincount(lists.list_of_row, values, minlength=len(lists)) / size
    return float(np.abs(values - centre[lists.list_of_row]).mean()) if len(values) else 0.0
