"""Completions in the store → verdicts in the store, for one task and one program. No LM is asked.

The batch is read twice, in order, and only numbers and temporary files are kept of it: memory stays flat however many
texts there are.
"""

import json
from collections.abc import Iterator

from tokenrec.gates.base import Candidate
from tokenrec.gates.judge import Batch, Judge
from tokenrec.gates.settle import SETTLED, unsettled
from tokenrec.ids import canonical_json, content_id
from tokenrec.spool import Spool
from tokenrec.store import completions as store
from tokenrec.store.completions import Stored
from tokenrec.store.verdicts import (
    Judged,
    all_judged,
    batch_of,
    dump_judged,
    load_judged,
    only_settled_otherwise,
    save_settled,
    save_verdicts,
    stored_findings,
)
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.program import DECODE_VERSION, decode
from tokenrec.tasks.spec import TaskSpec

Weights = dict[str, dict[str, float] | None]  # a program's decision weights by closed output


def judge_all(db, recipe: str, spec: TaskSpec, weights: Weights, judge: Judge, pid: str, lm_id: str) -> str:
    """Judge every completion of the task's present subjects under one gate id, and return it.

    Completions that carry it already are only judged again when others are new, since some checks look at the whole
    batch. What a judge with the same settings found on a single completion before is taken as it stands in the store.
    """
    key = (recipe, spec.name, pid, lm_id)
    gate_id = gate_of(batch_of(db, *key), weights, judge)
    if all_judged(db, *key, gate_id):
        return gate_id
    if only_settled_otherwise(db, *key, gate_id):
        resettle(db, spec, judge, key, gate_id)
        return gate_id
    batch, place = Batch(judge.task), {}  # by id: another process may add answers meanwhile, which are not judged yet
    for short, row, candidate in _candidates(db, spec, weights, key):
        output = judge.read(candidate)
        place[short] = None if output is None else len(batch.names)
        if output is not None:
            batch.add(row.subject, row.name, row.inputs, output)
    found = judge.look_at(batch)
    judged: Spool[Judged] = Spool((), dump_judged, load_judged)  # all of it, before the store is locked for writing
    for short, row, candidate in _candidates(db, spec, weights, key):
        if short not in place:
            continue
        check = check_id(judge, row.name)
        known = row.checked == check
        findings = row.findings if known else judge.check(candidate)
        # what was chosen from probabilities is another text under other weights: its check is not kept
        alone = None if known or row.probabilities else findings
        output, kept = judge.read(candidate), None
        if output is not None and all(f.passed for f in findings):
            kept, findings = judge.settle(candidate, output, findings + found(place[short]))
        verdict = judge.verdict(candidate.key, findings, kept)
        judged.append(Judged(row.key.id, verdict.state, output, findings, check, alone, verdict.kept))
    save_verdicts(db, gate_id, judged)
    return gate_id


def resettle(db, spec: TaskSpec, judge: Judge, key: tuple, gate_id: str) -> None:
    """Decide anew from the stored scores, since nothing but thresholds has changed. No check runs but for texts that
    lose sentences."""
    judged, changed = Spool((), dump_judged, load_judged), []
    for _, row, candidate in _candidates(db, spec, {}, key, decoded=False):
        stored = stored_findings(db, row.key.id)
        before = [f for f in stored if f.gate in SETTLED]
        findings, kept = unsettled(stored), None
        if row.output is not None:
            kept, findings = judge.settle(candidate, row.output, findings)
        verdict = judge.verdict(candidate.key, findings, kept)
        found = [f for f in findings if f.gate in SETTLED]
        judged.append(Judged(row.key.id, verdict.state, None, found, "", None, verdict.kept))
        changed.append(found != before or verdict.state != row.state or verdict.kept != row.kept)
    save_settled(db, gate_id, SETTLED, zip(judged, changed))


def check_id(judge: Judge, name: str) -> str:
    """By what a stored check is known to be of these gates: they look at the subject's name, which no key holds."""
    return content_id([judge.gate_id, name])


def _candidates(
    db, spec: TaskSpec, weights: Weights, key: tuple, decoded: bool = True
) -> Iterator[tuple[int, Stored, Candidate]]:
    """Each completion once, under a short id: subjects of equal inputs share it, and a verdict. Scored outputs are
    not `decoded` where only the texts beside them are looked at."""
    seen: set[int] = set()
    for row in store.completions_of(db, *key):
        short = int(row.key.id[:15], 16)
        if short not in seen:
            seen.add(short)
            raw = typed_raw(spec, row.raw, row.probabilities, weights) if decoded else row.raw
            end = row.finish_reason or ""
            yield short, row, Candidate(row.key.id, spec.name, row.subject, raw, None, row.inputs, row.name, end)


def gate_of(batch: str, weights: Weights, judge: Judge) -> str:
    """The id of the verdicts on a batch (see batch_of): 32 digits of the gates' settings, the decision weights and
    the batch, then what was decided with the scores, which may change alone."""
    return content_id([judge.gate_id, DECODE_VERSION, weights, batch])[:32] + judge.settle_id


def typed_raw(spec: TaskSpec, raw: str, probabilities: dict | None, weights: Weights) -> str:
    """The text that the gates judge: the LM's own, or for scored outputs the choice made of them."""
    if probabilities is None:
        return raw
    answer = json.loads(raw)
    for output, choices in spec.choices.items():
        if output in probabilities:
            answer[output] = decode(spec.outputs[output], choices, probabilities[output], weights.get(output))[0]
    return canonical_json(answer)


def decided(spec: TaskSpec, raw: str) -> str:
    """`raw` with its scored outputs chosen, before any calibration: is the text beside them any good?"""
    if not spec.choices or '"probabilities":' not in raw:
        return raw
    try:
        answer = json.loads(raw)
        scored = {o: answer[o]["probabilities"] for o in spec.choices if isinstance(answer[o], dict)}
        return typed_raw(spec, raw, scored, {})
    except (ValueError, KeyError, TypeError):
        return raw


def candidate_of(judge: Judge, prompt: Prompt, raw: str, finish_reason: str | None = None) -> Candidate:
    """An answer that is not stored yet, as gates see it."""
    end = finish_reason or ""
    return Candidate("", judge.task_name, prompt.subject, raw, None, prompt.inputs, prompt.name, end)


def passes(judge: Judge, prompt: Prompt, raw: str, finish_reason: str | None = None) -> bool:
    return all(f.passed for f in judge.check(candidate_of(judge, prompt, raw, finish_reason)))
