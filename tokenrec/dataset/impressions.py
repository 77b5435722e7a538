"""What was shown to whom, and where on the page: a like from far down says more, a place is looked at by few.

The position-based model (Joachims, Swaminathan and Schnabel 2017): an item at position k is taken if it is looked at,
with a probability that depends on k alone, and wanted. So a like counts 1 / P(looked at), clipped, and what was shown
and not taken is a negative by its own right. Probabilities are relative to the first position's. They are a power of
the position where the recipe says so, else estimated from items that were shown at several positions.
"""

from array import array
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tokenrec.dataset import values
from tokenrec.dataset.split import GIVEN_SHARES
from tokenrec.dataset.tally import Tally, pair_rows
from tokenrec.dataset.types import FIT, HISTORY, TEST, TUNE_A, TUNE_B, Events, Impressions, Lists
from tokenrec.errors import InputError
from tokenrec.ids import unit_hash
from tokenrec.recipe.data import ImpressionsFile, Split

MOST = 100_000  # the farthest position that is believed
CLICKS = 50  # a position with fewer is estimated together with the next ones
ROUNDS = 200


@dataclass
class _Shown:
    """Parallel arrays, as read."""

    user: array = field(default_factory=lambda: array("i"))
    item: array = field(default_factory=lambda: array("i"))
    position: array = field(default_factory=lambda: array("i"))
    time: array = field(default_factory=lambda: array("d"))
    clicked: array = field(default_factory=lambda: array("b"))


def load_impressions(
    file: ImpressionsFile, folder: Path, user_ids: list[str], item_ids: list[str], unused: set[str], events: Events,
    split: Split, unit: float | None, notes: list[str],
) -> Impressions:  # fmt: skip
    """Read and place the log of `data.impressions`. `unused`: items that `where:` leaves out; `unit`: what event times
    were divided by, None where they are only an order.

    Rows that can't be used are counted in `notes`. Raises InputError as `load_dataset` does, and for times that are not
    of the events' kind.
    """
    users, items = ({name: n for n, name in enumerate(names)} for names in (user_ids, item_ids))
    raw, strangers = _read(file, folder, users, items, unused, notes)
    if strangers:
        notes.append(f"{file.path}: left out {strangers:,} impressions of users without events here.")
    user, item = np.array(raw.user, np.int32), np.array(raw.item, np.int32)
    position = np.array(raw.position, np.int32)
    if file.time:
        time = np.array(raw.time, float) / (unit or 1.0)
        window = _windows_by_time(time, events, file.path)
    else:
        window = _windows_by_pair(user, item, events, user_ids, item_ids, split)
    n_items = len(item_ids)

    def key(user, item, window):  # a like takes an impression of its own window: a later like is yet to come
        return (user.astype(np.int64) * n_items + item) * (TEST + 1) + np.where(window == TUNE_A, TUNE_B, window)

    pair = key(user, item, window)
    liked = key(*(a[events.positive] for a in (events.user, events.item, events.window)))
    if file.clicked:
        clicked = np.array(raw.clicked, bool)
    else:  # without times the best place is the one that was taken, if any
        order, liked_at = (time, events.time[events.positive]) if file.time else (-position, np.zeros(len(liked)))
        clicked = _taken(pair, order, liked, liked_at)
    known = window <= FIT  # later clicks are what is to be foretold
    looked, said = _looked_at(file, item[known], position[known], clicked[known], int(position.max()))
    if said:
        notes.append(f"{file.path}: {said}")
    return Impressions(user, item, position, window, clicked, looked, file.most)


def weigh(lists: Lists, shown: Impressions, n_items: int) -> Lists:
    """The lists with `shown` and `weight`, of the impressions in the lists' window.

    A pair is looked at if any of its impressions is, 1 - Π (1 - P). The mean weight of the relevant rows is 1, as is
    that of the others; a like that the log does not have counts as surely looked at.
    """
    # tune's halves are of different users, so that neither has the other's
    now = shown.window == (TUNE_B if lists.window == TUNE_A else lists.window)
    pair = shown.user[now].astype(np.int64) * n_items + shown.item[now]
    pairs, place = np.unique(pair, return_inverse=True)
    missed = np.ones(len(pairs))
    np.multiply.at(missed, place, 1 - shown.looked_at[shown.position[now]])
    row = lists.user[lists.list_of_row].astype(np.int64) * n_items + lists.item_of_row
    at = np.searchsorted(pairs, row)
    at[at == len(pairs)] = 0
    there = pairs[at] == row if len(pairs) else np.zeros(len(row), bool)
    weight = np.ones(len(row), np.float32)
    relevant = there & (lists.label == 1)
    weight[relevant] = 1 / np.maximum(1 - missed[at[relevant]], 1 / shown.most)
    if (lists.label == 1).any():
        weight[lists.label == 1] /= weight[lists.label == 1].mean()
    return replace(lists, weight=weight, shown=there)


def position_bias(item: np.ndarray, position: np.ndarray, clicked: np.ndarray) -> np.ndarray | None:
    """float64[largest position + 1]: P(looked at) relative to position 1 (index 0 is unused); None where it can't be
    told: fewer than CLICKS clicks at two positions or more, or hardly any on items that were shown at several.

    Likeliest θ and r of clicks at (item, position) ~ Poisson(shows · θ_position · r_item), found in turns, as for
    e-commerce logs by Aslanyan and Porwal (2019): items that move between positions tell θ apart from r. From the top
    down, positions are pooled until they hold CLICKS clicks.
    """
    most = int(position.max(initial=0))
    pool, pools, held = np.zeros(most + 1, int), 0, 0
    clicks = np.bincount(position[clicked], minlength=most + 1)
    for k in range(1, most + 1):
        pool[k] = pools
        held += clicks[k]
        if held >= CLICKS:
            pools, held = pools + 1, 0
    pool[pool == pools] = max(pools - 1, 0)  # what is left at the end goes with the last one
    if pools < 2:
        return None
    cell, at = np.unique(item.astype(np.int64) * pools + pool[position], return_inverse=True)
    shows, taken = np.bincount(at), np.bincount(at, clicked)
    i, k = cell // pools, cell % pools
    several = np.bincount(i) > 1
    if taken[several[i]].sum() < CLICKS:
        return None
    looked = np.ones(pools)
    for _ in range(ROUNDS):
        wanted = np.bincount(i, taken) / np.maximum(np.bincount(i, shows * looked[k]), 1e-12)
        looked = np.bincount(k, taken, pools) / np.maximum(np.bincount(k, shows * wanted[i], pools), 1e-12)
        looked /= looked[0]
    return np.concatenate([[1.0], np.minimum(looked, 1)[pool[1:]]])


def _looked_at(file: ImpressionsFile, item, position, clicked, most: int) -> tuple[np.ndarray, str]:
    """float64[most + 1] by position, and a remark."""
    power = 1.0 if file.examined == "estimate" else float(file.examined)
    looked = np.concatenate([[1.0], np.arange(1, most + 1) ** -power])
    if file.examined != "estimate":
        return looked, ""
    found = position_bias(item, position, clicked)
    if found is None:
        return looked, (
            f"too few clicks ({int(clicked.sum()):,} before tune) on items that were shown at several positions to "
            "estimate how many look at each; 1/position is taken (examined: 1 says so, another number another power)."
        )
    found = np.concatenate([found, np.full(max(0, most + 1 - len(found)), found[-1])])
    shown = ", ".join(f"{k}: {found[k]:.2f}" for k in (1, 2, 3, 5, 10, 20, 50) if k <= most)
    return found, f"{int(clicked.sum()):,} clicks say how many look at a position, the first being 1 ({shown})."


def _read(
    file: ImpressionsFile, folder: Path, users: dict, items: dict, unused: set[str], notes: list[str]
) -> tuple[_Shown, int]:
    made, strangers, tally = _Shown(), 0, Tally(file.path)
    kinds, columns = Counter(), (file.user, file.item, file.position, file.time, file.clicked)
    for line, row, user, item in pair_rows(folder, file.path, columns, file.user, file.item, tally):
        if item not in items and item not in unused:
            tally.skip(f"rows whose {file.item} is no item", line)
            continue
        position = values.as_number(row[file.position])
        if position is None or not 1 <= position <= MOST or position != int(position):
            tally.skip(f"rows whose {file.position} is no position (1 is the top, 2 the next)", line)
            continue
        when = values.as_time(row[file.time]) if file.time else ("", 0.0)
        if when is None:
            tally.skip(f"rows whose {file.time} is no date or number", line)
            continue
        clicked = _yes(row[file.clicked]) if file.clicked else False
        if clicked is None:
            tally.skip(f"rows whose {file.clicked} is neither 0 nor 1", line)
            continue
        if user not in users or item in unused:
            strangers += item not in unused
            continue
        kinds[when[0]] += 1
        made.user.append(users[user])
        made.item.append(items[item])
        made.position.append(int(position))
        made.time.append(when[1])
        made.clicked.append(clicked)
    if not tally.rows:
        raise InputError(f"{file.path}: has no rows.")
    tally.close(notes, "Correct the file, or the column names under data.impressions.")
    if len(kinds) > 1:
        raise InputError(f"{file.path}: column {file.time} has dates and plain numbers. Write them all in one way.")
    if not made.user:
        raise InputError(f"{file.path}: no impression is of a user and an item of this data. Are the ids the same?")
    return made, strangers


def _taken(pair: np.ndarray, time: np.ndarray, liked: np.ndarray, liked_at: np.ndarray) -> np.ndarray:
    """bool[n]: of each like the last impression of the same pair until then."""
    pairs, times = np.r_[pair, liked], np.r_[time, liked_at]
    is_like = np.arange(len(pairs)) >= len(pair)
    order = np.lexsort((is_like, times, pairs))
    before, now = order[:-1], order[1:]
    found = before[is_like[now] & ~is_like[before] & (pairs[now] == pairs[before])]
    made = np.zeros(len(pair), bool)
    made[found] = True
    return made


def _yes(cell) -> bool | None:
    if isinstance(cell, str) and cell.strip().lower() in ("true", "false"):
        return cell.strip().lower() == "true"
    number = values.as_number(cell)
    return bool(number) if number in (0, 1) else None


def _windows_by_time(time: np.ndarray, events: Events, name: str) -> np.ndarray:
    """int8: the window whose events had begun by then; tune is TUNE_B for both halves."""
    if time.min() > events.time.max() or time.max() < events.time.min():
        raise InputError(
            f"{name}: its times run from {time.min():g} to {time.max():g}, those of the events from "
            f"{events.time.min():g} to {events.time.max():g}. Give both in the same unit"
        )
    coarse = np.where(events.window == TUNE_A, TUNE_B, events.window)
    order = (HISTORY, FIT, TUNE_B, TEST)
    begins = [events.time[coarse == w].min() if (coarse == w).any() else np.inf for w in order[1:]]
    return np.array(order, np.int8)[np.searchsorted(begins, time, side="right")]


def _windows_by_pair(user, item, events: Events, user_ids: list[str], item_ids: list[str], split: Split) -> np.ndarray:
    """int8, where times say nothing: a pair's own event's window, else one by seeded hash in the split's shares."""
    shares = (*GIVEN_SHARES, 0.0) if split.by == "given" else (split.history, split.fit, split.tune, split.test)
    own = {(u, i): w for u, i, w in zip(events.user, events.item, events.window, strict=True)}
    edges, order = np.cumsum(shares)[:-1], (HISTORY, FIT, TUNE_B, TEST)
    made = np.empty(len(user), np.int8)
    for n, (u, i) in enumerate(zip(user, item, strict=True)):
        drawn = own.get((u, i))
        if drawn is None:
            drawn = order[np.searchsorted(edges, unit_hash("shown", split.seed, user_ids[u], item_ids[i]), "right")]
        made[n] = TUNE_B if drawn == TUNE_A else drawn
    return made
