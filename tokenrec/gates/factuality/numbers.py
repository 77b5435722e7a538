"""Numbers in a closed-world text must follow from the record: quantities, times, temperatures, counts."""

import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ..base import Finding
from ..text import clip, words

GATE = "factuality/numbers"


class Quantity(NamedTuple):
    """One number in a text, in base units (min, g, ml, °C, cm; "" without unit; "decade" for 1980s)."""

    value: float  # in base units
    bare: float  # as written
    unit: str  # dimension
    start: int
    end: int
    scale: float = 1.0  # base units in one written unit; -1 for °F, which needs more than a factor
    word: bool = False  # written as a word
    joins: bool = False  # first end of a range with the next quantity


_UNITS: dict[str, tuple[str, float, str]] = {  # dimension, factor to the base unit, spellings
    "second": ("time", 1 / 60, "seconds?|secs?|秒钟?"), "minute": ("time", 1, "minutes?|mins?|分钟|分鐘"),
    "hour": ("time", 60, "hours?|hrs?|h|个?小时|個?小時"), "day": ("time", 1440, "days?|天"),
    "week": ("time", 10080, "weeks?|周|週"), "month": ("time", 43800, "months?"), "year": ("time", 525600, "years?"),
    "mg": ("mass", 0.001, "mg|milligrams?"), "kg": ("mass", 1000, "kgs?|kilos?|kilograms?|公斤|千克"),
    "g": ("mass", 1, "g|grams?|grammes?|克"),
    "ounce": ("mass", 28.35, "oz|ounces?"), "pound": ("mass", 453.6, "lbs?|pounds?"),
    "ml": ("volume", 1, "ml|millilit(?:re|er)s?|毫升"), "litre": ("volume", 1000, "l|lit(?:re|er)s?|升"),
    "cl": ("volume", 10, "cl"), "dl": ("volume", 100, "dl"), "cup": ("volume", 240, "cups?"),
    "tbsp": ("volume", 15, "tbsps?|tablespoons?|汤匙"), "tsp": ("volume", 5, "tsps?|teaspoons?|茶匙"),
    "pint": ("volume", 473, "pints?"), "quart": ("volume", 946, "quarts?"), "gallon": ("volume", 3785, "gallons?"),
    "celsius": ("heat", 1, "°\\s*c|℃|degrees?\\s(?:c|celsius|centigrade)|c"),
    "fahrenheit": ("heat", -1, "°\\s*f|℉|degrees?\\s(?:f|fahrenheit)|f"), "degree": ("", 1, "°|degrees?|度"),
    "percent": ("percent", 1, "%|percent|per\\scent"), "kcal": ("energy", 1, "kcal|calories|cal"),
    "mm": ("length", 0.1, "mm|millimet(?:re|er)s?"), "cm": ("length", 1, "cm|centimet(?:re|er)s?"),
    "inch": ("length", 2.54, "inch(?:es)?|[\"″]"), "metre": ("length", 100, "m|met(?:re|er)s?"),
    "km": ("length", 100000, "km|kilomet(?:re|er)s?"), "mile": ("length", 160934, "miles?"),
    "foot": ("length", 30.48, "feet|ft"),
}  # fmt: skip
_SMALL = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = (
    {w: i + 1 for i, w in enumerate(_SMALL)}
    | {w: 10 * i + 20 for i, w in enumerate(_TENS)}
    | {"dozen": 12, "hundred": 100}
)
_VULGAR = {"½": 0.5, "⅓": 1 / 3, "⅔": 2 / 3, "¼": 0.25, "¾": 0.75, "⅛": 0.125, "⅜": 0.375, "⅝": 0.625, "⅞": 0.875}
_V = "".join(_VULGAR)

_WORD = (
    rf"(?:{'|'.join(_TENS)})[- ](?:{'|'.join(_SMALL[:9])})\b|(?:{'|'.join(sorted(_WORDS, key=len, reverse=True))})\b"
)
_UNIT = "|".join(f"(?P<{key}>{spelling})" for key, (_, _, spelling) in _UNITS.items())
_TIME = "seconds?|minutes?|hours?|days?|weeks?|months?|years?"
_PLUS = r"(?:\s+and\s+(?:an?\s+)?(?:half|quarter|third))"
_QUANTITY = re.compile(
    rf"""(?ix)
    (?: (?: (?<![\w.]) | (?<=\d[x×]) ) (?P<number>
          \d+\s+\d+\s*[/⁄]\s*\d+ | \d+\s*[/⁄]\s*\d+ | \d*[{_V}]
          | \d{{1,3}}(?:,\d{{3}})+(?:\.\d+)? | \d+,\d{{1,2}}(?!\d) | \d+(?:\.\d+)? )
      | \b(?P<part> half | three[- ]quarters | an?\s+quarter | quarter | an?\s+third ) \s+ (?:of\s+)? (?:an?\s+)?
          (?= (?:hour|minute|day|week|year|cup|pound|lit|dozen|kilo) )
      | \b(?P<single> an? ) \s+ (?= (?:hour|week|year|pound|kilo|lit(?:re|er))\b )
      | \b(?P<words> {_WORD} ) )
    (?P<plus>{_PLUS})?
    (?: (?P<decade>s)\b | (?P<ordinal>st|nd|rd|th)\b | [\s-]* (?P<unit>{_UNIT}) (?![^\W\d_]) )?
    (?P<plus2>{_PLUS})?
    """
)
_DIGIT = re.compile(rf"[\d{_V}]")
_NUMERALS = frozenset(_WORDS) | {"half", "quarter", "quarters", "third"}
_NUMERALS |= {"hour", "week", "year", "pound", "kilo", "litre", "liter"}  # after "a"
_RANGE = re.compile(r"\s*(?:-|–|—|~|to|or|至|到|x|×|by)\s*", re.IGNORECASE)
_ABOUT = re.compile(
    r"(?:about|around|roughly|nearly|almost|approximately|some|circa|just over|just under|~|大约|约)\s*$", re.IGNORECASE
)
_BELOW = re.compile(
    r"(?:under|less than|fewer than|within|up to|no more than|at most|below|不到|至多)\s*(?:an?\s*)?$", re.IGNORECASE
)
_ABOVE = re.compile(r"(?:over|more than|at least|no less than|above|from|minimum of|超过|至少)\s*$", re.IGNORECASE)


@lru_cache(maxsize=8192)
def quantities(text: str) -> tuple[Quantity, ...]:
    """Numbers with their units, in order: digits, fractions ("1 1/2", "½"), words ("half an hour", "a dozen"),
    ranges ("20 to 30 minutes": both ends get the unit), sums ("1 hour and 20 minutes": one value)."""
    if not _DIGIT.search(text) and _NUMERALS.isdisjoint(words(text)):
        return ()
    found = [q for m in _QUANTITY.finditer(text) if (q := _read(m))]
    for i in range(len(found) - 2, -1, -1):  # a unit belongs to both ends of its range
        a, b = found[i], found[i + 1]
        if not a.unit and b.unit and b.unit != "decade" and _RANGE.fullmatch(text, a.end, b.start):
            found[i] = a._replace(value=_base(a.bare, b.unit, b.scale), unit=b.unit, scale=b.scale)
        if found[i].unit == b.unit and re.fullmatch(r"\s*(?:-|–|—|~|to|至|到)\s*", text[a.end : b.start]):
            found[i] = found[i]._replace(joins=True)
    merged: list[Quantity] = []
    for q in found:
        last = merged[-1] if merged else None
        joined = (
            last
            and last.unit == q.unit == "time"
            and q.value < last.value
            and text[last.end : q.start].strip() in ("", "and", ",")
        )
        if joined:
            merged[-1] = last._replace(value=last.value + q.value, end=q.end)
        else:
            merged.append(q)
    return tuple(merged)


def _base(bare: float, unit: str, factor: float) -> float:
    return (bare - 32) / 1.8 if unit == "heat" and factor < 0 else bare * factor


def _read(m: re.Match) -> Quantity | None:
    if m["number"]:
        bare = _digits(m["number"])
    elif m["part"]:
        part = m["part"].lower()
        bare = 0.75 if part.startswith("three") else 0.5 if part == "half" else 1 / 3 if "third" in part else 0.25
    elif m["single"]:
        bare = 1.0
    else:
        bare = float(sum(_WORDS[w] for w in re.split(r"[- ]", m["words"].lower())))
    if bare is None or m["ordinal"] or not math.isfinite(bare):
        return None
    plus = (m["plus"] or "") + (m["plus2"] or "")
    bare += 0.5 if "half" in plus else 0.25 if "quarter" in plus else 1 / 3 if "third" in plus else 0
    end = m.end()
    if m["decade"]:
        return Quantity(bare % 100, bare, "decade", m.start(), end)
    if not m["unit"]:
        return Quantity(bare, bare, "", m.start(), end, word=bool(m["words"]))
    key = next(k for k in _UNITS if m[k])
    short = len(m["unit"]) == 1 and m["unit"].isalpha()
    if short and (not m["number"] or re.search(r"\s-|-\s|\s\s", m.group())):  # "7 c" may be anything, "180 C" is heat
        return Quantity(bare, bare, "", m.start(), m.start("unit"), word=bool(m["words"]))
    unit, factor, _ = _UNITS[key]
    word = bool(m["words"] or m["single"] or m["part"])
    return Quantity(_base(bare, unit, factor), bare, unit, m.start(), end, factor, word)


def _digits(written: str) -> float | None:
    try:
        if written[-1] in _VULGAR:
            return float(written[:-1] or 0) + _VULGAR[written[-1]]
        parts = re.split(r"\s*[/⁄]\s*", written)
        if len(parts) == 2:
            whole, _, top = parts[0].rpartition(" ")
            return float(whole.strip() or 0) + float(top) / float(parts[1])
        if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", written):
            return float(written.replace(",", ""))
        return float(written.replace(",", "."))
    except (ValueError, ZeroDivisionError):
        return None


def record_quantities(record: Mapping[str, Any]) -> tuple[list[Quantity], set[int]]:
    """All quantities of a record (`minutes: 30` takes its unit from the key), and the lengths of its lists."""
    found: list[Quantity] = []
    counts: set[int] = set()
    for key, value in _leaves(record, ""):
        if isinstance(value, int) and key.endswith("#"):
            counts.add(value)
            continue
        inside = quantities(f"{value:g}" if isinstance(value, float) else str(value))
        unit = _unit_of(key)
        for q in inside:
            if unit and not q.unit:
                q = q._replace(value=_base(q.bare, *unit), unit=unit[0], scale=unit[1])
            found.append(q)
    return found, counts


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, str(name))
    elif isinstance(value, (list, tuple)):
        yield f"{key}#", len(value)
        for inner in value:
            yield from _leaves(inner, key)
    elif value is not None and not isinstance(value, bool):
        yield key, value


@lru_cache(maxsize=512)
def _unit_of(key: str) -> tuple[str, float] | None:
    for part in re.split(r"[^a-z°%]+", key.lower()):
        for unit, factor, spelling in _UNITS.values():
            if unit and len(part) > 1 and re.fullmatch(spelling, part):
                return unit, factor
    return None


def numbers(text: str, record: Mapping[str, Any]) -> Finding:
    """Fails on a number that does not follow from the record. Score: share of the judged numbers that do not.

    Equal after conversion (2%; between unit systems 6%; 15% after "about"), inside a range of the record, a true bound
    ("under an hour"), or the length of a list counts as following. Number words up to three without a unit
    ("one-pot", "two ways") and ordinals are not judged.
    """
    claims = [q for q in quantities(text) if q.unit or not (q.word and q.bare <= 3)]
    if not claims:
        return Finding(GATE, True)
    known, counts = record_quantities(record)
    wrong = [q for q in claims if not _follows(q, text, known, counts)]
    score = round(len(wrong) / len(claims), 4)
    if not wrong:
        return Finding(GATE, True, score)
    quote = clip(text[wrong[0].start : wrong[0].end].strip())
    return Finding(GATE, False, score, f"{len(wrong)} of {len(claims)} numbers do not follow from the record", quote)


def _follows(claim: Quantity, text: str, known: list[Quantity], counts: set[int]) -> bool:
    before = text[max(0, claim.start - 24) : claim.start]
    about, below, above = bool(_ABOUT.search(before)), bool(_BELOW.search(before)), bool(_ABOVE.search(before))
    if not claim.unit and claim.bare in counts:
        return True
    if below:  # "in under an hour" speaks of the whole, so of the largest
        largest = max((q.value for q in known if q.unit == claim.unit), default=math.inf)
        return largest <= claim.value <= 2.5 * largest
    for i, q in enumerate(known):
        if claim.unit and q.unit and claim.unit != q.unit:
            continue
        pairs = [(claim.value, q.value)] if claim.unit == q.unit else [(claim.bare, q.bare), (claim.value, q.value)]
        for mine, theirs in pairs:
            slack = 0.15 if about else 0.06 if _systems(claim, q) else 0.02
            if claim.unit == "heat":
                if abs(mine - theirs) <= (6 if about or _systems(claim, q) else 1):
                    return True
            elif abs(mine - theirs) <= slack * max(abs(theirs), 1e-9):
                return True
            if above and mine <= theirs <= 2.5 * mine:
                return True
        if (
            q.joins
            and i + 1 < len(known)
            and min(q.value, known[i + 1].value) <= claim.value <= max(q.value, known[i + 1].value)
        ):
            return True
    return False


def _systems(a: Quantity, b: Quantity) -> bool:
    """Written in different units, so rounding is to be expected (1 cup for 250 ml)."""
    return a.unit in ("mass", "volume", "length", "heat") and a.scale != b.scale
