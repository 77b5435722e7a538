"""Texts that name what the record has already (a recipe's `not_in:`): a title that the reader knows."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..base import Finding
from ..text import clip, strings, words

GATE = "noise/known"


def known(text: str, fields: Sequence[str], record: Mapping[str, Any]) -> Finding:
    """Fails when the whole text is an entry of one of `fields`, whatever its capitals and punctuation."""
    said = words(text)
    entries = (entry for name in fields for entry in strings(record.get(name)))
    if said and any(words(entry) == said for entry in entries):
        return Finding(GATE, False, 1.0, "the record has it already", clip(text))
    return Finding(GATE, True)
