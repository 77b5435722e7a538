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
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from swaps import swaps  # noqa: E402
from train_detector import Detector, Example, fingerprint, fit, folds, load  # noqa: E402
from train_swaps import catalogues  # noqa: E402

from tokenrec.gates.factuality.detector import WEIGHTS, load_detector, read  # noqa: E402
from tokenrec.gates.factuality.facts import Facts  # noqa: E402
from tokenrec.gates.factuality.names import entities  # noqa: E402
from tokenrec.gates.factuality.numbers import numbers  # noqa: E402
from tokenrec.gates.factuality.slots import Catalogue  # noqa: E402

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
    """How many planted swaps (`evals/swaps.py`) are caught in texts that humans found without any error.

    Each text is judged by the detector that has not seen its record. By the swap judge without and with a catalogue
    (all records of the domain), and by the probability of the human labels' judge; at the threshold that one clean
    sentence in twenty passes ("sentence"), at that which one clean text in twenty does ("text"), and at the threshold
    that training chose ("shipped": share of swapped texts in which anything is above it, and of clean ones, by text).
    `rules`: the hard rules for numbers and names, by text; `rules_or_shipped`: either of them.
    """
    clean = [i for i, e in enumerate(judged.examples) if not e.any_wrong and e.reading.places]
    some = [judged.examples[i] for i in clean]
    facts = {e.record: Facts(e.facts) for e in some}
    made = swaps([e.text for e in some], [facts[e.record] for e in some], [e.domain for e in some])
    held = catalogues(judged.examples)
    found: dict = {"swaps": dict(Counter(s.kind for s in made)), "clean_texts": len(some)}
    rules_calm = [broken(e.text, e.facts) for e in some]
    rules_made = [broken(s.text, some[s.source].facts) for s in made]
    found["rules"] = shares(made, rules_made, rules_calm)
    for view in ("probability", "plain", "catalogue"):
        calm: list[list[float]] = []
        for i, e in zip(clean, some):
            calm.append(line(judged.by[i], e.text, facts[e.record], held[e.domain], view))
        hits, tops = [], []
        for s in made:
            e, i = some[s.source], clean[s.source]
            got = line(judged.by[i], s.text, facts[e.record], held[e.domain], view)
            at = next((j for j, (a, b) in enumerate(e.reading.places) if a <= s.start < b), 0)
            hits.append(got[at] if at < len(got) else 0.0)
            tops.append(max(got, default=0.0))
        flat, most = np.concatenate(calm), np.array([max(c) for c in calm])
        by_sentence, by_text = np.quantile(flat, 0.95), np.quantile(most, 0.95)
        found[view] = {
            "sentence": shares(made, np.array(hits) > by_sentence, flat > by_sentence),
            "text": shares(made, np.array(tops) > by_text, most > by_text),
        }
        if view != "probability":
            limits = np.array([judged.by[i].swaps.thresholds[view] for i in clean])
            over = np.array(tops) > limits[[s.source for s in made]]
            found[view]["shipped"] = shares(made, over, most > limits)
            found[view]["rules_or_shipped"] = shares(made, over | rules_made, (most > limits) | rules_calm)
    return found


def line(detector: Detector, text: str, facts: Facts, catalogue: Catalogue, view: str) -> list[float]:
    """A score for each sentence of a text."""
    reading = read(text, facts, catalogue if view == "catalogue" else None)
    if view == "probability":
        return detector.calibrated([reading])[0][0].tolist()
    return [score for score, _ in detector.swapped(reading)]


def broken(text: str, facts: list[str]) -> bool:
    """Whether a hard rule that needs no catalogue rejects the text."""
    record = {"facts": facts}
    return not (numbers(text, record).passed and entities(text, record).passed)


def shares(made: list, hit: Sequence[bool], alarm: Sequence[bool]) -> dict:
    """Share caught, in all and by kind, and share of clean sentences or texts that are called swapped."""
    kinds = {k: [h for s, h in zip(made, hit) if s.kind == k] for k in sorted({s.kind for s in made})}
    return {
        "caught": round(float(np.mean(hit)), 4),
        **{kind: round(float(np.mean(h)), 4) for kind, h in kinds.items()},
        "false_alarms": round(float(np.mean(alarm)), 4),
    }


def speed(examples: list[Example], detector: Detector) -> dict:
    """Records a second on one core: reading (features) and judging."""
    some = examples[:: max(1, len(examples) // 300)]
    start = time.process_time()
    readings = [read(e.text, e.facts) for e in some]
    middle = time.process_time()
    detector.calibrated(readings)
    for r in readings:
        detector.swapped(r)
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
