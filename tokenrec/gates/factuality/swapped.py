"""Which value of a text was swapped: a judge of slots (slots.py), trained on planted swaps, not on human labels.

It answers another question than the detector's other two judges: not "would an annotator mark this sentence" but "is
this value another one than the record's". Its numbers are no probabilities of real errors: prior and prose differ.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .slots import Slot, matrix

FEWEST = 2  # a word that fewer training texts say without their record having it counts as never seen


@dataclass(frozen=True)
class Glue:
    """In how many sound texts of training a word stands that the record does not have ("features", "located")."""

    texts: int
    counts: Mapping[str, int]

    def rarity(self, word: str, itself: int = 0) -> float:
        """log of one in how many texts; `itself`: texts not to count (in training, the one at hand)."""
        n = self.counts.get(word, 0) - itself
        return math.log((1 + self.texts) / (1 + (n if n >= FEWEST else 0)))

    def features(self, found: Sequence[Slot], itself: int = 0) -> np.ndarray:
        """float32[n, 2]: mean and greatest rarity of a slot's words; nan where the record has all of them."""
        rows = [[self.rarity(w, itself) for w in s.words] or [math.nan] for s in found]
        return np.array([(sum(r) / len(r), max(r)) for r in rows], np.float32).reshape(len(found), 2)


@dataclass(frozen=True)
class SwapJudge:
    """Trees over slots. `thresholds`: "plain" and "catalogue", at which one sound sentence in twenty was above, out of
    fold in training. `booster`: an xgboost.Booster."""

    glue: Glue
    booster: Any
    thresholds: Mapping[str, float]

    def scores(self, found: Sequence[Slot], familiar: bool) -> np.ndarray:
        """float[n] in 0..1; what is known of words is left out where the kind of text is not `familiar`."""
        if not found:
            return np.zeros(0)
        words = self.glue.features(found) if familiar else np.full((len(found), 2), np.nan, np.float32)
        return self.booster.inplace_predict(np.hstack([matrix(found), words])).astype(float)

    def by_sentence(self, found: Sequence[Slot], familiar: bool, count: int) -> list[tuple[float, Slot | None]]:
        """Of each of `count` sentences the most suspect slot and its score; (0, None) where it names no value."""
        best: list[tuple[float, Slot | None]] = [(0.0, None)] * count
        for s, score in zip(found, self.scores(found, familiar)):
            if s.sentence < count and score > best[s.sentence][0]:
                best[s.sentence] = (float(score), s)
        return best
