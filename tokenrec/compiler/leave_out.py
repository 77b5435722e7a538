"""`tokenrec factors --measure`: which factors of a knowledge task help, by leaving each out in turn. Asks no LM."""

from typing import Any

import numpy as np

from tokenrec.compiler.baseline import prepare_baseline
from tokenrec.compiler.curve import WINDOWS, as_it_stands, count_test
from tokenrec.compiler.session import Session, open_session
from tokenrec.compiler.writing import Written
from tokenrec.dataset.types import FIT
from tokenrec.errors import InputError
from tokenrec.evidence.arms import measure_arms
from tokenrec.evidence.statistics import compare, holm
from tokenrec.ids import finite, run_id
from tokenrec.ranking.metrics import members
from tokenrec.recipe.load import LoadedRecipe, task_order


def measure_factors(loaded: LoadedRecipe, stages, on: str = "tune", most_users: int | None = None) -> dict[str, Any]:
    """The JSON document of `tokenrec factors --measure --json`, from the texts in the store.

    `on`: tune (tune-A), by which factors may be chosen, or test, which is counted as a read of it. Raises InputError
    where no item task has two outputs with texts.
    """
    run = run_id()
    session = open_session(loaded, run, most_users=most_users, asking=False)
    try:
        prepare_baseline(session, stages)
        written = {name: as_it_stands(session, name) for name in task_order(loaded.recipe)}
        if not several(written):
            raise InputError(
                f"{loaded.recipe.name}: no task about items has two outputs or more with texts in the store. "
                f"run: tokenrec compile {loaded.path}"
            )
        reads = count_test(loaded, session) if on == "test" else None
        with stages.stage(f"factors on {on}") as bar:
            tasks = factor_lifts(session, written, WINDOWS[on], lambda arm, done, total: bar.count(done, total, arm))
        objective = session.recipe.objective
        return {
            "kind": "factor_lifts", "schema_version": 1, "recipe": loaded.recipe.name,
            "simulated": loaded.recipe.data.simulated,
            "objective": {"metric": objective.metric, "slice": objective.slice}, "window": on,
            "lists": members(session.lists[WINDOWS[on]], objective.slice), "tasks": tasks, "test_reads": reads,
            "notes": session.dataset.notes,
        }  # fmt: skip
    finally:
        session.db.conn.close()


def several(written: dict[str, Written]) -> list[str]:
    """Tasks about items of which two outputs or more say something."""
    return [n for n, w in written.items() if w.spec.subject == "item" and sum(not v.empty for v in w.vectors) > 1]


def factor_lifts(session: Session, written: dict[str, Written], window: int, progress=None) -> list[dict[str, Any]]:
    """For each task of `several`, a row an output: what is lost without it, and what it adds alone to raw_text.

    Intervals are two-way, 95%; those of `left_out` are Holm-adjusted over the task's factors. What two factors both
    say is lost with neither, so that small left-out lifts of all do not mean that all could go.
    """
    objective, seeds = session.recipe.objective, list(range(session.recipe.ranker.seeds))
    blocks = session.base(window)
    base, arms = list(blocks), {"raw_text": list(blocks)}
    for task in several(written):
        told = [v for v in written[task].vectors if not v.empty]
        parts = {task: told}
        parts |= {f"{task}-{v.output}": [x for x in told if x is not v] for v in told}
        parts |= {f"{task}.{v.output}": [v] for v in told}
        for name, vectors in parts.items():
            blocks[name] = tuple(session.block(name, w, vectors) for w in (FIT, window))
            arms[f"raw_text+{name}"] = [*base, name]
    scores = measure_arms(
        session.dataset, session.lists[FIT], session.lists[window], blocks, arms, session.settings, seeds, progress
    )
    made = []
    for task in several(written):
        told = [v for v in written[task].vectors if not v.empty]

        def against(arm: str, over: str):
            return compare(scores, arm, over, objective.metric, objective.slice)

        lost = [against(f"raw_text+{task}", f"raw_text+{task}-{v.output}") for v in told]
        adjusted, levels = holm([d.p_value for d in lost])
        rows = []
        for v, without, p, level in zip(told, lost, adjusted, levels, strict=True):
            alone = against(f"raw_text+{task}.{v.output}", "raw_text")
            figures = (without.value, *without.interval(level), float(p), alone.value, *alone.interval())
            names = ("left_out", "low", "high", "p_adjusted", "alone", "low_alone", "high_alone")
            rows.append({
                "factor": v.output, "texts": int(np.isfinite(v.matrix).all(axis=1).sum()), "n": without.n,
                **{key: finite(x) for key, x in zip(names, figures, strict=True)},
            })  # fmt: skip
        whole = against(f"raw_text+{task}", "raw_text")
        low, high = whole.interval()
        made.append({
            "task": task, "lift": finite(whole.value), "low": finite(low), "high": finite(high),
            "factors": sorted(rows, key=lambda r: -(r["left_out"] or 0)),
        })  # fmt: skip
    return made
