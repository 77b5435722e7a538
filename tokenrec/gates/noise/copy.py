"""Text that is the source over again."""

from collections.abc import Mapping
from typing import Any

from ..base import Finding
from ..text import clip, covered, is_cjk, longest_run, shingles, strings, tokens, words

GATE = "noise/copy"
LIMIT = 0.8  # share of words that lie in verbatim runs; a digest keeps phrases, a copy keeps nearly everything


def copied(text: str, record: Mapping[str, Any], limit: float = LIMIT) -> Finding:
    """Fails when more than `limit` of the text's words lie in runs of 6 (Han: 10) copied from one field.

    Texts under 8 words are not judged: so short, the same words are no copying. Score: the share.
    """
    seq = tokens(text)
    if len(seq) < 8:
        return Finding(GATE, True)
    names = [t[0] for t in seq]
    k = 10 if sum(map(is_cjk, names)) > len(names) / 2 else 6
    fields = [f" {' '.join(words(' '.join(strings(value))))} " for value in record.values()]
    known = {run for run in shingles(names, k) if any(f" {' '.join(run)} " in field for field in fields)}
    mask = covered(names, known, k)
    score = round(sum(mask) / len(mask), 4)
    if score <= limit:
        return Finding(GATE, True, score)
    a, b = longest_run(mask)
    return Finding(GATE, False, score, f"{score:.0%} copied from the source", clip(text[seq[a][1] : seq[b - 1][2]]))


def shortened(text: str, record: Mapping[str, Any], most: float = 0.75) -> Finding:
    """For texts made of the source's own sentences: fails when more than `most` of the longest field is left.

    Score: words of the text over words of the longest field.
    """
    longest = max((len(words(" ".join(strings(v)))) for v in record.values()), default=0)
    score = round(len(words(text)) / longest, 4) if longest else 0.0
    if score <= most:
        return Finding(GATE, True, score)
    return Finding(GATE, False, score, f"hardly shorter than the source ({score:.0%} of its words)", clip(text))
