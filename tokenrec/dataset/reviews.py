"""What users wrote about items, coded like the events, and which of it may be shown: see `Reviews.history`."""

import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path

import numpy as np

from tokenrec.dataset import values
from tokenrec.dataset.tally import Tally, pair_rows
from tokenrec.dataset.types import HISTORY, Dataset, Reviews
from tokenrec.recipe.models import Recipe
from tokenrec.spool import texts

_BREAK = re.compile(r"<br\s*/?>", re.I)


def load_reviews(recipe: Recipe, folder: Path, dataset: Dataset, hidden: set[str]) -> Reviews | None:
    """The recipe's reviews of known users and items, the last one where a user wrote several about one item.

    None where the recipe has none or no task quotes any. `hidden`: items that the recipe leaves out. Notes go to
    `dataset.notes`. Raises InputError as the other files do.
    """
    file = recipe.data.reviews
    if file is None or not any(t.evidence or t.for_ == "set" for t in recipe.tasks.values()):
        return None
    tally = Tally(file.path)
    users, items = ({key: code for code, key in enumerate(ids)} for ids in (dataset.user_ids, dataset.item_ids))
    columns = (file.user, file.item, file.text, file.time, file.value)
    rows: dict[tuple[int, int], tuple[float, float, int]] = {}
    said, others, empty = texts(), 0, 0
    for line, row, user, item in pair_rows(folder, file.path, columns, file.user, file.item, tally):
        value = values.as_number(row[file.value]) if file.value else np.nan
        when = values.as_time(row[file.time]) if file.time else ("", np.nan)
        if item not in items and item not in hidden:
            tally.skip(f"rows whose {file.item} is not in {recipe.data.items.path}", line)
        elif value is None or when is None:
            column, kind = (file.value, "number") if value is None else (file.time, "date or number")
            tally.skip(f"rows whose {column} is no {kind}", line)
        elif user not in users or item in hidden:
            others += 1
        else:
            text = values.clean(row[file.text], lambda kind, line=line: tally.mend(kind, line))
            text = _BREAK.sub("\n", unescape(text)).strip() if isinstance(text, str) else ""  # collected from pages
            if not text:
                empty += 1
                continue
            pair, value = (users[user], items[item]), np.nan if value == recipe.data.events.none_value else value
            if pair not in rows or not when[1] < rows[pair][0]:
                rows[pair] = (when[1], value, len(said))
                said.append(text)
    tally.close(dataset.notes, "Correct the file, or the column names under data.reviews.")
    gone = "of users without events here, or of items that where: leaves out"
    for n, what in ((others, gone), (empty, "without text")):
        if n:
            dataset.notes.append(f"{file.path}: left out {n:,} reviews {what}.")
    pairs = sorted(rows)
    user, item = (np.array([p[k] for p in pairs], np.int32) for k in (0, 1))
    time = np.array([rows[p][0] for p in pairs], np.float64)
    if np.isfinite(time).any():
        time /= values.per_second(float(np.nanmedian(np.abs(time))))
    value, at = np.array([rows[p][1] for p in pairs], np.float32), [rows[p][2] for p in pairs]
    return Reviews(user, item, value, time, _in_history(dataset, user, item, time), _Ordered(said, at))


def _in_history(dataset: Dataset, user: np.ndarray, item: np.ndarray, time: np.ndarray) -> np.ndarray:
    """bool[n]: written before history ended. Where windows are no spans of time, or no time is known, a review goes
    where its user's events with its item went: to history if all of them did. Held-out items have no history."""
    events, n_items = dataset.events, len(dataset.item_ids)
    pairs, of = events.user.astype(np.int64) * n_items + events.item, user.astype(np.int64) * n_items + item
    past = events.window == HISTORY
    known = np.isin(of, pairs[past]) & ~np.isin(of, pairs[~past])
    if dataset.split in ("time", "item_holdout"):
        known = np.where(np.isnan(time), known, time <= events.time[past].max())
    return known if dataset.held is None else known & ~dataset.held[item]


class _Ordered(Sequence[str]):
    """Texts of a spool in an order of their own."""

    def __init__(self, rows: Sequence[str], at: list[int]) -> None:
        self._rows, self._at = rows, at

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, i):
        return self._rows[self._at[i]]
