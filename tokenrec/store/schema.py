"""The store's tables, as numbered migrations. Column docs live in the README of this folder's tables: `TABLES`."""

import sqlite3
from collections.abc import Callable

TABLES = {
    "runs": "one row a command that wrote here",
    "programs": "every program that ever wrote: its DSPy state as JSON",
    "subjects": "what each task writes about now: subject → input_hash, program",
    "completions": "every LM answer with usage, cost, state and typed output; keyed by program, LM, input, sample",
    "verdicts": "one row a gate's finding on a completion, under one gate_id",
    "vectors": "encoder vectors of texts, float32 bytes, keyed by encoder and text hash",
    "audits": "human labels of outputs (CONTRACT: sound, noise, hallucination); unsupported: quotes of sentences, JSON",
    "skips": "texts that were shown to somebody and not labelled, by the audit_id that a label would have",
    "doubled": "the last two labels of a text that two people labelled; audits has the newer one",
    "evals": "the rates of each evaluation that differed from the one before",
    "samples": "texts drawn to be labelled: stratum and inclusion probability, written before any label was seen",
    "spend": "LM calls by run, task and purpose (generate, search, reflect, finalist)",
    "looks": "every look at tune-B and every read of test",
    "promotions": "each promotion test: incumbent, challenger, delta, p, decision",
    "searches": "each finished search of a task's prompt, by what it was made from: it is not run twice",
    "asked": "what each search has asked: completions of its programs, and what its reflector answered",
    "chosen": "the subjects that each task's `generate:` by uplift chose, under an id of what they were chosen from",
    "windows": "every event of the last run's data with its window",
    "lists": "the ranking lists of each run: list → window, user",
    "metrics": "metric of every (run, arm, slice, list)",
    "evidence": "arms and leaderboard rows of a run, as the report prints them",
    "files": "Parquet files beside the store: scores of every arm on the test candidates",
}

MIGRATIONS: list[Callable[[sqlite3.Connection], None]] = []


def migration(function):
    MIGRATIONS.append(function)
    return function


@migration
def m001_first(db: sqlite3.Connection) -> None:
    for statement in (_FIRST + _TOKENS).split(";"):
        if statement.strip():
            db.execute(statement)


@migration
def m002_checked(db: sqlite3.Connection) -> None:
    """What single-completion checks found, and by which judge: verdicts on a larger batch start from there."""
    for column in ("finish_reason", "findings", "checked"):
        db.execute(f"alter table completions add column {column} text")


@migration
def m003_audit(db: sqlite3.Connection) -> None:
    """Drawn texts, and rates to compare with. Other texts, or the same in other strata, are another sample_id."""
    db.execute(
        "create table samples (sample_id text not null, recipe text not null, task text not null,"
        " completion_id text not null, subject text not null, stratum text not null, pi real not null,"
        " drawn_at text not null, primary key (sample_id, completion_id, subject), check (pi > 0 and pi <= 1))"
    )
    db.execute("create index samples_by_task on samples (recipe, task)")
    db.execute("create table evals (id integer primary key, recipe text not null, at text not null,"
               " rates text not null)")  # fmt: skip


@migration
def m004_sentences(db: sqlite3.Connection) -> None:
    """Verdicts on each output of a task and on sentences; tokens without the sentences that were taken out."""
    db.execute("alter table completions add column kept text")  # the output without them; null where it is whole
    db.execute("alter table verdicts rename to verdicts_before")
    db.execute(
        "create table verdicts (completion_id text not null references completions, gate_id text not null,"
        " gate text not null, passed integer not null, score real, reason text, quote text,"
        " field text not null default '', parts text, primary key (completion_id, gate, field))"
    )
    db.execute("insert into verdicts select *, '', null from verdicts_before")
    db.execute("drop table verdicts_before")
    db.execute("drop view tokens")
    db.execute(_TOKENS.replace("c.output,", "coalesce(c.kept, c.output) as output,"))


@migration
def m005_audits_by_sentence(db: sqlite3.Connection) -> None:
    """Which sentences a label speaks of, whether it was given blind; what was skipped, and what two people read."""
    db.execute("alter table audits add column unsupported text")  # JSON list of quotes; null: not said
    db.execute("alter table audits add column blind integer")  # 1: the gates' marks were hidden; null: not known
    db.execute("create table skips (audit_id text primary key, recipe text not null, task text not null,"
               " completion_id text, subject text, who text, at text)")  # fmt: skip
    db.execute("create table doubled (audit_id text primary key, recipe text not null, task text not null,"
               " completion_id text, subject text, first_label text not null, first_who text not null,"
               " label text not null, who text not null, at text)")  # fmt: skip


@migration
def m006_asked(db: sqlite3.Connection) -> None:
    """What a search has asked, so that one that was killed asks nothing twice and keeps its budget."""
    db.execute(
        "create table asked (search text not null, request text not null, task text not null, answer text,"
        " calls integer not null, prompt_tokens integer not null, completion_tokens integer not null, cost_usd real,"
        " at text not null, primary key (search, request)) without rowid"
    )


@migration
def m007_chosen(db: sqlite3.Connection) -> None:
    """Which subjects `generate: {select: uplift}` chose, so that an unchanged run chooses and asks nothing."""
    db.execute(
        "create table chosen (choice_id text not null, recipe text not null, task text not null, kind text not null,"
        " subject text not null, primary key (choice_id, subject)) without rowid"
    )


_TOKENS = """
create view tokens as
    select s.recipe, s.task, s.subject, s.kind, c.completion_id, c.program_id, c.lm_id, c.sample, c.output,
        c.probabilities, s.newest_event_time, c.created
    from current r
    join subjects s on s.recipe = r.recipe and s.task = r.task and s.program_id = r.program_id and s.lm_id = r.lm_id
    join completions c on c.program_id = s.program_id and c.lm_id = s.lm_id and c.input_hash = s.input_hash
    where c.state = 'accepted' and c.gate_id = r.gate_id and c.sample = (
        select min(d.sample) from completions d where d.program_id = c.program_id and d.lm_id = c.lm_id
            and d.input_hash = c.input_hash and d.state = 'accepted' and d.gate_id = r.gate_id)
"""

_FIRST = """
create table runs (run text primary key, recipe text not null, recipe_hash text, data_hash text, command text,
    started text not null, finished text, status text not null, seconds real, document text);
create table programs (program_id text primary key, recipe text not null, task text not null, lm_id text not null,
    instructions text, state text not null, created text not null);
create table subjects (recipe text not null, task text not null, subject text not null, kind text not null,
    program_id text not null references programs, lm_id text not null, input_hash text not null, name text,
    newest_event_time real, primary key (recipe, task, program_id, lm_id, subject));
create table current (recipe text not null, task text not null, program_id text not null references programs,
    lm_id text not null, gate_id text, primary key (recipe, task));
create table completions (completion_id text primary key, program_id text not null references programs,
    lm_id text not null, input_hash text not null, sample integer not null, task text not null, run text,
    inputs text not null, raw text not null, first_raw text, probabilities text, output text, state text, gate_id text,
    prompt_tokens integer not null, completion_tokens integer not null, calls integer not null, cost_usd real,
    seconds real, created text not null, check (state in ('malformed', 'rejected', 'accepted')));
create index completions_by_input on completions (program_id, lm_id, input_hash, sample);
create table failures (id integer primary key, run text, task text not null, subject text not null, program_id text,
    lm_id text, input_hash text, sample integer, error text not null, created text not null);
create table verdicts (completion_id text not null references completions, gate_id text not null, gate text not null,
    passed integer not null, score real, reason text, quote text, primary key (completion_id, gate));
create table vectors (encoder_id text not null, text_hash text not null, dims integer not null, vector blob not null,
    primary key (encoder_id, text_hash));
create table audits (audit_id text primary key, recipe text not null, task text not null, completion_id text,
    subject text, output text, label text not null, reason text, who text, at text,
    check (label in ('sound', 'noise', 'hallucination')));
create table spend (id integer primary key, run text, task text, purpose text not null, lm_id text,
    calls integer not null,
    prompt_tokens integer not null, completion_tokens integer not null, cost_usd real);
create table looks (id integer primary key, recipe text not null, data_hash text not null, window text not null,
    task text, run text, at text not null);
create table promotions (id integer primary key, run text, recipe text, task text, incumbent text, challenger text,
    delta real, low real, p real, challengers integer, look integer, alpha real, promoted integer not null, at text);
create table searches (search_id text primary key, recipe text, task text, run text, document text not null, at text);
create table windows (recipe text not null, user text not null, item text not null, at real not null, value real,
    positive integer not null, window text not null);
create index windows_by_recipe on windows (recipe, window);
create table lists (run text not null, list integer not null, window text not null, user text not null,
    primary key (run, window, list));
create table metrics (run text not null, arm text not null, slice text not null, list integer not null,
    metric text not null, value real not null);
create index metrics_by_run on metrics (run, arm);
create table evidence (run text not null, kind text not null, name text not null, document text not null);
create table files (run text not null, kind text not null, path text not null, sha256 text not null,
    primary key (run, kind));
"""
