"""Hard limits: what one is, and whether an item keeps it, by facts alone.

A limit is held against the item's own record (numbers, and the fields that say what is in it), never against generated
text. What the record does not say can't be promised: such an item is left out and counted.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenrec.gates.text import stem, strings, words


@dataclass(frozen=True)
class Limit:
    """One hard limit. `kind`: "at_most" (of the number `field`), or "without" (of what the words of `terms` name)."""

    kind: str
    name: str  # as it is shown: "minutes", "pork"
    said: str  # the words of the request
    most: float | None = None
    terms: frozenset[str] = frozenset()
    but: frozenset[str] = frozenset()  # longer names that are none of it
    diets: tuple[str, ...] = ()  # values of the diet field that promise it


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
        limit = Limit("without", name, "", None, all_of(name, "words"), all_of(name, "not"), diets)
        for said in dict.fromkeys(phrase(n) for n in (name, *group.get("names", []))):
            if said in told and said != name:
                continue
            old = found.get(said)  # "seafood" is fish and shellfish
            both = old and Limit("without", said, "", None, old.terms | limit.terms, old.but | limit.but)
            found[said] = both or limit
    return found


def phrase(text: str) -> str:
    """Words as they are compared: stems, in order."""
    return " ".join(stem(w) for w in words(text.lower()))


def holds(limit: Limit, record: dict[str, Any], contains: Sequence[str], diet: str | None) -> bool | None:
    """Whether an item keeps a limit, by its own record; None where the record does not say."""
    if limit.kind == "at_most":
        value = record.get(limit.name)
        try:
            return float(value) <= limit.most
        except (TypeError, ValueError):
            return None
    said = [s for f in contains for s in strings(record.get(f))]
    if limit.diets and diet and record.get(diet):
        stated = {phrase(s) for s in strings(record[diet])}
        if not stated & set(limit.diets):
            return False
    if not said:
        return None
    return not any(names(limit, one) for one in said)


def names(limit: Limit, text: str) -> bool:
    """Whether a text names what the limit is about."""
    found = f" {phrase(text)} "
    for other in sorted(limit.but, key=len, reverse=True):
        found = found.replace(f" {other} ", "  ")
    return any(f" {term} " in found for term in limit.terms)
