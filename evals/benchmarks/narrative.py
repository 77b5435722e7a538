"""Do retrievers find what a request in words asks for? Recipe-MPR, or any folder laid out like it.

    python evals/benchmarks/narrative.py DATASET_DIR [--json] [--by-type]
                                         [--trained FOODCOM_DIR [--keep FOLDER] [--arms raw,mint,...] [--pairs N]]

DATASET_DIR holds queries.jsonl or queries.jsonl.gz, a request a line: {"query", "options": {id: text}, "answer": id}
(`query_type` is read for --by-type). Two questions to the same rankings:

accuracy   as in the paper (Zhang et al. 2023): which of a request's own five options ranks first. Options that tie
           share it: of two without a word of the request each has half a point. Chance is .2.
the rest   the answer among the options of all requests together. Only it is known to be relevant: other requests'
           options may answer as well and count as wrong, so that figures are low and hold for comparing systems.

95% intervals are t-intervals over requests; paired differences are of the same requests, p after Holm (1979).
METHODS is the table of systems: a function makes each from the texts of the pool and an encoder. With --trained there
are also those that learnt from requests written about Food.com (../shared/data/foodcom_small), each alone and fused
with BM25: narrative_trained.py says which, and on what their settings were chosen. `ranked` is the ranker of requests
(tokenrec/ranking/requests.py) over BM25 and MiniLM, learnt from these requests themselves: each is ranked by what four
fifths of the others, without its own, have taught. `ranked_written` learnt from the written requests instead.

narrative_requests.jsonl.gz beside this file: requests to learn from, written by the model "claude", one by one, for the
prompts that recipes/narrative.yaml (craving, cravings, asking) makes of shared/data/foodcom_small, with no test request
in sight. They hold no text of that data (no title of a dish asked for, no six words in a row of what prompts show)
and are keyed by subject and input hash. To replay them: `tape: {kind: replay, path: FILE}` in tokenrec.yaml, and a copy
of the recipe with that folder's recipes.parquet and ratings.parquet as its data and `lm: {writer: tape}`.
"""

import argparse
import gzip
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(Path(__file__).parent))

from narrative_trained import ARMS, encode_with, order_of_written, train, train_reranker  # noqa: E402

from tokenrec.dataset.queries import Queries  # noqa: E402
from tokenrec.evidence.queries import Judged, judge  # noqa: E402
from tokenrec.evidence.queries import searches as untrained  # noqa: E402
from tokenrec.models.cross_encoder import reranked  # noqa: E402
from tokenrec.ranking.requests import FEWEST, cross_fit, rank  # noqa: E402
from tokenrec.ranking.retrieval import Search, Top  # noqa: E402

Encode = Callable[[list[str]], np.ndarray]


@dataclass(frozen=True)
class Requests:
    """The data: requests, the pool of all options, and which places of the pool are each request's own."""

    queries: Queries
    pool: list[str]
    options: list[list[int]]
    answer: list[int]
    types: list[list[str]]


def read(folder: Path) -> Requests:
    """Raises SystemExit where the folder has no such file."""
    path = next((p for p in (folder / "queries.jsonl.gz", folder / "queries.jsonl") if p.is_file()), None)
    if path is None:
        sys.exit(f"{folder}: holds no queries.jsonl(.gz)")
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    texts = {key: text for row in rows for key, text in row["options"].items()}
    place = {key: n for n, key in enumerate(sorted(texts))}
    answer, n = [place[row["answer"]] for row in rows], np.arange(len(rows), dtype=np.int32)
    asked = [row["query"] for row in rows]
    queries = Queries([str(i) for i in n], asked, n, np.array(answer, np.int32), np.ones_like(n))
    types = [[name for name, given in (row.get("query_type") or {}).items() if given] for row in rows]
    options = [[place[o] for o in row["options"]] for row in rows]
    return Requests(queries, [texts[key] for key in sorted(texts)], options, answer, types)


def accuracy(data: Requests, top: Top) -> np.ndarray:
    """float64[requests]: 1 where the answer ranks first among its options, shared among those that tie."""
    points = np.zeros(len(data.answer))
    for i, (options, answer) in enumerate(zip(data.options, data.answer, strict=True)):
        scores = {int(item): float(s) for item, s in zip(top.item[i], top.score[i]) if item >= 0}
        best = max(scores.get(o, -np.inf) for o in options)
        first = [o for o in options if scores.get(o, -np.inf) == best]
        points[i] = (answer in first) / len(first)
    return points


METHODS: dict[str, Callable[[Sequence[str], Encode], Search]] = {
    "bm25": lambda pool, encode: untrained(pool, encode, depth=len(pool))["bm25"],
    "minilm": lambda pool, encode: untrained(pool, encode, depth=len(pool))["encoder"],
    "rrf": lambda pool, encode: untrained(pool, encode, depth=len(pool))["rrf"],
}


def measure(
    data: Requests, encode: Encode, methods: Sequence[str], trained: Mapping[str, Encode] = {},
    reader: Path | None = None, order: list | None = None,
) -> Judged:  # fmt: skip
    """`reader`: a cross-encoder over MiniLM's best 200. `order`: a ranker of requests over BM25 and MiniLM."""
    tops = {name: METHODS[name](data.pool, encode)(data.queries.texts) for name in methods}
    for name, by in trained.items():
        found = untrained(data.pool, by, depth=len(data.pool))
        tops |= {name: found["encoder"](data.queries.texts), f"{name}+bm25": found["rrf"](data.queries.texts)}
    if reader:
        first = untrained(data.pool, encode, depth=len(data.pool))["encoder"]
        tops["reranked"] = reranked(first, reader, data.pool, length=128)(data.queries.texts)
    if len(data.queries) >= FEWEST and {"bm25", "minilm"} <= set(tops):
        own = [tops["bm25"], tops["minilm"]]
        tops["ranked"] = cross_fit(own, data.queries)
        if order:
            tops["ranked_written"] = rank(order, own)
    methods = list(tops)
    judged = judge(data.queries, tops)
    return Judged({name: {"accuracy": accuracy(data, tops[name]), **judged.values[name]} for name in methods})


def encoder() -> Encode:
    """The bundled MiniLM; a text is encoded once."""
    from tokenrec.config import load_project
    from tokenrec.encoders.encoder import open_encoder
    from tokenrec.store.store import open_store

    db, model = open_store(":memory:"), open_encoder(load_project(ROOT), "minilm")
    return lambda texts: model.encode(db, texts)


def by_type(data: Requests, judged: Judged) -> list[dict[str, Any]]:
    rows = []
    for name in sorted({t for types in data.types for t in types}):
        of = np.array([name in types for types in data.types])
        part = Judged({s: {"accuracy": v["accuracy"][of]} for s, v in judged.values.items()})
        rows += [{"type": name, "n": int(of.sum()), **row} for row in part.systems()]
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATASET_DIR", help="folder of queries.jsonl(.gz)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--by-type", action="store_true", help="also the accuracy on each type of request")
    parser.add_argument("--trained", type=Path, metavar="FOODCOM_DIR", help="also retrievers trained on its requests")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where trained models stay, so that a run goes on")
    parser.add_argument("--arms", default=",".join(ARMS), help=f"of {', '.join(ARMS)}")
    parser.add_argument("--rerank", action="store_true", help="with --trained: also a cross-encoder over MiniLM's 200")
    parser.add_argument("--pairs", type=int, default=800, help="that each arm learns from at most (800)")
    options = parser.parse_args()
    data, trained, reader, told, order = read(options.data), {}, None, None, None
    with tempfile.TemporaryDirectory() as scratch:
        if options.trained:
            keep = (options.keep or Path(scratch)).resolve()
            trained = train(options.trained, keep, options.arms.split(","), options.pairs)
            order = order_of_written(options.trained, keep)
            if options.rerank:
                reader, told = train_reranker(options.trained, keep, options.pairs)
        by = {arm: encode_with(path) for arm, (path, _) in trained.items()}
        judged = measure(data, encoder(), list(METHODS), by, reader, order)
    against = {"shuffled": [a for a in trained if a not in ("shuffled", "raw")],
               "minilm": [*trained, "reranked", "ranked"],
               "half": [a for a in ("likelihood", "encoder") if "half" in trained and a in trained],
               "rrf": [*(f"{a}+bm25" for a in trained), "ranked", "ranked_written"]}  # fmt: skip
    pairs = [(a, b) for b, some in against.items() for a in some if b in judged.values and a in judged.values]
    document = {
        "requests": len(data.queries), "pool": len(data.pool), "systems": judged.systems(),
        "paired": judged.paired(pairs if trained else None),
        "training": {arm: said for arm, (_, said) in trained.items()} | ({"reranker": told} if told else {}),
        "by_type": by_type(data, judged) if options.by_type else [],
    }  # fmt: skip
    if options.json:
        print(json.dumps(document, ensure_ascii=False))
        return 0
    print(f"{len(data.queries)} requests; {len(data.pool)} options in the pool, one of them known to be relevant")
    for row in document["systems"] + document["by_type"]:
        of = f"{row['type']} ({row['n']})" if "type" in row else ""
        print(f"{row['system']:10} {row['metric']:12} {row['value']:.3f}  {row['low']:.3f} to {row['high']:.3f}  {of}")
    for row in document["paired"]:
        if row["metric"] in ("accuracy", "ndcg@10"):
            print(f"{row['metric']}: {row['system']} less {row['against']} {row['delta']:+.3f} "
                  f"({row['low']:+.3f} to {row['high']:+.3f}), p = {row['p_adjusted']:.3f}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
