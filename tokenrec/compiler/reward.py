"""How good a program is: completion scores, example by example, and *lite*, on whole lists (design, section 9).

Items (`UserAUC`): rank all users by the similarity of their profile, built from a fixed reference, to the new text;
the score is the mean percentile of the users who later liked the item. Popularity cancels, and no retraining is needed.
Users, queries and histories (`ItemAUC`): rank the items for one vector, and take the percentile of those to be found.

A search needs four things of either: `subjects()` that can be scored, the incumbent's `reference` vectors
(float[n, d]), the `outputs` that these are made of, in order, and `score(subject, vector, mean, scale)`.
"""

from collections.abc import Mapping

import numpy as np

from tokenrec.compiler.session import Session, make_columns
from tokenrec.dataset.lists import COLD_POSITIVES
from tokenrec.dataset.split import usable_before
from tokenrec.dataset.types import FIT, HISTORY, TUNE_A, TUNE_B, Dataset
from tokenrec.features.columns import join_columns
from tokenrec.features.types import Columns, Vectors
from tokenrec.ranking.metrics import mean
from tokenrec.ranking.ranker import lite, margins

NO_TOKEN = 0.5  # what an absent text is worth: it orders users no better than chance
PENALTY = 0.05  # taken off for a rejected one, so that refusing is never the best move
LIKERS = 3  # users who liked an item later, from which on its text can be scored
BLOCK = 512  # items whose users are ranked at once
REFUSED = 0.02  # the same for *lite*, nats a like: what a program of noise costs at worst is a fifth of it


def completion_reward(dataset: Dataset, vectors: list[Vectors], met: list[Vectors], slice: str = "all"):
    """What scores a task's answers, from the incumbent's `vectors` and, for texts about users, the item vectors that
    they `met`; None where nothing of them is there or meets an item."""
    if vectors and vectors[0].subject == "user":
        by_space = {v.space: v for v in met if v.subject == "item"}
        vectors = [v for v in vectors if v.space in by_space]
    reference = np.concatenate([v.matrix for v in vectors], axis=1).astype(float) if vectors else np.empty((0, 0))
    if np.isnan(reference).all():
        return None
    if vectors[0].subject == "user":
        made = ItemAUC.of_users(dataset, [by_space[v.space].matrix for v in vectors], reference, slice)
    else:
        made = UserAUC(dataset, reference)
    made.outputs = tuple(v.output for v in vectors)
    return made


class UserAUC:
    """Scores of item vectors against users' profiles.

    `reference` is float[n_items, d]: the incumbent's vectors (NaN where it has none). Profiles are means
    over history likes; the likes to be found lie in fit and tune-A, never later. The text alone is looked at, as if
    its item were cold; those that item_holdout keeps for test are not scored.
    """

    outputs: tuple[str, ...] = ()

    def __init__(self, dataset: Dataset, reference: np.ndarray):
        events = dataset.events
        self.reference = reference
        self.mean = np.nanmean(reference, axis=0)
        self.scale = np.maximum(np.nanstd(reference, axis=0), 1e-6)
        items = np.nan_to_num((reference - self.mean) / self.scale)
        n_users = len(dataset.user_ids)
        profile = np.zeros((n_users, reference.shape[1]))
        past = events.positive & (events.window == HISTORY)
        np.add.at(profile, events.user[past], items[events.item[past]])
        norm = np.linalg.norm(profile, axis=1, keepdims=True)
        self.known = norm[:, 0] > 1e-9  # below that it is rounding, whose direction says nothing
        self.profile = profile / np.maximum(norm, 1e-9)
        later = events.positive & np.isin(events.window, (FIT, TUNE_A))
        if dataset.held is not None:
            later &= ~dataset.held[events.item]
        self.likers = {}
        for user, item in zip(events.user[later], events.item[later], strict=True):
            if self.known[user]:
                self.likers.setdefault(int(item), set()).add(int(user))

    def subjects(self, least: int = LIKERS) -> list[int]:
        """Items that enough users liked later to be scored."""
        return sorted(i for i, users in self.likers.items() if len(users) >= least)

    def score(self, item: int, vector: np.ndarray | None, mean=None, scale=None) -> float:
        """In [0, 1]: .5 says nothing, 1 puts every user who liked the item above all others.

        `mean` and `scale` (float[d]) are those of the program's own texts, the incumbent's unless given.
        """
        if vector is None or np.isnan(vector).any():
            return NO_TOKEN - PENALTY
        centred = (vector - (self.mean if mean is None else mean)) / (self.scale if scale is None else scale)
        if not np.any(centred):
            return NO_TOKEN
        likeness = np.round(self.profile @ centred, 9)  # equal profiles are ties, whatever their rounding
        users = np.array(sorted(self.likers.get(item, ())), dtype=int)
        others = likeness[self.known]
        order = np.sort(others)
        below = np.searchsorted(order, likeness[users], "left")
        ties = np.searchsorted(order, likeness[users], "right") - below
        return float(np.mean((below + (ties - 1) / 2) / max(len(others) - 1, 1)))

    def scores(self, vectors: np.ndarray, mean=None, scale=None) -> np.ndarray:
        """float64[n_items]: `score` of every item's row of `vectors` (float[n_items, d], NaN where rejected) at once;
        NaN where nobody liked the item later."""
        from scipy.stats import rankdata

        out = np.full(len(vectors), np.nan)
        items = np.array(sorted(self.likers), dtype=int)
        place = np.cumsum(self.known) - 1  # of a known user
        for start in range(0, len(items), BLOCK):
            some = items[start : start + BLOCK]
            centred = (vectors[some] - (self.mean if mean is None else mean)) / (self.scale if scale is None else scale)
            likeness = np.round(np.nan_to_num(centred) @ self.profile[self.known].T, 9)
            share = (rankdata(likeness, axis=1) - 1) / max(likeness.shape[1] - 1, 1)
            out[some] = [share[row, place[list(self.likers[item])]].mean() for row, item in enumerate(some)]
            out[some[~np.any(centred, axis=1)]] = NO_TOKEN
            out[some[np.isnan(vectors[some]).any(axis=1)]] = NO_TOKEN - PENALTY
        return out


class ItemAUC:
    """Scores of vectors about users, queries or histories against the items that each of them should find.

    `items` are float[n_items, d], one an output, what its part of a vector is compared with (NaN where there is
    nothing); `find` maps a subject to its item codes, `seen` to those that are out of the ranking, such as what a
    prompt showed. `reference`: the incumbent's vectors, on whose mean vectors are centred; on the items' without it.
    """

    outputs: tuple[str, ...] = ()

    def __init__(
        self, items: np.ndarray | list[np.ndarray], find: dict, seen: dict | None = None,
        reference: np.ndarray | None = None,
    ):  # fmt: skip
        blocks = items if isinstance(items, list) else [items]
        self.widths = [b.shape[1] for b in blocks]
        known = [~np.isnan(b).any(axis=1) for b in blocks]
        means = [b[k].mean(axis=0) for b, k in zip(blocks, known, strict=True)]
        centred = [np.where(k[:, None], b - m, 0) for b, m, k in zip(blocks, means, known, strict=True)]
        self.items = self._directions(np.concatenate(centred, axis=1))
        self.known = self.items.any(axis=1)
        self.mean = np.concatenate(means) if reference is None else np.nanmean(reference, axis=0)
        self.reference = reference
        self.find, self.seen = find, seen or {}

    @classmethod
    def of_users(
        cls, dataset: Dataset, items: np.ndarray | list[np.ndarray], reference: np.ndarray | None = None,
        slice: str = "all",
    ) -> "ItemAUC":  # fmt: skip
        """A user's text should find what the user liked in fit and tune-A, among the items without earlier events;
        where the objective is the slice `cold_items` or `warm`, what it counts.

        Users of tune-B are not scored: a promotion asks users for whom nothing was chosen.
        """
        e = dataset.events
        past, later = e.window == HISTORY, e.positive & np.isin(e.window, (FIT, TUNE_A))
        later &= ~np.isin(e.user, e.user[e.window == TUNE_B])
        if dataset.held is not None:
            later &= ~dataset.held[e.item]
        if slice in ("cold_items", "warm"):
            likes = np.bincount(e.item[usable_before(dataset, FIT) & e.positive], minlength=len(dataset.item_ids))
            later &= (likes <= COLD_POSITIVES)[e.item] == (slice == "cold_items")
        seen, find = {}, {}
        for among, kept in ((seen, past), (find, later)):
            for user, item in zip(e.user[kept], e.item[kept], strict=True):
                among.setdefault(int(user), set()).add(int(item))
        find = {u: f - seen.get(u, set()) for u, f in find.items() if f - seen.get(u, set())}
        return cls(items, find, seen, reference)

    @classmethod
    def of_queries(cls, items: np.ndarray, sets: dict) -> "ItemAUC":
        """`sets` maps a query to (item codes that its prompt showed, item codes held out, which it should find)."""
        return cls(items, {q: set(held) for q, (_, held) in sets.items()}, {q: set(s) for q, (s, _) in sets.items()})

    def subjects(self) -> list[int]:
        """Those that have something to find."""
        return sorted(s for s, items in self.find.items() if self.known[list(items)].any())

    def score(self, subject, vector: np.ndarray | None, mean=None, scale=None) -> float:
        """In [0, 1]: .5 says nothing, 1 puts every item to be found above all others; a rejected text less than .5.

        `mean` (float[d]) is that of the program's own texts. Directions are compared, as the ranker's columns do, so
        that `scale` has no part.
        """
        if vector is None or np.isnan(vector).any():
            return NO_TOKEN - PENALTY
        towards = self.towards(vector, mean)
        return self._percentile(subject, towards) if np.any(towards) else NO_TOKEN

    def towards(self, vector: np.ndarray, mean=None) -> np.ndarray:
        """float[n_items]: how well a vector fits each item, less what all of its program's say: zeros where that is
        all."""
        return self.items @ self._directions((vector - (self.mean if mean is None else mean))[None])[0]

    def _directions(self, rows: np.ndarray) -> np.ndarray:
        """float[n, d]: each output's part of the rows at length 1; zeros where it has no direction."""
        parts = np.split(rows, np.cumsum(self.widths)[:-1], axis=1)
        lengths = [np.linalg.norm(p, axis=1, keepdims=True) for p in parts]
        made = [np.where(n > 1e-9, p / np.maximum(n, 1e-9), 0) for p, n in zip(parts, lengths, strict=True)]
        return np.concatenate(made, axis=1)

    def score_history(self, subject, history: list[int], invented: np.ndarray | None) -> float:
        """How much better the next items are found from `history` (item codes) with `invented` items' vectors
        (float[k, d]) than without: .5 is no change. Rejected ones get less."""
        if invented is None or not len(invented) or np.isnan(invented).any():
            return NO_TOKEN - PENALTY
        new = self._directions(invented - self.mean)
        old = self.items[[i for i in history if self.known[i]]]
        before = self._percentile(subject, self.items @ old.mean(axis=0)) if len(old) else NO_TOKEN
        after = self._percentile(subject, self.items @ np.concatenate([old, new]).mean(axis=0))
        return float(np.clip(NO_TOKEN + (after - before) / 2, 0, 1))

    def _percentile(self, subject, likeness: np.ndarray) -> float:
        among = self.known.copy()
        among[list(self.seen.get(subject, ()))] = False
        find = [i for i in self.find.get(subject, ()) if among[i]]
        among[find] = False  # they are held against the others, not against one another
        if not find or not among.any():
            return NO_TOKEN
        likeness = np.round(likeness, 9)
        order = np.sort(likeness[among])
        below, upto = (np.searchsorted(order, likeness[find], side) for side in ("left", "right"))
        return float(np.mean((below + upto) / 2) / len(order))


class HistoryAUC(ItemAUC):
    """Scores of invented items: how much better a user's next items are found with one in the history than without.

    `items` float[n_items, d], and `reference` float[n_users, d], the incumbent's inventions; users with at most `under`
    events before fit.
    """

    outputs = ("synthetic",)

    def __init__(self, dataset: Dataset, items: np.ndarray, reference: np.ndarray, under: int, slice: str = "all"):
        of = ItemAUC.of_users(dataset, items, None, slice)
        few = {u: f for u, f in of.find.items() if len(of.seen.get(u, ())) <= under}
        super().__init__(items, few, of.seen)
        self.reference = reference

    def score(self, subject, vector: np.ndarray | None, mean=None, scale=None) -> float:
        """.5 is no change; vectors are centred on the items' mean, since it is among items that they stand."""
        invented = None if vector is None else vector[None]
        return self.score_history(subject, sorted(self.seen.get(subject, ())), invented)

    def towards(self, vector: np.ndarray, mean=None) -> np.ndarray:
        return super().towards(vector)


class LiteScore:
    """*lite* of any number of programs: the margin that it rests on is computed once (design, section 9).

    `others`: the other tasks' incumbents, task → (vectors, vectors that they meet). With them in the margin, what
    a second prompt writes once more is worth nothing: no double credit. `incumbent`: the vectors of the task's program
    in use; a program that lacks texts which it has is charged for them (`charge`).
    """

    def __init__(
        self, session: Session, others: Mapping[str, tuple[list[Vectors], list[Vectors]]] | None = None,
        incumbent: list[Vectors] = (), met: list[Vectors] = (),
    ):  # fmt: skip
        self.session, self.lists = session, (session.lists[FIT], session.lists[TUNE_A])

        def known(window: int) -> Columns:
            parts = [session.columns(name, window, *both) for name, both in (others or {}).items()]
            return join_columns("margin", [session.behaviour(window), *parts]) if parts else session.behaviour(window)

        self.margins = margins(known(FIT), self.lists[0], known(TUNE_A), session.settings)
        self.covered = {v.output: _told(v) for v in incumbent}
        self.to_beat = mean(self.per_list(list(incumbent), met)) if incumbent else 0.0

    def per_list(self, vectors: list[Vectors], met: list[Vectors] = ()) -> np.ndarray:
        """float64[fit and tune-A lists]: what the program's columns add to a list's likelihood; `met` as in
        `make_columns`. Fit lists are scored by the half that they were not fitted in."""
        fit, tune = (make_columns("program", vectors, self.session.dataset, lists, met) for lists in self.lists)
        return lite(
            self.margins[0], [fit], self.lists[0], self.margins[1], [tune], self.lists[1],
            self.session.recipe.objective.slice,
        )  # fmt: skip

    def charge(self, vectors: list[Vectors]) -> float:
        """What the texts cost that the incumbent has and these lack: the share of them, times REFUSED and what
        the incumbent is below 0. So one that refuses everything is less than any incumbent, also a harmful one."""
        lost = [~_told(v)[self.covered[v.output]] for v in vectors if v.output in self.covered]
        gone = np.concatenate(lost) if lost else np.zeros(0)
        return float(gone.mean() * (REFUSED + max(0.0, -self.to_beat))) if len(gone) else 0.0

    def __call__(self, vectors: list[Vectors], met: list[Vectors] = ()) -> float:
        return mean(self.per_list(vectors, met)) - self.charge(vectors)


def _told(vectors: Vectors) -> np.ndarray:
    return np.isfinite(vectors.matrix).all(axis=1)
