"""Which window an event falls in (CONTRACT, "Windows and lists"), and which events a window may see.

time          cut by share of the events in global time order. Events of one moment stay together, in
              the window in which the first of them falls.
given         the published test file is test. The train file is cut .65/.2/.15 into history, fit and
              tune: by time where there are times, else per user by seeded hash.
user          each user's events are cut by seeded hash into the four shares; for data without times.
item_holdout  as time (as user where there are no times), then a fifth of the items, by seeded hash,
              loses its history events and keeps the later ones, which are labels only: no window learns
              from them, so that these items are cold in fit, tune and test alike.

Tune is halved by user, by seeded hash, into tune-A and tune-B.

Where the objective is `cold_items`, prompts are chosen on items that are new for the purpose: another fifth poses as
cold in fit and tune (DropoutNet; Volkovs et al. 2017), and the items that item_holdout keeps for test come no earlier.
"""

import numpy as np

from tokenrec.dataset.types import FIT, HISTORY, NEXT, TEST, TUNE_A, TUNE_B, Dataset
from tokenrec.errors import InputError
from tokenrec.ids import unit_hash
from tokenrec.recipe.data import Split

GIVEN_SHARES = (0.65, 0.2, 0.15)
HELD_OUT_ITEMS = 0.2
_SEEN = {HISTORY: (), FIT: (HISTORY,), TUNE_A: (HISTORY, FIT), TUNE_B: (HISTORY, FIT),
         TEST: (HISTORY, FIT, TUNE_A, TUNE_B), NEXT: (HISTORY, FIT, TUNE_A, TUNE_B, TEST)}  # fmt: skip


def events_before(dataset: Dataset, window: int) -> np.ndarray:
    """bool[n_events]: what behaviour columns of `window` may use. Both tune halves see history and fit
    only, so that neither learns from the other; test sees all that came earlier."""
    return np.isin(dataset.events.window, _SEEN[window])


def usable_before(dataset: Dataset, window: int) -> np.ndarray:
    """bool[n_events]: `events_before` without the events of held-out items, nor, until test, of those that pose as
    cold."""
    before = events_before(dataset, window)
    for cold in (dataset.held if window != NEXT else None, dataset.posed if window < TEST else None):
        if cold is not None:
            before = before & ~cold[dataset.events.item]
    return before


def yet_to_come(dataset: Dataset, window: int) -> np.ndarray | None:
    """bool[n_items]: held-out items that `window` does not know of, so that no prompt is chosen on those of test."""
    return dataset.held if dataset.posed is not None and window < TEST else None


def held_items(item_ids: list[str], split: Split) -> np.ndarray:
    """bool[n_items]: a fifth of the items, by seeded hash."""
    return np.array([unit_hash("holdout", split.seed, i) < HELD_OUT_ITEMS for i in item_ids], bool)


def posed_items(item_ids: list[str], split: Split) -> np.ndarray:
    """bool[n_items]: a fifth of the items that are not held out, by seeded hash."""
    place = np.array([unit_hash("holdout", split.seed, i) for i in item_ids])
    least = HELD_OUT_ITEMS if split.by == "item_holdout" else 0
    return (least <= place) & (place < least + HELD_OUT_ITEMS * (1 - least))


def assign_windows(
    user: np.ndarray,
    item: np.ndarray,
    time: np.ndarray | None,
    user_ids: list[str],
    item_ids: list[str],
    split: Split,
    in_test: np.ndarray | None = None,
    name: str = "events",
) -> tuple[np.ndarray, np.ndarray]:
    """(window int8[n], keep bool[n]) of events in time order; `time` is None where the file has none.

    `in_test` marks the rows of the published test file (split given); `name` is for messages.
    Raises InputError where `time` is wanted and missing, or where a window would stay empty.
    """
    shares = (split.history, split.fit, split.tune, split.test)
    if split.by == "time" and time is None:
        raise InputError(
            "data.split: {by: time} needs data.events.time, a column of dates or any increasing number. "
            "Without one, write split: {by: user}; the report says so."
        )
    if split.by == "given":
        in_test = np.zeros(len(user), bool) if in_test is None else in_test
        coarse = np.full(len(user), 3)
        train = ~in_test
        coarse[train] = (
            _by_hash(user[train], item[train], user_ids, item_ids, GIVEN_SHARES, split.seed)
            if time is None
            else _by_time(time[train], GIVEN_SHARES)
        )
    elif split.by == "user" or time is None:
        coarse = _by_hash(user, item, user_ids, item_ids, shares, split.seed)
    else:
        coarse = _by_time(time, shares)

    half = np.array([unit_hash("tune", split.seed, u) < 0.5 for u in user_ids], bool)
    window = np.array([HISTORY, FIT, TUNE_B, TEST], np.int8)[coarse]
    window[(coarse == 2) & half[user]] = TUNE_A
    keep = np.ones(len(user), bool)
    if split.by == "item_holdout":
        keep = ~(held_items(item_ids, split)[item] & (window == HISTORY))
    _demand_all(coarse[keep], split.by, name)
    return window, keep


def _by_time(time: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Window 0.. of each event from its place in `time` order, equal times at their first one's place."""
    first = np.searchsorted(np.sort(time), time, side="left")
    return np.searchsorted(_edges(shares) * len(time), first, side="right")


def _by_hash(
    user: np.ndarray, item: np.ndarray, user_ids: list[str], item_ids: list[str], shares: tuple[float, ...], seed: int
) -> np.ndarray:
    """Each user's events, ranked by hash, are cut at `shares`; event r of n stands at (r + shift) / n.

    The shift is a hash of the user, so that users with one or two events also fill every window.
    """
    key = np.array([unit_hash("event", seed, user_ids[u], item_ids[i]) for u, i in zip(user, item, strict=True)])
    order = np.lexsort((key, user))
    first = np.searchsorted(user[order], user[order], side="left")
    rank = np.empty(len(user))
    rank[order] = np.arange(len(user)) - first
    shift = np.array([unit_hash("shift", seed, u) for u in user_ids])
    count = np.bincount(user, minlength=len(user_ids))
    return np.searchsorted(_edges(shares), (rank + shift[user]) / count[user], side="right")


def _edges(shares: tuple[float, ...]) -> np.ndarray:
    return np.round(np.cumsum(shares)[:-1], 9)


def _demand_all(coarse: np.ndarray, by: str, name: str) -> None:
    counts = np.bincount(coarse, minlength=4)
    if (counts > 0).all():
        return
    said = ", ".join(f"{w} {n:,}" for w, n in zip(("history", "fit", "tune", "test"), counts, strict=True))
    fix = (
        "Too many events share one time, or there are too few; give finer times or write split: {by: user}."
        if by in ("time", "item_holdout")
        else "There are too few events to split; add some."
    )
    raise InputError(f"{name}: the split by {by} leaves a window without events ({said}). {fix}")
