"""How much a request allows at the most: "under 30 minutes", "an hour tops", "30-45 min", "no more than 5 ingredients".

Every time that is named is a limit ("I only have 20 minutes"), unless it is said to be the least; a number of anything
else is one where the request says so. What no field of the items tells is handed back as not kept.
"""

import re
import unicodedata
from collections.abc import Iterable

from tokenrec.serve.limits import Limit

_ONES = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
         "eleven": 11, "twelve": 12}  # fmt: skip
_TENS = {"fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60, "ninety": 90}
_MIN, _HOUR = r"[\s-]*(?:minutes?|mins?|m)(?![a-z])", r"[\s-]*(?:hours?|hrs?|h)(?![a-z])"
_SPELT = re.compile(
    rf"\b(?:({'|'.join(_TENS)})[ -]({'|'.join([*_ONES][:9])})|({'|'.join([*_TENS, *_ONES])}))\b"
    rf"(?=(?:\s+(?:to|or|and)\s+\w+)?(?:\s+and\s+a\s+half)?(?:{_MIN}|{_HOUR})|\s+[a-z]+\s+(?:or|max|tops|at most)\b)"
    rf"|(?:(?<= than )|(?<= most )|(?<=up to )|(?<=under ))({'|'.join([*_TENS, *_ONES])})\b",
    re.I)  # fmt: skip
_TIME = re.compile(
    rf"(?<![\w.:⁄/])(?:(?:(?P<half>half|1\s*[/⁄]\s*2)|(?P<quarters>a|three|3|1)(?:\s+quarters?(?:\s+of)?|\s*[/⁄]\s*4))"
    rf"(?:\s+an)?{_HOUR}|(?P<clock>\d+):(?P<of>\d\d){_HOUR}"
    r"|(?P<hours>\d+(?:[.,]\d+)?|an?|a couple of|a few|(?=hours?\s+and\s+a\s+half))"
    rf"(?P<more>\s+and\s+a\s+half|\s+1\s*[/⁄]\s*2)?{_HOUR}"
    rf"(?:(?P<too>\s+and\s+a\s+half)|(?P<past>\d\d)(?!\d)|(?:\s+and)?\s*(?P<rest>\d+){_MIN})?"
    rf"|(?P<minutes>\d+(?:\.\d+)?){_MIN})",
    re.I)  # fmt: skip
_MINUTES = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?) minutes")
_RANGE = re.compile(  # "30 to 45 minutes": the upper end
    r"(?:\b(?:between|from)\s+)?(?<![\w.])\d+(?:\.\d+)?(?: minutes)?\s*(?:[-–—~]|\bto\b|\band\b|\bor\b)\s*"
    r"(?=\d+(?:\.\d+)? minutes)",
    re.I)  # fmt: skip
_NOT = r"(?:\b(?:no|not|never|nothing|none|cannot)|\w+n['’]?t)\b"
_LESS = r"(?:(?:under|below|less than|fewer than|at (?:the )?most|up to|within|max(?:imum)?(?: of)?)\b\.?|[<≤≦]=?)"
_MORE = r"(?:over|above|beyond|more than|longer than|exceed(?:s|ing)?|upwards of)\b"
_LEAST = r"(?:\b(?:at least|min(?:imum)?(?: of)?)\b\.?|[>≥≧]=?)"
_ABOUT = r"(?:\s*\b(?:about|around|roughly|like|the|a|an|of)\b)*\s*$"
_AROUND = re.compile(  # words around a time that are no wish either
    rf"(?:(?:{_NOT}\s+(?:\w+\s+)?(?:{_MORE}|under\b|below\b|less than\b)|{_LESS}|{_LEAST}|\b{_MORE}|"
    r"(?:\b(?:in|for|about|around|roughly|only|just|takes?|taking|time|ready|done|have|got|i|i've|the|a|to|is|of|or)\b)|[:~])\s*)+$",
    re.I)  # fmt: skip
_OR_LESS = re.compile(r"\s*(?:or (?:less|fewer|under|so|below)|max(?:imum)?|tops|at (?:the )?most)\b\.?", re.I)
_OR_MORE = re.compile(r"\s*(?:(?:or (?:more|longer|over)|at least|min(?:imum)?|plus)\b|\+)", re.I)
_OTHER = re.compile(
    r"(?P<least>(?<!no )(?<!not )\b(?:at least|more than|minimum(?: of)?)\s+(?:[$€£]\s*)?\d+(?:\.\d+)?(?:\s*[a-z]+)?)"
    rf"|(?:\b(?:in|within|for)\s+)?(?<!\w)(?:{_LESS}|no more than|not more than)\s*(?P<money>[$€£]\s*)?"
    r"(?P<n>\d+(?:\.\d+)?)\s*(?P<unit>[a-z]+|[$€£])?(?:\s+or less)?"
    r"|(?<![\w.])(?P<n2>\d+(?:\.\d+)?)\s+(?P<unit2>[a-z]+)\s+(?:or less|or fewer|or under|max(?:imum)?|tops|at most)\b",
    re.I)  # fmt: skip


def amounts(request: str, numbers: Iterable[str]) -> tuple[str, list[Limit], list[str]]:
    """(the request without what was read, its limits on number fields, what it says that no field can keep)."""
    numbers, limits, unkept = list(numbers), [], []
    field = next((n for n in numbers if n.lower().startswith(("minute", "time"))), None)
    text = _SPELT.sub(_digits, re.sub("[¼½¾]", lambda m: f" {unicodedata.normalize('NFKC', m[0])}", request))
    text = _RANGE.sub("", _TIME.sub(_as_minutes, text))
    kept, at = [], 0
    for match in _MINUTES.finditer(text):
        before, after = text[at : match.start()], text[match.end() :]
        around, behind = _AROUND.search(before), _OR_LESS.match(after) or _OR_MORE.match(after)
        end = match.end() + (behind.end() if behind else 0)
        start = at + around.start() if around else match.start()
        said = " ".join(text[start:end].split())
        if _is_least(re.split(r"[,.;!?]", before)[-1], after):
            unkept.append(said)
        elif field:
            limits.append(Limit("at_most", field, said, most=float(match[1])))
        else:
            unkept.append(said)
        kept += [text[at:start], " "]
        at = end
    text = "".join(kept) + text[at:]

    def other(match: re.Match) -> str:
        limit = None if match["least"] else _of_field(match, numbers)
        limits.append(limit) if limit else unkept.append(" ".join(match[0].split()))
        return " "

    return _OTHER.sub(other, text), limits, unkept


def _digits(match: re.Match) -> str:
    if match[1]:
        return str(_TENS[match[1].lower()] + _ONES[match[2].lower()])
    return str((_TENS | _ONES)[(match[3] or match[4]).lower()])


def _as_minutes(match: re.Match) -> str:
    if match["minutes"]:
        return f"{float(match['minutes']):g} minutes"
    if match["half"]:
        return "30 minutes"
    if match["quarters"]:
        return "15 minutes" if match["quarters"].lower() in ("a", "1") else "45 minutes"
    if match["clock"]:
        return f"{60 * int(match['clock']) + int(match['of'])} minutes"
    said = match["hours"].lower().replace(",", ".")
    hours = {"a": 1.0, "an": 1.0, "a couple of": 2.0, "a few": 3.0, "": 1.0}.get(said) or float(said)
    hours += 0.5 * bool(match["more"] or match["too"])
    return f"{60 * hours + float(match['past'] or match['rest'] or 0):g} minutes"


def _is_least(before: str, after: str) -> bool:
    """Whether a time is the least that is wanted: "at least", "more than" and not "no more than", "not under"."""
    if re.search(_LEAST + _ABOUT, before, re.I) or _OR_MORE.match(after):
        return True
    if re.search(rf"\b{_MORE}{_ABOUT}", before, re.I):
        return not re.search(_NOT, before, re.I)
    return bool(re.search(rf"{_NOT}\s+(?:be\s+|take\s+)?(?:under|below|less than){_ABOUT}", before, re.I))


def _of_field(match: re.Match, numbers: list[str]) -> Limit | None:
    unit = (match["unit"] or match["unit2"] or "").lower()
    if match["money"] or unit in "$€£" and unit:
        name = next((n for n in numbers if n.lower() in ("price", "cost")), None)
    else:
        name = next((n for n in numbers if n.lower() in (unit, f"{unit}s", unit.removesuffix("s"))), None)
    return Limit("at_most", name, match[0].strip(), most=float(match["n"] or match["n2"])) if name else None
