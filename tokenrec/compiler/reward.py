"""Completion scores: how much one text about one item says to ranking, example by example.

userAUC (design, section 9): rank all users by the similarity of their profile, built from a fixed
reference, to the new text; the score is the mean percentile of the users who later liked the item.
Popularity cancels, and no retraining is needed.
"""

import numpy as np

from tokenrec.dataset.types import FIT, HISTORY, TUNE_A, Dataset

NO_TOKEN = 0.5  # what an absent text is worth: it orders users no better than chance
PENALTY = 0.05  # taken off for a rejected one, so that refusing is never the best move


class UserAUC:
    """Scores of item vectors against users' profiles.

    `reference` is float[n_items, d]: the incumbent's vectors (NaN where it has none). Profiles are means
    over history likes; the likes to be found lie in fit and tune-A, never later.
    """

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
        self.likers = {}
        for user, item in zip(events.user[later], events.item[later], strict=True):
            if self.known[user]:
                self.likers.setdefault(int(item), set()).add(int(user))

    def items(self, least: int = 3) -> list[int]:
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
