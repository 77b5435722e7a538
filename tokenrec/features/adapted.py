"""Columns of a KAR adaptor: what it makes of a user's and an item's text, for every row of the lists.

The user's text is the tokens of a user source where there is one, else the mean of the texts of the items that the user
liked before the window. On fit lists every row is scored by an adaptor that has not seen its list.
"""

from collections.abc import Sequence

import numpy as np

from tokenrec.dataset.types import Dataset, Lists
from tokenrec.features.profiles import gather, liked_matrix, profiles
from tokenrec.features.types import Columns, Vectors
from tokenrec.models.adaptor import PUBLISHED, Adaptor, AdaptorSettings, fit_folds


def user_texts(items: np.ndarray, dataset: Dataset, lists: Lists, users: Vectors | None = None) -> np.ndarray:
    """float[n_users, d]: a user's own vector of the items' width, else the mean of liked items'; NaN for none."""
    made = profiles(np.asarray(items, float), liked_matrix(dataset, lists.before))
    if users is not None and users.matrix.shape[1] == items.shape[1]:
        own = np.isfinite(users.matrix).all(axis=1)
        made[own] = users.matrix[own]
    return made


def adapted_columns(
    items: Vectors, dataset: Dataset, fit: Lists, others: Sequence[Lists],
    settings: AdaptorSettings = PUBLISHED, margin: np.ndarray | None = None, users: Vectors | None = None,
    vectors: bool = True, folds: int = 3, seed: int = 0,
) -> tuple[list[Columns], list[Adaptor]]:  # fmt: skip
    """(columns of fit and of each of `others`, the adaptors): `<source>.<output>.adapted`, the score, and with
    `vectors` the 2 x out coordinates of both sides (u0, u1, ..., i0, i1, ...).

    `margin`: log-odds of the fit rows by clicks alone (`ranking.ranker.margins`). Raises InputError for too few lists.
    """
    told = user_texts(items.matrix, dataset, fit, users)
    adaptors, fold = fit_folds(told, items.matrix, fit, settings, margin, folds, seed)
    made = [_columns(adaptors, items, dataset, fit, users, vectors, fold)]
    made += [_columns(adaptors, items, dataset, lists, users, vectors, None) for lists in others]
    return made, adaptors


def _columns(adaptors, items: Vectors, dataset: Dataset, lists: Lists, users, vectors: bool, fold) -> Columns:
    told, n = user_texts(items.matrix, dataset, lists, users), len(lists.item_of_row)
    width = 2 * adaptors[0].settings.out if vectors else 0
    matrix = np.zeros((n, 1 + width), np.float32)
    for k, adaptor in enumerate(adaptors):
        # a fit row has its own fold's adaptor; later windows have the mean of all
        own = np.ones(n, bool) if fold is None else (fold == k)[lists.list_of_row]
        share = 1 / len(adaptors) if fold is None else 1.0
        score = gather(lists, len(items.matrix), lambda u, a=adaptor: a.score(told[u], items.matrix))
        matrix[own, 0] += share * score[own]
        if vectors:
            of_user = adaptor.adapt("user", told)[lists.user][lists.list_of_row[own]]
            both = np.concatenate([of_user, adaptor.adapt("item", items.matrix)[lists.item_of_row[own]]], axis=1)
            matrix[own, 1:] += share * both
    names = ["adapted", *(f"{side}{i}" for side in "ui" for i in range(width // 2))]
    return Columns(items.source, [f"{items.source}.{items.output}.{name}" for name in names], matrix)
