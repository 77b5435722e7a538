"""GENRE on books: rewritten items, profiles and invented items, each against raw text and placebo.

    python evals/benchmarks/genre.py DATASET [--json] [--store FOLDER] [--users N] [--write N] [--writer MODEL]

DATASET is a folder laid out like shared/data/once_goodreads. Two things are done with it.

Gates: ONCE's recorded inventions and profiles are judged. They were written from whole histories, the event that is
held out here among them, so nothing is said of ranking with them.

Ranking: the last event of each reader with two or more is test; a model that runs here (`--writer`, the embedded one
unless said) writes anew, from what is left of the history, for the `--write` readers with the shortest ones: a profile
(a few words), an invented book (title and description), and one more steered by the profile (the chain). `titles` are
ONCE's recorded descriptions of books, written from the title alone: the catalogue has no abstracts to rewrite titles
from. Weights of invented books are chosen on tune-A; where that is 0, which drops them, the arm is measured with weight
.5 all the same and says so. `sparse_users` have at most five events before test.
"""

import argparse
import json
import sys
import tempfile
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

METRIC, FORCED, SEEDS = "ndcg@10", 0.5, [0, 1, 2]
TELLS = ("books", "histories", "llm_descriptions", "llm_profiles", "llm_synthetic_books")
INVENTED = {
    "title": {"type": "text", "max_words": 15, "grounding": "none", "not_in": ["liked"], "new": True},
    "description": {"type": "text", "max_words": 60, "grounding": "none"},
}
INTERESTS = {"interests": {"type": "tags", "words_each": 1, "max": 5}}  # the published rule: up to five, a word each
BOOK = {"title": "The Salt Ledger", "description": "A harbour clerk finds that her dead father kept two sets of books."}


def recipe(users: int, write: int, writer: str) -> dict[str, Any]:
    history = {"most": 9, "min": 1, "sample": "recent"}
    invent = {
        "for": "user", "use": "genre.ItemInventor", "history": history,
        "augment": {"under": 5, "weights": [0.25, 0.5, 1]},
        "outputs": INVENTED, "max_tokens": 90, "temperature": 0.7, "subjects": {"most": write, "order": "cold"},
    }  # fmt: skip
    liked = ["The Bridge Inspector", "Twelve Winters", "Cold Accounts"]
    return {
        "name": "genre_books",
        "data": {
            # description stands in the schema of an item, and is empty: those that ONCE wrote are an arm of their own
            "items": {"path": "items.jsonl", "id": "id", "name": "title", "text": ["title", "description"]},
            "events": {"path": "train.csv", "test": "test.csv", "user": "user", "item": "item"},
            "split": {"by": "given"},
            "most_users": users,
        },
        "objective": {"metric": METRIC, "slice": "sparse_users"},
        "lm": {"writer": writer},
        "tasks": {
            "profile": {
                "for": "user", "use": "genre.UserProfiler", "history": history,
                "outputs": {"interests": {"type": "text", "max_words": 12, "grounding": "none",
                                          "describe": "up to five single words"}},
                "examples": [
                    {"liked": liked, "interests": "crime, winter, detectives, secrets"},
                    {"liked": ["Bread at Home", "The Patient Gardener"], "interests": "baking, gardens, craft"},
                    {"liked": ["Dragons of Ash", "The Glass Throne"], "interests": "fantasy, dragons, magic, war"},
                ],
                "max_tokens": 40, "temperature": 0.7, "subjects": {"most": write, "order": "cold"},
            },
            "synthetic": {**invent, "examples": [{"liked": liked, **BOOK}]},
            "chain": {
                **invent, "inputs": ["$profile.interests"],
                "examples": [{"interests": "crime, winter, detectives, secrets", "liked": liked, **BOOK}],
            },
        },
        "compile": {"optimizer": "none"},
    }  # fmt: skip


def project(folder: Path, data: Path, users: int, write: int, writer: str) -> Path:
    """A project in `folder` with the data as files; the path of its recipe."""
    import evidence
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    world = evidence.goodreads(data)
    (folder / "tokenrec.yaml").write_text("store: store.db\nallow_outside: true\n", encoding="utf-8")
    rows = [{"id": i["id"], "title": i["name"], "description": None} for i in world.items]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "items.jsonl").write_text(text, encoding="utf-8")
    for name, pairs in (("train", world.train), ("test", world.test)):
        (folder / f"{name}.csv").write_text("user,item\n" + "".join(f"{u},{i}\n" for u, i in pairs), encoding="utf-8")
    file = folder / "genre_books.yaml"
    made = recipe(users, write, writer)
    file.write_text(yaml.safe_dump(made, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return file


def gates(data: Path) -> dict[str, Any]:
    """What the gates say of the recorded inventions and profiles."""
    import evidence

    from tokenrec.gates.base import Candidate
    from tokenrec.gates.build import terms_for
    from tokenrec.gates.judge import Judge
    from tokenrec.gates.text import words
    from tokenrec.recipe.tasks import Task

    titles = {b["bid"]: b["title"] for b in evidence.lines(data / "books.jsonl.gz")}
    liked = {
        str(r["uid"]): [titles[b] for b in r["history"] if b in titles]
        for r in evidence.lines(data / "histories.jsonl.gz")
    }
    task = Task.model_validate({"for": "user", "use": "genre.ItemInventor", "augment": {}, "outputs": INVENTED})
    judge = Judge("recorded", task, terms=terms_for("user", task.outputs, [], titles.values()))
    candidates, told = [], []
    for row in evidence.lines(data / "llm_synthetic_books.jsonl.gz"):
        user, said = str(row["uid"]), _object(row["raw_response"])
        told.append((user, str(said.get("title", ""))))
        raw = json.dumps({k: said.get(k) for k in INVENTED}, ensure_ascii=False)
        record = {"liked": liked.get(user, [])}
        candidates.append(Candidate(row["gen_id"], "recorded", user, raw, None, record, user))
    verdicts = judge.judge(candidates)
    kept = [title for c, (_, title) in zip(candidates, told, strict=True) if verdicts[c.key].state == "accepted"]
    by = Counter(gate for v in verdicts.values() for gate in {f"{r.gate}.{r.field}" for r in v.reasons})
    same = lambda title: " ".join(words(title))  # noqa: E731 - whatever its capitals and punctuation
    counted, n = Counter(same(title) for _, title in told), max(len(told), 1)
    left = Counter(map(same, kept))
    words_of = [p["interest"] for p in evidence.lines(data / "llm_profiles.jsonl.gz")]
    task = Task.model_validate({"for": "user", "use": "genre.UserProfiler", "outputs": INTERESTS})
    profiles = Judge("profiles", task).judge([
        Candidate(str(i), "profiles", str(i), json.dumps({"interests": w}, ensure_ascii=False), None, {})
        for i, w in enumerate(words_of)
    ]).values()  # fmt: skip
    said = Counter(gate for v in profiles for gate in {r.gate for r in v.reasons})
    own = sum(any(same(title) == same(t) for t in liked.get(user, [])) for user, title in told)
    return {
        "n": len(told),
        "distinct_titles": len(counted),
        "top_title": counted.most_common(1)[0][0] if counted else None,
        "top_title_share": counted.most_common(1)[0][1] / n if counted else 0.0,
        "repeat_own_history": own,
        "rejected": 1 - len(kept) / n,
        "by_gate": {gate: count / n for gate, count in by.most_common()},
        "accepted": {
            "n": len(kept), "distinct_titles": len(left),
            "top_title_share": left.most_common(1)[0][1] / len(kept) if kept else None,
        },
        "profiles": {
            "n": len(words_of), "rejected": sum(v.state != "accepted" for v in profiles) / max(len(profiles), 1),
            "by_gate": {gate: count / len(profiles) for gate, count in said.most_common()},
            "more_than_one_word": sum(any(len(w.split()) > 1 for w in many) for many in words_of)
            / max(len(words_of), 1),
        },
    }  # fmt: skip


def _object(text: str) -> dict:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def ranking(file: Path, data: Path, stages) -> dict[str, Any]:
    """Write what is missing, train every arm, and measure it on test."""
    import evidence

    from tokenrec.compiler.baseline import prepare_baseline
    from tokenrec.compiler.record import start_run
    from tokenrec.compiler.session import make_columns, open_session
    from tokenrec.compiler.writing import program_vectors, write_task
    from tokenrec.dataset.types import FIT, TEST
    from tokenrec.evidence.arms import measure_arms
    from tokenrec.features.columns import shuffle_vectors
    from tokenrec.features.types import Vectors
    from tokenrec.recipe.load import load_recipe, task_order

    session = open_session(load_recipe(str(file)), f"genre-{uuid.uuid4().hex[:12]}")
    start_run(session)
    prepare_baseline(session, stages)
    sources: dict[str, list[Vectors]] = {"titles": [_titles(session, evidence.lines(data / f"{TELLS[2]}.jsonl.gz"))]}
    ungated: dict[str, list[Vectors]] = {}
    written, weights = [], {}
    for name in task_order(session.recipe):
        with stages.stage(f"write {name}") as bar:
            made = write_task(session, name, bar.generation)
        r, weight = made.report, session.augment.get(name)
        if weight is not None:
            weights[name] = session.augment[name] = weight or FORCED
        written.append({
            "task": name, "subjects": r.subjects, "accepted": r.accepted, "rejected": r.rejected,
            "malformed": r.malformed, "reasons": dict(r.reject_reasons), "weight": weight, "note": made.note,
        })  # fmt: skip
        # one recipe for both: with weight 0 there is nothing to measure, so the forced one is used
        sources[name] = program_vectors(session, made.spec, made.program, r)
        ungated[name] = program_vectors(session, made.spec, made.program, r, accepted_only=False)

    blocks = {"behaviour": tuple(session.behaviour(w) for w in (FIT, TEST))}
    lists, met = session.lists, [session.raw]

    def block(name: str, vectors: list[Vectors]) -> str:
        blocks[name] = tuple(make_columns(name, vectors, session.dataset, lists[w], met) for w in (FIT, TEST))
        return name

    base = ["behaviour", block("raw_text", [session.raw])]
    for name, vectors in sources.items():
        block(name, vectors)
        block(f"{name}~placebo", [shuffle_vectors(v, 0) for v in vectors])
        if name in ungated:
            block(f"{name}~ungated", ungated[name])
    arms = {"behaviour": base[:1], "original": base}
    for name in sources:
        for suffix in ("", "~placebo", "~ungated"):
            if f"{name}{suffix}" in blocks:
                arms[f"+{name}{suffix}"] = [*base, f"{name}{suffix}"]
    for suffix in ("", "~placebo"):
        arms[f"all{suffix}"] = [*base, *(f"{name}{suffix}" for name in sources)]
    with stages.stage("arms on test") as bar:
        scores = measure_arms(
            session.dataset, lists[FIT], lists[TEST], blocks, arms, session.settings, SEEDS,
            lambda arm, done, total: bar.count(done, total, arm),
        )  # fmt: skip
    test = lists[TEST]
    told = {name: int((~_nan(v[0])).sum()) if v else 0 for name, v in sources.items()}
    session.db.conn.close()
    return {
        "metric": METRIC, "arms": _rows(scores, weights), "written": written,
        "texts": told, "lists": len(test), "sparse_lists": int(test.sparse_list.sum()),
        "recall_ceiling": float(test.label.sum() / max(test.label.sum() + test.missed.sum(), 1)),
        "readers": len(session.dataset.user_ids), "books": len(session.dataset.item_ids),
        "lists_with_invention": int((~_nan(sources["synthetic"][0]))[test.user].sum()) if sources["synthetic"] else 0,
    }  # fmt: skip


def _nan(vectors):
    import numpy as np

    return np.isnan(vectors.matrix).any(axis=1)


def _titles(session, described: list[dict]):
    """ONCE's descriptions as item vectors, NaN where a book has none."""
    import numpy as np

    text = {d["bid"]: d["description"] for d in described if d.get("description")}
    vectors = session.encoder.encode(session.db, [text.get(i, "") for i in session.dataset.item_ids])
    vectors = np.array(vectors)
    vectors[[i not in text for i in session.dataset.item_ids]] = np.nan
    return replace(session.raw, source="titles", output="description", matrix=vectors)


def _rows(scores, weights: dict[str, float]) -> list[dict[str, Any]]:
    """Every arm on all and on sparse users: value, lift over original and over placebo, each with its 95% interval."""
    from tokenrec.evidence.statistics import compare
    from tokenrec.ids import finite

    rows = []
    for arm in scores.ranks:
        if arm.endswith("~placebo"):
            continue
        name = arm.partition("~")[0].lstrip("+")
        by = "user_item" if name in ("titles", "all", "behaviour") else "user"
        for slice in ("all", "sparse_users"):
            values = scores.per_list(arm, METRIC, slice)
            row = {"arm": arm.replace("~", " "), "slice": slice, "metric": METRIC}
            row |= {"value": finite(scores.mean(arm, METRIC, slice)), "n": int((values == values).sum())}
            placebo = f"{arm.partition('~')[0]}~placebo"
            for what, other in (("lift", "original"), ("over_placebo", placebo)):
                row |= dict.fromkeys((what, f"{what}_low", f"{what}_high"))
                if other in scores.ranks and arm != other:
                    d = compare(scores, arm, other, METRIC, slice, by)
                    low, high = map(finite, d.interval())
                    row |= {what: finite(d.value), f"{what}_low": low, f"{what}_high": high}
            rows.append(row | {"weight": weights.get(name)})
    return rows


def show(document: dict[str, Any]) -> None:
    g = document["gates"]
    print(
        f"{g['n']:,} recorded inventions: {g['distinct_titles']} distinct titles, the commonest ({g['top_title']}) has "
        f"{g['top_title_share']:.1%}, {g['repeat_own_history']} repeat the history; {g['rejected']:.1%} rejected"
    )
    print("  " + ", ".join(f"{gate} {share:.1%}" for gate, share in g["by_gate"].items()))
    a, p = g["accepted"], g["profiles"]
    print(f"  accepted: {a['n']}, {a['distinct_titles']} distinct titles")
    print(
        f"{p['n']:,} recorded profiles: {p['rejected']:.1%} rejected, "
        f"{p['more_than_one_word']:.1%} break the rule of one word"
    )
    print("  " + ", ".join(f"{gate} {share:.1%}" for gate, share in p["by_gate"].items()))
    for w in document["written"]:
        print(f"{w['task']}: {w['accepted']} of {w['subjects']} accepted. {w['note']}")
    print(f"\n{'arm':22}{'slice':14}{METRIC:>9}  lift over original           over placebo                    n")
    for r in document["arms"]:
        spans = [
            f"{r[k]:+.4f} ({r[k + '_low']:+.4f} to {r[k + '_high']:+.4f})" if r[k] is not None else ""
            for k in ("lift", "over_placebo")
        ]
        print(f"{r['arm']:22}{r['slice']:14}{r['value']:9.4f}  {spans[0]:29}{spans[1]:29}{r['n']:>6}")


def main() -> int:
    from tokenrec.cli.output import quiet_libraries

    quiet_libraries()
    from rich.console import Console

    from tokenrec.report.progress import Stages

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a folder laid out like once_goodreads")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="keep the project there and go on from it")
    parser.add_argument("--users", type=int, default=800, metavar="N", help="readers, chosen by hash")
    parser.add_argument("--write", type=int, default=60, metavar="N", help="readers that texts are written for")
    parser.add_argument("--writer", default="embedded", help="the model that writes: embedded, a GGUF, provider/model")
    parser.add_argument("--gates-only", action="store_true", help="judge the recorded texts, rank nothing")
    options = parser.parse_args()
    data = options.dataset.resolve()
    for name in TELLS:
        if not (data / f"{name}.jsonl.gz").is_file():
            raise SystemExit(f"{data} has no {name}.jsonl.gz: name a folder laid out like shared/data/once_goodreads")
    document = {"kind": "genre_benchmark", "schema_version": 1, "dataset": data.name, "gates": gates(data)}
    document |= {"arms": [], "written": []}
    if not options.gates_only:
        with tempfile.TemporaryDirectory() as scratch:
            file = project(
                (options.store or Path(scratch)).resolve(), data, options.users, options.write, options.writer
            )
            document |= ranking(file, data, Stages(Console(stderr=True)))
    if options.json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
    else:
        show(document)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
