"""`tokenrec diff`: each task's old and new prompt, and what is known of them: scores, the promotion test, cost.

New is the compiled program where one was promoted, with what it replaced as old; otherwise the best finalist of the
last search, beside the program that kept its place; otherwise the recipe's own program, where the task was edited since
it was compiled, beside the compiled one. No LM is asked, and nothing is written.
"""

import json
from typing import Any

from tokenrec.lm.writer import open_writer
from tokenrec.recipe.load import LoadedRecipe, task_order
from tokenrec.store import completions as store
from tokenrec.tasks.compiled import Compiled, compiled_path, read_lock
from tokenrec.tasks.program import make_program, program_id, program_state
from tokenrec.tasks.spec import task_spec


def diff_recipe(loaded: LoadedRecipe, db) -> dict[str, Any]:
    """The JSON document of `tokenrec diff --json`; `db` is None where there is no store yet: locks alone then speak."""
    recipe = loaded.recipe
    tasks = []
    for name in task_order(recipe):
        writer = open_writer(loaded.project, recipe.writer_of(name), asking=False)
        spec = task_spec(recipe, name)
        program = make_program(spec, writer, loaded.project.root)
        own = (program_id(spec, program, writer), program_state(program))
        path = compiled_path(loaded.project.root, recipe.name, name, writer.lm_id)
        lock = None if writer.replay else read_lock(path)
        tasks.append(_task(db, recipe.name, name, own, lock, writer.lm_id))
    lm = open_writer(loaded.project, recipe.lm.writer, asking=False)
    return {"kind": "diff", "schema_version": 1, "recipe": recipe.name, "lm": lm.lm_id, "tasks": tasks}


def _task(db, recipe: str, name: str, own: tuple[str, dict], lock: Compiled | None, lm: str) -> dict[str, Any]:
    searched, note = _last_search(db, recipe, name), ""
    won = lock.document.get("promotion") if lock else None
    earlier = None
    if lock and lock.source_id != own[0]:
        earlier, lock, won = lock, None, None
        note = "the compiled program belongs to an earlier version of this task and is not used"
    used = (lock.document["program_id"], lock.state) if lock else own
    if won:
        status, new = "promoted", used
        old_id = won.get("replaced", own[0])
        old = (old_id, _state(db, old_id) or own[1])
        found = _promotion(db, recipe, name, new[0], promoted=True)
        evidence = {"lite_old": None, "lite_new": None, **{k: won.get(k) for k in ("delta", "low", "p")}}
        evidence |= {k: found.get(k) for k in ("alpha", "look", "challengers", "at")}
        if searched and searched["challenger"].partition("~")[0] == new[0]:
            evidence |= {"lite_old": searched["lite_incumbent"], "lite_new": searched["lite_challenger"]}
    elif searched and searched.get("challenger") and searched.get("program") == used[0]:
        status, old = "not_promoted", used
        new = (searched["challenger"], searched["state"])
        found = _promotion(db, recipe, name, new[0], promoted=False)
        names = ("delta", "low", "p", "alpha", "look", "challengers", "at")
        evidence = {"lite_old": searched["lite_incumbent"], "lite_new": searched["lite_challenger"],
                    **{k: found.get(k) for k in names}}  # fmt: skip
    elif earlier:
        status, old, new, evidence = "edited", (earlier.document["program_id"], earlier.state), used, None
    else:
        status, old, new, evidence = "no_challenger", used, None, None
    if searched and not note:
        note = searched["outcome"]
    shown_old, shown_new = _shown(*old), new and _shown(*new)
    return {
        "task": name,
        "status": status,
        "old": shown_old,
        "new": shown_new,
        "changed": _changed(shown_old, shown_new),
        "evidence": evidence,
        "cost": {"old": _cost(db, old[0], lm), "new": _cost(db, new[0], lm) if new else None},
        "note": note,
    }


def _shown(program: str, state: dict) -> dict[str, Any]:
    """A program as people read it: by predictor its instruction, its worked examples and its choice weights."""
    return {
        "program": program,
        "predictors": {
            name: {
                "instructions": s["signature"]["instructions"],
                "examples": [dict(sorted(e.items())) for e in s["demos"]],  # as a lock's: else each line differs
                "weights": {o: f["weights"] for o, f in sorted(s.get("fields", {}).items()) if f.get("weights")},
            }
            for name, s in sorted(state.items())
        },
    }


def _changed(old: dict, new: dict | None) -> list[str]:
    """Which parts differ: instructions, examples, weights (only where both have been calibrated)."""
    pairs = [(old["predictors"].get(n), p) for n, p in (new or {"predictors": {}})["predictors"].items()]
    return [
        part for part in ("instructions", "examples", "weights")
        if any(a is None or a[part] != b[part] and (part != "weights" or a[part]) for a, b in pairs)
    ]  # fmt: skip


def _last_search(db, recipe: str, task: str) -> dict | None:
    """The outcome of the task's newest finished search; earlier versions kept less of it."""
    sql = "select document from searches where recipe = ? and task = ? order by at desc, rowid desc limit 1"
    row = db and db.execute(sql, [recipe, task]).fetchone()
    kept = {"challenger": "", "program": "", "state": {}, "lite_incumbent": None, "lite_challenger": None}
    return kept | json.loads(row[0]) if row else None


def _state(db, program: str) -> dict | None:
    known = db and db.execute("select 1 from programs where program_id = ?", [program]).fetchone()
    return store.told_program(db, program)[1] if known else None


def _promotion(db, recipe: str, task: str, challenger: str, promoted: bool) -> dict[str, Any]:
    """The newest promotion test of a challenger; a lock names a program without what `~` adds for its weights."""
    if not db:
        return {}
    rows = db.query(
        "select delta, low, p, alpha, look, challengers, at, challenger from promotions"
        " where recipe = ? and task = ? and promoted = ? order by id desc",
        [recipe, task, int(promoted)],
    )
    return next((r for r in rows if challenger in (r["challenger"], r["challenger"].partition("~")[0])), {})


def _cost(db, program: str, lm: str) -> dict[str, Any] | None:
    """What the answers of a program that are stored have cost in all; None without any."""
    row = db and db.execute(
        "select count(*), sum(calls), sum(prompt_tokens), sum(completion_tokens),"
        " case when sum(calls > 0 and cost_usd is null) then null else sum(coalesce(cost_usd, 0.0)) end"
        " from completions where program_id = ? and substr(lm_id, 1, ?) = ?",
        [program.partition("~")[0], len(lm) + 1, f"{lm}#"],
    ).fetchone()
    names = ("answers", "calls", "prompt_tokens", "completion_tokens", "cost_usd")
    return dict(zip(names, row, strict=True)) if row and row[0] else None
