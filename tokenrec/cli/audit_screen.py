"""One text as the auditor sees it: record and text side by side, suspect words marked. Texts are data, never markup."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text as Words

from tokenrec.cli.stored import visible
from tokenrec.evidence.texts import Text
from tokenrec.gates.sentences import Place

MARK = "bold reverse red"
Sentences = Mapping[str, list[Place]]  # by output: where its sentences are, which are numbered on the screen


def show(
    text: Text, findings: list[dict[str, Any]], place: str, keys: str = "", clear: bool = False,
    sentences: Sentences | None = None,
) -> None:  # fmt: skip
    """Print one text on stderr, `place` above it and `keys` below."""
    console = Console(stderr=True, file=sys.stderr, highlight=False)
    if clear:
        console.clear()
    console.print(Rule(Words(visible(f"{text.task} · {text.name or text.subject} · {place}"))))
    console.print(side_by_side(text, findings, console.width, sentences or {}))
    for f in findings:
        if not f["passed"]:
            console.print(Words(visible(f"suspect: {f['gate']}: {f['reason'] or ''}"), style="red"))
    if keys:
        console.print(Words(keys, style="bold"))


def side_by_side(text: Text, findings: list[dict[str, Any]], width: int, sentences: Sentences):
    """Two panels; one above the other where the terminal is narrow."""
    quotes = [visible(f["quote"]) for f in findings if f["quote"] and not f["passed"]]
    record, output = _fields(text.record, {}), _fields(text.output, sentences)
    for quote in quotes:
        output.highlight_words([quote], MARK, case_sensitive=False)
        record.highlight_words([quote], "underline", case_sensitive=False)
    left, right = Panel(record, title="record"), Panel(output, title="text")
    if width < 60:
        return Group(left, right)
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1)
    grid.add_column(ratio=1)
    grid.add_row(left, right)
    return grid


def _fields(fields: dict[str, Any], sentences: Sentences) -> Words:
    """name: value, a paragraph each; sentences with their numbers before them."""
    told, number = Words(), 0
    for name, value in fields.items():
        told.append(visible(name), style="bold").append("\n")
        for start, end in sentences.get(name, ()):
            number += 1
            told.append(f"[{number}] ", style="bold cyan").append(visible(value[start:end]) + "\n")
        if name not in sentences:
            said = ", ".join(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value
            said = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
            told.append(visible(said) + "\n")
    told.rstrip()
    return told
