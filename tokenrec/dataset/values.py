"""Cells to values: ids, texts, lists, numbers and times, whatever file they came from."""

import ast
import json
import math
import re
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

MOST_CHARS = 100_000
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # either, or a carriage return
_FLOAT_ID = re.compile(r"(-?[0-9]+)\.0+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]+)?")
# Possessive (*+, ?+): a hostile cell can't make the match backtrack.
_QUOTED = r"""(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')"""
_SCALAR = rf"(?:{_QUOTED}|-?[0-9]++(?:\.[0-9]*+)?+(?:e[+-]?[0-9]++)?+|None|True|False)\s*+"
_FLAT = rf"\s*+(?:{_SCALAR}(?:,\s*+{_SCALAR})*+(?:,\s*+)?+)?+"
_PYTHON_LIST = re.compile(rf"\[{_FLAT}\]", re.DOTALL)
_R_VECTOR = re.compile(rf"c\({_FLAT}\)", re.DOTALL)
_DATE = re.compile(r"([0-9]{4})[-/]([0-9]{1,2})[-/]([0-9]{1,2})(.*)", re.DOTALL)
_C_TIME = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [0-9]{2} [0-9:]{8} [+-][0-9]{4} [0-9]{4}")
# (least, per second): seconds since 1970 stay under 1e11 until the year 5138.
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


def clean(value: Any, mended: Callable[[str], None], depth: int = 0) -> Any:
    """`value` as plain JSON data: text without control characters and cut at 100,000 characters,
    NaN and infinities as None, dates as ISO text. Bidirectional marks are data and stay.

    `mended` is told, in words, of every change that loses something.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _clean_text(value, mended)
    if isinstance(value, float | Decimal):
        number = float(value)
        if not math.isfinite(number):
            return None
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    if isinstance(value, bytes):
        return _clean_text(value.decode("utf-8", errors="replace"), mended)
    if isinstance(value, date):  # datetime too
        return value.isoformat()
    if depth >= 20:
        mended("values nested deeper than 20 levels left out")
        return None
    if isinstance(value, list | tuple):
        return [clean(v, mended, depth + 1) for v in value]
    if isinstance(value, dict):
        return {_clean_text(str(k), mended): clean(v, mended, depth + 1) for k, v in value.items()}
    return _clean_text(str(value), mended)


def _clean_text(text: str, mended: Callable[[str], None]) -> str:
    if _ODD.search(text):  # rare, so that one look is enough for most texts
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if _CONTROL.search(text):
            mended("texts with control characters, which were taken out")
            text = _CONTROL.sub("", text)
        if _SURROGATE.search(text):
            mended("texts with broken unicode, replaced by U+FFFD")
            text = _SURROGATE.sub("\ufffd", text)
    text = text.strip()
    if len(text) > MOST_CHARS:
        mended(f"texts over {MOST_CHARS:,} characters, which were cut")
        text = text[:MOST_CHARS]
    return text


def as_id(value: Any, untyped: bool) -> str | None:
    """An id as text, None where there is none. 12, 12.0 and (in CSV, `untyped`) "12.0" are all "12"."""
    if isinstance(value, str):
        if _ODD.search(value):
            value = _SURROGATE.sub("\ufffd", _CONTROL.sub("", value))
        value = value.strip()
        whole = _FLOAT_ID.fullmatch(value) if untyped else None
        return (whole[1] if whole else value) or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float | Decimal) and math.isfinite(value):
        return str(int(value)) if value == int(value) else str(value)
    return None


def as_list(text: str) -> list | None:
    """The list that a cell spells as JSON, Python (`['a', 'b']`) or R (`c("a", "b")`); else None.

    Flat lists of texts and numbers only, and no code is ever run.
    """
    if text.startswith("[") and text.endswith("]"):
        try:
            found = json.loads(text)
            return found if isinstance(found, list) else None
        except (ValueError, RecursionError):
            pass
        if not _PYTHON_LIST.fullmatch(text):
            return None
    elif text == "character(0)":
        return []
    elif _R_VECTOR.fullmatch(text):
        text = f"[{text[2:-1]}]"
    else:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # "\\d" in a cell is not the user's concern
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def as_fact(value: Any) -> Any:
    """An untyped cell as a number where it is plainly one ("35", not "007"), else as it is."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        number = float(value)
        return int(number) if number.is_integer() else number
    return value


def is_empty(value: Any) -> bool:
    """None, blank text, or nothing but such in a list or dict."""
    if isinstance(value, dict):
        return all(is_empty(v) for v in value.values())
    if isinstance(value, list | tuple):
        return all(is_empty(v) for v in value)
    return value is None or (isinstance(value, str) and not value.strip())


def as_number(value: Any) -> float | None:
    """A finite number; NaN where none is given (empty, null, nan); None where the cell is no number."""
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "nan", "null", "none", "na")):
        return math.nan
    if isinstance(value, bool):
        return float(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isinf(number) else number


def as_time(value: Any) -> tuple[str, float] | None:
    """("date", seconds since 1970) or ("number", as it is); None where the cell is neither.

    Dates are ISO 8601, with - or /; without a zone they count as UTC. "Fri Sep 08 10:44:24 -0700 2017" is read too,
    as Goodreads and Twitter write them.
    """
    if isinstance(value, datetime):
        return "date", (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return "date", datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    if isinstance(value, str):
        found = _DATE.fullmatch(value.strip())
        if found:
            text = f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}{found[4]}"
            try:
                when = datetime.fromisoformat(text.removesuffix(" UTC"))
                return as_time(when)
            except (ValueError, OverflowError):
                return None
        if _C_TIME.fullmatch(value.strip()):
            try:
                return as_time(datetime.strptime(value.strip(), "%a %b %d %H:%M:%S %z %Y"))
            except (ValueError, OverflowError):
                return None
    if isinstance(value, bool):
        return None
    number = as_number(value)
    return None if number is None or math.isnan(number) else ("number", number)


def per_second(median: float) -> float:
    """What to divide unix times by: 1 for seconds and plain order numbers, 1e3 for milliseconds, ..."""
    return next((unit for least, unit in _UNITS if abs(median) >= least), 1.0)
