"""Wrong language: by script, and for languages of Latin script by their commonest words.

A first version: it tells apart what a reader tells at a glance, not Danish from Norwegian. A trained language
identifier was left out: the small ones come as pickles, the good ones weigh more than the rest of the gates.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from ..base import Finding
from ..text import clip, listed, sentences, words

GATE = "noise/language"

_SCRIPTS = {
    "zh": {"CJK"}, "ja": {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}, "ko": {"HANGUL", "CJK"},
    "ru": {"CYRILLIC"}, "uk": {"CYRILLIC"}, "bg": {"CYRILLIC"}, "sr": {"CYRILLIC", "LATIN"}, "el": {"GREEK"},
    "ar": {"ARABIC"}, "fa": {"ARABIC"}, "ur": {"ARABIC"}, "he": {"HEBREW"}, "hi": {"DEVANAGARI"}, "th": {"THAI"},
}  # fmt: skip
_LATIN = listed("en es fr de it pt nl sv da no nb pl cs ro hu tr id vi fi")
_COMMON = {
    "en": "the and of to in is a with that for it as this from by are be or an on at its your you has have was",
    "es": "el la los las de y en que un una con por para es se del al como su más este esta lo pero muy",
    "fr": "le la les de des et en un une du que est dans pour avec sur au par ce cette qui plus son aux très",
    "de": "der die das und in den von zu mit ist ein eine auf für im dem nicht des sich auch als aus wird sehr",
    "it": "il la di e che in un una per con del della è i le gli al da si come più questo sono nel alla molto",
    "pt": "o a os as de e em um uma que com para do da no na é por se mais como dos das ao seu muito",
    "nl": "de het een en van in is dat op te met voor zijn niet aan er om ook als bij door naar zeer deze",
    "sv": "och att det som en på är av för med den till inte ett har om var från eller mycket kan",
}
_COMMON = {code: listed(text) for code, text in _COMMON.items()}
_FOREIGN = re.compile(r"[^\W\d_]+")


@lru_cache(maxsize=16384)
def _script(letter: str) -> str:
    """First word of the unicode name: LATIN, CJK, CYRILLIC, ..."""
    return unicodedata.name(letter, "?").split()[0].removesuffix("-SYMBOL")


def language(text: str, code: str = "en", known: Iterable[str] = ()) -> Finding:
    """Fails when the text, or a whole sentence of it, is not in language `code` (BCP 47; the first part counts).

    Words of `known` strings (the subject's name, its record) are not counted: a foreign name is no foreign text.
    Unknown codes are not judged. Score: share of letters in a foreign script.
    """
    code = code.lower().split("-")[0].split("_")[0]
    wanted = _SCRIPTS.get(code) or ({"LATIN"} if code in _LATIN else None)
    if wanted is None:
        return Finding(GATE, True)
    if wanted == {"LATIN"} and text.isascii():
        foreign = 0.0
    else:
        names = set()
        for k in known:
            if not k.isascii() or code in _SCRIPTS:
                names.update(_FOREIGN.findall(k))
        foreign, worst = _foreign(text, wanted, names, code)
        if worst:
            return Finding(GATE, False, foreign, f"not written in {code}", clip(worst))
    other = _by_common_words(text, code) if code in _COMMON else None
    if other:
        return Finding(GATE, False, 1.0, f"reads as {other}, not {code}", clip(text))
    return Finding(GATE, True, foreign)


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
        if alien >= 6 and alien > 0.6 * len(letters) and not worst:
            worst = max(re.findall(r"\S+(?:\s\S+)*", sentence), key=len)  # no blanked name inside: verbatim
    share = round(min(1.0, strange / total), 4) if total else 0.0
    return share, worst


def _by_common_words(text: str, code: str) -> str | None:
    """Another language whose commonest words fill the text far better than those of `code`."""
    seq = words(text)
    if len(seq) < 6:
        return None
    own = sum(map(_COMMON[code].__contains__, seq))
    if own >= len(seq) * 0.2:
        return None
    for other, common in _COMMON.items():
        hits = sum(map(common.__contains__, seq)) if other != code else 0
        if hits >= 3 and hits >= len(seq) * 0.2 and hits > 2 * own:
            return other
    return None
