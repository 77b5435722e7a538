"""Items that are in no catalogue yet, from a file of their own."""

import json
import tempfile
from pathlib import Path

from tokenrec.dataset.load import read_items
from tokenrec.errors import InputError
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.refs import item_columns


def read_new_items(recipe: Recipe, path: Path) -> tuple[list[str], list[dict], list[str]]:
    """(ids, records, notes) of items that are in no catalogue yet, cleaned as the catalogue's own are.

    `path` is a JSON object, a JSON array of them, or JSONL. A field that is not there is empty. Raises InputError,
    which names the file.
    """
    known = recipe.data.items
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = [json.loads(line) for line in text.splitlines() if line.strip()] if path.suffix == ".jsonl" else (
            json.loads(text)
        )  # fmt: skip
    except (OSError, UnicodeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: no JSON that can be read ({error})") from error
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not rows or not all(isinstance(r, dict) for r in rows):
        raise InputError(f"{path}: not an item. It is a JSON object with {known.id} and {', '.join(known.text)}")
    if lacking := next((n for n, r in enumerate(rows, 1) if known.id not in r or not set(known.text) & set(r)), None):
        raise InputError(f"{path}: item {lacking} needs {known.id} and one of {', '.join(known.text)}")
    fields = dict.fromkeys(c for columns in item_columns(recipe) for c in columns)
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "items.jsonl"
        whole.write_text("".join(json.dumps(fields | r) + "\n" for r in rows), encoding="utf-8")
        try:
            file = known.model_copy(update={"path": whole.name, "where": None})
            made = recipe.model_copy(update={"data": recipe.data.model_copy(update={"items": file})})
            found, _ = read_items(made, Path(folder), notes)
        except InputError as error:
            raise InputError(str(error).replace(whole.name, str(path))) from error
    ids = sorted(found)
    return ids, list(found.ordered(ids)), [n.replace(whole.name, str(path)) for n in notes]
