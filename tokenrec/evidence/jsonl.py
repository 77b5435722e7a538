"""JSONL that people or other pipelines wrote: one object a line, every fault with file and line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tokenrec.errors import InputError

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
    if faults:
        raise InputError("\n".join(faults + ([f"and {more - SHOWN:,} more faults"] if more > SHOWN else [])))


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
