"""The arms of a recipe on test, and the evidence that goes to the report and the store."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tokenrec.compiler.retriever import retriever_vectors
from tokenrec.compiler.session import Session, ranker_folder
from tokenrec.compiler.writing import Written, program_vectors
from tokenrec.dataset.load import load_labels
from tokenrec.dataset.types import FIT, TEST
from tokenrec.evidence.arms import ArmScores, measure_arms
from tokenrec.evidence.contributions import Explainer, Opinion, opinions
from tokenrec.evidence.statistics import user_draws
from tokenrec.evidence.verdicts import Row, leaderboard
from tokenrec.features.columns import shuffle_vectors
from tokenrec.features.types import Vectors
from tokenrec.features.vectors import extractive, oracle
from tokenrec.ranking.metrics import tie_order
from tokenrec.ranking.own import METRIC as OWN
from tokenrec.ranking.saved import Keep, save_ranker
from tokenrec.recipe.models import SLICES

PLACEBO_DRAWS = 3
SERVED = ("raw_text+tokens", "raw_text")  # the arm that `tokenrec recommend` ranks with, the first that there is


@dataclass(frozen=True)
class Evidence:
    scores: ArmScores
    arms: list[dict[str, Any]]  # arm, slice, metric, value, low, high, n
    leaderboard: list[Row]
    unseen: list[str] = field(default_factory=list)  # tasks of which nothing reaches the ranker
    opinions: list[Opinion] = field(default_factory=list)


def metrics_of(session: Session) -> list[str]:
    """The objective first, then NDCG, recall and MRR at the ranker's k; a user's own score of lists stands alone."""
    if session.recipe.objective.metric == OWN:
        return [OWN]
    k = session.recipe.ranker.k
    return list(dict.fromkeys([session.recipe.objective.metric, f"ndcg@{k}", f"recall@{k}", f"mrr@{k}"]))


def measure(session: Session, written: dict[str, Written], progress) -> Evidence:
    """Train every arm on fit, score it on test (every candidate), and hold the tasks to account."""
    usable = {n: w for n, w in written.items() if not all(v.empty for v in w.vectors)}
    blocks, arms = make_arms(session, written, usable)
    seeds = list(range(session.recipe.ranker.seeds))
    explainer, kept = Explainer(session.lists[TEST], seeds), Keep(SERVED)

    def trained(*made) -> None:
        explainer(*made)
        kept(*made)

    scores = measure_arms(
        session.dataset, session.lists[FIT], session.lists[TEST], blocks, arms, session.settings, seeds, progress,
        trained,
    )  # fmt: skip
    save_ranker(ranker_folder(session.loaded), kept, {
        "recipe": session.recipe.name, "run": session.run, "data_hash": session.dataset.data_hash,
        "ease_penalty": session.ease_penalty(), "augment": session.augment, "encoder": session.encoder.encoder_id,
        "programs": {n: written[n].report.program_id for n in usable},
    }, lambda source: None if source == "behaviour" else session.adaptor_of(*_of(session, usable, source)))  # fmt: skip
    objective = session.recipe.objective
    unseen = [n for n in written if n not in usable]
    by = {n: "user" if w.spec.subject == "user" else "user_item" for n, w in written.items()}
    rows = leaderboard(scores, list(usable), objective.metric, objective.slice, objective.margin, by)
    second = []
    if explainer.of:  # no ranker but ours can be asked
        tie = tie_order(session.dataset.item_ids)
        second = opinions(explainer, scores, list(usable), objective.metric, tie, objective.slice, by)
    return Evidence(scores, _values(session, scores), rows, unseen, second)


def make_arms(
    session: Session, written: dict[str, Written], usable: dict[str, Written], window: int = TEST
) -> tuple[dict, dict]:
    """({block: its columns on (fit, `window`)}, {arm: its blocks}); `usable` loses tasks that compare with no item."""
    items = _items(session, usable)
    blocks: dict[str, tuple] = session.base(window)

    def block(source: str, vectors: list, met: list = items) -> str:
        blocks[source] = tuple(session.block(source, w, vectors, met) for w in (FIT, window))
        return source

    base = ["behaviour", "raw_text"]
    arms = {"behaviour": ["behaviour"], "raw_text": base}
    for name, w in list(usable.items()):
        block(name, w.vectors)
        if not blocks[name][0].matrix.shape[1]:
            del usable[name], blocks[name]  # nothing of it can be compared with an item: no arm, no verdict
    if usable:
        arms["raw_text+tokens"] = [*base, *usable]
        dealt = {
            name: [[shuffle_vectors(v, d) for v in w.vectors] for d in range(PLACEBO_DRAWS)]
            for name, w in usable.items()
        }
        shuffled = [block(f"{name}~0", draws[0]) for name, draws in dealt.items()]
        arms["placebo"] = [*base, *shuffled]
        open_ = [
            block(f"{name}~open", program_vectors(session, w.spec, w.program, w.report, accepted_only=False))
            for name, w in usable.items()
        ]
        arms["ungated"] = [*base, *open_]
        for name in usable:
            arms[f"raw_text+{name}"] = [*base, name]
            if len(usable) > 1:
                arms[f"raw_text+tokens-{name}"] = [*base, *[n for n in usable if n != name]]
            for d in range(PLACEBO_DRAWS):
                if d:
                    block(f"{name}~{d}", dealt[name][d])
                arms[f"raw_text+{name}~placebo{d + 1}"] = [*base, f"{name}~{d}"]
    if learnt := retriever_vectors(session):
        arms["raw_text+retriever"] = [*base, block("retriever", [learnt])]
    keywords = extractive(session.db, session.recipe, session.dataset, session.encoder)
    arms["extractive"] = [*base, block("extractive", [keywords])]
    if session.recipe.data.labels:
        truth = oracle(session.recipe, session.dataset, load_labels(session.recipe, session.loaded.folder))
        arms["oracle"] = [*base, block("oracle", truth)]
    return blocks, arms


def _items(session: Session, usable: dict[str, Written]) -> list[Vectors]:
    """What a user's text is compared with; of one space, the last is met."""
    return [*(v for w in usable.values() if w.spec.subject == "item" for v in w.vectors), session.raw]


def _of(session: Session, usable: dict[str, Written], source: str) -> tuple[list[Vectors], list[Vectors]]:
    """(vectors, item vectors that they meet) of a block of the served arm."""
    vectors = [session.raw] if source == "raw_text" else usable[source].vectors
    return vectors, [] if source == "raw_text" else _items(session, usable)


def _values(session: Session, scores: ArmScores) -> list[dict[str, Any]]:
    """Mean of every arm, slice and metric with a 95% interval over users (percentile bootstrap)."""
    rows = []
    for arm in scores.arms:
        for slice in SLICES:
            for metric in metrics_of(session):
                values = scores.per_list(arm, metric, slice)
                kept = values[~np.isnan(values)]
                low = high = None
                if len(kept) > 1:
                    drawn = user_draws(values, 400, owner=scores.lists.user)
                    low, high = (float(x) for x in np.quantile(drawn, (0.025, 0.975)))
                rows.append({
                    "arm": arm, "slice": slice, "metric": metric, "value": float(kept.mean()) if len(kept) else None,
                    "low": low, "high": high, "n": len(kept),
                })  # fmt: skip
    return rows
