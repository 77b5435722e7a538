"""A request in any language, in the words of the catalogue: the recipe's `recommend: {words: FILE}`.

The file says how a language's words and turns of phrase read in the catalogue's own:

    language: zh
    patterns: {'(\\d+)\\s*分钟(?:以内|之内|内)': ' under \\1 minutes '}   # regular expressions, first, in order
    words: {酸: sour, 开胃: [sour, spicy, fresh]}                        # longest first
    characters: {豬: 猪}                                                 # optional: spellings, turned before all else

A dictionary of the catalogue's own language tells what turns of phrase mean; they are looked for beside its words.
It is a dictionary, not a translator: what it does not know is said, and a request of which it knows nothing is refused.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tokenrec.errors import InputError
from tokenrec.gates.text import stem, words

MOST = 2000  # characters of a request


@dataclass(frozen=True)
class Words:
    """One language's dictionary. `longest` is the number of characters of the longest word."""

    language: str
    patterns: list[tuple[re.Pattern, str]]
    words: dict[str, str]
    characters: dict[int, str] = field(default_factory=dict)

    @property
    def longest(self) -> int:
        return max(map(len, self.words), default=0)


@dataclass(frozen=True)
class Read:
    """A request as it is looked for. `unknown`: what of another script no dictionary has."""

    text: str
    language: str | None  # of the dictionary that was used
    unknown: list[str]


def load_words(path: Path) -> Words:
    """Raises InputError, with the file and what is wrong, for anything but such a dictionary."""
    import yaml

    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        patterns = [(re.compile(p), str(r)) for p, r in (told.get("patterns") or {}).items()]
        said = {str(k): " ".join(v) if isinstance(v, list) else str(v) for k, v in (told.get("words") or {}).items()}
        spelt = str.maketrans({str(k): str(v) for k, v in (told.get("characters") or {}).items()})
        return Words(str(told["language"]), patterns, said, spelt)
    except (ValueError, OSError, UnicodeError, yaml.YAMLError, re.error, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: no dictionary of words ({error}). It needs language: and words:") from error


def read(request: str, dictionaries: Iterable[Words], vocabulary: set[str]) -> Read:
    """The request in the catalogue's words. `vocabulary`: stems that the catalogue or the limits know.

    Raises InputError for an empty or endless request, and for one in a language that nothing here can serve.
    """
    text = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in unicodedata.normalize("NFKC", request))
    text = " ".join(text.split())  # no control, bidirectional or private-use characters
    if not text:
        raise InputError('the request is empty. Say what you feel like: "something sour and spicy, no pork"')
    if len(text) > MOST:
        raise InputError(f"the request has {len(text):,} characters; {MOST:,} are read at the most")
    foreign = [c for c in text if c.isalpha() and not _latin(c)]
    if foreign:
        return _through(text, list(dictionaries), foreign)
    for one in dictionaries:  # turns of phrase of the catalogue's own language: what they mean is looked for as well
        low = " ".join(words(text.lower()))
        meant = [to for said, to in one.words.items() if said.isascii() and f" {said} " in f" {low} "]
        if meant:
            return Read(f"{text}, {' '.join(dict.fromkeys(' '.join(meant).split()))}", one.language, [])
    known = [w for w in words(text) if stem(w) in vocabulary]
    if not known and len(words(text)) > 2:
        from tokenrec.gates.noise.language import language

        if not language(text, "en").passed:
            raise InputError(f"this request reads as no language that is served here ({_served(dictionaries)})")
    return Read(text, None, [])


def _through(text: str, dictionaries: list[Words], foreign: list[str]) -> Read:
    for one in dictionaries:
        plain = text.translate(one.characters)
        for pattern, to in one.patterns:
            plain = pattern.sub(to, plain)
        left = [c for c in plain if c.isalpha() and not _latin(c)]
        if (sum(not any(c in w for w in one.words) for c in left)) * 2 <= len(foreign):
            text, understood = plain, len(left) < len(foreign)
            break
    else:
        raise InputError(f"this request reads as no language that is served here ({_served(dictionaries)})")
    out, unknown, at = [], [], 0
    while at < len(text):
        if text[at].isascii() or not text[at].isalnum():
            out.append(text[at] if text[at].isascii() else ", " if text[at] in "，。、；！？" else " ")
            at += 1
            continue
        size = next((n for n in range(min(one.longest, len(text) - at), 0, -1) if text[at : at + n] in one.words), 0)
        if size:
            out.append(f" {one.words[text[at : at + size]]} ")
            understood = True
            at += size
            continue
        if unknown and unknown[-1][1] == at:
            unknown[-1] = (unknown[-1][0] + text[at], at + 1)
        else:
            unknown.append((text[at], at + 1))
        out.append(text[at])
        at += 1
    if not understood:
        raise InputError(f"nothing of this request is in the dictionary for {one.language} ({len(one.words)} words)")
    said = re.sub(r"(?:\s*,)+", ",", re.sub(r"\s+", " ", "".join(out))).strip(" ,.")
    return Read(said, one.language, [w for w, _ in unknown])


def _latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("LATIN", "FULLWIDTH LATIN"))


def _served(dictionaries: Iterable[Words]) -> str:
    return ", ".join(["English", *(d.language for d in dictionaries)])
