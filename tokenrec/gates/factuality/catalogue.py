"""What a catalogue can name: learnt from its own list-valued fields, so that no domain is built in."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...ids import content_id
from ..text import STOP, stem, strings, words

Term = tuple[str, ...]  # stemmed words

_SPLIT = re.compile(r"\s*(?:[,;|/(、，；]|\band\b|\bor\b|&)\s*")
_MOST_WORDS = 3


@dataclass(frozen=True)
class Terms:
    """Nameable things: how sure we are that the word names a thing (0..1); kinds: "cheese" -> {"feta", ...};
    values of categorical fields: field -> value -> how sure."""

    things: Mapping[Term, float] = field(default_factory=dict)
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    values: Mapping[str, Mapping[Term, float]] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return content_id(
            {
                "things": sorted([" ".join(t), round(s, 6)] for t, s in self.things.items()),
                "values": {f: sorted([" ".join(t), round(s, 6)] for t, s in v.items()) for f, v in self.values.items()},
            }
        )


def catalogue_terms(items: Sequence[Mapping[str, Any]], fields: Iterable[str] | None = None) -> Terms:
    """Learn the nameable things of a catalogue from `fields` (every list-valued field unless said).

    A thing is an entry of up to three words, or an entry's head (its last word: "chicken" of "boneless chicken").
    How sure: of the items that use the word elsewhere (name, method), the share whose list has it, pulled towards
    one half with a weight of one item. "Chicken" in a method means chicken in the list; "sauce" or "spoon" does not.
    Categorical fields (few distinct short strings, each on several items) give values that a text can contradict.
    Linear in the catalogue.
    """
    if fields is None:
        fields = sorted({k for item in items for k, v in item.items() if _is_list(v)})
    fields = list(fields)
    listed: list[set[Term]] = []
    kinds: dict[str, set[str]] = defaultdict(set)
    count: Counter[Term] = Counter()
    for item in items:
        mine: set[Term] = set()
        for entry in _entries(item, fields):
            mine |= {entry, entry[-1:]}
            if len(entry) == 2:
                kinds[entry[1]].add(entry[0])
        listed.append(mine)
        count.update(mine)
    seen: Counter[Term] = Counter()
    right: Counter[Term] = Counter()
    for item, mine in zip(items, listed):
        elsewhere = [stem(w) for k, v in item.items() if k not in fields for s in strings(v) for w in words(s)]
        own = {w for term in mine for w in term}
        for term in _grams(elsewhere) & count.keys():
            seen[term] += 1
            right[term] += all(w in own for w in term)
    things = {t: (right[t] + 0.5) / (seen[t] + 1) for t in count if not all(w in STOP or len(w) < 2 for w in t)}
    return Terms(things, {k: frozenset(v) for k, v in kinds.items()}, _values(items, fields))


def _entries(item: Mapping[str, Any], fields: list[str]) -> Iterable[Term]:
    for name in fields:
        value = item.get(name)
        for entry in value if _is_list(value) else [value] if isinstance(value, str) else []:
            for part in _SPLIT.split(str(entry)):
                term = tuple(stem(w) for w in words(part) if not w[0].isdigit() and w not in STOP)
                if 0 < len(term) <= _MOST_WORDS:
                    yield term


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(v, str) for v in value)


def _grams(seq: list[str]) -> set[Term]:
    return {tuple(seq[i : i + n]) for n in range(1, _MOST_WORDS + 1) for i in range(len(seq) - n + 1)}


def _values(items: Sequence[Mapping[str, Any]], fields: list[str]) -> dict[str, dict[Term, float]]:
    columns: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        for name, value in item.items():
            if name not in fields and isinstance(value, str) and 0 < len(value) <= 24 and not any(c.isdigit() for c in value):
                columns[name][value] += 1
    kept = {}
    for name, counts in columns.items():
        total = sum(counts.values())
        if 2 <= len(counts) <= 60 and total >= 4 * len(counts):
            kept[name] = {t: 0.5 for v in counts if 0 < len(t := tuple(stem(w) for w in words(v))) <= _MOST_WORDS}
    if not kept:
        return {}
    seen: Counter[tuple[str, Term]] = Counter()
    right: Counter[tuple[str, Term]] = Counter()
    for item in items:
        grams = _grams([stem(w) for k, v in item.items() if k not in kept for s in strings(v) for w in words(s)])
        for name, terms in kept.items():
            own = tuple(stem(w) for w in words(str(item.get(name, ""))))
            for term in terms.keys() & grams:
                seen[name, term] += 1
                right[name, term] += term == own
    return {n: {t: (right[n, t] + 0.5) / (seen[n, t] + 1) for t in terms} for n, terms in kept.items()}
