"""Open-world texts read as claims: a sentence with its words, and what fills its slots (a year, a count, a name).

A slot is what a value stands for, told by the words beside it: "released in 1970" fills (year, "relea") with 1970,
"12 tracks" fills (count, "track") with 12, "written by Frank Herbert" fills (name, "by", "writt"). Two texts that fill
a slot differently can't both be right; no language model is needed to see it. Chinese years, 《titles》 and makers
("由…导演") are read too.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from ..noise.telling import VAGUE
from ..text import STOP, clip, is_cjk, listed, places, stem, tokens, words
from .classes import PEOPLES
from .quantities import Quantity, quantities

_PREPOSITIONS = listed("by in from at of")
_JOINS = re.compile(r"\s*(?:,|,?\s*and|&|-|of|de|van|von|the|of the)?\s*", re.IGNORECASE)
_MADE_BY = re.compile(r"由([^，。、；由]{2,12}?)(?:所)?(创作|导演|执导|所著|撰写|演唱|出版|编写|制作)")
_TITLE = re.compile(r"(.{0,2})《([^》]{1,40})》")
_YEAR_DONE = re.compile(r"年\s*([\u4e00-\u9fff]{2})")
_ROLES = listed(
    "author writer novelist director composer singer artist producer publisher designer maker brand chef founder"
)
_FRESH = re.compile(r"(?:[:\"“'‘(*-]|\d[.)])\s*$")  # what stands before a word that is capitalised as a first one is
SHORT = 4  # content words up to which a whole field is one value, such as a genre


class Slot(NamedTuple):
    """`key` tells what the value stands for; `value` is a number or the stems of a name; start and end in the text."""

    key: tuple[str, ...]
    value: float | frozenset[str]
    start: int
    end: int

    def agrees(self, other: "Slot") -> bool:
        if isinstance(self.value, frozenset) and isinstance(other.value, frozenset):
            return not self.value.isdisjoint(other.value)
        if isinstance(self.value, frozenset) or isinstance(other.value, frozenset):
            return False
        if self.key[0] == "year":
            return self.value == other.value
        return abs(self.value - other.value) <= 0.1 * max(abs(self.value), abs(other.value))


class Claim(NamedTuple):
    """One sentence: its place, its content words in order (the subject's name and empty praise left out), its slots."""

    start: int
    end: int
    content: tuple[str, ...]
    slots: tuple[Slot, ...]


@lru_cache(maxsize=1024)
def claims(text: str, name: str = "") -> tuple[Claim, ...]:
    """The sentences of `text` that say something, in order."""
    found = []
    own = frozenset(map(stem, words(name)))
    for start, end in places(text):
        sentence = text[start:end]
        said = content(sentence, own)
        if said:
            slots = tuple(s._replace(start=s.start + start, end=s.end + start) for s in _slots(sentence, own))
            found.append(Claim(start, end, said, slots))
    return tuple(found)


def content(sentence: str, own: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Stems that say something, in order; of Han and kana text, pairs of characters."""
    found = []
    seq = [t[0] for t in tokens(sentence)]
    for i, word in enumerate(seq):
        if is_cjk(word):
            if i + 1 < len(seq) and is_cjk(seq[i + 1]) and not {word, seq[i + 1]} <= own:
                found.append(word + seq[i + 1])
        elif word not in STOP and word not in VAGUE and (root := stem(word)) not in own and root not in VAGUE:
            found.append(root)
    return tuple(found)


def pairs(said: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    """Content words that follow each other."""
    return frozenset(pairwise(said))


def whole(text: str, name: str = "") -> frozenset[str] | None:
    """The value of a short field that is a name or a nationality as a whole ("Frank Herbert", "Italian"), else None."""
    said = content(text, frozenset(map(stem, words(name))))
    shown = [text[a:b] for w, a, b in tokens(text) if w not in STOP]
    if not 0 < len(said) <= SHORT or len(shown) > SHORT or any(is_cjk(w[0]) for w in shown):
        return None
    named = len(shown) > 1 and all(w[0].isupper() for w in shown)
    return _value(said) if named or all(w in PEOPLES for w in said) else None


def _value(stems) -> frozenset[str]:
    """The stems of a name, with those that say the same ("Italian" and "Italy")."""
    own = frozenset(stems)
    return own.union(*(PEOPLES.get(w, frozenset()) for w in own))


def _slots(sentence: str, own: frozenset[str]) -> Iterator[Slot]:
    seq = tokens(sentence)
    for q in quantities(sentence):
        if key := _number_key(sentence, seq, q):
            yield Slot(key, q.value if q.unit else q.bare, q.start, q.end)
    yield from _named(sentence, seq, own)
    for m in _MADE_BY.finditer(sentence):
        yield Slot(("name", m[2].removeprefix("所")), frozenset({m[1]}), m.start(1), m.end(1))
    for m in _TITLE.finditer(sentence):
        yield Slot(("title", m[1]), frozenset({m[2]}), m.start(2), m.end(2))


def is_year(q: Quantity) -> bool:
    return not q.unit and not q.word and 1500 <= q.bare <= 2100 and q.bare == int(q.bare)


def _number_key(sentence: str, seq, q: Quantity) -> tuple[str, ...] | None:
    before = [w for w, _, end in seq if end <= q.start and w not in STOP and not w[0].isdigit()]
    after = [w for w, start, _ in seq if start >= q.end and w not in STOP]
    if is_year(q):
        if done := _YEAR_DONE.match(sentence, q.end - 1 if sentence[q.end - 1 : q.end] == "年" else q.end):
            return "year", done[1]
        beside = (before[-1:] if before and not is_cjk(before[-1]) else []) or after[:1]
        return ("year", cue(beside[0])) if beside else None
    if q.unit in ("decade", "clock"):
        return None
    if q.unit:
        return (q.unit, cue(before[-1])) if before and not is_cjk(before[-1]) else (q.unit, "".join(before[-2:]))
    follows = re.match(r"[\s-]*([a-z]{3,})", sentence[q.end :], re.IGNORECASE)
    if q.word and q.bare <= 3 or not follows or follows[1].lower() in STOP:
        return None
    return "count", stem(follows[1].lower())


def cue(word: str) -> str:
    """ "Released", "release" and "releases" are one cue."""
    return stem(word)[:5]


def _named(sentence: str, seq, own: frozenset[str]) -> Iterator[Slot]:
    """Runs of capitalised words inside a sentence ("Massive Attack, Portishead and Björk" is one), by what stands
    before: a preposition and the content word before that, or a role ("author Frank Herbert")."""
    units = [(q.start, q.end) for q in quantities(sentence)]
    caps = [
        i > 0 and sentence[a].isupper() and w not in STOP and len(w) > 1 and not is_cjk(w)
        and not _FRESH.search(sentence[:a]) and not any(start <= a < end for start, end in units)
        for i, (w, a, _) in enumerate(seq)
    ]  # fmt: skip
    letters = [w for w, _, _ in seq if w.isalpha()]
    if not letters or sum(caps) > 0.6 * len(letters):  # titles and shouting: capitals say nothing
        return
    i = 0
    while i < len(seq):
        if not caps[i]:
            i += 1
            continue
        j = i
        while j + 1 < len(seq):
            n = next((n for n in (1, 2, 3) if j + n < len(seq) and caps[j + n]), 0)
            if not n or not _JOINS.fullmatch(sentence, seq[j][2], seq[j + n][1]):
                break
            j += n
        stems = [stem(seq[k][0]) for k in range(i, j + 1) if caps[k]]
        key = _name_key(seq, i)
        if key and not own.issuperset(stems):
            yield Slot(key, _value(w for w in stems if w not in own), seq[i][1], seq[j][2])
        i = j + 1


def _name_key(seq, i: int) -> tuple[str, ...] | None:
    before = seq[i - 1][0]
    if before == "the" and i > 1:
        i, before = i - 1, seq[i - 2][0]
    if before in _PREPOSITIONS:
        content_before = [w for w, _, _ in seq[max(0, i - 4) : i - 1] if w not in STOP]
        return ("name", before, cue(content_before[-1])) if content_before else None
    return ("name", "by", before) if before in _ROLES else None


def shown(text: str, slot: Slot) -> str:
    """The value of a slot as the text has it, for people."""
    return clip(text[slot.start : slot.end].strip(), 60)
