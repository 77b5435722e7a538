"""Dates, weekdays and times of day that a text names, and which of a record's dates they mean."""

import datetime
import re
from typing import Any, NamedTuple

from ..text import strings

_SHORT = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: i + 1 for i, name in enumerate(_SHORT)}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_FORMS = [
    re.compile(r"\b(?P<year>[12]\d{3})-(?P<m>\d{2})(?:-(?P<day>\d{2}))?(?!\d)"),
    re.compile(rf"\b{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(?P<year>[12]\d{{3}})\b)?", re.I),
    re.compile(rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}(?:,?\s+(?P<year>[12]\d{{3}})\b)?", re.I),
    re.compile(rf"\b{_MONTH}(?:\s+of)?,?\s+(?P<year>[12]\d{{3}})\b", re.I),
    re.compile(rf"\b(?!may\b){_MONTH}", re.I),
    re.compile(r"(?<![\w.,-])(?P<year>1[5-9]\d\d|20\d\d)(?![\w-]|[.,]\d)"),
]
_ANY = re.compile(rf"[12]\d{{3}}|{'|'.join(_SHORT)}", re.I)  # no date is without
_YEAR = re.compile(r"[12]\d{3}")
_WEEKDAY = re.compile(r"\b((?:mon|tues|wednes|thurs|fri|satur|sun)day)s?\b", re.I)
_CLOCK = re.compile(r"\b(\d{1,2}):(\d{2})(?::\d{2})?\s*([ap])?\.?m?\b|\b(\d{1,2})\s*([ap])\.?m\b", re.I)


class Date(NamedTuple):
    """A date as far as it is named (0: not named), and its place in the text."""

    year: int
    month: int
    day: int
    start: int
    end: int

    @property
    def known(self) -> tuple[int, int, int]:
        return self.year, self.month, self.day


def dates(text: str) -> list[Date]:
    """The dates of a text in order of place; of overlapping readings the fullest."""
    found: list[Date] = []
    for form in _FORMS if _ANY.search(text) else ():
        for m in form.finditer(text):
            if any(m.start() < d.end and d.start < m.end() for d in found[-40:]):
                continue
            got = m.groupdict()
            month = int(got["m"]) if got.get("m") else _MONTHS.get((got.get("month") or "")[:3].lower(), 0)
            day = int(got.get("day") or 0)
            if month <= 12 and day <= 31:
                found.append(Date(int(got.get("year") or 0), month, day, m.start(), m.end()))
    return sorted(found, key=lambda d: d.start)


def borne_out(text: str, record: Any) -> list[tuple[int, int]]:
    """Places of the dates and weekdays that a text names and the record has, however it writes them: "May 11" and
    "Wednesday" of 2022-05-11."""
    said, days = dates(text), [(d, start) for d, start in weekdays(text)]
    if not said and not days:
        return []
    known = {d.known for string in strings(record) if _YEAR.search(string) for d in dates(string)}
    places = [(d.start, d.end) for d in said if any(_within(d.known, k) for k in known)]
    own = {weekday_of(k) for k in known if all(k)}
    return places + [(start, start + len(_DAYS[d])) for d, start in days if d in own]


def _within(said: tuple[int, int, int], known: tuple[int, int, int]) -> bool:
    """Whether a date of the record has all that is said."""
    return all(a == b for a, b in zip(said, known) if a)


def meets(said: tuple[int, int, int], known: tuple[int, int, int]) -> bool:
    """Whether what both name is equal."""
    return all(a == b for a, b in zip(said, known) if a and b)


def ordinal(date: tuple[int, int, int], late: bool = False) -> int:
    """Days on one scale; what is not named counts as early, or as late, as it can."""
    year, month, day = date
    return year * 372 + (month or (12 if late else 1)) * 31 + (day or (31 if late else 1))


def weekdays(text: str) -> list[tuple[int, int]]:
    """Weekdays named in a text (Monday is 0) with their places."""
    return [(_DAYS.index(m[1].lower()), m.start()) for m in _WEEKDAY.finditer(text)]


def weekday_of(date: tuple[int, int, int]) -> int | None:
    try:
        return datetime.date(*date).weekday()
    except ValueError:
        return None


def clocks(text: str) -> list[tuple[int, int]]:
    """Times of day as hour and minute; "7:30 pm" is (19, 30)."""
    found = []
    for m in _CLOCK.finditer(text):
        hour, minute, half = int(m[1] or m[4]), int(m[2] or 0), (m[3] or m[5] or "").lower()
        found.append((hour % 12 + (12 if half == "p" else 0) if half else hour, minute))
    return found
