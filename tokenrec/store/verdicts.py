"""What the gates said: verdicts by completion, and counts of them. All SQL about verdicts is here."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from tokenrec.gates.base import Finding, findings_of, rows_of
from tokenrec.ids import canonical_json
from tokenrec.spool import dump, load
from tokenrec.store.completions import OF_SUBJECTS, PAGE, save_checks
from tokenrec.store.store import transaction


def batch_of(db, recipe: str, task: str, program_id: str, lm_id: str) -> str:
    """The id of the completions of the task's present subjects together: the content id of their sorted ids."""
    digest, before = hashlib.sha256(b"["), b""
    for (key,) in db.execute(
        f"select distinct c.completion_id{OF_SUBJECTS} order by 1", [recipe, task, program_id, lm_id]
    ):
        digest.update(before + b'"' + key.encode() + b'"')
        before = b","
    digest.update(b"]")
    return digest.hexdigest()


def all_judged(db, recipe: str, task: str, program_id: str, lm_id: str, gate_id: str | None = None) -> bool:
    """Whether no completion of the present subjects lacks a verdict (under `gate_id`, where it is given)."""
    rest = " and c.gate_id is null" if gate_id is None else " and c.gate_id is not ?"
    key = [recipe, task, program_id, lm_id, *([] if gate_id is None else [gate_id])]
    return db.execute(f"select 1{OF_SUBJECTS}{rest} limit 1", key).fetchone() is None


def only_settled_otherwise(db, recipe: str, task: str, program_id: str, lm_id: str, gate_id: str) -> bool:
    """Whether every completion of the present subjects has a verdict that differs from one under `gate_id` by what was
    decided with the scores, if at all."""
    rest = " and (c.gate_id is null or substr(c.gate_id, 1, 32) <> ?) limit 1"
    key = [recipe, task, program_id, lm_id, gate_id[:32]]
    return db.execute(f"select 1{OF_SUBJECTS}{rest}", key).fetchone() is None


def stored_findings(db, completion_id: str) -> list[Finding]:
    """What the gates found on one completion, as it was last judged."""
    sql = "select gate, passed, score, reason, quote, field, parts from verdicts where completion_id = ? order by rowid"
    return findings_of([*r[:6], json.loads(r[6]) if r[6] else ()] for r in db.execute(sql, [completion_id]))


def states_of(db, recipe: str, task: str, program_id: str, lm_id: str) -> Counter[str]:
    """How many subjects are in each state, a subject's being that of its best sample."""
    best = "max(case c.state when 'accepted' then 3 when 'rejected' then 2 when 'malformed' then 1 end)"
    rows = db.execute(
        f"select best, count(*) from (select {best} as best{OF_SUBJECTS} group by s.subject)"
        " where best is not null group by best",
        [recipe, task, program_id, lm_id],
    )
    return Counter({("malformed", "rejected", "accepted")[best - 1]: n for best, n in rows})


def reasons_of(db, recipe: str, task: str, program_id: str, lm_id: str) -> dict[str, int]:
    """Subjects by gate that said no to one of their samples."""
    rows = db.execute(
        f"select v.gate, count(distinct o.subject) from (select s.subject, c.completion_id{OF_SUBJECTS}"
        " and c.state != 'accepted') o join verdicts v on v.completion_id = o.completion_id and not v.passed"
        " group by v.gate",
        [recipe, task, program_id, lm_id],
    )
    return dict(rows)


class Judged(NamedTuple):
    """The verdict on one completion. `kept`: the output without its unsupported sentences, where it has any.
    `alone`: findings to be kept as the check `check`."""

    completion_id: str
    state: str | None  # None: asked for agreement only
    output: dict[str, Any] | None
    findings: list[Finding]
    check: str
    alone: list[Finding] | None
    kept: dict[str, Any] | None = None


def dump_judged(judged: Judged) -> bytes:
    *plain, findings, check, alone, kept = judged
    return dump([*plain, rows_of(findings), rows_of(alone or ()), check, alone is not None, kept])


def load_judged(data: bytes) -> Judged:
    *plain, findings, alone, check, is_alone, kept = load(data)
    return Judged(*plain, findings_of(findings), check, findings_of(alone) if is_alone else None, kept)


def save_verdicts(db, gate_id: str, rows: Iterable[Judged]) -> None:
    """Store verdicts with typed outputs, replacing those of an earlier gate_id, and checks that are new. All or none;
    make `rows` beforehand, since others can't write meanwhile."""
    with transaction(db) as sql:
        rows = iter(rows)
        while page := list(islice(rows, PAGE)):
            sql.executemany(
                "update completions set state = ?, output = ?, kept = ?, gate_id = ? where completion_id = ?",
                ([r.state, _json(r.output), _json(r.kept), gate_id, r.completion_id] for r in page),
            )
            save_checks(sql, ((r.completion_id, r.check, r.alone) for r in page if r.alone is not None))
            # also of those that had none when they were read: another process may have judged them since
            sql.executemany("delete from verdicts where completion_id = ?", ([r.completion_id] for r in page))
            found = (_one_a_gate(r.completion_id, gate_id, r.findings) for r in page)
            sql.executemany("insert into verdicts values (?,?,?,?,?,?,?,?,?)", chain.from_iterable(found))


def save_settled(db, gate_id: str, gates: Sequence[str], rows: Iterable[tuple[Judged, bool]]) -> None:
    """Store what was decided anew: gate ids, and where it changed, states, kept outputs and the findings of `gates`,
    which are all that `rows` have. All or none."""
    marks = ",".join("?" * len(gates))
    with transaction(db) as sql:
        rows = iter(rows)
        while page := list(islice(rows, PAGE)):
            sql.executemany(
                "update completions set gate_id = ? where completion_id = ?",
                ([gate_id, r.completion_id] for r, _ in page),
            )
            changed = [r for r, changed in page if changed]
            sql.executemany(
                "update completions set state = ?, kept = ? where completion_id = ?",
                ([r.state, _json(r.kept), r.completion_id] for r in changed),
            )
            keys = ([r.completion_id, *gates] for r in changed)
            sql.executemany(f"delete from verdicts where completion_id = ? and gate in ({marks})", keys)
            found = (_one_a_gate(r.completion_id, gate_id, r.findings) for r in changed)
            sql.executemany("insert into verdicts values (?,?,?,?,?,?,?,?,?)", chain.from_iterable(found))


def _one_a_gate(key: str, gate_id: str, findings: list[Finding]) -> Iterable[list]:
    """Rows of `verdicts`, one a gate and output: a gate's failure wins over its soft score."""
    kept: dict[tuple[str, str], list] = {}
    for f in findings:
        at = f.gate, f.field
        if at not in kept or (not f.passed and kept[at][3]):
            kept[at] = [key, gate_id, f.gate, int(f.passed), f.score, f.reason, f.quote, f.field, _json(f.parts)]
    return kept.values()


def _json(value: Any) -> str | None:
    return canonical_json(value) if value else None


def answer_ids(db, program_id: str, lm_id: str) -> Iterable[str]:
    """Ids of all completions of one program, sorted."""
    sql = "select completion_id from completions where program_id = ? and lm_id = ? order by 1"
    return (key for (key,) in db.execute(sql, [program_id, lm_id]))


def failed_gates(db, program_id: str, lm_id: str, passed: Sequence[str] = ()) -> dict[str, list[tuple[str, str]]]:
    """completion id → (gate, output) of those that said no, for one program's completions; the output is "" where a
    task has just one. With `passed`, of these gates where they did pass."""
    which = f"v.passed and v.gate in ({','.join('?' * len(passed))})" if passed else "not v.passed"
    found: dict[str, list[tuple[str, str]]] = {}
    for key, gate, field in db.execute(
        "select v.completion_id, v.gate, v.field from verdicts v join completions c using (completion_id)"
        f" where c.program_id = ? and c.lm_id = ? and {which}",
        [program_id, lm_id, *passed],
    ):
        found.setdefault(key, []).append((gate, field))
    return found
