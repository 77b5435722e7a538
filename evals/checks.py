"""How right is each check by itself? Precision and recall, check by check, and what it flags in published texts.

    python evals/checks.py [--json]

Labelled: the cases of gates.yaml, fresh.yaml and (where ../shared/data is there) defects.yaml. *Recall*: of the cases
of its kind, those that the check itself refuses, run alone. *Precision*: of all labelled cases that it refuses, run
alone, those that are to be rejected, for whatever reason. Read: published texts that nobody had labelled; of those that
the check is the first to refuse, some were read by us (gates/read.jsonl), and so many were refused rightly.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

# what a labelled kind is caught by
OWN = {
    "attribute": ["factuality/contradicted", "factuality/names"],
    "boilerplate": ["noise/boilerplate"],
    "collapse": ["noise/collapse", "noise/near_duplicate"],
    "copy": ["noise/copy"],
    "cut_off": ["noise/cut_off"],
    "duplicate_in_list": ["noise/vocabulary"],
    "echo": ["noise/echo"],
    "length": ["noise/length"],
    "list_rule": ["noise/vocabulary"],
    "list_size": ["noise/vocabulary"],
    "loop": ["noise/loops"],
    "markup": ["noise/markup"],
    "name": ["factuality/names", "factuality/entities"],
    "near_duplicate": ["noise/near_duplicate"],
    "not_in_catalogue": ["noise/catalogue"],
    "not_telling": ["noise/not_telling"],
    "number": ["factuality/numbers"],
    "refusal": ["noise/refusal"],
    "repeats_history": ["noise/known"],
    "tells_nothing": ["noise/tells_nothing"],
    "time": ["factuality/numbers"],
    "unit": ["factuality/numbers"],
    "vocabulary": ["noise/vocabulary"],
    "wrong_language": ["noise/language"],
}  # fmt: skip


def everything(judge, candidates, side_by_side: bool) -> dict[str, set[str]]:
    """Gates that refuse each candidate, every one run by itself, whatever the others say."""
    from tokenrec.gates.checks import Source
    from tokenrec.gates.judge import Batch

    failed: dict[str, set[str]] = {}
    batch, keys = Batch(judge.task), []
    for c in candidates:
        output = judge.read(c)
        failed[c.key] = mine = set()
        if output is None:
            mine.add("schema")
            continue
        source = Source(c.record, c.name, c.finish_reason)
        for field, tags in judge._closed(output):
            if not judge._vocabulary(field, tags).passed:
                mine.add("noise/vocabulary")
        for field, rules in judge.rules.items():
            mine |= {g for g, check in judge._checks[field].items() if not check(output[field], rules, source).passed}
        batch.add(c.subject, c.name, c.record, output)
        keys.append(c.key)
    found = judge.look_at(batch) if side_by_side else lambda i: []
    for i, key in enumerate(keys):
        failed[key] |= {f.gate for f in found(i) if not f.passed}
    return failed


def labelled() -> dict[str, Counter]:
    """By gate: own (cases of its kind), caught, refused (labelled cases that it refuses), right."""
    from tokenrec.evidence.suite import load_suite, together
    from tokenrec.evidence.trial import candidate, judge_of

    counts: dict[str, Counter] = defaultdict(Counter)
    for suite in ("gates", "fresh", "defects"):
        loaded = load_suite(HERE / f"{suite}.yaml")
        for task in loaded.suite.tasks:
            cases = [c for c in loaded.cases if c.task == task]
            judge, batches = judge_of(loaded, task, cases), defaultdict(list)
            for c in cases:
                batches[c.batch].append(candidate(judge, c))
            failed: dict[str, set[str]] = {}
            for batch in batches.values():
                failed |= everything(judge, batch, together(loaded.suite, task))
            for c in cases:
                if c.expect and c.id not in loaded.suite.struck:
                    tally(counts, c.kind, c.expect == "reject", failed[c.id])
    return counts


def tally(counts: Mapping[str, Counter], kind: str, bad: bool, failed: set[str]) -> None:
    own = OWN.get(kind, [])
    for gate in own if bad else ():
        # a kind that several checks share counts for the one that catches it, else for the first
        if gate == next((g for g in own if g in failed), own[0]):
            counts[gate].update(own=1, caught=int(gate in failed))
    for gate in failed:
        counts[gate].update(refused=1, right=int(bad))


def published_counts() -> tuple[dict[str, Counter], dict[str, int]]:
    """By gate: flagged by set (it is the first to refuse), read and right; and the size of each set."""
    import published

    read = defaultdict(dict)
    with open(HERE / "gates" / "read.jsonl", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            read[row["set"], row["gate"]][row["id"]] = row["right"]
    counts: dict[str, Counter] = defaultdict(Counter)
    sizes = {}
    for name, judge, candidates in published.judged():
        sizes[name] = len(candidates)
        for key, verdict in judge.judge(candidates).items():
            for f in verdict.reasons[:1]:
                counts[f.gate][name] += 1
                if key in read[name, f.gate]:
                    counts[f.gate].update(read=1, right=int(read[name, f.gate][key]))
    return counts, sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    import published

    known = labelled()
    seen, sizes = published_counts() if published.DATA.is_dir() else ({}, {})
    if args.json:
        print(json.dumps({"labelled": known, "published": seen, "sizes": sizes}, indent=1))
        return
    print("| check | recall | precision | flagged in published texts | read, right |\n|---|---:|---:|---:|---:|")
    total = sum(sizes.values())
    for gate in sorted({*known, *seen}):
        k, s = known.get(gate, Counter()), seen.get(gate, Counter())
        flagged = sum(s[name] for name in sizes)
        print(f"| `{gate}` | {_of(k['caught'], k['own'])} | {_of(k['right'], k['refused'])} | "
              f"{f'{flagged:,} of {total:,}' if flagged else ''} | {_of(s['right'], s['read'])} |")  # fmt: skip


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.0%})" if whole else "–"


if __name__ == "__main__":
    main()
