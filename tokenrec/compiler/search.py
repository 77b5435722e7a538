"""Search: a DSPy optimiser, unchanged, proposes programs by completion scores (the first sieve)."""

import contextlib
import io
import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenrec.compiler.reward import UserAUC
from tokenrec.compiler.session import Session
from tokenrec.errors import BudgetStop
from tokenrec.features.types import Vectors
from tokenrec.gates.base import Candidate
from tokenrec.gates.factuality.open import is_unknown
from tokenrec.gates.judge import Judge
from tokenrec.generate.judging import typed_raw
from tokenrec.ids import unit_hash
from tokenrec.lm.meter import Meter, Usage
from tokenrec.recipe.models import Compile
from tokenrec.store import completions as store
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.program import typed_answer, weights_of
from tokenrec.tasks.spec import TaskSpec, examples

MOST_EXAMPLES = 100
BOOTSTRAP = 24  # examples that demonstrations may come from, per candidate
FEWEST_EXAMPLES = 20
TOO_FEW = f"{{}} items to score programs on; it takes {FEWEST_EXAMPLES} (more likes, or a larger compile.budget)"


@dataclass
class Proposal:
    """A program that the search scored. `score` is the mean completion score on the validation items."""

    program: Any
    score: float


@dataclass
class Search:
    """What the search did. `note` says why it proposed nothing, where it did not."""

    proposals: list[Proposal]
    incumbent: float = float("nan")
    examples: int = 0
    note: str = ""
    spent: bool = False  # stopped by a budget


def examples_scored(options: Compile, usable: int) -> int:
    """Items that every program is scored on, of `usable` ones, inside `compile.budget`."""
    calls = options.budget.calls or 10**9
    affordable = (calls - options.candidates * BOOTSTRAP) // options.candidates
    return max(min(MOST_EXAMPLES, affordable, usable - BOOTSTRAP), 0)


def search(
    session: Session, spec: TaskSpec, program, prompts: list[Prompt], vectors: list[Vectors], judge: Judge,
    meter: Meter, progress: Callable[[int, int], None],
) -> Search:  # fmt: skip
    """Propose programs for an item task, best first; the incumbent's own score stands beside them.

    BootstrapFewShotWithRandomSearch mixes the recipe's worked examples with demonstrations bootstrapped from the
    incumbent's best-scoring answers.
    Stays inside `compile.budget`; every program is scored on the same items, each with its own calibration.
    """
    import dspy
    from dspy.teleprompt import BootstrapFewShotWithRandomSearch

    options = session.recipe.compile
    reference = np.concatenate([v.matrix for v in vectors], axis=1)
    if np.isnan(reference).all():
        return Search([], note="the incumbent wrote nothing that was accepted")
    reward = UserAUC(session.dataset, reference)
    code = {subject: i for i, subject in enumerate(session.dataset.item_ids)}
    able = set(reward.items())
    usable = [p for p in prompts if code[p.subject] in able]
    usable.sort(key=lambda p: unit_hash("search", spec.name, p.subject))
    n = examples_scored(options, len(usable))
    if n < FEWEST_EXAMPLES:
        return Search([], note=TOO_FEW.format(n))
    names = [r.name for r in spec.inputs]
    made = [
        dspy.Example(**p.inputs, subject=p.subject).with_inputs(*[x for x in names if x in p.inputs]) for p in usable
    ]
    val, train = made[:n], _labelled(session, spec, made[n : n + BOOTSTRAP])
    if not train:
        return Search([], note="nothing that the incumbent wrote about the training items was accepted")
    by_subject = {p.subject: p for p in usable}
    weights = {o: weights_of(program, o) for o in spec.choices}
    done, counted, tracker = 0, Counter(), None
    answers: list[tuple[int, list | None]] = []  # (item, parts) of every evaluated answer, program after program

    def count() -> None:
        """Put what was used since the last count on the meter."""
        for name, entries in (tracker.usage_data if tracker else {}).items():
            for entry in entries[counted[name] :]:
                meter.add(writer.usage(entry))
            counted[name] = len(entries)
        if writer.wire:
            meter.add(Usage(calls=writer.wire.retries))
            writer.wire.retries = 0

    def metric(example, prediction, trace=None) -> float:
        nonlocal done
        done += 1
        count()
        if "subject" not in example:  # a worked example of the recipe: kept as it is, never bootstrapped
            return 0.0
        progress(done, options.candidates * (n + BOOTSTRAP // 2))
        prompt = by_subject[example.subject]
        parts = _parts(session, spec, judge, prompt, prediction, weights)
        if trace is None:  # an evaluation; bootstrapping gives its trace
            answers.append((code[example.subject], parts))
        return reward.score(code[example.subject], _joined(parts))

    def stored_score(example) -> float:
        item = code[example.subject]
        return reward.score(item, reference[item])  # NaN where nothing was accepted, which scores as a rejection

    incumbent = float(np.mean([stored_score(e) for e in val]))
    typical = float(np.quantile([stored_score(e) for e in train], 0.75))
    optimizer_noise = logging.getLogger("dspy")
    level = optimizer_noise.level
    optimizer_noise.setLevel(logging.CRITICAL)
    writer = session.open_writer()
    outer, writer.meter = writer.meter, meter
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            dspy.context(lm=writer.lm, adapter=writer.adapter),
            dspy.track_usage() as tracker,
        ):
            optimizer = BootstrapFewShotWithRandomSearch(
                metric=metric, metric_threshold=typical, max_bootstrapped_demos=4, max_labeled_demos=12,
                num_candidate_programs=options.candidates, num_threads=1, max_errors=5,
            )  # fmt: skip
            teacher = program.deepcopy()
            teacher._compiled = True  # it teaches with the demonstrations that it has
            best = optimizer.compile(
                program.deepcopy(),
                teacher=teacher,
                trainset=[*_worked(spec), *train],
                valset=val,
                restrict=range(options.candidates),
            )
        whole = len(answers) == options.candidates * n  # DSPy leaves out the examples that raised
        found = [
            Proposal(
                c["program"],
                _calibrated_score(reward, answers[c["seed"] * n : (c["seed"] + 1) * n])
                if whole
                else float(np.mean(c["subscores"])),
            )
            for c in best.candidate_programs
        ]
        note, spent = "", False
    except Exception as error:  # DSPy wraps what its worker threads raise
        why = writer.redact(_stop(meter) or str(error) or type(error).__name__).splitlines()[0]
        found, note, spent = [], f"the search stopped early: {why}", bool(_stop(meter))
    finally:
        writer.meter = outer
        optimizer_noise.setLevel(level)
        count()
    found.sort(key=lambda p: -p.score)
    return Search(found, incumbent, n, note, spent)


def _stop(meter: Meter) -> str:
    """The limit that was reached, empty when there is none: DSPy's own words don't tell."""
    try:
        meter.check()
    except BudgetStop as stop:
        return str(stop)
    return ""


def _worked(spec: TaskSpec) -> list:
    """The recipe's worked examples as labelled DSPy examples."""
    import dspy

    names = [r.name for r in spec.inputs]
    ordered = [{k: e[k] for k in [*names, *spec.outputs] if k in e} for e in examples(spec)]
    return [dspy.Example(**e).with_inputs(*[n for n in names if n in e]) for e in ordered]


def _labelled(session: Session, spec: TaskSpec, made: list) -> list:
    """Training items with what the incumbent wrote, where it was accepted."""
    written = store.tokens(session.db, session.recipe.name, spec.name)
    return [e.copy(**written[e.subject]) for e in made if e.subject in written]


def _parts(session: Session, spec: TaskSpec, judge: Judge, prompt: Prompt, prediction, weights: dict) -> list | None:
    """What an answer says, output by output, None when a gate rejects it: (raw probabilities, weights) of scored
    outputs, (columns, None) of the others."""
    raw, probabilities = typed_answer(spec, prediction, [])
    raw = typed_raw(spec, raw, probabilities, weights)
    candidate = Candidate("", spec.name, prompt.subject, raw, None, prompt.inputs, prompt.name)
    if not all(f.passed for f in judge.check_rules(candidate)):
        return None
    answer, parts = json.loads(raw), []
    for name, output in spec.outputs.items():
        choices = spec.choices.get(name)
        if choices and probabilities and name in probabilities:
            by = weights.get(name) or {}
            row = np.array([probabilities[name][c] for c in choices])
            parts.append((row, np.array([by.get(c, 1.0) for c in choices])))
        elif choices:
            said = answer[name] if isinstance(answer[name], list) else [answer[name]]
            parts.append((np.array([float(c in said) for c in choices]), None))
        elif output.type == "number":
            parts.append((np.array([float(answer[name])]), None))
        else:
            if output.or_unknown and is_unknown(answer[name]):  # no value: scored as having none
                return None
            parts.append((session.encoder.encode(session.db, [answer[name]])[0], None))
    return parts


def _joined(parts: list | None, own: list | None = None) -> np.ndarray | None:
    """The columns that an answer would become; `own` are weights to calibrate with instead of the incumbent's."""
    if parts is None:
        return None
    columns = []
    for i, (row, weights) in enumerate(parts):
        if weights is not None:
            row = row * (weights if own is None else own[i])
            row = row / max(row.sum(), 1e-12)
        columns.append(row)
    return np.concatenate(columns)


def _calibrated_score(reward: UserAUC, answers: list[tuple[int, list | None]]) -> float:
    """Mean completion score of one program, calibrated and centred on its own answers.

    By the incumbent's calibration every other prompt would look worse than it is: it has other habits.
    """
    kept = [parts for _, parts in answers if parts is not None]
    if not kept:
        return reward.score(0, None)
    own = [1 / np.maximum(np.mean([p[i][0] for p in kept], axis=0), 1e-6) for i in range(len(kept[0]))]
    vectors = [_joined(parts, own) for _, parts in answers]
    matrix = np.array([v for v in vectors if v is not None])
    mean, scale = matrix.mean(axis=0), np.maximum(matrix.std(axis=0), 1e-6)
    return float(np.mean([reward.score(item, v, mean, scale) for (item, _), v in zip(answers, vectors, strict=True)]))
