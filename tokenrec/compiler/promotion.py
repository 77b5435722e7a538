"""Promotion: may a challenger take the incumbent's place? Asked of tune-B, and counted."""

import hashlib
from dataclasses import dataclass

import numpy as np

from tokenrec.compiler.session import Session
from tokenrec.dataset.types import FIT, HISTORY, TUNE_B, Dataset
from tokenrec.errors import InputError
from tokenrec.evidence.arms import measure_arms
from tokenrec.evidence.power import promotion_alpha
from tokenrec.evidence.statistics import Difference, compare
from tokenrec.features.types import Columns, Vectors
from tokenrec.ids import canonical_json
from tokenrec.store.store import now, transaction


@dataclass(frozen=True)
class Promotion:
    """One test. `low` is the one-sided lower limit of delta at the spent level."""

    task: str
    incumbent: str
    challenger: str
    delta: float
    low: float
    p: float
    alpha: float
    look: int
    challengers: int
    promoted: bool


def decide_promotion(
    session: Session, task: str, subject: str, incumbent: tuple[str, list[Vectors]],
    challenger: tuple[str, list[Vectors]], others: dict[str, tuple[Columns, Columns]], challengers: int,
    on_progress=None, met: list[Vectors] = (),
) -> Promotion:  # fmt: skip
    """Retrain the arms with the incumbent and with the challenger, 5 seeds each, and test on tune-B (CONTRACT).

    Both are (program id, vectors of all subjects); `others` are the other tasks' columns on fit and tune-B, which
    stay in place; `met` the item vectors that a user's are compared with. p is multiplied by the number of challengers
    scored; look j at one tune-B spends α_j = .05 / (j(j+1)). Raises InputError for a challenger whose texts were made
    from later events than history's.
    """
    refuse_leak(session, task, challenger[0].split("~")[0])  # what follows ~ is only how answers are read
    look = count_look(session, "tune_b", task)
    blocks = {**session.base(TUNE_B), **others}
    base, arms = list(blocks), {}
    for arm, (_, vectors) in (("incumbent", incumbent), ("challenger", challenger)):
        blocks[arm] = tuple(session.block(arm, w, vectors, met) for w in (FIT, TUNE_B))
        arms[arm] = [*base, arm]
    scores = measure_arms(
        session.dataset, session.lists[FIT], session.lists[TUNE_B], blocks, arms, session.settings,
        list(range(5)), on_progress,
    )  # fmt: skip
    objective = session.recipe.objective
    by = "user" if subject == "user" else "user_item"
    difference = compare(scores, "challenger", "incumbent", objective.metric, objective.slice, by)
    return decided(session, task, incumbent[0], challenger[0], difference, challengers, look)


def decided(
    session: Session, task: str, incumbent: str, challenger: str, difference: Difference, challengers: int, look: int
) -> Promotion:  # fmt: skip
    """The decision that a difference (challenger less incumbent) allows at its look, stored."""
    alpha = promotion_alpha(look)
    p = min(1.0, max(challengers, 1) * difference.p_greater)
    made = Promotion(
        task, incumbent, challenger, float(difference.value), float(difference.interval(1 - 2 * alpha)[0]), p, alpha,
        look, challengers, p < alpha,
    )  # fmt: skip
    with transaction(session.db) as sql:
        sql.execute(
            "insert into promotions (run, recipe, task, incumbent, challenger, delta, low, p, challengers, look, alpha,"
            " promoted, at) values (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [session.run, session.recipe.name, task, incumbent, challenger, made.delta, made.low, p, challengers, look,
             alpha, int(made.promoted), now()],
        )  # fmt: skip
    return made


def refuse_leak(session: Session, task: str, program_id: str) -> None:
    """Raise InputError where texts of a program were made from events that lie after history, as the store says.

    Such a text may know what fit, tune or test ask for, and wins for that. Where the windows were cut by hash, times
    say nothing of them and nothing is refused.
    """
    events = session.dataset.events
    history = events.window == HISTORY
    if not history.any() or history.all() or events.time[history].max() > events.time[~history].min():
        return
    last = float(events.time[history].max())
    late, newest = session.db.execute(
        "select count(*), max(newest_event_time) from subjects"
        " where recipe = ? and task = ? and program_id = ? and newest_event_time > ?",
        [session.recipe.name, task, program_id, last],
    ).fetchone()
    if late:
        raise InputError(
            f"{session.recipe.name}, task {task}: {late:,} texts of the challenger were made from events up to "
            f"{newest:g}, after history ends ({last:g}); they may know what they are tested on. "
            "Write them from history alone"
        )


def events_id(dataset: Dataset) -> str:
    """Hash of who did what when, and in which window."""
    e, made = dataset.events, hashlib.sha256()
    for part in (e.user, e.item, e.time, e.positive, e.window):
        made.update(np.ascontiguousarray(part).tobytes())
    made.update(canonical_json([dataset.user_ids, dataset.item_ids]).encode("utf-8", "surrogatepass"))
    return made.hexdigest()


def count_look(session: Session, window: str, task: str | None = None) -> int:
    """Note that `window` of these events is looked at; returns which look this is (1, 2, ...).

    The events count, not the texts: another column of the catalogue makes no fresh tune-B.
    """
    events = events_id(session.dataset)
    with transaction(session.db) as sql:
        sql.execute(
            "insert into looks (recipe, data_hash, window, task, run, at) values (?,?,?,?,?,?)",
            [session.recipe.name, events, window, task, session.run, now()],
        )
        return sql.execute(
            "select count(*) from looks where data_hash = ? and window = ?", [events, window]
        ).fetchone()[0]
