"""What the commands on stored texts share: finding the store, and printing texts that nobody vouches for."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import click

from tokenrec.errors import InputError

store_option = click.option(
    "--store", "store_path", metavar="PATH", type=click.Path(dir_okay=False), help="The store's file itself."
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
