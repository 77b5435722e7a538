"""`tokenrec curve`: the lift of each task against the share of its subjects that were written about. Asks no LM."""

from dataclasses import asdict, replace
from typing import Any

from tokenrec.compiler.baseline import prepare_baseline
from tokenrec.compiler.promotion import count_look
from tokenrec.compiler.session import Session, open_session
from tokenrec.compiler.writing import Written, generate_with, prepare_task, vectors_of
from tokenrec.dataset.types import FIT, TEST, TUNE_A
from tokenrec.errors import InputError
from tokenrec.evidence.arms import measure_arms
from tokenrec.evidence.curve import SHARES, enough, first_of, points, thinned
from tokenrec.generate.run import completion_lm, missing, most_samples
from tokenrec.ids import finite, run_id
from tokenrec.ranking.metrics import members
from tokenrec.recipe.load import LoadedRecipe, task_order
from tokenrec.store.store import open_store

WINDOWS = {"tune": TUNE_A, "test": TEST}


def curve_recipe(loaded: LoadedRecipe, stages, on: str = "tune", only: str = "", most_users: int | None = None) -> dict:
    """The JSON document of `tokenrec curve --json`; a ranker is trained for each share, task and seed.

    `on`: tune (tune-A) or test, which is counted as a read of it. Raises InputError where nothing is written yet.
    """
    if only and only not in loaded.recipe.tasks:
        raise InputError(f"there is no task {only}. There are {', '.join(loaded.recipe.tasks)}")
    run = run_id()
    session = open_session(loaded, run, most_users=most_users, asking=False)
    try:
        prepare_baseline(session, stages)
        with stages.stage("texts", len(loaded.recipe.tasks)) as bar:
            written = {}
            for name in task_order(loaded.recipe):
                written[name] = as_it_stands(session, name)
                bar.step()
        chosen = {n: w for n, w in written.items() if only in ("", n) and not all(v.empty for v in w.vectors)}
        if not chosen:
            what = f"nothing of {only}" if only else "nothing"
            raise InputError(f"{what} is written and accepted yet. run: tokenrec compile {loaded.path}")
        reads = count_test(loaded, session) if on == "test" else None
        return _document(session, written, chosen, on, reads, stages)
    finally:
        session.db.conn.close()


def as_it_stands(session: Session, name: str) -> Written:
    """What the store has of a task, judged by today's gates on the copy; nothing is asked."""
    made = prepare_task(session, name)
    writer = session.open_writer(name)
    lm_id, most = completion_lm(made.spec, writer), most_samples(made.spec, writer)
    jobs = missing(session.db, made.spec, made.judge, made.prompts, made.program_id, lm_id, most)
    waiting = {p.hash for p, _ in jobs}
    made.prompts = [p for p in made.prompts if p.hash not in waiting]
    report = generate_with(session, made.spec, made.program, made.judge, made.prompts, lambda report: None)
    return Written(**vars(made), report=report, vectors=vectors_of(session, made.spec, made.program))


def count_test(loaded: LoadedRecipe, session: Session) -> int:
    """Note the read in the store itself: the session has a copy."""
    db = open_store(loaded.project.store)
    try:
        return count_look(replace(session, db=db), "test")
    finally:
        db.conn.close()


def _document(
    session: Session, written: dict[str, Written], chosen: dict[str, Written], on: str, reads: int | None, stages
) -> dict[str, Any]:
    recipe, objective = session.recipe, session.recipe.objective
    window, seeds = WINDOWS[on], list(range(session.recipe.ranker.seeds))
    lists = session.lists[FIT], session.lists[window]
    items = [v for w in written.values() if w.spec.subject == "item" for v in w.vectors]
    base = session.base(window)
    tasks, unseen, scores = [], [], None
    with stages.stage(f"curve on {on}", (1 + len(SHARES) * len(chosen)) * len(seeds)) as bar:

        def measure(arms: dict[str, list[str]], blocks: dict) -> Any:
            return measure_arms(
                session.dataset, *lists, base | blocks, arms, session.settings, seeds, lambda *_: bar.step()
            )

        scores = measure({"raw_text": list(base)}, {})
        for name, task in chosen.items():
            ids = session.dataset.item_ids if task.spec.subject == "item" else session.dataset.user_ids
            subjects = sorted(p.subject for p in task.prompts)
            arms = {}
            for share in SHARES:  # one at a time: columns of one share are dropped before the next ones are made
                vectors = [thinned(v, ids, first_of(subjects, share)) for v in task.vectors]
                block = tuple(session.block(name, w, vectors, [*items, session.raw]) for w in (FIT, window))
                if not block[0].matrix.shape[1]:
                    break
                arms[share] = f"{name} {share:g}"
                found = measure({arms[share]: [*base, name]}, {name: block})
                scores.take(found, arms[share])
            if not arms:
                unseen.append(name)
                continue
            by = "user" if task.spec.subject == "user" else "user_item"
            curve = points(scores, arms, len(subjects), objective.metric, objective.slice, by)
            tasks.append({
                "task": name, "subjects": len(subjects), "enough": enough(curve),
                "points": [{k: finite(v) if isinstance(v, float) else v for k, v in asdict(p).items()} for p in curve],
            })  # fmt: skip
    return {
        "kind": "curve", "schema_version": 1, "recipe": recipe.name, "simulated": recipe.data.simulated,
        "objective": {"metric": objective.metric, "slice": objective.slice}, "window": on,
        "lists": members(session.lists[window], objective.slice),
        "raw_text": finite(scores.mean("raw_text", objective.metric, objective.slice)), "tasks": tasks,
        "test_reads": reads,
        "notes": [*session.dataset.notes,
                  *[f"{n}: nothing of it reaches the ranker, since it compares with no item" for n in unseen]],
    }  # fmt: skip
