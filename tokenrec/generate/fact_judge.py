"""`judge: lm`: a language model's verdict on each sentence of a text, as stored completions of an internal task.

The task `<task>.<output>.judge` is about texts: its inputs are the record that the text was written from and the text's
numbered sentences, its program is programs/judge.py. It goes the way of every task (generate/run.py): asked over the
wire, under the run's budget, stored, and never twice. Only texts that the rules pass are asked about.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from tokenrec.gates.base import Candidate, Finding
from tokenrec.gates.schema import Answer as Shape
from tokenrec.gates.schema import parse
from tokenrec.gates.scoring import Scored, gate_of, lines, scored
from tokenrec.gates.settle import RISK
from tokenrec.gates.text import places
from tokenrec.ids import content_id, unit_hash
from tokenrec.lm.writer import Writer
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.tasks import Task
from tokenrec.store import completions as store
from tokenrec.store.verdicts import answer_ids, failed_gates
from tokenrec.tasks.inputs import Prompt, as_data
from tokenrec.tasks.program import load_program_state, program_id
from tokenrec.tasks.spec import InputRef, TaskSpec, input_hash

PROGRAM = "judge.FactJudge"
# P(unsupported) of a written verdict while no labels have fitted it (tokenrec eval --recalibrate): the order counts
CHANCES = {"supported": 0.1, "not_stated": 0.85, "contradicted": 0.95}
MOST_SENTENCES, MOST_LINES = 60, 200  # of a text and of a record that are shown

Share = Annotated[float, Field(ge=0, le=1)]


class Verdicts(Shape):
    """What the program answers: a verdict a sentence, or its probability of being unsupported."""

    verdicts: list[Literal["supported", "contradicted", "not_stated"]] | list[Share]


@dataclass
class FactJudge:
    """The internal task of one output. It stands in for `Judge` where its own answers are read: malformed or not."""

    output: str
    spec: TaskSpec
    program: Any
    writer: Writer
    program_id: str
    source_id: str  # the program before any compile
    lm_id: str  # with decode parameters, as in completion keys
    threshold: float = 0.5  # on P(unsupported), from which a sentence is called so; compiled on labels

    @property
    def compiled(self) -> bool:
        """Whether labels had a part in it."""
        return self.program_id != self.source_id or self.threshold != 0.5

    @property
    def task_name(self) -> str:
        return self.spec.name

    @property
    def gate_id(self) -> str:
        return content_id(["judge", self.program_id])

    def read(self, candidate: Candidate) -> dict[str, Any] | None:
        """The answer as {"verdicts": [...]}, None when it is not one verdict a sentence."""
        found = parse(Verdicts, candidate.raw).output
        n = candidate.record["sentences"].count("\n") + 1
        return found if found and len(found["verdicts"]) == n else None

    def check_rules(self, candidate: Candidate) -> list[Finding]:
        if self.read(candidate) is None:
            return [Finding("schema", False, 1.0, "not one verdict a sentence")]
        return []

    def whole(self, findings: Sequence[Finding]) -> bool:
        return True

    def chances(self, verdicts: list) -> list[float]:
        """P(unsupported) of each sentence. A compiled threshold moves where even chances lie."""
        from tokenrec.gates.calibration import logit, sigmoid

        shift = logit(self.threshold)
        return [CHANCES[v] if isinstance(v, str) else sigmoid(logit(v) - shift) for v in verdicts]


def judge_name(task: str, output: str) -> str:
    return f"{task}.{output}.judge"


def measures(task: str, subject: str) -> bool:
    """Whether labels of this subject's texts measure a judge; the others' may compile it."""
    return unit_hash("judge", task, subject) >= 0.5


def judged_outputs(task: Task) -> list[str]:
    """The outputs of a task that a language model judges."""
    return [name for name, output in task.outputs.items() if output.judge == "lm"]


def judge_spec(recipe: Recipe, task: str, output: str) -> TaskSpec:
    """The internal task. Its subjects are those of `task`: what is about a user goes when the user goes."""
    made = Task.model_validate({
        "for": recipe.tasks[task].for_, "inputs": ["record", "sentences"], "write": "Hold sentences against a record.",
        "outputs": {"verdicts": {"type": "text", "grounding": "none"}},
    })  # fmt: skip
    inputs = (InputRef("record", field="record"), InputRef("sentences", field="sentences"))
    return TaskSpec(recipe.name, judge_name(task, output), made, {}, inputs)


def open_fact_judge(
    recipe: Recipe, task: str, output: str, writer: Writer, state: dict | None = None, source_id: str | None = None
) -> FactJudge:
    """The judge of one output as `writer` would be asked; `state`: of a compiled program, where it came of this one."""
    from tokenrec.generate.run import completion_lm
    from tokenrec.tasks.module import load_used

    spec = judge_spec(recipe, task, output)
    program = load_used(spec, writer, None, PROGRAM)
    own = program_id(spec, program, writer)
    if state and source_id == own:
        load_program_state(program, state)
    return as_judge(output, spec, program, writer, own, completion_lm(spec, writer))


def as_judge(output: str, spec: TaskSpec, program, writer: Writer, source_id: str, lm_id: str) -> FactJudge:
    pid = program_id(spec, program, writer)
    return FactJudge(output, spec, program, writer, pid, source_id, lm_id, threshold_of(program))


def threshold_of(program) -> float:
    """On P(unsupported); DSPy keeps that of a yes, which is P(supported)."""
    for _, predictor in program.named_predictors():
        if "threshold" in (fields := getattr(predictor, "fields", {}).get("true", {})):
            return min(max(1 - fields["threshold"], 1e-4), 1 - 1e-4)
    return 0.5


def asked_inputs(text: str, record: Mapping[str, Any]) -> dict[str, str] | None:
    """What the judge is told of one text, None for a text without sentences. Nothing that its writer was not told."""
    at = places(text)[:MOST_SENTENCES]
    if not at:
        return None
    record = dict(sorted(record.items()))  # as the store gives it back: equal records are one question
    said = [as_data(" ".join(text[a:b].split())) for a, b in at]
    return {
        "record": "\n".join(str(as_data(" ".join(line.split()))) for line in lines(record)[:MOST_LINES]),
        "sentences": "\n".join(f"{i}. {s}" for i, s in enumerate(said, 1)),
    }


class StoredAnswers:
    """The judge as gates see it (gates.scoring.Scorer): what the store holds of its answers. It asks nothing."""

    judge, local = "lm", False

    def __init__(self, db, asked: FactJudge):
        self.db, self.asked = db, asked
        self.id = content_id([asked.program_id, asked.lm_id, asked.threshold])[:16]

    def heard(self) -> str:
        if self.db is None:
            return ""
        digest = hashlib.sha256()
        for key in answer_ids(self.db, self.asked.program_id, self.asked.lm_id):
            digest.update(key.encode())
        return digest.hexdigest()[:16]

    def score_all(self, pairs: Sequence[tuple[str, Any]]) -> list[Scored | None]:
        if self.db is None:
            return [None] * len(pairs)
        inputs = [asked_inputs(text, record) for text, record in pairs]
        hashes = [one and input_hash(one) for one in inputs]
        said = said_of(self.db, self.asked, {h: one for h, one in zip(hashes, inputs) if h})
        found: list[Scored | None] = []
        for (text, _), key in zip(pairs, hashes, strict=True):
            chances = [] if key is None else said.get(key)
            at = places(text)[:MOST_SENTENCES]
            found.append(None if chances is None else scored((a, b, p) for (a, b), p in zip(at, chances, strict=True)))
        return found


def said_of(db, asked: FactJudge, inputs: Mapping[str, dict]) -> dict[str, list[float]]:
    """input hash → P(unsupported) of each sentence, for the inputs with an answer that can be read."""
    known = store.answers_to(db, asked.program_id, asked.lm_id, list(inputs))
    found = {}
    for key, (_, raw, _) in known.items():
        if said := asked.read(Candidate("", asked.task_name, "", raw, None, inputs[key])):
            found[key] = asked.chances(said["verdicts"])
    return found


def texts_to_judge(db, recipe: str, spec: TaskSpec, output: str, pid: str, lm_id: str) -> Iterator[Prompt]:
    """Of each subject the first text that only its judge could still refuse, as a question to that judge.

    One that the judge has refused gives way to the subject's next.
    """
    failed = failed_gates(db, pid, lm_id)
    heard = _with_finding(db, pid, lm_id, gate_of("lm"), output)
    last = None
    for row in store.completions_of(db, recipe, spec.name, pid, lm_id):  # by subject, then sample
        gates = {gate for gate, _ in failed.get(row.key.id, ())}
        if row.subject == last or row.output is None or gates - {RISK} or (gates and row.key.id in heard):
            continue
        if row.kept and row.kept.get(output, "") is None:  # "unknown": nothing to judge
            continue
        if inputs := asked_inputs(row.output[output], row.inputs):
            last = row.subject
            yield Prompt(row.subject, row.name, inputs, input_hash(inputs))


def unanswered(db, asked: FactJudge, prompts: Sequence[Prompt]) -> list[Prompt]:
    """Those about which nothing is stored, equal ones once."""
    distinct = {p.hash: p for p in prompts}
    known = store.answers_to(db, asked.program_id, asked.lm_id, list(distinct))
    return [p for key, p in distinct.items() if key not in known]


def unheard(db, asked: FactJudge, prompts: Sequence[Prompt]) -> tuple[int, int]:
    """(prompts without an answer, with one that can't be read)."""
    inputs = {p.hash: p.inputs for p in prompts}
    known, read = store.answers_to(db, asked.program_id, asked.lm_id, list(inputs)), said_of(db, asked, inputs)
    left = sum(p.hash not in known for p in prompts)
    return left, sum(p.hash not in read for p in prompts) - left


def _with_finding(db, pid: str, lm_id: str, gate: str, field: str) -> set[str]:
    sql = (
        "select v.completion_id from verdicts v join completions c using (completion_id)"
        " where c.program_id = ? and c.lm_id = ? and v.gate = ? and v.field = ?"
    )
    return {key for (key,) in db.execute(sql, [pid, lm_id, gate, field])}

