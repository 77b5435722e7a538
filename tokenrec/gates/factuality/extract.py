"""Extracts: texts that promise to be the source's own sentences (a recipe's `extract: true`)."""

from collections.abc import Mapping
from typing import Any

from ..base import Finding
from ..text import clip, sentences, strings, words

GATE = "factuality/extract"


def extracted(text: str, record: Mapping[str, Any]) -> Finding:
    """Fails on a sentence whose words don't stand, in order and without a gap, in one field of the record."""
    fields = [f" {' '.join(words(' '.join(strings(value))))} " for value in record.values()]
    for sentence in sentences(text):
        said = " ".join(words(sentence))
        if said and not any(f" {said} " in field for field in fields):
            return Finding(GATE, False, 1.0, "not a sentence of the source", clip(sentence))
    return Finding(GATE, True)
