"""Named things in a closed-world text must follow from the record: catalogue terms, categories, proper names."""

import re
from collections.abc import Mapping
from typing import Any

from ..base import Finding
from ..text import STOP, clip, sentences, stem, stems_in, strings, tokens
from .aliases import ALIASES
from .catalogue import MOST_WORDS, Term, Terms
from .classes import CLASSES, PEOPLES, held, is_food
from .dates import borne_out
from .quantities import quantities

GATE, CONTRADICTED, ENTITY = "factuality/names", "factuality/contradicted", "factuality/entities"

_LENGTHS = range(MOST_WORDS, 0, -1)  # the longest name first

# What follows from what, among categories.
_FOLLOWS = {"vegetarian": {"vegan"}, "meatless": {"vegan", "vegetarian"}, "dairy-free": {"vegan"}}
_DENIED = re.compile(
    r"(?:\b(?:no|not|without|never|nor|isn['’]t|free of|free from|instead of|rather than|minus|skip(?:s|ping)?|"
    r"hold the|unlike|like|as|reminiscent of|less)\s+(?:an?\s+|any\s+|the\s+)?"
    r"(?:(?:trace|hint|drop|touch|speck|bit)\s+of\s+)?(?:[\w-]+\s+(?:or\s+|and\s+)?)?)$",
    re.IGNORECASE,
)
_FREE = re.compile(r"^\s?-?\s?(?:free\b|less\b|-like\b|-style\b|-inspired\b)", re.IGNORECASE)
_LACKS = re.compile(r"(?:\bwithout(?:\s+any)?|\bfree\s+(?:of|from)|\bcontains\s+no)\s+$", re.IGNORECASE)
_LACKED = re.compile(r"^\s?-?\s?free\b", re.IGNORECASE)
_NOUNS_CAPITALISED = {"de", "lb"}  # languages that capitalise every noun


def names(text: str, record: Mapping[str, Any], terms: Terms, name: str = "") -> Finding:
    """Fails on a thing that the catalogue knows and this record does not have. Score: share of such mentions.

    A mention follows when all its words stand somewhere in the record (plural or singular), under another
    spelling, or as a kind of something in it ("cheese" of feta, where the catalogue knows "feta cheese").
    "No chicken", "chicken-free" and "like butter" claim no chicken and no butter.
    """
    known = _known(record, name)
    seq = tokens(text)
    stems = [stem(t[0]) for t in seq]
    judged, wrong, i = 0, [], 0
    while i < len(stems):
        n = next((n for n in _LENGTHS if tuple(stems[i : i + n]) in terms.things), 0)
        if not n:
            i += 1
            continue
        term = tuple(stems[i : i + n])
        n = len(term)
        start, end = seq[i][1], seq[i + n - 1][2]
        i += n
        if _DENIED.search(text[:start][-40:]) or _FREE.match(text[end : end + 12]):
            continue
        judged += 1
        if not _supported(term, known, terms):
            wrong.append(text[start:end])
    if not wrong:
        return Finding(GATE, True, 0.0 if judged else None)
    return Finding(GATE, False, round(len(wrong) / judged, 4), "named, but not in the record", clip(wrong[0]))


def _lists(record: Mapping[str, Any]) -> list[str]:
    return [entry for value in record.values() if isinstance(value, (list, tuple)) for entry in strings(value)]


def _misclassed(text: str, record: Mapping[str, Any], name: str, of_food: bool) -> tuple[str, str] | None:
    """(reason, quote) where a text names a class of food that no entry belongs to, or denies one that an entry has.

    "A seafood soup" follows from oysters; "dairy-free" does not from butter, nor "melted cheese" from aubergines.
    """
    seq = tokens(text)
    at = [i for i, (word, _, _) in enumerate(seq) if stem(word) in CLASSES]
    if not at or not (is_food(entries := _lists(record)) or of_food and entries):
        return None
    has, known = held(entries), _known(record, name)
    for i in at:
        word, start, end = seq[i]
        kind, before = stem(word), text[:start][-40:]
        if _LACKED.match(text[end : end + 6]) or _LACKS.search(before):
            if kind in has:
                return f"the record has {kind}", clip(text[start:end])
        elif kind == "gluten" or _DENIED.search(before) or _FREE.match(text[end : end + 12]):
            continue  # named to be denied, and rightly so; or too wide to be claimed
        elif kind not in has and kind not in known and not CLASSES[kind] & known:
            return f"no {kind} in the record", clip(text[start:end])
    return None


def contradicted(text: str, record: Mapping[str, Any], terms: Terms, name: str = "") -> Finding:
    """Fails when the text gives a category another value of the catalogue than the record does
    (record: diet vegan; "a vegetarian feast" follows from it, "pescatarian" does not), names a class of food that
    the record has nothing of, or denies one that it has ("dairy-free" of a tart with butter)."""
    if wrong := _misclassed(text, record, name, terms.of_food):
        return Finding(CONTRADICTED, False, 1.0, *wrong)
    seq = tokens(text)
    stems = [stem(t[0]) for t in seq]
    any_value = frozenset().union(*terms.values.values())
    runs = ((i, n, tuple(stems[i : i + n])) for n in _LENGTHS for i in range(len(stems) - n + 1))
    said = [run for run in runs if run[2] in any_value]
    known = _known(record, name) if said else frozenset()
    for field, values in terms.values.items() if said else ():
        own = record.get(field)
        if not isinstance(own, str) or not own.strip():
            continue
        for i, n, term in said:
            if term not in values or all(w in known for w in term):
                continue
            start, end = seq[i][1], seq[i + n - 1][2]
            denied = _DENIED.search(text[:start][-40:]) or _FREE.match(text[end : end + 12])
            if denied or _FOLLOWS.get("-".join(term), set()) & known:
                continue
            return Finding(CONTRADICTED, False, 1.0, f"the record's {field} is {own}", clip(text[start:end]))
    return Finding(CONTRADICTED, True)


def entities(text: str, record: Mapping[str, Any], name: str = "", language: str = "en") -> Finding:
    """Fails on a proper name (capitalised inside a sentence) whose words are not in the record.

    Not judged where capitals say nothing: German, titles, shouting.
    """
    if language.split("-")[0] in _NOUNS_CAPITALISED:
        return Finding(ENTITY, True)
    letters = re.findall(r"[^\W\d_]{2,}", text)
    if len(letters) < 4 or sum(w[0].isupper() for w in letters if w.casefold() not in STOP) > 0.6 * len(letters):
        return Finding(ENTITY, True)
    known = None
    for sentence in sentences(text):
        fresh = True
        for word, start, end in tokens(sentence):
            shown = sentence[start:end]
            lead = fresh or bool(re.search(r"[:\"“'‘(]\s*$", sentence[:start]))
            fresh = False
            if lead or not shown[0].isupper() or len(shown) < 2 or word in STOP or word.startswith(("i'", "i’")):
                continue
            known = known if known is not None else _known(record, name)
            if any(a <= start < b for a, b in borne_out(sentence, record)):  # "February" of 2021-02-25
                continue
            if PEOPLES.get(stem(word), frozenset()) & known:  # "Lebanese" of Lebanon
                continue
            if any(q.start <= start < q.end for q in quantities(sentence)):  # "degrees Fahrenheit"
                continue
            if stem(word) not in known and not any(len(k) > 3 and stem(word).startswith(k) for k in known):
                return Finding(ENTITY, False, 1.0, "a name that the record does not have", clip(shown))
    return Finding(ENTITY, True)


def _known(record: Mapping[str, Any], name: str) -> frozenset[str]:
    return stems_in((name, *strings(dict(record))))


def _supported(term: Term, known: frozenset[str], terms: Terms) -> bool:
    if all(w in known for w in term):
        return True
    if any(all(w in known for w in other) for other in ALIASES.get(term, ())):
        return True
    swapped = [ALIASES.get((w,), []) for w in term]
    if all(w in known or any(all(x in known for x in alias) for alias in aliases) for w, aliases in zip(term, swapped)):
        return True
    return len(term) == 1 and bool(terms.kinds.get(term[0], frozenset()) & known)
