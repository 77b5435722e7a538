"""What an auditor answers: a key, a reason and sentences, by key presses or from lines."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from tokenrec.errors import InputError

KEYS = {"g": "sound", "n": "noise", "h": "hallucination"}
NUMBERED = re.compile(r"(\d+(?:\s*,\s*\d+)*):(?:\s+(.*))?")  # of "h 1,3: REASON"; a time of day has no space: "10:30"
HELP = "g good · n noise · h hallucination · s skip · u undo · q quit"


@dataclass(frozen=True)
class Question:
    """Which sentences a label can speak of. `others`: the task also writes what is no text."""

    output: dict[str, Any]
    places: dict[str, list[tuple[int, int]]]
    others: bool

    @classmethod
    def of(cls, text, task) -> "Question":
        from tokenrec.gates.text import places

        texts = [name for name, output in task.outputs.items() if output.type == "text"]
        return cls(text.output, {name: places(text.output[name]) for name in texts}, len(texts) < len(task.outputs))

    @property
    def quotes(self) -> list[str]:
        return [self.output[name][start:end] for name, found in self.places.items() for start, end in found]

    @property
    def several(self) -> bool:
        """Whether there is anything to ask: the only sentence of an answer is the one that is meant."""
        return len(self.quotes) + self.others > 1 and bool(self.quotes)

    def unsupported(self, numbers: list[int] | None) -> list[str] | None:
        """Quotes of the sentences with these numbers, as stored; None: not said; []: no sentence."""
        if numbers is None:
            return None if self.several else self.quotes or None
        return [self.quotes[n - 1] for n in sorted(set(numbers)) if n]

    def fault(self, numbers: list[int]) -> str:
        """What is wrong with the numbers; "" where nothing is."""
        most, least = len(self.quotes), 0 if self.others else 1
        if not most:
            return "this answer has no sentences to number"
        if 0 in numbers and len(set(numbers)) > 1:
            return "0 says that it is no sentence, so it stands alone"
        wrong = [n for n in numbers if not least <= n <= most]
        return f"there is no sentence {wrong[0]}: they are {least} to {most}" if wrong else ""


Answer = tuple[str, str, list[int] | None]  # key, reason, numbers of sentences


def from_keys(question: Question) -> Answer:
    """One key press, the reason where it needs one, and the sentences where there are several."""
    while True:
        try:
            key = click.getchar().lower()
        except EOFError:  # Ctrl-D
            return "q", "", None
        if key in ("n", "h"):
            reason = click.prompt(f"{KEYS[key]}, because", default="", show_default=False, err=True).strip()
            if reason:
                return key, reason, _numbers(question) if key == "h" and question.several else None
            click.echo(f"no reason, no label. {HELP}", err=True)
        elif key in ("g", "s", "u", "q"):
            return key, "", None


def _numbers(question: Question) -> list[int] | None:
    """Asks until the numbers are right, or there are none."""
    none = ", 0 none of them" if question.others else ""
    while said := click.prompt(
        f"which sentences? 1,3{none} (Enter: not said)", default="", show_default=False, err=True
    ).strip():
        parts = said.replace(",", " ").split()
        fault = question.fault(list(map(int, parts))) if all(map(str.isdecimal, parts)) else f"{said!r} is no number"
        if not fault:
            return list(map(int, parts))
        click.echo(fault, err=True)
    return None


def from_lines(stdin, texts: int) -> Callable[[Question], Answer]:
    """Answers from lines; the end of them is q. Raises InputError for no line at all, and for one that is no answer."""
    count = 0

    def ask(question: Question) -> Answer:
        nonlocal count
        try:
            line = stdin.readline()
        except UnicodeDecodeError as error:
            raise InputError(f"stdin:{count + 1}: not UTF-8. What came before is stored") from error
        if not line:
            if not count:
                raise InputError(
                    f"{texts} texts are drawn, but stdin is no terminal and has no lines. Run this in a terminal, or "
                    'give a line a text on stdin: g, "n REASON", "h REASON", "h 1,3: REASON", s, u or q'
                )
            return "q", "", None
        count += 1
        key, _, reason = line.strip().partition(" ")
        key, reason = key.lower(), reason.strip()
        if key not in (*KEYS, "s", "u", "q"):
            raise InputError(f"stdin:{count}: {key!r} is no key. What came before is stored. keys: {HELP}")
        numbers = None
        if key == "h" and (found := NUMBERED.fullmatch(reason)):
            numbers, reason = list(map(int, found[1].split(","))), found[2]
            if fault := question.fault(numbers):
                raise InputError(f"stdin:{count}: {fault}. What came before is stored")
        if key in ("n", "h") and not reason:
            raise InputError(f'stdin:{count}: say why: "{key} REASON". What came before is stored')
        return key, reason, numbers

    return ask
