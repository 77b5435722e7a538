"""Where an optimiser's programs get their answers: the store, or the LM, on the search's meter.

DSPy's optimisers call a program example by example. Here such a call is a completion like any other: same prompt, same
repair, same key. So an answer that is stored is never asked for again: a search that was killed goes on where it was,
the incumbent's answers cost nothing, and a finalist has written a part of its subjects already.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import dspy

from tokenrec.compiler.ledger import Ledger
from tokenrec.compiler.session import Session
from tokenrec.errors import BudgetStop, ServiceError, TokenrecError
from tokenrec.gates.base import Candidate
from tokenrec.gates.judge import Judge
from tokenrec.generate.judging import typed_raw
from tokenrec.generate.run import GIVE_UP, RepairStopped, answered, completion_lm
from tokenrec.lm.meter import Usage
from tokenrec.store import completions as store
from tokenrec.store.completions import Key
from tokenrec.store.store import transaction
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.playback import Player
from tokenrec.tasks.program import load_program_state, make_program, program_id, program_state, weights_of
from tokenrec.tasks.spec import TaskSpec, input_hash
from tokenrec.tasks.template import Asker


class Stop(BaseException):
    """Ends an optimiser from inside: DSPy takes any Exception for the fault of one example and goes on."""

    def __init__(self, error: TokenrecError):
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True)
class Said:
    """What a program answered about one subject. Without `raw` there was no answer."""

    raw: str | None
    probabilities: dict[str, dict[str, float]] | None = None


class Student:
    """What `Desk.student` adds to the class of a task's program, for optimisers to call: answers come from the desk,
    everything else is DSPy's own.

    `aforward` is still the program's: that is how the desk asks.
    """

    desk: "Desk"

    def forward(self, sample: int = 0, **inputs):
        desk, said = self.desk, self.desk.answer(self, inputs)
        if desk.spec.task.use:
            made = self._replayed(said, inputs)
        else:
            made = desk.player.predict(self, said.raw, said.probabilities, inputs)
        made._said = (said, weights(self, desk.spec))  # what the metric scores: the answer, and how it was read
        return made

    def _replayed(self, said: Said, inputs: dict[str, Any]) -> dspy.Prediction:
        """A module's own answer. What its predictors said on the way is not stored: in the trace, which reflectors are
        shown, each stands with what the module was told and answered."""
        raw = typed_raw(self.desk.spec, said.raw or "", said.probabilities, weights(self, self.desk.spec))
        read = self.desk.judge.read(Candidate("", self.desk.spec.name, "", raw, None, {}))
        made = dspy.Prediction(**(read or {}))
        if dspy.settings.trace is not None:
            dspy.settings.trace.extend((predictor, inputs, made) for predictor in self.predictors())
        return made


class Desk:
    """Answers programs of one task about `prompts`; those in `together` are asked about at once.

    `used` is what was asked in this run. Every program that was ever asked is in `programs`, by its id.
    """

    def __init__(
        self, session: Session, spec: TaskSpec, judge: Judge, prompts: Iterable[Prompt], together: list[Prompt],
        ledger: Ledger, tell: Callable[[], None] = lambda: None,
    ):  # fmt: skip
        self.session, self.spec, self.judge, self.ledger, self.tell = session, spec, judge, ledger, tell
        self.writer = session.open_writer(spec.name)
        self.player = Player(self.writer)
        self.lm_id = completion_lm(spec, self.writer)
        self.prompts = {p.hash: p for p in prompts}
        self.together = [p.hash for p in together]
        self.programs: dict[str, Student] = {}
        self.said: dict[str, dict[str, Said]] = {}  # program → input hash → answer
        self.used, self.failed = Usage(), 0
        self._ids: dict[tuple, tuple[tuple, str]] = {}

    def __deepcopy__(self, memo):
        return self

    def student(self, program) -> Student:
        """A copy of the task's `program` that answers from here."""
        made = make_program(self.spec, self.writer, self.session.loaded.project.root)
        kind = type(made)
        made.__class__ = type(kind)(f"{kind.__name__}Student", (Student, kind), {})
        made.desk = self
        load_program_state(made, program_state(program))
        return made

    def answer(self, program: Student, inputs: dict[str, Any]) -> Said:
        """The program's answer about one of the prompts. Raises Stop at a limit or when the LM is gone.

        A worked example of the recipe is no prompt: nobody is asked, and there is no answer.
        """
        key = input_hash(inputs)
        if key not in self.prompts:
            return Said(None)
        pid = self.program_id(program)
        known = self.said.setdefault(pid, {})
        if pid not in self.programs:
            self.programs[pid] = program.deepcopy()
        if key not in known:
            self._fetch(program, pid, self.together if key in self.together else [key])
        return known.get(key) or Said(None)

    def whole(self) -> list[str]:
        """Ids of the programs that were asked about all of `together`, in the order of their first question."""
        return [pid for pid, said in self.said.items() if all(h in said for h in self.together)]

    def program_id(self, program: Student) -> str:
        """As tasks.program has it, worked out once a prompt: an optimiser asks thousands of times."""
        parts = [p for q in program.predictors() for p in (q.signature, q.demos)]
        key = tuple((id(p), len(p) if isinstance(p, list) else 0) for p in parts)
        if key not in self._ids:
            self._ids[key] = (tuple(parts), program_id(self.spec, program, self.writer))  # held: ids stay theirs
        return self._ids[key][1]

    def _fetch(self, program: Student, pid: str, hashes: list[str]) -> None:
        known = self.said[pid]
        wanted = [h for h in dict.fromkeys(hashes) if h not in known]
        for h, (raw, probabilities) in store.first_answers(self.session.db, pid, self.lm_id, wanted).items():
            self.ledger.recall(Key(pid, self.lm_id, h, 0).id)
            known[h] = Said(raw, probabilities)
        rest = [self.prompts[h] for h in wanted if h not in known]
        if rest:
            self._keep_program(program, pid, rest)
            try:
                with dspy.context(trace=None):
                    asyncio.run(self._ask(program, pid, rest))
            except TokenrecError as error:
                raise Stop(error) from None
        self.tell()

    async def _ask(self, program: Student, pid: str, prompts: list[Prompt]) -> None:
        asker, jobs, stop = Asker(program, self.spec, self.writer), iter(prompts), []

        async def worker():
            for prompt in jobs:
                if stop:
                    return
                try:
                    self._keep(pid, prompt, await answered(asker, self.judge, prompt))
                except RepairStopped as error:
                    self.used.add(error.usage)
                    stop.append(error.limit)
                except BudgetStop as limit:  # what others have in flight is paid for: let it arrive
                    stop.append(limit)

        project = self.session.loaded.project.project
        most = min(self.writer.at_once or project.concurrency, project.concurrency, len(prompts))
        workers = [asyncio.ensure_future(worker()) for _ in range(most)]
        try:
            await asyncio.gather(*workers)
        finally:
            for w in workers:
                w.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            if self.writer.wire:
                await self.writer.wire.aclose()
        if stop:
            raise stop[0]

    def _keep(self, pid: str, prompt: Prompt, answer) -> None:
        key, db, run = Key(pid, self.lm_id, prompt.hash, 0), self.session.db, self.session.run
        self.used.add(answer.usage)
        if answer.error:
            store.insert_failure(db, self.spec.name, run, prompt.subject, key, answer.error)
            self.said[pid][prompt.hash] = Said(None)
            self.failed += 1
            if self.failed >= GIVE_UP:
                raise ServiceError(
                    f"{self.writer.name} failed {self.failed} times in a row; the last error was: {answer.error}. "
                    "What is finished is stored; mend it and run again to go on"
                )
            return
        self.failed = 0
        with transaction(db):  # a kill between them would leave an answer that no budget counts
            store.insert_answers(db, self.spec.name, run, [(key, prompt.inputs, answer)])
            self.ledger.note(key.id, answer.usage)
        self.said[pid][prompt.hash] = Said(answer.raw, answer.probabilities)
        self.tell()

    def _keep_program(self, program: Student, pid: str, prompts: list[Prompt]) -> None:
        """Program and subjects, for whoever looks at the answers; no weights: a new prompt has its own calibration."""
        if store.load_program(self.session.db, pid, self.lm_id) is None:
            state = {n: {**s, "fields": {}} for n, s in program_state(program).items()}
            recipe, told = self.spec.recipe, self.spec.task.write or ""
            store.save_program(self.session.db, recipe, self.spec.name, pid, self.lm_id, told, state)
        store.add_subjects(
            self.session.db, self.spec.recipe, self.spec.name, self.spec.kind, pid, self.lm_id, prompts
        )


def weights(program, spec: TaskSpec) -> dict:
    """The program's decision weights by closed output."""
    return {o: weights_of(program, o) for o in spec.choices}
