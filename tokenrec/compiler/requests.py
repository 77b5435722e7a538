"""Prompts of requests (`for: set`) compiled: a request should find what its owner liked and the prompt did not show.

No ranker has a column of a request, so the sieves are two. Completion scores (`reward.ItemAUC`) are taken on the sets
of half of the owners; the best challenger then writes for the other half, where nothing was chosen, and takes the
incumbent's place only by a paired test over owners, at the level that a look at tune-B has (CONTRACT).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenrec.compiler.promotion import Promotion, count_look, decided, refuse_leak
from tokenrec.compiler.reward import NO_TOKEN, PENALTY, ItemAUC
from tokenrec.compiler.session import Session
from tokenrec.dataset.types import FIT, HISTORY, TUNE_A, TUNE_B
from tokenrec.evidence.queries import mean_of
from tokenrec.features.vectors import text_rows
from tokenrec.ids import unit_hash
from tokenrec.store import completions as store
from tokenrec.tasks.sets import item_sets
from tokenrec.tasks.spec import TaskSpec


@dataclass(frozen=True)
class Sets:
    """The task's sets by number. `shown` and `hidden`: item codes; `owner`: user codes; `choosing`: bool[n]."""

    code: dict[str, int]  # subject → number
    owner: np.ndarray
    shown: list[set[int]]
    hidden: list[set[int]]  # what the owner liked until tune's end and the prompt does not show
    choosing: np.ndarray


def sets_of(session: Session, spec: TaskSpec) -> Sets:
    """What each request should find: the owner's other likes in history, fit and tune."""
    data, e = session.dataset, session.dataset.events
    liked: dict[int, set[int]] = {}
    kept = e.positive & np.isin(e.window, (HISTORY, FIT, TUNE_A, TUNE_B))
    for user, item in zip(e.user[kept].tolist(), e.item[kept].tolist(), strict=True):
        liked.setdefault(user, set()).add(item)
    made = item_sets(session.recipe, data, spec.task)
    shown = [{t.item for t in s.told} for s in made]
    hidden = [liked.get(s.user, set()) - told for s, told in zip(made, shown, strict=True)]
    choosing = np.array([unit_hash("requests", data.user_ids[s.user]) < 0.5 for s in made], bool)
    owner = np.array([s.user for s in made], int)
    return Sets({s.subject: n for n, s in enumerate(made)}, owner, shown, hidden, choosing)


def request_reward(session: Session, spec: TaskSpec, sets: Sets, rows, choosing: bool = True) -> ItemAUC | None:
    """Scores of requests on one half of the owners' sets. `rows`: (subject, output, ...) of the incumbent, whose mean
    texts are centred on; None where it wrote nothing that was accepted, or no set has anything to find."""
    output = next(name for name, o in spec.outputs.items() if o.type == "text")
    said = ((s, out[output]) for s, out, *_ in rows if s in sets.code)
    reference = text_rows(session.db, session.encoder, sets.code, said)
    find = {n: hidden for n, hidden in enumerate(sets.hidden) if hidden and sets.choosing[n] == choosing}
    if np.isnan(reference).all() or not find:
        return None
    made = ItemAUC(session.raw.matrix, find, dict(enumerate(sets.shown)), reference.astype(float))
    made.outputs = (output,)
    return made


def decide_requests(
    session: Session, spec: TaskSpec, sets: Sets, incumbent: tuple[str, list], challenger: tuple[str, list],
    challengers: int,
) -> Promotion:  # fmt: skip
    """The paired test on the owners who had no part in choosing: the mean difference of their requests' scores, each
    program centred on its own texts, a rejected request scored as such. Both are (program id, its accepted rows).

    Raises InputError for texts that were made from events after history.
    """
    refuse_leak(session, spec.name, challenger[0])
    look = count_look(session, "tune_b", spec.name)
    scores = [_scores(session, spec, sets, rows) for _, rows in (incumbent, challenger)]
    asked = np.array(sorted(set(scores[0]) & set(scores[1])), int)
    apart = np.array([scores[1][n] - scores[0][n] for n in asked])
    owners, place = np.unique(sets.owner[asked], return_inverse=True)
    count = np.bincount(place, minlength=len(owners))
    d = mean_of(np.bincount(place, apart, len(owners)) / np.maximum(count, 1))
    return decided(session, spec.name, incumbent[0], challenger[0], d, challengers, look)


def accepted_rows(session: Session, spec: TaskSpec, program: str, lm: str) -> list[tuple[str, dict[str, Any]]]:
    """(subject, output) of a program's accepted requests."""
    best = {}
    for row in store.completions_of(session.db, session.recipe.name, spec.name, program, lm):
        if row.output is not None and row.state == "accepted":
            best.setdefault(row.subject, row.token)
    return list(best.items())


def _scores(session: Session, spec: TaskSpec, sets: Sets, rows: list) -> dict[int, float]:
    """Set number → the score of its request, of all sets of the testing half."""
    reward = request_reward(session, spec, sets, rows, choosing=False)
    if reward is None:
        return {n: NO_TOKEN - PENALTY for n, h in enumerate(sets.hidden) if h and not sets.choosing[n]}
    mean = np.nanmean(reward.reference, axis=0)
    return {n: reward.score(n, reward.reference[n], mean) for n in reward.subjects()}
