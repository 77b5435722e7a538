"""The first sieve: an optimiser proposes programs, and completion scores say which are worth a finalist's calls."""

import contextlib
import io
import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenrec.compiler.desk import Desk, Said, Stop, Student, weights
from tokenrec.compiler.estimate import estimate
from tokenrec.compiler.feedback import feedback_for
from tokenrec.compiler.ledger import Ledger
from tokenrec.compiler.optimizers import PROPOSING, Work, demonstrates, optimizer_of
from tokenrec.compiler.reflector import open_reflector
from tokenrec.compiler.requests import request_reward, sets_of
from tokenrec.compiler.reward import HistoryAUC, completion_reward
from tokenrec.compiler.session import Session
from tokenrec.errors import BudgetStop, InputError
from tokenrec.features.types import Vectors
from tokenrec.features.vectors import invented_text, text_rows
from tokenrec.gates.base import Candidate, Finding
from tokenrec.gates.factuality.open import is_unknown
from tokenrec.gates.judge import Judge
from tokenrec.gates.text import as_text
from tokenrec.generate.judging import typed_raw
from tokenrec.ids import unit_hash
from tokenrec.lm.meter import Meter
from tokenrec.recipe.models import Compile
from tokenrec.store import completions as store
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.program import load_program_state, make_program, program_id, program_state
from tokenrec.tasks.spec import TaskSpec, examples

MOST_EXAMPLES = 100
BOOTSTRAP = 24  # further examples, that demonstrations may come from and a reflector sees
FEWEST_EXAMPLES = 20
PROPOSALS = 10  # calls a program kept for the reflector, and for what it is shown
TOO_FEW = f"{{}} {{}}s to score programs on; it takes {FEWEST_EXAMPLES} (more likes, or a larger compile.budget)"


@dataclass
class Proposal:
    """A program that the search scored. `score` is the mean completion score on the validation subjects.

    `weights`: only the way of reading the incumbent's own answers is new.
    """

    program: Any
    score: float
    weights: bool = False


@dataclass
class Search:
    """What the search did. `note` says what there is to say of it; `challengers` is how many programs it scored."""

    proposals: list[Proposal]
    incumbent: float = float("nan")
    examples: int = 0
    note: str = ""
    spent: bool = False  # stopped by a budget
    finished: bool = True  # False: nothing came of it, and the next run may try again
    challengers: int = 0


Progress = Callable[[int, int, str], None]


def examples_scored(options: Compile, task: str, usable: int, calls_each: int = 1) -> int:
    """Subjects that every program is scored on, of `usable` ones, inside `compile.budget`."""
    programs = max(options.programs(task), 1)
    kept = PROPOSALS * programs if options.optimizer in PROPOSING else 0
    calls = ((options.budget.calls or 10**9) - kept) // calls_each
    return max(min(MOST_EXAMPLES, calls // programs, usable - BOOTSTRAP), 0)


def calls_each(session: Session, spec: TaskSpec, program, prompts: Sequence[Prompt]) -> int:
    """LM calls of one answer; of a module's, as its stored answers took."""
    if not spec.task.use:
        return len(program.named_predictors())
    writer = session.open_writer(spec.name)
    pid = program_id(spec, program, writer)
    return max(math.ceil(estimate(session.db, spec, program, pid, writer, prompts).calls), 1)


def search(
    session: Session, spec: TaskSpec, program, prompts: list[Prompt], vectors: list[Vectors], judge: Judge,
    meter: Meter, progress: Progress, options: Compile | None = None, search_id: str = "", met: list[Vectors] = (),
) -> Search:  # fmt: skip
    """Propose programs for a task, best first; the incumbent's own score stands beside them.

    `met` are the item vectors that texts about users are compared with. Every LM call, of students and of the
    reflector, passes `meter`; where it ends, what is scored so far is the result. Raises InputError for an optimiser
    that can't be used, ServiceError when an LM is gone.
    """
    options = options or session.recipe.compile
    optimizer = options.optimizer
    if spec.subject == "set":
        sets = sets_of(session, spec)
        rows, code = store.token_rows(session.db, spec.recipe, spec.name), sets.code
        reward = request_reward(session, spec, sets, rows)
    else:
        ids = session.dataset.item_ids if spec.subject == "item" else session.dataset.user_ids
        code = {subject: i for i, subject in enumerate(ids)}
        if spec.task.augment:
            reward = _of_inventions(session, spec, code)
        else:
            reward = completion_reward(session.dataset, vectors, met, session.recipe.objective.slice)
    if reward is None:
        why = "" if spec.subject == "item" else ", or nothing that items can be compared with"
        return Search([], note=f"the incumbent wrote nothing that was accepted{why}", finished=False)
    reference = reward.reference
    able = set(reward.subjects())
    usable = [p for p in prompts if code[p.subject] in able]
    usable.sort(key=lambda p: unit_hash("search", spec.name, p.subject))
    n = examples_scored(options, spec.name, len(usable), calls_each(session, spec, program, prompts))
    if n < FEWEST_EXAMPLES:
        return Search([], note=TOO_FEW.format(n, spec.subject), finished=False)
    val, train = usable[:n], usable[n : n + (MOST_EXAMPLES if optimizer == "reanchor" else BOOTSTRAP)]
    ledger = Ledger(session.db, search_id or f"{session.run} {spec.name}", spec.name, meter)
    desk = Desk(session, spec, judge, [*val, *train], val, ledger)
    scorer = Scorer(session, spec, judge, desk, reward, code)
    scorer.incumbent = weights(program, spec)
    reflector = open_reflector(session, ledger, meter, spec.subject) if optimizer in PROPOSING else None
    student = desk.student(program)
    mine = desk.program_id(student)
    board = Board(scorer, desk, val, mine, meter, progress, options.programs(spec.name) * n)
    desk.tell = board.show
    made = [_example(spec, p) for p in (*val, *train)]
    tokens = store.tokens(session.db, session.recipe.name, spec.name)
    labelled = [e.copy(**tokens[e.subject]) for e in made[n:] if e.subject in tokens]
    if not labelled:
        why = f"nothing that the incumbent wrote about the training {spec.subject}s was accepted"
        return Search([], note=why, finished=False)
    typical = float(np.quantile([reward.score(code[e.subject], reference[code[e.subject]]) for e in labelled], 0.75))
    feedback = feedback_for(session, spec, scorer, reward, code, tokens, met)
    work = Work(
        student=student, worked=_worked(spec), train=labelled, val=made[:n], metric=scorer.metric,
        feedback=lambda *a: scorer.told(feedback, *a), typical=typical, options=options, reflector=reflector,
        stopped=lambda: bool(limit_of(meter)), whole=lambda: len(board.challengers()), name=spec.name,
        demonstrates=demonstrates(spec, program),
    )  # fmt: skip
    run, notes, spent, failed, returned = optimizer_of(optimizer), [], False, False, []
    with _writer_meter(desk.writer, meter), _quiet():
        try:
            import dspy

            desk.answer(student, val[0].inputs)  # the incumbent is the measure of all others
            lm = reflector.lm if reflector else desk.player.lm
            with dspy.context(lm=lm, adapter=dspy.JSONAdapter(), callbacks=[], max_errors=10**6):
                returned = run(work) or []
                for candidate in returned:  # an optimiser may return what it never scored on all subjects
                    if isinstance(candidate, Student):
                        desk.answer(candidate, val[0].inputs)
        except Stop as stop:
            if not isinstance(stop.error, BudgetStop):
                raise stop.error from None
            spent = True
        except InputError:
            raise
        except Exception as error:  # the optimiser's own: what was scored before counts
            why = desk.writer.redact(str(error) or type(error).__name__).splitlines()[0][:300]
            notes.append(f"{optimizer} failed: {type(error).__name__}: {why}")
            failed = True
        finally:
            _save_spend(session, spec, desk, reflector)
    board.show()
    scored, wanted = len(board.challengers()), options.programs(spec.name)
    if (limit := limit_of(meter)) and (spent or scored < wanted):  # a budget that is just enough stopped nothing
        spent = True
        notes.append(f"the search stopped early: {limit.split('. ')[0]}, with {scored} of {wanted} programs scored")
    if reflector:
        notes += reflector.notes()
    proposals = board.proposals(returned if optimizer == "reanchor" else [])
    seen = len([pid for pid in desk.said if pid != mine]) + sum(p.weights for p in proposals)
    finished = bool(proposals) or not failed
    return Search(proposals, board.score(mine), n, "; ".join(notes), spent, finished, seen)


def _of_inventions(session: Session, spec: TaskSpec, code: dict[str, int]) -> HistoryAUC | None:
    rows = store.token_rows(session.db, spec.recipe, spec.name)
    said = ((s, invented_text(spec, out)) for s, out, _ in rows if s in code)
    reference = text_rows(session.db, session.encoder, code, said)
    if np.isnan(reference).all():
        return None
    under, slice = spec.task.augment.under, session.recipe.objective.slice
    return HistoryAUC(session.dataset, session.raw.matrix, reference.astype(float), under, slice)


def _save_spend(session: Session, spec: TaskSpec, desk: Desk, reflector) -> None:
    store.add_spend(session.db, session.run, spec.name, "search", desk.writer.lm_id, desk.used)
    if reflector:
        store.add_spend(session.db, session.run, spec.name, "reflect", reflector.lm_id, reflector.used)


def limit_of(meter: Meter) -> str:
    """The limit that was reached, empty when there is none."""
    try:
        meter.check()
    except BudgetStop as stop:
        return str(stop)
    return ""


class Scorer:
    """Completion scores of answers. `incumbent`: the weights that answers are read with while an optimiser runs."""

    def __init__(self, session: Session, spec: TaskSpec, judge: Judge, desk: Desk, reward, code: dict):
        self.session, self.spec, self.judge, self.desk = session, spec, judge, desk
        self.reward, self.code = reward, code
        self.incumbent: dict = {}

    def metric(self, example, prediction, trace=None, *_) -> float:
        """What DSPy asks for: one answer's score in [0, 1]; 0 for a worked example, which is never bootstrapped."""
        if "subject" not in example:
            return 0.0
        said, own = getattr(prediction, "_said", None) or (Said(None), self.incumbent)
        return self.reward.score(self.code[example.subject], joined(self.read(example, said, own)[0]))

    def told(self, feedback, example, prediction, trace=None, pred_name=None, pred_trace=None):
        """The same with the reasons, where a reflector will read them."""
        import dspy

        score = self.metric(example, prediction)
        if pred_name is None:
            return dspy.Prediction(score=score, feedback="")
        said, own = getattr(prediction, "_said", None) or (Said(None), self.incumbent)
        parts, findings = self.read(example, said, own)
        return dspy.Prediction(score=score, feedback=feedback(example, said, joined(parts), findings, score))

    def read(self, example, said: Said, own: dict) -> tuple[list | None, list[Finding]]:
        """(what an answer says, by each output that the reward looks at, None when a gate rejects it; the gates'
        findings): (raw probabilities, weights) of scored outputs, (columns, None) of the others."""
        if said.raw is None:
            return None, []
        prompt = self.desk.prompts[example.hash]
        raw = typed_raw(self.spec, said.raw, said.probabilities, own)
        candidate = Candidate("", self.spec.name, prompt.subject, raw, None, prompt.inputs, prompt.name)
        findings = self.judge.check_rules(candidate)  # no model judges here: a search asks its writer only
        if not all(f.passed for f in findings):
            return None, findings
        answer = self.judge.read(candidate)
        kept = None
        if not self.judge.scorers:  # thresholds on scores that are not there decide nothing
            kept, findings = self.judge.settle(candidate, answer, findings)
        if not all(f.passed for f in findings):
            return None, findings
        return self._parts(kept or answer, said.probabilities, own), findings

    def _parts(self, answer: dict, probabilities: dict | None, own: dict) -> list | None:
        if self.spec.task.augment:  # one item of all its outputs
            text = invented_text(self.spec, answer)
            return [(self.session.encoder.encode(self.session.db, [text])[0], None)] if text else None
        parts = []
        for name in self.reward.outputs:
            output, choices = self.spec.outputs[name], self.spec.choices.get(name)
            if choices and probabilities and name in probabilities:
                by = own.get(name) or {}
                row = np.array([probabilities[name][c] for c in choices])
                parts.append((row, np.array([by.get(c, 1.0) for c in choices])))
            elif choices:
                said = answer[name] if isinstance(answer[name], list) else [answer[name]]
                parts.append((np.array([float(c in said) for c in choices]), None))
            elif output.type == "number":
                parts.append((np.array([float(answer[name])]), None))
            elif output.or_unknown and is_unknown(answer[name]):  # no value: scored as having none
                return None
            else:
                parts.append((self.session.encoder.encode(self.session.db, [as_text(answer[name])])[0], None))
        return parts

    def program(self, answers: list[tuple[int, list | None]], own: list | None = None) -> float:
        """Mean completion score of one program, calibrated and centred on its own answers.

        By the incumbent's calibration every other prompt would look worse than it is: it has other habits. `own`:
        weights to calibrate with instead.
        """
        kept = [parts for _, parts in answers if parts is not None]
        if not kept:
            return self.reward.score(0, None)
        if own is None:
            own = [1 / np.maximum(np.mean([p[i][0] for p in kept], axis=0), 1e-6) for i in range(len(kept[0]))]
        vectors = [joined(parts, own) for _, parts in answers]
        matrix = np.array([v for v in vectors if v is not None])
        mean, scale = matrix.mean(axis=0), np.maximum(matrix.std(axis=0), 1e-6)
        scores = [self.reward.score(subject, v, mean, scale) for (subject, _), v in zip(answers, vectors, strict=True)]
        return float(np.mean(scores))


class Board:
    """Which programs are scored on all subjects, and how well; shows it while the search goes on."""

    def __init__(
        self, scorer: Scorer, desk: Desk, val: list[Prompt], mine: str, meter: Meter, progress: Progress, total: int
    ):
        self.scorer, self.desk, self.mine, self.meter, self.progress = scorer, desk, mine, meter, progress
        self.val, self.total = [_example(scorer.spec, p) for p in val], total
        self.scores: dict[str, float] = {}

    def score(self, pid: str) -> float:
        """NaN for a program that is not scored on all subjects."""
        if pid not in self.scores and pid in self.desk.whole():
            self.scores[pid] = self.scorer.program(self._answers(pid, self.scorer.incumbent))
        return self.scores.get(pid, float("nan"))

    def challengers(self) -> list[str]:
        return [pid for pid in self.desk.whole() if pid != self.mine]

    def proposals(self, reread: list) -> list[Proposal]:
        """Every program that is scored, best first. `reread`: the incumbent with other weights, as DSPy fitted them."""
        made = [Proposal(self._plain(self.desk.programs[pid]), self.score(pid)) for pid in self.challengers()]
        for program in reread:
            own = weights(program, self.scorer.spec)
            if own != self.scorer.incumbent:
                answers = self._answers(self.mine, own)
                first = next((p for _, p in answers if p is not None), [])
                made.append(Proposal(self._plain(program), self.scorer.program(answers, [w for _, w in first]), True))
        return sorted(made, key=lambda p: -p.score)

    def show(self) -> None:
        """Best score, spend and candidates so far."""
        done = sum(len(s) for pid, s in self.desk.said.items() if pid != self.mine)
        scores = [self.score(pid) for pid in self.challengers()]
        used = self.meter.used
        cost = "cost unknown" if used.usd is None else f"${used.usd:.4f}" if used.usd else "free"
        best = f"best {max(scores):.3f}, " if scores else ""
        self.progress(min(done, self.total), self.total, (
            f"{best}now {self.score(self.mine):.3f}, {len(scores)} candidates, {used.calls:,} calls, "
            f"{used.prompt_tokens + used.completion_tokens:,} LM tokens, {cost}"
        ))  # fmt: skip

    def _answers(self, pid: str, own: dict) -> list[tuple[int, list | None]]:
        said = self.desk.said.get(pid, {})
        code = self.scorer.code
        return [(code[e.subject], self.scorer.read(e, said.get(e.hash, Said(None)), own)[0]) for e in self.val]

    def _plain(self, student):
        """The task's ordinary program with the student's prompt and weights."""
        made = make_program(self.scorer.spec, self.desk.writer, self.desk.session.loaded.project.root)
        load_program_state(made, json.loads(json.dumps(program_state(student))))
        return made


def _example(spec: TaskSpec, prompt: Prompt):
    import dspy

    names = [r.name for r in spec.inputs if r.name in prompt.inputs]
    return dspy.Example(**prompt.inputs, subject=prompt.subject, hash=prompt.hash).with_inputs(*names)


def _worked(spec: TaskSpec) -> list:
    """The recipe's worked examples as labelled DSPy examples."""
    import dspy

    names = [r.name for r in spec.inputs]
    ordered = [{k: e[k] for k in [*names, *spec.outputs] if k in e} for e in examples(spec)]
    return [dspy.Example(**e).with_inputs(*[n for n in names if n in e]) for e in ordered]


def joined(parts: list | None, own: list | None = None) -> np.ndarray | None:
    """The columns that an answer would become; `own` are weights to calibrate with instead of its own."""
    if parts is None:
        return None
    columns = []
    for i, (row, by) in enumerate(parts):
        if by is not None:
            row = row * (by if own is None else own[i])
            row = row / max(row.sum(), 1e-12)
        columns.append(row)
    return np.concatenate(columns)


@contextlib.contextmanager
def _writer_meter(writer, meter: Meter):
    """The writer's calls, and its wire's attempts, count on `meter`."""
    outer, writer.meter = writer.meter, meter
    wired = writer.wire.meter if writer.wire else None
    if writer.wire:
        writer.wire.meter = meter
    try:
        yield
    finally:
        writer.meter = outer
        if writer.wire:
            writer.wire.meter = wired


@contextlib.contextmanager
def _quiet():
    """DSPy's optimisers print and log as they go."""
    loggers = [logging.getLogger(name) for name in ("dspy", "gepa")]
    levels = [x.level for x in loggers]
    for x in loggers:
        x.setLevel(logging.CRITICAL + 1)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # not stderr: the progress is there
            yield
    finally:
        for x, level in zip(loggers, levels, strict=True):
            x.setLevel(level)
