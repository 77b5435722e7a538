"""Writing all tasks of a recipe with given programs, and turning what was accepted into vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenrec.compiler.selecting import Selection, choose_rest, select
from tokenrec.compiler.session import Session
from tokenrec.features.types import Vectors
from tokenrec.features.vectors import task_vectors
from tokenrec.gates.build import make_judge
from tokenrec.gates.judge import Judge
from tokenrec.generate.fact_judge import judged_outputs
from tokenrec.generate.judge_run import hear
from tokenrec.generate.run import Report, generate, judge_again
from tokenrec.generate.scorers import fact_judge, open_scorers
from tokenrec.recipe.refs import needs
from tokenrec.store import completions as store
from tokenrec.tasks.compiled import read_lock
from tokenrec.tasks.inputs import Prompt, Tokens, prompts, spooled
from tokenrec.tasks.overrides import overridden, read_overrides, told
from tokenrec.tasks.program import load_program_state, make_program, program_id, weights_of
from tokenrec.tasks.spec import TaskSpec, task_spec


@dataclass
class Prepared:
    """One task before anything is asked: its program in use, what it writes about, and its gates."""

    spec: TaskSpec
    program: Any
    program_id: str
    source_id: str  # the recipe's own program, before any compile
    judge: Judge
    prompts: Sequence[Prompt]
    selection: Selection | None = field(default=None, kw_only=True)  # what `generate:` chose
    stale: str = field(default="", kw_only=True)
    note: str = field(default="", kw_only=True)  # on what was chosen


@dataclass
class Written(Prepared):
    """One task as it stands: also what its generation did, and the vectors of its tokens."""

    report: Report
    vectors: list[Vectors]


def write_task(session: Session, name: str, progress) -> Written:
    """Generate what the store lacks for one task with its incumbent program. Raises BudgetStop, ServiceError."""
    made = prepare_task(session, name)
    report = generate_with(session, made.spec, made.program, made.judge, made.prompts, progress)
    if made.selection and made.selection.pilot:
        tokens = vectors_of(session, made.spec, made.program)
        note, pilot = choose_rest(session, made.spec, made.selection, tokens), report
        made = prepare_task(session, name)
        made.note = note
        report = generate_with(session, made.spec, made.program, made.judge, made.prompts, progress)
        report.asked += pilot.asked
        report.usage.add(pilot.usage)
    if made.spec.task.augment and session.raw is not None:
        from tokenrec.compiler.augmenting import choose_weight  # which measures with what this file writes

        made.note = choose_weight(session, made.spec, vectors_of(session, made.spec, made.program))
    return Written(**vars(made), report=report, vectors=vectors_of(session, made.spec, made.program))


def prepare_task(session: Session, name: str, unwritten: Tokens | None = None) -> Prepared:
    """The task with its incumbent program: the lock's where it has one, else the recipe's own.

    `unwritten` stands in for outputs of other tasks that are yet to be written.
    """
    spec = task_spec(session.recipe, name)
    writer = session.open_writer(name)
    program = make_program(spec, writer, session.loaded.project.root)
    source_id = program_id(spec, program, writer)
    stale = ""
    lock = read_lock(session.compiled_path(spec))
    if lock and lock.source_id != source_id:
        stale = f"{lock.path.name} was compiled for an earlier version of this task and is not used"
    elif lock:
        load_program_state(program, lock.state)
        if lock.promoted_on not in (None, session.dataset.data_hash):
            stale = f"{lock.path.name} was promoted on other data than this: compile again to see whether it still wins"
        elif lock.promoted_on and lock.promoted_by != session.reward_id:
            stale = f"{lock.path.name} was promoted by another reward: compile again to see whether it still wins"
    scorers = open_scorers(session.loaded.project, session.recipe, spec, session.db)
    judge = make_judge(session.recipe, spec, session.dataset, session.loaded.project.root, scorers)
    others = {t: told(session.db, session.recipe, session.loaded.folder, t) for t in needs(spec.task)}
    for task, outputs in others.items():
        outputs.update((unwritten or {}).get(task, {}))
    selection = select(session, spec, _most_calls(spec, program))
    codes = selection.codes if selection else None
    asked = spooled(prompts(session.recipe, session.dataset, spec, others, codes))
    return Prepared(
        spec, program, program_id(spec, program, writer), source_id, judge, asked, selection=selection, stale=stale
    )


def _most_calls(spec: TaskSpec, program) -> int:
    """LM calls that one subject may take, repairs and retries not counted."""
    answers = 1 + spec.task.agreement.samples if spec.task.agreement else spec.task.samples
    return max(len(program.named_predictors()), 1) * answers


def generate_with(
    session: Session, spec: TaskSpec, program, judge: Judge, asked: Sequence[Prompt], progress, current=True
) -> Report:
    """Write what is missing, then let language models judge it where outputs say so (not in a plan)."""
    concurrency = session.loaded.project.project.concurrency
    report = generate(
        session.db, session.recipe.name, spec, program, session.open_writer(spec.name), judge, asked, run=session.run,
        concurrency=concurrency, progress=progress, make_current=current,
    )  # fmt: skip
    for output in judged_outputs(spec.task) if session.asking else ():
        facts = fact_judge(session.loaded.project, session.recipe, spec.name, output, session.open_judge())
        made = hear(
            session.db, session.recipe.name, spec, facts, report,
            lambda: judge_again(session.db, session.recipe.name, spec, program, judge, report, current),
            run=session.run, concurrency=concurrency, progress=progress,
        )  # fmt: skip
        report.judged.append(made)
    return report


def vectors_of(session: Session, spec: TaskSpec, program) -> list[Vectors]:
    """Vectors of the task's tokens (the view `tokens`)."""
    rows = overridden(store.token_rows(session.db, spec.recipe, spec.name), read_overrides(spec, session.loaded.folder))
    weights, augment = _weights(spec, program), session.augment.get(spec.name, 1.0)
    return task_vectors(session.db, session.dataset, spec, rows, session.encoder, weights, augment)


def program_vectors(
    session: Session, spec: TaskSpec, program, report: Report, accepted_only: bool = True
) -> list[Vectors]:
    """Vectors of any program's completions: a challenger's, or with rejected ones (the ungated arm)."""
    best: dict[str, tuple] = {}
    for row in store.completions_of(session.db, session.recipe.name, spec.name, report.program_id, report.lm_id):
        usable = row.output is not None and (row.state == "accepted" or not accepted_only)
        if usable and row.subject not in best:
            best[row.subject] = (row.subject, row.token if accepted_only else row.output, row.probabilities)
    rows = list(best.values())
    if accepted_only:
        rows = overridden(rows, read_overrides(spec, session.loaded.folder))
    return task_vectors(
        session.db, session.dataset, spec, rows, session.encoder, _weights(spec, program),
        session.augment.get(spec.name, 1.0),
    )  # fmt: skip


def item_vectors(session: Session, written: Mapping[str, Written]) -> list[Vectors]:
    """What a user's text is compared with: item tasks' vectors, and the raw text; of one space, the last is met."""
    made = [v for w in written.values() if w.spec.subject == "item" for v in w.vectors]
    return [v for v in made if not v.empty] + [v for v in [session.raw] if v is not None]


def _weights(spec: TaskSpec, program) -> dict:
    return {o: weights_of(program, o) for o in spec.choices}
