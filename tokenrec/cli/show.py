"""`tokenrec show`: one completion with everything that is known about it."""

import json
import re
from typing import Any

import click

from tokenrec.cli.output import Out, common_options
from tokenrec.cli.stored import find_store, money, store_option, visible
from tokenrec.errors import InputError

FEWEST = 6  # characters of an id
SHOWN = 10  # subjects printed for people


@click.command()
@click.argument("completion_id", metavar="[COMPLETION_ID]", required=False)
@click.argument("user", metavar="[USER_ID]", required=False)
@click.option("--recipe", metavar="RECIPE", help="The recipe whose project has the store.")
@click.option("--task", metavar="TASK", help="With --recipe and --subject, instead of an id: a task of the recipe.")
@click.option("--subject", metavar="SUBJECT", help="The item or user that the task wrote about.")
@store_option
@common_options
def command(
    out: Out, completion_id: str | None, user: str | None, recipe: str | None, task: str | None, subject: str | None,
    store_path: str | None,
) -> None:  # fmt: skip
    """Show one completion: what the LM was told and said, how it was judged, what it cost and where it is used.

    COMPLETION_ID may be cut to its first 6 characters or more. With --recipe, --task and --subject it is what the
    task's present program wrote about the subject: its token, or its last answer when none was accepted.
    `tokenrec show user USER_ID --recipe RECIPE` shows what every task says of a user, and whether the LM wrote it or a
    person (the task's overrides:). Nothing is written and no LM is asked. Exits 2 when there is no such completion.
    """
    if completion_id == "user" or user is not None:
        return _show_user(out, completion_id, user, recipe, store_path)
    by_subject = task is not None and subject is not None and recipe is not None
    if completion_id is None and not by_subject:
        raise click.UsageError("name a COMPLETION_ID, or --recipe, --task and --subject")
    if completion_id is not None and (task is not None or subject is not None):
        raise click.UsageError("name either a COMPLETION_ID or --task and --subject")
    db, _, loaded = find_store(recipe, store_path)
    try:
        key = _of_subject(db, loaded.recipe.name, task, subject) if by_subject else _of_prefix(db, completion_id)
        doc = document(db, key, loaded.recipe if loaded else None)
    finally:
        db.conn.close()
    out.emit(doc)
    if not out.json:
        out.print(visible("\n".join(lines(doc))))


def _show_user(out: Out, word: str, user: str | None, recipe: str | None, store_path: str | None) -> None:
    if word != "user" or user is None or recipe is None:
        raise click.UsageError("write: tokenrec show user USER_ID --recipe RECIPE")
    from tokenrec.cli.show_user import document, lines

    db, _, loaded = find_store(recipe, store_path)
    try:
        doc = document(db, loaded, user)
    finally:
        db.conn.close()
    out.emit(doc)
    if not out.json:
        out.print(visible("\n".join(lines(doc))))


def _of_prefix(db, prefix: str) -> str:
    """The one completion whose id begins with `prefix`. Raises InputError for none or several."""
    asked = prefix.lower()
    if not re.fullmatch(rf"[0-9a-f]{{{FEWEST},64}}", asked):
        raise InputError(f"{visible(prefix)} is no completion id: give {FEWEST} to 64 of its characters, 0-9 and a-f. "
                         "The column completion_id of the store's tables has them")  # fmt: skip
    found = [r[0] for r in db.execute(
        "select completion_id from completions where completion_id >= ? and completion_id < ? limit 4",
        [asked, asked + "g"],
    )]  # fmt: skip
    if not found:
        raise InputError(f"no completion's id begins with {asked}. is it in another store? name it with --store")
    if len(found) > 1:
        raise InputError(f"several ids begin with {asked}: {', '.join(f[:16] for f in found[:3])}"
                         f"{' and more' if len(found) > 3 else ''}. give more characters")  # fmt: skip
    return found[0]


def _of_subject(db, recipe: str, task: str, subject: str) -> str:
    """The subject's token, else the last answer of the task's present program. Raises InputError for none."""
    from tokenrec.store.completions import current

    now = current(db, recipe, task)
    if now is None:
        tasks = [r[0] for r in db.execute("select task from current where recipe = ? order by task", [recipe])]
        raise InputError(f"{recipe} has written nothing for a task {visible(task)}. "
                         f"it has texts of: {', '.join(tasks) or 'no task yet'}")  # fmt: skip
    token = db.execute(
        "select completion_id from tokens where recipe = ? and task = ? and subject = ?", [recipe, task, subject]
    ).fetchone()
    where = [recipe, task, now["program_id"], now["lm_id"], subject]
    last = token or db.execute(
        "select c.completion_id from subjects s join completions c on c.program_id = s.program_id"
        " and c.lm_id = s.lm_id and c.input_hash = s.input_hash where s.recipe = ? and s.task = ?"
        " and s.program_id = ? and s.lm_id = ? and s.subject = ? order by c.sample desc limit 1",
        where,
    ).fetchone()
    if last:
        return last[0]
    failed = db.execute(
        "select count(*), error from (select error from failures where task = ? and program_id = ? and lm_id = ?"
        " and subject = ? order by id desc)",
        [task, now["program_id"], now["lm_id"], subject],
    ).fetchone()
    if failed[0]:
        raise InputError(f"{task} has no answer about {visible(subject)}: it failed {failed[0]} time(s), "
                         f"the last error was: {visible(failed[1])}")  # fmt: skip
    raise InputError(f"{task} has written nothing about {visible(subject)}. mend the id, or compile again")


def document(db, key: str, recipe=None) -> dict[str, Any]:
    """The JSON document of `tokenrec show --json` about the completion with id `key`."""
    (row,) = db.query("select * from completions where completion_id = ?", [key])
    same = [row["program_id"], row["lm_id"], row["input_hash"]]
    tokens = {(t["recipe"], t["task"], t["subject"]) for t in db.query(
        "select recipe, task, subject from tokens where completion_id = ?", [key]
    )}  # fmt: skip
    subjects = [
        {**s, "token": (s["recipe"], s["task"], s["subject"]) in tokens} for s in db.query(
            "select recipe, task, subject, kind, name, newest_event_time from subjects where program_id = ?"
            " and lm_id = ? and input_hash = ? order by recipe, task, subject", same)
    ]  # fmt: skip
    others = db.query(
        "select completion_id as completion, sample, state from completions where program_id = ? and lm_id = ?"
        " and input_hash = ? and completion_id <> ? order by sample", [*same, key]
    )  # fmt: skip
    output = _json(row["output"])
    return {
        "kind": "show",
        "schema_version": 1,
        "completion": key,
        "task": row["task"],
        "sample": row["sample"],
        "state": row["state"],
        "token": bool(tokens),
        "inputs": _json(row["inputs"]),
        "raw": row["raw"],
        "first_raw": row["first_raw"],
        "finish_reason": row["finish_reason"],
        "probabilities": _json(row["probabilities"]),
        "output": output,
        "kept": _json(row["kept"]),
        "verdicts": [{**v, "passed": bool(v["passed"])} for v in db.query(
            "select gate, passed, score, reason, quote from verdicts where completion_id = ? order by passed, gate",
            [key],
        )],
        "subjects": subjects,
        "feeds": sorted({f"{task}.{name}" for _, task, _ in tokens for name in output or ()}),
        "other_samples": list(others),
        "program": _program(db, row["program_id"]),
        "lm_id": row["lm_id"],
        "parameters": _parameters(row, recipe),
        "calls": row["calls"],
        "prompt_tokens": row["prompt_tokens"],
        "completion_tokens": row["completion_tokens"],
        "cost_usd": row["cost_usd"],
        "seconds": row["seconds"],
        "run": row["run"],
        "created": row["created"],
    }  # fmt: skip


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _program(db, program_id: str) -> dict[str, Any]:
    """The program as it stands in the store: what the LM is told, the worked examples, the decision weights."""
    (row,) = db.query("select * from programs where program_id = ?", [program_id])
    return {
        "id": program_id,
        "recipe": row["recipe"],
        "predictors": [
            {"name": name, "instructions": s.get("signature", {}).get("instructions"), "demos": s.get("demos", []),
             "weights": {o: f["weights"] for o, f in s.get("fields", {}).items() if f.get("weights")}}
            for name, s in json.loads(row["state"]).items()
        ],
    }  # fmt: skip


def _parameters(row: dict[str, Any], recipe=None) -> dict[str, Any]:
    """Decode parameters. The LM id ends in their hash: it tells whether they are the recipe's, or the defaults."""
    from tokenrec.ids import content_id
    from tokenrec.recipe.tasks import Task

    mark = row["lm_id"].rpartition("#")[2]
    names = ("temperature", "max_tokens")
    guesses = [{n: Task.model_fields[n].default for n in names}]
    if recipe is not None and row["task"] in recipe.tasks:
        guesses.insert(0, {n: getattr(recipe.tasks[row["task"]], n) for n in names})
    for guess in guesses:
        if content_id(guess)[:8] == mark:
            return {"hash": mark, "known": True, **guess}
    return {"hash": mark, "known": False, **dict.fromkeys(names)}


def lines(doc: dict[str, Any]) -> list[str]:
    """The same for people. Plain text: nothing in it is markup."""
    state = doc["state"] or "not judged (new, or asked for agreement)"
    told = [f"{doc['task']}: {state}, {'a token' if doc['token'] else 'no token'}",
            f"completion  {doc['completion']} (sample {doc['sample']})",
            f"written     {doc['created']} by run {doc['run'] or 'unknown'}"]  # fmt: skip
    told += _about(doc)
    told += ["", "Input", *_fields(doc["inputs"])]
    if doc["first_raw"] is not None:
        told += ["", "First answer, malformed", *_indent(doc["first_raw"])]
    told += ["", "Answer, repaired" if doc["first_raw"] is not None else "Answer", *_indent(doc["raw"])]
    told += ["", "Output", *(_fields(doc["output"]) if doc["output"] is not None else ["  none: malformed"])]
    if doc["kept"] is not None:
        gone = {name: value for name, value in doc["kept"].items() if value != (doc["output"] or {}).get(name)}
        told += ["", "Kept of it, as the token has it", *_fields(gone)]
    told += ["", "Verdicts", *_verdicts(doc["verdicts"])]
    told += ["", f"Program {doc['program']['id'][:12]} of {doc['program']['recipe']}"]
    for p in doc["program"]["predictors"]:
        told += [f"  {p['name']}", *_indent(p["instructions"] or "no instructions", 4)]
        for number, demo in enumerate(p["demos"], 1):
            told += [f"    example {number}", *_fields(demo, 6)]
    at = doc["parameters"]
    most = "no limit" if at["max_tokens"] is None else at["max_tokens"]
    said = f"temperature {at['temperature']:g}, LM tokens: {most}" if at["known"] else "not the defaults: name --recipe"
    told += ["", f"LM          {doc['lm_id'].rpartition('#')[0]}", f"parameters  {said} ({at['hash']})"]
    if at["known"] and doc["sample"]:
        told += ["            a further sample is at least 0.7 hot"]
    told += [f"cost        {money(doc['cost_usd'])}, {doc['calls']} call(s), {doc['prompt_tokens']:,} + "
             f"{doc['completion_tokens']:,} LM tokens, {doc['seconds'] or 0:.2f} s"]  # fmt: skip
    return told


def _about(doc: dict[str, Any]) -> list[str]:
    if not doc["subjects"]:
        return ["about       no present subject: the input or the program is an earlier one"]
    said = []
    for s in doc["subjects"][:SHOWN]:
        name = f" ({s['name']})" if s["name"] and s["name"] != s["subject"] else ""
        said.append(f"about       {s['kind']} {s['subject']}{name} of {s['recipe']}{', a token' if s['token'] else ''}")
    if len(doc["subjects"]) > SHOWN:
        said.append(f"            and {len(doc['subjects']) - SHOWN:,} more with the same input")
    said.append(f"feeds       {', '.join(doc['feeds']) or 'no column'}")
    for o in doc["other_samples"]:
        said.append(f"            also sample {o['sample']}: {o['completion'][:12]}, {o['state'] or 'not judged'}")
    return said


def _fields(fields: Any, by: int = 2) -> list[str]:
    if not isinstance(fields, dict):
        return _indent(json.dumps(fields, ensure_ascii=False), by)
    told = []
    for name, value in fields.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        told += _indent(f"{name}: {text}", by)
    return told or _indent("nothing", by)


def _verdicts(verdicts: list[dict[str, Any]]) -> list[str]:
    told = []
    for v in verdicts:
        score = "" if v["score"] is None else f" {v['score']:g}"
        reason = f": {v['reason']}" if v["reason"] else ""
        quote = f' in "{v["quote"]}"' if v["quote"] else ""
        told += _indent(f"{'passed' if v['passed'] else 'FAILED'} {v['gate']}{score}{reason}{quote}")
    return told or ["  none"]


def _indent(text: str, by: int = 2) -> list[str]:
    return [" " * by + line for line in text.split("\n")]
