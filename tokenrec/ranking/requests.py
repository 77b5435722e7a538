"""The ranker of requests: XGBoost over what every retriever says of an item, learnt from requests that people judged.

A learnt fusion in place of reciprocal rank fusion, whose weights are equal whatever the catalogue. Columns are relative
to the request, so that they mean the same for all of them. Written requests teach it the wrong thing: they hold the
items' own words, so that it learns to trust words (evals/MEASURED.md).
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tokenrec.dataset.queries import Queries
from tokenrec.dataset.types import Dataset
from tokenrec.errors import InputError
from tokenrec.features.vectors import item_texts, item_words
from tokenrec.files import whole
from tokenrec.gates.text import words
from tokenrec.ids import content_id, unit_hash
from tokenrec.ranking.retrieval import DEPTH, Top, reciprocal, top_of
from tokenrec.recipe.load import LoadedRecipe

ABOUT = "order.json"
FEWEST = 100  # requests below which nothing is learnt
CANDIDATES = 200  # places of each retriever; what none of them has there is not ranked
FOLDS, SEEDS, ROUNDS = 5, 3, 60
# chosen on written requests of Food.com and of the kitchen, cross-fitted: 64 bins cost .010 NDCG@10, 30 rounds .002;
# pairwise and logistic objectives, depth 2 and a slower rate are no better
PARAMETERS = {
    "objective": "rank:ndcg", "max_depth": 3, "eta": 0.1, "min_child_weight": 1.0, "lambda": 5.0, "max_bin": 512,
    "tree_method": "hist", "lambdarank_pair_method": "topk", "lambdarank_num_pair_per_sample": 20, "subsample": 0.8,
    "ndcg_exp_gain": False, "verbosity": 0, "nthread": 1,
}  # fmt: skip


def columns(tops: Sequence[Top]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(int64[n] request, int32[n] item, float32[n, 3 * retrievers]) of all requests' candidates, by request, then item.

    A retriever's three: the score over its best one for this request, how far the score lies under that, and
    1 / (60 + place); NaN, NaN and 0 for an item that it has not.
    """
    request, item, matrix = [], [], []
    for r in range(len(tops[0])):
        union = np.unique(np.concatenate([t.item[r][:CANDIDATES] for t in tops]))
        union = union[union >= 0]
        made = np.full((len(union), 3 * len(tops)), np.nan, np.float32)
        for n, top in enumerate(tops):
            made[:, 3 * n + 2] = 0
            codes = top.item[r][top.item[r] >= 0]
            if not len(codes):
                continue
            order = np.argsort(codes)
            at = order[np.minimum(np.searchsorted(codes[order], union), len(codes) - 1)]
            there = codes[at] == union
            said, best = top.score[r][at[there]], float(top.score[r][0])
            made[there, 3 * n] = said / max(best, 1e-9)
            made[there, 3 * n + 1] = said - best
            made[there, 3 * n + 2] = reciprocal(1 + at[there])
        request.append(np.full(len(union), r))
        item.append(union)
        matrix.append(made)
    return np.concatenate(request), np.concatenate(item).astype(np.int32), np.concatenate(matrix)


def fit(tops: Sequence[Top], queries: Queries, of: np.ndarray) -> list:
    """Boosters, one a seed, that rank what is relevant to the requests `of` (places) over their other candidates.

    `tops`: the retrievers' rankings of all requests; none has learnt from these requests. No column's growth lowers a
    score. Raises InputError without requests, and where no retriever finds an item of any.
    """
    import xgboost

    if not len(of):
        raise InputError("all requests are of the same words: there is nothing to learn an order from")
    request, item, matrix = columns([Top(t.item[of], t.score[of]) for t in tops])
    judged = zip(queries.query.tolist(), queries.item.tolist(), queries.grade.tolist(), strict=True)
    grade = {(q, i): g for q, i, g in judged}
    asked = zip(np.asarray(of)[request].tolist(), item.tolist(), strict=True)
    label = np.array([grade.get(pair, 0) for pair in asked], np.float32)
    if not label.any():
        raise InputError("no retriever finds an item of any request: there is nothing to learn an order from")
    kept = np.isin(request, request[label > 0])
    data = xgboost.DMatrix(matrix[kept], label=label[kept], qid=request[kept], nthread=1)
    rules = {"monotone_constraints": "(" + ",".join(["1"] * matrix.shape[1]) + ")"}
    return [xgboost.train(PARAMETERS | rules | {"seed": seed}, data, ROUNDS) for seed in range(SEEDS)]


def rank(boosters: Sequence, tops: Sequence[Top]) -> Top:
    """The candidates of the retrievers, given in the order in which `fit` had them, ranked anew."""
    request, item, matrix = columns(tops)
    score = np.mean([b.inplace_predict(matrix) for b in boosters], axis=0) if len(item) else np.zeros(0)
    n_items = 1 + max(int(t.item.max(initial=0)) for t in tops)

    def rows():
        ends = np.searchsorted(request, np.arange(len(tops[0]) + 1))
        for begin, end in zip(ends, ends[1:], strict=False):
            row = np.full(n_items, -np.inf, np.float32)
            row[item[begin:end]] = score[begin:end]
            yield row[None]

    return top_of(rows(), n_items, DEPTH)


def cross_fit(tops: Sequence[Top], queries: Queries) -> Top:
    """Every request ranked by boosters that have not seen it, nor one of the same words: what the ranker is worth."""
    fold = np.array([int(FOLDS * unit_hash("fold", " ".join(words(t.lower())))) for t in queries.texts])
    parts = [np.flatnonzero(fold == f) for f in range(FOLDS)]
    made = []
    for part in filter(len, parts):
        boosters = fit(tops, queries, np.setdiff1d(np.arange(len(queries)), part))
        made.append((part, rank(boosters, [Top(t.item[part], t.score[part]) for t in tops])))
    depth = max(top.item.shape[1] for _, top in made)
    item = np.full((len(queries), depth), -1, np.int32)
    score = np.full((len(queries), depth), np.nan, np.float32)
    for part, top in made:
        item[part, : top.item.shape[1]], score[part, : top.item.shape[1]] = top.item, top.score
    return Top(item, score)


def order_folder(loaded: LoadedRecipe) -> Path:
    return loaded.project.store.parent / f"order-{loaded.recipe.name}"


def order_id(loaded: LoadedRecipe, dataset: Dataset, encoder: str, trained: str | None) -> str:
    """What an order is known by: all that it learns from, and how. `trained`: id of the trained retriever, if any."""
    recipe = loaded.recipe
    asked = hashlib.sha256((loaded.folder / recipe.data.queries.path).read_bytes()).hexdigest()
    return content_id([
        asked, recipe.data.queries.model_dump(), dataset.item_ids, item_texts(recipe, dataset),
        item_words(recipe, dataset), encoder, trained, PARAMETERS, CANDIDATES, FOLDS, SEEDS, ROUNDS,
    ])  # fmt: skip


def save_order(folder: Path, about: dict[str, Any], boosters: Sequence) -> None:
    """`about` comes last: without it there is none."""
    (folder / ABOUT).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    for seed, booster in enumerate(boosters):
        with whole(folder / f"{seed}.ubj") as partial:
            partial.write_bytes(bytes(booster.save_raw("ubj")))
    with whole(folder / ABOUT) as partial:
        partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def read_order(folder: Path) -> dict[str, Any] | None:
    """What compile said of the ranker of requests in `folder`; None where there is none that is whole."""
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        complete = {"id", "serves", "encoder", "retriever"} <= found.keys()
        return found if complete and (found["kind"], found["schema_version"]) == ("request_ranker", 1) else None
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def load_boosters(folder: Path) -> list:
    """Raises InputError where they can't be read."""
    import xgboost

    boosters = [xgboost.Booster() for _ in range(SEEDS)]
    try:
        for seed, booster in enumerate(boosters):
            booster.load_model(bytearray((folder / f"{seed}.ubj").read_bytes()))
    except (OSError, xgboost.core.XGBoostError) as error:
        raise InputError(f"{folder}: the ranker of requests can't be read: compile again") from error
    return boosters
