"""Worklist → completions → verdicts, for one task and one program.

The worklist is what the store lacks, so a run that was killed goes on where it stopped and an
unchanged one asks nothing. Answers are stored before they are judged; failures never are.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tokenrec.errors import BudgetStop, ServiceError
from tokenrec.gates.base import Candidate
from tokenrec.gates.judge import Judge
from tokenrec.ids import canonical_json, content_id
from tokenrec.lm.meter import Usage
from tokenrec.lm.writer import Writer
from tokenrec.store import completions as store
from tokenrec.store.completions import Key
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.program import DECODE_VERSION, Answer, ask, calibrate, decode, program_id, program_state, weights_of
from tokenrec.tasks.spec import TaskSpec

CHUNK = 256  # subjects looked up in the store at a time
GIVE_UP = 8  # failures in a row after which the service is called gone


@dataclass
class Report:
    """What one task's generation did. States are counted a subject, by its best sample."""

    task: str
    subjects: int = 0
    asked: int = 0  # completions that were asked for in this run
    failed: int = 0
    malformed: int = 0
    rejected: int = 0
    accepted: int = 0
    reject_reasons: Counter = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)
    program_id: str = ""
    lm_id: str = ""  # with decode parameters, as in completion keys
    gate_id: str = ""


Progress = Callable[[Report], None]


def generate(
    db, recipe: str, spec: TaskSpec, program, writer: Writer, judge: Judge, prompts: list[Prompt], *,
    run: str | None = None, concurrency: int = 8, progress: Progress = lambda report: None, make_current: bool = True,
) -> Report:  # fmt: skip
    """Write what is missing about `prompts`, judge it, and make it the task's tokens.

    Raises BudgetStop at a limit and ServiceError when the model is gone; all answers so far are stored
    and judged either way.
    """
    lm_id = writer.lm_id + "#" + content_id(spec.decode())[:8]
    pid = program_id(spec, program, writer)
    report = Report(spec.name, subjects=len(prompts), program_id=pid, lm_id=lm_id)
    saved = store.load_program(db, pid, lm_id)
    if saved and not any(weights_of(program, o) for o in spec.choices):
        _restore_weights(program, saved)
    _save(db, recipe, spec, program, pid, lm_id)
    store.save_subjects(db, recipe, spec.name, spec.subject, pid, lm_id, prompts)
    try:
        asyncio.run(_fill(db, spec, program, writer, judge, prompts, pid, lm_id, run, concurrency, progress, report))
    finally:
        if run:
            store.add_spend(db, run, spec.name, "generate", writer.lm_id, report.usage)
        _calibrate(db, recipe, spec, program, pid, lm_id)
        weights = {o: weights_of(program, o) for o in spec.choices}
        report.gate_id = judge_all(db, recipe, spec, weights, judge, pid, lm_id)
        if make_current:
            store.set_current(db, recipe, spec.name, pid, lm_id, report.gate_id)
        _count(db, recipe, spec, pid, lm_id, report)
    return report


async def _fill(db, spec, program, writer, judge, prompts, pid, lm_id, run, concurrency, progress, report) -> None:
    streak = 0
    stop: list[BudgetStop] = []
    recorded = _recording(writer)
    jobs = _missing(db, spec, judge, prompts, pid, lm_id)

    async def one(prompt: Prompt, sample: int) -> None:
        nonlocal streak
        while sample < _samples(spec, writer):
            if recorded is not None:
                answer = _replayed(recorded, spec.name, prompt, sample)
            else:
                answer = await ask(program, spec, writer, prompt.inputs, sample)
                if not answer.error and answer.probabilities is None and _malformed(judge, prompt, answer.raw):
                    try:
                        repair = await ask(program, spec, writer, prompt.inputs, sample + 100)  # another seed
                    except BudgetStop:
                        report.usage.add(answer.usage)  # paid, and asked for again by the next run
                        raise
                    if repair.error:
                        answer.usage.add(repair.usage)
                    else:
                        repair.first_raw, repair.seconds = answer.raw, repair.seconds + answer.seconds
                        repair.usage.add(answer.usage)
                        answer = repair
            key = Key(pid, lm_id, prompt.hash, sample)
            report.asked += 1
            report.usage.add(answer.usage)
            if answer.error:
                report.failed += 1
                streak += 1
                store.insert_failure(db, spec.name, run, prompt.subject, key, answer.error)
                if streak >= GIVE_UP and recorded is None:
                    raise ServiceError(
                        f"{writer.name} failed {streak} times in a row; the last error was: {answer.error}. "
                        "What is finished is stored; mend it and run again to go on"
                    )
                break
            streak = 0
            # at once: a commit takes 60 µs in WAL mode, and a killed run must not pay for an answer twice
            store.insert_answers(db, spec.name, run, [(key, prompt.inputs, answer)])
            progress(report)
            if _passes(judge, prompt, _decided(spec, answer.raw)):
                break
            sample += 1

    async def worker():
        for prompt, sample in jobs:  # one shared iterator: each job goes to one worker
            try:
                await one(prompt, sample)
            except BudgetStop as limit:  # what the others have in flight is paid for: let it arrive
                stop.append(limit)
            if stop:
                return

    workers = [asyncio.ensure_future(worker()) for _ in range(1 if writer.serial else concurrency)]
    try:
        await asyncio.gather(*workers)
        if stop:
            raise stop[0]
    finally:
        for w in workers:
            w.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def _missing(
    db, spec: TaskSpec, judge: Judge, prompts: list[Prompt], pid: str, lm_id: str
) -> Iterator[tuple[Prompt, int]]:
    """(prompt, next sample) of every distinct input that the store has no passing answer for."""
    asked: set[str] = set()
    for start in range(0, len(prompts), CHUNK):
        chunk = prompts[start : start + CHUNK]
        have = store.samples_of(db, pid, lm_id, [p.hash for p in chunk])
        for prompt in chunk:
            if prompt.hash in asked:
                continue
            asked.add(prompt.hash)
            samples = have.get(prompt.hash, {})
            if not samples:
                yield prompt, 0
            elif spec.task.samples > 1 and not any(
                _passes(judge, prompt, _decided(spec, raw)) for raw in samples.values()
            ):
                yield prompt, max(samples) + 1


def judge_all(
    db, recipe: str, spec: TaskSpec, weights: dict[str, dict[str, float] | None], judge: Judge, pid: str, lm_id: str
) -> str:
    """Judge every completion of the task's present subjects under one gate id; no LM is asked.

    `weights`: the program's decision weights by closed output. Returns the gate id. Completions that carry it
    already are only judged again when others are new, since some checks look at the whole batch.
    """
    rows = list(store.completions_of(db, recipe, spec.name, pid, lm_id))
    batch = content_id(sorted({r.key.id for r in rows}))
    gate_id = content_id([judge.gate_id, DECODE_VERSION, weights, batch])[:32]
    if all(r.gate_id == gate_id for r in rows):
        return gate_id
    candidates, outputs = [], {}
    rows = list({r.key.id: r for r in reversed(rows)}.values())[::-1]  # subjects of equal inputs share a verdict
    for row in rows:
        raw = typed_raw(spec, row.raw, row.probabilities, weights)
        candidate = Candidate(row.key.id, spec.name, row.subject, raw, None, row.inputs, row.name)
        outputs[row.key.id] = judge.read(candidate)
        candidates.append(candidate)
    verdicts = judge.judge(candidates)
    store.save_verdicts(
        db, gate_id, ((row, verdicts[c.key], outputs[c.key]) for row, c in zip(rows, candidates, strict=True))
    )
    return gate_id


def typed_raw(spec: TaskSpec, raw: str, probabilities: dict | None, weights: dict) -> str:
    """The text that the gates judge: the LM's own, or for scored outputs the choice made of them."""
    if probabilities is None:
        return raw
    answer = json.loads(raw)
    for output, choices in spec.choices.items():
        if output in probabilities:
            answer[output] = decode(spec.outputs[output], choices, probabilities[output], weights.get(output))[0]
    return canonical_json(answer)


def _decided(spec: TaskSpec, raw: str) -> str:
    """`raw` with its scored outputs chosen, before any calibration: is the text beside them any good?"""
    if not spec.choices or '"probabilities":' not in raw:
        return raw
    try:
        answer = json.loads(raw)
        scored = {o: answer[o]["probabilities"] for o in spec.choices if isinstance(answer[o], dict)}
        return typed_raw(spec, raw, scored, {})
    except (ValueError, KeyError, TypeError):
        return raw


def _samples(spec: TaskSpec, writer: Writer) -> int:
    return 1 if writer.chooser and set(spec.outputs) == set(spec.choices) else spec.task.samples


def _candidate(judge: Judge, prompt: Prompt, raw: str) -> Candidate:
    return Candidate("", judge.task_name, prompt.subject, raw, None, prompt.inputs, prompt.name)


def _passes(judge: Judge, prompt: Prompt, raw: str) -> bool:
    return all(f.passed for f in judge.check(_candidate(judge, prompt, raw)))


def _malformed(judge: Judge, prompt: Prompt, raw: str) -> bool:
    return judge.read(_candidate(judge, prompt, raw)) is None


def _calibrate(db, recipe, spec, program, pid, lm_id) -> None:
    """Batch calibration, once a program: the weights stay with it, so that later subjects are read alike."""
    if not spec.choices or all(weights_of(program, o) for o in spec.choices):
        return
    batch = [r.probabilities for r in store.completions_of(db, recipe, spec.name, pid, lm_id) if r.probabilities]
    calibrate(program, spec, batch)
    _save(db, recipe, spec, program, pid, lm_id)


def _save(db, recipe, spec, program, pid, lm_id) -> None:
    told = spec.task.write or spec.task.use or ""
    store.save_program(db, recipe, spec.name, pid, lm_id, told, program_state(program))


def _restore_weights(program, saved: dict[str, Any]) -> None:
    for name, predictor in program.named_predictors():
        if fields := saved.get(name, {}).get("fields"):
            predictor.fields = fields


def _count(db, recipe, spec, pid, lm_id, report: Report) -> None:
    """Fill the report's states: a subject's is that of its best sample."""
    best: dict[str, str] = {}
    rank = {"accepted": 3, "rejected": 2, "malformed": 1}
    for row in store.completions_of(db, recipe, spec.name, pid, lm_id):
        if row.state and rank[row.state] > rank.get(best.get(row.subject, ""), 0):
            best[row.subject] = row.state
    states = Counter(best.values())
    report.malformed, report.rejected, report.accepted = states["malformed"], states["rejected"], states["accepted"]
    report.failed = report.subjects - sum(states.values())
    for gate, n in db.execute(
        "select v.gate, count(distinct s.subject) from verdicts v join completions c using (completion_id)"
        " join subjects s on s.program_id = c.program_id and s.lm_id = c.lm_id and s.input_hash = c.input_hash"
        " where s.recipe = ? and s.task = ? and s.program_id = ? and s.lm_id = ? and not v.passed group by v.gate",
        [recipe, spec.name, pid, lm_id],
    ):
        report.reject_reasons[gate] = n


def _recording(writer: Writer) -> dict | None:
    if writer.replay is None:
        return None
    from tokenrec.lm.replay import read_recording

    return read_recording(writer.replay)


def _replayed(recorded: dict, task: str, prompt: Prompt, sample: int) -> Answer:
    record = recorded.get((task, prompt.hash, sample)) or recorded.get((task, prompt.subject, sample))
    if record is None:
        return Answer(error="the recording has no completion for this subject")
    usage = Usage(0, record.get("prompt_tokens") or 0, record.get("completion_tokens") or 0, 0.0)
    return Answer(raw=record["raw"], probabilities=record.get("probabilities"), usage=usage)
