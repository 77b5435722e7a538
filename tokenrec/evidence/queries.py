"""How well requests in words find the items that answer them: NDCG, MAP, MRR and recall through ir-measures."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from tokenrec.dataset.load import load_dataset
from tokenrec.dataset.queries import Queries, load_queries
from tokenrec.encoders.encoder import open_encoder
from tokenrec.errors import InputError
from tokenrec.evidence.statistics import Difference, holm
from tokenrec.features.vectors import item_texts, item_words
from tokenrec.ids import finite
from tokenrec.ranking.requests import FEWEST, cross_fit
from tokenrec.ranking.retrieval import DEPTH, Search, Top, bm25, fused, nearest
from tokenrec.ranking.trained import load_trained
from tokenrec.recipe.load import LoadedRecipe
from tokenrec.store.store import open_store

METRICS = {"ndcg@5": "nDCG@5", "ndcg@10": "nDCG@10", "map": "AP", "mrr": "RR", "recall@100": "R@100"}


@dataclass(frozen=True)
class Judged:
    """What a set of rankings is worth, request by request: {system: {metric: float64[requests]}}."""

    values: dict[str, dict[str, np.ndarray]]

    def by(self, owner: Sequence[str]) -> "Judged":
        """Means over each owner's requests: who asked twice is one of the sample."""
        place = np.unique(np.array(owner, object).astype(str), return_inverse=True)[1]
        count = np.bincount(place)
        return Judged({
            s: {m: np.bincount(place, v) / count for m, v in by_metric.items()} for s, by_metric in self.values.items()
        })  # fmt: skip

    def systems(self) -> list[dict[str, Any]]:
        """Means with 95% t-intervals over the requests."""
        rows = []
        for system, by_metric in self.values.items():
            for metric, value in by_metric.items():
                mean = mean_of(value)
                low, high = mean.interval()
                rows.append({"system": system, "metric": metric, "value": float(mean.value), "low": finite(low),
                             "high": finite(high)})  # fmt: skip
        return rows

    def paired(self, pairs: Sequence[tuple[str, str]] | None = None) -> list[dict[str, Any]]:
        """Differences over the same requests, with paired t-tests; p is Holm's over the pairs of one metric.

        `pairs`: (system, against); every two unless said. For such metrics t agrees with randomisation and bootstrap
        tests (Smucker, Allan and Carterette 2007).
        """
        pairs = [(a, b) for b, a in combinations(self.values, 2)] if pairs is None else list(pairs)
        rows = []
        for metric in dict.fromkeys(m for by_metric in self.values.values() for m in by_metric):
            found = [mean_of(self.values[a][metric] - self.values[b][metric]) for a, b in pairs]
            adjusted = holm([d.p_value for d in found])[0] if found else []
            for (a, b), d, p in zip(pairs, found, adjusted, strict=True):
                low, high = d.interval()
                rows.append({"system": a, "against": b, "metric": metric, "delta": float(d.value), "low": finite(low),
                             "high": finite(high), "p": float(d.p_value), "p_adjusted": float(p)})  # fmt: skip
        return rows


def mean_of(values: np.ndarray) -> Difference:
    """The mean with its standard error over requests."""
    n = len(values)
    se = float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return Difference(float(values.mean()) if n else float("nan"), se, n, n)


def judge(queries: Queries, tops: Mapping[str, Top]) -> Judged:
    """Every metric of every request. Items that nobody judged count as not relevant; AP, RR and recall take grade 1 and
    more for relevant; a request without any ranked item has 0.

    Raises InputError where ir-measures is not installed.
    """
    try:
        import ir_measures
    except ImportError as error:
        raise InputError("rank metrics need ir-measures. run: pip install 'tokenrec[retrieval]'") from error
    measures = {ir_measures.parse_measure(of): name for name, of in METRICS.items()}
    qrels = [ir_measures.Qrel(str(q), str(i), int(g)) for q, i, g in zip(queries.query, queries.item, queries.grade)]
    found: dict[str, dict[str, np.ndarray]] = {}
    for system, top in tops.items():
        # a place for a score, so that ties stay as they are ranked
        run = [
            ir_measures.ScoredDoc(str(q), str(item), float(-place))
            for q, row in enumerate(top.item) for place, item in enumerate(row) if item >= 0
        ]
        found[system] = {name: np.zeros(len(queries)) for name in METRICS}
        for one in ir_measures.iter_calc(list(measures), qrels, run) if run else ():
            found[system][measures[one.measure]][int(one.query_id)] = one.value
    return Judged(found)


def searches(
    texts: Sequence[str], encode, depth: int = DEPTH, words: Sequence[str] | None = None
) -> dict[str, Search]:
    """The retrievers that need no training, by name. `encode`: texts → unit vectors [n, d]; `words`: what BM25 reads of
    the items instead of `texts`."""
    by_word, meaning = bm25(words or texts, depth), nearest(encode(list(texts)), encode, depth)
    return {"bm25": by_word, "encoder": meaning, "rrf": fused(by_word, meaning, depth=depth)}


def told_apart(systems: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Which pairs say what training was worth: (system, against)."""
    wanted = [("trained", "encoder"), ("trained", "placebo"), ("trained_rrf", "rrf"), ("reranked", "trained"),
              ("ranked", "rrf")]  # fmt: skip
    return [p for p in wanted if set(p) <= set(systems)]


def measure_queries(loaded: LoadedRecipe, progress=lambda done, total: None) -> dict[str, Any] | None:
    """The part `queries` of `tokenrec eval --json`; None where the recipe has no data.queries. No LM is asked."""
    if loaded.recipe.data.queries is None:
        return None
    notes: list[str] = []
    dataset = load_dataset(loaded.recipe, loaded.folder)
    queries = load_queries(loaded.recipe, loaded.folder, dataset, notes)
    encoder, db = open_encoder(loaded.project, loaded.recipe.lm.encoder), open_store(loaded.project.store)
    try:
        texts = item_texts(loaded.recipe, dataset)
        words = item_words(loaded.recipe, dataset)
        found = searches(texts, lambda some: encoder.encode(db, some, progress), words=words)
        if trained := load_trained(loaded):
            found |= trained.searches(db, texts, found["bm25"], progress)
        tops = {name: search(queries.texts) for name, search in found.items()}
        if len(queries) >= FEWEST:
            serving = ["bm25", "encoder", *["trained"] * bool(trained and trained.about["serves"])]
            with suppress(InputError):  # they teach nothing, which compile says
                tops["ranked"] = cross_fit([tops[name] for name in serving], queries)
        judged = judge(queries, tops)
    finally:
        db.conn.close()
    single = bool((np.bincount(queries.query[queries.grade > 0], minlength=len(queries)) <= 1).all())
    return {
        "file": loaded.recipe.data.queries.path, "n": len(queries), "judged": len(queries.item),
        "single_relevant": single, "encoder": encoder.encoder_id, "systems": judged.systems(),
        "paired": judged.paired(told_apart(tops) if trained else None), "notes": notes,
    }  # fmt: skip
