"""A record as facts: short strings with the words, numbers and dates in them, looked up in near constant time."""

import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..text import STOP, sentences, stem, words
from .dates import Date, clocks, dates

MOST_FACTS, MOST_CHARS, MOST_DEPTH = 3000, 1000, 12  # what lies beyond is not read: the cost stays bounded
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[a-z])(?=\d)|_")
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
_NUMBER = re.compile(rf"(?<![\w.])[-−]?{_DIGITS}|(?<=[a-zA-Z×x/])\d+(?:\.\d+)?|(?<=\d)[-−]\d+(?:\.\d+)?")
_CELLS = re.compile(r"(?<=^\d{4}),(?=-?\d)|(?<=^\d{4}-\d\d),|(?<=^\d{4}-\d\d-\d\d),")  # "1950,54.4": a row, no number
_WORD = re.compile(r"[^\W\d_]+")
_KEYED = re.compile(r"^([^:\n,]{1,60}?)\s*:\s")
_ABSENT = re.compile(r":\s*(?:no|none|false|n/a|-|unavailable)?\s*$|:\s*no\b", re.I)


class Number(NamedTuple):
    """A number of a fact: its value, the fact's place, the words that say what it is, its column."""

    value: float
    fact: int
    key: tuple[str, ...]
    column: tuple


def flatten(record: Any) -> list[str]:
    """Any nested record as facts: "path: value"; a list of flat mappings gives a fact a row. Never raises."""
    found: list[str] = []
    for fact in _flat(record, (), 0):
        found.append(fact[:MOST_CHARS])
        if len(found) >= MOST_FACTS:
            break
    return found


def _flat(value: Any, path: tuple[str, ...], depth: int) -> Iterator[str]:
    lead = f"{' '.join(path[-3:])}: " if path else ""
    if isinstance(value, Mapping) and depth < MOST_DEPTH:
        for name, inner in value.items():
            yield from _flat(inner, (*path, _CAMEL.sub(" ", str(name)[:80])), depth + 1)
    elif isinstance(value, (list, tuple)) and depth < MOST_DEPTH:
        for inner in value:
            if isinstance(inner, Mapping) and all(not isinstance(v, (Mapping, list, tuple)) for v in inner.values()):
                yield ", ".join(f"{_CAMEL.sub(' ', str(k)[:80])} {str(v)[:200]}" for k, v in list(inner.items())[:60])
            else:
                yield from _flat(inner, path, depth + 1)
    elif isinstance(value, bool):
        yield f"{lead}{'yes' if value else 'no'}"
    elif isinstance(value, str) and len(value) > 200 and ": " not in value[:60]:
        for part in sentences(value[: 20 * MOST_CHARS]):
            yield lead + part
    elif value is not None and not isinstance(value, (Mapping, list, tuple)):
        yield lead + str(value)[:MOST_CHARS]


def numbers_in(text: str, skip: list[Date] = []) -> Iterator[tuple[float, int, int, int]]:  # noqa: B006
    """Numbers of a text as value, decimals, start, end; those inside `skip` are left out."""
    for m in _NUMBER.finditer(text):
        if any(d.start < m.end() and m.start() < d.end for d in skip):
            continue
        written = m.group().replace(",", "").replace("−", "-")
        if len(written) < 24:
            yield float(written), len(written.partition(".")[2]), m.start(), m.end()


class Facts:
    """What a sentence is held against. Building it is linear in the record's size."""

    def __init__(self, record: Any):
        self.facts = flatten(record)
        shown = [_CELLS.sub(", ", f, 1) if f[:1].isdigit() else f for f in (_CAMEL.sub(" ", f) for f in self.facts)]
        self.words = [tuple(map(stem, words(f))) for f in shown]
        self.sets = [frozenset(w) for w in self.words]
        self.n = len(shown)
        self.df = Counter(w for s in self.sets for w in s)
        self.heads = {w[:5] for w in self.df if len(w) >= 5}
        self.pairs = {pair for w in self.words for pair in zip(w, w[1:])}
        self.at: dict[str, list[int]] = defaultdict(list)
        for i, found in enumerate(self.sets):
            for word in found:
                if len(self.at[word]) < 100:
                    self.at[word].append(i)
        self.flat = " ".join(shown).lower()
        self.trigrams = {self.flat[i : i + 3] for i in range(len(self.flat) - 2)}
        self.absent = [i for i, f in enumerate(shown) if _ABSENT.search(f)]
        gone = set(self.absent)
        present = {w for i, s in enumerate(self.sets) if i not in gone for w in s}
        self.denied = {w for i in self.absent for w in self.sets[i]} - present - STOP
        self.clocks = {t for f in shown for t in clocks(f)}
        self.dates: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        self.numbers: list[Number] = []
        for i, fact in enumerate(shown):
            self._read(i, fact)
        self.numbers.sort(key=lambda q: abs(q.value))
        self._values = [abs(q.value) for q in self.numbers]
        self.columns: dict[tuple, list[tuple[int, float]]] = defaultdict(list)
        for q in self.numbers:
            self.columns[q.column].append((q.fact, q.value))
        self.series = {c: sorted(v) for c, v in self.columns.items() if len(v) >= 3}
        self.keys = [(c, c[0] + c[1] if isinstance(c[1], tuple) else c[0]) for c in list(self.columns)[:400]]
        self.keys = [(c, key) for c, key in ((c, tuple(w[:4] for w in key)) for c, key in self.keys) if key]
        self.order = sorted(self.dates)

    def _read(self, i: int, fact: str) -> None:
        said = dates(fact)
        for d in said:
            if d.year:
                self.dates[d.known].append(i)
        keyed = _KEYED.match(fact)
        lead = tuple(stem(w) for w in words(keyed[1]) if w not in STOP)[-4:] if keyed else ()
        last = keyed.end() if keyed else 0
        for j, (value, _, start, end) in enumerate(numbers_in(fact, said)):
            if keyed and start < keyed.end():  # part of the key: "period 1: 3", "3.5mm jack: no"
                if "." in fact[start:end]:
                    self.numbers.append(Number(value, i, lead, ((*lead, "#"), j)))
                continue
            between = tuple(stem(w.lower()) for w in _WORD.findall(fact[last:start]) if w.lower() not in STOP)[-2:]
            self.numbers.append(Number(value, i, lead + between, (lead, between) if between else (lead, j)))
            last = end

    def idf(self, word: str) -> float:
        return math.log((1 + self.n) / (0.5 + self.df.get(word, 0)))

    def has(self, word: str) -> bool:
        """Whether the record has a word, or one that begins alike."""
        return word in self.df or (len(word) >= 5 and word[:5] in self.heads)

    def near(self, value: float, decimals: int) -> tuple[float, list[Number]]:
        """The numbers of the record that `value` may stand for, and how well they fit: 2 equal, 1 after rounding,
        .5 a unit of the last place off, .25 within 3%, 0 none."""
        x, unit = abs(value), 10.0**-decimals
        for fit, slack in ((2, 1e-9), (1, unit / 2 + 1e-9), (0.5, unit + 1e-9), (0.25, 0.03 * x)):
            found = self.numbers[bisect_left(self._values, x - slack) : bisect_right(self._values, x + slack)]
            if found:
                return fit, found[:300]
        return 0, []
