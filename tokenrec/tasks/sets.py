"""Sets of items that one user liked: the subjects of `for: set` (MINT; Mysore et al. 2023, section 3)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tokenrec.dataset.types import HISTORY, Dataset
from tokenrec.ids import content_id, unit_hash
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.tasks import Evidence, Sets, Task
from tokenrec.tasks.evidence import common_stems, quotes, within


@dataclass(frozen=True)
class Told:
    """A liked item with what the prompt quotes of it. `time`: of the review or event it comes from, NaN without."""

    item: int
    time: float
    quoted: tuple[str, ...] = ()


@dataclass(frozen=True)
class ItemSet:
    """One subject. `subject` is the hash of its sorted item ids (CONTRACT), items come in order of time."""

    subject: str
    user: int
    told: tuple[Told, ...]


def set_id(item_ids: list[str]) -> str:
    return content_id(sorted(item_ids))


def item_sets(recipe: Recipe, dataset: Dataset, task: Task) -> list[ItemSet]:
    """The task's sets, sorted by subject. Where two users liked the very same set, it is the first one's.

    A user's sets are dealt from one shuffled row of what they liked, and from it shuffled anew when it is used up;
    items without a sentence to quote come last. So sets of a user overlap only where too little is liked for more.
    """
    made: dict[str, ItemSet] = {}
    common = common_words(dataset, task)
    for user, liked in _liked(dataset, task):
        told = [_told(recipe, dataset, task.evidence, common, one) for one in liked]
        for hand in _deal(dataset, user, told, task.drawn):
            subject = set_id([dataset.item_ids[t.item] for t in hand])
            made.setdefault(subject, ItemSet(subject, user, _budgeted(hand, task.evidence)))
    return [made[subject] for subject in sorted(made)]


def allowed(dataset: Dataset, task: Task) -> np.ndarray:
    """bool[n]: the reviews, or events where there are none, that the task's texts may be made from."""
    of = dataset.reviews
    if task.window == "all":
        return np.ones(len(dataset.events if of is None else of), bool)
    return dataset.events.window == HISTORY if of is None else of.history


def well_rated(user: np.ndarray, value: np.ndarray) -> np.ndarray:
    """bool[n]: at or above the mean of the user's own values; never where there is no value."""
    rated = ~np.isnan(value)
    total, n = (np.bincount(user[rated], w, minlength=user.max(initial=-1) + 1) for w in (value[rated], None))
    with np.errstate(invalid="ignore"):
        return rated & (value >= (total / n)[user] - 1e-6)


def _liked(dataset: Dataset, task: Task) -> Iterator[tuple[int, list[tuple[int, float, int]]]]:
    """(user, (item, time, row) of what they liked, by time) of every user who takes part."""
    of, rule = dataset.reviews or dataset.events, task.drawn
    rows = np.flatnonzero(allowed(dataset, task) & (~np.isnan(of.value) | (rule.liked == "positive")))
    rows = rows[np.lexsort((rows, of.time[rows], of.user[rows]))]
    pair = of.user[rows].astype(np.int64) * len(dataset.item_ids) + of.item[rows]
    rows = rows[np.sort(len(rows) - 1 - np.unique(pair[::-1], return_index=True)[1])]  # the last of each pair
    user, item = of.user[rows], of.item[rows]
    good = _positive(dataset, task, user, item) if rule.liked == "positive" else well_rated(user, of.value[rows])
    for start, end in pairwise([*np.flatnonzero(np.diff(user, prepend=-1)), len(rows)]):
        liked = rows[start:end][good[start:end]]
        if end - start >= rule.min_reviews and rule.min_liked <= len(liked) <= rule.max_liked:
            yield int(user[start]), [(int(of.item[r]), float(of.time[r]), int(r)) for r in liked]


def _positive(dataset: Dataset, task: Task, user: np.ndarray, item: np.ndarray) -> np.ndarray:
    """bool[n]: whether an event says that the user liked the item."""
    events, n_items = dataset.events, len(dataset.item_ids)
    counted = events.positive & ((events.window == HISTORY) | (task.window == "all"))
    pairs = events.user[counted].astype(np.int64) * n_items + events.item[counted]
    return np.isin(user.astype(np.int64) * n_items + item, pairs)


def common_words(dataset: Dataset, task: Task) -> frozenset[str]:
    """Stems that are no content in the task's reviews, from some thousand of them; empty where it quotes none."""
    if task.evidence is None or task.evidence.of or dataset.reviews is None:
        return frozenset()
    rows = np.flatnonzero(allowed(dataset, task))
    rows = rows[:: max(1, len(rows) // 4000)]
    return common_stems(dataset.reviews.text[r] for r in rows)


def _told(
    recipe: Recipe, dataset: Dataset, evidence: Evidence | None, common: frozenset[str], liked: tuple[int, float, int]
) -> Told:
    item, time, row = liked
    if evidence is None:
        return Told(item, time)
    record = dataset.items[item]
    if evidence.of:
        return Told(item, time, tuple(q for text in texts_of(record, evidence.of) for q in quotes(text, evidence)))
    about = texts_of(record, recipe.data.items.text)
    return Told(item, time, tuple(quotes(dataset.reviews.text[row], evidence, about, common)))


def texts_of(record: dict, fields: list[str]) -> list[str]:
    """The texts of some fields of a record; a list's entries make one."""
    values = [record.get(f) for f in fields]
    return [", ".join(map(str, v)) if isinstance(v, list) else str(v) for v in values if v not in (None, "", [])]


def _deal(dataset: Dataset, user: int, told: list[Told], rule: Sets) -> Iterator[list[Told]]:
    who, size, row = dataset.user_ids[user], min(rule.items, len(told)), []
    for turn in range(rule.per_user):
        hand, row = row[:size], row[size:]
        if len(hand) < size:
            key = {t: (not t.quoted, unit_hash("set", who, turn, dataset.item_ids[t.item])) for t in told}
            row = sorted((t for t in told if t not in hand), key=key.get)
            more = size - len(hand)
            hand, row = hand + row[:more], row[more:]
        yield sorted(hand, key=lambda t: (t.time, t.item))


def _budgeted(hand: list[Told], evidence: Evidence | None) -> tuple[Told, ...]:
    """The set with sentences until the budget of words is spent; items past it stay without."""
    left = within([q for t in hand for q in t.quoted], evidence) if evidence else 0
    kept = []
    for t in hand:
        kept.append(Told(t.item, t.time, t.quoted[:left]))
        left = max(0, left - len(t.quoted))
    return tuple(kept)


def reviews_of_items(dataset: Dataset, task: Task) -> dict[int, list[int]]:
    """Rows of the good reviews of each item (those at or above their writer's own mean, all where none is rated), by
    time; empty where the task quotes none."""
    of = dataset.reviews
    if task.evidence is None or task.evidence.of or of is None:
        return {}
    rows = np.flatnonzero(allowed(dataset, task))
    good = well_rated(of.user[rows], of.value[rows])
    rows = rows[good] if not np.isnan(of.value).all() else rows
    found: dict[int, list[int]] = {}
    for r in rows[np.lexsort((rows, of.time[rows]))].tolist():
        found.setdefault(int(of.item[r]), []).append(r)
    return found
