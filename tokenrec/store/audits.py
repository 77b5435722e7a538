"""What an audit reads and writes: soft scores, drawn samples, human labels."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tokenrec.ids import canonical_json, content_id
from tokenrec.store.store import now, transaction


def soft_scores(db, program_id: str, lm_id: str, kinds: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """completion id → kind → the worst score of the gates whose names begin with the kind's prefix, cut to 0..1."""
    found: dict[str, dict[str, float]] = {}
    for kind, prefix in kinds.items():
        for key, score in db.execute(
            "select v.completion_id, max(v.score) from verdicts v join completions c using (completion_id)"
            " where c.program_id = ? and c.lm_id = ? and v.score is not null and v.gate glob ? group by 1",
            [program_id, lm_id, prefix + "*"],
        ):
            found.setdefault(key, {})[kind] = min(max(score, 0.0), 1.0)
    return found


def findings_of(db, completion_id: str) -> list[dict[str, Any]]:
    """The gates' findings on one completion, failures first."""
    sql = "select gate, passed, score, reason, quote from verdicts where completion_id = ? order by passed, gate"
    return list(db.query(sql, [completion_id]))


def parts_of(db, completion_id: str, output: str) -> dict[str, tuple[tuple[int, int, float], ...]]:
    """gate → sentences of one output, as (start, end, probability of being unsupported)."""
    sql = "select gate, parts from verdicts where completion_id = ? and field = ? and parts is not null"
    return {gate: tuple(map(tuple, json.loads(parts))) for gate, parts in db.execute(sql, [completion_id, output])}


def sample_rows(db, sample_id: str) -> dict[tuple[str, str], tuple[str, float]]:
    """(subject, completion id) → (stratum, pi) of the texts that one sample drew."""
    sql = "select subject, completion_id, stratum, pi from samples where sample_id = ?"
    return {(subject, key): (stratum, pi) for subject, key, stratum, pi in db.execute(sql, [sample_id])}


def last_sample(db, recipe: str, task: str) -> tuple[str, str] | None:
    """(sample id, when it was last drawn from) of the task's newest sample."""
    return db.execute(
        "select sample_id, drawn_at from samples where recipe = ? and task = ? order by drawn_at desc, rowid desc"
        " limit 1",
        [recipe, task],
    ).fetchone()


def promoted_after(db, recipe: str, task: str, when: str) -> str | None:
    """When the task's prompt was last replaced by a better one, if that was after `when`."""
    sql = "select max(at) from promotions where recipe = ? and task = ? and promoted and at > ?"
    return db.execute(sql, [recipe, task, when]).fetchone()[0]


def foreign_labels(db, recipe: str, task: str, program_id: str) -> int:
    """How many labels are of texts that another program of the task wrote."""
    return db.execute(
        "select count(*) from audits a join completions c using (completion_id)"
        " where a.recipe = ? and a.task = ? and c.program_id <> ?",
        [recipe, task, program_id],
    ).fetchone()[0]


def save_sample(db, sample_id: str, recipe: str, task: str, rows: Iterable[tuple[str, str, str, float]]) -> None:
    """Add (completion id, subject, stratum, pi) to a sample; those it has get their new pi."""
    at = now()
    with transaction(db) as sql:
        sql.executemany(
            "insert into samples values (?,?,?,?,?,?,?,?) on conflict (sample_id, completion_id, subject)"
            " do update set pi = excluded.pi where pi <> excluded.pi",
            ([sample_id, recipe, task, key, subject, stratum, pi, at] for key, subject, stratum, pi in rows),
        )


def labels_of(db, recipe: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(task, subject, canonical output) → its label in the store, with reason, who, at and completion_id."""
    sql = "select task, subject, output, label, reason, who, at, completion_id from audits where recipe = ?"
    return {(r["task"], r["subject"], r["output"]): r for r in db.query(sql, [recipe])}


def drop_label(db, recipe: str, task: str, subject: str, output: dict[str, Any]) -> None:
    """Take the label of a text back."""
    with transaction(db) as sql:
        sql.execute("delete from audits where audit_id = ?", [content_id([recipe, task, subject, output])])


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
