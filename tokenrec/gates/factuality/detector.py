"""The trained detector: how likely each sentence of a text, and the whole, says what the record does not bear out.

    detector = load_detector()
    found = detector.score("Kurbads won 6-2.", {"home": "HK Prizma", "away": "HK Kurbads", ...})
    found.probability, [(s.quote, s.probability) for s in found.suspects()]

Data, figures and limits stand in MODEL_CARD.md beside this file; `evals/train_detector.py` makes the weights. They are
JSON: `detector.json` (names, words, linear weights, calibration) and XGBoost's own for trees. Nothing is unpickled.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from .align import units
from .bag import grams, tagged, weighed
from .facts import Facts

WEIGHTS = Path(__file__).with_name("weights")
MOST_TEXT = 40_000  # characters of a text that are read
SMALL = 0.3  # what a deviation of a feature counts beside a word
_EDGE = 1e-4


@dataclass(frozen=True)
class Sentence:
    """A sentence, verbatim, its place in the text, and the calibrated probability that a claim in it is unsupported."""

    start: int
    end: int
    quote: str
    probability: float


@dataclass(frozen=True)
class Scored:
    """`probability`: that the text holds at least one unsupported claim. A text without sentences has probability 0."""

    probability: float
    sentences: tuple[Sentence, ...]
    threshold: float  # of a sentence
    text_threshold: float

    def suspects(self) -> list[Sentence]:
        """Sentences at or above the threshold, worst first."""
        return sorted((s for s in self.sentences if s.probability >= self.threshold), key=lambda s: -s.probability)


@dataclass(frozen=True)
class Reading:
    """A text read against its record: places, float[n, f] features and tagged words of its n sentences."""

    places: list[tuple[int, int]]
    names: tuple[str, ...]
    matrix: np.ndarray
    tags: list[list[str]]


def read(text: str, record: Any) -> Reading:
    """Never raises on any text or nesting of mappings, lists and scalars; linear in both, both cut at a bound."""
    text = text[:MOST_TEXT]
    facts = Facts(record)
    found = units(text, record, facts)
    names = tuple(found[0].features) if found else ()
    matrix = np.array([list(u.features.values()) for u in found], np.float32)
    tags = [tagged(text[u.start : u.end], facts) for u in found]
    return Reading([(u.start, u.end) for u in found], names, matrix, tags)


def whole(reading: Reading) -> np.ndarray:
    """float[2f + 1]: mean and greatest of each feature over the sentences, and their number."""
    with np.errstate(all="ignore"):
        m = reading.matrix
        count = np.maximum((~np.isnan(m)).sum(0), 1)
        mean = np.where(np.isnan(m).all(0), np.nan, np.nansum(m, 0) / count)
        most = np.where(np.isnan(m).all(0), np.nan, np.where(np.isnan(m), -np.inf, m).max(0))
    return np.concatenate([mean, most, [len(m)]]).astype(np.float32)


def logit(p: Any) -> Any:
    p = np.clip(p, _EDGE, 1 - _EDGE)
    return np.log(p / (1 - p))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


class Half:
    """One of the two judges, of sentences or of texts: the mean of a linear model and of trees, as a logit.

    Both see the features and the tagged words. `spec`: mean, scale and weight of each feature (and of its absence),
    idf and weight of each gram, bias, and the grams that the trees see. `booster`: an xgboost.Booster.
    """

    def __init__(self, spec: Mapping[str, Any], booster: Any):
        self.spec, self.booster = spec, booster
        self.mean, self.scale = np.array(spec["mean"]), np.array(spec["scale"])
        self.weights, self.absent = np.array(spec["weights"]), np.array(spec["absent"])
        self.idf = {g: idf for g, (idf, _) in spec["words"].items()}
        self.word = {g: weight for g, (_, weight) in spec["words"].items()}
        self.seen = {g: i for i, g in enumerate(spec["seen"])}

    def scaled(self, matrix: np.ndarray) -> np.ndarray:
        return scaled(matrix, self.mean, self.scale)

    def logits(self, matrix: np.ndarray, tags: Sequence[Sequence[str]], familiar: np.ndarray) -> np.ndarray:
        """float[n] from float[n, f] features and n lists of tags; only trees where the kind of text is not `familiar`
        (bool[n]): what the linear model knows of words holds for the kinds of text that it has seen."""
        line = self.scaled(matrix) @ self.weights + np.isnan(matrix) @ self.absent + self.spec["bias"]
        line = line + np.array([sum(v * self.word[g] for g, v in weighed(t, self.idf).items()) for t in tags])
        trees = self.booster.inplace_predict(np.hstack([matrix, present(tags, self.seen)]), predict_type="margin")
        return np.where(familiar, (line + trees) / 2, trees)


def scaled(matrix: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Standardised, cut at three deviations and made small beside the words; 0 where there is nothing."""
    return np.clip(np.nan_to_num((matrix - mean) / scale), -3, 3) * SMALL


def present(tags: Sequence[Sequence[str]], seen: Mapping[str, int]) -> np.ndarray:
    """float32[n, len(seen)]: 1 where a gram stands in a sentence."""
    found = np.zeros((len(tags), len(seen)), np.float32)
    for i, line in enumerate(tags):
        for g in grams(line):
            if g in seen:
                found[i, seen[g]] = 1
    return found


@dataclass(frozen=True)
class Detector:
    """Both halves with their calibration: (slope, shift) on logits, thresholds, and the features' names in order."""

    names: tuple[str, ...]
    sentence: Half
    text: Half
    calibration: Mapping[str, Sequence[float]]
    thresholds: Mapping[str, float]
    familiar: float = 0.0  # least share of known words and pairs for a text of a kind seen in training

    def known(self, reading: Reading) -> float:
        """The share of a text's tagged words and pairs that training has seen."""
        found = [g in self.text.idf for g in grams(joined(reading))]
        return sum(found) / len(found) if found else 0.0

    def raw(self, readings: Sequence[Reading]) -> tuple[list[np.ndarray], np.ndarray]:
        """Uncalibrated logits: of the sentences, a list a text, and of the texts (before `combined`)."""
        some = [r for r in readings if r.places]
        if not some:
            return [np.zeros(0) for _ in readings], np.full(len(readings), -30.0)
        familiar = np.array([self.known(r) >= self.familiar for r in some])
        counts = [len(r.places) for r in some]
        matrix, tags = np.vstack([r.matrix for r in some]), [t for r in some for t in r.tags]
        flat = self.sentence.logits(matrix, tags, np.repeat(familiar, counts))
        parts = iter(np.split(flat, np.cumsum(counts)[:-1]))
        whole_texts = np.vstack([whole(r) for r in some])
        ends = iter(self.text.logits(whole_texts, [joined(r) for r in some], familiar))
        return (
            [next(parts) if r.places else np.zeros(0) for r in readings],
            np.array([next(ends) if r.places else -30.0 for r in readings]),
        )

    def calibrated(self, readings: Sequence[Reading]) -> tuple[list[np.ndarray], np.ndarray]:
        """Probabilities: of the sentences of each text, and of the texts."""
        slope, shift = self.calibration["sentence"]
        lines, ends = self.raw(readings)
        chances = [sigmoid(slope * line + shift) for line in lines]
        slope, shift = self.calibration["text"]
        texts = [sigmoid(slope * combined(p, e) + shift) if len(p) else 0.0 for p, e in zip(chances, ends)]
        return chances, np.array(texts)

    def score(self, text: str, record: Any) -> Scored:
        """Judge one text against its record: any nesting of mappings, lists and scalars, or a list of facts."""
        return self.score_all([(text, record)])[0]

    def with_features(self, text: str, record: Any) -> list[tuple[int, int, float, dict[str, float]]]:
        """Start, end, probability and features of each sentence; features in deviations from training's mean, cut
        at 3, 0 where there is nothing to measure."""
        reading = read(text, record)
        chances, _ = self.calibrated([reading])
        table = self.sentence.scaled(reading.matrix) / SMALL if reading.places else []
        return [
            (start, end, float(p), dict(zip(self.names, map(float, row))))
            for (start, end), p, row in zip(reading.places, chances[0], table)
        ]

    def score_all(self, pairs: Sequence[tuple[str, Any]]) -> list[Scored]:
        """Judge many texts at once (the trees are walked in one go)."""
        readings = [read(text, record) for text, record in pairs]
        for r in readings:
            if r.places and r.names != self.names:
                raise InputError("the detector's weights were trained on other features: run evals/train_detector.py")
        chances, texts = self.calibrated(readings)
        found = []
        for (text, _), r, line, p in zip(pairs, readings, chances, texts):
            quotes = tuple(Sentence(a, b, text[a:b], float(q)) for (a, b), q in zip(r.places, line))
            found.append(Scored(float(p), quotes, self.thresholds["sentence"], self.thresholds["text"]))
        return found


def joined(reading: Reading) -> list[str]:
    return [t for line in reading.tags for t in line]


def combined(chances: np.ndarray, end: float) -> float:
    """A text's logit: the mean of what its sentences say (at least one is wrong) and of what the text's model says."""
    return (logit(1 - math.exp(np.log1p(-np.clip(chances, 0, 1 - _EDGE)).sum())) + end) / 2


def from_weights(spec: Mapping[str, Any], sentence: Any, text: Any) -> Detector:
    """A detector of `detector.json`'s content and two boosters."""
    halves = Half(spec["sentence"], sentence), Half(spec["text"], text)
    return Detector(tuple(spec["names"]), *halves, spec["calibration"], spec["thresholds"], spec["familiar"])


@lru_cache(maxsize=2)
def weights_id(folder: Path = WEIGHTS) -> str:
    """Short hash of the weights."""
    digest = hashlib.sha256()
    for name in ("detector", "sentence", "text"):
        digest.update((folder / f"{name}.json").read_bytes())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=2)
def load_detector(folder: Path = WEIGHTS) -> Detector:
    """The shipped detector. xgboost is imported here, not before. InputError when a file is missing or broken."""
    import xgboost

    try:
        spec = json.loads((folder / "detector.json").read_text(encoding="utf-8"))
        boosters = []
        for name in ("sentence", "text"):
            booster = xgboost.Booster({"nthread": 1})
            booster.load_model(bytearray((folder / f"{name}.json").read_bytes()))
            boosters.append(booster)
        return from_weights(spec, *boosters)
    except (OSError, ValueError, KeyError, xgboost.core.XGBoostError) as e:
        raise InputError(f"the detector's weights in {folder} cannot be read: {e}") from e
