"""The prompt leaderboard: each task's lift, and the word that its interval earns (CONTRACT)."""

import re
from dataclasses import dataclass

import numpy as np

from tokenrec.evidence.arms import ArmScores
from tokenrec.evidence.statistics import Difference, compare, holm

VERDICTS = ("helps", "hurts", "no_effect", "too_little_data")
FEWEST = 20  # lists, and clusters, below which an interval is not to be believed


@dataclass(frozen=True)
class Row:
    """One task on one slice. `low`, `high` are Holm-adjusted over the tasks; the other intervals are plain 95%."""

    task: str
    slice: str
    n: int
    lift: float
    low: float
    high: float
    p_adjusted: float
    lift_left_out: float
    low_left_out: float
    high_left_out: float
    lift_over_placebo: float
    low_over_placebo: float
    high_over_placebo: float
    verdict: str


def verdict(lift: Difference, level: float, margin: float, over_placebo: Difference | None) -> str:
    """helps: adjusted low > 0 and the lift over placebo's 95% low > 0; hurts: adjusted high < 0; no_effect: the
    90% interval lies within ±margin; too_little_data: anything else, or fewer than FEWEST lists or clusters.

    `level` is the Holm-adjusted level of the lift's interval. Without a placebo nothing is said to help.
    """
    if lift.n < FEWEST or lift.clusters < FEWEST:
        return "too_little_data"
    low, high = lift.interval(level)
    if low > 0 and over_placebo is not None and over_placebo.interval()[0] > 0:
        return "helps"
    if high < 0:
        return "hurts"
    low, high = lift.interval(0.90)
    return "no_effect" if -margin <= low and high <= margin else "too_little_data"


def leaderboard(
    scores: ArmScores, tasks: list[str], metric: str, slice: str = "all", margin: float | None = None,
    by: dict[str, str] | None = None,
) -> list[Row]:
    """A row a task that has the arm raw_text+<task>, by lift, best first.

    Arms read: raw_text, raw_text+<task>; raw_text+tokens and raw_text+tokens-<task> for the lift that is lost
    when the task is left out (with a single task, raw_text+tokens minus raw_text); the task's own placebo
    raw_text+<task>~placebo (or several, ~placebo2, ...; averaged), else the arms placebo, placebo2, ... of all
    tokens. `margin` defaults to 1% of raw_text's value. `by`: "user" for tasks about users, else "user_item".
    """
    tasks = [t for t in tasks if f"raw_text+{t}" in scores.arms]
    by = by or {}
    if margin is None:
        margin = 0.01 * abs(scores.mean("raw_text", metric, slice))

    def against(arm, base, task):
        if arm not in scores.arms or not base or (isinstance(base, str) and base not in scores.arms):
            return None
        return compare(scores, arm, base, metric, slice, by.get(task, "user_item"))

    lifts = [against(f"raw_text+{t}", "raw_text", t) for t in tasks]
    adjusted, levels = holm([d.p_value for d in lifts])
    rows = []
    for task, lift, p, level in zip(tasks, lifts, adjusted, levels, strict=True):
        alone = len(tasks) == 1 and f"raw_text+tokens-{task}" not in scores.arms
        left_out = against("raw_text+tokens", "raw_text" if alone else f"raw_text+tokens-{task}", task)
        placebo = against(f"raw_text+{task}", placebos(scores, task), task)
        rows.append(Row(
            task, slice, lift.n, lift.value, *lift.interval(level), float(p), *_with_interval(left_out),
            *_with_interval(placebo), verdict(lift, level, margin, placebo),
        ))
    return sorted(rows, key=lambda row: (np.isnan(row.lift), -row.lift))


def placebos(scores: ArmScores, task: str) -> list[str]:
    """The placebo arms that a task's lift is held against: its own draws, or those of all tokens."""
    own = [a for a in scores.arms if re.fullmatch(re.escape(f"raw_text+{task}~placebo") + r"\d*", a)]
    return own or [a for a in scores.arms if re.fullmatch(r"placebo\d*", a)]


def _with_interval(difference: Difference | None) -> tuple[float, float, float]:
    return (float("nan"),) * 3 if difference is None else (difference.value, *difference.interval())
