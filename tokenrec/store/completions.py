"""Reading and writing completions, verdicts and tokens. All SQL about them is here."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from typing import Any

from tokenrec.gates.base import Finding, Verdict
from tokenrec.ids import canonical_json, content_id
from tokenrec.store.store import now, transaction

_OF_SUBJECTS = (
    " from subjects s join completions c on c.program_id = s.program_id and c.lm_id = s.lm_id"
    " and c.input_hash = s.input_hash where s.recipe = ? and s.task = ? and s.program_id = ? and s.lm_id = ?"
)


@dataclass(frozen=True)
class Key:
    """What a completion is identified by (CONTRACT): program, LM with decode parameters, input, sample."""

    program_id: str
    lm_id: str
    input_hash: str
    sample: int

    @cached_property
    def id(self) -> str:
        return content_id([self.program_id, self.lm_id, self.input_hash, self.sample])


@dataclass
class Stored:
    """A completion as the store has it."""

    key: Key
    subject: str
    name: str
    inputs: dict[str, Any]
    raw: str
    probabilities: dict[str, dict[str, float]] | None = None
    state: str | None = None
    output: dict[str, Any] | None = None
    gate_id: str | None = None
    repaired: bool = False  # the first answer was malformed, and `raw` is its repair
    finish_reason: str | None = None
    findings: list[Finding] = field(default_factory=list)  # on this completion alone, by the judge `checked`
    checked: str | None = None


Checked = tuple[Key, str, list[Finding]]  # completion, the judge's gate id, findings

_ANSWER = (
    "completion_id, program_id, lm_id, input_hash, sample, task, run, inputs, raw, first_raw, probabilities,"
    " finish_reason, prompt_tokens, completion_tokens, calls, cost_usd, seconds, created"
)
_PAGE = 500  # subjects read at a time


def save_program(db, recipe: str, task: str, program_id: str, lm_id: str, instructions: str, state: dict) -> None:
    with transaction(db) as sql:
        sql.execute(
            "insert into programs values (?, ?, ?, ?, ?, ?, ?)"
            " on conflict (program_id) do update set state = excluded.state, lm_id = excluded.lm_id",
            [program_id, recipe, task, lm_id, instructions, canonical_json(state), now()],
        )


def load_program(db, program_id: str, lm_id: str) -> dict | None:
    """The saved state; None when the program last wrote with another model, whose calibration would not fit."""
    row = db.execute("select state from programs where program_id = ? and lm_id = ?", [program_id, lm_id]).fetchone()
    return json.loads(row[0]) if row else None


def told_program(db, program_id: str) -> tuple[str, dict]:
    """(instructions, state) of a program, whatever model it wrote with last."""
    row = db.execute("select instructions, state from programs where program_id = ?", [program_id]).fetchone()
    return row[0] or "", json.loads(row[1])


def subjects_of(db, recipe: str, task: str, program_id: str, lm_id: str) -> dict[str, str]:
    """subject → input hash, of what this program last wrote about."""
    sql = "select subject, input_hash from subjects where recipe = ? and task = ? and program_id = ? and lm_id = ?"
    return dict(db.execute(sql, [recipe, task, program_id, lm_id]))


def save_subjects(db, recipe: str, task: str, kind: str, program_id: str, lm_id: str, prompts: Iterable) -> int:
    """Replace what this program writes about (prompts: tasks.inputs.Prompt); returns how many subjects."""
    with transaction(db) as sql:
        key = [recipe, task, program_id, lm_id]
        sql.execute("delete from subjects where recipe = ? and task = ? and program_id = ? and lm_id = ?", key)
        rows = ([recipe, task, p.subject, kind, program_id, lm_id, p.hash, p.name, p.newest] for p in prompts)
        return sql.executemany("insert into subjects values (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows).rowcount


def set_current(db, recipe: str, task: str, program_id: str, lm_id: str, gate_id: str) -> None:
    """Make this program's accepted completions the task's tokens."""
    with transaction(db) as sql:
        sql.execute("insert or replace into current values (?, ?, ?, ?, ?)", [recipe, task, program_id, lm_id, gate_id])


def current(db, recipe: str, task: str) -> dict[str, str] | None:
    rows = list(db.query("select * from current where recipe = ? and task = ?", [recipe, task]))
    return rows[0] if rows else None


def insert_answers(
    db, task: str, run: str | None, rows: Sequence[tuple[Key, dict, Any]], checked: Sequence[Checked] = ()
) -> None:
    """Store answers ((key, inputs, Answer)) in one transaction; an answer that exists already stays.

    `checked`: what a judge found on single completions that are stored, or are among `rows`.
    """
    at = now()
    with transaction(db) as sql:
        sql.executemany(
            f"insert or ignore into completions ({_ANSWER}) values ({','.join('?' * (_ANSWER.count(',') + 1))})",
            ([key.id, key.program_id, key.lm_id, key.input_hash, key.sample, task, run, canonical_json(inputs),
              a.raw, a.first_raw, a.probabilities and canonical_json(a.probabilities), a.finish_reason or None,
              a.usage.prompt_tokens, a.usage.completion_tokens, a.usage.calls, a.usage.usd, round(a.seconds, 4), at]
             for key, inputs, a in rows),
        )  # fmt: skip
        _save_checks(sql, checked)


def _save_checks(sql, checked: Iterable[Checked]) -> None:
    sql.executemany(
        "update completions set checked = ?, findings = ? where completion_id = ?",
        ([gate_id, json.dumps([[f.gate, f.passed, f.score, f.reason, f.quote] for f in found]), key.id]
         for key, gate_id, found in checked),
    )  # fmt: skip


def insert_failure(db, task: str, run: str | None, subject: str, key: Key, error: str) -> None:
    with transaction(db) as sql:
        sql.execute(
            "insert into failures (run, task, subject, program_id, lm_id, input_hash, sample, error, created)"
            " values (?,?,?,?,?,?,?,?,?)",
            [run, task, subject, key.program_id, key.lm_id, key.input_hash, key.sample, error, now()],
        )


def completions_of(db, recipe: str, task: str, program_id: str, lm_id: str) -> Iterator[Stored]:
    """Every completion of the task's present subjects, by subject, then sample. Writing meanwhile is fine."""
    key, last = [recipe, task, program_id, lm_id], ""
    while True:
        page = db.execute(
            "select max(subject) from (select subject from subjects where recipe = ? and task = ? and program_id = ?"
            " and lm_id = ? and subject > ? order by subject limit ?)",
            [*key, last, _PAGE],
        ).fetchone()[0]
        if page is None:
            return
        rows = db.execute(
            "select s.subject, s.name, c.input_hash, c.sample, c.inputs, c.raw, c.probabilities, c.state, c.output,"
            " c.gate_id, c.first_raw is not null, c.finish_reason, c.findings, c.checked"
            f"{_OF_SUBJECTS} and s.subject > ? and s.subject <= ? order by s.subject, c.sample",
            [*key, last, page],
        ).fetchall()
        last = page
        for subject, name, input_hash, sample, inputs, raw, chances, state, output, gate_id, repaired, *more in rows:
            finish_reason, findings, checked = more
            yield Stored(
                Key(program_id, lm_id, input_hash, sample), subject, name or "", json.loads(inputs), raw,
                json.loads(chances) if chances else None, state, json.loads(output) if output else None,
                gate_id, bool(repaired), finish_reason,
                [Finding(g, bool(p), *rest) for g, p, *rest in json.loads(findings)] if checked else [], checked,
            )  # fmt: skip


def batch_of(db, recipe: str, task: str, program_id: str, lm_id: str) -> str:
    """The id of the completions of the task's present subjects together: the content id of their sorted ids."""
    digest, before = hashlib.sha256(b"["), b""
    for (key,) in db.execute(
        f"select distinct c.completion_id{_OF_SUBJECTS} order by 1", [recipe, task, program_id, lm_id]
    ):
        digest.update(before + b'"' + key.encode() + b'"')
        before = b","
    digest.update(b"]")
    return digest.hexdigest()


def all_judged(db, recipe: str, task: str, program_id: str, lm_id: str, gate_id: str | None = None) -> bool:
    """Whether no completion of the present subjects lacks a verdict (under `gate_id`, where it is given)."""
    rest = " and c.state is null" if gate_id is None else " and c.gate_id is not ?"
    key = [recipe, task, program_id, lm_id, *([] if gate_id is None else [gate_id])]
    return db.execute(f"select 1{_OF_SUBJECTS}{rest} limit 1", key).fetchone() is None


def states_of(db, recipe: str, task: str, program_id: str, lm_id: str) -> Counter[str]:
    """How many subjects are in each state, a subject's being that of its best sample."""
    best = "max(case c.state when 'accepted' then 3 when 'rejected' then 2 when 'malformed' then 1 end)"
    rows = db.execute(
        f"select best, count(*) from (select {best} as best{_OF_SUBJECTS} group by s.subject)"
        " where best is not null group by best",
        [recipe, task, program_id, lm_id],
    )
    return Counter({("malformed", "rejected", "accepted")[best - 1]: n for best, n in rows})


def reasons_of(db, recipe: str, task: str, program_id: str, lm_id: str) -> dict[str, int]:
    """Subjects by gate that said no to one of their samples."""
    rows = db.execute(
        f"select v.gate, count(distinct o.subject) from (select s.subject, c.completion_id{_OF_SUBJECTS}"
        " and c.state != 'accepted') o join verdicts v on v.completion_id = o.completion_id and not v.passed"
        " group by v.gate",
        [recipe, task, program_id, lm_id],
    )
    return dict(rows)


def samples_of(db, program_id: str, lm_id: str, hashes: Sequence[str]) -> dict[str, dict[int, tuple[str, str | None]]]:
    """input hash → sample → (raw answer, finish reason), for the hashes that have any."""
    found: dict[str, dict[int, tuple[str, str | None]]] = {}
    for start in range(0, len(hashes), 500):
        part = hashes[start : start + 500]
        marks = ",".join("?" * len(part))
        for input_hash, sample, *answer in db.execute(
            "select input_hash, sample, raw, finish_reason from completions where program_id = ? and lm_id = ?"
            f" and input_hash in ({marks})",
            [program_id, lm_id, *part],
        ):
            found.setdefault(input_hash, {})[sample] = tuple(answer)
    return found


def save_verdicts(
    db, gate_id: str, rows: Iterable[tuple[Stored, Verdict, dict | None, Checked | None]]
) -> None:
    """Store verdicts with typed outputs, replacing those of an earlier gate_id, and checks that are new."""
    with transaction(db) as sql:
        rows = iter(rows)
        while page := list(islice(rows, _PAGE)):
            sql.executemany(
                "update completions set state = ?, output = ?, gate_id = ? where completion_id = ?",
                ([v.state, output and canonical_json(output), gate_id, r.key.id] for r, v, output, _ in page),
            )
            _save_checks(sql, [alone for *_, alone in page if alone])
            judged = ([r.key.id] for r, *_ in page if r.gate_id is not None)
            sql.executemany("delete from verdicts where completion_id = ?", judged)
            found = (_one_a_gate(r.key.id, gate_id, v.findings) for r, v, *_ in page)
            sql.executemany("insert into verdicts values (?,?,?,?,?,?,?)", chain.from_iterable(found))


def _one_a_gate(key: str, gate_id: str, findings: list[Finding]) -> Iterable[list]:
    """Rows of `verdicts`: a gate's failure wins over its soft score."""
    kept: dict[str, list] = {}
    for f in findings:
        if f.gate not in kept or (not f.passed and kept[f.gate][3]):
            kept[f.gate] = [key, gate_id, f.gate, int(f.passed), f.score, f.reason, f.quote]
    return kept.values()


def failed_gates(db, program_id: str, lm_id: str) -> dict[str, list[str]]:
    """completion id → gates that said no, for one program's completions."""
    found: dict[str, list[str]] = {}
    for key, gate in db.execute(
        "select v.completion_id, v.gate from verdicts v join completions c using (completion_id)"
        " where c.program_id = ? and c.lm_id = ? and not v.passed",
        [program_id, lm_id],
    ):
        found.setdefault(key, []).append(gate)
    return found


def save_audits(db, recipe: str, rows: Iterable[dict[str, Any]]) -> int:
    """Store human labels, one a (task, subject, output), the newest; returns how many are new or changed."""
    new = 0
    with transaction(db) as sql:
        for r in rows:
            output = canonical_json(r["output"])
            values = [content_id([recipe, r["task"], r["subject"], r["output"]]), recipe, r["task"], r["completion_id"],
                      r["subject"], output, r["label"], r["reason"], r["who"]]  # fmt: skip
            new += sql.execute(
                "insert into audits values (?,?,?,?,?,?,?,?,?,?) on conflict (audit_id) do update set"
                " completion_id = excluded.completion_id, label = excluded.label, reason = excluded.reason,"
                " who = excluded.who, at = excluded.at where (label, reason, who, completion_id)"
                " is not (excluded.label, excluded.reason, excluded.who, excluded.completion_id)",
                [*values, now()],
            ).rowcount
    return new


def tokens(db, recipe: str, task: str) -> dict[str, dict[str, Any]]:
    """subject → accepted output of the task's current program."""
    return {
        r["subject"]: json.loads(r["output"])
        for r in db.query("select subject, output from tokens where recipe = ? and task = ?", [recipe, task])
    }


def token_rows(db, recipe: str, task: str) -> Iterator[tuple[str, dict, dict | None]]:
    """(subject, output, raw probabilities) of the task's tokens."""
    for r in db.query(
        "select subject, output, probabilities from tokens where recipe = ? and task = ?", [recipe, task]
    ):
        yield r["subject"], json.loads(r["output"]), json.loads(r["probabilities"]) if r["probabilities"] else None


def used_a_record(db, recipe: str, task: str, lm: str, program_id: str | None = None) -> tuple[float, ...] | None:
    """Means over the records that `lm` has answered: (calls, prompt tokens, completion tokens, seconds), all samples
    of a record together; None without any. One program's, or those of all the task's programs.
    """
    row = db.execute(
        "select count(*), avg(calls), avg(prompt), avg(completion), avg(seconds) from (select sum(c.calls) as calls,"
        " sum(c.prompt_tokens) as prompt, sum(c.completion_tokens) as completion, sum(c.seconds) as seconds"
        " from programs p join completions c using (program_id)"
        " where p.recipe = ? and p.task = ? and (p.program_id = ? or ? is null) and substr(c.lm_id, 1, ?) = ?"
        " group by c.program_id, c.lm_id, c.input_hash)",
        [recipe, task, program_id, program_id, len(lm), lm],
    ).fetchone()
    return tuple(value or 0.0 for value in row[1:]) if row[0] else None


def paid_for(db, recipe: str, task: str, lm: str, program_id: str | None = None) -> list[tuple]:
    """(prompt tokens, completion tokens, dollars or None) of every answer that `lm` was asked for, the earliest first.

    One program's, or those of all the task's programs.
    """
    return db.execute(
        "select c.prompt_tokens, c.completion_tokens, c.cost_usd from programs p join completions c using (program_id)"
        " where p.recipe = ? and p.task = ? and (p.program_id = ? or ? is null) and substr(c.lm_id, 1, ?) = ?"
        " and c.calls > 0 order by c.created, c.rowid",
        [recipe, task, program_id, program_id, len(lm), lm],
    ).fetchall()


def add_spend(db, run: str, task: str | None, purpose: str, lm_id: str, usage) -> None:
    if usage.calls:
        with transaction(db) as sql:
            sql.execute(
                "insert into spend (run, task, purpose, lm_id, calls, prompt_tokens, completion_tokens, cost_usd)"
                " values (?,?,?,?,?,?,?,?)",
                [run, task, purpose, lm_id, usage.calls, usage.prompt_tokens, usage.completion_tokens, usage.usd],
            )
