"""Sentences that stand for a text: what prompts quote of reviews and of items' own texts.

The representative one is nearest to the mean of its review's sentences, and to that of its item's own text. A
sentence is a unit vector of its content words' stems (the centroid of Radev et al. 2004, with equal weights); what
stands in every fifth review ("thanks", "recipe", "great") is no content. Words and not an encoder, so that no prompt
moves with the last digit of a vector; a list of common words and not weights from the whole corpus, so that a new
review hardly ever changes what is quoted of another, which would be a prompt to be answered anew.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import sqrt

from tokenrec.gates.text import STOP, count_words, sentences, stem, words
from tokenrec.ids import unit_hash
from tokenrec.recipe.tasks import Evidence

COMMON = 0.2  # of the texts: a stem that more have says nothing of any
# a stop after these most often ends no sentence: it and the next are pieces of one
_SHORT = re.compile(r"\b(?:[A-Z]|approx|dr|etc|hrs?|lbs?|min|mrs?|no|oz|pkg|st|tbsp?|tbls?|tsp|temp|vs|yrs?)\.$", re.I)


def common_stems(texts: Iterable[str]) -> frozenset[str]:
    """The stems that stand in more than a fifth of the texts."""
    counts, n = Counter(), 0
    for text in texts:
        n += 1
        counts.update(_stems(text))
    return frozenset(s for s, k in counts.items() if k > COMMON * n)


def quotes(text: str, rule: Evidence, about: Sequence[str] = (), common: frozenset[str] = frozenset()) -> list[str]:
    """The sentences of one text that stand for it, in their own order; none where all are too short or too long.

    `about`: what else is said of its item. `common`: stems that are no content.
    """
    found = sentences(text)
    usable = [i for i in _whole(found) if fits(found[i], rule)]
    if len(usable) > rule.sentences:
        value = _worth(found, [_stems(s) - common for s in found], rule, about, common)
        usable = sorted(usable, key=lambda i: (-value[i], i))[: rule.sentences]
    return [found[i] for i in sorted(usable)]


def _whole(found: Sequence[str]) -> list[int]:
    """Which sentences are no pieces of one that an abbreviation broke."""
    broken = [bool(_SHORT.search(s)) and i + 1 < len(found) for i, s in enumerate(found)]
    return [i for i in range(len(found)) if not broken[i] and not (i and broken[i - 1])]


def fits(sentence: str, rule: Evidence) -> bool:
    return rule.min_words <= count_words(sentence) <= rule.max_words


def quotes_of_many(
    texts: Sequence[str], rule: Evidence, about: Sequence[str] = (), common: frozenset[str] = frozenset()
) -> list[tuple[int, str]]:
    """(place of the text, sentence): what stands for many texts about one thing, at most `rule.sentences` of a text
    and `rule.reviews` texts, in the order of the texts.

    Sentences are taken one by one, near to the mean of all and far from those that are taken already (maximal marginal
    relevance, Carbonell and Goldstein 1998, both weighed alike): by nearness alone ten reviewers say one thing.
    """
    split = [sentences(text) for text in texts]
    found = [(i, s) for i, own in enumerate(split) for s in own]
    ends = [0, *accumulate(map(len, split))]
    stems = [_stems(s) - common for _, s in found]
    value = _worth([s for _, s in found], stems, rule, about, common)
    usable = [ends[i] + j for i, own in enumerate(split) for j in _whole(own) if fits(own[j], rule)]
    taken: list[int] = []
    said: Counter = Counter()
    near = [0.0] * len(found)
    while usable:
        best = max(usable, key=lambda n: (value[n] - near[n], -n))
        taken.append(best)
        said[found[best][0]] += 1
        full = len(said) >= rule.reviews
        usable = [
            n for n in usable if n != best and said[found[n][0]] < rule.sentences and (not full or found[n][0] in said)
        ]
        for n in usable:
            near[n] = max(near[n], _cosine(stems[n], stems[best]))
    return [found[n] for n in sorted(taken)]


def within(lines: Sequence[str], rule: Evidence) -> int:
    """How many of the sentences, from the first, have at most `rule.total_words` words together."""
    return sum(total <= rule.total_words for total in accumulate(map(count_words, lines)))


def _worth(
    found: Sequence[str], stems: Sequence[set[str]], rule: Evidence, about: Sequence[str], common: frozenset[str]
) -> list[float]:
    """Which sentences to take first: their values."""
    if rule.pick == "first":
        return [-float(i) for i in range(len(found))]
    if rule.pick == "random":
        return [unit_hash("evidence", i, s) for i, s in enumerate(found)]
    own = _direction(stems)
    of_item = _direction([_stems(s) - common for text in about for s in sentences(text)])
    return [sum(own.get(s, 0) + of_item.get(s, 0) for s in sorted(one)) / sqrt(len(one) or 1) for one in stems]


def _direction(many: Iterable[set[str]]) -> dict[str, float]:
    """The mean of unit vectors, made a unit vector; empty without any word."""
    total: dict[str, float] = {}
    for one in many:
        for stem_ in sorted(one):
            total[stem_] = total.get(stem_, 0.0) + 1 / sqrt(len(one))
    norm = sqrt(sum(v * v for v in total.values())) or 1.0
    return {s: v / norm for s, v in total.items()}


def _cosine(a: set[str], b: set[str]) -> float:
    return len(a & b) / sqrt(len(a) * len(b) or 1)


def _stems(text: str) -> set[str]:
    return {stem(w) for w in words(text) if w not in STOP}
