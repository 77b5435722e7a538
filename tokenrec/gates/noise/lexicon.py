"""Texts that may only be put together from the record's own entries (a recipe's `lexicon:`)."""

import re
from collections.abc import Mapping
from typing import Any

from ...recipe.outputs import Lexicon
from ...tasks.lexicon import beginning, entries
from ..base import Finding
from ..text import clip

GATE = "noise/lexicon"


def within(text: str, lexicon: Lexicon | None, record: Mapping[str, Any]) -> Finding:
    """Fails when something is said that is neither an entry nor a joining word, or an entry is said twice."""
    if lexicon is None:
        return Finding(GATE, True)
    rest = text.casefold().removeprefix(beginning(lexicon, dict(record)).casefold())
    for entry in sorted(entries(lexicon, dict(record)), key=len, reverse=True):
        found = re.findall(rf"(?<!\w){re.escape(entry.casefold())}(?!\w)", rest)
        if len(found) > 1:
            return Finding(
                GATE, False, 1.0, f"says {entry!r} {len(found)} times", clip(entry if entry in text else text)
            )
        rest = re.sub(rf"(?<!\w){re.escape(entry.casefold())}(?!\w)", " ", rest)
    for word in sorted(lexicon.words, key=len, reverse=True):
        rest = re.sub(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", " ", rest)
    left = re.findall(r"\w+", rest)
    if left:
        at = text.casefold().find(left[0])
        return Finding(
            GATE, False, 1.0, "says what is not in the record", text[at : at + len(left[0])] if at >= 0 else clip(text)
        )
    return Finding(GATE, True)
