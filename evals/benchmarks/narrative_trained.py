"""Retrievers for narrative.py that learnt from requests written about Food.com, and what is held against them.

Every arm learns from as many pairs, with the settings of SETTINGS (chosen on held-out owners' requests, never on those
of Recipe-MPR), and stops by the same held-out requests. Trained models are kept in a folder by name, so that a run goes
on.

raw          no LM: an item's name asks for the rest of its text
mint         all pairs of the written requests (craving, cravings, asking)
likelihood   within each request, the half of the pairs that the embedded model finds most likely (MINT's filter)
encoder      the same by the untrained encoder's cosine
half         the same by chance: the control of the filters
shuffled     the placebo: requests dealt to other people's items
published    the set requests of the published setting alone (craving), filtered by likelihood
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ARMS = ("raw", "mint", "likelihood", "encoder", "half", "shuffled", "published")
SETTINGS = {"loss": "in_batch", "negatives": 0, "layers": 3, "length": 96, "every": 400, "epochs": 2, "patience": 2}
RERANK = {"length": 128, "epochs": 1, "learning_rate": 5e-5, "every": 3000, "patience": 3}  # rows: pairs and negatives


def written(foodcom: Path, folder: Path):
    """(session, texts of the items) of recipes/narrative.yaml with its requests played back."""
    import yaml

    from tokenrec.compiler.session import embed_items, open_session
    from tokenrec.compiler.writing import write_task
    from tokenrec.features.vectors import item_texts
    from tokenrec.recipe.load import load_recipe
    from tokenrec.report.progress import Stages

    folder.mkdir(parents=True, exist_ok=True)
    recipe = (HERE.parents[1] / "recipes/narrative.yaml").read_text(encoding="utf-8")
    for name, file in {"RAW_recipes.csv": "recipes.parquet", "RAW_interactions.csv": "ratings.parquet"}.items():
        recipe = recipe.replace(f"foodcom/{name}", str((foodcom / file).resolve()))
    (folder / "narrative.yaml").write_text(recipe.replace("writer: embedded", "writer: tape"), encoding="utf-8")
    tape = {"kind": "replay", "path": str(HERE / "narrative_requests.jsonl.gz")}
    config = {"store": "store.db", "allow_outside": True, "models": {"tape": tape}}
    (folder / "tokenrec.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    session = open_session(load_recipe(folder / "narrative.yaml"), "narrative")
    embed_items(session, lambda done, total: None)
    for name in ("craving", "cravings", "asking"):
        with Stages(None).stage(name) as bar:
            write_task(session, name, bar.generation)
    return session, item_texts(session.recipe, session.dataset)


def pairs_of(session, items: list[str], arm: str, folder: Path, most: int):
    """(Pairs to learn from, Pairs to stop by, texts of the items) of one arm."""
    from tokenrec.compiler.retriever import at_most, keep, parts
    from tokenrec.recipe.retriever import Keep
    from tokenrec.report.progress import Stages
    from tokenrec.tasks.pairs import Pairs, request_pairs, shuffled

    where = session.db, session.recipe, session.loaded.folder, session.dataset
    every = request_pairs(*where, ["craving", "cravings", "asking"])
    learnt, stop, measured = parts(every, 0.15)
    if arm == "raw":
        n, fields = np.arange(len(items), dtype=np.int32), session.recipe.data.items
        names = [str(i.get(fields.name)) for i in session.dataset.items]
        rest = [text.removeprefix(name).lstrip(". ") for name, text in zip(names, items, strict=True)]
        return at_most(Pairs(names, names, n, n), most), stop, rest
    if arm == "published":
        some = request_pairs(*where, ["craving"])
        learnt = parts(some, 0.15)[0]
    by = {"likelihood": "likelihood", "published": "likelihood", "encoder": "encoder", "half": "random"}.get(arm, "all")
    kept = learnt.of_pairs(keep(session, learnt, items, Keep(by=by), folder / "likelihoods.json", Stages(None)))
    return at_most(shuffled(kept) if arm == "shuffled" else kept, most), stop, items


def train(foodcom: Path, folder: Path, arms: list[str], most: int) -> dict[str, tuple[Path, dict]]:
    """arm → (folder of its model, what is said of its training)."""
    from tokenrec.compiler.retriever import settings_of
    from tokenrec.models.bi_encoder import fit_bi_encoder
    from tokenrec.recipe.retriever import Retriever

    session, items = written(foodcom, folder)
    settings = settings_of(Retriever.model_validate({"from": ["craving"], **SETTINGS}))
    made = {}
    for arm in arms:
        to, file = folder / f"{arm}-{most}", folder / f"{arm}-{most}.json"
        if not file.is_file():
            began = time.perf_counter()
            pairs, stop, texts = pairs_of(session, items, arm, folder, most)
            none = np.empty((len(pairs), 0), np.int32)
            looks = fit_bi_encoder(session.encoder.path, pairs, stop, texts, none, settings, to)
            told = {"pairs": len(pairs), "requests": len(set(pairs.request.tolist())), "looks": looks,
                    "seconds": time.perf_counter() - began}  # fmt: skip
            file.write_text(json.dumps(told), encoding="utf-8")
            print(f"{arm}: {told}", file=sys.stderr, flush=True)
        made[arm] = to / "model", json.loads(file.read_text(encoding="utf-8"))
    return made


def order_of_written(foodcom: Path, folder: Path) -> list:
    """The ranker of requests over BM25 and MiniLM, learnt from all written requests instead of people's own."""
    from tokenrec.dataset.queries import Queries
    from tokenrec.evidence.queries import searches
    from tokenrec.ranking.requests import fit
    from tokenrec.tasks.pairs import request_pairs

    session, items = written(foodcom, folder)
    where = session.db, session.recipe, session.loaded.folder, session.dataset
    pairs = request_pairs(*where, ["craving", "cravings", "asking"])
    n = np.arange(len(pairs.texts), dtype=np.int32)
    queries = Queries([str(i) for i in n], pairs.texts, pairs.request, pairs.item, np.ones(len(pairs), np.int32))
    by = searches(items, lambda texts: session.encoder.encode(session.db, texts))
    return fit([by["bm25"](pairs.texts), by["encoder"](pairs.texts)], queries, n)


def train_reranker(foodcom: Path, folder: Path, most: int) -> tuple[Path, dict]:
    """(folder of a cross-encoder that learnt from the arm mint's pairs, what is said of its training): four
    negatives a pair, drawn as published; held-out requests stop it by how it ranks MiniLM's best 50."""
    from tokenrec.compiler.retriever import LOOKED_AT, at_most_requests, settings_of
    from tokenrec.models.bi_encoder import draw_negatives
    from tokenrec.models.cross_encoder import fit_cross_encoder, ndcg_at_10
    from tokenrec.ranking.retrieval import nearest
    from tokenrec.recipe.retriever import Rerank
    from tokenrec.report.progress import Stages

    to, file = folder / f"reranker-{most}", folder / f"reranker-{most}.json"
    if file.is_file():
        return to / "model", json.loads(file.read_text(encoding="utf-8"))
    began, (session, items) = time.perf_counter(), written(foodcom, folder)
    pairs, stop, _ = pairs_of(session, items, "mint", folder, most)
    how, few = Rerank.model_validate(RERANK), at_most_requests(stop, LOOKED_AT)

    def encode(texts):
        return session.encoder.encode(session.db, list(texts))

    first = nearest(encode(items), encode)(few.texts).item[:, :50]
    other = draw_negatives(pairs, encode(pairs.texts), encode(items), how.negatives, how.skip, how.nearest)
    with Stages(None).stage("train reranker") as bar:
        looks = fit_cross_encoder(
            session.encoder.path, pairs, few, items, other, first, settings_of(how), to, bar.count
        )  # fmt: skip
    before = [ndcg_at_10(row, set(few.item[few.request == r].tolist())) for r, row in enumerate(first)]
    told = {"pairs": len(pairs), "looks": looks, "first_stage": float(np.mean(before)),
            "seconds": time.perf_counter() - began}  # fmt: skip
    file.write_text(json.dumps(told), encoding="utf-8")
    print(f"reranker: {told}", file=sys.stderr, flush=True)
    return to / "model", told


def encode_with(model: Path):
    """texts → unit vectors by a trained model; a text is encoded once."""
    from tokenrec.encoders.encoder import Encoder, weights_mark
    from tokenrec.store.store import open_store

    db, encoder = open_store(":memory:"), Encoder(f"trained@{weights_mark(model)}", str(model))
    return lambda texts: encoder.encode(db, texts)
