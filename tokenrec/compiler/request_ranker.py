"""The ranker of requests, learnt where `data.queries` has people's own, and proved or left alone.

It serves in `recommend` only where, cross-fitted, it orders requests better than the fusion that would serve instead.
"""

import shutil
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import numpy as np

from tokenrec.compiler.session import Session
from tokenrec.dataset.queries import Queries
from tokenrec.errors import InputError
from tokenrec.evidence.queries import judge, searches
from tokenrec.features.vectors import item_texts, item_words
from tokenrec.ranking.requests import (
    FEWEST,
    cross_fit,
    fit,
    load_boosters,
    order_folder,
    order_id,
    read_order,
    save_order,
)
from tokenrec.ranking.retrieval import fuse
from tokenrec.ranking.trained import is_whole, load_serving


def train_request_ranker(session: Session, queries: Queries | None, stages) -> dict[str, Any] | None:
    """The part `request_ranker` of the compile document; None without `queries` (of data.queries), or with too few.

    One that was learnt from the same requests, items and retrievers is kept as it is.
    """
    recipe, dataset = session.recipe, session.dataset
    if queries is None:
        return _nothing(session)
    if len(queries) < FEWEST:
        few = f"{len(queries)} requests of data.queries are too few to learn how to order a menu; it takes {FEWEST}"
        return _nothing(session, few, stages)
    if find_spec("ir_measures") is None:
        why = "data.queries teaches nothing without ir-measures. run: pip install 'tokenrec[retrieval]'"
        return _nothing(session, why, stages)
    trained = load_serving(session.loaded)  # also where this run found too few requests to train it anew
    trained = trained if trained and is_whole(trained.folder, trained.about) else None
    known = order_id(session.loaded, dataset, session.encoder.encoder_id, trained and trained.about["id"])
    folder = order_folder(session.loaded)
    if (found := read_order(folder)) and found["id"] == known:
        with suppress(InputError):  # of files that are damaged or gone: it is learnt anew
            load_boosters(folder)
            stages.say("  order of requests: learnt already from these")
            return found
    items, named = item_texts(recipe, dataset), item_words(recipe, dataset)
    with stages.stage("learn from data.queries"):
        by = searches(items, lambda texts: session.encoder.encode(session.db, texts), words=named)
        if trained:
            by["trained"] = trained.search(session.db, items)
        tops = {name: search(queries.texts) for name, search in by.items() if name != "rrf"}
        scored = list(tops.values())
        before = "trained_rrf" if trained else "rrf"  # what serves without it
        now = fuse([tops["bm25"], tops["trained" if trained else "encoder"]])
        try:
            ranked = cross_fit(scored, queries)
        except InputError as error:
            return _nothing(session, f"data.queries teaches no order of a menu: {error}", stages)
        boosters = fit(scored, queries, np.arange(len(queries)))
        judged = judge(queries, tops | {before: now, "ranked": ranked})
    paired = judged.paired([("ranked", before), ("ranked", "encoder")])
    sure = any(
        r["metric"] == "ndcg@10" and r["against"] == before and r["p_adjusted"] < 0.05 and r["delta"] > 0
        for r in paired
    )
    about = {
        "kind": "request_ranker", "schema_version": 1, "id": known, "requests": len(queries),
        "retrievers": list(tops), "encoder": session.encoder.encoder_id,
        "retriever": trained and trained.about["id"], "systems": judged.systems(), "paired": paired, "serves": sure,
    }  # fmt: skip
    save_order(folder, about, boosters)
    return about


def _nothing(session: Session, why: str = "", stages=None) -> None:
    """Nothing is learnt, and it is said why; what was learnt from requests that no longer stand goes."""
    if why:
        stages.say(f"  note: {why}")
        session.dataset.notes.append(why)
    shutil.rmtree(order_folder(session.loaded), ignore_errors=True)
