"""What a catalogue can name: learnt from its own list-valued fields, so that no domain is built in."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ...ids import content_id
from ..noise.catalogue import Titles
from ..text import STOP, is_cjk, listed, stem, strings, words
from .aliases import ALIASES
from .classes import is_food

Term = tuple[str, ...]  # stemmed words

_SPLIT = re.compile(r"\s*(?:[,;|/(、，；]|\band\b|\bor\b|&)\s*")
_COLOURS = listed("green red white black brown yellow blue")
MOST_WORDS = 4
_SURE = 0.5  # for an entry as it stands in a list
_SURE_CLASS = 0.7  # for the head of three kinds and more ("sauce", "cheese"): such a word often means the class
_SURE_HEAD = 0.8  # for a head that is nowhere an entry by itself ("breast", "heart")


@dataclass(frozen=True)
class Terms:
    """Words that name things; kinds: "cheese" -> {"feta", ...}; values of categorical fields: field -> values."""

    things: frozenset[Term] = frozenset()
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    values: Mapping[str, frozenset[Term]] = field(default_factory=dict)
    titles: Titles = field(default_factory=Titles)  # only where an output must be one of them

    @cached_property
    def of_food(self) -> bool:
        """Whether the catalogue lists food, so that classes of food mean something there."""
        return sum(is_food(term) for term in self.things) >= 5

    @property
    def digest(self) -> str:
        return content_id(
            {
                "things": sorted(map(list, self.things)),
                "kinds": {head: sorted(kinds) for head, kinds in self.kinds.items()},
                "values": {name: sorted(map(list, values)) for name, values in self.values.items()},
                **({"titles": self.titles.digest} if self.titles else {}),
            }
        )


def catalogue_terms(items: Sequence[Mapping[str, Any]], fields: Iterable[str] | None = None) -> Terms:
    """Learn the nameable things of a catalogue from `fields` (every list-valued field unless said).

    A thing is an entry of up to four words, or an entry's head (its last word: "chicken" of "boneless chicken"), if
    the word can be trusted to name it: of the items that use it elsewhere (name, method), enough have it in their
    list ((right + .5) / (seen + 1) against the constants above). "Chicken" in a method means chicken in the list;
    "piece", "top" or "cake" does not.
    Categorical fields (few distinct short strings, each on several items) give values that a text can contradict.
    Linear in the catalogue.
    """
    if fields is None:
        fields = sorted({k for item in items for k, v in item.items() if _is_list(v)})
    fields = list(fields)
    singular: set[str] = set()  # words that stand in some list as they are, not in the plural only
    kinds: dict[str, set[str]] = defaultdict(set)
    count: Counter[Term] = Counter()
    whole: set[Term] = set()
    for item in items:
        mine: set[Term] = set()
        for entry, head in _entries(item, fields):
            if head == entry[-1]:
                singular.add(head)
            mine |= {entry} if is_cjk(entry[-1]) else {entry, entry[-1:]}
            whole.add(entry)
            if len(entry) == 2 and not is_cjk(entry[1]):
                kinds[entry[1]].add(entry[0])
        count.update(mine)
    seen: Counter[Term] = Counter()
    right: Counter[Term] = Counter()
    for item in items:  # lists are read again: held for a large catalogue they would fill the memory
        elsewhere = [stem(w) for k, v in item.items() if k not in fields for s in strings(v) for w in words(s)]
        own = {w for entry, _ in _entries(item, fields) for w in entry}
        for term in _grams(elsewhere) & count.keys():
            seen[term] += 1
            right[term] += all(w in own for w in term)

    def trusted(term: Term) -> bool:
        if "".join(term).isdigit() or all(w in STOP for w in term) or len("".join(term)) < 2:
            return False
        if len(term) == 1 and term[0] in _COLOURS and term[0] not in singular:
            return False  # "greens" are a thing, "green" is not
        limit = _SURE_HEAD if term not in whole else _SURE_CLASS if len(kinds.get(term[0], ())) >= 3 else _SURE
        return (right[term] + 0.5) / (seen[term] + 1) >= (limit if len(term) == 1 else _SURE)

    # "feta" is a kind of cheese if it is also listed by itself; "minced" is no kind of pork
    known = {head: frozenset(k for k in found if (k,) in whole) for head, found in kinds.items()}
    things = {term for term in count if trusted(term)}
    things |= {alias for term in things for alias in ALIASES.get(term, ())}
    return Terms(frozenset(things), {head: found for head, found in known.items() if found}, _values(items, fields))


def _entries(item: Mapping[str, Any], fields: list[str]) -> Iterable[tuple[Term, str]]:
    """The entries of a record's lists as terms, each with its last word as it is written, where it stands alone."""
    for name in fields:
        value = item.get(name)
        for entry in value if _is_list(value) else [value] if isinstance(value, str) else []:
            parts = _SPLIT.split(str(entry))
            for part in parts:
                own = [w for w in words(part) if not w[0].isdigit() and w not in STOP]
                if 0 < len(own) <= MOST_WORDS:
                    yield tuple(map(stem, own)), own[-1] if len(parts) == 1 else ""  # "green and red peppers"


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(v, str) for v in value)


def _grams(seq: list[str]) -> set[Term]:
    return {tuple(seq[i : i + n]) for n in range(1, MOST_WORDS + 1) for i in range(len(seq) - n + 1)}


def _values(items: Sequence[Mapping[str, Any]], fields: list[str]) -> dict[str, frozenset[Term]]:
    columns: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        for name, value in item.items():
            if (
                name not in fields
                and isinstance(value, str)
                and 0 < len(value) <= 24
                and not any(c.isdigit() for c in value)
            ):
                columns[name][value] += 1
    kept = {}
    for name, counts in columns.items():
        total = sum(counts.values())
        if 2 <= len(counts) <= 60 and total >= 4 * len(counts):
            terms = (tuple(stem(w) for w in words(v)) for v in counts)
            kept[name] = {t for t in terms if 0 < len(t) <= MOST_WORDS}
    if not kept:
        return {}
    seen: Counter[tuple[str, Term]] = Counter()
    right: Counter[tuple[str, Term]] = Counter()
    for item in items:
        grams = _grams([stem(w) for k, v in item.items() if k not in kept for s in strings(v) for w in words(s)])
        for name, terms in kept.items():
            own = tuple(stem(w) for w in words(str(item.get(name, ""))))
            for term in terms & grams:
                seen[name, term] += 1
                right[name, term] += term == own
    return {
        name: frozenset(t for t in terms if (right[name, t] + 0.5) / (seen[name, t] + 1) >= _SURE)
        for name, terms in kept.items()
    }
