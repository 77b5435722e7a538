"""Columns of a KAR adaptor, or of what is held against it: what it makes of a user's and an item's text.

The user's text is the source's own where it writes about users, else the mean of the texts of the items that the user
liked before the window. On fit lists every row is scored by an adaptor that has not seen its list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenrec.dataset.types import FIT, Dataset, Lists
from tokenrec.features.profiles import gather, liked_matrix, profiles, unit
from tokenrec.features.types import Columns, Vectors
from tokenrec.models.adaptor import PUBLISHED, AdaptorSettings, fit_folds

FEWEST = 50  # fit lists with texts, below which nothing is learnt


@dataclass(frozen=True)
class Adapted:
    """What was learnt for one source. `fold` (int[n_lists]) says which adaptor has not seen a fit list; None when it is
    loaded to serve. `columns`: pair (the score, and the cosine of both short vectors), products (also their product,
    coordinate by coordinate), vectors (also both as they are; these are constant for an item)."""

    adaptors: Sequence[Any]  # models.adaptor.Adaptor, or Pca
    fold: np.ndarray | None = None
    columns: str = "pair"


@dataclass(frozen=True)
class Pca:
    """The plain alternative, of the same size: principal components of the item texts; the score is a dot product."""

    mean: np.ndarray
    turn: np.ndarray  # float[d, out]

    def adapt(self, side: str, vectors: np.ndarray) -> np.ndarray:
        return ((vectors - self.mean) @ self.turn).astype(np.float32)

    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return self.adapt("user", users) @ self.adapt("item", items).T


def fit_pca(items: np.ndarray, out: int = 32, columns: str = "pair") -> Adapted:
    """`out` principal components of float[n_items, d]; rows with a NaN are left out."""
    known = items[np.isfinite(items).all(axis=1)].astype(float)
    mean = known.mean(axis=0)
    return Adapted([Pca(mean, np.linalg.svd(known - mean, full_matrices=False)[2][:out].T)], None, columns)


def pair_texts(vectors: Sequence[Vectors], met: Sequence[Vectors] = ()) -> tuple[np.ndarray, np.ndarray | None] | None:
    """(items float[n_items, d], users float[n_users, d] or None for the mean of liked items) that an adaptor of this
    source reads; None where it has no text, or users' texts meet no item text of the same encoder.

    A text of several outputs (KAR's factors) is the mean of those that it has, which is near to one encoding of all.
    """
    texts = [v for v in vectors if not v.named and not v.empty]
    if not texts:
        return None
    made = np.stack([v.matrix for v in texts])
    told = np.isfinite(made).all(axis=2)
    count = told.sum(axis=0)[:, None]
    total = np.where(told[:, :, None], made, 0).sum(axis=0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
    if texts[0].subject == "item":
        return mean, None
    items = {v.space: v for v in met if v.subject == "item"}.get(texts[0].space)
    return None if items is None else (items.matrix, mean)


def fit_adapted(
    items: np.ndarray, users: np.ndarray | None, dataset: Dataset, fit: Lists,
    settings: AdaptorSettings = PUBLISHED, margin: np.ndarray | None = None, folds: int = 3, columns: str = "pair",
    seed: int = 0,
) -> Adapted | None:  # fmt: skip
    """Adaptors of a source, learnt on the fit lists alone; None where fewer than FEWEST of them have texts.

    `margin`: log-odds of the fit rows by clicks alone (`ranking.ranker.margins`), which the adaptor adds to.
    """
    told = user_texts(items, dataset, fit, users)
    if np.isfinite(told).all(axis=1)[fit.user].sum() < FEWEST:
        return None
    adaptors, fold = fit_folds(told, items, fit, settings, margin, folds, seed)
    return Adapted(adaptors, fold, columns)


def user_texts(items: np.ndarray, dataset: Dataset, lists: Lists, users: np.ndarray | None = None) -> np.ndarray:
    """float[n_users, d]: the users' own texts, or the mean of their liked items' before the window; NaN for none."""
    return profiles(np.asarray(items, float), liked_matrix(dataset, lists.before)) if users is None else users


def adapted_columns(
    adapted: Adapted, source: str, items: np.ndarray, users: np.ndarray | None, dataset: Dataset, lists: Lists
) -> Columns:
    """Columns `<source>.adapted`, the mean score, `<source>.match`, and by `adapted.columns` x0.., u0.., i0.. .

    A fit row has its own fold's adaptor; in later windows all have a say.
    """
    told, n = user_texts(items, dataset, lists, users), len(lists.item_of_row)
    fold = adapted.fold if lists.window == FIT else None
    names, matrix = None, None
    for k, adaptor in enumerate(adapted.adaptors):
        own = np.ones(n, bool) if fold is None else (fold == k)[lists.list_of_row]
        share = 1 / len(adapted.adaptors) if fold is None else 1.0
        if not own.any():
            continue
        parts = _parts(adaptor, told, items, lists, own, adapted.columns)
        if matrix is None:
            names = list(parts)
            matrix = np.zeros((n, len(names)), np.float32)
        for j, part in enumerate(parts.values()):
            matrix[own, j] += share * part
    return Columns(source, [f"{source}.{name}" for name in names], matrix)


def _parts(adaptor, told: np.ndarray, items: np.ndarray, lists: Lists, own: np.ndarray, columns: str) -> dict:
    u, i = adaptor.adapt("user", told), adaptor.adapt("item", items)
    directions = unit(u).astype(np.float32), unit(i).astype(np.float32).T
    n = len(items)
    made = {
        "adapted": gather(lists, n, lambda of: adaptor.score(told[of], items))[own],
        "match": gather(lists, n, lambda of: directions[0][of] @ directions[1])[own],
    }
    of_user, of_item = lists.user[lists.list_of_row[own]], lists.item_of_row[own]
    if columns in ("products", "vectors"):
        made |= {f"x{c}": u[of_user, c] * i[of_item, c] for c in range(u.shape[1])}
    if columns == "vectors":
        made |= {f"u{c}": u[of_user, c] for c in range(u.shape[1])}
        made |= {f"i{c}": i[of_item, c] for c in range(i.shape[1])}
    return made
