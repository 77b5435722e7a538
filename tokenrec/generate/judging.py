"""Completions in the store → verdicts in the store, for one task and one program. No LM is asked.

The batch is read twice, in order, and only numbers and temporary files are kept of it: memory stays flat however many
texts there are.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby, islice

from tokenrec.gates.base import Candidate, Finding
from tokenrec.gates.factuality.open import UNKNOWN
from tokenrec.gates.judge import Batch, Judge
from tokenrec.gates.scoring import AT_ONCE
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
    for short, row, candidate in _candidates(db, spec, weights, key, judge):
        output = None if _asked_for_agreement(judge, row) else judge.read(candidate)
        place[short] = None if output is None else len(batch.names)
        if output is not None:
            batch.add(row.subject, row.name, row.inputs, output)
    found = judge.look_at(batch)
    judged: Spool[Judged] = Spool((), dump_judged, load_judged)  # all of it, before the store is locked for writing
    for short, row, candidate, known, findings in _checked(_candidates(db, spec, weights, key, judge), place, judge):
        if _asked_for_agreement(judge, row):  # without a state: no token, and in no rate
            judged.append(Judged(row.key.id, None, None, [], "", None))
            continue
        check = check_id(judge, row.name, candidate)
        # what was chosen from probabilities is another text under other weights: its check is not kept, and neither is
        # one for which a judge has yet to answer
        alone = None if known or row.probabilities or not judge.whole(findings) else findings
        output, kept = judge.read(candidate), None
        if output is not None and all(f.passed for f in findings):
            kept, findings = judge.settle(candidate, output, findings + found(place[short]))
        verdict = judge.verdict(candidate.key, findings, kept)
        judged.append(Judged(row.key.id, verdict.state, output, findings, check, alone, verdict.kept))
    save_verdicts(db, gate_id, judged)
    return gate_id


def _checked(found: Iterator, place: dict, judge: Judge) -> Iterator[tuple]:
    """Each completion that is in the batch with its findings, and whether the store had them; judged a page at once.
    Those that were asked for agreement alone have none."""
    chosen = (one for one in found if one[0] in place)
    while page := list(islice(chosen, AT_ONCE)):
        known = [_asked_for_agreement(judge, row) or row.checked == check_id(judge, row.name, c) for _, row, c in page]
        fresh = iter(judge.check_all([c for (*_, c), had in zip(page, known) if not had]))
        for one, had in zip(page, known):
            yield *one, had, one[1].findings if had else next(fresh)


def resettle(db, spec: TaskSpec, judge: Judge, key: tuple, gate_id: str) -> None:
    """Decide anew from the stored scores, since nothing but thresholds has changed. No check runs but for texts that
    lose sentences."""
    judged, changed = Spool((), dump_judged, load_judged), []
    for _, row, candidate in _candidates(db, spec, {}, key, judge, decoded=False):
        if _asked_for_agreement(judge, row):
            judged.append(Judged(row.key.id, None, None, [], "", None))
            changed.append(False)
            continue
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


def check_id(judge: Judge, name: str, candidate: Candidate | None = None) -> str:
    """By what a stored check is known to be of these gates: they look at the subject's name, which no key holds, and
    at the further answers that there are."""
    others = candidate.others if candidate else ()
    return content_id([judge.gate_id, name, *others])


def _asked_for_agreement(judge: Judge, row: Stored) -> bool:
    return judge.task.agreement is not None and row.key.sample > 0


def _candidates(
    db, spec: TaskSpec, weights: Weights, key: tuple, judge: Judge, decoded: bool = True
) -> Iterator[tuple[int, Stored, Candidate]]:
    """Each completion once, under a short id: subjects of equal inputs share it, and a verdict. Scored outputs are
    not `decoded` where only the texts beside them are looked at."""
    seen: set[int] = set()
    for _, rows in groupby(store.completions_of(db, *key), key=lambda row: row.subject):
        of_subject = []
        for row in rows:
            short = int(row.key.id[:15], 16)
            if short not in seen:
                seen.add(short)
                raw = typed_raw(spec, row.raw, row.probabilities, weights) if decoded else row.raw
                end = row.finish_reason or ""
                made = Candidate(row.key.id, spec.name, row.subject, raw, None, row.inputs, row.name, end)
                of_subject.append((short, row, made))
        if spec.task.agreement and of_subject:
            of_subject[0] = _beside_others(judge, spec, of_subject)
        yield from of_subject


def _beside_others(judge: Judge, spec: TaskSpec, found: list[tuple]) -> tuple[int, Stored, Candidate]:
    """A subject's first answer with the further ones; malformed ones say nothing, scored fields are all the same."""
    short, row, first = found[0]
    further = [
        {k: v for k, v in said.items() if k not in (r.probabilities or {})}
        for _, r, c in found[1:] if r.key.sample <= spec.task.agreement.samples and (said := judge.read(c)) is not None
    ]  # fmt: skip
    return short, row, replace(first, others=tuple(further))


def gate_of(batch: str, weights: Weights, judge: Judge) -> str:
    """The id of the verdicts on a batch (see batch_of): 32 digits of the gates' settings, the decision weights, the
    batch and what judges have heard, then what was decided with the scores, which may change alone."""
    return content_id([judge.gate_id, DECODE_VERSION, weights, batch, *judge.heard()])[:32] + judge.settle_id


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
    return settled(judge.check_rules(candidate_of(judge, prompt, raw, finish_reason)))


def settled(findings: list[Finding]) -> bool:
    """Whether no other answer is wanted: it passed, or says that it does not know, which asking again won't change."""
    return all(f.passed or f.gate == UNKNOWN for f in findings)
