"""How gates see text: words with their places, sentences, plain stems. Han and kana characters are words."""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
_TOKEN = re.compile(rf"[{CJK}]|[^\W_{CJK}]+(?:['’][^\W\d_{CJK}]+)*")
_ASCII = re.compile(r"[a-z0-9]+(?:'[a-z]+)*")
_ASCII_COUNTED = re.compile(r"[A-Za-z0-9]+(?:[-'.,/][A-Za-z0-9]+)*")
_COUNTED = re.compile(rf"[^\W_{CJK}{_UNSPACED}]+(?:[-'’.,/][^\W_{CJK}{_UNSPACED}]+)*")
_CJK_CHAR = re.compile(rf"[{CJK}]")
_UNSPACED_CHAR = re.compile(rf"[{_UNSPACED}]")
_STOP = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|$)|[。！？]+[」』”]*|\n")

Token = tuple[str, int, int]  # case-folded word, start, end
Place = tuple[int, int]  # start and end in a text


def listed(text: str) -> frozenset[str]:
    """A set of words from a block of text."""
    return frozenset(text.split())


# Words that say nothing by themselves; enough of them to tell content from grammar.
STOP = listed(
    """a an the this that these those it its it's is are was were be been being has have had do does did will would can
    could should may might must and or but nor so if then than as at by for from in into of off on onto out over to up
    with without about after before between during through under while when where which who whom whose what why how
    i you he she we they me him her us them my your his our their one ones there here not no yes very too also just
    only more most much many some any all each every both other another such own same again ever never always
    often s t d ll ve re m"""
)


@lru_cache(maxsize=64)  # a dozen checks look at the same text in turn
def tokens(text: str) -> tuple[Token, ...]:
    """The words of `text`, case-folded, each with its start and end in `text`."""
    if text.isascii():  # the same words, sooner
        return tuple([(m[0], *m.span()) for m in _ASCII.finditer(text.lower())])
    return tuple([(m[0].casefold(), *m.span()) for m in _TOKEN.finditer(text)])


@lru_cache(maxsize=256)
def words(text: str) -> tuple[str, ...]:
    """The case-folded words of `text`; every Han or kana character is one."""
    if text.isascii():
        return tuple(_ASCII.findall(text.lower()))
    return tuple(map(str.casefold, _TOKEN.findall(text)))


@lru_cache(maxsize=64)
def stems_in(texts: tuple[str, ...]) -> frozenset[str]:
    """The stems of all words of some strings."""
    return frozenset(map(stem, chain.from_iterable(map(words, texts))))


def as_text(value: str | list[str]) -> str:
    """What is read as a text of an output: itself, or tags in words of the model's own, joined."""
    return ", ".join(value) if isinstance(value, list) else value


def count_words(text: str) -> int:
    """Words as `max_words` counts them: hyphenated words are one, two Han or kana characters are one word
    (the usual ratio between Chinese characters and words), five Thai, Lao, Khmer or Burmese letters are one."""
    if text.isascii():
        return len(_ASCII_COUNTED.findall(text))
    spaced = len(_COUNTED.findall(text))
    return spaced + math.ceil(len(_CJK_CHAR.findall(text)) / 2) + math.ceil(len(_UNSPACED_CHAR.findall(text)) / 5)


def is_cjk(word: str) -> bool:
    return not word.isascii() and bool(_CJK_CHAR.match(word))


def mostly_cjk(text: str, of: int) -> bool:
    """Whether more than half of its `of` words are Han or kana characters."""
    return not text.isascii() and len(_CJK_CHAR.findall(text)) > of / 2


def sentences(text: str) -> list[str]:
    """Sentences, trimmed, in order. A stop inside a number or name ends none."""
    return list(_sentences(text))


@lru_cache(maxsize=64)
def _sentences(text: str) -> tuple[str, ...]:
    found, start = [], 0
    while start < len(text):
        stop = _STOP.search(text, start + 1)
        end = stop.end() if stop else len(text)
        found.append(text[start:end].strip())
        start = end
    return tuple(filter(None, found))


def places(text: str) -> list[Place]:
    """Start and end of each of the `sentences`, in order."""
    found, at = [], 0
    for sentence in sentences(text):
        start = text.index(sentence, at)
        at = start + len(sentence)
        found.append((start, at))
    return found


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Singular, unaccented form: enough to match "tomatoes" with "tomato" (English; others pass unchanged)."""
    if not word.isascii():
        word = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    word = re.sub(r"['’]s?$", "", word)
    if len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y" if len(word) > 4 else word[:-1]
    if word.endswith(("leaves", "loaves", "halves", "calves", "knives", "shelves", "thieves")):
        return word[:-3] + "f"
    if word.endswith(("oes", "shes", "ches", "xes", "sses", "zes")):
        return word[:-2]
    return word.removesuffix("s")


def strings(value: Any) -> Iterator[str]:
    """All strings and numbers inside a record, depth first, as text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for inner in value.values() if isinstance(value, dict) else value:
            if isinstance(inner, str):
                yield inner
            else:
                yield from strings(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def shingles(source: Iterable[str], k: int) -> set[tuple[str, ...]]:
    """Every run of k words in a sequence of words."""
    seq = list(source)
    return set(zip(*(seq[i:] for i in range(k)), strict=False))


def covered(seq: Sequence[str], known: set[tuple[str, ...]], k: int) -> list[bool]:
    """Which words of `seq` lie in a run of k that is `known`."""
    mask = [False] * len(seq)
    if not known:
        return mask
    runs = zip(*(seq[i:] for i in range(k)), strict=False)
    for i in [i for i, run in enumerate(runs) if run in known]:
        mask[i : i + k] = [True] * k
    return mask


def nameless(seq: Sequence[str], name: str) -> list[bool]:
    """Which words of `seq` are not the name: a run of two of its words in order, or all of a name of one word."""
    own = words(name)
    if set(own).isdisjoint(seq):
        return [True] * len(seq)
    k = min(2, len(own))
    return [not m for m in covered(seq, shingles(own, k), k)] if k else [True] * len(seq)


def longest_run(mask: list[bool]) -> tuple[int, int]:
    """Start and end of the longest stretch of True; (0, 0) when there is none."""
    best, start = (0, 0), None
    for i, on in enumerate([*mask, False]):
        if on and start is None:
            start = i
        elif not on and start is not None:
            if i - start > best[1] - best[0]:
                best = (start, i)
            start = None
    return best


def clip(quote: str, most: int = 120) -> str:
    """At most `most` characters of a quote, still verbatim."""
    return quote if len(quote) <= most else quote[:most]
