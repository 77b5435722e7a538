"""Real people and recorded LLM texts through the ordinary compile: does the text pay?

    python evals/benchmarks/evidence.py ../shared/data/colakg_lastfm [--split given|item_holdout] [--json]
    python evals/benchmarks/evidence.py ../shared/data/once_goodreads [--users N] [--json]

Nothing is generated: what others' models wrote is played back (`kind: replay`) and goes through our gates, store,
ranker and evidence, without a prompt search. A text that a gate rejects has no column; the arm `ungated` has it.

last.fm      CoLaKG's text about each artist beside its name and tags. `given`: the published split; without times,
             texts know the whole train file, and so do behaviour columns when test is read. `item_holdout`: a fifth of
             the artists is heard in test only. Beside the arms stand references on the same rows: item-kNN (cosine of
             all neighbours), the text's cosine to a user's mean text, and both blended as z-scores by a weight that
             tune-A chose (DESIGN's figures: .3057, .1366, .3131 NDCG@20).
goodreads    ONCE's description of each book beside its title; test is the last event of each user with two or more. Its
             profiles and invented books were written with that event in sight: they are only held to the gates.
"""

import argparse
import contextlib
import csv
import gzip
import io
import json
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

USERS = 6000  # of Goodreads, drawn by hash: candidates and arms of all 23,089 take an hour
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)  # of the text in the reference blend

RECIPE = """\
name: {name}
data:
  items: {{path: items.csv, id: item, name: name, text: [{text}]}}
  events: {{path: train.csv, {test}user: user, item: item}}
  split: {{by: {split}}}
  most_users: {users}
objective: {{metric: ndcg@20, slice: {slice}}}
lm: {{writer: tape}}
tasks:
  about:
    for: item
    inputs: [{text}]
    write: What kind of {kind} is it?
    outputs: {{text: {{type: text, grounding: open, max_words: 250}}}}
ranker: {{k: 20, seeds: 3, negatives: 100}}
compile: {{optimizer: none}}
"""


def read(path: Path) -> Iterator[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def table(path: Path, rows: list) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def lastfm(data: Path, folder: Path, split: str, users: int) -> Path:
    plays = {}
    for part in ("train", "test"):
        with gzip.open(data / f"{part}.csv.gz", "rt", encoding="utf-8") as file:
            plays[part] = list(csv.reader(file))
    if split == "item_holdout":
        plays = {"train": plays["train"] + plays["test"][1:]}
    for part, rows in plays.items():
        table(folder / f"{part}.csv", rows)
    artists = list(read(data / "llm_items.jsonl.gz"))
    rows = [[a["item"], a["name"], json.dumps(a["tags"], ensure_ascii=False)] for a in artists]
    table(folder / "items.csv", [["item", "name", "tags"], *rows])
    record(folder, ((str(a["item"]), a["llm_text"]) for a in artists))
    return project(folder, "lastfm", "name, tags", "artist", split, users or 10**6)


def goodreads(data: Path, folder: Path, users: int) -> Path:
    train, test = [["user", "item"]], [["user", "item"]]
    for one in read(data / "histories.jsonl.gz"):
        *early, last = one["history"] or [None]
        if early:
            train += [[one["uid"], book] for book in early]
            test.append([one["uid"], last])
    table(folder / "train.csv", train)
    table(folder / "test.csv", test)
    table(folder / "items.csv", [["item", "name"], *([b["bid"], b["title"]] for b in read(data / "books.jsonl.gz"))])
    record(folder, ((b["bid"], b["description"]) for b in read(data / "llm_descriptions.jsonl.gz")))
    return project(folder, "goodreads", "name", "book", "given", users or USERS)


def record(folder: Path, texts: Iterator[tuple[str, str]]) -> None:
    with (folder / "tape.jsonl").open("w", encoding="utf-8") as file:
        for subject, text in texts:
            line = {"task": "about", "subject": subject, "output": {"text": text}}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def project(folder: Path, name: str, text: str, kind: str, split: str, users: int) -> Path:
    (folder / "tokenrec.yaml").write_text("models: {tape: {kind: replay, path: tape.jsonl}}\n", encoding="utf-8")
    made = RECIPE.format(
        name=name, text=text, kind=kind, split="user" if split == "user" else split, users=users,
        test="test: test.csv, " if split == "given" else "", slice="cold_items" if split == "item_holdout" else "all",
    )  # fmt: skip
    (folder / "recipe.yaml").write_text(made, encoding="utf-8")
    return folder / "recipe.yaml"


def compiled(recipe: Path) -> dict[str, Any]:
    from tokenrec.cli.main import run

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = run(["compile", str(recipe), "--json"])
    if code:
        raise SystemExit(code)
    return json.loads(said.getvalue())


def references(recipe: Path, doc: dict, arm: str = "raw_text+tokens") -> list[dict[str, Any]]:
    """What needs no ranker, on the same test lists, and how far the arm is above each: a 95% interval over users."""
    from tokenrec.compiler.session import embed_items, make_columns, open_session
    from tokenrec.dataset.types import TEST, TUNE_A
    from tokenrec.evidence.statistics import user_draws
    from tokenrec.features.profiles import gather, liked_matrix, standardise
    from tokenrec.features.vectors import task_vectors
    from tokenrec.ranking.metrics import per_list, relevant_ranks
    from tokenrec.recipe.load import load_recipe
    from tokenrec.store import completions as store
    from tokenrec.tasks.spec import task_spec

    session = open_session(load_recipe(recipe), "references", asking=False)
    embed_items(session, lambda done, total: None)
    session.make_lists((TUNE_A, TEST))
    dataset, metric = session.dataset, session.recipe.objective.metric
    rows = list(store.token_rows(session.db, session.recipe.name, "about"))
    told = task_vectors(session.db, dataset, task_spec(session.recipe, "about"), rows, session.encoder, {})

    def scores(window: int) -> tuple[np.ndarray, np.ndarray]:
        lists = session.lists[window]
        liked = liked_matrix(dataset, lists.before)
        both = (liked.T @ liked).tocsr()
        length = np.sqrt(np.maximum(np.asarray(liked.sum(axis=0)).ravel(), 1))
        both.setdiag(0)
        near = both.multiply(1 / length[:, None]).multiply(1 / length[None]).tocsr()
        knn = gather(lists, len(dataset.item_ids), lambda u: (liked[u] @ near).toarray())
        text = make_columns("about", told, dataset, lists).matrix[:, 0]
        return tuple(np.nan_to_num(standardise(x, lists)) for x in (knn, text))

    def value(score: np.ndarray, window: int) -> np.ndarray:
        return per_list(relevant_ranks(score, session.lists[window]), session.lists[window], metric)

    knn, text = scores(TUNE_A)
    weight = max(WEIGHTS, key=lambda w: np.nanmean(value(knn + w * text, TUNE_A)))
    knn, text = scores(TEST)
    popular = np.bincount(dataset.events.item[session.lists[TEST].before], minlength=len(dataset.item_ids))
    systems = {"popularity": popular[session.lists[TEST].item_of_row].astype(float), "item-kNN": knn, "LLM text": text,
               f"item-kNN + {weight} LLM text": knn + weight * text}  # fmt: skip
    ours = _stored(session.loaded.project.store, doc["run"], arm, len(session.lists[TEST]))
    found = []
    for name, score in systems.items():
        theirs = value(score, TEST)
        low, high = np.quantile(user_draws(ours - theirs, 2000), (0.025, 0.975))
        found.append({"system": name, "metric": metric, "value": float(np.nanmean(theirs)), "n": len(theirs),
                      "arm": arm, "above": float(np.nanmean(ours - theirs)), "low": float(low),
                      "high": float(high)})  # fmt: skip
    return found


def _stored(path: Path, run: str, arm: str, n: int) -> np.ndarray:
    values = np.zeros(n)
    with contextlib.closing(sqlite3.connect(path)) as db:
        for place, value in db.execute("select list, value from metrics where run = ? and arm = ?", [run, arm]):
            values[place] = value
    return values


GATES = """\
name: {name}
data:
  items: {{path: items.csv, id: item, name: name, text: [name]}}
  events: {{path: train.csv, user: user, item: item}}
  split: {{by: user}}
tasks:
  interests:
    for: user
    history: {{most: 20, min: 1}}
    write: Which interests does the reader have?
    outputs: {{words: {{type: text, grounding: none, max_words: 5, min_words: 1}}}}
  invented:
    for: user
    history: {{most: 20, min: 1}}
    write: Invent a book that the reader would like.
    outputs: {{title: {{type: text, grounding: none, not_in: [liked]}}, description: {{type: text, grounding: none}}}}
"""


def gated(data: Path, folder: Path) -> dict[str, Any]:
    """Shares of ONCE's profiles and invented books that the gates refuse, by reason."""
    from tokenrec.cli.main import run

    (folder / "gates.yaml").write_text(GATES.format(name="once"), encoding="utf-8")
    found = {}
    tapes = {
        "interests": ({"words": ", ".join(p["interest"])} for p in read(data / "llm_profiles.jsonl.gz")),
        "invented": (_book(b["raw_response"]) for b in read(data / "llm_synthetic_books.jsonl.gz")),
    }
    for task, outputs in tapes.items():
        file = folder / f"{task}.jsonl"
        with file.open("w", encoding="utf-8") as lines:
            for i, output in enumerate(outputs):
                line = {"task": task, "subject": f"{task}{i}", "output": output}
                lines.write(json.dumps(line, ensure_ascii=False) + "\n")
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = run(["eval", str(folder / "gates.yaml"), "--completions", str(file), "--json"])
        found[task] = json.loads(said.getvalue()) | {"exit_code": code}
    return found


def _book(raw: str) -> dict[str, str]:
    try:
        made = json.loads(raw)
        return {"title": str(made["title"]), "description": str(made["description"])}
    except (ValueError, KeyError, TypeError):
        return {"raw": raw}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATASET", help="a folder of shared/data")
    parser.add_argument("--split", choices=("given", "item_holdout"), default="given", help="of last.fm")
    parser.add_argument("--users", type=int, default=0, metavar="N", help=f"fewer users; {USERS:,} of Goodreads")
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="keep the project there and go on from it")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.store or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if (options.data / "llm_items.jsonl.gz").is_file():
            recipe = lastfm(options.data, folder, options.split, options.users)
        elif (options.data / "llm_descriptions.jsonl.gz").is_file():
            recipe = goodreads(options.data, folder, options.users)
        else:
            parser.error(f"{options.data} holds neither llm_items.jsonl.gz (last.fm) nor llm_descriptions.jsonl.gz")
        doc = compiled(recipe)
        doc["references"] = references(recipe, doc)
        if recipe.parent.name and (options.data / "llm_profiles.jsonl.gz").is_file():
            doc["gates_alone"] = gated(options.data, folder)
    if options.json:
        print(json.dumps(doc, indent=2, ensure_ascii=False))
        return 0
    for arm in doc["arms"]:
        if arm["metric"] == doc["objective"]["metric"] and arm["value"] is not None:
            print(f"{arm['arm']:24} {arm['slice']:13} {arm['value']:.4f} ({arm['low']:.4f} to {arm['high']:.4f}), "
                  f"{arm['n']:,} lists")  # fmt: skip
    for r in doc["references"]:
        print(f"{r['system']:24} {'reference':13} {r['value']:.4f}; {r['arm']} is {r['above']:+.4f} "
              f"({r['low']:+.4f} to {r['high']:+.4f}) above")  # fmt: skip
    for row in doc["leaderboard"]:
        print(f"{row['task']}: lift {row['lift']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f}): {row['verdict']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
