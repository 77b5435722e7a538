"""Worklist → completions → verdicts, for one task and one program.

The worklist is what the store lacks, so a run that was killed goes on where it stopped and an
unchanged one asks nothing. Answers are stored before they are judged; failures never are.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenrec.errors import BudgetStop, ServiceError
from tokenrec.gates.base import Finding
from tokenrec.gates.judge import Judge
from tokenrec.generate.judging import candidate_of, check_id, decided, judge_all, passes, settled
from tokenrec.ids import content_id
from tokenrec.lm.meter import Usage
from tokenrec.lm.writer import Writer
from tokenrec.store import completions as store
from tokenrec.store.completions import Key
from tokenrec.store.verdicts import reasons_of, states_of
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.program import Answer, calibrate, program_id, program_state, weights_of
from tokenrec.tasks.spec import TaskSpec
from tokenrec.tasks.template import Asker

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
    judged: list["Report"] = field(default_factory=list)  # what language models were asked about its texts


Progress = Callable[[Report], None]


def generate(
    db, recipe: str, spec: TaskSpec, program, writer: Writer, judge: Judge, prompts: Sequence[Prompt], *,
    run: str | None = None, concurrency: int = 8, progress: Progress = lambda report: None, make_current: bool = True,
) -> Report:  # fmt: skip
    """Write what is missing about `prompts`, judge it, and make it the task's tokens.

    Raises BudgetStop at a limit and ServiceError when the model is gone; all answers so far are stored
    and judged either way.
    """
    lm_id = completion_lm(spec, writer)
    pid = program_id(spec, program, writer)
    report = Report(spec.name, subjects=len(prompts), program_id=pid, lm_id=lm_id)
    saved = store.load_program(db, pid, lm_id)
    if saved and not any(weights_of(program, o) for o in spec.choices):
        _restore_weights(program, saved)
    save_state(db, recipe, spec, program, pid, lm_id)
    store.save_subjects(db, recipe, spec.name, spec.kind, pid, lm_id, prompts)
    gc.freeze()  # what is loaded by now stays: looking through it again and again cost a twentieth of the time
    try:
        asyncio.run(fill(db, spec, program, writer, judge, prompts, pid, lm_id, run, concurrency, progress, report))
    finally:
        gc.unfreeze()
        if run:
            purpose = "generate" if make_current else "finalist"
            store.add_spend(db, run, spec.name, purpose, writer.lm_id, report.usage)
        _calibrate(db, recipe, spec, program, pid, lm_id)
        judge_again(db, recipe, spec, program, judge, report, make_current)
    return report


def judge_again(db, recipe: str, spec: TaskSpec, program, judge: Judge, report: Report, make_current: bool) -> None:
    """Bring the verdicts on `report`'s completions up to date, and count them."""
    pid, lm_id = report.program_id, report.lm_id
    weights = {o: weights_of(program, o) for o in spec.choices}
    report.gate_id = judge_all(db, recipe, spec, weights, judge, pid, lm_id)
    if make_current:
        store.set_current(db, recipe, spec.name, pid, lm_id, report.gate_id)
    report.reject_reasons.clear()
    _count(db, recipe, spec, pid, lm_id, report)


def completion_lm(spec: TaskSpec, writer: Writer) -> str:
    """The LM with its decode parameters, as completion keys have it."""
    return writer.lm_id + "#" + content_id(spec.decode())[:8]


async def fill(db, spec, program, writer, judge, prompts, pid, lm_id, run, concurrency, progress, report) -> None:
    streak, most = 0, most_samples(spec, writer)
    answers = _Answers(db, spec.name, run)
    stop: list[BudgetStop] = []
    recorded = _recording(writer)
    jobs = missing(db, spec, judge, prompts, pid, lm_id, most)
    asker = Asker(program, spec, writer)

    async def one(prompt: Prompt, sample: int) -> None:
        nonlocal streak
        while sample < most:
            if recorded is not None:
                answer = _replayed(recorded, spec.name, prompt, sample)
            else:
                try:
                    answer = await answered(asker, judge, prompt, sample)
                except RepairStopped as stopped:
                    report.usage.add(stopped.usage)  # paid, and asked for again by the next run
                    raise stopped.limit from None
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
            answers.add((key, prompt.inputs, answer))
            await asyncio.sleep(0)  # stored before this worker asks again: a kill loses no more than is in flight
            progress(report)
            if spec.task.agreement:  # all are asked, and judged together
                passed = False
            elif answer.probabilities is None:  # judged while others are awaited; scored ones wait for calibration
                found = judge.check_rules(candidate_of(judge, prompt, answer.raw, answer.finish_reason))
                if judge.whole(found):  # judges are asked later, about many texts at once
                    answers.note(key, check_id(judge, prompt.name), found)
                passed = settled(found)
            else:
                passed = sample + 1 < most and passes(judge, prompt, decided(spec, answer.raw))
            if passed:
                break
            sample += 1

    async def worker():
        for prompt, sample in jobs:  # one shared iterator: each job goes to one worker
            answers.check()
            try:
                await one(prompt, sample)
            except BudgetStop as limit:  # what the others have in flight is paid for: let it arrive
                stop.append(limit)
            if stop:
                return

    workers = [asyncio.ensure_future(worker()) for _ in range(min(writer.at_once or concurrency, concurrency))]
    try:
        await asyncio.gather(*workers)
        if stop:
            raise stop[0]
    finally:
        for w in workers:
            w.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        if writer.wire:
            await writer.wire.aclose()
        answers.store()
        answers.check()


class RepairStopped(Exception):
    """A budget ended between a malformed answer and its repair; `usage` was paid."""

    def __init__(self, limit: BudgetStop, usage: Usage):
        super().__init__(str(limit))
        self.limit, self.usage = limit, usage


async def answered(asker: Asker, judge: Judge, prompt: Prompt, sample: int = 0) -> Answer:
    """One answer; a malformed one is asked for once more. Raises BudgetStop, ServiceGone, RepairStopped."""
    answer = await asker.ask(prompt.inputs, sample)
    if (
        answer.error or answer.probabilities is not None
        or judge.read(candidate_of(judge, prompt, answer.raw)) is not None
    ):  # fmt: skip
        return answer
    try:
        repair = await asker.ask(prompt.inputs, sample + 100)  # another seed
    except BudgetStop as limit:
        raise RepairStopped(limit, answer.usage) from None
    if repair.error:
        answer.usage.add(repair.usage)
        return answer
    repair.first_raw, repair.seconds = answer.raw, repair.seconds + answer.seconds
    repair.usage.add(answer.usage)
    return repair


class _Answers:
    """Stores what one turn of the event loop brought in one transaction: a killed run loses no answer but those."""

    def __init__(self, db, task: str, run: str | None):
        self.db, self.task, self.run = db, task, run
        self.rows: list[tuple[Key, dict, Answer]] = []
        self.checked: list[store.Checked] = []
        self.error: Exception | None = None

    def add(self, row: tuple[Key, dict, Answer]) -> None:
        self._soon()
        self.rows.append(row)

    def note(self, key: Key, check: str, findings: list[Finding]) -> None:
        """What the judge found on an answer that was added."""
        self._soon()
        self.checked.append((key.id, check, findings))

    def _soon(self) -> None:
        if not self.rows and not self.checked:
            asyncio.get_running_loop().call_soon(self.store)

    def store(self) -> None:
        rows, checked = self.rows, self.checked
        self.rows, self.checked = [], []
        try:
            if rows or checked:
                store.insert_answers(self.db, self.task, self.run, rows, checked)
        except Exception as error:  # a callback's own would be lost: the next to ask raises it
            self.error = self.error or error

    def check(self) -> None:
        if self.error:
            raise self.error


def missing(
    db, spec: TaskSpec, judge: Judge, prompts: Sequence[Prompt], pid: str, lm_id: str, most: int
) -> Iterator[tuple[Prompt, int]]:
    """(prompt, next sample) of every distinct input without a passing answer among its `most` samples; with agreement,
    of every one that lacks a sample."""
    asked: set[int] = set()
    for start in range(0, len(prompts), CHUNK):
        chunk = prompts[start : start + CHUNK]
        have = store.samples_of(db, pid, lm_id, [p.hash for p in chunk])
        for prompt in chunk:
            short = int(prompt.hash[:15], 16)
            if short in asked:
                continue
            asked.add(short)
            samples = have.get(prompt.hash, {})
            if not samples:
                yield prompt, 0
            elif max(samples) + 1 < most and (spec.task.agreement or not any(
                passes(judge, prompt, decided(spec, raw), end) for raw, end in samples.values()
            )):
                yield prompt, max(samples) + 1


def most_samples(spec: TaskSpec, writer: Writer) -> int:
    """Answers that may be asked for about one input; scored choices come out the same each time: the probability of
    what was chosen is its agreement."""
    if writer.chooser and set(spec.outputs) == set(spec.choices):
        return 1
    return 1 + spec.task.agreement.samples if spec.task.agreement else spec.task.samples


def _calibrate(db, recipe, spec, program, pid, lm_id) -> None:
    """Batch calibration, once a program: the weights stay with it, so that later subjects are read alike."""
    if not spec.choices or all(weights_of(program, o) for o in spec.choices):
        return
    batch = [r.probabilities for r in store.completions_of(db, recipe, spec.name, pid, lm_id) if r.probabilities]
    calibrate(program, spec, batch)
    save_state(db, recipe, spec, program, pid, lm_id)


def save_state(db, recipe, spec, program, pid, lm_id) -> None:
    told = spec.task.write or spec.task.use or ""
    store.save_program(db, recipe, spec.name, pid, lm_id, told, program_state(program))


def _restore_weights(program, saved: dict[str, Any]) -> None:
    for name, predictor in program.named_predictors():
        if fields := saved.get(name, {}).get("fields"):
            predictor.fields = fields


def _count(db, recipe, spec, pid, lm_id, report: Report) -> None:
    """Fill the report's states: a subject's is that of its best sample."""
    key = [recipe, spec.name, pid, lm_id]
    states = states_of(db, *key)
    report.malformed, report.rejected, report.accepted = states["malformed"], states["rejected"], states["accepted"]
    report.failed = report.subjects - sum(states.values())
    report.reject_reasons.update(reasons_of(db, *key))


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
    return Answer(
        raw=record["raw"], probabilities=record.get("probabilities"), usage=usage, first_raw=record.get("first_raw"),
        finish_reason=record.get("finish_reason") or "",
    )  # fmt: skip
