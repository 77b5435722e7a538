"""How many records a second do the gates judge on one core? Real texts with their records, from ../shared/data.

    OMP_NUM_THREADS=1 python evals/benchmarks/gates.py [--n 5000] [--json] [--findings FILE]

For each kind of text: schema + noise + rules (`Judge.check`), the same for those that pass every check (nothing ends
early), the batch checks, both together, the detector on top, what reading the answer costs by itself (`json.loads`
and pydantic), and `Guard.parse` of Guardrails with the same validators. Processor time, so that a busy machine only
blurs it. --findings writes every finding, a line a text: two versions judge alike when the files are equal.
"""

import argparse
import gzip
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT))
FEW = 100  # texts for what is a hundred times dearer


def cases() -> Iterator[tuple[str, str, list[tuple[str, dict, str]]]]:
    """(what they are, grounding, [(name, record, text)]) of each kind of text."""
    import pyarrow.parquet as pq

    titles = _lines("once_goodreads/llm_descriptions.jsonl.gz")
    yield "books, from a title", "open", [(r["title"], {"title": r["title"]}, r["description"]) for r in titles]
    artists = _lines("colakg_lastfm/llm_items.jsonl.gz")
    facts = [{"name": r["name"], "tags": r["tags"]} for r in artists]
    long = [(r["name"], fact, r["llm_text"]) for r, fact in zip(artists, facts, strict=True)]
    yield "artists, from tags", "open", long
    yield "artists, held to the tags", "closed", long
    reports = _lines("quintd/responses.jsonl.gz")
    held = [("", {f"fact {i}": fact for i, fact in enumerate(r["facts"])}, r["text"]) for r in reports]
    yield "reports on records (quintd)", "closed", held
    dishes = pq.read_table(DATA / "foodcom_small/recipes.parquet").to_pylist()
    keys = ("name", "minutes", "ingredients", "steps", "tags")
    records = [{k: _plain(r[k]) for k in keys} for r in dishes]
    told = zip(dishes, records, strict=True)
    yield "dishes, whole recipes", "closed", [(r["name"], rec, r["description"]) for r, rec in told if r["description"]]


def _plain(value):
    import ast

    return ast.literal_eval(value) if isinstance(value, str) and value.startswith("[") else value


def _lines(path: str) -> list[dict]:
    with gzip.open(DATA / path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def timed(work, n: int) -> float:
    """Items a second of processor time."""
    start = time.process_time()
    work()
    return n / max(time.process_time() - start, 1e-9)


def measure(what: str, ground: str, found: list[tuple[str, dict, str]], most: int, out) -> dict:
    from tokenrec.gates.base import Candidate
    from tokenrec.gates.factuality.catalogue import catalogue_terms
    from tokenrec.gates.judge import Judge
    from tokenrec.gates.schema import parse
    from tokenrec.gates.text import count_words
    from tokenrec.recipe.tasks import Task

    def judge(**how) -> Judge:
        output = {"type": "text", "grounding": ground, **how}
        task = Task.model_validate({"for": "item", "inputs": ["name"], "write": "Describe it in your own words.",
                                    "outputs": {"text": output}})  # fmt: skip
        return Judge("text", task, terms=catalogue_terms([r for _, r, _ in found]) if ground == "closed" else None)

    plain = judge()
    several = [found[i % len(found)] for i in range(most)] if len(found) < most else found[:most]
    rows = [Candidate(str(i), "text", name or str(i), json.dumps({"text": text}), None, record, name)
            for i, (name, record, text) in enumerate(several)]  # fmt: skip
    few = rows[:FEW]
    import scipy.sparse  # noqa: F401  not counted: a batch imports these once
    import sklearn.preprocessing  # noqa: F401

    for c in rows[:50]:
        plain.check(c)  # warm: models and patterns are loaded once
    findings = {}
    length = sum(count_words(t) for _, _, t in several) / len(rows)
    distinct = min(len(found), most)
    result = {"what": what, "grounding": ground, "texts": len(rows), "distinct": distinct, "words": length}
    result["check"] = timed(lambda: findings.update((c.key, plain.check(c)) for c in rows), len(rows))
    sound = [c for c in rows if all(f.passed for f in findings[c.key])]
    result["passed"] = len(sound)
    if sound:
        result["check_of_passed"] = timed(lambda: [plain.check(c) for c in sound], len(sound))
    own = [Candidate(c.key, c.task, c.subject, c.raw, None, c.record, c.name) for c in rows[: len(found)]]
    extra = {}
    result["batch"] = timed(lambda: extra.update(plain.check_batch(own, findings)), len(own))
    result["together"] = 1 / (1 / result["check"] + 1 / result["batch"])
    result["read"] = timed(lambda: [(json.loads(c.raw), parse(plain.shape, c.raw)) for c in rows], len(rows))
    result["ratio_to_reading"] = result["read"] / result["check"]
    if ground == "closed":
        from tokenrec.gates.factuality.detector import load_detector

        load_detector()
        wary = judge(judge="detector")
        some = [c for c in sound or rows][:FEW]
        result["with_detector"] = timed(lambda: [wary.check(c) for c in some], len(some))
    guard = _guard(plain)
    result["guardrails"] = timed(lambda: [guard(c) for c in few], len(few))
    mine = timed(lambda: [plain.check(c) for c in few], len(few))
    result["ratio_to_guardrails"] = mine / result["guardrails"]
    if out:
        for c in rows[: len(found)]:
            said = [(f.gate, f.passed, f.score, f.reason, f.quote) for f in findings[c.key] + extra.get(c.key, [])]
            print(json.dumps([what, c.key, said], ensure_ascii=False), file=out)
    return result


def _guard(judge):
    from tokenrec.gates.registry import guard_for

    guard = guard_for(judge)
    return lambda c: guard.parse(c.raw, metadata={"record": c.record, "name": c.name}, num_reasks=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=5000, help="texts of each kind; fewer ones are gone through again")
    parser.add_argument("--only", default="", help="kinds whose name has this in it")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--findings", type=argparse.FileType("w", encoding="utf-8"))
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"the published texts are not on this machine (looked for {DATA})")
    kinds = [kind for kind in cases() if not args.only or args.only in kind[0]]
    results = [measure(*kind, args.n, args.findings) for kind in kinds]
    if args.json:
        print(json.dumps(results, indent=1))
        return
    for r in results:
        print(f"{r['what']}, {r['grounding']}: {r['texts']:,} ({r['distinct']:,} distinct) of {r['words']:.0f} words")
        print(f"  schema + noise + rules  {r['check']:>9,.0f}/s   ({r['passed']:,} pass"
              + (f"; those alone {r['check_of_passed']:,.0f}/s)" if "check_of_passed" in r else ")"))  # fmt: skip
        print(f"  batch checks            {r['batch']:>9,.0f}/s   together {r['together']:,.0f}/s")
        print(f"  reading the answer      {r['read']:>9,.0f}/s   {r['ratio_to_reading']:.0f} times a check")
        if "with_detector" in r:
            print(f"  with the detector       {r['with_detector']:>9,.0f}/s")
        print(f"  Guardrails, same checks {r['guardrails']:>9,.0f}/s   ours {r['ratio_to_guardrails']:.1f} times that")


if __name__ == "__main__":
    main()
