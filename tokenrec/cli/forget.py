"""`tokenrec forget`: a user's texts and traces out of the store, down to the bytes of its files."""

import hashlib
import json
import re
import sqlite3
from contextlib import ExitStack
from itertools import permutations
from pathlib import Path
from typing import Any

import click

from tokenrec.cli.output import Out, common_options
from tokenrec.cli.stored import find_store, store_option, visible, write_anew
from tokenrec.errors import InputError

GONE = "[forgotten]"
_THEIRS = (
    "subject = :user and (recipe, task) in (select recipe, task from temp.user_programs)"
    " or (recipe, task, subject) in (select recipe, task, subject from temp.of_them)"
    " or completion_id in (select completion_id from temp.theirs)"
)
_OF_THEM = "(recipe, task, program_id, lm_id, subject) in (select * from temp.of_them)"
WHERE = {  # table: which of its rows are the user's
    "subjects": _OF_THEM,
    "sources": f"user = :user or {_OF_THEM}",
    "chosen": "subject = :user and kind = 'user'",
    "failures": "subject = :user and program_id in (select program_id from temp.user_programs) or (program_id, subject)"
                " in (select program_id, subject from temp.of_them)",
    **dict.fromkeys(("audits", "samples", "skips", "doubled"), _THEIRS),
    "verdicts": "completion_id in (select completion_id from temp.theirs)",
    "completions": "completion_id in (select completion_id from temp.theirs)",
    "metrics": "exists (select 1 from lists l where l.run = metrics.run and l.list = metrics.list"
               " and l.window = 'test' and l.user = :user)",
    "lists": "user = :user",
    "windows": "user = :user",
}  # fmt: skip


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.argument("user_id", metavar="USER_ID")
@click.option("--yes", is_flag=True, help="Don't ask whether it is meant.")
@store_option
@common_options
def command(out: Out, recipe: str, user_id: str, yes: bool, store_path: str | None) -> None:
    """Remove a user from the store: texts about them, labels of those, events, lists, figures, vectors.

    Of every recipe in the store that knows the id. Texts about sets of what they liked, and about items with words of
    theirs in the prompt, go too. A text that other users share is kept. Old answers of user tasks
    that no present subject has are removed too, since nothing says whose they were. The files are then written anew,
    so that nothing is left in their bytes. The recipe's own data files are not touched: take the user out of them
    first, or the next compile writes about them again. It can't be undone.
    """
    db, path, loaded = find_store(recipe, store_path)
    try:
        db.execute("pragma secure_delete = on")
        _mark(db, user_id)
        known = _recipes(db, user_id)
        if not known:
            write_anew(db, path)
            raise InputError(f"{path} holds nothing of a user {visible(user_id)}. mend the id, or name another --store")
        if not yes:
            _ask(db, path, user_id, known)
        with ExitStack() as runs:
            from tokenrec.store.lock import only_run

            for name in sorted({*known, loaded.recipe.name}):
                runs.enter_context(only_run(path, name))
            doc = forget(db, path, user_id)
    finally:
        db.conn.close()
    doc["notes"] += _notes(loaded)
    out.emit({"kind": "forget", "schema_version": 1, "user": user_id, "recipes": known, **doc})
    removed = ", ".join(f"{n:,} {table}" for table, n in doc["removed"].items() if n)
    out.print(f"removed from {path}: {removed}")
    for file in doc["files"]:
        out.print(f"{file['file']}: {file['what']}")
    for note in doc["notes"]:
        out.say(f"note: {visible(note)}")


def _mark(db, user: str) -> None:
    """Temporary tables: programs that write about users; the subjects that are this user, or hold what they liked or
    wrote; and the completions that are of these alone, or of nobody and by a program that writes of users' doings."""
    for table in ("user_programs", "held", "theirs", "of_them"):
        db.execute(f"drop table if exists temp.{table}")
    db.execute(
        "create temp table of_them as select recipe, task, program_id, lm_id, subject from subjects"
        " where subject = :user and kind in ('user', 'synthetic')"
        " union select s.recipe, s.task, s.program_id, s.lm_id, s.subject"
        " from sources o join subjects s on s.recipe = o.recipe and s.subject = o.subject"
        # what a language model was asked to judge of such a text holds it too
        " and (s.task = o.task or s.task glob o.task || '.*.judge') where o.user = :user", {"user": user}
    )  # fmt: skip
    db.execute(
        "create temp table user_programs as select distinct recipe, task, program_id from subjects"
        " where kind in ('user', 'synthetic')"
    )
    db.execute("create temp table held (program_id, lm_id, input_hash, primary key (program_id, lm_id, input_hash))")
    db.execute(
        "insert or ignore into temp.held select program_id, lm_id, input_hash from subjects"
        " where (recipe, task, program_id, lm_id, subject) not in (select * from temp.of_them)"
    )
    db.execute(
        "create temp table theirs as select completion_id from completions c where program_id in (select program_id"
        " from temp.user_programs union select program_id from sources) and not exists (select 1 from temp.held h"
        " where h.program_id = c.program_id and h.lm_id = c.lm_id and h.input_hash = c.input_hash)"
    )


def _recipes(db, user: str) -> list[str]:
    """The recipes that have rows of this user."""
    return [r[0] for r in db.execute(
        "select recipe from temp.of_them union select recipe from sources where user = :user"
        " union select recipe from windows"
        " where user = :user union select r.recipe from lists l join runs r using (run) where l.user = :user union"
        " select p.recipe from failures f join temp.user_programs p using (program_id) where f.subject = :user union"
        " select recipe from audits a where subject = :user and (recipe, task) in"
        " (select recipe, task from temp.user_programs) union select recipe from samples where subject = :user and"
        " (recipe, task) in (select recipe, task from temp.user_programs) order by 1", {"user": user},
    )]  # fmt: skip


def _ask(db, path: Path, user: str, known: list[str]) -> None:
    """Raises InputError unless the answer is yes."""
    count = {t: db.execute(f"select count(*) from {t} where {WHERE[t]}", {"user": user}).fetchone()[0]
             for t in ("completions", "windows", "lists")}  # fmt: skip
    asked = (f"Remove user {visible(user)} from {path} (recipe {', '.join(known)}): {count['completions']:,} texts, "
             f"{count['windows']:,} events, {count['lists']:,} lists? It can't be undone")  # fmt: skip
    try:
        sure = click.confirm(asked, err=True)
    except click.Abort:
        sure = False
    if not sure:
        raise InputError("nothing was removed. answer y, or say --yes")


def forget(db, path: Path, user: str) -> dict[str, Any]:
    """Remove the user's rows, write the files anew; what was removed, by table. `_mark` comes first.

    Raises ServiceError when another process holds the store.
    """
    from tokenrec.ranking.trained import delete_retriever
    from tokenrec.store.store import transaction

    _mark(db, user)
    files = _files(db, path, user)
    learnt = {r[0] for r in db.execute("select recipe from sources where user = :user", {"user": user})}
    removed, retrievers = {}, [f for r in _recipes(db, user) if (f := _learnt(path, r, r in learnt))]
    for folder in retrievers:  # before the rows, by which a second try would know of it; compile trains it anew
        delete_retriever(db, folder)
    with transaction(db) as sql:
        shared = sql.execute(
            "select count(distinct c.completion_id) from subjects s join completions c on c.program_id = s.program_id"
            " and c.lm_id = s.lm_id and c.input_hash = s.input_hash"
            " where (s.recipe, s.task, s.program_id, s.lm_id, s.subject) in (select * from temp.of_them)"
            " and c.completion_id not in (select completion_id from temp.theirs)"
        ).fetchone()[0]  # fmt: skip
        for file in files:
            sql.execute("delete from files where kind = 'scores' and run = ?", [file["run"]])
            if file["sha256"]:
                row = [file["run"], "scores", file["file"], file["sha256"]]
                sql.execute("insert into files values (?, ?, ?, ?)", row)
        hashes = _text_hashes(sql)
        removed["vectors"] = max(0, sql.executemany("delete from vectors where text_hash = ?", hashes).rowcount)
        for table, where in WHERE.items():
            removed[table] = sql.execute(f"delete from {table} where {where}", {"user": user}).rowcount
        sql.execute("delete from asked")  # what reflectors were told speaks of everybody's lists
        _scrub(sql, user)
    write_anew(db, path)
    said = "deleted, it had learnt from users' requests"
    files += [{"file": folder.name, "what": said, "rows": 0} for folder in retrievers]
    notes = []
    if shared:
        notes.append(f"{shared} text(s) are kept, since other users with the same input share them")
    if said := _mentions(db, user):
        notes.append(f"the same characters are still in {said}: texts of others, or other ids")
    kept = [{k: f[k] for k in ("file", "what", "rows")} for f in files]
    return {"removed": removed, "shared": shared, "files": kept, "notes": notes}


def _learnt(path: Path, recipe: str, surely: bool) -> Path | None:
    """The folder of the recipe's retriever, where that may have learnt from a user's requests: of requests written
    before a `prune` only its own word is left, and a killed training has not said it."""
    from tokenrec.ranking.trained import read_about

    folder = path.parent / f"retriever-{recipe}"
    about = read_about(folder) if folder.is_dir() else {"of_users": False}
    return folder if folder.is_dir() and (surely or about is None or about.get("of_users", True)) else None


def _files(db, path: Path, user: str) -> list[dict[str, Any]]:
    """Write the score files anew without the user's lists; one that can't be read is deleted."""
    made = []
    for run, name in list(db.execute("select run, path from files where kind = 'scores'")):
        rows = db.execute("select list from lists where run = ? and window = 'test' and user = ?", [run, user])
        lists = [r[0] for r in rows]
        if not lists:
            continue
        file = path.parent / Path(name).name
        file.with_suffix(".tmp").unlink(missing_ok=True)  # what a killed run left
        if not file.is_file():
            made.append({"run": run, "file": name, "what": "it was gone already", "rows": 0, "sha256": None})
            continue
        try:
            rows = _without(file, lists)
            with file.open("rb") as written:
                digest = hashlib.file_digest(written, "sha256").hexdigest()
            said = f"written anew without {rows:,} rows of {len(lists)} list(s)"
            made.append({"run": run, "file": name, "what": said, "rows": rows, "sha256": digest})
        except ValueError:  # pyarrow's ArrowInvalid: no Parquet file
            file.unlink()
            made.append({"run": run, "file": name, "what": "deleted, it could not be read", "rows": 0, "sha256": None})
    return made


def _without(file: Path, lists: list[int]) -> int:
    """Take the rows of some lists out of a Parquet file; returns how many they were."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    partial, n = file.with_suffix(".tmp"), 0
    try:
        with pq.ParquetFile(file) as source, pq.ParquetWriter(partial, source.schema_arrow, compression="zstd") as out:
            for group in range(source.num_row_groups):
                table = source.read_row_group(group)
                listed = table["list"]
                rest = table.filter(pc.invert(pc.is_in(listed, value_set=pa.array(lists, listed.type))))
                n += len(table) - len(rest)
                out.write_table(rest)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return n


def _text_hashes(sql: sqlite3.Connection) -> list[tuple[str]]:
    """Hashes of the texts that only completions to be removed have, as the table of vectors keys them."""
    query = (
        "select distinct e.value from completions c, json_each(c.{0}) e where e.type = 'text' and c.completion_id"
        " {1} (select completion_id from temp.theirs)"
    )
    texts = {r[0] for column in ("output", "kept") for r in sql.execute(query.format(column, "in"))}
    texts |= _joined(sql)
    if texts:
        for column in ("output", "kept"):
            texts.difference_update(r[0] for r in sql.execute(query.format(column, "not in")))
    return [(hashlib.sha256(t.encode()).hexdigest(),) for t in texts]


def _joined(sql: sqlite3.Connection) -> set[str]:
    """Invented items are encoded as one text of several outputs (features/vectors.py)."""
    made = set()
    for (output,) in sql.execute(
        "select output from completions where output is not null and completion_id in (select completion_id"
        " from temp.theirs)"
    ).fetchall():
        said = [v for v in json.loads(output).values() if isinstance(v, str)]
        made |= {". ".join(some) for n in range(2, len(said) + 1) for some in permutations(said, n)}
    return made


def _scrub(sql: sqlite3.Connection, user: str) -> None:
    """The id out of what was said of others: a verdict names the user whose text is alike, a run's notes name rows."""
    word = re.compile(rf"(?<!\w){re.escape(user)}(?!\w)")
    rows = sql.execute(
        "select v.rowid, v.reason, v.quote from verdicts v join completions c using (completion_id)"
        " where c.program_id in (select program_id from temp.user_programs)"
        " and (instr(v.reason, :user) or instr(v.quote, :user))",
        {"user": user},
    ).fetchall()
    for rowid, *said in rows:
        said = [text and word.sub(GONE, text) for text in said]
        sql.execute("update verdicts set reason = ?, quote = ? where rowid = ?", [*said, rowid])
    for run, text in sql.execute("select run, document from runs where instr(document, ?)", [user]).fetchall():
        document = json.loads(text)
        document["notes"] = [word.sub(GONE, note) for note in document.get("notes", [])]
        text = json.dumps(document, ensure_ascii=False)
        sql.execute("update runs set document = ? where run = ?", [text, run])


def _mentions(db, user: str) -> str:
    """Where the id's characters still are, as far as people can tell: `completions (3 rows)`."""
    found = []
    for table in [r[0] for r in db.execute("select name from sqlite_master where type = 'table' order by name")]:
        columns = [c[1] for c in db.execute(f"pragma table_info({table})") if c[2].lower() == "text"]
        if columns:
            where = " or ".join(f"instr({c}, :user)" for c in columns)
            n = db.execute(f"select count(*) from {table} where {where}", {"user": user}).fetchone()[0]
            found += [f"{table} ({n:,} rows)"] if n else []
    return ", ".join(found)


def _notes(loaded) -> list[str]:
    data = loaded.recipe.data
    files = [data.events.path, getattr(data.events, "test", None), data.users and data.users.path]
    files = [f for f in [*files, loaded.recipe.eval.labels] if f]
    return [
        f"the recipe's own files are not touched ({', '.join(files)}): while the user is in them, the next compile "
        "reads and writes about them again",
        "exports, backups and the averages of earlier runs are not touched either",
    ]
