"""Real people, real LM texts: does a text that an LM wrote earn its place in the ranking? Recorded, replayed, gated.

    python evals/benchmarks/evidence.py DATASET [--json] [--store FOLDER] [--users N] [--split given|item_holdout]

DATASET is a folder of shared/data, told by its files:

    colakg_lastfm    CoLaKG's texts on 2,813 artists (raw text: name and tags), its published split and, as a second
                     run, a fifth of the artists without history. Beside the arms, on the same lists, the references
                     that they are held to: item-kNN (plain cosine, all neighbours), the texts' cosine to a listener's
                     profile, and the z-score blend of the two with the weight that tune likes best.
    once_goodreads   ONCE's descriptions of 8,405 of 16,833 books, written from the title (raw text: title); the last
                     event of each reader with two or more is test. Its profiles and invented books were written with
                     that event in sight: they are only put through the gates.

Each run is a project with a recipe, data files and the recording (`kind: replay`), compiled by `tokenrec compile
--optimizer none`: real gates, real store. `--json` prints one document with `arms` and `leaderboard` of the first run
as compile does, each run whole under `runs`, and `references` and `gates` beside them. Nothing is written into this
project.
"""

import argparse
import csv
import gzip
import json
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

SPLITS = ("given", "item_holdout")
LASTFM, BOOKS = "colakg_lastfm", "once_goodreads"
TELLS = {LASTFM: "llm_items.jsonl.gz", BOOKS: "llm_descriptions.jsonl.gz"}
METRIC = "ndcg@20"  # what DESIGN section 13 gives the references in
WEIGHTS = np.round(np.arange(0, 1.51, 0.1), 2)  # of the text in the blend


@dataclass
class World:
    """A data set as files of a project: items, train and test events, recorded texts by task and subject."""

    name: str
    write: str
    text: list[str]  # item fields
    items: list[dict[str, Any]]
    train: list[tuple[str, str]]
    test: list[tuple[str, str]]
    recorded: dict[str, str] = field(default_factory=dict)


def lines(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def which(folder: Path) -> str:
    """The data set that a folder holds. Raises SystemExit where it is none that this can run."""
    for name, file in TELLS.items():
        if (folder / file).is_file():
            return name
    raise SystemExit(f"{folder} holds neither {' nor '.join(TELLS.values())}: name a folder of shared/data")


def lastfm(folder: Path) -> World:
    artists, events = lines(folder / TELLS[LASTFM]), {}
    for part in ("train", "test"):
        with gzip.open(folder / f"{part}.csv.gz", "rt", encoding="utf-8", newline="") as file:
            events[part] = [(row["user"], row["item"]) for row in csv.DictReader(file)]
    return World(
        "lastfm", "Say what music an artist plays and who likes it.", ["name", "tags"],
        [{"id": str(a["item"]), "name": a["name"], "tags": a["tags"]} for a in artists], events["train"],
        events["test"], {str(a["item"]): a["llm_text"] for a in artists},
    )  # fmt: skip


def goodreads(folder: Path) -> World:
    """The last event of a reader with two or more is test, whatever stands before it; no order is read off the rest."""
    train, test = [], []
    for row in lines(folder / "histories.jsonl.gz"):
        *before, last = [(str(row["uid"]), book) for book in row["history"]]
        train += before or [last]
        test += [last] if before else []
    return World(
        "goodreads", "Say what a book is about.", ["name"],
        [{"id": b["bid"], "name": b["title"]} for b in lines(folder / "books.jsonl.gz")], train, test,
        {d["bid"]: d["description"] for d in lines(folder / TELLS[BOOKS])},
    )  # fmt: skip


def recipe(world: World, split: str, **more: Any) -> dict[str, Any]:
    events = {"path": "train.csv", "test": "test.csv", "user": "user", "item": "item"}
    if split != "given":
        events = {"path": "all.csv", "user": "user", "item": "item"}
    return {
        "name": f"{world.name}_{split}",
        "data": {
            "items": {"path": "items.jsonl", "id": "id", "name": "name", "text": world.text},
            "events": events,
            "split": {"by": split},
        },
        "objective": {"metric": METRIC},
        "lm": {"writer": "recorded"},
        "tasks": {
            "about": {
                "for": "item", "inputs": world.text, "write": world.write,
                "outputs": {"text": {"type": "text", "grounding": "open"}},
            },
        },
        "compile": {"optimizer": "none"},
        **more,
    }  # fmt: skip


def project(world: World, folder: Path, split: str, **more: Any) -> Path:
    """A project in `folder` that replays the recorded texts; the path of its recipe. `more`: further keys of it."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    config = {"store": "store.db", "models": {"recorded": {"kind": "replay", "path": "recorded.jsonl"}}}
    told = [{"task": "about", "subject": s, "output": {"text": text}} for s, text in world.recorded.items()]
    (folder / "tokenrec.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for name, rows in (("items", world.items), ("recorded", told)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    for name, rows in (("train", world.train), ("test", world.test), ("all", world.train + world.test)):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("user", "item"), *rows])
    file = folder / f"{world.name}_{split}.yaml"
    file.write_text(yaml.safe_dump(recipe(world, split, **more), sort_keys=False, allow_unicode=True), encoding="utf-8")
    return file


def references(file: Path, users: int | None, world: World) -> dict[str, Any]:
    """The textbook scores on the test lists that compile ranked, and its arms against the strongest, paired.

    `weight` of the blend is the best on both halves of tune. Intervals of differences are plain 95%, two-way.
    """
    import pyarrow.parquet as pq

    from tokenrec.compiler.session import open_session
    from tokenrec.dataset.lists import make_lists
    from tokenrec.dataset.types import TEST, TUNE_A, TUNE_B
    from tokenrec.evidence.arms import ArmScores
    from tokenrec.evidence.statistics import compare
    from tokenrec.ranking.metrics import mean, per_list, relevant_ranks, tie_order
    from tokenrec.recipe.load import load_recipe

    loaded = load_recipe(str(file))
    session = open_session(loaded, "references", most_users=users)
    dataset, tie = session.dataset, tie_order(session.dataset.item_ids)
    texts = session.encoder.encode(session.db, [world.recorded.get(i, "") for i in dataset.item_ids])
    lists = {w: make_lists(dataset, w) for w in (TUNE_A, TUNE_B, TEST)}
    made = {w: alone(dataset, some, texts) for w, some in lists.items()}
    session.db.conn.close()

    def worth(weight: float) -> float:
        ranks = {w: relevant_ranks(blend(made[w], weight, lists[w]), lists[w], tie) for w in (TUNE_A, TUNE_B)}
        return float(np.mean(np.concatenate([per_list(r, lists[w], METRIC) for w, r in ranks.items()])))

    weight = float(max(WEIGHTS, key=worth))
    arms = ArmScores(lists[TEST])
    table = pq.read_table(file.parent / f"scores-{loaded.recipe.name}.parquet")
    same = np.array_equal(table["list"], lists[TEST].list_of_row) and np.array_equal(table["label"], lists[TEST].label)
    if not same:
        raise SystemExit(f"{file}: the store's scores are of other lists. Run with another --store")
    for name in table.column_names:
        if name not in ("list", "item", "label") and "~" not in name:
            arms.scores[name] = table[name].to_numpy()
    theirs = {**made[TEST], "item_knn+llm_text": blend(made[TEST], weight, lists[TEST])}
    arms.scores.update(theirs)
    for name, score in arms.scores.items():
        arms.ranks[name] = relevant_ranks(score, lists[TEST], tie)
    best = max(("item_knn", "item_knn+llm_text"), key=lambda name: arms.mean(name, METRIC))
    against = []
    for arm in ("behaviour", "raw_text", "raw_text+tokens"):
        if arm in arms.ranks:
            d = compare(arms, arm, best, METRIC)
            against.append({"arm": arm, "over": best, "lift": d.value, "low": d.interval()[0], "high": d.interval()[1]})
    values = {name: mean(per_list(arms.ranks[name], lists[TEST], METRIC)) for name in theirs}
    return {"metric": METRIC, "n": len(lists[TEST]), "weight": weight, "values": values, "against": against}


def alone(dataset, lists, texts: np.ndarray) -> dict[str, np.ndarray]:
    """float[n_rows] each: popularity; item-kNN, the sum of plain cosines to all liked items; profile cosine."""
    from scipy import sparse

    from tokenrec.features.profiles import gather, liked_matrix, profiles, unit

    liked, n = liked_matrix(dataset, lists.before), len(dataset.item_ids)
    popularity = np.asarray(liked.sum(axis=0)).ravel()
    near = (liked.T @ liked).tocsr()
    near.setdiag(0)
    size = sparse.diags_array(1 / np.sqrt(np.maximum(popularity, 1)))
    near = (size @ near @ size).tocsr()
    items = unit(texts - np.nanmean(texts, axis=0))
    tastes, known = unit(profiles(items, liked)), np.nan_to_num(items).T
    return {
        "popularity": popularity[lists.item_of_row].astype(np.float32),
        "item_knn": gather(lists, n, lambda u: (liked[u] @ near).toarray()),
        "llm_text": gather(lists, n, lambda u: np.nan_to_num(tastes[u]) @ known),
    }  # fmt: skip


def blend(made: dict[str, np.ndarray], weight: float, lists) -> np.ndarray:
    """Item-kNN and the texts' cosine, each standardised within its list, the second times `weight`."""
    from tokenrec.features.profiles import standardise

    return standardise(made["item_knn"], lists) + weight * standardise(made["llm_text"], lists)


def gates(folder: Path) -> list[dict[str, Any]]:
    """What the gates say of ONCE's profiles and invented books, and how many profiles break its rule of one word."""
    from tokenrec.gates import check_texts

    said = lines(folder / "llm_profiles.jsonl.gz")
    words = [p["interest"] for p in said]
    invented = [json.loads(g["raw_response"]) for g in lines(folder / "llm_synthetic_books.jsonl.gz")]
    found = [
        judged("profiles", check_texts([", ".join(w) for w in words])),
        judged(
            "invented books",
            check_texts([b["description"] for b in invented], names=[b["title"] for b in invented]),
        ),
    ]
    found[0]["more_than_one_word"] = sum(any(len(w.split()) > 1 for w in many) for many in words) / len(words)
    titles = Counter(b["title"] for b in invented)
    found[1]["titles"] = len(titles)
    found[1]["commonest_title"] = titles.most_common(1)[0][1] / len(invented)
    return found


def judged(name: str, verdicts) -> dict[str, Any]:
    """Shares of the texts that the gates refuse, and by which check (a text may have several)."""
    reasons = Counter(gate for v in verdicts for gate in {r.gate for r in v.reasons})
    n = len(verdicts)
    return {
        "texts": name, "n": n, "rejected": sum(v.state != "accepted" for v in verdicts) / n,
        "by_gate": {gate: count / n for gate, count in reasons.most_common()},
    }  # fmt: skip


def measure(folder: Path, store: Path, splits: list[str], users: int | None, console) -> dict[str, Any]:
    """Compile every run; the document that `--json` prints."""
    from tokenrec.compiler.compile import compile_recipe
    from tokenrec.recipe.load import load_recipe
    from tokenrec.report.progress import Stages

    kind = which(folder)
    world = lastfm(folder) if kind == LASTFM else goodreads(folder)
    runs, theirs = [], []
    for split in splits:
        file = project(world, store / split, split)
        runs.append(compile_recipe(load_recipe(str(file)), Stages(console), optimizer="none", most_users=users))
        if kind == LASTFM:
            theirs.append({"recipe": runs[-1]["recipe"], **references(file, users, world)})
    return {
        "kind": "evidence_benchmark", "schema_version": 1, "dataset": kind, "arms": runs[0]["arms"],
        "leaderboard": runs[0]["leaderboard"], "references": theirs, "gates": gates(folder) if kind == BOOKS else [],
        "runs": runs,
    }  # fmt: skip


def show(document: dict[str, Any], console) -> None:
    from tokenrec.report.terminal import print_compile

    for run in document["runs"]:
        console.print(f"\n[bold]{run['recipe']}[/bold]", highlight=False)
        print_compile(console, run)
    for ref in document["references"]:
        values = ", ".join(f"{name} {value:.4f}" for name, value in ref["values"].items())
        print(f"\n{ref['recipe']}, {ref['metric']}, {ref['n']:,} lists: {values} (weight of the text {ref['weight']})")
        for d in ref["against"]:
            print(f"  {d['arm']} - {d['over']}: {d['lift']:+.4f} ({d['low']:+.4f} to {d['high']:+.4f})")
    for found in document["gates"]:
        by = ", ".join(f"{gate} {share:.1%}" for gate, share in found["by_gate"].items())
        print(f"\n{found['texts']}: {found['rejected']:.1%} of {found['n']:,} rejected ({by})")
        for key, value in found.items():
            if key not in ("texts", "n", "rejected", "by_gate"):
                print(f"  {key.replace('_', ' ')}: {value:.1%}" if isinstance(value, float) else f"  {key}: {value:,}")


def main() -> int:
    from tokenrec.cli.output import quiet_libraries

    quiet_libraries()
    from rich.console import Console

    from tokenrec.cli.output import emit

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, metavar="DATASET", help=f"folder of {LASTFM} or {BOOKS}")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="keep the projects there and go on from them")
    parser.add_argument("--users", type=int, metavar="N", help="keep N users, chosen by hash: a quick look")
    parser.add_argument("--split", choices=SPLITS, help="one of the two runs of last.fm; both unless said")
    options = parser.parse_args()
    splits = ["given"] if which(options.dataset) == BOOKS else [options.split] if options.split else list(SPLITS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.store or Path(scratch)).resolve()
        document = measure(options.dataset.resolve(), folder, splits, options.users, Console(stderr=True))
    if options.json:
        emit(document)
    else:
        show(document, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
