"""Invented items in short histories: what they weigh, chosen on tune-A, and whether they leak what comes later."""

from dataclasses import replace

import numpy as np

from tokenrec.compiler.reward import LiteScore
from tokenrec.compiler.session import Session
from tokenrec.dataset.types import FIT, TUNE_A, TUNE_B, Dataset
from tokenrec.features.profiles import unit
from tokenrec.features.types import Vectors
from tokenrec.ids import unit_hash
from tokenrec.ranking.metrics import mean
from tokenrec.tasks.spec import TaskSpec

TIE = 1e-9
CLOSE = 0.9  # cosine of an invented item and a real one from which they are called the same


def choose_weight(session: Session, spec: TaskSpec, made: list[Vectors]) -> str:
    """Choose `session.augment[task]` among the task's weights and 0; a remark on it and on leaks.

    By *lite* on tune-A, beside behaviour and the raw text; of equal ones the smallest, so that nothing is added that
    adds nothing. Texts that nobody wrote weigh nothing.
    """
    session.augment[spec.name] = 0.0
    if not made or made[0].empty or not {FIT, TUNE_A} <= session.lists.keys():
        return "no invented item was accepted: weight 0"
    scored = weigh(session, made[0], spec.task.augment.weights)
    best = max(scored.values())
    chosen = min(w for w, score in scored.items() if score >= best - TIE)
    session.augment[spec.name] = chosen
    said = ", ".join(f"{w:g}: {score - scored[0.0]:+.5f}" for w, score in sorted(scored.items()) if w)
    n = int(session.lists[TUNE_A].sparse_list.sum())
    note = f"weight {chosen:g} on tune-A, {n} sparse lists (gain over 0, nats a like: {said or 'no other was given'})"
    return f"{note}; {leak_note(session.dataset, made[0], session.raw)}"


def weigh(session: Session, invented: Vectors, weights: list[float]) -> dict[float, float]:
    """{weight: *lite* on tune-A}. Weight 0 has the same column, of the histories as they are."""
    lite = LiteScore(session, {"raw_text": ([session.raw], [])})
    n_tune, scored = len(session.lists[TUNE_A]), {}
    for weight in sorted({0.0, *map(float, weights)}):
        vectors = replace(invented, augment=(weight, invented.augment[1]))
        scored[weight] = mean(lite.per_list([vectors], [session.raw])[-n_tune:])
    return scored


def leak(dataset: Dataset, invented: Vectors, items: Vectors) -> tuple[int, int, int]:
    """(users of tune with an invented item, whose is close to something that they like in tune, how many it would be
    if each had somebody else's). Looks at tune alone: a text that was written with later events in sight shows here."""
    events = dataset.events
    known = ~np.isnan(invented.matrix).any(axis=1)
    rows = np.flatnonzero(events.positive & np.isin(events.window, (TUNE_A, TUNE_B)) & known[events.user])
    users = np.unique(events.user[rows])
    if len(users) < 2:
        return len(users), 0, 0
    texts, made = unit(items.matrix), unit(invented.matrix)
    order = np.array(sorted(users, key=lambda u: unit_hash("leak", dataset.user_ids[u])))
    other = np.empty(len(made), int)
    other[order] = np.roll(order, 1)
    user, item = events.user[rows], events.item[rows]
    own, dealt = ((np.einsum("ij,ij->i", made[u], texts[item]) >= CLOSE) for u in (user, other[user]))
    return len(users), len(np.unique(user[own])), len(np.unique(user[dealt]))


def leak_note(dataset: Dataset, invented: Vectors, items: Vectors) -> str:
    n, own, dealt = leak(dataset, invented, items)
    note = f"close to what is liked in tune: {own} of {n} users' inventions, {dealt} when dealt to others"
    return note if own <= 2 * dealt + 2 else f"{note}: a LEAK, they know what comes later"
