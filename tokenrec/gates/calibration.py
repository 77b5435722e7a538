"""What labels of this very domain add to a judge: probabilities fitted to it, and the threshold that keeps a promise.

`tokenrec eval --recalibrate` makes it (evidence/recalibrate.py, evidence/promise.py); here it only acts. The texts
fall in thirds by a hash of their records. Third k is judged with probabilities fitted to the labels of third k+1 and a
threshold set by those of third k+2, so that every label also measures what it had no part in.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..ids import canonical_json, content_id, unit_hash
from .base import Part

THIRDS = 3
_EDGE = 1e-4
_KINDS = {"task": str, "program_id": str, "judges": dict, "outputs": dict}  # of a document


def logit(p: float) -> float:
    p = min(max(p, _EDGE), 1 - _EDGE)
    return math.log(p / (1 - p))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-min(max(x, -30.0), 30.0)))


@dataclass(frozen=True)
class Third:
    """How a third of the texts is judged. A sentence: sigmoid(slope * logit(p) + weights . features + bias); a text:
    sigmoid(text_slope * logit(1 - product of (1 - p)) + text_bias). `threshold`: None where nothing is promised."""

    slope: float = 1.0
    bias: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)
    text_slope: float = 1.0
    text_bias: float = 0.0
    threshold: float | None = None

    def sentence(self, p: float, features: Mapping[str, float]) -> float:
        """The probability fitted to the domain; `features` as the judge gives them, standardised."""
        more = sum(w * features.get(name, 0.0) for name, w in self.weights.items())
        return min(sigmoid(self.slope * logit(p) + more + self.bias), 1 - _EDGE)  # 1 is for what a rule refuses

    def text(self, parts: Sequence[Part]) -> float:
        """That of a text with these sentences; 0 without any."""
        if not parts:
            return 0.0
        none = math.prod(1 - min(p, 1 - _EDGE) for *_, p in parts)
        return sigmoid(self.text_slope * logit(1 - none) + self.text_bias)


@dataclass(frozen=True)
class Calibration:
    """Of one output of one task. `said`: what is promised, or what could be."""

    task: str
    thirds: tuple[Third, ...]
    said: str
    promised: bool
    risk: float | None = None
    confidence: float | None = None

    def keeps(self, risk: float, confidence: float) -> bool:
        """Whether its thresholds promise as much."""
        return self.promised and self.risk <= risk and self.confidence >= confidence

    def of(self, record: Any) -> Third:
        return self.thirds[third_of(self.task, record)]

    @property
    def fits(self) -> bool:
        """Whether the judge's probabilities are changed at all."""
        return any(t.weights or (t.slope, t.bias) != (1.0, 0.0) for t in self.thirds)

    def fitted_id(self) -> str:
        """Of what scores depend on; a threshold may change without it."""
        return content_id([[t.slope, t.bias, dict(t.weights)] for t in self.thirds])

    def decided_id(self) -> str:
        """Of what is decided with the scores."""
        return content_id([[t.threshold, t.text_slope, t.text_bias] for t in self.thirds]
                          + [self.said, self.promised, self.risk, self.confidence])  # fmt: skip


def third_of(task: str, record: Any) -> int:
    """0, 1 or 2, by hash of what the LM was given: equal inputs share a completion, and so a third."""
    return int(unit_hash("third", task, canonical_json(record)) * THIRDS)


def calibration_path(root: Path, recipe: str, task: str) -> Path:
    return root / "programs" / "calibrated" / recipe / f"{task}.json"


def read_calibration(path: Path) -> dict[str, Any] | None:
    """The document at `path`, None where there is none. Raises InputError when it can't be read."""
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(document[k], kind) for k, kind in _KINDS.items()):
            raise TypeError(f"{', '.join(_KINDS)} are not all of their kinds")
        for name in document["outputs"]:
            calibration_of(document, name)
        return document
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        said = f"no calibration ({reason}). Delete it, or run: tokenrec eval --recalibrate"
        raise InputError(f"{path}: {said}") from error


def calibration_of(document: Mapping[str, Any], output: str) -> Calibration | None:
    """That of one output in a document; None where it has none."""
    found = document["outputs"].get(output)
    if found is None:
        return None
    thirds = tuple(Third(**{k: t[k] for k in Third.__dataclass_fields__}) for t in found["thirds"])
    if len(thirds) != THIRDS:
        raise ValueError(f"{len(thirds)} thirds")
    said, promised, *asked = (found[k] for k in ("said", "promised", "risk", "confidence"))
    shapes = [n for t in thirds for n in (t.slope, t.bias, t.text_slope, t.text_bias, *t.weights.values())]
    limits = [*(t.threshold for t in thirds), *asked]
    shapes += limits if promised else [n for n in limits if n is not None]
    if not all(type(n) in (int, float) and math.isfinite(n) for n in shapes):  # NaN would let every text pass
        raise ValueError(f"{output}: a number is missing, or none")
    if not isinstance(promised, bool) or not isinstance(said, str):
        raise TypeError(f"{output}: promised is true or false, and said a text")
    return Calibration(document["task"], thirds, said, promised, *asked)
