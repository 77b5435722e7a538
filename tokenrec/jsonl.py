"""JSONL that people or other pipelines wrote: one object a line, every fault with file and line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tokenrec.errors import InputError
from tokenrec.recipe.explain import nearest

T = TypeVar("T")
SHOWN = 10  # faults of a file that are listed
MOST_BYTES = 4_000_000  # in a line; a text that a task writes has at most a tenth of it


def read_lines(path: Path, name: str, parse: Callable[[dict[str, Any]], T]) -> Iterator[tuple[int, T]]:
    """(line number, parsed) of every line that is not blank. `parse` raises ValueError with what is wrong and what
    to do; `name` is what messages call the file.

    Raises InputError with file:line of the first ten faults once the file is read, or when it can't be read.
    """
    faults, more = [], 0
    try:
        with path.open("rb") as lines:
            number = 0
            while line := lines.readline(MOST_BYTES + 1):
                number += 1
                try:
                    if len(line) > MOST_BYTES:
                        while line and not line.endswith(b"\n"):
                            line = lines.readline(MOST_BYTES)
                        raise ValueError("is over 4 MB long. a line is one JSON object, with a line end after it")
                    found = _object(line, number == 1)
                    parsed = None if found is None else parse(found)
                except ValueError as error:
                    more += 1
                    if len(faults) < SHOWN:
                        faults.append(f"{name}:{number}: {error}")
                    continue
                if found is not None and not faults:
                    yield number, parsed
    except OSError as error:
        raise InputError(f"{name}: can't be read: {error.strerror or error}. Check the path") from error
    raise_faults(faults, more)


def raise_faults(faults: list[str], count: int) -> None:
    """Raises InputError with the first ten of `faults` where there are any; `count`: how many there are in all."""
    if faults:
        more = [f"and {count - SHOWN:,} more faults"] if count > SHOWN else []
        raise InputError("\n".join(faults[:SHOWN] + more))


def in_words(error: ValidationError, known: list[str]) -> str:
    """The first of pydantic's faults on a line, and what to do. `known`: the keys that a line may have."""
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"{key}: unknown key. {nearest(key, known)}"
    if first["type"] == "missing":
        return f"lacks {key}. add it"
    said = first["msg"].removeprefix("Value error, ")
    return f"{key}: {said[:1].lower()}{said[1:]}. mend it"


def _object(line: bytes, first: bool) -> dict[str, Any] | None:
    try:
        text = line.decode("utf-8-sig" if first else "utf-8")
        if not text.strip():
            return None
        found = json.loads(text, object_pairs_hook=_pairs)
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8. save the file as UTF-8") from error
    except RecursionError as error:
        raise ValueError("nested too deeply. a line is one JSON object") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at column {error.colno}. a line is one JSON object") from error
    if not isinstance(found, dict):
        raise ValueError("no JSON object. a line is one JSON object, {...}")
    return found


def _pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(found)
    if len(value) < len(found):
        twice = next(k for i, (k, _) in enumerate(found) if k in dict(found[:i]))
        raise ValueError(f"{twice[:40]}: is given twice in one object. keep one")
    return value
