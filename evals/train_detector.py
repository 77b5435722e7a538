"""Train the factuality detector that the package ships, on the sets that CONTRACT.md allows (quintd, MIT).

    python evals/train_detector.py shared/data/quintd [--out tokenrec/gates/factuality/weights]

Calibration and thresholds come from predictions out of fold by record (4 folds); the benchmark
(`evals/benchmarks/factuality.py --crossval`) runs all of this anew inside each of its folds.
"""

import argparse
import gzip
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from train_swaps import fit_swaps  # noqa: E402

from tokenrec.gates.factuality.bag import grams, weighed  # noqa: E402
from tokenrec.gates.factuality.detector import (  # noqa: E402
    WEIGHTS,
    Detector,
    Half,
    Reading,
    combined,
    joined,
    present,
    read,
    scaled,
    sigmoid,
    whole,
)

WRONG = (0, 1)  # quintd's span types: incorrect, not checkable
MACHINE = 0.3  # what a label of GPT-4 weighs beside a human one, in training only
TREES = {"max_depth": 5, "eta": 0.05, "subsample": 0.7, "colsample_bytree": 0.1, "min_child_weight": 8, "reg_lambda": 5}
TREES |= {"objective": "binary:logistic", "nthread": 1, "seed": 0}
TEXT_TREES = TREES | {"max_depth": 2, "min_child_weight": 10, "colsample_bytree": 0.2}


@dataclass(frozen=True)
class Example:
    """One text with its reading and labels: of each sentence, and of the text (any span at all)."""

    id: str
    record: str
    domain: str
    text: str
    facts: object
    reading: Reading
    wrong: np.ndarray  # bool[n sentences]
    any_wrong: bool
    machine: np.ndarray | None = None  # bool[n sentences]: what GPT-4 marked, where it was asked


def load(folder: Path) -> list[Example]:
    """A folder laid out like quintd: `responses.jsonl.gz` (or `.jsonl`), see its SOURCE.md."""
    found = []
    for row in rows(folder):
        reading = read(row["text"], row["facts"])
        spans = [s for s in row["human_spans"] if s["type"] in WRONG]
        wrong = marked(spans, reading)
        machine = row.get("gpt4_spans")
        found.append(
            Example(
                str(row["id"]),
                str(row["record"]),
                row["domain"],
                row["text"],
                row["facts"],
                reading,
                wrong,
                bool(spans),
                None if machine is None else marked([s for s in machine if s["type"] in WRONG], reading),
            )
        )
    return found


def marked(spans: list[dict], reading: Reading) -> np.ndarray:
    """bool[n]: the sentences that a span overlaps."""
    ends = [(s["start"], s["start"] + len(s["text"])) for s in spans if s.get("start") is not None and s["start"] >= 0]
    return np.array([any(a < end and start < b for a, b in ends) for start, end in reading.places], bool)


def rows(folder: Path) -> list[dict]:
    path = data_file(folder)
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def data_file(folder: Path) -> Path:
    path = next((folder / n for n in ("responses.jsonl.gz", "responses.jsonl") if (folder / n).exists()), None)
    if path is None:
        raise SystemExit(f"{folder} has no responses.jsonl.gz")
    return path


def fingerprint(folder: Path) -> str:
    """SHA-256 of the data, unpacked: repacking changes nothing."""
    path = data_file(folder)
    with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def folds(records: Sequence[str], k: int, salt: str = "") -> np.ndarray:
    """int[n]: the fold of each record, by hash, so that all texts of a record lie in one."""
    return np.array([int(hashlib.sha256(f"{salt}{r}".encode()).hexdigest(), 16) % k for r in records])


def fit_half(
    matrix: np.ndarray, tags: list[list[str]], y: np.ndarray, weight: np.ndarray, c: float, trees: dict, rounds: int
) -> Half:
    """The linear model and the trees of one half, on the same features and words."""
    import xgboost
    from sklearn.linear_model import LogisticRegression

    count = Counter(g for line in tags for g in set(grams(line)))
    kept = sorted(g for g, n in count.items() if n >= 3)
    idf = {g: float(np.log((1 + len(tags)) / (1 + count[g])) + 1) for g in kept}
    at = {g: i for i, g in enumerate(kept)}
    some = ~np.isnan(matrix)
    number = np.maximum(some.sum(0), 1)
    mean = np.nansum(matrix, 0) / number
    scale = np.sqrt(np.nansum((matrix - mean) ** 2, 0) / number) + 1e-6
    cells = [(i, at[g], v) for i, line in enumerate(tags) for g, v in weighed(line, idf).items()]
    i, j, v = zip(*cells) if cells else ((), (), ())
    words = sp.csr_matrix((v, (i, j)), (len(tags), len(kept)))
    inputs = sp.hstack([scaled(matrix, mean, scale), ~some, words]).tocsr()
    line = LogisticRegression(C=c, max_iter=400).fit(inputs, y, sample_weight=weight / weight.mean())
    w, f = line.coef_[0], matrix.shape[1]
    seen = [g for g in kept if count[g] >= 20]
    data = xgboost.DMatrix(np.hstack([matrix, present(tags, {g: i for i, g in enumerate(seen)})]), y, weight=weight)
    spec = {
        "mean": rounded(mean),
        "scale": rounded(scale),
        "weights": rounded(w[:f]),
        "absent": rounded(w[f : 2 * f]),
        "bias": float(line.intercept_[0]),
        "words": {g: [round(idf[g], 4), round(float(w[2 * f + at[g]]), 4)] for g in kept},
        "seen": seen,
    }
    return Half(spec, xgboost.train(trees, data, rounds))


def rounded(values: np.ndarray) -> list[float]:
    return [float(f"{v:.6g}") for v in values]


def fit_raw(examples: list[Example]) -> Detector:
    """Both halves, not yet calibrated. A sentence weighs less in a long text, so that long texts don't rule.

    What GPT-4 says of a sentence counts as a second annotator's word of weight MACHINE: where it agrees the sentence
    weighs more, where not it stands there a second time with the other label.
    """
    some = [e for e in examples if e.reading.places]
    size = np.array([len(e.wrong) for e in some for _ in e.wrong])
    weight = (5 / size) ** 0.5
    wrong = np.concatenate([e.wrong for e in some])
    asked = np.concatenate([np.full(len(e.wrong), e.machine is not None) for e in some])
    machine = np.concatenate([e.wrong if e.machine is None else e.machine for e in some])
    again = np.flatnonzero(machine != wrong)
    matrix, tags = np.vstack([e.reading.matrix for e in some]), [t for e in some for t in e.reading.tags]
    sentence = fit_half(
        np.vstack([matrix, matrix[again]]),
        tags + [tags[i] for i in again],
        np.concatenate([wrong, machine[again]]),
        np.concatenate([weight * np.where(asked & (machine == wrong), 1 + MACHINE, 1), MACHINE * weight[again]]),
        0.5,
        TREES,
        250,
    )
    text = fit_half(
        np.vstack([whole(e.reading) for e in some]),
        [joined(e.reading) for e in some],
        np.array([e.any_wrong for e in some]),
        np.ones(len(some)),
        1.0,
        TEXT_TREES,
        150,
    )
    even = {"sentence": (1.0, 0.0), "text": (1.0, 0.0)}
    return Detector(some[0].reading.names, sentence, text, even, {"sentence": 0.5, "text": 0.5})


def fit(examples: list[Example], inner: int = 4) -> Detector:
    """Train on all of `examples`; calibrate, and choose thresholds, on predictions out of fold by record."""
    examples = [e for e in examples if e.reading.places]
    fold = folds([e.record for e in examples], inner, "inner")
    lines: list = [None] * len(examples)
    ends, known = np.zeros(len(examples)), np.zeros(len(examples))
    for k in sorted(set(fold)):
        model = fit_raw([e for e, f in zip(examples, fold) if f != k])
        held = [i for i, f in enumerate(fold) if f == k]
        found, last_logits = model.raw([examples[i].reading for i in held])
        for i, line, end in zip(held, found, last_logits):
            lines[i], ends[i], known[i] = line, end, model.known(examples[i].reading)
    model = fit_raw(examples)
    judge = fit_swaps(examples, fold)
    wrong, any_wrong = np.concatenate([e.wrong for e in examples]), np.array([e.any_wrong for e in examples])
    slope, shift = platt(np.concatenate(lines), wrong)
    chances = [sigmoid(slope * line + shift) for line in lines]
    text = np.array([combined(p, e) for p, e in zip(chances, ends)])
    text_slope, text_shift = platt(text, any_wrong)
    calibration = {"sentence": (slope, shift), "text": (text_slope, text_shift)}
    thresholds = {
        "sentence": best_threshold(np.concatenate(chances), wrong),
        "text": best_threshold(sigmoid(text_slope * text + text_shift), any_wrong),
    }
    familiar = float(np.quantile(known, 0.05))
    return Detector(model.names, model.sentence, model.text, calibration, thresholds, familiar, judge)


def platt(logits: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression

    line = LogisticRegression(C=1e4).fit(logits[:, None], y)
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def best_threshold(p: np.ndarray, y: np.ndarray) -> float:
    """The threshold with the greatest F1."""
    order = np.argsort(-p)
    hits = np.cumsum(y[order])
    f1 = 2 * hits / (np.arange(1, len(y) + 1) + y.sum())
    return float(p[order][int(np.argmax(f1))])


def save(detector: Detector, folder: Path, data: dict) -> None:
    """detector.json and the two boosters in XGBoost's own JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = {
        "names": list(detector.names),
        "data": data,
        "calibration": {k: list(v) for k, v in detector.calibration.items()},
        "thresholds": dict(detector.thresholds),
        "familiar": detector.familiar,
        "sentence": detector.sentence.spec,
        "text": detector.text.spec,
        "swaps": {
            "texts": detector.swaps.glue.texts,
            "words": dict(detector.swaps.glue.counts),
            "thresholds": dict(detector.swaps.thresholds),
        },
    }
    (folder / "detector.json").write_text(json.dumps(spec, separators=(",", ":"), ensure_ascii=False) + "\n")
    for name, half in (("sentence", detector.sentence), ("text", detector.text), ("swaps", detector.swaps)):
        half.booster.save_model(folder / f"{name}.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    examples = load(options.folder)
    detector = fit(examples)
    save(detector, options.out, {"quintd": fingerprint(options.folder), "texts": len(examples)})
    print(f"{len(examples)} texts; calibration {detector.calibration}, thresholds {detector.thresholds}")
