"""Requests in words with the items that answer them, for measuring retrieval (data.queries)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tokenrec.dataset import values
from tokenrec.dataset.read import file_kind, place, read_rows
from tokenrec.dataset.tally import Tally
from tokenrec.dataset.types import Dataset
from tokenrec.errors import InputError
from tokenrec.ids import content_id
from tokenrec.recipe.models import Recipe


@dataclass(frozen=True)
class Queries:
    """Requests, sorted by id, and what was judged of them: parallel arrays of request, item and grade (0 or more)."""

    ids: list[str]
    texts: list[str]
    query: np.ndarray  # int32[p]
    item: np.ndarray  # int32[p]
    grade: np.ndarray  # int32[p]

    def __len__(self) -> int:
        return len(self.ids)


def load_queries(recipe: Recipe, folder: Path, dataset: Dataset, notes: list[str]) -> Queries | None:
    """The recipe's requests, None where it names none. Those that no item of the catalogue answers are left out.

    A row is a request with an item (and a grade), or with several: a list of ids, or ids with grades. What was left out
    is said in `notes`. Raises InputError: two texts under one id, too many bad rows, nothing left.
    """
    file = recipe.data.queries
    if file is None:
        return None
    tally, untyped = Tally(file.path), file_kind(folder / file.path, file.path) in (".csv", ".tsv")
    items = {key: code for code, key in enumerate(dataset.item_ids)}
    columns = [c for c in (file.text, file.relevant, file.grade, file.id) if c]
    texts: dict[str, tuple[str, int]] = {}
    judged: dict[tuple[str, int], int] = {}
    for line, row in read_rows(folder / file.path, columns, file.path):
        tally.rows += 1
        if isinstance(row, str):
            tally.skip(f"rows: {row}", line)
            continue
        text = values.clean(row[file.text], lambda kind, line=line: tally.mend(kind, line))
        if not isinstance(text, str) or not text:
            tally.skip(f"rows without {file.text}", line)
            continue
        key = values.as_id(row[file.id], untyped) if file.id else content_id(text)
        if key is None:
            tally.skip(f"rows without {file.id}", line)
            continue
        if key in texts and texts[key][0] != text:
            raise InputError(
                f"{place(file.path, line)}: request {key!r} was already given with another text at "
                f"{place(file.path, texts[key][1])}. Give one of them its own id"
            )
        texts.setdefault(key, (text, line))
        for item, grade in _judged(row[file.relevant], row[file.grade] if file.grade else 1, untyped):
            if item not in items:
                tally.mend("relevant items that are not in the catalogue, left out", line)
            elif grade is None:
                tally.skip("rows whose grade is no whole number from 0 on", line)
            else:
                pair = (key, items[item])
                judged[pair] = max(grade, judged.get(pair, 0))
    tally.close(notes, "Correct the file, or the column names under data.queries.")
    answered = {key for (key, _), grade in judged.items() if grade > 0}
    if len(answered) < len(texts):
        notes.append(f"{file.path}: left out {len(texts) - len(answered):,} requests that no item here answers.")
    if not answered:
        where = recipe.data.items.path
        raise InputError(f"{file.path}: no request is answered by an item of {where}. Do their ids agree?")
    ids = sorted(answered)
    code = {key: n for n, key in enumerate(ids)}
    rows = sorted((code[key], item, grade) for (key, item), grade in judged.items() if key in answered)
    query, item, grade = (np.array([r[k] for r in rows], np.int32) for k in range(3))
    return Queries(ids, [texts[key][0] for key in ids], query, item, grade)


def _judged(cell: Any, grade: Any, untyped: bool) -> Iterator[tuple[str | None, int | None]]:
    """(item id, grade) of what a row says; grade None where it can't be read."""
    if isinstance(cell, str) and untyped:
        cell = _spelled(cell)
    several = cell if isinstance(cell, dict | list) else [cell]
    pairs = several.items() if isinstance(several, dict) else ((item, grade) for item in several)
    for item, said in pairs:
        number = values.as_number(said)
        whole = number is not None and number >= 0 and float(number).is_integer()
        yield values.as_id(item, untyped), int(number) if whole else None


def _spelled(cell: str) -> Any:
    """A CSV cell as the list or the grades by id that it spells."""
    if cell.startswith("{"):
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    found = values.as_list(cell)
    return cell if found is None else found
