"""`tokenrec compile`: recipe, dataset → tasks → generate → store → features → ranking → evidence."""

import time
from dataclasses import asdict
from typing import Any

from tokenrec.compiler.baseline import prepare_baseline
from tokenrec.compiler.evidence import Evidence, measure
from tokenrec.compiler.improve import Improvement, improve, save_locks
from tokenrec.compiler.optimizers import options_of
from tokenrec.compiler.promotion import count_look, events_id
from tokenrec.compiler.record import finish_run, save_evidence, start_run
from tokenrec.compiler.request_ranker import train_request_ranker
from tokenrec.compiler.retriever import check_packages, train_retriever
from tokenrec.compiler.session import Session, open_session
from tokenrec.compiler.writing import Written, write_task
from tokenrec.dataset.queries import load_queries
from tokenrec.dataset.types import FIT, TEST, Lists
from tokenrec.errors import InputError
from tokenrec.evidence.advice import Price, advise, steps
from tokenrec.evidence.by_impression import by_impression
from tokenrec.evidence.by_position import by_position
from tokenrec.evidence.power import smallest_lift_two_way
from tokenrec.evidence.statistics import compare
from tokenrec.ids import finite, run_id
from tokenrec.ranking.own import METRIC as OWN
from tokenrec.recipe.load import LoadedRecipe, task_order
from tokenrec.recipe.models import Budget, Compile, Recipe
from tokenrec.recipe.refs import needs
from tokenrec.store.lock import only_run


def compile_recipe(
    loaded: LoadedRecipe, stages, *, optimizer: str | None = None, force: bool = False, budget: Budget | None = None,
    most_users: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The main job. Returns the JSON document of `tokenrec compile --json`.

    Raises InputError, BudgetStop, ServiceError; whatever was finished before is in the store.
    """
    began = time.perf_counter()
    recipe, options = loaded.recipe, options_of(loaded.recipe, optimizer)
    check_packages(recipe.retriever)
    run = run_id()
    with only_run(loaded.project.store, recipe.name):
        with stages.stage("load"):
            session = open_session(loaded, run, budget, most_users)
            start_run(session)
        try:
            document = _run(session, stages, options, force, began)
            finish_run(session, "finished", document)
            return document
        except BaseException as error:
            finish_run(session, "stopped" if not isinstance(error, Exception) else type(error).__name__, None)
            raise
        finally:
            session.db.conn.close()


def _run(session: Session, stages, options: Compile, force: bool, began: float) -> dict[str, Any]:
    recipe, searched = session.recipe, searched_tasks(session.recipe, options)
    queries = load_queries(recipe, session.loaded.folder, session.dataset, session.dataset.notes)  # before what is paid
    for note in session.dataset.notes:
        stages.say(f"note: {note}")
    power = prepare_baseline(session, stages)
    stages.say(
        f"smallest lift this data could show on test: {power['evidence']:.4f} {recipe.objective.metric} "
        f"({power['n_test']:,} lists)"
    )
    for name in task_order(recipe):
        session.open_writer(name)  # one that can't be used is said before another is paid
    written: dict[str, Written] = {}
    for name in task_order(recipe):
        written[name] = _write(session, name, stages)
    improvements = []
    for name in searched:  # in turn, each beside the others as they stand by then
        made = improve(session, written, name, stages, force, options)
        stages.say(f"  {name}: {made.note}")
        improvements.append(made)
        if made.promotion and made.promotion.promoted:
            _rewrite_dependents(session, written, name, stages)
    save_locks(session, written, improvements)
    retriever = train_retriever(session, stages)
    learnt = {"retriever": retriever, "request_ranker": train_request_ranker(session, queries, stages)}
    reads = count_look(session, "test")
    with stages.stage("evidence on test") as bar:
        evidence = measure(session, written, lambda arm, done, total: bar.count(done, total, arm))
        save_evidence(session, evidence)
    return _document(session, written, improvements, evidence, power, reads, began, stages) | learnt


def _write(session: Session, name: str, stages) -> Written:
    with stages.stage(f"write {name}") as bar:
        made = write_task(session, name, bar.generation)
    r = made.report
    asked = f"{r.asked} asked" if r.asked else "nothing to ask, all stored"
    stages.say(
        f"  {name}: {r.accepted} accepted, {r.rejected} rejected, {r.malformed} malformed, "
        f"{r.failed} without an answer ({asked})"
    )
    for j in r.judged:
        asked = f"{j.asked} asked" if j.asked else "nothing to ask, all stored"
        stages.say(
            f"  {j.task}: {j.accepted} of {j.subjects} texts judged, {j.malformed} malformed, {j.failed} without an "
            f"answer ({asked})"
        )
    for note in filter(None, (made.note, made.stale)):
        stages.say(f"  note: {note}")
    return made


def _rewrite_dependents(session: Session, written: dict[str, Written], changed: str, stages) -> None:
    """Tasks that are told what `changed` wrote are written anew: their inputs are others now."""
    moved = {changed}
    for name in task_order(session.recipe):
        if moved & set(needs(session.recipe.tasks[name])) - {name}:
            moved.add(name)
            session.forget(name)
            written[name] = _write(session, name, stages)


def searched_tasks(recipe: Recipe, options: Compile) -> list[str]:
    """The tasks whose prompts `compile` searches, in their order. Raises InputError for instructions of no one task."""
    if options.optimizer == "none":
        return []
    names = options.tasks or [
        n for n in task_order(recipe)
        if (task := recipe.tasks[n]).for_ == "item" and task.write and any(o.choices for o in task.outputs.values())
    ]  # fmt: skip
    if options.optimizer != "instructions":
        return names
    if isinstance(options.instructions, dict):
        for name in options.instructions:
            if name not in recipe.tasks:
                raise InputError(f"compile.instructions: there is no task {name}. There are {', '.join(recipe.tasks)}")
        return [n for n in task_order(recipe) if n in options.instructions]
    if len(names) != 1:
        raise InputError(
            "compile.instructions is a list, and several tasks are searched: write {task: [text, ...]}, or name one "
            "task under compile.tasks"
        )
    return names


def _document(
    session: Session,
    written: dict[str, Written],
    improvements: list[Improvement],
    evidence: Evidence,
    power,
    reads,
    began,
    stages,
) -> dict[str, Any]:
    recipe, used = session.recipe, session.meter.used
    looks = session.db.execute(
        "select count(*) from looks where data_hash = ? and window = 'tune_b'", [events_id(session.dataset)]
    ).fetchone()[0]
    two_way = finite(_two_way(session, evidence))
    least = max((x for x in (finite(power["evidence"]), two_way) if x is not None), default=None)
    lifts = steps(evidence.scores, recipe.objective.metric, _clusters(written))
    return {
        "kind": "compile",
        "schema_version": 1,
        "run": session.run,
        "recipe": recipe.name,
        "simulated": recipe.data.simulated,
        "objective": {"metric": recipe.objective.metric, "slice": recipe.objective.slice},
        "reward": recipe.reward and {
            "function": recipe.reward, "sha256": session.reward_id,
            "gives": "lists" if recipe.objective.metric == OWN else "candidates",
        },
        "impressions": _impressions(session, evidence),
        "by_impression": by_impression(evidence.scores) if session.dataset.slates is not None else [],
        "lm_calls": used.calls,
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "cost_usd": used.usd,
        "seconds": round(time.perf_counter() - began, 2),
        "smallest_detectable_lift": finite(power["evidence"]),
        "smallest_promotable_lift": finite(power["promotion"]),
        "smallest_detectable_lift_two_way": two_way,
        "tasks": [
            {
                "task": n, "generated": w.report.subjects - w.report.failed, "failed": w.report.failed,
                "malformed": w.report.malformed, "accepted": w.report.accepted, "rejected": w.report.rejected,
                "reject_reasons": dict(w.report.reject_reasons), "asked": w.report.asked,
                "lm_calls": w.report.usage.calls,
            }
            for n, w in written.items()
        ],
        "judges": [
            {"task": j.task, "texts": j.subjects, "judged": j.accepted, "malformed": j.malformed, "failed": j.failed,
             "asked": j.asked, "lm_calls": j.usage.calls}
            for w in written.values() for j in w.report.judged
        ],
        "arms": [a for a in evidence.arms if "~" not in a["arm"]],
        "leaderboard": [
            {k: finite(v) if isinstance(v, float) else v for k, v in asdict(r).items()} for r in evidence.leaderboard
        ],
        "contributions": [
            {k: finite(v) if isinstance(v, float) else v for k, v in asdict(o).items()} | {"agrees": o.agrees}
            for o in evidence.opinions
        ],
        "lifts": [{k: finite(v) if isinstance(v, float) else v for k, v in asdict(s).items()} for s in lifts],
        "advice": advise(
            lifts, evidence.leaderboard, [_price(session, n, w) for n, w in written.items()], recipe.objective.metric,
            recipe.objective.slice, least,
        ),
        "promotions": [
            {
                "task": i.promotion.task, "incumbent": i.promotion.incumbent, "challenger": i.promotion.challenger,
                "delta": finite(i.promotion.delta), "low": finite(i.promotion.low), "promoted": i.promotion.promoted,
                "p": finite(i.promotion.p), "alpha": i.promotion.alpha, "look": i.promotion.look,
            }
            for i in improvements if i.promotion
        ],
        "searches": [
            {
                "task": i.task, "note": i.note, "scores": i.scores, "incumbent_score": finite(i.incumbent_score),
                "lite_incumbent": finite(i.lite_incumbent), "lite_challenger": finite(i.lite_challenger),
            }
            for i in improvements
        ],
        "recall_ceiling": finite(_ceiling(session.lists[TEST])),
        "looks": {"test_reads": reads, "tune_b": looks},
        "lists": {k: power[k] for k in ("n_tune_a", "n_tune_b", "n_test")},
        "stage_seconds": [[name, round(s, 2)] for name, s in stages.seconds],
        "notes": [
            *session.dataset.notes,
            *[w.stale for w in written.values() if w.stale],
            *[f"{n}: nothing of it reaches the ranker, since it {_why_unseen(written[n])}: no verdict"
              for n in evidence.unseen if written[n].report.accepted],
        ],
    }  # fmt: skip


def _clusters(written: dict[str, Written]) -> str:
    """What `compare` resamples for all tokens together: items too, unless every task is about users."""
    return "user" if written and all(w.spec.subject == "user" for w in written.values()) else "user_item"


def _price(session: Session, name: str, task: Written) -> Price:
    """What the present program's answers took, in whichever run they were asked for."""
    calls, usd, texts = session.db.execute(
        "select coalesce(sum(calls), 0), case when sum(calls > 0 and cost_usd is null) then null else"
        " sum(case when calls > 0 then cost_usd else 0.0 end) end, count(distinct input_hash)"
        " from completions where program_id = ? and lm_id = ? and task = ?",
        [task.report.program_id, task.report.lm_id, name],
    ).fetchone()
    return Price(name, texts, calls, usd)


def _why_unseen(task: Written) -> str:
    if task.spec.task.augment:
        return "was given no weight on tune-A"
    return "compares with no item" if task.spec.task.window == "history" else "knows later events (window: all)"


def _impressions(session: Session, evidence: Evidence) -> dict[str, Any] | None:
    """The log of what was shown, and the arms on the objective with likes weighed by it; None without one."""
    shown, objective, fit = session.dataset.impressions, session.recipe.objective, session.lists[FIT]
    if shown is None:
        return None
    own = objective.metric == OWN  # a list's score can't be weighed item by item
    return {
        "rows": len(shown),
        "looked_at": [round(float(p), 4) for p in shown.looked_at[1:]],
        "likes_shown": finite(float(fit.shown[fit.label == 1].mean())) if fit.label.any() else None,
        "arms": [] if own else by_position(evidence.scores, objective.metric, objective.slice),
    }


def _ceiling(lists: Lists) -> float:
    """Share of the relevant items that are candidates; NaN without any."""
    found, missed = int(lists.label.sum()), int(lists.missed.sum())
    return found / (found + missed) if found + missed else float("nan")


def _two_way(session: Session, evidence: Evidence) -> float:
    """The same when the items are taken for a sample as well, from the test lists themselves: item texts need it."""
    objective = session.recipe.objective
    if objective.metric == OWN:
        return float("nan")  # a list's own score has no items
    difference = compare(evidence.scores, "raw_text", "behaviour", objective.metric, objective.slice)
    return smallest_lift_two_way(difference.se)
