"""Pairs of (request, item) that a retriever learns from: what tasks wrote, and the items that it was written from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np

from tokenrec.dataset.types import Dataset
from tokenrec.recipe.models import Recipe
from tokenrec.store import completions as store
from tokenrec.tasks.overrides import told


@dataclass(frozen=True)
class Pairs:
    """Requests, and parallel arrays of a request's place and an item's code.

    `owner`: one a request; requests of one owner (the user whose likes they were written from; the item, for a request
    about one item) are held out together.
    """

    texts: list[str]
    owner: list[str]
    request: np.ndarray  # int32[p]
    item: np.ndarray  # int32[p]

    def __len__(self) -> int:
        return len(self.request)

    def of_requests(self, chosen: np.ndarray) -> "Pairs":
        """Only the requests of bool[n_requests]."""
        place = np.cumsum(chosen) - 1
        kept = chosen[self.request]
        at = np.flatnonzero(chosen)
        return Pairs(
            [self.texts[i] for i in at], [self.owner[i] for i in at],
            place[self.request[kept]].astype(np.int32), self.item[kept],
        )  # fmt: skip

    def of_pairs(self, chosen: np.ndarray) -> "Pairs":
        """Only the pairs of bool[p]."""
        return replace(self, request=self.request[chosen], item=self.item[chosen])


def request_pairs(db, recipe: Recipe, folder: Path, dataset: Dataset, tasks: Sequence[str]) -> Pairs:
    """The accepted requests of the tasks' present programs, or people's own in their place (`folder` is the recipe's),
    with the items that they were written from. One for the whole catalogue teaches nothing, and is left out."""
    code = {key: n for n, key in enumerate(dataset.item_ids)}
    texts, owner, request, item = [], [], [], []
    for name in tasks:
        task = recipe.tasks[name]
        output = next(o for o, of in task.outputs.items() if of.type == "text")
        sources = store.sources_of(db, recipe.name, name) if task.for_ == "set" else {}
        for subject, said in sorted(told(db, recipe, folder, name).items()):
            known = sources.get(subject, []) if task.for_ == "set" else [(f"item {subject}", [subject])]
            codes = sorted({code[i] for _, items in known for i in items if i in code})
            if not 0 < len(codes) < len(code) or not said.get(output):
                continue
            request += [len(texts)] * len(codes)
            item += codes
            texts.append(said[output])
            owner.append(known[0][0])
    return Pairs(texts, owner, np.array(request, np.int32), np.array(item, np.int32))


def shuffled(pairs: Pairs, seed: int = 0) -> Pairs:
    """The placebo: every request keeps its words and gets the items of another owner's request."""
    rng, n = np.random.default_rng(seed), len(pairs.texts)
    if len(set(pairs.owner)) < 2:
        return pairs
    other, who = rng.permutation(n), np.array(pairs.owner, object)
    for _ in range(100):  # deal again those that got their own owner's
        same = np.flatnonzero(who[other] == who)
        if not len(same):
            break
        swap = rng.integers(n, size=len(same))
        for a, b in zip(same, swap, strict=True):
            other[a], other[b] = other[b], other[a]
    items = [pairs.item[pairs.request == r] for r in range(n)]
    dealt = [items[o] for o in other]
    return replace(
        pairs, request=np.repeat(np.arange(n), [len(d) for d in dealt]).astype(np.int32),
        item=np.concatenate([*dealt, np.empty(0, np.int32)]).astype(np.int32),
    )  # fmt: skip


def best_of_each(pairs: Pairs, score: np.ndarray, share: float) -> np.ndarray:
    """bool[p]: within each request, the share of its pairs with the highest float[p] score, at least one (MINT's
    filter, section 3.3); a pair whose score is NaN is the first to go."""
    kept = np.zeros(len(pairs), bool)
    rank = np.where(np.isnan(score), -np.inf, score)
    for r in np.unique(pairs.request):
        of = np.flatnonzero(pairs.request == r)
        kept[of[np.argsort(-rank[of], kind="stable")[: max(1, ceil(share * len(of) - 1e-9))]]] = True
    return kept
