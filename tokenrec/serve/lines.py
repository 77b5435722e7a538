"""A line for each item of a menu, written now for this request: gated like any token, and stored nowhere.

It is the task of `recommend.line` with one input more, what the guest looks for. A line must pass that task's gates,
and once more those against the item's record alone, so that a wish is never told as a fact. What does not pass keeps
the stored line.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from tokenrec.compiler.writing import generate_with
from tokenrec.errors import InputError, ServiceError
from tokenrec.gates.base import Candidate
from tokenrec.gates.build import make_judge
from tokenrec.serve.scratch import scratch_session
from tokenrec.serve.server import Server
from tokenrec.store import completions as store
from tokenrec.tasks.inputs import Prompt, as_data, prompts
from tokenrec.tasks.program import make_program
from tokenrec.tasks.spec import InputRef, input_hash, task_spec

ASKED = "looked_for"  # the input's name


def write_lines(server: Server, looked_for: str, items: list[str], progress=lambda report: None) -> dict[str, str]:
    """item id → its line, for those whose line passed. Raises BudgetStop, ServiceError and InputError as compile
    does; ServiceError also where nothing was answered, InputError also for a recording.

    What was spent is stored under a run of its own (`tokenrec cost`), the request and its lines are not.
    """
    recipe = server.loaded.recipe
    name, output = recipe.recommend.line.split(".")
    old = task_spec(recipe, name)
    ask = f"{old.task.write} Choose what speaks to a guest who looks for what {ASKED} says."
    task = old.task.model_copy(update={"write": ask, "inputs": [*old.task.inputs, ASKED]})
    spec = replace(old, task=task, inputs=(*old.inputs, InputRef(ASKED, field=ASKED)))
    code = {i: n for n, i in enumerate(server.dataset.item_ids)}
    codes, told = np.array([code[i] for i in items], int), {t: server.tokens.get(t, {}) for t in recipe.tasks}
    plain = {p.subject: p for p in prompts(recipe, server.dataset, old, told, codes)}
    asked = []
    for p in plain.values():
        inputs = {**p.inputs, ASKED: as_data(looked_for)}
        asked.append(Prompt(p.subject, p.name, inputs, input_hash(inputs)))
    with scratch_session(server.loaded, server.dataset, Path("no store")) as (session, _):
        writer = session.open_writer(name)
        if writer.replay:  # by subject it would play the stored line as if it were new
            raise InputError(f"{writer.name} is a recording and can't write a line for a request")
        program = make_program(spec, writer, server.loaded.project.root)
        report = generate_with(session, spec, program, make_judge(recipe, spec, server.dataset), asked, progress)
        if asked and report.failed == len(asked):
            why = session.db.execute("select error from failures order by rowid desc limit 1").fetchone()
            raise ServiceError(f"{writer.name} answered nothing: {why[0] if why else 'no reason was given'}")
        lines = {s: out[output] for s, out, _ in store.token_rows(session.db, recipe.name, name) if out.get(output)}
    judge = make_judge(recipe, old, server.dataset, server.loaded.project.root)
    kept = judge.judge([_candidate(plain[s], name, output, line) for s, line in lines.items()])
    return {s: line for (s, line), verdict in zip(lines.items(), kept.values(), strict=True)
            if verdict.state == "accepted"}  # fmt: skip


def _candidate(p: Prompt, task: str, output: str, line: str) -> Candidate:
    """The line as if it had been written from the record alone."""
    return Candidate(p.subject, task, p.subject, json.dumps({output: line}), None, p.inputs, p.name)
