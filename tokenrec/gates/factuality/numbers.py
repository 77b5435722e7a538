"""Numbers in a closed-world text must follow from the record: quantities, times, temperatures, counts."""

import re
from collections.abc import Mapping
from typing import Any

from ..base import Finding
from ..text import clip, stem
from .dates import borne_out
from .quantities import Quantity, quantities, record_quantities

GATE = "factuality/numbers"

_ABOUT = re.compile(
    r"(?:about|around|roughly|nearly|almost|approximately|some|circa|just over|just under|close to|~|大约|约|近|将近)"
    r"\s*$",
    re.IGNORECASE,
)
_SO = re.compile(r"\s*(?:or so\b|-?ish\b|左右|上下)", re.IGNORECASE)
_BELOW = re.compile(
    r"(?:under|less than|fewer than|within|up to|no more than|at most|below|不到|至多)\s*(?:an?\s*)?$", re.IGNORECASE
)
_BARELY = re.compile(
    r"(?:just|a little|slightly|barely|not quite)\s+(?:under|below|less than)\s*(?:an?\s*)?$", re.IGNORECASE
)
_ABOVE = re.compile(
    r"(?:(?<!spread )over|more than|at least|no less than|above|from|minimum of|beyond|超过|至少)\s*(?:an?\s*)?$",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"\b(?:before|by|until|till)\s*$", re.IGNORECASE)
_AFTER = re.compile(r"\b(?:after|past|from|since)\s*$", re.IGNORECASE)
_AT = re.compile(r"\b(?:at|by|before|after|until|till|past|from|around|about)\s*$", re.IGNORECASE)
_SOME_OF = re.compile(r"\b(?:first|last|final|next|other|another|of (?:the|its|their))\s*$", re.IGNORECASE)
_NOUN = re.compile(r"[\s-]*([a-z]+)", re.IGNORECASE)


def numbers(text: str, record: Mapping[str, Any]) -> Finding:
    """Fails on a number that does not follow from the record. Score: share of the judged numbers that do not.

    Equal after conversion (2%; between unit systems 6%; 15% after "about"; years exactly), inside a range of the
    record, a true bound ("under an hour"), or the length of a list counts as following. A count ("12 tracks") must be
    the one that the record has under that word, where it has one. Number words up to three without a unit ("one-pot",
    "two ways") and ordinals are not judged.
    """
    claims = [q for q in quantities(text) if q.unit or not (q.word and q.bare <= 3)]
    if not claims:
        return Finding(GATE, True)
    dated = borne_out(text, record)
    known, counts = record_quantities(record)
    wrong = [
        q for q in claims
        if not any(start <= q.start < end for start, end in dated) and not _follows(q, text, known, counts)
    ]  # fmt: skip
    score = round(len(wrong) / len(claims), 4)
    if not wrong:
        return Finding(GATE, True, score)
    quote = clip(text[wrong[0].start : wrong[0].end].strip())
    return Finding(GATE, False, score, f"{len(wrong)} of {len(claims)} numbers do not follow from the record", quote)


def _follows(claim: Quantity, text: str, known: list[Quantity], counts: Mapping[str, set[int]]) -> bool:
    before = text[max(0, claim.start - 24) : claim.start]
    if claim.unit == "clock":
        return any(_same_time(claim.value, q.value, before) for q in known if q.unit == "clock")
    if claim.unit == "decade":
        return any(q.bare % 100 // 10 * 10 == claim.value for q in known if q.unit == "decade" or _is_year(q))
    if not claim.unit:
        noun = _NOUN.match(text, claim.end)
        noun = stem(noun[1].lower()) if noun else ""
        own = [q for q in known if q.key == noun] if noun else []
        if own and _SOME_OF.search(before):  # "the first five tracks" of eleven
            return any(claim.bare <= q.bare for q in own)
        if own or noun in counts:
            known, counts = own, {noun: counts.get(noun, set())}
        if any(claim.bare in lengths for lengths in counts.values()):
            return True
    about = bool(_ABOUT.search(before) or _SO.match(text, claim.end))
    if _BELOW.search(before):
        return _is_below(claim, known, bool(_BARELY.search(before)))
    if any(q.value == claim.value and q.unit == claim.unit for q in known):
        return True  # nearly always: the rest is dear
    above = claim.more or bool(_ABOVE.search(before))
    for i, q in enumerate(known):
        if _equal(claim, q, about) or above and _is_above(claim, q):
            return True
        if q.unit == "clock" and _is_hour(claim, before) and _apart(60 * claim.bare, q.value) <= 30:
            return True
        if q.joins and i + 1 < len(known) and claim.unit in (q.unit, ""):
            low, high = sorted((q.value, known[i + 1].value))
            if low <= claim.value <= high:
                return True
    return False


def _is_hour(claim: Quantity, before: str) -> bool:
    """ "Just before eight"."""
    return not claim.unit and claim.bare <= 24 and bool(_AT.search(before))


def _equal(claim: Quantity, q: Quantity, about: bool) -> bool:
    if claim.unit == "time" and q.unit == "clock":  # "4:12" may be minutes and seconds
        return any(abs(claim.value - theirs) <= 0.15 * theirs for theirs in (q.value, q.value / 60))
    if claim.unit and q.unit and claim.unit != q.unit or q.unit == "clock":
        return False
    if _is_year(claim) and _is_year(q):
        return abs(claim.bare - q.bare) <= (2 if about else 0)
    slack = 0.15 if about else 0.06 if _systems(claim, q) else 0.02
    pairs = [(claim.value, q.value)] if claim.unit == q.unit else [(claim.bare, q.bare)]
    if claim.unit != q.unit and not _is_year(q):  # "an hour and a half" of a record that says 90
        pairs.append((claim.value, q.value))
    for mine, theirs in pairs:
        if claim.unit == "heat":
            if abs(mine - theirs) <= (6 if about else 3 if _systems(claim, q) else 1):
                return True
        elif abs(mine - theirs) <= slack * max(abs(theirs), 1e-9):
            return True
    return False


def _is_below(claim: Quantity, known: list[Quantity], barely: bool) -> bool:
    """ "In under an hour" speaks of the whole, so of the largest; "just under" of whatever is that long."""
    same = [q.value for q in known if q.unit == claim.unit]
    same = same or [q.bare * claim.scale for q in known if not q.unit]  # a record may leave the unit out
    if barely or not claim.unit:
        return any(0.75 * claim.value <= v <= claim.value for v in same)
    return bool(same) and max(same) <= claim.value <= 2.5 * max(same)


def _is_above(claim: Quantity, q: Quantity) -> bool:
    if _is_year(claim):  # "from 2006" is no lower bound
        return False
    if claim.unit and not q.unit:
        return claim.bare <= q.bare <= 2.5 * claim.bare
    return claim.unit == q.unit and claim.value <= q.value <= 2.5 * claim.value


def _is_year(q: Quantity) -> bool:
    return not q.unit and not q.word and 1500 <= q.bare <= 2100 and q.bare == int(q.bare) and q.end - q.start >= 4


def _same_time(mine: float, theirs: float, before: str) -> bool:
    if _BEFORE.search(before):
        return (mine - theirs) % 720 <= 60
    if _AFTER.search(before):
        return (theirs - mine) % 720 <= 60
    return _apart(mine, theirs) <= (20 if _ABOUT.search(before) else 0)


def _apart(a: float, b: float) -> float:
    """Minutes between two times of day; on a clock of twelve hours when the first may be one."""
    around = 720 if a <= 720 else 1440
    return min((a - b) % around, (b - a) % around)


def _systems(a: Quantity, b: Quantity) -> bool:
    """Written in different units, so rounding is to be expected (1 cup for 250 ml)."""
    return a.unit in ("mass", "volume", "length", "heat", "speed", "data") and a.scale != b.scale
