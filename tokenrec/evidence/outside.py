"""`tokenrec eval RECIPE --completions FILE`: gate the texts that another pipeline wrote. No store, no LM.

A line is {"subject", "task", "output"}; keys beyond these are the other pipeline's own and are not read, but for
finish_reason, by which an answer that was cut off is known. The file is read once and gated from temporary files:
memory does not grow with it.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tokenrec.dataset.load import load_dataset
from tokenrec.dataset.types import Dataset
from tokenrec.errors import InputError
from tokenrec.evidence.breakdown import SLICES, slicer
from tokenrec.evidence.evaluate import Evaluation
from tokenrec.evidence.labels import Labels, read_labels
from tokenrec.evidence.texts import FLAGS, OPEN, TAKEN_OUT, TaskTexts, Text, cut, flag_of
from tokenrec.files import whole
from tokenrec.gates.base import RECALIBRATED, RISK, Candidate, Finding, Verdict
from tokenrec.gates.build import make_judge
from tokenrec.gates.judge import Batch, Judge
from tokenrec.gates.scoring import AT_ONCE, SOFT_GATES
from tokenrec.generate.scorers import open_scorers
from tokenrec.jsonl import read_lines
from tokenrec.recipe.explain import nearest
from tokenrec.recipe.load import LoadedRecipe, task_order
from tokenrec.recipe.tasks import Task
from tokenrec.spool import Spool, dump, load
from tokenrec.tasks.inputs import prompt_maker, subject_ids
from tokenrec.tasks.spec import task_spec


@dataclass
class _Task:
    """One task of the file: its gates, and what was counted so far, by code of the subject."""

    judge: Judge
    subjects: list[str]  # sorted by code point
    told: Callable[[int], Any]  # code → prompt
    batch: Batch
    texts: TaskTexts
    place: int = 0
    seen: set[int] = field(default_factory=set)  # subjects with an answer, ...
    formed: set[int] = field(default_factory=set)  # ... a well-formed one, ...
    accepted: set[int] = field(default_factory=set)  # ... an accepted one

    def code(self, subject: str) -> int | None:
        at = bisect_left(self.subjects, subject)
        return at if at < len(self.subjects) and self.subjects[at] == subject else None


def gate_file(loaded: LoadedRecipe, path: Path, verdicts: Path) -> Evaluation:
    """Gate the lines of `path` and write a verdict for each to `verdicts`, in the same order and whole or not at all.

    An answer that is not what its task asks for is a verdict (malformed). Raises InputError with file:line for what
    no LM can have done: no JSON, a missing key, a subject or task that the recipe does not have; nothing is
    written then.
    """
    recipe, labels = loaded.recipe, Labels({})
    if verdicts.resolve() == path.resolve():
        raise InputError(f"{verdicts} is the file that is read. Name another one with --verdicts")
    if recipe.eval.labels:
        labels = read_labels(loaded.folder / recipe.eval.labels, recipe.tasks, recipe.eval.labels)
    dataset = load_dataset(recipe, loaded.folder)
    tasks: dict[str, _Task] = {}

    def task_of(name: Any) -> _Task:
        if not isinstance(name, str):
            raise ValueError("task: is no text. name a task of the recipe")
        if name not in recipe.tasks:
            raise ValueError(f"task: {name} is no task of this recipe. {nearest(name, list(recipe.tasks))}")
        if name not in tasks:
            spec = task_spec(recipe, name)
            subjects = subject_ids(recipe, dataset, spec)
            told = prompt_maker(recipe, dataset, spec, {})
            texts = TaskTexts(name, before=_spooled(), after=_spooled())
            scorers = open_scorers(loaded.project, recipe, spec)
            judge = make_judge(recipe, spec, dataset, loaded.project.root, scorers)
            tasks[name] = _Task(judge, subjects, told, Batch(spec.task), texts)
        return tasks[name]

    def parse(line: dict[str, Any]) -> list:
        missing = next((k for k in ("subject", "task", "output") if k not in line), None)
        if missing:
            raise ValueError(f'lacks {missing}. a line is {{"subject": ..., "task": ..., "output": {{...}} or "text"}}')
        task, end = task_of(line["task"]), line.get("finish_reason")
        subject = line["subject"]
        subject = str(subject) if isinstance(subject, int) and not isinstance(subject, bool) else subject
        if not isinstance(subject, str):
            raise ValueError("subject: is no text. give the id that the recipe's data has")
        code = task.code(subject)
        if code is None:
            kind = task.judge.task.for_
            of = recipe.data.items if kind == "item" else recipe.data.events
            what = {"item": "item", "user": "user with events", "set": "set of items (tasks.sets.set_id)"}[kind]
            raise ValueError(f"subject: {subject[:80]} is no {what} of {of.path}. give an id of that file")
        return [line["task"], code, raw_answer(task.judge.task, line["output"]), end if isinstance(end, str) else ""]

    rows: Spool[list] = Spool()
    used: set[tuple] = set()
    with whole(verdicts) as partial, partial.open("wb") as file:  # opened first: who can't write it learns so at once
        for number, row in read_lines(path, str(path), parse):
            rows.append([number, *row])
            task = tasks[row[0]]
            candidate, name = _candidate(task, *row)
            if (output := task.judge.read(candidate)) is not None:
                task.batch.add(candidate.subject, name, candidate.record, output)
        if not len(rows):
            raise InputError(f'{path}: holds no line. write {{"subject": ..., "task": ..., "output": ...}}, one a line')
        for number, row, verdict, text in _verdicts(rows, tasks):
            file.write(_line(number, verdict, text))
            _count(tasks[row[0]], row[1], verdict, text)
            if len(labels) and text.output is not None and labels.find(text):
                used.add((text.task, text.key))
    return _evaluation(loaded, dataset, path, labels, used, tasks)


def raw_answer(task: Task, output: Any) -> str:
    """An answer as an LM would have given it: JSON. Plain text is the text of a task that writes just one text;
    elsewhere it is taken for the LM's own words, which may be JSON."""
    if isinstance(output, str):
        if len(task.outputs) == 1 and (only := next(iter(task.outputs.items())))[1].type == "text":
            return json.dumps({only[0]: output}, ensure_ascii=False)
        return output
    return json.dumps(output, ensure_ascii=False)


def _candidate(task: _Task, name: str, code: int, raw: str, end: str) -> tuple[Candidate, str]:
    told = task.told(code)
    return Candidate("", name, told.subject, raw, None, told.inputs, told.name, end), told.name


def _verdicts(rows: Spool, tasks: Mapping[str, _Task]) -> Iterator[tuple[int, list, Verdict, Text]]:
    found = {name: task.judge.look_at(task.batch) for name, task in tasks.items()}
    for number, row, candidate, findings in _checked(rows, tasks):
        task, name = tasks[row[0]], candidate.name
        output, kept = task.judge.read(candidate), None
        if output is not None:
            if all(f.passed for f in findings):
                kept, findings = task.judge.settle(candidate, output, findings + found[row[0]](task.place))
            task.place += 1
        verdict = task.judge.verdict("", findings, kept)
        where = tuple(sorted({(f.gate, f.field) for f in verdict.reasons}))
        gates = tuple(sorted({gate for gate, _ in where}))
        what = (row[0], candidate.subject, name, str(number), candidate.record, output)
        scores, said = soft_scores(verdict), soft_scores(verdict, OPEN)
        text = Text(*what, flag_of(gates), scores, gates, where, fitted_score(verdict), said)
        yield number, row, verdict, text


def _checked(rows: Spool, tasks: Mapping[str, _Task]) -> Iterator[tuple[int, list, Candidate, list[Finding]]]:
    """Each line with what its task's gates find, a page at once."""
    lines = iter(rows)
    while page := [(n, row, _candidate(tasks[row[0]], *row)[0]) for n, *row in islice(lines, AT_ONCE)]:
        found = {}
        for task in {row[0] for _, row, _ in page}:
            own = [i for i, (_, row, _) in enumerate(page) if row[0] == task]
            found |= zip(own, tasks[task].judge.check_all([page[i][2] for i in own]))
        for i, one in enumerate(page):
            yield *one, found[i]


def soft_scores(verdict: Verdict, kinds: Mapping[str, str] = FLAGS) -> dict[str, float]:
    """The worst soft score of each kind, as the store's texts have them."""
    scores = [(kind, f.score) for f in verdict.findings for kind, prefix in kinds.items()
              if f.score is not None and f.gate.startswith(prefix) and f.gate not in (RISK, RECALIBRATED)]  # fmt: skip
    return {kind: max(s for k, s in scores if k == kind) for kind in {k for k, _ in scores}}


def fitted_score(verdict: Verdict) -> float | None:
    """What a calibration makes of the judge's score; None without one."""
    return max((f.score for f in verdict.findings if f.gate == RISK and f.score is not None), default=None)


def _line(number: int, verdict: Verdict, text: Text) -> bytes:
    suspected = [f.score for f in verdict.findings if f.gate in SOFT_GATES]
    fitted = fitted_score(verdict)
    said = {
        "line": number,
        "subject": text.subject,
        "task": text.task,
        "accepted": verdict.state == "accepted",
        "malformed": verdict.state == "malformed",
        "noise": any(f.gate.startswith(FLAGS["noise"]) for f in verdict.reasons),
        "hallucination_probability": max(suspected, default=None) if fitted is None else fitted,
        "reasons": [{"gate": f.gate, "reason": f.reason, "quote": f.quote} for f in verdict.reasons],
    }
    if verdict.kept is not None:  # accepted without some sentences: this is what was accepted
        said["kept"] = verdict.kept
    # half a surrogate pair, which is no UTF-8, is written as JSON's own escape
    return json.dumps(said, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _count(task: _Task, code: int, verdict: Verdict, text: Text) -> None:
    """As for the texts of a store: a subject's first line is its first answer, its first accepted one its token."""
    first = code not in task.seen
    task.seen.add(code)
    left = text
    if text.output is not None:
        text, left = cut(text, verdict.kept, ((f.gate, f.field) for f in verdict.findings if f.gate in TAKEN_OUT))
        task.formed.add(code)
        if first:
            task.texts.before.append(text)
    elif first:
        task.texts.malformed_before += 1
    if verdict.state == "accepted" and code not in task.accepted:
        task.accepted.add(code)
        task.texts.after.append(left)


def _evaluation(
    loaded: LoadedRecipe, dataset: Dataset, path: Path, labels: Labels, used: set, tasks: dict[str, _Task]
) -> Evaluation:
    recipe = loaded.recipe
    order = [name for name in task_order(recipe) if name in tasks]
    found = Evaluation({name: tasks[name].texts for name in order}, labels)
    for name in order:
        task = tasks[name]
        task.texts.n, task.texts.malformed = len(task.seen), len(task.seen) - len(task.formed)
        shown = [*task.judge.task.inputs, *task.judge.task.shown]
        if unheard := [o for o, out in task.judge.task.outputs.items() if out.judge == "lm"]:
            said = "a language model judges it in tokenrec compile only; no probability is given here"
            found.notes.append(f"{name}.{', '.join(unheard)}: {said}")
        if refs := [text for text in shown if text.startswith("$")]:
            found.notes.append(f"{name}: gated without {', '.join(refs)}, which is in no file")
        if task.judge.task.agreement:
            found.notes.append(f"{name}: gated by the record alone: a file has no further answers")
        if (kind := task.judge.task.for_) in SLICES:
            found.slices[name] = slicer(dataset, kind)
    found.used = len(used)
    found.gone = len({(task, key) for task, key, _ in labels.by} - used)
    if found.gone:
        found.notes.append(f"{found.gone} labels are of texts that are not in {path}; they are not used")
    if labels.empty:
        found.notes.append(f"{labels.empty} lines of {recipe.eval.labels} have no label yet")
    return found


def _spooled() -> Spool[Text]:
    def write(t: Text) -> bytes:
        what = [t.task, t.subject, t.name, t.completion_id, t.record, t.output, t.flag]
        return dump([*what, t.scores, t.gates, t.where, t.fitted, t.open])

    def read(data: bytes) -> Text:
        *what, scores, gates, where, fitted, said = load(data)
        return Text(*what, scores, tuple(gates), tuple(map(tuple, where)), fitted, said)

    return Spool((), write, read)
