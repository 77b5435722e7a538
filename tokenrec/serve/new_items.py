"""Who would want an item that nobody has clicked yet: written about, gated, encoded and scored, nothing retrained.

Its texts are written on a copy of the store, beside those of the catalogue, so that batch gates see it among its
neighbours and rates and tokens stay as the last compile left them. The answers, which were paid for, are kept: a second
call asks nothing, nor does the compile after the item has come into the catalogue.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tokenrec.compiler.session import Session
from tokenrec.compiler.writing import Prepared, generate_with, prepare_task, vectors_of
from tokenrec.dataset.lists import serving_lists
from tokenrec.dataset.new_items import read_new_items
from tokenrec.dataset.types import NEXT, Dataset
from tokenrec.errors import InputError
from tokenrec.features.profiles import liked_matrix, unit
from tokenrec.features.vectors import raw_text
from tokenrec.generate.run import completion_lm
from tokenrec.ranking.candidates import candidates
from tokenrec.recipe.load import LoadedRecipe, task_order
from tokenrec.recipe.refs import needs
from tokenrec.serve.scratch import scratch_session
from tokenrec.serve.server import Server, open_server, score_lists
from tokenrec.store import completions as store
from tokenrec.store.lock import only_run
from tokenrec.store.store import transaction
from tokenrec.tasks import overrides
from tokenrec.tasks.inputs import display_name, prompts, spooled

CELLS = 2_000_000  # users × items scored at a time


def recommend_items(
    loaded: LoadedRecipe, path: Path, k: int, progress=lambda report: None
) -> Iterator[dict[str, Any]]:
    """One document of `tokenrec recommend --item` for each item of the file, in the order of their ids.

    Raises InputError for a file, or an id, that can't be used; BudgetStop and ServiceError as compile does, with every
    answer so far stored.
    """
    began = time.perf_counter()
    ids, records, notes = read_new_items(loaded.recipe, path)
    with only_run(loaded.project.store, loaded.recipe.name):
        server = open_server(loaded)
        if known := sorted(set(ids) & set(server.dataset.item_ids)):
            raise InputError(f"{path}: {known[0]} is in the catalogue already: a new item has an id of its own")
        dataset = with_items(server.dataset, ids, records)
        new = np.arange(len(dataset.item_ids) - len(ids), len(dataset.item_ids))
        session, told, calls = _write(server, dataset, new, progress)
        raw = raw_text(server.db, loaded.recipe, dataset, server.encoder)
        written = {name: vectors_of(session, made.spec, made.program) for name, (made, _) in told.items()}
        vectors = server.vectors | written
        wider = replace(server, dataset=dataset, raw=raw, vectors=vectors, margins={})
        scores, places = _score(wider, new)
        seconds = (time.perf_counter() - began) / len(ids)
        for n, item in enumerate(ids):
            best = np.lexsort((np.arange(len(scores)), -np.nan_to_num(scores[:, n], nan=-np.inf)))[:k]
            yield {
                "kind": "recommend_item",
                "schema_version": 1,
                "recipe": loaded.recipe.name,
                "simulated": dataset.simulated,
                "item": item,
                "name": display_name(loaded.recipe, records[n]),
                "users": [
                    {"user": dataset.user_ids[u], "score": round(float(scores[u, n]), 6), "place": int(places[u, n]),
                     "because": _because(wider, int(u), int(new[n]))}
                    for u in best if np.isfinite(scores[u, n])
                ],
                "tokens": [row for name, (_, found) in told.items() for row in found.get(item, [])],
                "lm_calls": calls,
                "notes": [*server.notes, *notes],
                "seconds": round(seconds, 3),
            }  # fmt: skip


def with_items(dataset: Dataset, ids: list[str], records: list[dict]) -> Dataset:
    """The dataset with items behind its own, which no event knows."""
    def longer(flags: np.ndarray | None) -> np.ndarray | None:
        return None if flags is None else np.concatenate([flags, np.zeros(len(ids), bool)])

    return replace(
        dataset, item_ids=[*dataset.item_ids, *ids], items=[*dataset.items, *records], held=longer(dataset.held),
        posed=longer(dataset.posed),
    )  # fmt: skip


def _write(server: Server, dataset: Dataset, new: np.ndarray, progress: Callable) -> tuple[Session, dict, int]:
    """(a session whose store is a copy with the new items' texts, task → (Prepared, subject → its rows), LM calls)."""
    loaded, calls = server.loaded, 0
    wanted = {source for source, _ in server.ranker.blocks}
    told: dict[str, tuple[Prepared, dict[str, list]]] = {}
    with scratch_session(loaded, dataset, loaded.project.store) as (session, real):
        for name in task_order(loaded.recipe):
            if loaded.recipe.tasks[name].for_ != "item" or not wanted & {name, *_users_of(loaded, name)}:
                continue
            made = prepare_task(session, name)
            lm = completion_lm(made.spec, session.open_writer(name))
            asked = store.subjects_of(session.db, loaded.recipe.name, name, made.program_id, lm)
            others = {t: overrides.told(session.db, loaded.recipe, loaded.folder, t) for t in needs(made.spec.task)}
            mine = list(prompts(loaded.recipe, dataset, made.spec, others, new))
            ids = {p.subject for p in mine}
            old = (p for p in made.prompts if asked.get(p.subject) == p.hash and p.subject not in ids)
            try:
                both = spooled(chain(old, mine))
                calls += generate_with(session, made.spec, made.program, made.judge, both, progress).usage.calls
            finally:
                _keep(session.db, real, made.program_id, lm, [p.hash for p in mine], session.run)
            told[name] = made, _told(session.db, name, made.program_id, lm, mine)
    return session, told, calls


def _users_of(loaded: LoadedRecipe, name: str) -> set[str]:
    """The tasks that are told what this one wrote."""
    return {t for t, task in loaded.recipe.tasks.items() if name in needs(task)}


def _keep(copy, real, program_id: str, lm_id: str, hashes: list[str], run: str) -> None:
    """The new items' answers, into the store."""
    marks = ",".join("?" * len(hashes))
    cursor = copy.execute(
        f"select * from completions where program_id = ? and lm_id = ? and input_hash in ({marks})",
        [program_id, lm_id, *hashes],
    )
    names = [d[0] for d in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    with transaction(real) as sql:
        for row in rows:
            row |= {"state": None, "gate_id": None, "output": None, "kept": None, "run": run}
            into = f"insert or ignore into completions ({','.join(names)}) values ({','.join('?' * len(names))})"
            sql.execute(into, [row[n] for n in names])


def _told(db, task: str, program_id: str, lm_id: str, asked: list) -> dict[str, list[dict[str, Any]]]:
    """subject → what was written and what the gates said of it."""
    by_hash: dict[str, list[str]] = {}
    for p in asked:
        by_hash.setdefault(p.hash, []).append(p.subject)
    found: dict[str, list] = {}
    marks = ",".join("?" * len(by_hash))
    rows = db.execute(
        "select completion_id, input_hash, state, coalesce(kept, output) from completions where program_id = ? and"
        f" lm_id = ? and input_hash in ({marks}) and state is not null order by state = 'accepted' desc, sample",
        [program_id, lm_id, *by_hash],
    ).fetchall()
    for completion, hash_, state, output in rows:
        reasons = [r[0] for r in db.execute(
            "select gate || ': ' || reason from verdicts where completion_id = ? and not passed and reason is not null",
            [completion])]  # fmt: skip
        for subject in by_hash[hash_]:
            if subject not in found:
                said = json.loads(output) if output else None
                found[subject] = [{"task": task, "state": state, "output": said, "reasons": reasons}]
    return found


def _score(server: Server, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(float32[users, new items] score in standard deviations of the user's own list, int[...] place in it)."""
    users = len(server.dataset.user_ids) - 1  # nobody is asked
    allowed = candidates(server.loaded.recipe, server.dataset, NEXT, server.raw)
    if allowed is not None:
        allowed = allowed.tolil()
        allowed[:, new] = True
        allowed = allowed.tocsr()
    scores = np.full((users, len(new)), np.nan, np.float32)
    places = np.zeros((users, len(new)), np.int64)
    step = max(1, CELLS // len(server.dataset.item_ids))
    for start in range(0, users, step):
        some = np.arange(start, min(start + step, users))
        lists = serving_lists(server.dataset, some, allowed)
        made = score_lists(server, lists)
        for at, user in enumerate(some):
            rows = slice(lists.indptr[at], lists.indptr[at + 1])
            own, items = made[rows], lists.item_of_row[rows]
            for n, item in enumerate(new):
                here = np.flatnonzero(items == item)
                if len(here):
                    scores[user, n] = own[here[0]]
                    places[user, n] = 1 + (own > own[here[0]]).sum()
    return scores, places


def _because(server: Server, user: int, item: int) -> list[str]:
    """Names of the two liked items whose own text is nearest to the new one's."""
    liked = liked_matrix(server.dataset, np.ones(len(server.dataset.events), bool))[[user]].indices
    if not len(liked):
        return []
    near = unit(server.raw.matrix[liked]) @ unit(server.raw.matrix[[item]])[0]
    best = liked[np.argsort(-np.nan_to_num(near, nan=-2), kind="stable")[:2]]
    return [display_name(server.loaded.recipe, server.dataset.items[i]) for i in best]
