"""A recipe's files → Dataset: checked, cleaned, coded, split, hashed. What was left out is counted."""

import hashlib
import operator
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tokenrec.dataset import split as splits
from tokenrec.dataset import values
from tokenrec.dataset.impressions import load_impressions
from tokenrec.dataset.read import file_kind, place, read_rows
from tokenrec.dataset.reviews import load_reviews
from tokenrec.dataset.tally import Tally, pair_rows
from tokenrec.dataset.types import Dataset, Events, Impressions
from tokenrec.errors import InputError
from tokenrec.ids import canonical_json, unit_hash
from tokenrec.recipe.data import EventsFile, ImpressionsFile
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.refs import item_columns
from tokenrec.spool import Records

_COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


def load_dataset(recipe: Recipe, folder: Path, most_users: int | None = None) -> Dataset:
    """Read the files of `recipe` (paths relative to `folder`, the recipe's own) into one Dataset.

    Ids are text; `item_ids` and `user_ids` are sorted by code point, so a code orders like its id.
    Bad rows are skipped and counted in `notes` with their first places. `most_users` (or the recipe's)
    keeps that many users, chosen by hash. The same content in another format or column order has the
    same `data_hash`, which also covers the windows.

    Raises InputError: missing or unreadable files and columns, two different records of one id, more
    than 10% (and 20) bad rows in a file, no event, no like, a window without events.
    """
    if recipe.data.format == "mind":
        from tokenrec.dataset.mind import load_mind

        return load_mind(recipe, folder, most_users)
    data, notes = recipe.data, []
    items, hidden = read_items(recipe, folder, notes)
    if not items:
        raise InputError(f"{data.items.path}: no item is left. {' '.join(notes)}".strip())
    if data.events.test and data.split.by != "given":
        raise InputError("data.events.test: is only read with split: {by: given}; add that or drop the test file.")
    raw = _read_events(data.events, folder, data.events.path, items, hidden, notes, data.items.path)
    in_test = np.zeros(len(raw.user), bool)
    if data.split.by == "given":
        if not data.events.test:
            raise InputError("data.split: {by: given} needs data.events.test, the path of the published test file.")
        test = _read_events(data.events, folder, data.events.test, items, hidden, notes, data.items.path)
        in_test = np.r_[in_test, np.ones(len(test.user), bool)]
        raw = RawEvents(*(getattr(raw, f) + getattr(test, f) for f in ("user", "item", "value", "time", "line")))
    if not raw.user:
        raise InputError(f"{data.events.path}: no event is left. {' '.join(notes)}".strip())

    most_users = most_users or data.most_users
    names = sorted(set(raw.user))
    if most_users and most_users < len(names):
        notes.append(f"{data.events.path}: kept {most_users:,} of {len(names):,} users, chosen by hash (most_users).")
        names = sorted(sorted(names, key=lambda u: unit_hash("most_users", data.split.seed, u))[:most_users])
    code = {u: n for n, u in enumerate(names)}
    kept = np.array([u in code for u in raw.user], bool)
    user = np.array([code.get(u, -1) for u in raw.user], np.int32)
    item_ids = sorted(items)
    code = {i: n for n, i in enumerate(item_ids)}
    item = np.array([code[i] for i in raw.item], np.int32)
    value = np.array(raw.value, np.float32)
    positive = _positive(data.events, value)
    time = np.array(raw.time, np.float64) if data.events.time else np.arange(len(user), dtype=np.float64)
    unit = values.per_second(float(np.median(np.abs(time)))) if data.events.time else None
    time /= unit or 1.0
    order = np.argsort(time, kind="stable")
    order = order[kept[order]]
    user, item, time, value, positive, in_test = (a[order] for a in (user, item, time, value, positive, in_test))
    if not positive.any():
        raise InputError(
            f"{data.events.path}: no event is a like under positive: {data.events.positive!r}; "
            f"the values run from {_span(value)}. Correct data.events.positive."
        )

    window, keep = splits.assign_windows(
        user, item, time if data.events.time else None, names, item_ids, data.split, in_test, data.events.path
    )
    events = Events(user[keep], item[keep], time[keep], value[keep], positive[keep], window[keep])
    if data.split.by == "user" or not data.events.time:
        notes.append(
            f"{data.events.path}: the windows are cut by hash, not by time (split: {{by: {data.split.by}}}), so the "
            "figures say how well a user's left-out items are found, not how well the future is foretold."
        )
    if data.split.by == "item_holdout":
        notes.append(f"{data.events.path}: item_holdout dropped {(~keep).sum():,} history events of held-out items.")
    posed = None
    if recipe.objective.slice == "cold_items":
        posed = splits.posed_items(item_ids, data.split)
        later = " The items that are held out come in test only." if data.split.by == "item_holdout" else ""
        notes.append(
            f"{data.events.path}: {posed.sum():,} items pose as cold in fit and tune, where prompts are chosen: "
            f"nothing is learnt of their events there.{later}"
        )
    users = _read_users(recipe, folder, names, notes)
    shown = data.impressions and load_impressions(
        data.impressions, folder, names, item_ids, hidden, events, data.split, unit, notes
    )
    records = items.ordered(item_ids)
    made = Dataset(
        name=recipe.name, item_ids=item_ids, items=records, user_ids=names, users=users, events=events,
        data_hash=_hash(data.split.by, item_ids, records, names, users, events, shown, data.impressions),
        split=data.split.by, simulated=data.simulated, notes=notes,
        timed=bool(data.events.time),
        held=splits.held_items(item_ids, data.split) if data.split.by == "item_holdout" else None,
        posed=posed, impressions=shown,
    )  # fmt: skip
    return replace(made, reviews=load_reviews(recipe, folder, made, hidden))


def load_labels(recipe: Recipe, folder: Path) -> dict[str, dict]:
    """{item id: {field: value}} of data.labels, for grading only. Empty where the recipe names none."""
    labels = recipe.data.labels
    if labels is None:
        return {}
    return dict(_records(folder / labels.path, labels.path, labels.id, labels.fields, [], set(), []))


@dataclass
class RawEvents:
    """Events as read, parallel lists."""

    user: list[str] = field(default_factory=list)
    item: list[str] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    time: list[float] = field(default_factory=list)
    line: list[int] = field(default_factory=list)


def read_items(recipe: Recipe, folder: Path, notes: list[str]) -> tuple[Records, set[str]]:
    """Records by id, and the ids that `where:` leaves out."""
    file = recipe.data.items
    text, facts = item_columns(recipe)
    hidden: set[str] = set()
    found = _records(folder / file.path, file.path, file.id, [*text, *facts], notes, set(text), facts)
    if file.where:
        hidden = {i for i, record in found.items() if values.is_empty(record[file.where])}
        for i in hidden:
            found.drop(i)
        if hidden:
            notes.append(f"{file.path}: left out {len(hidden):,} items whose {file.where} is empty (where:).")
    bare = [i for i, record in found.items() if all(values.is_empty(record[c]) for c in file.text)]
    if bare:
        first = ", ".join(place(file.path, found.line(i)) for i in bare[:3])
        notes.append(
            f"{file.path}: {len(bare):,} items have no text in {', '.join(file.text)} (first: {first}). "
            "They stay in the lists; a task that has nothing to read writes nothing about them."
        )
    return found, hidden


def _records(
    path: Path, name: str, id_column: str, columns: list[str], notes: list[str], text: set[str], facts: list[str]
) -> Records:
    """Cleaned records by id."""
    tally, untyped = Tally(name), file_kind(path, name) in (".csv", ".tsv")
    found = Records()
    for line, row in read_rows(path, [id_column, *columns], name):
        tally.rows += 1
        key = None if isinstance(row, str) else values.as_id(row[id_column], untyped)
        if key is None:
            tally.skip(f"rows: {row}" if isinstance(row, str) else f"rows without {id_column}", line)
            continue
        record = {}
        for column in dict.fromkeys(columns):
            cell = values.clean(row[column], lambda kind, line=line: tally.mend(kind, line))
            if untyped:
                as_list = values.as_list(cell)
                cell = cell if as_list is None else values.clean(as_list, lambda kind: None)
                cell = values.as_fact(cell) if column in facts else cell
            cell = None if cell == "" else cell
            if column in text and isinstance(cell, int | float) and not isinstance(cell, bool):
                cell = str(cell)
            record[column] = cell
        if key in found:
            if (known := found[key]) != record:
                differs = next(c for c in record if known[c] != record[c])
                raise InputError(
                    f"{place(name, line)}: id {key!r} was already used at {place(name, found.line(key))} with another "
                    f"{differs}; give one of them its own id or delete one."
                )
            tally.mend("repeated identical records, kept once", line)
            continue
        found.add(key, record, line)
    if not tally.rows:
        raise InputError(f"{name}: has no rows.")
    tally.close(notes, "Correct the file, or the column names in the recipe.")
    return found


def _read_users(recipe: Recipe, folder: Path, names: list[str], notes: list[str]) -> Sequence[dict]:
    file = recipe.data.users
    if file is None:
        return Records().ordered(names)
    found = _records(folder / file.path, file.path, file.id, file.facts, notes, set(), file.facts)
    unused, unknown = len(found.keys() - set(names)), [u for u in names if u not in found]
    if unused:
        notes.append(f"{file.path}: {unused:,} users have no events here and were left out.")
    if unknown:
        notes.append(
            f"{file.path}: {len(unknown):,} users with events are not in it (first: {', '.join(unknown[:3])})."
        )
    return found.ordered(names)


def _read_events(
    file: EventsFile, folder: Path, path: str, items: dict, hidden: set[str], notes: list[str], items_path: str
) -> RawEvents:
    if file.positive and not file.value:
        raise InputError(f"data.events.positive: {file.positive!r} needs data.events.value, the column it judges.")
    raw, tally, left_out = RawEvents(), Tally(path), 0
    columns = (file.user, file.item, file.time, file.value)
    kinds: list[str] = []
    for line, row, user, item in pair_rows(folder, path, columns, file.user, file.item, tally):
        if item in hidden:
            left_out += 1
            continue
        if item not in items:
            tally.skip(f"rows whose {file.item} is not in {items_path}", line)
            continue
        value = values.as_number(row[file.value]) if file.value else float("nan")
        when = values.as_time(row[file.time]) if file.time else ("", 0.0)
        if value is None or when is None:
            column = file.value if value is None else file.time
            tally.skip(f"rows whose {column} is no {'number' if value is None else 'date or number'}", line)
            continue
        raw.user.append(user)
        raw.item.append(item)
        raw.value.append(float("nan") if value == file.none_value else value)
        raw.time.append(when[1])
        raw.line.append(line)
        kinds.append(when[0])
    if not tally.rows:
        raise InputError(f"{path}: has no rows.")
    if len(counted := Counter(kinds)) > 1:  # dates among numbers: the rarer ones can't be placed
        usual = counted.most_common(1)[0][0]
        for line, kind in zip(raw.line, kinds, strict=True):
            if kind != usual:
                tally.skip(f"rows whose {file.time} is a {kind} where most are {usual}s", line)
        stay = [n for n, kind in enumerate(kinds) if kind == usual]
        raw = RawEvents(*([getattr(raw, f)[n] for n in stay] for f in ("user", "item", "value", "time", "line")))
    tally.close(notes, "Correct the file, or the recipe where it names the wrong column or items file.")
    if left_out:
        notes.append(f"{path}: left out {left_out:,} events of items that where: leaves out.")
    return raw


def _positive(file: EventsFile, value: np.ndarray) -> np.ndarray:
    if not file.positive:
        # "none given" is no like; a file whose cells are empty throughout has nothing else to say
        return ~np.isnan(value) if file.value and file.none_value is not None else np.ones(len(value), bool)
    sign, limit = re.fullmatch(r"\s*(>=|<=|==|!=|>|<)\s*(.+?)\s*", file.positive).groups()
    return _COMPARE[sign](value, np.float32(limit)) & ~np.isnan(value)


def _span(value: np.ndarray) -> str:
    given = value[~np.isnan(value)]
    return f"{given.min():g} to {given.max():g}" if len(given) else "nothing to nothing: no cell has a number"


def _hash(
    split: str, item_ids: list[str], items: Sequence[dict], user_ids: list[str], users: Sequence[dict], events: Events,
    shown: Impressions | None, file: ImpressionsFile | None,
) -> str:  # fmt: skip
    """SHA-256 over canonical records and little-endian event columns, in an order that ties can't change."""
    digest = hashlib.sha256(f"[{canonical_json(split)}".encode())
    for part in (item_ids, items, user_ids, users):  # the JSON of it all, never held as a whole
        digest.update(b",[")
        for n, value in enumerate(part):
            digest.update(b"," * bool(n) + canonical_json(value).encode())
        digest.update(b"]")
    digest.update(b"]")
    value = np.where(np.isnan(events.value), -np.inf, events.value)
    order = np.lexsort((value, events.item, events.user, events.time))
    for column, kind in (
        (events.user, "<i4"), (events.item, "<i4"), (events.time, "<f8"), (value, "<f4"),
        (events.positive, "u1"), (events.window, "u1"),
    ):  # fmt: skip
        digest.update(np.ascontiguousarray(column[order], dtype=kind).tobytes())
    if shown:
        digest.update(canonical_json([file.examined, file.most]).encode())
        columns = (shown.user, shown.item, shown.position, shown.window, shown.clicked)
        digest.update(np.stack(columns).astype("<i4")[:, np.lexsort(columns)].tobytes())
    return digest.hexdigest()
