"""The values that a text names (numbers, dates, names, words) as slots, with features of how each sits in the record.

A swapped value is one that the record does not have, where one that it has goes unsaid. With a catalogue (what the
same keys hold in other records) a slot also knows whether it is a value of another record. No word of a domain is
needed. Nothing here raises on odd input; both text and record are cut at a bound.
"""

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..text import STOP, listed, places, stem, tokens, words
from .align import MOST_LENGTH, MOST_SENTENCES
from .dates import dates, meets
from .facts import Facts, numbers_in

MOST_SLOTS, MOST_KEYED, MOST_WORDS = 400, 400, 5
_KEYED = re.compile(r"^([^:\n]{1,80}?)\s*:\s+(.+)$", re.DOTALL)
_PARTS = re.compile(r",\s+|;\s*|\n|\s+/\s+")
_JOINS = listed("of de del la le von van der den du di da el al the")
_HOLE, _FILLED = 0, 1
NAN = float("nan")
Value = tuple[str, ...]  # stemmed words
NAMES = (
    "number", "date", "name", "first", "words", "fit", "decimals", "size", "known", "whole", "unknown", "trigrams",
    "alone", "before", "after", "pair", "hole", "filled", "hole_near", "hole_kind", "open_facts", "keyed",
    "catalogue", "others", "keys", "key_here", "own_said", "own_near", "place", "sentence_known", "of_numbers",
)  # fmt: skip


@dataclass(frozen=True)
class Slot:
    """A value named at [start, end) of a text; `words`: the stems of it that the record does not have."""

    start: int
    end: int
    sentence: int
    words: Value
    features: tuple[float, ...]


class Pair(NamedTuple):
    """A keyed value of a record: heads of the key's words, stems of the value."""

    key: str
    heads: frozenset[str]
    value: Value
    shown: str


def keyed(facts: Facts) -> list[Pair]:
    """The "key: value" facts, lists split; words that all keys begin with (the record's name) are no part of a key."""
    pairs = [m.groups() for m in map(_KEYED.match, facts.facts[: 2 * MOST_KEYED]) if m]
    split = [key.split() for key, _ in pairs]
    shared = 0
    while len(split) > 2 and all(len(k) > shared + 1 and k[shared] == split[0][shared] for k in split):
        shared += 1
    found = []
    for key, (_, value) in zip(split, pairs):
        name = " ".join(key[shared:]).lower()
        heads = frozenset(stem(w)[:5] for w in words(name) if w not in STOP)
        for part in _PARTS.split(value)[:20]:
            own = tuple(stem(w) for w in words(part))
            if 0 < len(own) <= 8:
                found.append(Pair(name, heads, own, part.strip()))
    return found[:MOST_KEYED]


class Catalogue:
    """What each key holds over a catalogue's records. Linear in them."""

    def __init__(self, records: Iterable[Any]):
        self.values: dict[Value, Counter[str]] = defaultdict(Counter)
        self.keys: Counter[str] = Counter()
        self.n = 0
        for record in records:
            self.add(record if isinstance(record, Facts) else Facts(record))

    def add(self, facts: Facts) -> None:
        pairs = keyed(facts)
        self.n += 1
        self.keys.update({p.key for p in pairs})
        for key, value in {(p.key, p.value) for p in pairs}:
            if len(value) <= MOST_WORDS and not all(w in STOP or w.isdigit() or w == "no" for w in value):
                self.values[value][key] += 1

    @cached_property
    def longest(self) -> int:
        return max(map(len, self.values), default=0)


def slots(text: str, facts: Facts, catalogue: Catalogue | None = None, only: int | None = None) -> list[Slot]:
    """The slots of a text (or of its sentence number `only`) in order; `sentence` counts as `align.units` does."""
    view = _View(text, facts, catalogue)
    found: list[Slot] = []
    for i, (start, end) in enumerate(places(text)[:MOST_SENTENCES]):
        if only is None or i == only:
            found += view.sentence(text[start:end][:MOST_LENGTH], start, i)
        if len(found) >= MOST_SLOTS:
            break
    return found[:MOST_SLOTS]


class _View:
    """A text beside its record: what of the record is said, and what is left open."""

    def __init__(self, text: str, facts: Facts, catalogue: Catalogue | None):
        self.text, self.facts, self.catalogue = text, facts, catalogue
        self.length = max(len(text), 1)
        stems = [stem(t[0]) for t in tokens(text)]
        self.said = set(stems)
        self.pairs = keyed(facts)
        self.by_key: dict[str, list[Pair]] = defaultdict(list)
        for p in self.pairs:
            self.by_key[p.key].append(p)
        self.open = {key: ps for key, ps in self.by_key.items() if not any(self.is_said(p) for p in ps)}
        self.heads: tuple[list, list] = ([], [])  # of keys with nothing said, and of those with something said
        for key, ps in self.by_key.items():
            kind = {_kind(p.shown) for p in ps}
            self.heads[_HOLE if key in self.open else _FILLED].append((ps[0].heads, kind))
        self.index: tuple[dict, dict] = (defaultdict(list), defaultdict(list))  # head of a word -> places in heads
        for side in (_HOLE, _FILLED):
            for k, (heads, _) in enumerate(self.heads[side]):
                for word in heads:
                    self.index[side][word].append(k)
        self.holes = Counter(kind for _, kinds in self.heads[_HOLE] for kind in kinds)
        self.open_share = len(self.open) / len(self.by_key) if self.by_key else NAN

    def is_said(self, pair: Pair) -> bool:
        content = [w for w in pair.value if w not in STOP] or list(pair.value)
        return sum(w in self.said for w in content) >= 0.6 * len(content)

    def sentence(self, sentence: str, start: int, i: int) -> Iterator[Slot]:
        seq = tokens(sentence)
        ends = [t[2] for t in seq]
        stems = [stem(t[0]) for t in seq]
        has = [s in self.facts.df for s in stems]
        content = [h for h, t in zip(has, seq) if t[0] not in STOP]
        share = sum(content) / len(content) if content else NAN
        said = dates(sentence)
        marks: list[tuple[int, int, str, tuple]] = [(d.start, d.end, "date", d.known) for d in said]
        claims = list(numbers_in(sentence, said))
        marks += [(a, b, "number", (value, decimals)) for value, decimals, a, b in claims]
        taken = {at for a, b, _, _ in marks for at in range(a, b)}
        free = [not taken or a not in taken and b - 1 not in taken for _, a, b in seq]
        marks += self._values(sentence, seq, stems, has, free)
        for a, b, kind, what in sorted(marks, key=lambda m: m[:2]):
            lo = bisect_right(ends, a) - 1
            hi = next((j for j in range(lo + 1, len(seq)) if seq[j][1] >= b), len(seq))
            own = stems[lo + 1 : hi]
            around = {s[:5] for s in stems[max(0, lo - 4) : lo + 1] + stems[hi : hi + 3] if s not in STOP}
            got = self._support(sentence[a:b], kind, what, own, sentence)
            got |= self._holes(around, kind)
            got |= self._other(own, around)
            got |= {
                "first": lo < 0,
                "words": len(own),
                "before": has[lo] if lo >= 0 else NAN,
                "after": has[hi] if hi < len(seq) else NAN,
                "pair": (stems[lo], own[0]) in self.facts.pairs if lo >= 0 and own else NAN,
                "alone": len(marks),
                "place": (start + a) / self.length,
                "sentence_known": share,
                "of_numbers": len(claims),
            }
            unknown = tuple(w for w in own if w not in self.facts.df)
            yield Slot(start + a, start + b, i, unknown, tuple(float(got.get(n, NAN)) for n in NAMES))

    def _values(self, sentence: str, seq: Sequence, stems: list[str], has: list[bool], free: list[bool]) -> list[tuple]:
        """Names (runs of capitals), values of the catalogue that the record lacks, and other words that it lacks."""
        found, used = [], set()
        known = self.catalogue.values if self.catalogue else {}
        longest = min(MOST_WORDS, self.catalogue.longest) if self.catalogue else 0
        capital = [sentence[a].isupper() or sentence[a].isdigit() for _, a, _ in seq]
        i = 0
        while i < len(seq):  # names
            if not (capital[i] and free[i]) or (i == 0 and (seq[0][0] in STOP or not (len(seq) > 1 and capital[1]))):
                i += 1
                continue
            j = i + 1
            while j < len(seq) and seq[j][1] - seq[j - 1][2] <= 2 and (
                capital[j] and free[j] or seq[j][0] in _JOINS and j + 1 < len(seq) and capital[j + 1]
            ) and not re.search(r"[,;:.(]\s", sentence[seq[j - 1][2] : seq[j][1]]):  # fmt: skip
                j += 1
            used.update(range(i, j))
            found.append((seq[i][1], seq[j - 1][2], "name", ()))
            i = j
        i = 0
        while i < len(seq):
            n = next(
                (
                    n
                    for n in range(min(longest, len(seq) - i), 0, -1)
                    if tuple(stems[i : i + n]) in known and not all(has[i : i + n])
                    and not any(k in used for k in range(i, i + n)) and all(free[i : i + n])
                ),
                0,
            )  # fmt: skip
            if not n and i not in used and free[i] and not has[i] and seq[i][0] not in STOP:
                n = 1
            if n:
                found.append((seq[i][1], seq[i + n - 1][2], "word", ()))
            i += n or 1
        return found

    def _support(self, shown: str, kind: str, what: tuple, own: list[str], sentence: str) -> dict[str, float]:
        facts, low = self.facts, shown.lower()
        grams = [low[k : k + 3] in facts.trigrams for k in range(len(low) - 2)]
        got = {
            "number": kind == "number",
            "date": kind == "date",
            "name": kind == "name",
            "known": sum(map(facts.has, own)) / len(own) if own else NAN,
            "whole": low in facts.flat,
            "unknown": sum(not facts.has(w) and w not in STOP for w in own),
            "trigrams": sum(grams) / len(grams) if grams else NAN,
        }
        if kind == "number":
            value, decimals = what
            got |= {"fit": facts.near(value, decimals)[0], "decimals": decimals, "size": abs(value) > 12}
        elif kind == "date":
            got["fit"] = 2.0 * any(meets(what, known) for known in facts.order) if facts.order else NAN
            if facts.order and got["fit"] and what[1]:
                got["fit"] = 1.0 + any(meets(what, known) and known[1] for known in facts.order)
        return got

    def _holes(self, around: set[str], kind: str) -> dict[str, float]:
        """Whether the words around name a key of which nothing is said, or one of which something is."""
        found: dict[str, float] = {}
        for name, side in (("hole", _HOLE), ("filled", _FILLED)):
            met = Counter(k for w in around for k in self.index[side].get(w, ()))
            heads = self.heads[side]
            found[name] = max((n / len(heads[k][0]) for k, n in met.items()), default=0.0 if self.index[side] else NAN)
            if side == _HOLE:
                found["hole_near"] = len(met)
        wanted = "number" if kind == "number" else "name" if kind == "name" else "word"
        return found | {"hole_kind": self.holes[wanted], "open_facts": self.open_share, "keyed": len(self.by_key)}

    def _other(self, own: list[str], around: set[str]) -> dict[str, float]:
        """The slot as another record's value: of which keys, how common, and whether this record's own is said."""
        if self.catalogue is None:
            return {}
        known, best = self.catalogue.values, None
        for n in range(min(len(own), MOST_WORDS), 0, -1):
            for i in range(len(own) - n + 1):
                part = tuple(own[i : i + n])
                if part in known and not all(w in self.facts.df for w in part):
                    best = (n, part)
                    break
            if best:
                break
        if not best:
            return {"catalogue": 0.0}
        keys = known[best[1]]
        here = [k for k in keys if k in self.by_key]
        own_open = [k for k in here if k in self.open]
        heads = [self.by_key[k][0].heads for k in here]
        return {
            "catalogue": best[0] / len(own),
            "others": max(n / self.catalogue.keys[k] for k, n in keys.items()),
            "keys": len(keys),
            "key_here": len(here),
            "own_said": len(own_open) / len(here) if here else NAN,
            "own_near": max((len(h & around) / max(len(h), 1) for h in heads), default=NAN),
        }


def _kind(shown: str) -> str:
    return "number" if any(c.isdigit() for c in shown) else "name" if shown[:1].isupper() else "word"


def matrix(found: Sequence[Slot]) -> np.ndarray:
    """float32[n, f] of n slots."""
    return np.array([s.features for s in found], np.float32).reshape(len(found), len(NAMES))


_SUMS = [(n, "min") for n in ("fit", "trigrams", "known", "whole")]
_SUMS += [(n, "max") for n in ("unknown", "hole", "filled", "hole_near", "words", "hole_kind")]
_SUMS += [("hole", "mean"), ("filled", "mean"), ("name", "sum"), ("date", "sum")]


def summed(found: Sequence[Slot], count: int) -> list[dict[str, float]]:
    """What the slots of each of `count` sentences have in common; nan where there is nothing to measure."""
    rows: list[list[Slot]] = [[] for _ in range(count)]
    for s in found:
        if s.sentence < count:
            rows[s.sentence].append(s)
    named = NAMES.index
    out = []
    for row in rows:
        got = {"slots": float(len(row)), "slots_open": row[0].features[named("open_facts")] if row else NAN}
        for name, how in _SUMS:
            values = [v for s in row if (v := s.features[named(name)]) == v]
            most = {"min": min, "max": max, "sum": sum, "mean": lambda v: sum(v) / len(v)}[how]
            got[f"slot_{name}_{how}"] = float(most(values)) if values else NAN
        names = [s for s in row if s.features[named("name")]]
        got["slots_new_names"] = float(sum(not s.features[named("whole")] for s in names))
        kinds = [named(n) for n in ("number", "date", "name")]
        got["slots_words"] = float(sum(not any(s.features[k] for k in kinds) for s in row))
        out.append(got)
    return out
