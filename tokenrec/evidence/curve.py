"""The learning curve of a task: its lift when only a share of its texts had been generated."""

from dataclasses import dataclass, replace

import numpy as np

from tokenrec.evidence.arms import ArmScores
from tokenrec.evidence.statistics import compare
from tokenrec.features.types import Vectors
from tokenrec.ids import unit_hash

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
NEARLY = 0.9


@dataclass(frozen=True)
class Point:
    """The lift over raw_text with a share of the subjects; plain 95% interval."""

    share: float
    subjects: int
    lift: float
    low: float
    high: float


def first_of(subjects: list[str], share: float) -> set[str]:
    """A share of the subjects, by a hash of their ids: a smaller share is part of a larger one."""
    return set(sorted(subjects, key=lambda s: unit_hash("curve", s))[: round(share * len(subjects))])


def thinned(vectors: Vectors, ids: list[str], kept: set[str]) -> Vectors:
    """The vectors of `kept` alone; the others are as if nothing had been written about them."""
    gone = np.array([i not in kept for i in ids], bool)
    matrix = vectors.matrix.copy()
    matrix[gone] = np.nan
    return replace(vectors, matrix=matrix)


def points(
    scores: ArmScores, arms: dict[float, str], subjects: int, metric: str, slice: str = "all", by: str = "user_item"
) -> list[Point]:
    """From no text (lift 0) to all. `arms` names the arm of each share; `subjects` are written about at share 1."""
    made = [Point(0.0, 0, 0.0, 0.0, 0.0)]
    for share, arm in sorted(arms.items()):
        found = compare(scores, arm, "raw_text", metric, slice, by)
        made.append(Point(share, round(share * subjects), found.value, *found.interval()))
    return made


def enough(curve: list[Point]) -> float | None:
    """The smallest share from which on the lift stays at 90% of the last point's; None where that is not above 0."""
    last = curve[-1]
    if not last.low > 0:
        return None
    below = [i for i, p in enumerate(curve) if p.lift < NEARLY * last.lift]
    return curve[below[-1] + 1].share
