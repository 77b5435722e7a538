"""Texts that are empty, shorter or longer than the recipe asks for."""

from ..base import Finding
from ..text import clip, count_words

GATE = "noise/length"


def length(text: str, min_words: int = 1, max_words: int | None = None) -> Finding:
    """Fails outside [min_words, max_words] (`count_words` says what a word is)."""
    n = count_words(text)
    if n < min_words:
        return Finding(GATE, False, 1.0, f"{n} words, at least {min_words} asked for", clip(text))
    if max_words is not None and n > max_words:
        return Finding(GATE, False, round(n / max_words, 3), f"{n} words, at most {max_words} asked for", text[-80:])
    return Finding(GATE, True)
