"""`tokenrec plan`: what a compile would ask. It goes compile's way on a copy of the store, and asks nothing."""

from collections.abc import Mapping
from typing import Any

from tokenrec.compiler.baseline import prepare_baseline
from tokenrec.compiler.compile import searched_tasks
from tokenrec.compiler.estimate import Estimate, estimate
from tokenrec.compiler.improve import why_not_searched
from tokenrec.compiler.optimizers import PROPOSING, options_of
from tokenrec.compiler.retriever import planned_training
from tokenrec.compiler.search import FEWEST_EXAMPLES, PROPOSALS, TOO_FEW, calls_each, examples_scored
from tokenrec.compiler.session import Session, open_session
from tokenrec.compiler.stale import stored_verdicts, why_judged, why_stale
from tokenrec.compiler.writing import Prepared, generate_with, prepare_task
from tokenrec.dataset.queries import load_queries
from tokenrec.generate.fact_judge import asked_inputs, judged_outputs, texts_to_judge, unanswered
from tokenrec.generate.run import completion_lm, missing, most_samples
from tokenrec.generate.scorers import fact_judge
from tokenrec.ids import canonical_json, finite
from tokenrec.lm.writer import Writer, open_writer
from tokenrec.recipe.load import LoadedRecipe, task_order
from tokenrec.recipe.models import Compile
from tokenrec.recipe.refs import needs
from tokenrec.store import completions as store
from tokenrec.tasks.inputs import Prompt, Tokens
from tokenrec.tasks.program import saved_weights, weights_of

UNWRITTEN = "A sentence of a dozen words that is yet to be written. And another."  # how long a text is, at a guess
YET = "(yet to be written: "


def plan_recipe(
    loaded: LoadedRecipe, stages, *, optimizer: str | None = None, force: bool = False, most_users: int | None = None
) -> dict[str, Any]:
    """The JSON document of `tokenrec plan --json`. Nothing is asked and nothing is written.

    Raises InputError where compile would, ServiceError when the store can't be read.
    """
    options = options_of(loaded.recipe, optimizer)
    session = open_session(loaded, "plan", most_users=most_users, asking=False)
    try:
        load_queries(loaded.recipe, loaded.folder, session.dataset, session.dataset.notes)
        power = prepare_baseline(session, stages)
        made, used, tasks, unwritten = {}, {}, [], {}
        with stages.stage("plan tasks", len(loaded.recipe.tasks)) as bar:
            for name in task_order(loaded.recipe):
                made[name], used[name], planned, waiting = _plan_task(session, name, unwritten)
                judged = judged_outputs(made[name].spec.task)
                tasks += [planned, *(_plan_judge(session, made[name], output, waiting) for output in judged)]
                bar.step()
        names = searched_tasks(loaded.recipe, options)
        searches = [_plan_search(session, made, used, name, force, options) for name in names]
        if said := planned_training(session):
            session.dataset.notes.append(said)
        return _document(session, power, made, tasks, searches)
    finally:
        session.db.conn.close()


def _plan_task(
    session: Session, name: str, unwritten: Tokens
) -> tuple[Prepared, Estimate, dict[str, Any], dict[str, Prompt]]:
    """What one task would ask, and about which prompts (by hash). What it has yet to write is noted in `unwritten`, for
    the tasks that show it.

    Each such output is stood in for by a text that no stored prompt holds: the records that show it are then missing,
    and the others are not.
    """
    db, writer = session.db, session.open_writer(name)
    made = prepare_task(session, name, unwritten)
    spec, lm_id = made.spec, completion_lm(made.spec, writer)
    most = most_samples(spec, writer)
    jobs = list(missing(db, spec, made.judge, made.prompts, made.program_id, lm_id, most))
    waiting = {p.hash for p, _ in jobs}
    fed = {
        source: {p.subject for p in made.prompts if f"{YET}{source} " in canonical_json(p.inputs)}
        for source in needs(spec.task) if source in unwritten
    }  # fmt: skip
    reasons = why_stale(db, made, writer, jobs, fed)
    known = stored_verdicts(db, made, lm_id)
    calibrated = _calibrated(db, made, lm_id)
    used = estimate(db, spec, made.program, made.program_id, writer, [p for p, _ in jobs])
    shown = any(name in needs(other) for other in session.recipe.tasks.values())
    # as compile would: what is there is judged, and is what other tasks and language models that judge are told
    if shown or not jobs or judged_outputs(spec.task):
        stored = [p for p in made.prompts if p.hash not in waiting]
        report = generate_with(session, spec, made.program, made.judge, stored, lambda report: None)
        if not jobs and not reasons and known and (why := why_judged(known, report.gate_id)):
            reasons = [why]
    if jobs:
        unwritten[name] = {
            p.subject: dict.fromkeys(spec.outputs, f"{YET}{name} {p.hash})")
            for p in made.prompts if p.hash in waiting or not calibrated
        }  # fmt: skip
    whole = sum((most - sample) / most for _, sample in jobs) if spec.task.agreement else len(jobs)
    row = _row(session, name, writer, used, len(jobs), len(made.prompts), reasons, whole)
    return made, used, row, {p.hash: p for p, _ in jobs}


def _plan_judge(session: Session, made: Prepared, output: str, waiting: Mapping[str, Prompt]) -> dict[str, Any]:
    """What the language model that judges an output would be asked: about the texts that are there and it has not
    answered about, and at most one a record that is yet to be written."""
    db, spec, writer = session.db, made.spec, session.open_judge()
    judge = fact_judge(session.loaded.project, session.recipe, spec.name, output, writer)
    lm_id = completion_lm(spec, session.open_writer(spec.name))
    there = list(texts_to_judge(db, spec.recipe, spec, output, made.program_id, lm_id))
    left = unanswered(db, judge, there)
    yet = [Prompt(p.subject, p.name, asked_inputs(UNWRITTEN, p.inputs), p.hash) for p in waiting.values()]
    used = estimate(db, judge.spec, judge.program, judge.program_id, writer, [*left, *yet])
    reasons = [f"{len(left):,} texts without an answer"] if left else []
    reasons += [f"at most {len(yet):,} texts yet to be written"] if yet else []
    return _row(session, judge.spec.name, writer, used, len(left) + len(yet), len(there) + len(yet), reasons)


def _row(
    session: Session, name: str, writer: Writer, used: Estimate, records: int, subjects: int, reasons: list[str],
    whole: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A task's row. `whole`: records, those that lack only further answers counted in part."""
    whole = records if whole is None else whole
    prompt, completion = round(whole * used.prompt_tokens), round(whole * used.completion_tokens)
    cached = {"cached_tokens": round(prompt * used.cached)}
    usage = writer.usage({"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": cached})
    most = session.loaded.project.project.concurrency
    at_once = min(writer.at_once or most, most)
    return {
        "task": name,
        "calls": max(round(whole * used.calls), records),
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "cost_usd": usage.usd if records else 0.0,
        "minutes": _minutes(whole, used.seconds, at_once),
        "stale_because": reasons,
        "subjects": subjects,
        "records": records,
        "rests_on": used.basis if records else None,
    }


def _calibrated(db, made: Prepared, lm_id: str) -> bool:
    """Whether scored outputs are read as they will be: weights, once made, stay with a program."""
    if not any(name == "choose" for name, _ in made.program.named_predictors()):
        return True
    saved = saved_weights(store.load_program(db, made.program_id, lm_id) or {}, made.spec)
    return any(weights_of(made.program, o) or saved[o] for o in made.spec.choices)


def _minutes(records: int, seconds: float | None, at_once: int) -> float | None:
    if not records:
        return 0.0
    return None if seconds is None else round(records * seconds / min(at_once, records) / 60, 2)


def _plan_search(
    session: Session, made: Mapping[str, Prepared], used: Mapping[str, Estimate], name: str, force: bool,
    options: Compile,
) -> dict[str, Any]:  # fmt: skip
    """The most calls that the search of one task may add: scoring, finalists, and what follows a promotion."""
    recipe, programs = session.recipe, options.programs(name)
    each = calls_each(session, made[name].spec, made[name].program, made[name].prompts)
    n = examples_scored(options, name, len(made[name].prompts), each)
    why_not = why_not_searched(session, made, name, force, options)
    why_not = why_not or (TOO_FEW.format(n, made[name].spec.subject) if n < FEWEST_EXAMPLES else "")
    if why_not:
        return {"task": name, "calls_at_most": 0, "note": why_not}
    calls = {t: round(len({p.hash for p in m.prompts}) * used[t].calls) for t, m in made.items()}
    if options.optimizer == "reanchor":  # it reads the stored answers anew
        scoring = finals = 0
    else:
        scoring = round(programs * n * used[name].calls) + PROPOSALS * programs * (options.optimizer in PROPOSING)
        scoring = min(scoring, options.budget.calls or scoring)
        finals = options.finalists * calls[name]
    moved = {name}
    for other in task_order(recipe):
        if moved & set(needs(recipe.tasks[other])):
            moved.add(other)
    anew = sum(calls[t] for t in moved - {name})
    note = f"{scoring:,} to score {programs} programs, {finals:,} should one be a finalist"
    if anew:
        note += f", {anew:,} should it be promoted ({', '.join(t for t in made if t in moved - {name})})"
    return {"task": name, "calls_at_most": scoring + finals + anew, "note": note}


def _document(session: Session, power: dict, made: Mapping[str, Prepared], tasks: list, searches: list) -> dict:
    recipe = session.recipe
    more = sum(s["calls_at_most"] for s in searches)
    return {
        "kind": "plan",
        "schema_version": 1,
        "recipe": recipe.name,
        "simulated": recipe.data.simulated,
        "lm": open_writer(session.loaded.project, recipe.lm.writer, asking=False).lm_id,  # no task may ask it
        "objective": {"metric": recipe.objective.metric, "slice": recipe.objective.slice},
        "nothing_to_do": not any(t["calls"] or t["stale_because"] for t in tasks) and not more,
        "tasks": tasks,
        "total": {k: _sum(t[k] for t in tasks) for k in (
            "calls", "prompt_tokens", "completion_tokens", "cost_usd", "minutes"
        )},
        "searches": searches,
        "search_calls_at_most": more,
        "smallest_detectable_lift": finite(power["evidence"]),
        "smallest_promotable_lift": finite(power["promotion"]),
        "lists": {k: power[k] for k in ("n_tune_a", "n_tune_b", "n_test")},
        "notes": [*session.dataset.notes, *_own_writers(session), *(m.stale for m in made.values() if m.stale),
                  *_limits(session, tasks)],
    }  # fmt: skip


def _own_writers(session: Session) -> list[str]:
    tasks = session.recipe.tasks
    return [f"{name} asks {session.open_writer(name).lm_id}" for name, task in tasks.items() if task.writer]


def _sum(values) -> float | None:
    """The sum, unknown when a part is."""
    values = list(values)
    return None if None in values else sum(values)


def _limits(session: Session, tasks: list[dict]) -> list[str]:
    """The limits of the budget that this would pass: what is played back counts towards none."""
    limits, own = session.meter.budget.model_dump(), session.recipe.tasks
    tasks = [t for t in tasks if not (t["task"] in own and session.open_writer(t["task"]).replay)]
    need = {
        "calls": _sum(t["calls"] for t in tasks),
        "lm_tokens": _sum(t["prompt_tokens"] + t["completion_tokens"] for t in tasks),
        "usd": _sum(t["cost_usd"] for t in tasks),
        "minutes": _sum(t["minutes"] for t in tasks),
    }
    return [
        f"budget.{name} {limit:g} will not do: about {need[name]:g} are needed. The run stops there, and goes on when "
        "it is started again"
        for name, limit in limits.items() if limit is not None and (need[name] or 0) > limit
    ]  # fmt: skip
