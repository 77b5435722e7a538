"""`retriever:` of a recipe: learn from the requests that its tasks wrote, and measure what was learnt beside a placebo.

The owners of requests (users; items, for requests about one) fall in three by hash: most are learnt from, `held` of
them say when to stop, and as many measure. Their requests are written ones too: how well people's own are answered is
what `data.queries` and `tokenrec eval` say.
"""

import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tokenrec.compiler.session import Session
from tokenrec.config import Embedded, resolve_model
from tokenrec.dataset.queries import Queries
from tokenrec.errors import InputError, ServiceError
from tokenrec.evidence.queries import judge, searches, told_apart
from tokenrec.features.types import Vectors
from tokenrec.features.vectors import item_texts, item_words
from tokenrec.files import whole
from tokenrec.ids import content_id, unit_hash
from tokenrec.models.bi_encoder import TrainSettings, draw_negatives, fit_bi_encoder
from tokenrec.models.cross_encoder import fit_cross_encoder
from tokenrec.ranking.retrieval import Search
from tokenrec.ranking.trained import (
    ABOUT,
    Trained,
    delete_retriever,
    is_whole,
    load_serving,
    load_trained,
    read_about,
    retriever_folder,
)
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.retriever import Keep, Retriever, Training
from tokenrec.store import completions as store
from tokenrec.tasks.pairs import Pairs, best_of_each, request_pairs, shuffled

LOOKED_AT = 100  # held-out requests that a reranker's looks are at: it reads each of their items anew
FEWEST = 20  # owners to measure on, below which nothing is trained


def train_retriever(session: Session, stages) -> dict[str, Any] | None:
    """Train what the recipe's `retriever` says, beside the store; the part `retriever` of the compile document.

    None without one, or with too few requests. What is trained already from the same pairs with the same settings is
    kept as it is, and a killed run goes on. Raises InputError where packages are missing.
    """
    wanted = session.recipe.retriever
    if wanted is None:
        return None
    began, folder = time.perf_counter(), retriever_folder(session.loaded)
    items = item_texts(session.recipe, session.dataset)
    pairs = request_pairs(session.db, session.recipe, session.loaded.folder, session.dataset, wanted.from_)
    learnt, stop, measured = parts(pairs, wanted.held)
    owners = [len(set(p.owner)) for p in (learnt, stop, measured)]
    if min(owners) < FEWEST:
        note = (
            f"retriever: nothing is trained. The requests of {', '.join(wanted.from_)} have {owners[0]:,} owners to "
            f"learn from, {owners[1]:,} to stop by and {owners[2]:,} to measure on; {FEWEST} each are needed"
        )
        if load_serving(session.loaded):
            note += f". recommend goes on with the one from earlier requests, until {folder} is deleted"
        session.dataset.notes.append(note)
        stages.say(f"  note: {note}")
        return None
    known, found = _id(session, wanted, pairs, items), read_about(folder)
    session.retriever = known
    if found and found["id"] == known and is_whole(folder, found):
        stages.say("  retriever: trained already on these requests")
        return found
    if found or not (folder / known[:16]).is_dir():
        delete_retriever(session.db, folder)
        (folder / known[:16]).mkdir(parents=True)  # tells a killed run's checkpoints from another's
    kept = learnt.of_pairs(keep(session, learnt, items, wanted.keep, folder / "likelihoods.json", stages))
    kept = at_most(kept, wanted.pairs)
    looks = _train(session, wanted, kept, learnt, stop, items, folder, stages)
    shown = Trained({"rerank": wanted.rerank and wanted.rerank.model_dump(include={"top", "length"})}, folder)
    with stages.stage("measure retrievers") as bar:
        named = item_words(session.recipe, session.dataset)
        systems = searches(items, lambda texts: session.encoder.encode(session.db, texts), words=named)
        systems |= shown.searches(session.db, items, systems["bm25"], bar.count)
        told = measure(measured, systems, told_apart(systems))
    about = {
        "kind": "retriever", "schema_version": 1, "id": known, "encoder": session.encoder.encoder_id,
        "from": wanted.from_, "requests": len(pairs.texts), "pairs": len(pairs), "learnt_from": len(kept),
        "keep": wanted.keep.by, "of_users": _of_users(session.db, session.recipe, wanted.from_),
        "stopped_by": len(stop.texts), "measured_on": len(measured.texts), "owners": owners[2],
        "looks": looks, **told, **shown.about, "serves": serves(told["paired"]),
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip
    with whole(folder / ABOUT) as partial:
        partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    (folder / known[:16]).rmdir()
    return about


def planned_training(session: Session) -> str | None:
    """What `plan` says of it, as the requests stand; None where compile would train nothing."""
    if (wanted := session.recipe.retriever) is None:
        return None
    items = item_texts(session.recipe, session.dataset)
    pairs = request_pairs(session.db, session.recipe, session.loaded.folder, session.dataset, wanted.from_)
    found = read_about(folder := retriever_folder(session.loaded))
    if found and found["id"] == _id(session, wanted, pairs, items) and is_whole(folder, found):
        return None
    said = f"retriever: it is not trained on the requests as they stand ({len(pairs):,} pairs)"
    return f"{said}. compile trains it, which asks no LM"


def check_packages(wanted: Retriever | None) -> None:
    """Raises InputError where training would, before anything is paid for."""
    if wanted is None:
        return
    needed = ["datasets", "accelerate", "ir_measures", *["gguf"] * (wanted.keep.by == "likelihood")]
    if missing := [name for name in needed if find_spec(name) is None]:
        raise InputError(f"retriever: needs {', '.join(missing)}. run: pip install 'tokenrec[retrieval]'")


def _id(session: Session, wanted: Retriever, pairs: Pairs, items: list[str]) -> str:
    """What a retriever is known by: all that it learns from, and how."""
    return content_id([
        pairs.texts, pairs.owner, pairs.request.tolist(), pairs.item.tolist(), items, session.encoder.encoder_id,
        wanted.model_dump(mode="json"),
        Path(_gguf(session, wanted.keep.model)).name if wanted.keep.by == "likelihood" else None,
    ])  # fmt: skip


def retriever_vectors(session: Session) -> Vectors | None:
    """The items as the retriever that this run trained, or found unchanged, encodes them, for columns of a ranker; None
    where it knows later windows, or is left from requests that no longer stand, which may have known them.

    It has seen pairs of history alone, as behaviour columns have, and no label of the lists: so it needs no folds.
    """
    wanted, trained = session.recipe.retriever, load_trained(session.loaded)
    if trained is None or trained.about["id"] != session.retriever:
        return None
    if any(session.recipe.tasks[name].window == "all" for name in wanted.from_):
        return None
    encoder = trained.encoder()
    matrix = encoder.encode(session.db, item_texts(session.recipe, session.dataset))
    columns = [f"e{i}" for i in range(matrix.shape[1])]
    return Vectors("retriever", "text", "item", matrix, columns, False, encoder.encoder_id)


def _of_users(db, recipe: Recipe, tasks: list[str]) -> bool:
    """Whether the requests of the tasks hold what users liked or wrote."""
    return any(store.sources_of(db, recipe.name, name) for name in tasks)


def parts(pairs: Pairs, held: float) -> tuple[Pairs, Pairs, Pairs]:
    """(to learn from, to stop by, to measure on), by owner."""
    place = np.array([unit_hash("retriever", o) for o in pairs.owner])
    return tuple(pairs.of_requests(m) for m in (place >= 2 * held, place < held, (held <= place) & (place < 2 * held)))


def keep(session: Session, pairs: Pairs, items: list[str], rule: Keep, file: Path, stages) -> np.ndarray:
    """bool[p]: the pairs that a filter keeps; likelihoods are kept in `file`."""
    if rule.by == "all" or rule.share == 1:
        return np.ones(len(pairs), bool)
    if rule.by == "random":
        score = np.array([unit_hash("pair", pairs.texts[r], items[i]) for r, i in zip(pairs.request, pairs.item)])
    elif rule.by == "encoder":
        asked, told = (session.encoder.encode(session.db, t) for t in (pairs.texts, items))
        score = np.einsum("pd,pd->p", asked[pairs.request], told[pairs.item])
    else:
        score = likelihoods(session, pairs, items, rule.model, file, stages)
    return best_of_each(pairs, score, rule.share)


def likelihoods(session: Session, pairs: Pairs, items: list[str], model: str, file: Path, stages) -> np.ndarray:
    """float32[p]: how likely each request is, given the item; 0 where a request has one item, which stays anyhow.

    Kept in `file` as they come, so that a killed run goes on.
    """
    from tokenrec.lm.likelihood import request_likelihoods

    path = _gguf(session, model)
    count = np.bincount(pairs.request, minlength=len(pairs.texts))
    rows = np.flatnonzero(count[pairs.request] > 1)
    keys = [content_id([Path(path).name, items[pairs.item[p]], pairs.texts[pairs.request[p]]])[:32] for p in rows]
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    missing = [n for n, k in enumerate(keys) if k not in known]
    with stages.stage("likelihoods of requests", len(missing)) as bar:
        for start in range(0, len(missing), 256):
            some = missing[start : start + 256]
            told = [(items[pairs.item[rows[n]]], pairs.texts[pairs.request[rows[n]]]) for n in some]
            found = request_likelihoods(path, told, lambda done, _, start=start: bar.count(start + done, len(missing)))
            known |= {keys[n]: round(float(v), 5) for n, v in zip(some, found, strict=True)}
            with whole(file) as partial:
                partial.write_text(json.dumps(known), encoding="utf-8")
    score = np.zeros(len(pairs), np.float32)
    score[rows] = [known[k] for k in keys]
    return score


def _gguf(session: Session, model: str) -> str:
    from tokenrec.lm.llama import bundled_weights

    config = resolve_model(session.loaded.project, model)
    if not isinstance(config, Embedded):
        raise InputError(f"retriever.keep: likelihoods need a GGUF, which {model} is not. Name one of kind embedded")
    return config.path or str(bundled_weights())


def at_most(pairs: Pairs, most: int | None) -> Pairs:
    if most is None or most >= len(pairs):
        return pairs
    place = [unit_hash("most", pairs.texts[r], int(i)) for r, i in zip(pairs.request, pairs.item, strict=True)]
    order = np.argsort(place, kind="stable")
    chosen = np.zeros(len(pairs), bool)
    chosen[order[:most]] = True
    return pairs.of_pairs(chosen)


def at_most_requests(pairs: Pairs, most: int) -> Pairs:
    place = np.array([unit_hash("look", text) for text in pairs.texts])
    return pairs if len(place) <= most else pairs.of_requests(place <= np.sort(place)[most - 1])


def settings_of(wanted: Training) -> TrainSettings:
    known = {k: v for k, v in wanted.model_dump().items() if k in TrainSettings.__dataclass_fields__}
    return TrainSettings(**known)


def _train(
    session: Session, wanted: Retriever, kept: Pairs, learnt: Pairs, stop: Pairs, items: list[str], folder: Path, stages
) -> dict[str, list[float]]:
    """Train what is wanted on the `kept` ones of the pairs `learnt`, in `folder`; NDCG@10 on the requests to stop by,
    look by look."""
    encoder, db, looks = session.encoder, session.db, {}
    vectors = encoder.encode(db, items)

    def other(pairs: Pairs, how: Training) -> np.ndarray:
        asked = encoder.encode(db, pairs.texts)
        return draw_negatives(pairs, asked, vectors, how.negatives, how.skip, how.nearest, own=learnt)

    for name, some in (("trained", kept), ("placebo", shuffled(kept)))[: 1 + wanted.placebo]:
        with stages.stage(f"train {name}") as bar:
            looks[name] = _once(folder / name, lambda to, some=some, bar=bar: fit_bi_encoder(
                encoder.path, some, stop, items, other(some, wanted), settings_of(wanted), to, bar.count
            ))  # fmt: skip
    if how := wanted.rerank:
        with stages.stage("train reranker") as bar:
            some, few = at_most(kept, how.pairs), at_most_requests(stop, LOOKED_AT)
            first = Trained({}, folder).search(db, items)(few.texts)
            looks["reranker"] = _once(folder / "reranker", lambda to, bar=bar: fit_cross_encoder(
                encoder.path, some, few, items, other(some, how), first.item[:, : min(50, how.top)], settings_of(how),
                to, bar.count,
            ))  # fmt: skip
    return looks


def _once(folder: Path, train: Callable[[Path], list[float]]) -> list[float]:
    """What `train` returns, kept in the folder: one that is trained is not trained again after a kill."""
    file = folder / "looks.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    try:
        looks = [round(x, 6) for x in train(folder)]
    except Exception as error:
        if isinstance(error, OSError) or type(error).__name__ == "SafetensorError":  # a full disk, as a rule
            raise ServiceError(f"{folder} can't be written: {error}. Make room and run again: it goes on") from error
        raise
    with whole(file) as partial:
        partial.write_text(json.dumps(looks), encoding="utf-8")
    return looks


def measure(asked: Pairs, systems: dict[str, Search], pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """{"systems", "paired"} on written requests that nothing was learnt from; an owner's requests count as one."""
    n = np.arange(len(asked.texts), dtype=np.int32)
    queries = Queries([str(i) for i in n], asked.texts, asked.request, asked.item, np.ones(len(asked), np.int32))
    judged = judge(queries, {name: search(asked.texts) for name, search in systems.items()}).by(asked.owner)
    return {"systems": judged.systems(), "paired": judged.paired(pairs)}


def serves(paired: list[dict[str, Any]]) -> bool:
    """Whether it takes the encoder's place in `recommend`: fused with BM25 it is better, and beats its placebo."""
    sure = {(r["system"], r["against"]) for r in paired
            if r["metric"] == "ndcg@10" and r["p_adjusted"] < 0.05 and r["delta"] > 0}  # fmt: skip
    return {("trained_rrf", "rrf"), ("trained", "placebo")} <= sure
