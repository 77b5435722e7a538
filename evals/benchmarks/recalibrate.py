"""What labels of a new domain bring to the detector: leave one domain out, fit it with n labelled texts of that domain.

    python evals/benchmarks/recalibrate.py ../shared/data/quintd [--labels 60 120 240] [--risk 0.2] [--json]

For each domain a detector is trained on the others, then fitted (evidence/recalibrate.py) by n labelled texts, and
what it says of labels that it has not seen is set against the unfitted one. `promise`: whether a threshold keeps the
share of unsupported sentences among accepted ones under --risk with 90% confidence, dropping the others, and what
share of the sentences passes; `kept`: that share on the texts without a label. The hard rules are not in play here.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "evals")]

from train_detector import Example, fit, load  # noqa: E402

from tokenrec.evidence.recalibrate import Scored, fitted, recalibrate  # noqa: E402
from tokenrec.gates.calibration import Third, third_of  # noqa: E402
from tokenrec.ids import unit_hash  # noqa: E402
from tokenrec.recipe.outputs import Factuality  # noqa: E402


def scored(detector, examples: list[Example]) -> list[Scored]:
    """Every text of a domain as the detector sees it, with its labels."""
    found = []
    for e in examples:
        sentences = detector.with_features(e.text, e.facts)
        if sentences:
            p, features = zip(*((p, f) for _, _, p, f in sentences), strict=True)
            found.append(Scored({"record": e.record, "id": e.id}, p, features, tuple(map(bool, e.wrong))))
    return found


def study(texts: list[Scored], n: int, risk: float) -> dict:
    """Fit with n labelled texts (whole records, by hash); the rest has none."""
    order = sorted(texts, key=lambda t: unit_hash("order", t.record["record"], t.record["id"]))
    labelled, rest = order[:n], order[n:]
    bare = [Scored(t.record, t.p, t.features) for t in rest]
    entry = recalibrate("t", labelled + bare, Factuality(risk=risk), drop=True)
    kept = None
    if entry["promised"]:
        accepted = bad = 0
        for t in rest:
            third = Third(**entry["thirds"][third_of("t", t.record)])
            into = fitted(third, t) < third.threshold
            accepted, bad = accepted + into.sum(), bad + (into & np.array(t.bad)).sum()
        kept = float(bad / accepted) if accepted else 0.0
    gain = entry["gain"] or {}
    return {"labels": n, **gain, "promised": entry["promised"], "passes": entry["passes"], "kept": kept,
            "said": entry["said"]}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", type=int, nargs="+", default=[60, 120, 240])
    parser.add_argument("--risk", type=float, default=0.2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    examples = load(options.folder)
    rows = []
    for domain in sorted({e.domain for e in examples}):
        detector = fit([e for e in examples if e.domain != domain])
        texts = scored(detector, [e for e in examples if e.domain == domain])
        for n in options.labels:
            if n <= len(texts):
                rows.append({"domain": domain, **study(texts, n, options.risk)})
                if not options.json:
                    show(rows[-1])
    means = {n: float(np.mean([r["rise"] for r in rows if r["labels"] == n and "rise" in r])) for n in options.labels}
    if options.json:
        print(json.dumps({"kind": "recalibrate", "schema_version": 1, "rows": rows, "mean_rise": means}))
    else:
        print("mean rise of AUROC by labels:", ", ".join(f"{n}: {rise:+.3f}" for n, rise in means.items()))


def show(r: dict) -> None:
    gain = "nothing to fit"
    if "rise" in r:
        gain = (f"sentence AUROC {r['auroc_before']:.3f} -> {r['auroc_after']:.3f} ({r['rise_low']:+.3f} to "
                f"{r['rise_high']:+.3f}), Brier {r['brier_before']:.3f} -> {r['brier_after']:.3f}")  # fmt: skip
    kept = "" if r["kept"] is None else f"; of the unlabelled {r['kept']:.1%} unsupported"
    print(f"{r['domain']:12} {r['labels']:4} labels: {gain}. {r['said']}{kept}", flush=True)


if __name__ == "__main__":
    main()
