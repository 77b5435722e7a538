"""How good is the factuality detector against human labels?

    python evals/benchmarks/factuality.py DATASET_DIR [--json] [--crossval | --transfer] [--swaps] [--speed]

DATASET_DIR is laid out like shared/data/quintd (`responses.jsonl.gz`; see its SOURCE.md). Without an option the shipped
weights judge; on the data that they were trained on (its hash stands in the weights) that would flatter, so there
`--crossval` is demanded: train on four fifths of the records, judge the rest, five times, calibration and thresholds
included. `--transfer` leaves one domain out at a time instead.

`f1` is that of whole texts (wrong: any human span of type 0 or 1) at the threshold chosen in training. `f1_low` is
`all_positive_f1` plus the low end of the 95% interval of the difference, by paired bootstrap over records: above
`all_positive_f1` means better than calling everything wrong. `ece`: sentences, 15 bins of equal mass.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from planted import swaps  # noqa: E402
from train_detector import Detector, Example, fingerprint, fit, folds, load  # noqa: E402

from tokenrec.gates.factuality.detector import WEIGHTS, load_detector, read  # noqa: E402

FOLDS, DRAWS = 5, 1000


class Judged:
    """What a detector says of some examples, beside the labels."""

    def __init__(self, examples: list[Example]):
        self.examples = examples
        self.lines: list[np.ndarray] = [np.zeros(0)] * len(examples)
        self.texts = np.zeros(len(examples))
        self.positive = np.zeros(len(examples), bool)
        self.by: dict[int, Detector] = {}
        self.familiar: list[float] = []  # share of texts of a familiar kind, by fold

    def judge(self, detector: Detector, at: np.ndarray) -> None:
        known = [detector.known(self.examples[i].reading) >= detector.familiar for i in at]
        self.familiar.append(float(np.mean(known)))
        self.by |= dict.fromkeys(at.tolist(), detector)
        lines, texts = detector.calibrated([self.examples[i].reading for i in at])
        for i, line, p in zip(at, lines, texts):
            self.lines[i], self.texts[i], self.positive[i] = line, p, p >= detector.thresholds["text"]

    def figures(self) -> dict:
        """The figures of the JSON contract, and beside them those of texts, gains and intervals."""
        truth = np.array([e.any_wrong for e in self.examples])
        domain = np.array([e.domain for e in self.examples])
        lines, wrong = np.concatenate(self.lines), np.concatenate([e.wrong for e in self.examples])
        of = np.repeat(np.arange(len(self.examples)), [len(line) for line in self.lines])
        f1, base, gain_low, gain_high = self.f1(truth)
        by_domain = {}
        for d in sorted(set(domain)):
            here, there = domain == d, domain[of] == d
            by_domain[d] = {
                "texts": int(here.sum()),
                "sentence_auroc": auroc(wrong[there], lines[there]),
                "response_auroc": auroc(truth[here], self.texts[here]),
                "wrong_sentences": round(float(wrong[there].mean()), 4),
                "wrong_responses": round(float(truth[here].mean()), 4),
            }
        known = [v["response_auroc"] for v in by_domain.values() if v["response_auroc"] is not None]
        return {
            "sentence_auroc": auroc(wrong, lines),
            "response_auroc": auroc(truth, self.texts),
            "ece": ece(wrong, lines),
            "f1": round(f1, 4),
            "f1_low": round(base + gain_low, 4),
            "all_positive_f1": round(base, 4),
            "by_domain": by_domain,
            "response_auroc_mean_over_domains": round(float(np.mean(known)), 4) if known else None,
            "response_ece": ece(truth, self.texts),
            "familiar": [round(v, 3) for v in self.familiar],
            "f1_gain": [round(f1 - base, 4), round(gain_low, 4), round(gain_high, 4)],
            "intervals": self.intervals(truth, lines, wrong, of),
        }

    def f1(self, truth: np.ndarray) -> tuple[float, float, float, float]:
        """F1 of texts, F1 of calling all wrong, and the 95% interval of their difference (bootstrap over records)."""
        gains = [
            score(truth[i], self.positive[i]) - score(truth[i], np.ones(len(i), bool)) for i in resamples(self.examples)
        ]
        low, high = np.quantile(gains, (0.025, 0.975))
        return score(truth, self.positive), score(truth, np.ones(len(truth), bool)), float(low), float(high)

    def intervals(self, truth: np.ndarray, lines: np.ndarray, wrong: np.ndarray, of: np.ndarray) -> dict:
        """95% intervals of the AUROCs by bootstrap over records."""
        places = np.split(np.arange(len(of)), np.cumsum(np.bincount(of, minlength=len(truth)))[:-1])
        sentence, response = [], []
        for i in resamples(self.examples, 200):
            j = np.concatenate([places[k] for k in i])
            sentence.append(auroc(wrong[j], lines[j]))
            response.append(auroc(truth[i], self.texts[i]))
        return {
            "sentence_auroc": [round(float(v), 4) for v in np.quantile([s for s in sentence if s], (0.025, 0.975))],
            "response_auroc": [round(float(v), 4) for v in np.quantile([r for r in response if r], (0.025, 0.975))],
        }


def resamples(examples: list[Example], draws: int = DRAWS):
    rng = np.random.default_rng(0)
    groups: dict[str, list[int]] = {}
    for i, e in enumerate(examples):
        groups.setdefault(e.record, []).append(i)
    groups = [np.array(g) for g in groups.values()]
    for _ in range(draws):
        yield np.concatenate([groups[k] for k in rng.integers(0, len(groups), len(groups))])


def score(truth: np.ndarray, said: np.ndarray) -> float:
    return float(f1_score(truth, said, zero_division=0))


def auroc(y: np.ndarray, p: np.ndarray) -> float | None:
    return round(float(roc_auc_score(y, p)), 4) if 0 < y.sum() < len(y) else None


def ece(y: np.ndarray, p: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error over bins of equal mass."""
    parts = np.array_split(np.argsort(p, kind="stable"), bins)
    return round(float(sum(len(i) / len(p) * abs(y[i].mean() - p[i].mean()) for i in parts if len(i))), 4)


def crossval(examples: list[Example], fold: np.ndarray) -> Judged:
    """Train on all folds but one, judge that one; calibration and thresholds never see it."""
    judged = Judged(examples)
    for k in sorted(set(fold)):
        detector = fit([e for e, f in zip(examples, fold) if f != k])
        judged.judge(detector, np.flatnonzero(fold == k))
    return judged


def caught(judged: Judged) -> dict:
    """Share of planted swaps whose sentence is put above the threshold at which one clean sentence in twenty is.

    Made from texts that humans found without any error (`evals/planted.py`); each judged by the detector that has not
    seen its record. `worse`: share whose sentence is called less likely sound than it was before the swap.
    """
    clean = [i for i, e in enumerate(judged.examples) if not e.any_wrong and e.reading.places]
    some = [judged.examples[i] for i in clean]
    made = swaps([e.text for e in some], [e.facts for e in some], [e.domain for e in some])
    calm = np.concatenate([judged.lines[i] for i in clean])
    threshold = float(np.quantile(calm, 0.95))
    kinds: dict[str, list[tuple[float, float]]] = {}
    for s in made:
        example, i = some[s.source], clean[s.source]
        reading = read(s.text, example.facts)
        line = judged.by[i].calibrated([reading])[0][0]
        place = next((j for j, (a, b) in enumerate(reading.places) if a <= s.start < b), None)
        if place is not None and len(line) == len(judged.lines[i]):
            kinds.setdefault(s.kind, []).append((float(line[place]), float(judged.lines[i][place])))
    found = {
        kind: {
            "swaps": len(pairs),
            "caught": round(float(np.mean([p > threshold for p, _ in pairs])), 4),
            "worse": round(float(np.mean([p > before for p, before in pairs])), 4),
        }
        for kind, pairs in sorted(kinds.items())
    }
    pairs = [pair for group in kinds.values() for pair in group]
    share = round(float(np.mean([p > threshold for p, _ in pairs])), 4) if pairs else None
    return {"caught": share, "false_alarms": round(float(np.mean(calm > threshold)), 4), "by_kind": found}


def speed(examples: list[Example], detector: Detector) -> dict:
    """Records a second on one core: reading (features) and judging."""
    some = examples[:: max(1, len(examples) // 300)]
    start = time.process_time()
    readings = [read(e.text, e.facts) for e in some]
    middle = time.process_time()
    detector.calibrated(readings)
    end = time.process_time()
    return {
        "records_per_s": round(len(some) / (end - start), 1),
        "reading_ms": round(1000 * (middle - start) / len(some), 2),
        "judging_ms": round(1000 * (end - middle) / len(some), 2),
    }


def trained_on(folder: Path) -> bool:
    known = json.loads((WEIGHTS / "detector.json").read_text(encoding="utf-8"))["data"]
    return fingerprint(folder) in known.values()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--crossval", action="store_true", help="train by record folds instead of the shipped weights")
    parser.add_argument("--transfer", action="store_true", help="leave one domain out at a time")
    parser.add_argument("--swaps", action="store_true", help="planted swaps of numbers, names and attributes")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    trains = options.crossval or options.transfer
    if not trains and trained_on(options.folder):
        sys.exit(f"the shipped weights were trained on {options.folder}: use --crossval (or --transfer)")
    examples = load(options.folder)
    if options.transfer:
        domains = sorted({e.domain for e in examples})
        judged = crossval(examples, np.array([domains.index(e.domain) for e in examples]))
    elif options.crossval:
        judged = crossval(examples, folds([e.record for e in examples], FOLDS))
    else:
        judged = Judged(examples)
        judged.judge(load_detector(), np.arange(len(examples)))
    found = judged.figures()
    if options.swaps:
        found["swaps"] = caught(judged)
    if options.speed:
        found["speed"] = speed(examples, load_detector())
    print(json.dumps(found, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
