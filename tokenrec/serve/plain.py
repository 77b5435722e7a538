"""A request in plain words: contractions, hyphens and misspellings turned into the words that limits are read from."""

import re
from collections.abc import Callable, Iterable

from tokenrec.gates.text import STOP, listed
from tokenrec.serve.limits import groups, named, phrase

_CUES = listed("allergic allergy allergies intolerant intolerance without anaphylactic vegetarians")
_AUX = "do|does|did|is|are|was|were|should|would|could|must|has|have|had|need"
_TURNS = [
    (r"[‘’´`]", "'"), (r"[🚫❌⛔🙅✖]", " no "), (r"\bw\s*/\s*o(?:ut)?\b", "without"),
    (r"(?-i:\bGF\b)", "gluten free"), (r"(?-i:\bDF\b)", "dairy free"),
    (rf"\b({_AUX})n'?t\b", r"\1 not"), (r"\bca(?:n'?t|nnot)\b", "can not"),
    (r"\bwon'?t\b", "will not"), (r"\bain'?t\b", "is not"),
    (r"\bno[ -]?one\b", "nobody"), (r"\s*[&+]\s*", " and "), (r"(?<=[^\W\d])\s*/\s*(?=[^\W\d])", " or "),
    (r"\bnon[ -](?=[a-z])", "no "), (r"(?<=[^\W\d])-(?=[^\W\d])", " "), (r"(?<=[^\W\d])-(?=\s)", ""),
    (r"\b(non)?([a-z]{3,}?)(free|less)?\b", lambda m: _apart(m)),
]  # fmt: skip


def plain(request: str, known: Callable[[str], bool]) -> str:
    """The request with the same words in other spellings: "I don't eat" is "I do not eat", "alergic" allergic."""
    for said, to in _TURNS:
        request = re.sub(said, to, request, flags=re.I)
    return re.sub(r"[^\W\d_]{6,}", lambda m: _mended(m[0], known), request)


def near(word: str, known: Callable[[str], bool], others: Iterable[str] = ()) -> str | None:
    """The one name of a group (or of `others`) that a word unknown to the catalogue is one slip of the pen from."""
    word = word.lower()
    if word in STOP or phrase(word) in named() or known(phrase(word)):
        return None
    names = (n for n in sorted({*others, *groups()}) if n[0] == word[0] and " " not in n)
    return next((n for n in names if _one_slip(word, n)), None)


def _mended(word: str, known: Callable[[str], bool]) -> str:
    return word if word.lower() in _CUES else near(word, known, _CUES) or word


def _one_slip(a: str, b: str) -> bool:
    """Whether a letter too many, too few, another or two exchanged make one word the other (or its plural)."""
    for word in {a, a.removesuffix("s")}:
        begin = next((i for i, (x, y) in enumerate(zip(word, b, strict=False)) if x != y), min(len(word), len(b)))
        x, y = word[begin:], b[begin:]
        if x[1:] == y or x == y[1:] or x[1:] == y[1:] or (x[:2] == y[1::-1] and x[2:] == y[2:]):
            return word != b
    return False


def _apart(match: re.Match) -> str:
    """ "glutenfree", "eggless" and "nondairy" in two words."""
    if not (match[1] or match[3]) or phrase(match[0]) in groups() or phrase(match[2]) not in groups():
        return match[0]
    return f"no {match[2]}, " if match[1] else f"{match[2]} free"
