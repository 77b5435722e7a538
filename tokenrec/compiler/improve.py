"""One task's way through the sieves: completion scores → lite on tune-A → promotion on tune-B."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tokenrec.compiler.optimizers import PROPOSING, why_not_optimized
from tokenrec.compiler.own_lite import OwnLite
from tokenrec.compiler.promotion import Promotion, decide_promotion
from tokenrec.compiler.requests import accepted_rows, decide_requests, sets_of
from tokenrec.compiler.reward import LiteScore
from tokenrec.compiler.search import Proposal, search
from tokenrec.compiler.session import Session
from tokenrec.compiler.writing import Prepared, Written, generate_with, item_vectors, program_vectors, vectors_of
from tokenrec.dataset.types import FIT, TUNE_A, TUNE_B
from tokenrec.features.types import Vectors
from tokenrec.ids import canonical_json, content_id, finite
from tokenrec.ranking.metrics import members
from tokenrec.recipe.models import Compile
from tokenrec.store import completions as store
from tokenrec.store.store import now, transaction
from tokenrec.tasks.compiled import compiled_for, write_lock
from tokenrec.tasks.program import DECODE_VERSION, program_state
from tokenrec.tasks.spec import TaskSpec

SEARCH_VERSION = 5  # raise it with any change of search, score, *lite* or promotion: stored outcomes are then stale
FEWEST_OWNERS = 50  # people with requests, in either half, below which the search of a set task is skipped
FEWEST_LISTS = 400  # tune-A lists below which a search is skipped (CONTRACT)


@dataclass
class Improvement:
    """What became of one task's search, in words and figures."""

    task: str
    note: str = ""
    scores: list[float] = field(default_factory=list)
    incumbent_score: float | None = None
    program: str = ""  # the incumbent's id
    challenger: str = ""  # the best finalist's
    state: dict = field(default_factory=dict)  # its program
    lite_incumbent: float | None = None
    lite_challenger: float | None = None
    promotion: Promotion | None = None


def improve(
    session: Session, written: dict[str, Written], name: str, stages, force: bool = False,
    options: Compile | None = None,
) -> Improvement:  # fmt: skip
    """Search a better prompt for task `name`; the others' incumbents stay in place.

    A search that this store has finished for the same data, incumbent, gates, LM and options is not repeated; one that
    was cut off goes on. `options` are the recipe's `compile` unless given.
    """
    task, spec, options = written[name], written[name].spec, options or session.recipe.compile
    made = Improvement(name, why_not_searched(session, written, name, force, options))
    if made.note:
        return made
    search_id = _search_id(session, written, name, options)
    meter = session.meter.child(options.budget)
    with stages.stage(f"search {name}", options.programs(name)) as bar:
        found = search(
            session, spec, task.program, task.prompts, task.vectors, task.judge, meter, bar.count, options, search_id,
            item_vectors(session, written),
        )  # fmt: skip
    made.scores, made.incumbent_score = [p.score for p in found.proposals], found.incumbent
    made.note, made.program = found.note, task.program_id
    if found.spent:
        session.meter.check()  # the run's own limit: it stops here, and the next run goes on
    if not found.finished:
        return made
    better = [p for p in found.proposals if p.score > found.incumbent][: options.finalists]
    outcome = "no candidate scored above the incumbent"
    if better:
        finals = _request_finals if spec.subject == "set" else _finals
        outcome = finals(session, written, name, better, found.challengers, made, stages)
    made.note = "; ".join(x for x in (found.note, outcome) if x)
    _remember(session, written, made, outcome, search_id)
    return made


def _remember(session: Session, written: dict[str, Written], made: Improvement, outcome: str, key: str) -> None:
    """Store what came of a search, so that it is not run twice."""
    with transaction(session.db) as sql:
        document = {
            "outcome": outcome, "scores": made.scores, "incumbent": finite(made.incumbent_score),
            "program": made.program, "challenger": made.challenger, "lite_incumbent": finite(made.lite_incumbent),
            "lite_challenger": finite(made.lite_challenger), "state": made.state,
        }  # fmt: skip
        sql.execute(
            "insert or replace into searches values (?,?,?,?,?,?)",
            [key, session.recipe.name, made.task, session.run, canonical_json(document), now()],
        )


def why_not_searched(
    session: Session, tasks: Mapping[str, Prepared], name: str, force: bool = False, options: Compile | None = None
) -> str:
    """Why `compile` would not search task `name`; empty when it would."""
    options = options or session.recipe.compile
    spec, lists = tasks[name].spec, members(session.lists[TUNE_A], session.recipe.objective.slice)
    if spec.subject == "set" and (why := _too_few_owners(session, spec)) and not force:
        return why
    if spec.subject != "set" and lists < FEWEST_LISTS and not force:
        return f"{lists} tune-A lists are too few to choose a prompt on (it takes {FEWEST_LISTS}; --force overrides)"
    if session.open_writer(name).replay:
        return "recorded completions can't answer new prompts"
    if spec.task.window == "all":
        return "texts of window: all know what a promotion is tested on"
    if spec.subject != "set" and not any(_meets_items(tasks, spec, output) for output in spec.outputs):
        return "nothing of it reaches the ranker: it has no text, and no choices that an item task has too"
    if why := why_not_optimized(spec, tasks[name].program, options.optimizer):
        return why
    if options.optimizer == "instructions" and not options.written(name):
        return "compile.instructions has none for this task"
    search_id = _search_id(session, tasks, name, options)
    known = session.db.execute("select document from searches where search_id = ?", [search_id]).fetchone()
    return "searched before, nothing has changed since: " + json.loads(known[0])["outcome"] if known else ""


def _meets_items(tasks: Mapping[str, Prepared], spec: TaskSpec, output: str) -> bool:
    """Whether an output is about items, or can be compared with what is: with their own text, or the same choices."""
    if spec.subject == "item" or spec.outputs[output].type == "text" or spec.outputs[output].words_each:
        return True
    of_items = [c for t in tasks.values() if t.spec.subject == "item" for c in t.spec.choices.values()]
    return spec.choices.get(output) in of_items


def _search_id(session: Session, written: Mapping[str, Prepared], name: str, options: Compile) -> str:
    """All that a search's outcome rests on. After a promotion it names the new incumbent, which the search found;
    should its lock go away, the task is searched again."""
    task, recipe = written[name], session.recipe
    return content_id([
        SEARCH_VERSION, DECODE_VERSION, name, task.program_id, task.judge.gate_id + task.judge.settle_id,
        session.open_writer(name).lm_id,
        task.spec.decode(), task.spec.task.samples, [p.hash for p in task.prompts], recipe.ranker.model_dump(),
        session.dataset.data_hash, session.encoder.encoder_id, options.model_dump(),
        recipe.objective.model_dump(), [o.source_id for n, o in sorted(written.items()) if n != name],
        recipe.lm.reflector if options.optimizer in PROPOSING else "",
        *([session.reward_id] if session.reward_id else []),
    ])  # fmt: skip


def _finals(
    session: Session, written: dict, name: str, finalists: list[Proposal], challengers: int, made: Improvement, stages
) -> str:
    """Write all subjects with each finalist, score it by *lite*, test the best one for promotion."""
    task, spec, met = written[name], written[name].spec, item_vectors(session, written)
    others = {
        other: (w.vectors, met) for other, w in written.items()
        if other != name and not all(v.empty for v in w.vectors)
    }  # fmt: skip
    with stages.stage("lite", 2) as bar:
        if session.recipe.reward:
            lite_score = OwnLite(session, others)
        else:
            lite_score = LiteScore(session, others, task.vectors, met)
        bar.step()
        made.lite_incumbent = lite_score(task.vectors, met) if task.vectors else 0.0  # of weight 0
        bar.step()
    best = None
    for finalist in finalists:
        program, report = finalist.program, task.report
        if not finalist.weights:  # a new reading of the incumbent's answers asks for none
            _forget_weights(program)
            with stages.stage(f"finalist {name}", len(task.prompts)) as bar:
                report = generate_with(session, spec, program, task.judge, task.prompts, bar.generation, current=False)
        vectors = (_weighed if spec.task.augment else program_vectors)(session, spec, program, report)
        with stages.stage("lite", 1) as bar:
            score = lite_score(vectors, met) if vectors else -np.inf
            bar.step()
        if best is None or score > best[0]:
            best = (score, finalist, report, vectors)
    score, finalist, report, vectors = best
    if not vectors:
        made.challenger = report.program_id
        return "tune-A gives what the best finalist invents no weight; no look at tune-B was spent"
    program = finalist.program
    made.lite_challenger, made.state = score, program_state(program)
    made.challenger = report.program_id
    if finalist.weights:  # the same prompt: another program only in how it is read
        made.challenger += "~" + content_id(made.state)[:8]
    if score <= made.lite_incumbent:
        return (
            f"the best finalist is no better on tune-A (lite {score:+.4f} against {made.lite_incumbent:+.4f}); "
            "no look at tune-B was spent"
        )
    with stages.stage("promotion on tune-B", 10) as bar:
        blocks = {
            other: tuple(session.columns(other, win, columns, met) for win in (FIT, TUNE_B))
            for other, (columns, met) in others.items()
        }
        made.promotion = decide_promotion(
            session, name, spec.subject, (task.program_id, task.vectors), (made.challenger, vectors), blocks,
            challengers, lambda arm, done, total: bar.count(done, total), met,
        )  # fmt: skip
    if not made.promotion.promoted:
        test = made.promotion
        return f"the challenger's gain is not proved ({test.delta:+.4f}, p = {test.p:.3f}, level {test.alpha:.3f})"
    if finalist.weights:  # judged anew by what they are read as now; nothing is asked
        report = generate_with(session, spec, program, task.judge, task.prompts, lambda report: None)
    store.set_current(session.db, session.recipe.name, name, report.program_id, report.lm_id, report.gate_id)
    task.program, task.program_id, task.report = program, report.program_id, report
    if spec.task.augment:
        session.augment[name] = vectors[0].augment[0]
    task.vectors = vectors_of(session, spec, program)
    for source in (name, *others):  # a user's columns meet the items': they are made anew
        session.forget(source)
    return f"promoted ({made.promotion.delta:+.4f}, p = {made.promotion.p:.3f})"


def _weighed(session: Session, spec: TaskSpec, program, report) -> list[Vectors]:
    """A finalist's inventions at the weight that tune-A gives them, none where that is 0; the incumbent's stays."""
    from tokenrec.compiler.augmenting import choose_weight

    own = session.augment.get(spec.name)
    try:
        session.augment[spec.name] = 1.0  # as if in use: a program of weight 0 has no vectors
        choose_weight(session, spec, program_vectors(session, spec, program, report))
        return program_vectors(session, spec, program, report)
    finally:
        session.augment[spec.name] = own if own is not None else 0.0


def _too_few_owners(session: Session, spec: TaskSpec) -> str:
    sets = sets_of(session, spec)
    able = np.array([bool(h) for h in sets.hidden], bool)
    owners = [len(set(sets.owner[able & part].tolist())) for part in (sets.choosing, ~sets.choosing)]
    if min(owners, default=0) >= FEWEST_OWNERS:
        return ""
    return (
        f"{owners[0]} people to choose a prompt on and {owners[1]} to test it on have liked more than their prompts "
        f"show, which is too few (it takes {FEWEST_OWNERS} each; --force overrides)"
    )


def _request_finals(
    session: Session, written: dict, name: str, finalists: list[Proposal], challengers: int, made: Improvement, stages
) -> str:
    """Write all requests with the best finalist and test it on the owners who had no part in choosing it."""
    task, spec, program = written[name], written[name].spec, finalists[0].program
    with stages.stage(f"finalist {name}", len(task.prompts)) as bar:
        report = generate_with(session, spec, program, task.judge, task.prompts, bar.generation, current=False)
    made.state, made.challenger = program_state(program), report.program_id
    rows = [accepted_rows(session, spec, p, report.lm_id) for p in (task.program_id, report.program_id)]
    with stages.stage("promotion", 1) as bar:
        made.promotion = test = decide_requests(
            session, spec, sets_of(session, spec), (task.program_id, rows[0]), (made.challenger, rows[1]), challengers
        )
        bar.step()
    if not test.promoted:
        return f"the challenger's gain is not proved ({test.delta:+.4f}, p = {test.p:.3f}, level {test.alpha:.3f})"
    store.set_current(session.db, session.recipe.name, name, report.program_id, report.lm_id, report.gate_id)
    task.program, task.program_id, task.report = program, report.program_id, report
    return f"promoted ({test.delta:+.4f} in what requests find, p = {test.p:.3f})"


def save_locks(session: Session, written: dict[str, Written], improvements: list[Improvement]) -> None:
    """Write every task's program in use under programs/compiled/."""
    by_task = {i.task: i for i in improvements}
    for name, task in written.items():
        if (writer := session.open_writer(name)).replay:
            continue
        tested = by_task.get(name) and by_task[name].promotion
        path = session.compiled_path(task.spec)
        previous = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        keep = previous.get("program_id") == task.program_id and not (tested and tested.promoted)
        write_lock(path, {
            "task": name,
            "recipe": session.recipe.name,
            "lm_id": writer.lm_id,
            "program_id": task.program_id,
            "source_id": task.source_id,
            "state": program_state(task.program),
            "compiled_for": compiled_for(session.recipe, session.dataset.data_hash, session.reward_id),
            "promotion": _promotion(previous) if keep else (
                {"delta": round(tested.delta, 6), "low": round(tested.low, 6), "p": round(tested.p, 6),
                 "data_hash": session.dataset.data_hash, "replaced": tested.incumbent,
                 **({"reward": session.reward_id} if session.reward_id else {})}
                if tested and tested.promoted else None
            ),
        })  # fmt: skip


def _promotion(lock: dict) -> dict | None:
    """A lock's promotion; an earlier version kept its data with the lock's own."""
    made = lock.get("promotion")
    return made and {"data_hash": lock["compiled_for"]["data_hash"], "replaced": lock["source_id"], **made}


def _forget_weights(program) -> None:
    """A new prompt has its own calibration."""
    for _, predictor in program.named_predictors():
        predictor.fields = {}
