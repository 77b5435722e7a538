"""What text becomes before it meets a ranker: one row of numbers a subject."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Vectors:
    """Numbers that one source (a task, or the raw text) says of its subjects.

    `matrix` is float32[n_subjects, d] in the order of Dataset.item_ids or user_ids; a subject without
    an accepted token is a row of NaN. `named` tells tags and numbers (each column means something)
    from the coordinates of a text encoder. `space` names the vocabulary or encoder: an item and a user
    source of one space can be compared by overlap.
    """

    source: str  # task name, or "raw_text"
    output: str  # output field
    subject: str  # "item" | "user"
    matrix: np.ndarray
    columns: list[str]
    named: bool
    space: str
    augment: tuple[float, int] | None = None  # invented items: their weight, and the most events of a user who gets one

    @property
    def empty(self) -> bool:
        """No subject has a token."""
        return bool(np.isnan(self.matrix).all())


@dataclass(frozen=True)
class Columns:
    """Ranker columns for the rows of one Lists: float32[n_rows, k], NaN where there is nothing to say.

    `vectors` are what they were made from, for rankers that would rather have those (ranking/own.py).
    """

    source: str
    names: list[str]
    matrix: np.ndarray
    vectors: tuple[Vectors, ...] = ()
