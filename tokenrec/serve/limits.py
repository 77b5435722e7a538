"""Hard limits: what one is, and whether an item keeps it, by facts alone.

A limit is held against the item's own record (numbers, and the fields that say what is in it), never against generated
text. What the record does not say can't be promised: such an item is left out and counted.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenrec.gates.text import stem, strings, words

LONG = 9  # words: a shorter text names a thing, a longer one tells of it and has verbs in it ("roll", "toast")

_ONE = re.compile(r"(?<=...)(?:ie|i|che)$")  # what a stem leaves of "chillies" and "quiches" is not their singular


@dataclass(frozen=True)
class Limit:
    """One hard limit. `kind`: "at_most" (of the number `field`), or "without" (of what the words of `terms` name)."""

    kind: str
    name: str  # as it is shown: "minutes", "pork"
    said: str  # the words of the request
    most: float | None = None
    terms: frozenset[str] = frozenset()
    but: frozenset[str] = frozenset()  # longer names that are none of it
    short: frozenset[str] = frozenset()  # those of `terms` that count in short texts alone
    diets: tuple[str, ...] = ()  # values of the diet field that promise it
    partly: bool = False  # facts can keep some of what it means, not all: halal


@functools.cache
def groups() -> dict[str, Limit]:
    """Every name of groups.yaml → the limit "without" it."""
    import yaml

    told = yaml.safe_load((Path(__file__).parent / "groups.yaml").read_text(encoding="utf-8"))

    def all_of(name: str, key: str) -> frozenset[str]:
        own = frozenset(phrase(w) for w in told[name].get(key, []))
        return own.union(*(all_of(o, key) for o in told[name].get("of", [])))

    found = {}
    for name, group in told.items():
        diets = tuple(group.get("diet", ()))
        terms, but, short = (all_of(name, key) for key in ("words", "not", "short"))
        limit = Limit("without", name, "", None, terms | short, but, short, diets, bool(group.get("partly")))
        for said in dict.fromkeys(phrase(n) for n in (name, *group.get("names", []))):
            if said in told and said != name:
                continue
            old = found.get(said)  # "seafood" is fish and shellfish
            found[said] = together(said, "", [old, limit]) if old else limit
    return found


@functools.cache
def named() -> frozenset[str]:
    """Every name of a group and every word that belongs to one."""
    return frozenset(groups()).union(*(g.terms for g in groups().values()))


def together(name: str, said: str, limits: Sequence[Limit], terms: Iterable[str] = ()) -> Limit:
    """One limit "without" what any of some limits, or of some more words, is about."""
    terms, but, short = (
        frozenset(more).union(*(getattr(x, key) for x in limits))
        for key, more in (("terms", terms), ("but", ()), ("short", ()))
    )
    return Limit("without", name, said, None, terms, but, short)


def phrase(text: str) -> str:
    """Words as they are compared: stems, in order; chilli and chillies, quiche and quiches are the same."""
    return " ".join(_ONE.sub(lambda m: "ch" if m[0] == "che" else "y", stem(w)) for w in words(text.lower()))


def holds(limit: Limit, record: dict[str, Any], contains: Sequence[str], diet: str | None) -> bool | None:
    """Whether an item keeps a limit, by its own record; None where the record does not say."""
    if limit.kind == "at_most":
        value = record.get(limit.name)
        try:
            return float(value) <= limit.most
        except (TypeError, ValueError):
            return None
    said = [list(strings(record.get(f))) for f in contains]
    if limit.diets and diet and record.get(diet):
        stated = {phrase(s) for s in strings(record[diet])}
        if not stated & set(limit.diets):
            return False
    if any(names(limit, one) for texts in said for one in texts):
        return False
    return True if all(said) and said else None


def names(limit: Limit, text: str) -> bool:
    """Whether a text names what the limit is about."""
    found = f" {phrase(text)} "
    for other in sorted(limit.but, key=len, reverse=True):
        found = found.replace(f" {other} ", "  ")
    terms = limit.terms - limit.short if found.count(" ") > LONG else limit.terms
    return any(f" {term} " in found for term in terms)
