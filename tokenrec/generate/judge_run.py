"""Asking a language model about texts that are written, and judging them again with what it said."""

import asyncio
import gc
from collections.abc import Callable, Sequence

from tokenrec.gates.base import Candidate
from tokenrec.generate.fact_judge import FactJudge, texts_to_judge, unanswered
from tokenrec.generate.run import Report, fill, save_state
from tokenrec.store import completions as store
from tokenrec.store.verdicts import Judged, save_verdicts
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.spec import TaskSpec

Progress = Callable[[Report], None]


def hear(
    db, recipe: str, spec: TaskSpec, asked: FactJudge, report: Report, rejudge: Callable[[], None], *,
    run: str | None, concurrency: int, progress: Progress = lambda report: None,
) -> Report:  # fmt: skip
    """Ask the judge about what `report`'s program wrote, and `rejudge` with its answers; what was asked.

    A text that it refuses gives way to the subject's next one, which is then asked about too. Raises BudgetStop and
    ServiceError; what is answered by then is stored and counts.
    """
    key = (recipe, spec, asked.output, report.program_id, report.lm_id)
    total = Report(asked.spec.name, program_id=asked.program_id, lm_id=asked.lm_id)
    for _ in range(spec.task.samples):
        prompts = list(texts_to_judge(db, *key))
        if total.subjects and not unanswered(db, asked, prompts):
            break
        try:
            made = ask_judge(db, recipe, asked, prompts, run=run, concurrency=concurrency, progress=progress)
        finally:
            rejudge()
        made.asked, made.usage = made.asked + total.asked, _sum(made.usage, total.usage)
        total = made
        if not made.asked:
            break
    return total


def ask_judge(
    db, recipe: str, asked: FactJudge, prompts: Sequence[Prompt], *, run: str | None, concurrency: int,
    progress: Progress = lambda report: None, current: bool = True,
) -> Report:  # fmt: skip
    """Ask what the store lacks about `prompts`. States are counted a prompt: accepted are answers that can be read.

    current: they are all that the judge is about now; otherwise they come on top (labelled texts, another program).
    """
    spec, pid, lm_id = asked.spec, asked.program_id, asked.lm_id
    report = Report(spec.name, subjects=len(prompts), program_id=pid, lm_id=lm_id, gate_id=asked.gate_id)
    save_state(db, recipe, spec, asked.program, pid, lm_id)
    store.save_subjects(db, recipe, spec.name, spec.subject, pid, lm_id, prompts, replace=current)
    left = unanswered(db, asked, prompts)
    gc.freeze()
    try:
        if left:
            asyncio.run(
                fill(db, spec, asked.program, asked.writer, asked, left, pid, lm_id, run, concurrency, progress, report)
            )
    finally:
        gc.unfreeze()
        if run:
            store.add_spend(db, run, spec.name, "judge", asked.writer.lm_id, report.usage)
        _count(db, asked, prompts, report)
        if current:
            store.set_current(db, recipe, spec.name, pid, lm_id, asked.gate_id)
    return report


def _count(db, asked: FactJudge, prompts: Sequence[Prompt], report: Report) -> None:
    """Mark new answers as malformed or accepted, and count those about `prompts`."""
    inputs = {p.hash: p.inputs for p in prompts}
    known = store.answers_to(db, asked.program_id, asked.lm_id, list(inputs))
    new, states = [], {}
    for key, (completion_id, raw, state) in known.items():
        candidate = Candidate(completion_id, asked.spec.name, "", raw, None, inputs[key])
        output, findings = asked.read(candidate), asked.check_rules(candidate)
        states[key] = "malformed" if output is None else "accepted"
        if state is None:
            new.append(Judged(completion_id, states[key], output, findings, asked.gate_id, findings))
    if new:
        save_verdicts(db, asked.gate_id, new)
    said = [states.get(p.hash) for p in prompts]
    report.accepted, report.malformed = said.count("accepted"), said.count("malformed")
    report.failed = said.count(None)


def _sum(usage, other):
    usage.add(other)
    return usage
