"""A sentence as tagged words: which of them the record has, how well its numbers fit, with names left out.

"The Kings scored three goals" → the, <Name+>, score, three+, goal+ : what is learnt is how a sentence speaks of what it
has and has not, not who or what it speaks of.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ..text import stem, tokens
from .dates import dates
from .facts import Facts, numbers_in

MOST_LENGTH = 2000


def tagged(sentence: str, facts: Facts) -> list[str]:
    """Words in order: "word+" when the record has it; names, dates and numbers by kind only."""
    sentence = sentence[:MOST_LENGTH]
    said = dates(sentence)
    marks = [(d.start, d.end, "<date>") for d in said]
    marks += [(a, b, f"#{facts.near(value, decimals)[0]:g}") for value, decimals, a, b in numbers_in(sentence, said)]
    taken = {at for start, end, _ in marks for at in range(start, end)}
    for word, start, end in tokens(sentence):
        if start in taken or end - 1 in taken:
            continue
        known = stem(word) in facts.df
        if sentence[start].isupper() and start > 0:
            marks.append((start, end, "<Name+>" if known else "<Name->"))
        else:
            marks.append((start, end, stem(word) + ("+" if known else "")))
    return [tag for _, _, tag in sorted(marks)]


def grams(tags: Sequence[str]) -> Iterable[str]:
    """The tags and the pairs of neighbours."""
    yield from tags
    yield from (f"{a} {b}" for a, b in zip(tags, tags[1:]))


def weighed(tags: Sequence[str], idf: Mapping[str, float]) -> dict[str, float]:
    """Length-one tf-idf vector (1 + log tf) over the grams that `idf` knows."""
    count = Counter(g for g in grams(tags) if g in idf)
    found = {g: (1 + math.log(n)) * idf[g] for g, n in count.items()}
    length = math.sqrt(sum(v * v for v in found.values()))
    return {g: v / length for g, v in found.items()} if length else {}
