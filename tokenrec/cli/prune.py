"""`tokenrec prune`: what no present text, figure or lock rests on, out of the store, and only when it is asked for."""

import hashlib
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from tokenrec.cli.output import Out, common_options
from tokenrec.cli.stored import PAID, find_store, money, store_option, write_anew
from tokenrec.errors import InputError

_PAIR = "(program_id, lm_id) in (select program_id, lm_id from temp.old)"
WHERE = {  # table: which of its rows go, in an order that foreign keys allow
    "vectors": "text_hash in (select hash from temp.texts)",
    "verdicts": "completion_id in (select completion_id from temp.gone)",
    "failures": f"{_PAIR} or exists (select 1 from completions c join programs p on p.program_id = c.program_id"
                " where p.recipe in (select recipe from temp.scope) and c.program_id = failures.program_id"
                " and c.lm_id = failures.lm_id and c.input_hash = failures.input_hash and c.sample = failures.sample)",
    # `forget` knows by them whom an answer is about: they stay while any answer of their program does
    **dict.fromkeys(("subjects", "sources"), "(program_id, lm_id) in (select program_id, lm_id from temp.emptied)"),
    "completions": "completion_id in (select completion_id from temp.gone)",
    "metrics": "run in (select run from temp.earlier)",
    "lists": "run in (select run from temp.earlier)",
    "files": "run in (select run from temp.earlier)",
}  # fmt: skip
MARKS = {  # temporary tables, each made of those before it
    # the evidence of a finished run rests on `current`; what a stopped one rests on, and goes on with, nothing says
    "scope": "select recipe from (select recipe, status, max(rowid) from runs"
             " where command is not 'judge' and command is not 'recommend'"
             " group by recipe)"
             " where status = 'finished' and recipe in (select value from json_each(:recipes))",
    "earlier": "select run from runs where recipe in (select recipe from temp.scope)"
               " and command is not 'judge' and command is not 'recommend' and rowid not in"
               " (select max(rowid) from runs where command is not 'judge' and command is not 'recommend'"
               " group by recipe)",
    "pairs": "select program_id, lm_id from completions union select program_id, lm_id from subjects"
             " union select program_id, lm_id from failures",
    "locked": "select json_extract(value, '$[0]') as program_id, json_extract(value, '$[1]') || '#' as lm"
              " from json_each(:locks)",
    "kept": "select program_id, lm_id from current"
            # a lock of another LM's; that of the present one has the present decode parameters
            " union select p.program_id, p.lm_id from temp.pairs p join temp.locked l on l.program_id = p.program_id"
            " and instr(p.lm_id, l.lm) = 1 where not exists (select 1 from current r"
            " where r.program_id = l.program_id and instr(r.lm_id, l.lm) = 1)"
            " union select p.program_id, p.lm_id from promotions m join current r on r.recipe = m.recipe"
            " and r.task = m.task and r.program_id in (m.incumbent, m.challenger) join temp.pairs p"
            " on p.lm_id = r.lm_id and p.program_id in (m.incumbent, m.challenger)"
            # finalists are written in the run of their search, which is no older than the program that it was about
            " union select c.program_id, c.lm_id from searches s join current r on r.recipe = s.recipe"
            " and r.task = s.task join programs p on p.program_id = r.program_id and p.created <= s.at"
            " join completions c on c.run = s.run and c.task = s.task and c.lm_id = r.lm_id",
    "old": "select p.program_id, p.lm_id from temp.pairs p join programs using (program_id)"
           " where recipe in (select recipe from temp.scope) except select program_id, lm_id from temp.kept",
    "gone": f"select completion_id from completions where {_PAIR}"
            " and completion_id not in (select completion_id from audits where completion_id is not null)",
    "emptied": "select program_id, lm_id from temp.old except"
               " select c.program_id, c.lm_id from audits a join completions c on c.completion_id = a.completion_id",
    "texts": "select sha256(value) as hash from (select value from ({} in (select completion_id from temp.gone))"
             " except select value from ({} not in (select completion_id from temp.gone)))",
}  # fmt: skip
_TEXTS = (  # whole ones, and what is left of them, which is what tokens have
    "select e.value, c.completion_id from completions c, json_each(c.output) e where e.type = 'text' union all"
    " select e.value, c.completion_id from completions c, json_each(c.kept) e where e.type = 'text'"
)
_TEXTS = f"select value from ({_TEXTS}) where completion_id"


@click.command()
@click.argument("recipe", metavar="[RECIPE]", required=False)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--yes", is_flag=True, help="Don't ask whether it is meant.")
@store_option
@common_options
def command(out: Out, recipe: str | None, dry_run: bool, yes: bool, store_path: str | None) -> None:
    """Remove old answers and figures that no present text, evidence or lock rests on.

    Of RECIPE, or without it of every recipe in the store: answers of earlier prompts, models and settings with their
    verdicts, failures and the vectors of their texts; failures that were answered since; lists, figures by list and
    score files of runs before the newest. The store is then written anew. Going back to an earlier prompt means paying
    for its answers again; how much that is, is said first. It can't be undone. Nothing does this unasked.

    Kept: all answers of every task's present program, also about records that the data has no more; the programs that
    locks under programs/compiled/ name; both programs of a promotion test and the finalists of a search, while the
    task has the prompt that they were about; answers with a human label; all that a recipe has while its last run is
    not finished; vectors of the data; the programs themselves, what was spent, searched, looked at, labelled and
    measured.
    """
    db, path, loaded = find_store(recipe, store_path)
    try:
        name, recipes, locks = _project(path, loaded)
        marked = {"recipe": name, "recipes": json.dumps(recipes), "locks": json.dumps(locks)}
        doc = {"kind": "prune", "schema_version": 1, "recipe": marked["recipe"], "dry_run": dry_run}
        doc |= _mark(db, path, marked)
        nothing = not any(doc["removed"].values())
        if nothing and not dry_run and _loose(db, path):  # an earlier prune was stopped halfway
            doc |= {"freed_megabytes": _rewrite(db, path, _size(path))}
        if not nothing and not dry_run:
            said = f"{summary(doc)}. It can't be undone"
            if yes:
                out.say(f"{path}: {said}")
            else:
                _ask(f"Remove from {path}: {said}. Remove it?")
            with ExitStack() as runs:
                from tokenrec.store.lock import only_run

                names = {r[0] for r in db.execute("select recipe from runs union select recipe from programs")}
                for name in sorted(names | ({marked["recipe"]} - {None})):
                    runs.enter_context(only_run(path, name))
                doc |= prune(db, path, marked)
    finally:
        db.conn.close()
    out.emit(doc)
    said = "nothing to remove" if nothing else f"would remove {summary(doc)}"
    if nothing and doc["freed_megabytes"]:
        said += f". Written anew, the store takes {doc['freed_megabytes']:,.1f} MB less"
    elif doc["freed_megabytes"] is not None:
        said = f"removed {summary(doc)}. The store takes {doc['freed_megabytes']:,.1f} MB less"
    out.print(f"{path}: {said}")
    for note in doc["notes"]:
        out.say(f"note: {note}")


def _project(path: Path, loaded) -> tuple[str | None, list[str], list[list[str]]]:
    """The recipe's name if one was named; the recipes to prune, which are the project's own; and (program, LM) of every
    lock of the project and of the recipe's own program that a lock stands for.

    Raises InputError for a lock that can't be read, and for a store that is another project's.
    """
    from tokenrec.config import load_project

    project = loaded.project if loaded else load_project()
    if project.store.resolve() != path.resolve():
        raise InputError(f"{path} is not the store of the project in {project.root}, whose locks are looked at. "
                         "name a RECIPE of its project")  # fmt: skip
    own = loaded.recipe.name if loaded else None
    names = [own] if own else _recipes(project.root)
    found = []
    for file in sorted((project.root / "programs" / "compiled").rglob("*.json")):
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            found += [[document[key], document["lm_id"]] for key in ("program_id", "source_id")]
        except (ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{file}: no compiled program ({reason}). Delete it and compile again") from error
    return own, names, found


def _recipes(root: Path) -> list[str]:
    """Names of the project's recipes: another project's locks are not seen from here, so its answers stay."""
    from tokenrec.recipe.yamlfile import read_yaml

    names = set()
    for file in [*root.glob("*.yaml"), *(root / "recipes").rglob("*.yaml")]:
        try:
            names.add(read_yaml(file).value.get("name"))
        except (InputError, AttributeError):  # not a recipe, or one to be mended first
            continue
    return sorted(n for n in names if isinstance(n, str))


def _mark(db, path: Path, marked: dict[str, Any]) -> dict[str, Any]:
    """Say in temporary tables what is to go; the part of the document that tells of it."""
    db.conn.create_function("sha256", 1, lambda text: hashlib.sha256(text.encode()).hexdigest(), deterministic=True)
    for table in MARKS:
        db.execute(f"drop table if exists temp.{table}")
    for table, query in MARKS.items():
        db.execute(f"create temp table {table} as {query.format(_TEXTS, _TEXTS)}", marked)
        db.execute(f"create index temp.{table}_rows on {table} ({', '.join(_columns(db, table))})")
    removed, size = {}, 0
    for table, where in WHERE.items():
        lengths = " + ".join(f"ifnull(length(cast({c} as blob)), 0)" for c in _columns(db, table))
        row = db.execute(f"select count(*), ifnull(sum({lengths}), 0) from {table} where {where}").fetchone()
        removed[table], size = row[0], size + row[1]
    files = [path.parent / name for name in _files(db)]
    size += sum(f.stat().st_size for f in files)
    names = ("calls", "prompt_tokens", "completion_tokens", "cost_usd")
    paid = db.execute(f"select {PAID} from completions where {WHERE['completions']}").fetchone()
    stopped = db.execute(
        "select recipe from (select distinct recipe from programs) where recipe not in (select recipe from temp.scope)"
        " and (:recipe is null or recipe = :recipe) order by 1", marked
    ).fetchall()  # fmt: skip
    own = json.loads(marked["recipes"])
    return {
        "removed": removed,
        "files": [f.name for f in files],
        "megabytes": round(size / 1e6, 3),
        "pay_again": {name: n or 0 for name, n in zip(names[:3], paid, strict=False)}
        | {"cost_usd": paid[3] if removed["completions"] else 0.0},
        "freed_megabytes": None,
        "notes": [
            f"{r[0]}: all of it is kept, since its last run did not finish. compile it first" if r[0] in own
            else f"{r[0]}: all of it is kept, since it is no recipe of this project" for r in stopped
        ],
    }


def _columns(db, table: str) -> list[str]:
    return [c[1] for c in db.execute(f"pragma table_info({table})")]


def _files(db) -> list[str]:
    """Names of the score files that only runs before the newest have."""
    query = "select path from files where {0} except select path from files where not {0}"
    return [Path(r[0]).name for r in db.execute(query.format(f"({WHERE['files']})"))]


def _ask(question: str) -> None:
    """Raises InputError unless the answer is yes."""
    try:
        sure = click.confirm(question, err=True)
    except click.Abort:
        sure = False
    if not sure:
        raise InputError("nothing was removed. answer y, or say --yes")


def prune(db, path: Path, marked: dict[str, Any]) -> dict[str, Any]:
    """Remove it, and write the file anew; what `_mark` says of it, as it is now that no run is beside.

    Raises ServiceError when another process holds the store.
    """
    from tokenrec.store.store import transaction

    before = _size(path)
    said = _mark(db, path, marked)
    with transaction(db) as sql:
        for table, where in WHERE.items():
            sql.execute(f"delete from {table} where {where}")
    for name in said["files"]:
        (path.parent / name).unlink(missing_ok=True)
    return said | {"freed_megabytes": _rewrite(db, path, before)}


def _loose(db, path: Path) -> bool:
    """Whether deleted rows may still stand in the file or its log."""
    log = path.with_name(path.name + "-wal")
    return bool(db.execute("pragma freelist_count").fetchone()[0]) or (log.is_file() and log.stat().st_size > 0)


def _rewrite(db, path: Path, before: int) -> float:
    write_anew(db, path)
    return round((before - _size(path)) / 1e6, 3)


def _size(path: Path) -> int:
    """Bytes of the store, its log and the score files beside it."""
    return sum(f.stat().st_size for f in path.parent.iterdir() if f.name.startswith((path.name, "scores-")))


def summary(doc: dict[str, Any]) -> str:
    """What goes, how large it is, and what its answers would cost once more."""
    parts = ", ".join(f"{n:,} {table}" for table, n in doc["removed"].items() if n)
    again, said = doc["pay_again"], f"{parts} (about {doc['megabytes']:,.1f} MB)"
    if doc["removed"]["completions"]:
        tokens = again["prompt_tokens"] + again["completion_tokens"]
        said += f". Those completions once more: {again['calls']:,} calls, {tokens:,} LM tokens, "
        said += f"cost {money(again['cost_usd'])}"
    return said
