"""MIND's files as published (Wu et al. 2020): news.tsv and behaviors.tsv, whose impressions are the ranking lists.

A row of behaviors.tsv is one impression: user, time, what the user had clicked before (oldest first, without times) and
what was shown, each with -1 where it was clicked and -0 where not. The history column of a user's first impression
becomes the history window; the impressions are cut by time into fit, tune and test in the shares of `data.split`, or,
with a test folder, the first into fit and tune and the second is test. A later row's longer history is not read: its
clicks, where they were logged, are in the impressions between. Of a user who comes in the test folder alone the history
may reach into the weeks of fit: the files have no times to tell.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tokenrec.dataset import split as splits
from tokenrec.dataset import values
from tokenrec.dataset.load import _hash
from tokenrec.dataset.read import place, read_tsv
from tokenrec.dataset.tally import Tally
from tokenrec.dataset.types import FIT, HISTORY, TEST, TUNE_A, TUNE_B, Dataset, Events, Slates
from tokenrec.errors import InputError
from tokenrec.ids import content_id, unit_hash
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.refs import item_columns
from tokenrec.spool import Records

NEWS = (
    "news_id", "category", "subcategory", "title", "abstract", "url", "title_entities", "abstract_entities",
)  # fmt: skip
BEHAVIORS = ("impression_id", "user_id", "time", "history", "impressions")


def load_mind(recipe: Recipe, folder: Path, most_users: int | None = None) -> Dataset:
    """The Dataset of `data: {format: mind}`, its `slates` the impressions.

    Raises InputError, naming file and line: missing files, a field that news.tsv has not, two different records of one
    id, more than 10% (and 20) bad rows, no click, an empty window.
    """
    data, notes = recipe.data, []
    parts = [data.path, *([data.test] if data.test else [])]
    items = _news(recipe, folder, parts, notes)
    item_ids = sorted(items)
    code = {i: n for n, i in enumerate(item_ids)}
    rows = []  # (time, part, line, user, history, shown, clicked)
    for part, at in enumerate(parts):
        rows += _behaviors(folder, f"{at}/behaviors.tsv", part, code, notes)
    if not rows:
        raise InputError(f"{data.events.path}: no impression is left. {' '.join(notes)}".strip())
    rows.sort(key=lambda r: r[:3])

    names = sorted({r[3] for r in rows})
    if (most := most_users or data.most_users) and most < len(names):
        notes.append(f"{data.events.path}: kept {most:,} of {len(names):,} users, chosen by hash (most_users).")
        names = sorted(sorted(names, key=lambda u: unit_hash("most_users", data.split.seed, u))[:most])
    users = {u: n for n, u in enumerate(names)}
    rows = [r for r in rows if r[3] in users]

    slates = _slates(recipe, rows, users, names)
    events = _events(rows, slates, users)
    if not slates.clicked.any():
        raise InputError(f"{data.events.path}: nothing was clicked. An impression says so with -1, as in N55528-1.")
    for window, called in ((FIT, "fit"), (TUNE_A, "tune"), (TUNE_B, "tune"), (TEST, "test")):
        if not slates.clicked[np.repeat(slates.window == window, np.diff(slates.indptr))].any():
            raise InputError(
                f"{data.events.path}: the {called} window has no click (of {len(slates):,} impressions). More are "
                "needed, or other shares under data.split"
            )
    posed = None
    if recipe.objective.slice == "cold_items":
        posed = splits.posed_items(item_ids, data.split)
        notes.append(f"{data.items.path}: {posed.sum():,} items pose as cold in fit and tune.")
    records, nobody = items.ordered(item_ids), Records().ordered(names)
    plain = _hash(data.split.by, item_ids, records, names, nobody, events, None, None)
    shown = hashlib.sha256()
    for column in (slates.user, slates.window, slates.indptr, slates.item, slates.clicked):
        shown.update(column.astype("<i8").tobytes())
    return Dataset(
        name=recipe.name, item_ids=item_ids, items=records, user_ids=names, users=nobody, events=events,
        data_hash=content_id([plain, shown.hexdigest()]), split=data.split.by, simulated=data.simulated, notes=notes,
        posed=posed, slates=slates,
    )  # fmt: skip


def _news(recipe: Recipe, folder: Path, parts: list[str], notes: list[str]) -> Records:
    """Records by id, of all parts; the same news in two of them counts once."""
    columns = [c for fields in item_columns(recipe) for c in fields]
    for column in columns:
        if column not in NEWS:
            raise InputError(f"{parts[0]}/news.tsv: has no column {column!r}. It has: {', '.join(NEWS)}.")
    found, first = Records(), {}
    for part in parts:
        name = f"{part}/news.tsv"
        tally = Tally(name)
        for line, row in read_tsv(folder / part / "news.tsv", NEWS, name):
            tally.rows += 1
            if isinstance(row, str) or not row["news_id"].strip():
                tally.skip(f"rows: {row}" if isinstance(row, str) else "rows without news_id", line)
                continue
            key = row["news_id"].strip()
            mended = lambda kind, line=line, tally=tally: tally.mend(kind, line)  # noqa: E731
            record = {c: values.clean(row[c], mended) or None for c in dict.fromkeys(columns)}
            if key not in found:
                first[key] = place(name, line)
                found.add(key, record, line)
            elif found[key] != record:
                differs = next(c for c in record if found[key][c] != record[c])
                raise InputError(
                    f"{place(name, line)}: news {key!r} was already used at {first[key]} with another {differs}; "
                    "delete one."
                )
        tally.close(notes, f"A row of news.tsv has {len(NEWS)} cells: {', '.join(NEWS)}.")
    return found


def _behaviors(folder: Path, name: str, part: int, code: dict[str, int], notes: list[str]) -> list[tuple]:
    """(time, part, line, user, history codes, shown codes, clicked) of each impression."""
    rows, tally = [], Tally(name)
    for line, row in read_tsv(folder / name, BEHAVIORS, name):
        tally.rows += 1
        if isinstance(row, str):
            tally.skip(f"rows: {row}", line)
            continue
        when, user = _time(row["time"]), row["user_id"].strip()
        shown = [cell.rpartition("-") for cell in row["impressions"].split()]
        if when is None or not user:
            tally.skip("rows whose time is not like 11/15/2019 8:55:22 AM" if user else "rows without user_id", line)
            continue
        if not shown or any(mark not in ("0", "1") for _, _, mark in shown):
            tally.skip("rows whose impressions are not like N55528-1 N19345-0", line)
            continue
        known, clicked = {}, 0
        for news, _, mark in shown:  # the same news twice is one place, clicked if it ever was
            if news in code:
                known[code[news]] = max(known.get(code[news], 0), int(mark))
        clicked = [bool(known[i]) for i in sorted(known)]
        history = [code[news] for news in row["history"].split() if news in code]
        lost = len({n for n, _, _ in shown} - code.keys()) + len(row["history"].split()) - len(history)
        if lost:
            tally.mend("rows with news that news.tsv lacks, which are left out of them", line)
        if known:
            rows.append((when, part, line, user, history, sorted(known), clicked))
    if not tally.rows:
        raise InputError(f"{name}: has no rows.")
    tally.close(notes, f"A row of behaviors.tsv has {len(BEHAVIORS)} cells: {', '.join(BEHAVIORS)}.")
    return rows


def _time(text: str) -> float | None:
    """Seconds since 1970 of MIND's way to write a time (11/15/2019 8:55:22 AM), or of ISO's."""
    try:
        return datetime.strptime(text.strip(), "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=UTC).timestamp()
    except ValueError:
        found = values.as_time(text)
        return found[1] if found and found[0] == "date" else None


def _slates(recipe: Recipe, rows: list[tuple], users: dict[str, int], names: list[str]) -> Slates:
    split = recipe.data.split
    user = np.array([users[r[3]] for r in rows], np.int32)
    time, in_test = np.array([r[0] for r in rows]), np.array([r[1] > 0 for r in rows], bool)
    window = np.full(len(rows), TEST, np.int8)
    if recipe.data.test:
        shares = splits.GIVEN_SHARES[1:]
        order = np.array([FIT, TUNE_B], np.int8)
    else:
        shares, order = (split.fit, split.tune, split.test), np.array([FIT, TUNE_B, TEST], np.int8)
    window[~in_test] = order[splits._by_time(time[~in_test], tuple(s / sum(shares) for s in shares))]
    half = np.array([unit_hash("tune", split.seed, u) < 0.5 for u in names], bool)
    window[(window == TUNE_B) & half[user]] = TUNE_A
    return Slates(
        user, window, np.r_[0, np.cumsum([len(r[5]) for r in rows])].astype(np.int64),
        np.array([i for r in rows for i in r[5]], np.int32), np.array([c for r in rows for c in r[6]], bool),
    )  # fmt: skip


def _events(rows: list[tuple], slates: Slates, users: dict[str, int]) -> Events:
    """What was clicked before the first impression, a second apart up to the moment when the log begins, then the
    clicks."""
    began, known = rows[0][0], set()
    user, item, time, window = [], [], [], []
    for s, (when, _, _, name, history, shown, clicked) in enumerate(rows):
        past = history if name not in known else []
        known.add(name)
        new = [i for i, c in zip(shown, clicked, strict=True) if c]
        user += [users[name]] * (len(past) + len(new))
        item += [*past, *new]
        time += [*(began - len(past) + k for k in range(len(past))), *[when] * len(new)]
        window += [HISTORY] * len(past) + [int(slates.window[s])] * len(new)
    order = np.argsort(np.array(time, float), kind="stable")
    n = len(order)
    columns = (np.array(a, kind)[order] for a, kind in
               ((user, np.int32), (item, np.int32), (time, np.float64)))  # fmt: skip
    return Events(*columns, np.full(n, np.nan, np.float32), np.ones(n, bool), np.array(window, np.int8)[order])
