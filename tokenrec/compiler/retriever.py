"""`retriever:` of a recipe: learn from the requests that its tasks wrote, and measure what was learnt beside a placebo.

The owners of requests (users; items, for requests about one) fall in three by hash: most are learnt from, `held` of
them say when to stop, and as many measure. Their requests are written ones too: how well people's own are answered is what
`data.queries` and `tokenrec eval` say.
"""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tokenrec.compiler.session import Session, retriever_folder
from tokenrec.config import Embedded, resolve_model
from tokenrec.dataset.queries import Queries
from tokenrec.errors import InputError
from tokenrec.evidence.queries import judge, searches
from tokenrec.features.vectors import item_texts
from tokenrec.files import whole
from tokenrec.ids import content_id, unit_hash
from tokenrec.models.bi_encoder import TrainSettings, draw_negatives, fit_bi_encoder
from tokenrec.models.cross_encoder import fit_cross_encoder, reranked
from tokenrec.ranking.retrieval import Search, bm25, fused, nearest
from tokenrec.recipe.retriever import Keep, Training
from tokenrec.tasks.pairs import Pairs, best_of_each, request_pairs, shuffled

ABOUT = "retriever.json"
FEWEST = 20  # owners to measure on, below which nothing is trained


def train_retriever(session: Session, stages) -> dict[str, Any] | None:
    """Train what the recipe's `retriever` says, beside the store; the part `retriever` of the compile document.

    None without one. What is trained already from the same pairs with the same settings is kept as it is. Raises
    InputError where too few requests are there, or packages are missing.
    """
    wanted = session.recipe.retriever
    if wanted is None:
        return None
    began, folder = time.perf_counter(), retriever_folder(session.loaded)
    items = item_texts(session.recipe, session.dataset)
    pairs = request_pairs(session.db, session.recipe, session.dataset, wanted.from_)
    learnt, stop, measured = parts(pairs, wanted.held)
    owners = [len(set(p.owner)) for p in (learnt, stop, measured)]
    if min(owners) < FEWEST:
        raise InputError(
            f"retriever: the requests of {', '.join(wanted.from_)} have {owners[0]:,} owners to learn from, "
            f"{owners[1]:,} to stop by and {owners[2]:,} to measure on; {FEWEST} each are needed. Write more, or leave "
            "retriever out"
        )
    known = content_id([
        pairs.texts, pairs.owner, pairs.request.tolist(), pairs.item.tolist(), items, session.encoder.encoder_id,
        wanted.model_dump(mode="json"),
    ])  # fmt: skip
    found = load_about(folder)
    if found and found["id"] == known:
        stages.say("  retriever: trained already on these requests")
        return found
    if found and found["id"] != known or not (folder / known[:16]).is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / known[:16]).mkdir(parents=True)  # tells a killed run's checkpoints from another's
    kept = learnt.of_pairs(keep(session, learnt, items, wanted.keep, folder, stages))
    kept = at_most(kept, wanted.pairs)
    made, looks = {}, {}
    encoder = session.encoder
    vectors = encoder.encode(session.db, items)
    for name, some in (("trained", kept), ("placebo", shuffled(kept))):
        if name == "trained" or wanted.placebo:
            with stages.stage(f"train {name}") as bar:
                looks[name] = fit_bi_encoder(
                    encoder.path, some, stop, items,
                    draw_negatives(some, encoder.encode(session.db, some.texts), vectors, wanted.negatives, wanted.skip,
                                   wanted.nearest),
                    settings_of(wanted), folder / name, lambda done, total, bar=bar: bar.count(done, total),
                )  # fmt: skip
                made[name] = vector_search(folder / name / "model", items, wanted.length)
    systems = searches(items, lambda texts: encoder.encode(session.db, texts))
    systems |= made | {"trained_rrf": fused(bm25(items), made["trained"])}
    if wanted.rerank:
        with stages.stage("train reranker") as bar:
            looks["reranker"] = _reranker(session, wanted.rerank, kept, stop, items, vectors, made["trained"], folder,
                                          lambda done, total: bar.count(done, total))  # fmt: skip
        systems["reranked"] = reranked(made["trained"], folder / "reranker/model", items, wanted.rerank.top,
                                       wanted.rerank.length)  # fmt: skip
    with stages.stage("measure retrievers"):
        told = measure(measured, systems, comparisons(systems))
    about = {
        "kind": "retriever", "schema_version": 1, "id": known, "encoder": encoder.encoder_id, "from": wanted.from_,
        "requests": len(pairs.texts), "pairs": len(pairs), "learnt_from": len(kept), "keep": wanted.keep.by,
        "stopped_by": len(stop.texts), "measured_on": len(measured.texts), "owners": owners[2], "looks": looks, **told,
        "serves": serves(told["paired"]), "length": wanted.length, "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip
    with whole(folder / ABOUT) as partial:
        partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    (folder / known[:16]).rmdir()
    return about


def load_about(folder: Path) -> dict[str, Any] | None:
    """What is said of the trained retriever; None where there is none that is whole."""
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return found if found.get("kind") == "retriever" and found.get("schema_version") == 1 else None
    except (OSError, ValueError, AttributeError):
        return None


def parts(pairs: Pairs, held: float) -> tuple[Pairs, Pairs, Pairs]:
    """(to learn from, to stop by, to measure on), by owner."""
    place = np.array([unit_hash("retriever", o) for o in pairs.owner])
    return tuple(pairs.of_requests(m) for m in (place >= 2 * held, place < held, (held <= place) & (place < 2 * held)))


def keep(session: Session, pairs: Pairs, items: list[str], rule: Keep, folder: Path, stages) -> np.ndarray:
    """bool[p]: the pairs that the recipe's filter keeps."""
    if rule.by == "all" or rule.share == 1:
        return np.ones(len(pairs), bool)
    if rule.by == "random":
        score = np.array([unit_hash("pair", pairs.texts[r], items[i]) for r, i in zip(pairs.request, pairs.item)])
    elif rule.by == "encoder":
        asked, told = (session.encoder.encode(session.db, t) for t in (pairs.texts, items))
        score = np.einsum("pd,pd->p", asked[pairs.request], told[pairs.item])
    else:
        score = likelihoods(session, pairs, items, rule.model, folder / "likelihoods.json", stages)
    return best_of_each(pairs, score, rule.share)


def likelihoods(session: Session, pairs: Pairs, items: list[str], model: str, file: Path, stages) -> np.ndarray:
    """float32[p]: how likely each request is, given the item; 0 where a request has one item, which stays anyhow.

    Kept in `file` as they come, so that a killed run goes on.
    """
    from tokenrec.lm.likelihood import request_likelihoods
    from tokenrec.lm.llama import bundled_weights

    config = resolve_model(session.loaded.project, model)
    if not isinstance(config, Embedded):
        raise InputError(f"retriever.keep: {model} is no GGUF, off which likelihoods are read. Name one of kind embedded")
    path = config.path or str(bundled_weights())
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


def at_most(pairs: Pairs, most: int | None) -> Pairs:
    if most is None or most >= len(pairs):
        return pairs
    place = [unit_hash("most", pairs.texts[r], int(i)) for r, i in zip(pairs.request, pairs.item, strict=True)]
    order = np.argsort(place, kind="stable")
    chosen = np.zeros(len(pairs), bool)
    chosen[order[:most]] = True
    return pairs.of_pairs(chosen)


def settings_of(wanted: Training) -> TrainSettings:
    known = {k: v for k, v in wanted.model_dump().items() if k in TrainSettings.__dataclass_fields__}
    return TrainSettings(**known)


def vector_search(model: Path, items: list[str], length: int) -> Search:
    """Nearest items by the trained encoder."""
    from sentence_transformers import SentenceTransformer

    trained = SentenceTransformer(str(model), device="cpu")
    trained.max_seq_length = length

    def encode(texts: Sequence[str]) -> np.ndarray:
        return trained.encode(list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False)

    return nearest(encode(items), encode)


def _reranker(session, wanted, kept, stop, items, vectors, first, folder: Path, progress) -> list[float]:
    encoder, some = session.encoder, at_most(kept, wanted.pairs)
    other = draw_negatives(
        some, encoder.encode(session.db, some.texts), vectors, wanted.negatives, wanted.skip, wanted.nearest
    )
    best = first(stop.texts).item[:, : min(50, wanted.top)]
    return fit_cross_encoder(encoder.path, some, stop, items, other, best, settings_of(wanted), folder / "reranker",
                             progress)  # fmt: skip


def comparisons(systems) -> list[tuple[str, str]]:
    wanted = [("trained", "encoder"), ("trained", "placebo"), ("trained_rrf", "rrf"), ("reranked", "trained")]
    return [p for p in wanted if set(p) <= set(systems)]


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
