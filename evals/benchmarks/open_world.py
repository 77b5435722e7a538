"""Open grounding measured: agreement between answers, the record against other claims, items that do not exist.

    python evals/benchmarks/open_world.py DATA_DIR [--parts labels,planted,records,fictitious] [--dishes 60] [--json]

DATA_DIR is laid out like shared/data. Parts whose data is missing are left out, saying so.

labels: ragtruth_qa and faithbench (measure only): several models answered one question from one source, and people
  marked unsupported spans. The other models stand in for resampling, `--samples` of them, drawn by a seed: AUROC of a
  sentence's score for "holds a marked span", 95% interval by bootstrap over questions, and texts a second. It is a
  stand-in: errors that models share are not seen, and true things that only one of them picks from the source look odd.
planted: the same answers, where a year, count or name that recurs in other answers is exchanged for another one of the
  corpus: share that is called contradicted, and share of the untouched answers that is.
records: claims of LLMs against catalogues: colakg_lastfm's texts on artists (their tags are the record) and
  once_goodreads' on books (its record is the title; it has no authors and no years, so nothing of a maker can be
  measured there). A text beside another item's record says what the gate makes of wrong claims.
fictitious: `--dishes` names of the bundled kitchen and as many made up by a seeded rule (syllables, none of them a word
  of the kitchen), asked of the writer (the embedded model unless --writer says) with agreement, for two factors, each
  of which may be unknown. Share of factors that come out unknown, contradicted, unverifiable and supported.
"""

import argparse
import gzip
import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tokenrec.gates.factuality.agreement import SUPPORTED, agreement  # noqa: E402
from tokenrec.gates.factuality.catalogue import catalogue_terms  # noqa: E402
from tokenrec.gates.factuality.claims import claims, shown  # noqa: E402
from tokenrec.gates.factuality.open import refuted, stated  # noqa: E402

DRAWS = 1000
Answers = dict[str, list[tuple[str, list[tuple[int, int]]]]]  # question → (answer, marked spans)


def lines(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def ragtruth(data: Path) -> Answers:
    found = defaultdict(list)
    for r in lines(data / "ragtruth_qa/qa_half.jsonl.gz"):
        found[r["source_id"]].append((r["response"], [(s["start"], s["end"]) for s in r["spans"]]))
    return found


def faithbench(data: Path) -> Answers:
    """Unwanted spans only: benign and questionable ones are no errors."""
    found = defaultdict(list)
    for r in lines(data / "faithbench/samples.jsonl.gz"):
        spans = [(s["start"], s["end"]) for s in r["spans"] if "Unwanted" in str(s["label"])]
        found[r["source"]].append((r["summary"], spans))
    return found


def beside(found: Answers, samples: int) -> list[tuple[str, str, list, list[str]]]:
    """(question, answer, spans, other answers), with exactly `samples` others drawn by a seed."""
    rows = []
    for question, answers in sorted(found.items()):
        for i, (text, spans) in enumerate(answers):
            others = [a for j, (a, _) in enumerate(answers) if j != i]
            if len(others) >= samples:
                rows.append((question, text, spans, random.Random(f"{question} {i}").sample(others, samples)))
    return rows


def labels(found: Answers, samples: int) -> dict:
    rows = beside(found, samples)
    began = time.perf_counter()
    judged = [agreement(text, others) for _, text, _, others in rows]
    seconds = time.perf_counter() - began
    bad, score, verdict, of = [], [], [], []
    for (question, _, spans, _), stated_ in zip(rows, judged):
        for c in stated_:
            bad.append(any(min(c.end, end) - max(c.start, start) > 3 for start, end in spans))
            score.append(c.score)
            verdict.append(c.verdict)
            of.append(question)
    bad, score, verdict, of = map(np.array, (bad, score, verdict, of))
    low, high = interval(bad, score, of)
    by = {v: {"sentences": int(n), "unsupported": round(float(bad[verdict == v].mean()), 4)}
          for v, n in sorted(Counter(verdict.tolist()).items())}  # fmt: skip
    return {
        "texts": len(rows), "sentences": len(bad), "unsupported": round(float(bad.mean()), 4),
        "auroc": round(roc_auc_score(bad, score), 4), "low": low, "high": high, "by_verdict": by,
        "texts_per_s": round(len(rows) / seconds, 1),
    }  # fmt: skip


def interval(bad: np.ndarray, score: np.ndarray, of: np.ndarray) -> tuple[float, float]:
    """95% interval of the AUROC by bootstrap over questions."""
    rng, groups = np.random.default_rng(0), [np.flatnonzero(of == q) for q in np.unique(of)]
    drawn = []
    for _ in range(DRAWS):
        at = np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])
        if 0 < bad[at].sum() < len(at):
            drawn.append(roc_auc_score(bad[at], score[at]))
    return tuple(round(float(q), 4) for q in np.quantile(drawn, [0.025, 0.975]))


def planted(found: Answers, samples: int) -> dict:
    """One exchange an answer: a value on which the others agree, for the same kind of value from elsewhere."""
    rows = beside(found, samples)
    pool = defaultdict(list)
    for question, text, _, _ in rows:
        for c in claims(text):
            for s in c.slots:
                pool[s.key[0]].append((question, shown(text, s)))
    rng, caught, alarms, n = random.Random(1), Counter(), 0, Counter()
    for question, text, _, others in rows:
        alarms += any(c.verdict == "contradicted" for c in agreement(text, others))
        slots = [s for c in claims(text) for s in c.slots if s.key[0] in ("year", "count", "name")]
        slots = [s for s in slots if sum(any(t.key == s.key and t.agrees(s) for c in claims(o) for t in c.slots)
                                         for o in others) >= 2]  # fmt: skip
        other = [v for q, v in pool[slots[0].key[0]] if q != question] if slots else []
        if not other:
            continue
        slot = slots[0]
        made = text[: slot.start] + rng.choice(other) + text[slot.end :]
        n[slot.key[0]] += 1
        caught[slot.key[0]] += any(
            c.verdict == "contradicted" and c.start <= slot.start < c.end + 40 for c in agreement(made, others)
        )
    total = sum(n.values())
    return {
        "exchanged": total, "caught": round(sum(caught.values()) / total, 4) if total else None,
        "by_kind": {k: f"{caught[k]} of {n[k]}" for k in n},
        "untouched": len(rows), "called_contradicted": round(alarms / len(rows), 4),
    }  # fmt: skip


def records(texts: list[tuple[str, str, dict]]) -> dict:
    """(text, name, record): what the record says of its own text, and of another item's (the next one's)."""
    terms, n = catalogue_terms([r for _, _, r in texts]), len(texts)
    own, other, score, truth, seconds = Counter(), Counter(), [], [], 0.0
    for i, (text, name, record) in enumerate(texts):
        began = time.perf_counter()
        mine = stated(text, record, [], name)
        own["refuted"] += refuted(text, record, terms, name) is not None
        seconds += time.perf_counter() - began
        _, _, wrong = texts[(i + 1) % n]
        theirs = stated(text, wrong, [], name)
        other["refuted"] += refuted(text, wrong, terms, name) is not None
        for found, count, is_own in ((mine, own, True), (theirs, other, False)):
            count["claims"] += len(found)
            count["supported"] += sum(c.verdict == SUPPORTED for c in found)
            if found:
                score.append(np.mean([c.score for c in found]))
                truth.append(is_own)
    share = lambda c: {  # noqa: E731
        "texts_refuted": round(c["refuted"] / n, 4), "claims_supported": round(c["supported"] / max(c["claims"], 1), 4)
    }  # fmt: skip
    return {"texts": n, "own_record": share(own), "another_record": share(other),
            "auroc_own_or_other": round(roc_auc_score(truth, -np.array(score)), 4),
            "texts_per_s": round(n / seconds, 1)}  # fmt: skip


RECIPE = """\
name: open_world
data:
  items: {{path: dishes.jsonl, id: dish_id, name: name, text: [name], facts: [cuisine, ingredients]}}
  events: {{path: events.csv, user: user_id, item: dish_id, time: at}}
lm: {{writer: "{writer}"}}
tasks:
  known:
    for: item
    inputs: [name]
    write: Say what you know of the dish. Write unknown where you do not know it.
    outputs:
      origin: {{type: text, grounding: open, or_unknown: true, unverifiable: {rule}, max_words: 8,
        describe: the country or region that it comes from}}
      made_of: {{type: text, grounding: open, or_unknown: true, unverifiable: {rule}, max_words: 15,
        describe: its two or three main ingredients}}
    examples:
      - {{name: Pad Thai, origin: Thailand, made_of: "rice noodles, prawns and tamarind"}}
      - {{name: Quorvel Timbat, origin: unknown, made_of: unknown}}
      - {{name: Bouillabaisse, origin: "Marseille, France", made_of: "fish, tomatoes and saffron"}}
    agreement: {{samples: 3, temperature: 0.7}}
    max_tokens: 48
"""


def made_up(n: int, known: set[str], seed: int = 7) -> list[str]:
    """Names of two words of two or three syllables, none of them a word that is known."""
    rng, names = random.Random(seed), []
    starts = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "kr", "pl", "tr"]
    while len(names) < n:
        said = []
        while len(said) < 2:
            word = ""
            for _ in range(rng.choice([2, 3])):
                word += rng.choice(starts) + rng.choice("aeiou") + rng.choice(["", "", "l", "n", "r", "s"])
            if word not in known:
                said.append(word.capitalize())
        names.append(" ".join(said))
    return names


def fictitious(n: int, writer: str, rule: str = "keep") -> dict:
    """What comes out of names of dishes that exist and of names that were made up; through the store, as in a run."""
    from tokenrec.compiler.record import start_run
    from tokenrec.compiler.session import open_session
    from tokenrec.compiler.writing import generate_with
    from tokenrec.gates.build import make_judge
    from tokenrec.recipe.load import load_recipe
    from tokenrec.store.verdicts import stored_findings
    from tokenrec.tasks.inputs import prompts, spooled
    from tokenrec.tasks.program import make_program
    from tokenrec.tasks.spec import task_spec

    kitchen = [json.loads(line) for line in (ROOT / "recipes/kitchen/dishes.jsonl").open(encoding="utf-8")]
    words = {w.lower() for d in kitchen for w in d["name"].split()}
    real = random.Random(7).sample(kitchen, n)
    dishes = [{k: d[k] for k in ("dish_id", "name", "cuisine", "ingredients")} for d in real]
    dishes += [{"dish_id": f"zz{i}", "name": name} for i, name in enumerate(made_up(n, words))]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "tokenrec.yaml").write_text("store: s.db\n")
        (root / "recipe.yaml").write_text(RECIPE.format(writer=writer, rule=rule))
        (root / "dishes.jsonl").write_text("".join(json.dumps(d, ensure_ascii=False) + "\n" for d in dishes))
        events = "".join(f"u{i % 9},{dishes[i % len(dishes)]['dish_id']},{i}\n" for i in range(100))
        (root / "events.csv").write_text("user_id,dish_id,at\n" + events)
        session = open_session(load_recipe(root / "recipe.yaml"), "bench")
        start_run(session)
        spec = task_spec(session.recipe, "known")
        program = make_program(spec, session.open_writer(), root)
        judge = make_judge(session.recipe, spec, session.dataset)
        asked = spooled(prompts(session.recipe, session.dataset, spec, {}))
        began = time.perf_counter()
        report = generate_with(session, spec, program, judge, asked, lambda report: None)
        seconds = time.perf_counter() - began
        rows = session.db.execute(
            "select s.subject, c.completion_id, c.state, c.output from subjects s join completions c using (input_hash)"
            " where c.sample = 0 order by 1"
        ).fetchall()
        kinds = {True: Counter(), False: Counter()}
        states = {True: Counter(), False: Counter()}
        shown_ = {True: [], False: []}
        for subject, key, state, output in rows:
            exists = not subject.startswith("zz")
            states[exists][state] += 1
            said = json.loads(output) if output else {}
            shown_[exists].append(said)
            fates(kinds[exists], spec.outputs, said, stored_findings(session.db, key))
        session.db.conn.close()
    factors = len(spec.outputs) * n
    return {
        "writer": session.open_writer().lm_id, "rule": rule, "asked": report.asked, "seconds": round(seconds, 1),
        "rejected_by": dict(report.reject_reasons),
        **{name: {"items": n, "states": dict(states[which]),
                  "factors": {k: round(v / factors, 4) for k, v in sorted(kinds[which].items())},
                  "not_told": round(1 - kinds[which]["supported"] / factors, 4), "first": shown_[which][:4]}
           for name, which in (("real", True), ("made_up", False))},
    }  # fmt: skip


def fates(count: Counter, outputs, said: dict, findings: list) -> None:
    """What became of each factor: the gate that ended it, or what agreement says of it."""
    if not said:
        count["malformed"] += len(outputs)
        return
    noise = next((f for f in findings if not f.passed and f.gate.startswith("noise/")), None)
    for field in outputs:
        own = {f.gate: f for f in findings if f.field == field}
        if "unknown" in own:
            count["unknown"] += 1
        elif any(g in own and not own[g].passed for g in ("factuality/record", "factuality/agreement")) or (
            "unknown/contradicted" in own
        ):
            count["contradicted"] += 1
        elif "unknown/unverifiable" in own or (f := own.get("factuality/unverifiable")) and f.score > 0:
            count["unverifiable"] += 1
        elif "factuality/unverifiable" in own:
            count["supported, but the item is noise" if noise else "supported"] += 1
        else:
            count["noise"] += 1


def artists(data: Path) -> list[tuple[str, str, dict]]:
    rows = lines(data / "colakg_lastfm/llm_items.jsonl.gz")
    return [(r["llm_text"], r["name"], {"name": r["name"], "tags": r["tags"]}) for r in rows]


def books(data: Path) -> list[tuple[str, str, dict]]:
    rows = lines(data / "once_goodreads/llm_descriptions.jsonl.gz")
    return [(r["description"], "", {"title": r["title"]}) for r in rows if r["description"]][:3000]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--parts", default="labels,planted,records,fictitious")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--dishes", type=int, default=60)
    parser.add_argument("--writer", default="embedded")
    parser.add_argument("--rule", default="keep", choices=["keep", "drop", "reject"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    parts, doc = options.parts.split(","), {}
    for part, name, read, measure in (
        ("labels", "ragtruth_qa", ragtruth, lambda d: labels(d, options.samples)),
        ("labels", "faithbench", faithbench, lambda d: labels(d, options.samples)),
        ("planted", "ragtruth_qa", ragtruth, lambda d: planted(d, options.samples)),
        ("planted", "faithbench", faithbench, lambda d: planted(d, options.samples)),
        ("records", "colakg_lastfm", artists, records),
        ("records", "once_goodreads", books, records),
    ):
        if part in parts and (options.data / name).is_dir():
            doc.setdefault(part, {})[name] = measure(read(options.data))
        elif part in parts:
            print(f"{part}: {options.data / name} is not there, and is left out", file=sys.stderr)
    if "fictitious" in parts:
        doc["fictitious"] = fictitious(options.dishes, options.writer, options.rule)
    print(json.dumps(doc, ensure_ascii=False) if options.json else json.dumps(doc, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
