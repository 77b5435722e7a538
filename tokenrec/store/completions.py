"""Reading and writing completions, verdicts and tokens. All SQL about them is here."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tokenrec.gates.base import Finding, findings_of, rows_of
from tokenrec.ids import canonical_json, content_id
from tokenrec.store.store import now, transaction

OF_SUBJECTS = (
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
    findings: list[Finding] = field(default_factory=list)  # on this completion alone
    checked: str | None = None  # by which check (judging.check_id)
    kept: dict[str, Any] | None = None  # `output` without the sentences that were taken out, where any were

    @property
    def token(self) -> dict[str, Any] | None:
        """What features are made of."""
        return self.kept or self.output


Checked = tuple[str, str, list[Finding]]  # completion id, whose check it is (judging.check_id), findings

_ANSWER = (
    "completion_id, program_id, lm_id, input_hash, sample, task, run, inputs, raw, first_raw, probabilities,"
    " finish_reason, prompt_tokens, completion_tokens, calls, cost_usd, seconds, created"
)
PAGE = 500  # subjects read at a time


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


def save_subjects(
    db, recipe: str, task: str, kind: str, program_id: str, lm_id: str, prompts: Iterable, replace: bool = True
) -> int:
    """Replace what this program writes about (prompts: tasks.inputs.Prompt), or add to it; returns how many are new."""
    with transaction(db) as sql:
        key = [recipe, task, program_id, lm_id]
        for table in ("subjects", "sources") if replace else ():
            sql.execute(f"delete from {table} where recipe = ? and task = ? and program_id = ? and lm_id = ?", key)
        return _insert_subjects(sql, key, kind, prompts, "insert" if replace else "insert or ignore")


def add_subjects(db, recipe: str, task: str, kind: str, program_id: str, lm_id: str, prompts: Iterable) -> None:
    """Note some of what a program writes about, beside what is noted already (see save_subjects)."""
    with transaction(db) as sql:
        _insert_subjects(sql, [recipe, task, program_id, lm_id], kind, prompts, "insert or ignore")


def _insert_subjects(sql, key: list[str], kind: str, prompts: Iterable, how: str) -> int:
    (recipe, task, program_id, lm_id), n = key, 0
    for p in prompts:
        row = [recipe, task, p.subject, kind, program_id, lm_id, p.hash, p.name, p.newest]
        n += sql.execute(f"{how} into subjects values (?, ?, ?, ?, ?, ?, ?, ?, ?)", row).rowcount
        sql.executemany(
            "insert or ignore into sources values (?, ?, ?, ?, ?, ?, ?)",
            ([*key, p.subject, user, json.dumps(items)] for user, items in getattr(p, "sources", ())),
        )
    return n


def sources_of(db, recipe: str, task: str) -> dict[str, list[tuple[str, list[str]]]]:
    """subject → (user, ids of their items) of the task's present program."""
    found: dict[str, list[tuple[str, list[str]]]] = {}
    for subject, user, items in db.execute(
        "select s.subject, s.user, s.items from current r join sources s using (recipe, task, program_id, lm_id)"
        " where r.recipe = ? and r.task = ? order by s.subject, s.user",
        [recipe, task],
    ):
        found.setdefault(subject, []).append((user, json.loads(items)))
    return found


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
        save_checks(sql, checked)


def save_checks(sql, checked: Iterable[Checked]) -> None:
    sql.executemany(
        "update completions set checked = ?, findings = ? where completion_id = ?",
        ([check, json.dumps(rows_of(found)), key]
         for key, check, found in checked),
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
            [*key, last, PAGE],
        ).fetchone()[0]
        if page is None:
            return
        rows = db.execute(
            "select s.subject, s.name, c.input_hash, c.sample, c.inputs, c.raw, c.probabilities, c.state, c.output,"
            " c.gate_id, c.first_raw is not null, c.finish_reason, c.findings, c.checked, c.kept"
            f"{OF_SUBJECTS} and s.subject > ? and s.subject <= ? order by s.subject, c.sample",
            [*key, last, page],
        ).fetchall()
        last = page
        for subject, name, input_hash, sample, inputs, raw, chances, state, output, gate_id, repaired, *more in rows:
            finish_reason, findings, checked, kept = more
            yield Stored(
                Key(program_id, lm_id, input_hash, sample), subject, name or "", json.loads(inputs), raw,
                json.loads(chances) if chances else None, state, json.loads(output) if output else None,
                gate_id, bool(repaired), finish_reason,
                findings_of(json.loads(findings)) if checked else [], checked, json.loads(kept) if kept else None,
            )  # fmt: skip


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


def first_answers(db, program_id: str, lm_id: str, hashes: Sequence[str]) -> dict[str, tuple[str, dict | None]]:
    """input hash → (raw answer, probabilities) of the first sample, for the hashes that have one."""
    found = {}
    for start in range(0, len(hashes), 500):
        part = hashes[start : start + 500]
        for input_hash, raw, chances in db.execute(
            "select input_hash, raw, probabilities from completions where program_id = ? and lm_id = ? and sample = 0"
            f" and input_hash in ({','.join('?' * len(part))})",
            [program_id, lm_id, *part],
        ):
            found[input_hash] = (raw, json.loads(chances) if chances else None)
    return found


def answers_to(db, program_id: str, lm_id: str, hashes: Sequence[str]) -> dict[str, tuple[str, str, str | None]]:
    """input hash → (completion id, raw answer, state) of the last sample, for the hashes that have any."""
    found: dict[str, tuple[str, str, str | None]] = {}
    for start in range(0, len(hashes), 500):
        part = hashes[start : start + 500]
        marks = ",".join("?" * len(part))
        for input_hash, *answer in db.execute(
            "select input_hash, completion_id, raw, state from completions where program_id = ? and lm_id = ?"
            f" and input_hash in ({marks}) order by sample",
            [program_id, lm_id, *part],
        ):
            found[input_hash] = tuple(answer)
    return found


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


def used_a_record(
    db, recipe: str, task: str, lm: str, program_id: str | None = None, answers: bool = False
) -> tuple[float, ...] | None:
    """Means over the records that `lm` has answered: (calls, prompt tokens, completion tokens, seconds), all samples
    of a record together, or with `answers` each by itself; None without any. One program's, or those of all the
    task's programs.
    """
    row = db.execute(
        "select count(*), avg(calls), avg(prompt), avg(completion), avg(seconds) from (select sum(c.calls) as calls,"
        " sum(c.prompt_tokens) as prompt, sum(c.completion_tokens) as completion, sum(c.seconds) as seconds"
        " from programs p join completions c using (program_id)"
        " where p.recipe = ? and p.task = ? and (p.program_id = ? or ? is null) and substr(c.lm_id, 1, ?) = ?"
        f" group by c.program_id, c.lm_id, c.input_hash{', c.sample' * answers})",
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
