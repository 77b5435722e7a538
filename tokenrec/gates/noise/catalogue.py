"""Titles that the catalogue does not have (a recipe's `in_catalogue: true`). Absent is not the same as invented: most
books that an LM recommends exist, and few of them are for sale here."""

import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from operator import itemgetter

from rapidfuzz import fuzz, process

from ...ids import content_id
from ..base import Finding
from ..text import clip, words

GATE, EXISTS = "noise/catalogue", "noise/exists"
NEAR = 90  # rapidfuzz ratio from which the nearest title is named

_LIST_MARK = re.compile(r"^\s*(?:\d{1,3}[.):]|[-*•])\s+")
_ASIDE = re.compile(r"\s*[(\[（][^()\[\]（）]*[)\]）]\s*$")  # a year, a series, an edition
_ARTICLES = frozenset(("the", "a", "an"))


def plain(title: str) -> str:
    """A title as it is compared: its words, without capitals, punctuation and a leading article."""
    seq = words(title)
    return " ".join(seq[1:] if len(seq) > 1 and seq[0] in _ARTICLES else seq)


def spellings(title: str) -> set[str]:
    """Whole, without what stands in brackets at its end, and without its subtitle: "Emma (Penguin Classics)" is Emma.
    A subtitle may only be left out where two words stand before it: "It: A Novel" is no "It"."""
    main = _ASIDE.sub("", title)
    short = main.split(":")[0]
    found = {plain(title), plain(main), plain(short) if len(words(short)) > 1 else ""}
    return found - {""}


class Titles:
    """The titles of a catalogue. A look-up takes microseconds where the title is there, and about 0.4 ms for every
    1,000 titles where the nearest one has to be found (once for each title that is asked for)."""

    def __init__(self, titles: Iterable[str] = ()) -> None:
        self._titles: dict[str, str] = {}
        for title in titles:
            for spelling in spellings(title):
                self._titles.setdefault(spelling, title)
        self.find = lru_cache(16384)(self._find)

    def __bool__(self) -> bool:
        return bool(self._titles)

    @cached_property
    def digest(self) -> str:
        return content_id(sorted(self._titles))

    @cached_property
    def _spellings(self) -> list[str]:
        return list(self._titles)

    def _find(self, title: str) -> tuple[str | None, float]:
        """(the catalogue's title that is meant, or nearest, or None; how near, 1 is the same)."""
        for spelling in sorted(spellings(title), key=len, reverse=True):
            if spelling in self._titles:
                return self._titles[spelling], 1.0
        found = process.extractOne(plain(title), self._spellings, scorer=fuzz.ratio, score_cutoff=NEAR)
        return (self._titles[found[0]], found[1] / 100) if found else (None, 0.0)


def not_in_catalogue(text: str, titles: Titles) -> Finding:
    """Fails when the text is the title of an item that exists, or nearly (`NEAR`): it was to be invented. An invented
    item that is a real one would put a candidate into a history. Score: how near the nearest title is, from .9 on."""
    near, ratio = titles.find(text) if titles and text.strip() else (None, 0.0)
    if near is None:
        return Finding(EXISTS, True)
    return Finding(EXISTS, False, round(ratio, 4), f"the catalogue has it: {clip(near)}", clip(text))


def in_catalogue(text: str, titles: Titles) -> Finding:
    """Fails when a line of the text is no title of the catalogue. Score: share of such lines.

    One that is spelt nearly alike is named, and does not pass: "Clockwork Angel" and "Clockwork Angels" are two books.
    A line is a title; numbers and bullets before it don't count, nor do capitals, punctuation, a leading article, what
    stands in brackets at its end, and a subtitle. Not judged where no titles are known.
    """
    said = [line for line in map(str.strip, text.splitlines()) if line]
    if not titles or not said:
        return Finding(GATE, True)
    found = [(line, max(titles.find(line), titles.find(_LIST_MARK.sub("", line)), key=itemgetter(1))) for line in said]
    wrong = [(line, near) for line, (near, ratio) in found if ratio < 1]
    score = round(len(wrong) / len(said), 4)
    if not wrong:
        return Finding(GATE, True, score)
    line, near = wrong[0]
    reason = f"not in the catalogue, invented or not{f' (nearest there: {near})' if near else ''}"
    return Finding(GATE, False, score, reason, clip(line))
