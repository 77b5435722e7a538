"""Promotion: may a challenger take the incumbent's place? Asked of tune-B, and counted."""

import hashlib
from dataclasses import dataclass

import numpy as np

from tokenrec.compiler.session import Session
from tokenrec.dataset.types import FIT, TUNE_B, Dataset
from tokenrec.evidence.arms import measure_arms
from tokenrec.evidence.power import promotion_alpha
from tokenrec.evidence.statistics import compare
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
    session: Session, task: str, subject: str, incumbent: str, challenger: str, blocks: dict,
    arms: dict[str, list[str]], challengers: int, on_progress=None,
) -> Promotion:  # fmt: skip
    """Retrain both arms ("incumbent", "challenger") with 5 seeds, average, and test on tune-B (CONTRACT).

    p is multiplied by the number of challengers scored; look j at one tune-B spends α_j = .05 / (j(j+1)).
    """
    look = count_look(session, "tune_b", task)
    scores = measure_arms(
        session.dataset, session.lists[FIT], session.lists[TUNE_B], blocks, arms, session.settings,
        list(range(5)), on_progress,
    )  # fmt: skip
    objective = session.recipe.objective
    by = "user" if subject == "user" else "user_item"
    difference = compare(scores, "challenger", "incumbent", objective.metric, objective.slice, by)
    alpha = promotion_alpha(look)
    p = min(1.0, challengers * difference.p_greater)
    low = difference.interval(1 - 2 * alpha)[0]
    made = Promotion(task, incumbent, challenger, difference.value, low, p, alpha, look, challengers, p < alpha)
    with transaction(session.db) as sql:
        sql.execute(
            "insert into promotions (run, recipe, task, incumbent, challenger, delta, low, p, challengers, look, alpha,"
            " promoted, at) values (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [session.run, session.recipe.name, task, incumbent, challenger, made.delta, low, p, challengers, look,
             alpha, int(made.promoted), now()],
        )  # fmt: skip
    return made


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
