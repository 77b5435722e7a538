"""What the commands on stored texts share: finding the store, and printing texts that nobody vouches for."""

import json
import sqlite3
import unicodedata
from pathlib import Path
from typing import Any

import click

from tokenrec.errors import InputError, ServiceError

store_option = click.option(
    "--store", "store_path", metavar="PATH", type=click.Path(dir_okay=False), help="The store's file itself."
)
PAID = (  # calls, LM tokens of both kinds and dollars of completions or spend, as SQL
    "sum(calls), sum(case when calls > 0 then prompt_tokens else 0 end),"
    " sum(case when calls > 0 then completion_tokens else 0 end),"  # a recording's LM tokens were paid elsewhere
    " case when sum(calls > 0 and cost_usd is null) then null"
    " else sum(case when calls > 0 then cost_usd else 0.0 end) end"
)
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")  # Unicode categories: controls, formats (bidi, zero width), surrogates


def find_store(recipe: str | None, store_path: str | None):
    """(open store, its path, the recipe as loaded or None): of --store, the recipe's project or the working folder's.

    Raises InputError where there is no store yet. Data files and models need not be there.
    """
    from tokenrec.config import load_project
    from tokenrec.recipe.load import load_recipe
    from tokenrec.store.store import open_store

    loaded = load_recipe(recipe, check_files=False) if recipe else None
    path = Path(store_path) if store_path else (loaded.project if loaded else load_project()).store
    if not path.is_file():
        raise InputError(f"{path} is not there: nothing is written yet. run: tokenrec compile {recipe or 'RECIPE'}, "
                         "or name another store with --store")  # fmt: skip
    return open_store(path), path, loaded


def write_anew(db, path: Path) -> None:
    """Write the store anew and empty its log, so that no deleted byte stays in either.

    Raises ServiceError when there is no room or another process holds the store.
    """
    try:
        db.execute("vacuum")
        busy = db.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise ServiceError(f"the rows are removed, but {path} could not be written anew: {error}. "
                           "make room or stop what else has it open, and run again") from error  # fmt: skip
    if busy:
        raise ServiceError(f"the rows are removed, but another process reads {path}, and its log could not be emptied. "
                           "stop it and run again")  # fmt: skip


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    """Write texts with their labels as JSONL. Raises InputError when there are none, or the file is there already."""
    if path.exists():
        raise InputError(f"{path} exists already, and labels are not overwritten. Name another file")
    if not lines:
        raise InputError("there is no output to label")
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror or error}. Name another file") from error


def visible(text: object) -> str:
    """`text` as a terminal may have it: a control character is shown as its escape, line breaks stay."""
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in UNSEEN else c.encode("unicode_escape").decode()
        for c in str(text)
    )


def money(usd: float | None) -> str:
    """A cost for people; one that is not known is never called 0."""
    if usd is None:
        return "unknown"
    return f"${usd:,.2f}" if usd >= 1 or not usd else f"${usd:.6f}".rstrip("0")
