"""Text that is the source over again."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..base import Finding
from ..text import clip, covered, longest_run, mostly_cjk, shingles, strings, tokens, words

GATE = "noise/copy"
LIMIT = 0.8  # share of words that lie in verbatim runs; a digest keeps phrases, a copy keeps nearly everything


def copied(text: str, record: Mapping[str, Any], limit: float = LIMIT) -> Finding:
    """Fails when more than `limit` of the text's words lie in runs of 6 (Han: 10) copied from one field.

    Texts under 8 words are not judged: so short, the same words are no copying. Score: the share.
    """
    names = words(text)
    if len(names) < 8:
        return Finding(GATE, True)
    k = 10 if mostly_cjk(text, len(names)) else 6
    known = set()
    for field in (words(" ".join(strings(value))) for value in record.values()):
        # a run in common is a stretch of words in common: most fields have none
        if len(field) >= k and any(b - a >= k for a, b in _stretches(names, set(field))):
            known |= shingles(names, k) & shingles(field, k)
    mask = covered(names, known, k)
    score = round(sum(mask) / len(mask), 4)
    if score <= limit:
        return Finding(GATE, True, score)
    seq, (a, b) = tokens(text), longest_run(mask)
    return Finding(GATE, False, score, f"{score:.0%} copied from the source", clip(text[seq[a][1] : seq[b - 1][2]]))


def _stretches(seq: Sequence[str], known: set[str]) -> Iterator[tuple[int, int]]:
    """Where words of `seq` that are `known` stand side by side: from, to."""
    at = [i for i, word in enumerate(seq) if word not in known]
    return zip([0, *(i + 1 for i in at)], [*at, len(seq)], strict=True)


def shortened(text: str, record: Mapping[str, Any], most: float = 0.75) -> Finding:
    """For texts made of the source's own sentences: fails when more than `most` of the longest field is left.

    Score: words of the text over words of the longest field.
    """
    longest = max((len(words(" ".join(strings(v)))) for v in record.values()), default=0)
    score = round(len(words(text)) / longest, 4) if longest else 0.0
    if score <= most:
        return Finding(GATE, True, score)
    return Finding(GATE, False, score, f"hardly shorter than the source ({score:.0%} of its words)", clip(text))
