"""What an audit reads and writes: soft scores, drawn samples, human labels."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tokenrec.gates.base import RECALIBRATED, RISK
from tokenrec.ids import canonical_json, content_id
from tokenrec.store.store import now, transaction

_SAME = "case when excluded.label = audits.label{0} then coalesce(excluded.{1}, audits.{1}) else excluded.{1} end"
_QUOTES = _SAME.format("", "unsupported")
_BLIND = _SAME.format(" and excluded.who = audits.who", "blind")


def soft_scores(db, program_id: str, lm_id: str, kinds: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """completion id → kind → the worst score of the gates whose names begin with the kind's prefix, cut to 0..1.

    As the judges gave it: what labels have made of it since is `fitted_scores`.
    """
    found: dict[str, dict[str, float]] = {}
    for kind, prefix in kinds.items():
        for key, score in db.execute(
            "select v.completion_id, max(v.score) from verdicts v join completions c using (completion_id)"
            " where c.program_id = ? and c.lm_id = ? and v.score is not null and v.gate glob ?"
            " and v.gate not in (?, ?) group by 1",
            [program_id, lm_id, prefix + "*", RISK, RECALIBRATED],
        ):
            found.setdefault(key, {})[kind] = min(max(score, 0.0), 1.0)
    return found


def fitted_scores(db, program_id: str, lm_id: str) -> dict[str, float]:
    """completion id → the probability that a text holds an unsupported claim, fitted to the task where labels allow."""
    sql = (
        "select v.completion_id, max(v.score) from verdicts v join completions c using (completion_id)"
        " where c.program_id = ? and c.lm_id = ? and v.gate = ? and v.score is not null group by 1"
    )
    return dict(db.execute(sql, [program_id, lm_id, RISK]))


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


def labelled_programs(db, recipe: str, task: str) -> list[tuple[str, str, str]]:
    """(program id, LM id, when the program first wrote) of which the task has labelled texts, the newest first."""
    return db.execute(
        "select distinct c.program_id, c.lm_id, p.created from audits a join completions c using (completion_id)"
        " join programs p on p.program_id = c.program_id where a.recipe = ? and a.task = ?"
        " order by p.created desc, c.program_id, c.lm_id",
        [recipe, task],
    ).fetchall()


def labelled_texts(db, recipe: str, task: str) -> Iterator[tuple[str, str, dict, dict, str, list[str] | None]]:
    """(subject, name, what the LM was told, output, label, unsupported quotes) of every label whose text's answer is in
    the store, whichever program gave it."""
    for subject, name, inputs, output, label, quotes in db.execute(
        "select a.subject, max(s.name), c.inputs, a.output, a.label, a.unsupported from audits a join completions c"
        " using (completion_id) left join subjects s on s.program_id = c.program_id and s.lm_id = c.lm_id"
        " and s.subject = a.subject where a.recipe = ? and a.task = ? group by a.audit_id order by a.audit_id",
        [recipe, task],
    ):
        yield subject, name or "", json.loads(inputs), json.loads(output), label, quotes and json.loads(quotes)


def save_sample(db, sample_id: str, recipe: str, task: str, rows: Iterable[tuple[str, str, str, float]]) -> None:
    """Add (completion id, subject, stratum, pi) to a sample; those it has get their new pi."""
    at = now()
    with transaction(db) as sql:
        sql.executemany(
            "insert into samples values (?,?,?,?,?,?,?,?) on conflict (sample_id, completion_id, subject)"
            " do update set pi = excluded.pi where pi <> excluded.pi",
            ([sample_id, recipe, task, key, subject, stratum, pi, at] for key, subject, stratum, pi in rows),
        )


def audit_id(recipe: str, task: str, subject: str, output: dict[str, Any]) -> str:
    """What a text's label is stored under."""
    return content_id([recipe, task, subject, output])


def labels_of(db, recipe: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(task, subject, canonical output) → its label in the store: label, reason, who, at, completion_id, unsupported
    (a list of quotes, None where nobody said) and blind (None where it is not known)."""
    sql = (
        "select task, subject, output, label, reason, who, at, completion_id, unsupported, blind from audits"
        " where recipe = ?"
    )
    found = {}
    for r in db.query(sql, [recipe]):
        r["unsupported"] = None if r["unsupported"] is None else json.loads(r["unsupported"])
        r["blind"] = None if r["blind"] is None else bool(r["blind"])
        found[r["task"], r["subject"], r["output"]] = r
    return found


def drop_label(db, recipe: str, task: str, subject: str, output: dict[str, Any]) -> None:
    """Take back what was said of a text: its label, or that it was skipped."""
    key = [audit_id(recipe, task, subject, output)]
    with transaction(db) as sql:
        for table in ("audits", "skips", "doubled"):
            sql.execute(f"delete from {table} where audit_id = ?", key)


def save_skip(db, recipe: str, row: dict[str, Any]) -> None:
    """Store that a text (task, subject, output, completion_id) was shown to `who`, who did not label it."""
    key = audit_id(recipe, row["task"], row["subject"], row["output"])
    with transaction(db) as sql:
        sql.execute("insert or replace into skips values (?,?,?,?,?,?,?)",
                    [key, recipe, row["task"], row["completion_id"], row["subject"], row["who"], now()])  # fmt: skip


def skipped_of(db, recipe: str, task: str) -> set[str]:
    """audit ids of the task's texts that were skipped and have no label since."""
    sql = "select audit_id from skips where recipe = ? and task = ? and audit_id not in (select audit_id from audits)"
    return {key for (key,) in db.execute(sql, [recipe, task])}


def doubled_of(db, recipe: str) -> list[tuple[str, str]]:
    """The two labels of each text that two people labelled, the earlier first."""
    return list(db.execute("select first_label, label from doubled where recipe = ? order by audit_id", [recipe]))


def save_audits(db, recipe: str, rows: Iterable[dict[str, Any]]) -> int:
    """Store human labels, one a (task, subject, output), the newest; returns how many are new or changed.

    What an earlier label of the same kind said of sentences, or whether it was blind, stays where the new one doesn't
    say. Where somebody else gave the earlier one, the pair is kept as well.
    """
    new, at = 0, now()
    with transaction(db) as sql:
        for r in rows:
            quotes, blind = r.get("unsupported"), r.get("blind")
            key = audit_id(recipe, r["task"], r["subject"], r["output"])
            sql.execute(
                "insert or replace into doubled select audit_id, recipe, task, completion_id, subject, label, who,"
                " ?, ?, ? from audits where audit_id = ? and who <> '' and ? <> '' and who <> ?",
                [r["label"], r["who"], at, key, r["who"], r["who"]],
            )
            values = [key, recipe, r["task"], r["completion_id"], r["subject"], canonical_json(r["output"]), r["label"],
                      r["reason"], r["who"], at, None if quotes is None else canonical_json(quotes),
                      None if blind is None else int(blind)]  # fmt: skip
            new += sql.execute(
                "insert into audits (audit_id, recipe, task, completion_id, subject, output, label, reason, who, at,"
                " unsupported, blind) values (?,?,?,?,?,?,?,?,?,?,?,?) on conflict (audit_id) do update set"
                " completion_id = excluded.completion_id, label = excluded.label, reason = excluded.reason,"
                f" who = excluded.who, at = excluded.at, unsupported = {_QUOTES}, blind = {_BLIND}"
                " where (label, reason, who, completion_id, unsupported, blind) is not"
                f" (excluded.label, excluded.reason, excluded.who, excluded.completion_id, {_QUOTES}, {_BLIND})",
                values,
            ).rowcount
    return new

