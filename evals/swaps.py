"""Planted errors: in a text without a human mark, one number, name or attribute of its record becomes another one.

The new value is what the same key has in another record of the domain, and this record has it nowhere. Numbers under
no key of their own (rows of a table) take a value that the same column has in another record.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tokenrec.gates.factuality.dates import dates
from tokenrec.gates.factuality.facts import Facts, numbers_in

_KEYED = re.compile(r"^([^:\n]{1,80}?)\s*:\s+(.+)$", re.DOTALL)
KINDS = ("number", "name", "attribute")


class Swap(NamedTuple):
    """A text with one planted error at [start, end)."""

    source: int  # the text's place among those given
    kind: str  # number | name | attribute
    text: str
    start: int
    end: int


def swaps(
    texts: Sequence[str], records: Sequence[Facts | Sequence[str]], domains: Sequence[str], seed: int = 0
) -> list[Swap]:
    """At most one swap of each kind a text; texts in which a kind has nothing to swap give none of it."""
    rng = random.Random(seed)
    facts = [record if isinstance(record, Facts) else Facts(record) for record in records]
    values: dict[tuple, set[str]] = defaultdict(set)
    numbers: dict[tuple, set[float]] = defaultdict(set)
    for f, domain in zip(facts, domains):
        for key, value in _values(f.facts):
            values[domain, key].add(value)
        for q in f.numbers:
            numbers[domain, q.key].add(q.value)
    found = []
    for i, (text, f, domain) in enumerate(zip(texts, facts, domains)):
        options = {"number": list(_numbers(text, f, numbers, domain)), "name": [], "attribute": []}
        for start, end, old, new in _named(text, f, values, domain):
            options["name" if old[:1].isupper() else "attribute"].append((start, end, new))
        for kind in KINDS:
            if options[kind]:
                start, end, choices = rng.choice(options[kind])
                new = rng.choice(sorted(choices))
                found.append(Swap(i, kind, text[:start] + new + text[end:], start, start + len(new)))
    return found


def _values(facts: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Key and value of each "key: value"; the name that all facts of a record begin with is no part of the key."""
    pairs = [m.groups() for m in map(_KEYED.match, facts) if m]
    keys = [key.split() for key, _ in pairs]
    shared = 0
    while len(keys) > 2 and all(len(k) > shared + 1 and k[shared] == keys[0][shared] for k in keys):
        shared += 1
    for key, (_, value) in zip(keys, pairs):
        for part in re.split(r",\s+|\n", value):
            if 3 <= len(part) <= 40 and not re.search(r"\d|^(?:yes|no)$", part, re.I):
                yield " ".join(key[shared:]), part.strip()


def _named(text: str, facts: Facts, values: Mapping[tuple, set[str]], domain: str) -> Iterable[tuple]:
    for key, value in _values(facts.facts):
        m = re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text)
        same = {v for v in values[domain, key] if v[:1].isupper() == value[:1].isupper()}
        others = {v for v in same if v.lower() not in facts.flat and v.lower() not in text.lower()}
        if m and others:
            yield m.start(), m.end(), value, others


def _numbers(text: str, facts: Facts, numbers: Mapping[tuple, set[float]], domain: str) -> Iterable[tuple]:
    for value, decimals, start, end in numbers_in(text, dates(text)):
        fit, near = facts.near(value, decimals)
        if fit < 2 or not text[end - 1].isdigit():
            continue
        wanted = {v for q in near for v in numbers[domain, q.key]}
        others = {f"{v:g}" for v in wanted if facts.near(v, 6)[0] == 0 and f"{v:g}" != text[start:end] and v >= 0}
        if others:
            yield start, end, others
