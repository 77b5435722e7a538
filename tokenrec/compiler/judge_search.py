"""DSPy's search for a judge's demonstrations: on labelled texts, or on sentences where likelihoods are read."""

import contextlib
import io
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import dspy

from tokenrec.errors import BudgetStop
from tokenrec.generate.fact_judge import CHANCES, FactJudge
from tokenrec.lm.meter import Usage
from tokenrec.store import completions as store

CANDIDATES = 3  # programs that the search proposes
MOST = 24  # texts (or sentences) that demonstrations may come from, and that each program is scored on
BOOTSTRAPPED, SHOWN = 4, 8  # demonstrations of the judge's own making, and of people's


@dataclass
class Found:
    """The best program, None where none was proposed; `note` says why."""

    program: Any
    note: str = ""


class _Sentence(dspy.Module):
    """The judge's question about one sentence, by itself."""

    def __init__(self, choose, writer):
        super().__init__()
        self.choose, self.writer = choose, writer

    def forward(self, record: str, sentence: str):
        self.writer.meter.check()
        return self.choose(lm=self.writer.chooser, record=record, sentence=sentence)


def search_judge(db, run: str, judge: FactJudge, texts: list, bar) -> Found:
    """Propose a program by BootstrapFewShotWithRandomSearch: half of `texts` may become demonstrations, programs are
    scored on the other half by balanced agreement with people. Raises BudgetStop; the store learns what it cost."""
    writer = judge.writer
    train, val = (_examples(judge, texts[i::2])[:MOST] for i in (0, 1))
    if not train or not val:
        return Found(None, "no labelled sentence to learn from")
    weight = _weights(val)
    student = _Sentence(judge.program.choose.deepcopy(), writer) if writer.chooser else judge.program.deepcopy()
    used, counted = Usage(), Counter()

    def count(tracker) -> None:
        for name, entries in tracker.usage_data.items():
            for entry in entries[counted[name] :]:
                _spend(writer, used, writer.usage(entry))
            counted[name] = len(entries)
        if writer.wire:
            _spend(writer, used, Usage(calls=writer.wire.retries))
            writer.wire.retries = 0

    def metric(example, prediction, trace=None) -> float:
        count(tracker)
        if example.get("shot"):  # a worked example of ours: it is shown as it is
            return 0.0
        p = _unsupported(prediction)
        agrees = 1 - abs(float(example.bad) - p)
        return agrees >= 0.5 if trace is not None else agrees * weight[example.bad]

    shots = _shots(judge.program.choose.demos) if writer.chooser else []
    quiet = logging.getLogger("dspy")
    level = quiet.level
    quiet.setLevel(logging.CRITICAL)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            dspy.context(lm=writer.lm, adapter=writer.adapter),
            dspy.track_usage() as tracker,
        ):
            teacher = student.deepcopy()
            teacher._compiled = True  # it teaches with the demonstrations that it has
            optimizer = dspy.BootstrapFewShotWithRandomSearch(
                metric=metric, max_bootstrapped_demos=BOOTSTRAPPED, num_threads=1, max_errors=5,
                max_labeled_demos=len(shots) + SHOWN if writer.chooser else 0, num_candidate_programs=CANDIDATES,
            )  # fmt: skip
            try:
                best = optimizer.compile(
                    student, teacher=teacher, trainset=[*shots, *train], valset=val, restrict=range(CANDIDATES)
                )
            finally:
                count(tracker)
    except Exception as error:  # DSPy wraps what its worker threads raise
        with contextlib.suppress(BudgetStop):
            writer.meter.check()
            return Found(None, f"the search stopped early: {writer.redact(str(error)).splitlines()[0][:200]}")
        raise BudgetStop("the budget ended during the search of a better judge; raise it and run again") from error
    finally:
        quiet.setLevel(level)
        store.add_spend(db, run, judge.spec.name, "search", writer.lm_id, used)
        bar.step()
    program = judge.program.deepcopy()
    if writer.chooser:
        program.choose.demos = [_plain(d) for d in best.choose.demos]
        return Found(program)
    program.write.demos = best.write.demos
    return Found(program)


def _spend(writer, used: Usage, more: Usage) -> None:
    writer.meter.add(more)
    used.add(more)


def _examples(judge: FactJudge, texts: list) -> list:
    """Labelled examples: of sentences about which people said which they are, or of texts."""
    found = []
    if not judge.writer.chooser:
        for t in texts:
            found.append(dspy.Example(**t.prompt.inputs, bad=t.bad).with_inputs("record", "sentences"))
        return found
    module = _module(judge.program)
    for t in texts:
        said = zip(module.split(t.prompt.inputs["sentences"]), t.sentences, strict=True)
        record = module.told(t.prompt.inputs["record"])
        found += [
            dspy.Example(record=record, sentence=s, true=not bad, bad=bad).with_inputs("record", "sentence")
            for s, bad in said if bad is not None
        ]  # fmt: skip
    return _alternating(found)


def _alternating(examples: list) -> list:
    """Both kinds in turn, so that a first few hold both."""
    bad, good = ([e for e in examples if e.bad is kind] for kind in (True, False))
    n = min(len(bad), len(good))
    return [e for pair in zip(bad[:n], good[:n]) for e in pair] + bad[n:] + good[n:]


def _weights(examples: list) -> dict[bool, float]:
    """So that both kinds count the same, whichever is rarer."""
    n, bad = len(examples), sum(e.bad for e in examples)
    return {True: n / (2 * max(bad, 1)), False: n / (2 * max(n - bad, 1))}


def _unsupported(prediction) -> float:
    if "true" in prediction:
        return 1 - (prediction.true.probability or 0.0)
    return max((CHANCES.get(v, 0.5) for v in prediction.verdicts), default=0.5)


def _shots(demos: list) -> list:
    return [dspy.Example(**dict(d), shot=True, bad=not d["true"]).with_inputs("record", "sentence") for d in demos]


def _plain(demo) -> Any:
    """A demonstration as a prompt shows it; the judge's own answers as yes or no."""
    true = demo["true"]
    true = true if isinstance(true, bool) else bool(getattr(true, "value", true))
    return dspy.Example(record=demo["record"], sentence=demo["sentence"], true=true).with_inputs("record", "sentence")


def _module(program):
    """The file that the program's class stands in (programs/judge.py)."""
    forward = type(program).forward.__globals__
    return _Names(forward["split"], forward["told"])


@dataclass(frozen=True)
class _Names:
    split: Any
    told: Any
