"""Arms: the same ranker, lists, candidates and seeds on different blocks of columns, measured alike."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tokenrec.dataset.types import Dataset, Lists
from tokenrec.features.types import Columns
from tokenrec.ranking.metrics import Contributions, contributions, mean, per_list, relevant_ranks, tie_order
from tokenrec.ranking.own import METRIC as OWN
from tokenrec.ranking.own import Reward
from tokenrec.ranking.ranker import Settings, average, score, train


@dataclass(frozen=True)
class ArmScores:
    """What every arm gave to the rows of one window's lists: scores, and ranks of the relevant items.

    All metrics at all k and all slices follow from the ranks, so they are computed when asked for.
    """

    lists: Lists
    scores: dict[str, np.ndarray] = field(default_factory=dict)  # arm -> float32[n_rows], mean over seeds
    ranks: dict[str, np.ndarray] = field(default_factory=dict)  # arm -> int32[R], see metrics.relevant_ranks
    own: dict[str, np.ndarray] = field(default_factory=dict)  # arm -> float64[L], a user's own score a list instead

    @property
    def arms(self) -> list[str]:
        return [*(self.own or self.ranks)]

    def take(self, other: "ArmScores", arm: str) -> None:
        """Have an arm of another measurement of the same lists as well."""
        for mine, theirs in ((self.scores, other.scores), (self.ranks, other.ranks), (self.own, other.own)):
            if arm in theirs:
                mine[arm] = theirs[arm]

    def per_list(self, arm: str, metric: str, slice: str = "all") -> np.ndarray:
        """float64[L], NaN outside the slice."""
        if metric == OWN:
            return np.where(self._members(slice), self.own[arm], np.nan)
        return per_list(self.ranks[arm], self.lists, metric, slice)

    def mean(self, arm: str, metric: str, slice: str = "all") -> float:
        """The mean over the slice's lists, NaN when it has none."""
        return mean(self.per_list(arm, metric, slice))

    def contributions(self, arm: str, metric: str, slice: str = "all") -> Contributions:
        """The (list, relevant item) parts of the metric, parallel for all arms.

        A user's own score of a list has no parts: it stands alone with an item of its own, so that intervals are over
        users.
        """
        if metric == OWN:
            member, each = self._members(slice), np.arange(len(self.lists))
            return Contributions(each[member], each[member], self.own[arm][member], member)
        return contributions(self.ranks[arm], self.lists, metric, slice)

    def _members(self, slice: str) -> np.ndarray:
        """bool[L]; a list's score can't be told apart by its items, so that cold and warm have none."""
        if slice in ("cold_items", "warm"):
            return np.zeros(len(self.lists), bool)
        return self.lists.sparse_list if slice == "sparse_users" else np.ones(len(self.lists), bool)


def measure_arms(
    dataset: Dataset,
    lists_fit: Lists,
    lists_test: Lists,
    blocks: dict[str, tuple[Columns, Columns]],
    arms: dict[str, list[str]],
    settings: Settings | Reward,
    seeds: list[int],
    on_progress: Callable[[str, int, int], None] | None = None,
    on_trained: Callable[[str, int, Any, list[Columns]], None] | None = None,
) -> ArmScores:
    """Train every arm once a seed on the fit lists and score every candidate of the test lists.

    `blocks` holds each block's columns for the fit and the test lists; `arms` names the blocks of each arm.
    Seed for seed, all arms see the same sampled negatives; the seeds' scores are averaged
    (`ranker.average`; a user's own scores of lists as they are). Arms of the same numbers are trained once.
    `on_progress(arm, done, total)` is called after each training, `on_trained(arm, seed, booster, test columns)` before
    a booster of ours is dropped. Blocks are shared between arms: only the sampled fit rows of one arm are copied at a
    time.
    """
    tie = tie_order(dataset.item_ids)
    result = ArmScores(lists_test)
    done, total = 0, len(arms) * len(seeds)
    first: dict[tuple[bytes, ...], str] = {}
    digests = {name: _digest(blocks[name]) for name in {n for names in arms.values() for n in names}}
    for arm, names in arms.items():
        same = first.setdefault(tuple(digests[n] for n in names), arm)
        if same != arm:
            for kept in (result.scores, result.ranks, result.own):
                if same in kept:
                    kept[arm] = kept[same]
            done += len(seeds)
            if on_progress:
                on_progress(arm, done, total)
            continue
        used = [name for name in names if blocks[name][0].matrix.shape[1]]
        fit, test = [blocks[name][0] for name in used], [blocks[name][1] for name in used]
        each = []
        for seed in seeds:
            if isinstance(settings, Reward):
                each.append(settings(fit, lists_fit, test, lists_test, dataset, seed))
            else:
                booster = train(fit, lists_fit, settings, seed)
                each.append(score(booster, test))
                if on_trained:
                    on_trained(arm, seed, booster, test)
            done += 1
            if on_progress:
                on_progress(arm, done, total)
        if isinstance(settings, Reward) and settings.listwise:
            result.own[arm] = np.mean(each, axis=0)
            continue
        result.scores[arm] = average(each, lists_test)
        result.ranks[arm] = relevant_ranks(result.scores[arm], lists_test, tie)
    return result


def _digest(block: tuple[Columns, Columns]) -> bytes:
    """Equal for blocks of equal numbers: where a gate rejects nothing, `ungated` has the tokens' own."""
    digest = hashlib.blake2b()
    for columns in block:
        digest.update(repr(columns.matrix.shape).encode())
        digest.update(np.ascontiguousarray(columns.matrix))
    return digest.digest()
