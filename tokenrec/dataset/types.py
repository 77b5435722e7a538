"""What every later stage knows of the data: plain arrays, users and items as integer codes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

HISTORY, FIT, TUNE_A, TUNE_B, TEST = range(5)
WINDOWS = ("history", "fit", "tune_a", "tune_b", "test")
NEXT = 5  # what is yet to come: lists that are served and can't be measured


@dataclass(frozen=True)
class Events:
    """Interactions, parallel arrays of length n in time order (ties in file order).

    `value` is the rating (NaN where the file has none), `positive` the binary relevance that the
    recipe's `positive:` rule gives, `time` any increasing number (seconds, order, row number).
    """

    user: np.ndarray  # int32[n], code into Dataset.user_ids
    item: np.ndarray  # int32[n], code into Dataset.item_ids
    time: np.ndarray  # float64[n]
    value: np.ndarray  # float32[n]
    positive: np.ndarray  # bool[n]
    window: np.ndarray  # int8[n], one of HISTORY..TEST

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Impressions:
    """What was shown, parallel arrays of length n (dataset/impressions.py)."""

    user: np.ndarray  # int32[n]
    item: np.ndarray  # int32[n]
    position: np.ndarray  # int32[n], 1 is the top
    window: np.ndarray  # int8[n]; TUNE_B stands for both halves of tune
    clicked: np.ndarray  # bool[n]
    looked_at: np.ndarray  # float64[largest position + 1], probability relative to position 1
    most: float  # the largest weight that a like may get

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Slates:
    """Impressions that are the ranking lists (MIND), in time order: slate s shows item[indptr[s]:indptr[s+1]]."""

    user: np.ndarray  # int32[S]
    window: np.ndarray  # int8[S]
    indptr: np.ndarray  # int64[S+1]
    item: np.ndarray  # int32[n], sorted within a slate, each once
    clicked: np.ndarray  # bool[n]

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Reviews:
    """What users wrote, parallel arrays of length n by user, then item; one a user and item.

    `history` marks what texts may be made from, as events of the history window are.
    """

    user: np.ndarray  # int32[n]
    item: np.ndarray  # int32[n]
    value: np.ndarray  # float32[n], NaN where no rating came with it
    time: np.ndarray  # float64[n], NaN where the file has none
    history: np.ndarray  # bool[n]
    text: Sequence[str]  # never empty

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Dataset:
    """Items, users and events of one recipe; `items[i]` is the record whose id is `item_ids[i]`."""

    name: str
    item_ids: list[str]
    items: Sequence[dict]
    user_ids: list[str]
    users: Sequence[dict]
    events: Events
    data_hash: str
    split: str  # time | given | user | item_holdout
    simulated: bool = False
    notes: list[str] = field(default_factory=list)  # rows skipped and why, with file and line
    timed: bool = True  # False: the file has no times, and the order of its rows means nothing
    held: np.ndarray | None = None  # bool[n_items], item_holdout: items that nothing may be learnt of from events
    posed: np.ndarray | None = None  # bool[n_items], objective cold_items: pass for new ones until test
    impressions: Impressions | None = None
    reviews: Reviews | None = None
    slates: Slates | None = None


@dataclass(frozen=True)
class Lists:
    """The ranking lists of one window: one a user with at least one binary positive in it (with `Dataset.slates` one a
    slate, and a user may have several).

    Rows are the flat (list, candidate item) pairs, sorted by list, then item code; list l owns rows
    indptr[l]:indptr[l+1]. Items with any earlier event of that user are not candidates.
    """

    window: int
    user: np.ndarray  # int32[L]
    indptr: np.ndarray  # int64[L+1]
    list_of_row: np.ndarray  # int32[n]
    item_of_row: np.ndarray  # int32[n]
    label: np.ndarray  # uint8[n], 1 where the user liked the item in this window
    missed: np.ndarray  # int32[L], relevant items that are no candidates: the recall ceiling
    before: np.ndarray  # bool[len(events)], the events that behaviour columns may use
    cold_row: np.ndarray  # bool[n], item has <= 2 positives before the window
    sparse_list: np.ndarray  # bool[L], user has <= 5 events before the window
    # with impressions (dataset/impressions.py), else None:
    weight: np.ndarray | None = None  # float32[n], what a row counts: a like seen far down the page counts for more
    shown: np.ndarray | None = None  # bool[n], the candidate was shown to the user in this window

    def __len__(self) -> int:
        return len(self.user)
