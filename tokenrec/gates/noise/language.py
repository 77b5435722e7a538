"""Wrong language: by script, and within one script by py3langid, which ships its model and works offline."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from ..base import Finding
from ..text import clip, is_cjk, listed, nameless, sentences, tokens, words

GATE = "noise/language"

_SCRIPTS = {
    "zh": {"CJK"}, "ja": {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}, "ko": {"HANGUL", "CJK"},
    "ru": {"CYRILLIC"}, "uk": {"CYRILLIC"}, "bg": {"CYRILLIC"}, "sr": {"CYRILLIC", "LATIN"}, "el": {"GREEK"},
    "ar": {"ARABIC"}, "fa": {"ARABIC"}, "ur": {"ARABIC"}, "he": {"HEBREW"}, "hi": {"DEVANAGARI"}, "th": {"THAI"},
}  # fmt: skip
_IN_HAN = ("zh", "ja")
_LATIN = listed("en es fr de it pt nl sv da no nb pl cs ro hu tr id vi fi")
# What a reader would not tell apart at a glance in ten words, and py3langid's labels for dialects.
_KIN = [
    *map(listed, ("no nb nn da", "es gl an ext", "pt gl", "ca oc", "cs sk", "hr bs sr sl", "nl af", "id ms jv")),
    *map(listed, ("zh wuu yue", "ar arz ary", "en pcm", "de lb", "it vec lij", "fr wa gcf gcr", "ku sdh", "uz uzs")),
]
# English, which most texts are, has a way round the identifier: words that hardly another language has. It also lets
# a dish's foreign name pass that is joined in English ("spaghetti aglio e olio with peperoncino").
_ENGLISH = listed("the and of with that for it as this from by are be or your you has have was its")
_ENOUGH, _ENOUGH_SENTENCE = 0.15, 0.1  # share of the words
_LEAST = 5  # words: too little to tell a language by, below
_LEAST_SENTENCE = 8
_NAME = 100  # characters of a name, at most
_SURE, _ODDS = 0.3, 20  # probability of the other language, and how many times that of the one wanted
_FOREIGN = re.compile(r"[^\W\d_]+")


@lru_cache(maxsize=16384)
def _script(letter: str) -> str:
    """First word of the unicode name: LATIN, CJK, CYRILLIC, ..."""
    return unicodedata.name(letter, "?").split()[0].removesuffix("-SYMBOL")


@lru_cache(maxsize=1)
def _identifier():
    """py3langid's naive Bayes over byte n-grams, 140 languages (Lui and Baldwin 2012). 1 s and 120 MB, once."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language(text: str, code: str = "en", known: Iterable[str] = ()) -> Finding:
    """Fails when the text, or a whole sentence of it, is not in language `code` (BCP 47; the first part counts).

    First by script; then, from 5 words on (a sentence among others: 8), by likelihood under py3langid. Strings of
    `known` (the subject's name, its record) are not counted: a foreign name is no foreign text. Unknown codes are not
    judged, nor near relatives (Danish, Norwegian) told apart. Score: share of letters in a foreign script; where the
    identifier says it, the other language's probability.
    """
    code = code.lower().split("-")[0].split("_")[0]
    code = {"nb": "no", "iw": "he"}.get(code, code)
    wanted = _SCRIPTS.get(code) or ({"LATIN"} if code in _LATIN else None)
    known = list(known)
    foreign = 0.0
    if wanted and not (wanted == {"LATIN"} and text.isascii()):
        names = set()
        for k in known:
            if not k.isascii() or code in _SCRIPTS:
                names.update(_FOREIGN.findall(k))
        foreign, worst = _foreign(text, wanted, names, code)
        if worst:
            return Finding(GATE, False, foreign, f"not written in {code}", clip(worst))
    other = _other(text, code, known, _LEAST, _ENOUGH)
    if other:
        return Finding(GATE, False, other[1], f"reads as {other[0]}, not {code}", clip(text))
    found = sentences(text)
    for sentence in found if len(found) > 1 else ():
        other = _other(sentence, code, known, _LEAST_SENTENCE, _ENOUGH_SENTENCE)
        if other:
            return Finding(GATE, False, other[1], f"a sentence reads as {other[0]}, not {code}", clip(sentence))
    return Finding(GATE, True, foreign)


def _other(text: str, code: str, known: list[str], least: int, enough: float) -> tuple[str, float] | None:
    """Another language that the text is far likelier to be in, with its probability; again without `known` strings."""
    seq = words(text)
    if len(seq) < least or (code == "en" and sum(map(_ENGLISH.__contains__, seq)) >= enough * len(seq)):
        return None
    found = _likelier(text, code)
    if found is None:
        return None
    mine = tokens(text)
    keep = [True] * len(mine)
    for name in known:  # a long string is a text of its own, no name
        if len(name) <= _NAME:
            keep = [k and n for k, n in zip(keep, nameless([t[0] for t in mine], name))]
    if all(keep):
        return found
    rest = " ".join(text[t[1] : t[2]] for t, k in zip(mine, keep) if k)
    return _other(rest, code, [], least, enough)


def _likelier(text: str, code: str) -> tuple[str, float] | None:
    ranks = _identifier().rank(text)
    label, best = ranks[0]
    if label == code or label == "zxx" or best < _SURE:
        return None
    same = {code}.union(*(kin for kin in _KIN if code in kin))
    own = sum(p for label, p in ranks if label in same)
    if label in same or best < _ODDS * own or code not in dict(ranks):
        return None
    return label, round(best, 4)


def _foreign(text: str, wanted: set[str], names: set[str], code: str) -> tuple[float, str]:
    """Share of letters in other scripts, and the first sentence that mostly consists of them."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, " " * len(name)) if len(name) > 1 or not name.isascii() else text
    total = strange = 0
    worst = ""
    for sentence in sentences(text):
        letters = [c for c in sentence if c.isalpha()]
        alien = sum(_script(c) not in wanted for c in letters)
        if code == "zh":  # kana makes it Japanese
            alien += sum(c in "のはをがにでと" for c in letters) * 2
        total += len(letters)
        strange += alien
        # a Han character says as much as three letters: 推荐《Harry Potter》 is Chinese
        weight = len(letters) + 2 * sum(map(is_cjk, letters)) if code in _IN_HAN else len(letters)
        if alien >= 6 and alien > 0.6 * weight and not worst:
            worst = max(re.findall(r"\S+(?:\s\S+)*", sentence), key=len)  # no blanked name inside: verbatim
    share = round(min(1.0, strange / total), 4) if total else 0.0
    return share, worst
