"""Reading quantities: numbers with their units, dates, times of day; in digits, words and Chinese numerals."""

import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ..text import CJK, listed, stem, words


class Quantity(NamedTuple):
    """One number in a text, in base units (min, g, ml, °C, cm, km/h, GB; "" without unit).

    Units of their own: "decade" (80 for 1980s) and "clock" (minutes after midnight).
    """

    value: float  # in base units
    bare: float  # as written
    unit: str  # dimension
    start: int
    end: int
    scale: float = 1.0  # base units in one written unit; -1 for °F, which needs more than a factor
    word: bool = False  # written as a word
    joins: bool = False  # first end of a range with the next quantity
    more: bool = False  # "and a bit", 多
    key: str = ""  # of a record: the key that it stands under, where it is the whole value


_UNITS: dict[str, tuple[str, float, str]] = {  # dimension, factor to the base unit, spellings; longer spellings first
    "kmh": ("speed", 1, "km\\s?/\\s?h|kmh|kph|kilomet(?:re|er)s?\\s(?:per|an)\\shour|公里每小时"),
    "mph": ("speed", 1.609, "mph|miles?\\s(?:per|an)\\shour"),
    "mps": ("speed", 3.6, "m/s|met(?:re|er)s?\\sper\\ssecond|米每秒"), "knot": ("speed", 1.852, "knots?"),
    "mah": ("charge", 1, "m\\s?ah|毫安时|毫安"), "ah": ("charge", 1000, "ah"),
    "gb": ("data", 1, "gb|gigabytes?"), "tb": ("data", 1000, "tb|terabytes?"), "mb": ("data", 0.001, "mb|megabytes?"),
    "pixel": ("pixels", 1, "mpx?|megapixels?"),
    "euro": ("euro", 1, "€|euros?|eur"), "dollar": ("dollar", 1, "dollars?|usd"),
    "yuan": ("yuan", 1, "元|块钱|yuan|rmb"),
    "quarter": ("time", 15, "刻钟|刻鐘"),
    "second": ("time", 1 / 60, "seconds?|secs?|秒钟?"),
    "minute": ("time", 1, "minutes?|mins?|分钟|分鐘|分多钟|分(?=\\d+秒)"),
    "hour": ("time", 60, "hours?|hrs?|h|个?多?小时|個?多?小時|个?多?钟头"), "day": ("time", 1440, "days?|天"),
    "week": ("time", 10080, "weeks?|周|週"), "month": ("time", 43800, "months?"),
    "year": ("time", 525600, "years?|年"),
    "mg": ("mass", 0.001, "mg|milligrams?"), "kg": ("mass", 1000, "kgs?|kilos?|kilograms?|公斤|千克"),
    "g": ("mass", 1, "g|grams?|grammes?|克"),
    "ounce": ("mass", 28.35, "oz|ounces?"), "pound": ("mass", 453.6, "lbs?|pounds?"),
    "ml": ("volume", 1, "ml|millilit(?:re|er)s?|毫升"), "litre": ("volume", 1000, "l|lit(?:re|er)s?|升"),
    "cl": ("volume", 10, "cl"), "dl": ("volume", 100, "dl"), "cup": ("volume", 240, "cups?"),
    "tbsp": ("volume", 15, "tbsps?|tablespoons?|汤匙"), "tsp": ("volume", 5, "tsps?|teaspoons?|茶匙"),
    "pint": ("volume", 473, "pints?"), "quart": ("volume", 946, "quarts?"), "gallon": ("volume", 3785, "gallons?"),
    "celsius": ("heat", 1, "°\\s*c|℃|摄氏度|degrees?\\s(?:c|celsius|centigrade)|c"),
    "fahrenheit": ("heat", -1, "°\\s*f|℉|华氏度|degrees?\\s(?:f|fahrenheit)|f"), "degree": ("", 1, "°|degrees?|度"),
    "percent": ("percent", 1, "%|percent|per\\scent"), "kcal": ("energy", 1, "kcal|calories|cal"),
    "mm": ("length", 0.1, "mm|millimet(?:re|er)s?|毫米"), "cm": ("length", 1, "cm|centimet(?:re|er)s?|厘米|公分"),
    "inch": ("length", 2.54, "inch(?:es)?|[\"″]|英寸"), "km": ("length", 100000, "km|kilomet(?:re|er)s?|公里"),
    "metre": ("length", 100, "m|met(?:re|er)s?|米"),
    "mile": ("length", 160934, "miles?"), "foot": ("length", 30.48, "feet|ft"),
}  # fmt: skip
_SMALL = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_DECADES = {t[:-1] + "ies": 10 * i + 20 for i, t in enumerate(_TENS)}
_TIMES = {"dozen": 12, "hundred": 100, "thousand": 1000}
_WORDS = {w: i + 1 for i, w in enumerate(_SMALL)} | {w: 10 * i + 20 for i, w in enumerate(_TENS)} | _TIMES
_VULGAR = {"½": 0.5, "⅓": 1 / 3, "⅔": 2 / 3, "¼": 0.25, "¾": 0.75, "⅛": 0.125, "⅜": 0.375, "⅝": 0.625, "⅞": 0.875}
_V = "".join(_VULGAR)
_HAN_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_HAN_TIMES = {"十": 10, "百": 100, "千": 1000, "万": 10000}

_TWO = rf"(?:{'|'.join(_TENS)})(?:[- ](?:{'|'.join(_SMALL[:9])})\b)?"
_ONE = "|".join(sorted(_SMALL, key=len, reverse=True))
_WORD = rf"half[- ]a[- ]dozen\b|(?:(?:{_TWO}|{_ONE}|an?)[- ])?(?:{'|'.join(_TIMES)})\b|{_TWO}\b|(?:{_ONE})\b"
_UNIT = "|".join(f"(?P<{key}>{spelling})" for key, (_, _, spelling) in _UNITS.items())
_HAN_UNIT = "个?多?(?:分钟|分鐘|分多钟|刻钟|小时|小時|钟头|毫安|元|块钱|公斤|千克|克|毫升|公里|厘米|毫米|英寸)"
_PLUS = r"(?:\s+and\s+(?:an?\s+)?(?:half|quarter|third))"
_QUANTITY = re.compile(
    rf"""(?ix)
    (?= [\d{_V}{"".join(_HAN_DIGITS)}十百千万半] | \b[adefhnoqst] )  # nothing else begins one: most letters end here
    (?: (?: (?<![^\W{CJK}])(?<!\.) | (?<=\d[x×]) ) (?:
          (?P<date> (?:1\d|20)\d\d [-/] \d\d? [-/] \d\d? ) (?!\d)
        | (?P<clock> \d{{1,2}} (?: [:：]\d\d (?:\s?[ap]\.?m\b)? | \s?[ap]\.?m\b ) ) (?!\d)
        | (?P<number>
          \d+\s+\d+\s*[/⁄]\s*\d+ | \d+\s*[/⁄]\s*\d+ | \d*[{_V}]
          | \d{{1,3}}(?:,\d{{3}})+(?:\.\d+)? | (?!(?:1[5-9]|20)\d\d,)\d+,\d{{1,2}}(?!\d|\.\d) | \d+(?:\.\d+)? ) )
      | \b(?P<spoken> (?:half|quarter) \s (?:past|to) \s (?:{_ONE}|\d\d?) )\b
      | \b(?P<years> {"|".join(_DECADES)} )\b
      | \b(?P<part> half | three[- ]quarters | two[- ]thirds | an?\s+quarter | quarter | an?\s+third ) \s+
          (?:of\s+)? (?:an?\s+)? (?= (?:hour|minute|day|week|year|cup|pound|lit|kilo|mile|inch|cent|terab|gigab) )
      | \b(?P<single> an? ) \s+ (?= (?:hour|week|year|pound|kilo|lit(?:re|er))\b )
      | (?P<han> 半(?=个?(?:小时|小時|钟头)) | [{"".join(_HAN_DIGITS)}十百千万]+(?={_HAN_UNIT}) )
      | \b(?P<words> {_WORD} ) )
    (?P<plus>{_PLUS})?
    (?: (?P<decade>s)\b | (?P<ordinal>st|nd|rd|th)\b | [\s-]* [多余]? (?P<unit>{_UNIT}) (?![^\W\d_{CJK}]) )?
    (?P<plus2>{_PLUS})?
    (?P<more> [多余] | \s(?:and\s(?:a\s(?:bit|little)|more)|or\smore|plus)\b )?
    """
)
_DIGIT = re.compile(rf"[\d{_V}{''.join(_HAN_DIGITS)}十百千万半]")
_NUMERALS = frozenset(_WORDS) | frozenset(_DECADES) | {"half", "quarter", "quarters", "third", "thirds"}
_NUMERALS |= {"hour", "week", "year", "pound", "kilo", "litre", "liter"}  # after "a"
_RANGE = re.compile(r"\s*(?:-|–|—|~|to|or|至|到|x|×|by)\s*", re.IGNORECASE)
_HEAT = listed("high low max min heat oven temp temperature feel")


@lru_cache(maxsize=8192)
def quantities(text: str) -> tuple[Quantity, ...]:
    """Numbers with their units, in order: digits, fractions ("1 1/2", "½"), words ("half an hour", "a dozen"),
    ranges ("20 to 30 minutes": both ends get the unit), sums ("1 hour and 20 minutes": one value), times of day."""
    if not _DIGIT.search(text) and _NUMERALS.isdisjoint(words(text)):
        return ()
    found = [q for m in _QUANTITY.finditer(text) for q in _read(m)]
    for i in range(len(found) - 2, -1, -1):  # a unit belongs to both ends of its range
        a, b = found[i], found[i + 1]
        if not a.unit and b.unit and b.unit not in ("decade", "clock") and _RANGE.fullmatch(text, a.end, b.start):
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


def _read(m: re.Match) -> list[Quantity]:
    start, end = m.span()
    if m["date"]:  # a day, no range from year to day
        parts = [float(p) for p in re.split("[-/]", m["date"])]
        return [Quantity(p, p, "", start, m.end("date")) for p in parts]
    if m["clock"] or m["spoken"]:
        minutes = _clock((m["clock"] or m["spoken"]).lower())
        return [] if minutes is None else [Quantity(minutes, minutes / 60, "clock", start, end)]
    if m["years"]:
        value = float(_DECADES[m["years"].lower()])
        return [Quantity(value, value, "decade", start, end)]
    if m["number"]:
        bare = _digits(m["number"])
    elif m["part"]:
        part = m["part"].lower()
        bare = 0.5 if part == "half" else 1 / 3 if "third" in part else 0.25
        bare *= {"two": 2, "thr": 3}.get(part[:3], 1)
    elif m["han"]:
        bare = _han(m["han"])
    else:
        bare = 1.0 if m["single"] else _spelt(m["words"].lower())
    if bare is None or m["ordinal"] or not math.isfinite(bare):
        return []
    plus = (m["plus"] or "") + (m["plus2"] or "")
    bare += 0.5 if "half" in plus else 0.25 if "quarter" in plus else 1 / 3 if "third" in plus else 0
    more = bool(m["more"]) or "多" in m.group()
    if m["decade"]:
        return [Quantity(bare % 100, bare, "decade", start, end)]
    if not m["unit"]:
        return [Quantity(bare, bare, "", start, end, word=bool(m["words"]), more=more)]
    key = next(k for k in _UNITS if m[k])
    short = len(m["unit"]) == 1 and m["unit"].isascii() and m["unit"].isalpha()
    if short and (not m["number"] or re.search(r"\s-|-\s|\s\s", m.group())):  # "7 c" may be anything, "180 C" is heat
        return [Quantity(bare, bare, "", start, m.start("unit"), word=bool(m["words"]))]
    if key == "year" and bare >= 1000:  # 2019年: a year, no span of years
        return [Quantity(bare, bare, "", start, end)]
    unit, factor, _ = _UNITS[key]
    word = bool(m["words"] or m["single"] or m["part"])
    return [Quantity(_base(bare, unit, factor), bare, unit, start, end, factor, word, more=more)]


def _spelt(written: str) -> float:
    """ "twenty-five", "two hundred", "half a dozen"."""
    parts = re.split(r"[- ]", written)
    if parts[0] == "half":
        return 6.0
    if parts[-1] in _TIMES:
        return float((sum(_WORDS.get(p, 1) for p in parts[:-1]) or 1) * _TIMES[parts[-1]])
    return float(sum(_WORDS[p] for p in parts))


def _han(written: str) -> float:
    if written == "半":
        return 0.5
    total, digit = 0.0, None
    for c in written:
        if c in _HAN_DIGITS:
            digit = _HAN_DIGITS[c]
        elif c == "万":
            total, digit = (total + (digit or 0) or 1) * 10000, None
        else:
            total, digit = total + (1 if digit is None else digit) * _HAN_TIMES[c], None
    return total + (digit or 0)


def _clock(written: str) -> float | None:
    """Minutes after midnight."""
    if spoken := re.match(r"(half|quarter)\s(past|to)\s(\w+)", written):
        hour = float(spoken[3]) if spoken[3].isdigit() else _WORDS[spoken[3]]
        return hour * 60 + (30 if spoken[1] == "half" else 15) * (1 if spoken[2] == "past" else -1)
    hour, minute = (int(p) for p in (*re.findall(r"\d+", written), "0")[:2])
    if hour > 24 or minute > 59:
        return None
    late = re.search(r"([ap])\.?m", written)
    return (hour % 12 + 12 * (late[1] == "p") if late else hour) * 60.0 + minute


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


def record_quantities(record: Mapping[str, Any]) -> tuple[list[Quantity], dict[str, set[int]]]:
    """All quantities of a record (`minutes: 30` takes its unit from the key), and the lengths of its lists by key."""
    found: list[Quantity] = []
    counts: dict[str, set[int]] = {}
    for key, value in _leaves(record, ""):
        if isinstance(value, int) and key.endswith("#"):
            counts.setdefault(_noun(key[:-1]), set()).add(value)
            continue
        inside = quantities(f"{value:g}" if isinstance(value, float) else str(value))
        unit = _unit_of(key)
        for q in inside:
            if unit and not q.unit and not (unit[1] == 525600 and q.bare >= 1000):  # year: 1974 is no span of years
                q = q._replace(value=_base(q.bare, *unit), unit=unit[0], scale=unit[1])
            found.append(q if isinstance(value, str) else q._replace(key=_noun(key)))
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
def _noun(key: str) -> str:
    """What a key counts: the stem of its first word ("tracks")."""
    return stem(re.split(r"[^a-z]+", key.lower())[0])


@lru_cache(maxsize=512)
def _unit_of(key: str) -> tuple[str, float] | None:
    parts = re.split(r"[^a-z°%]+", key.lower())
    for part in parts:
        for unit, factor, spelling in _UNITS.values():
            if unit and len(part) > 1 and re.fullmatch(spelling, part):
                return unit, factor
    last = parts[-1]
    if len(parts) > 1 and len(last) == 1 and (last in "glmh" or last in "cf" and _HEAT & set(parts)):
        return next((u, f) for u, f, spelling in _UNITS.values() if last in spelling.split("|"))  # weight_g, high_c
    return None
