"""Columns of a KAR adaptor, or of what is held against it: what it makes of a user's and an item's text.

The user's text is the source's own where it writes about users, else the mean of the texts of the items that the user
liked before the window. On fit lists every row is scored by an adaptor that has not seen its list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenrec.dataset.types import Dataset, Lists
from tokenrec.features.profiles import CELLS, liked_matrix, profiles, unit
from tokenrec.features.types import Columns, Vectors
from tokenrec.ids import unit_hash
from tokenrec.models.adaptor import PUBLISHED, AdaptorSettings, fit_folds

FEWEST = 50  # fit lists with texts, below which nothing is learnt


@dataclass(frozen=True)
class Adapted:
    """What was learnt for one source. `columns`: pair (the score, and the cosine of both short vectors), products (also
    their product, coordinate by coordinate), vectors (also both as they are; these are constant for an item)."""

    adaptors: Sequence[Any]  # Adaptor, folds x folds as `fit_folds` makes them, or one Pca
    columns: str = "pair"

    @property
    def folds(self) -> int:
        return round(len(self.adaptors) ** 0.5)


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
    return Adapted([Pca(mean, np.linalg.svd(known - mean, full_matrices=False)[2][:out].T)], columns)


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
    user_fold, item_fold = fold_of(dataset.user_ids, folds), fold_of(dataset.item_ids, folds)
    return Adapted(fit_folds(told, items, fit, user_fold, item_fold, settings, margin, seed), columns)


def fold_of(ids: Sequence[str], folds: int) -> np.ndarray:
    """int[n]: by hash, so that it needs not be stored and a new id has one too."""
    return np.array([int(unit_hash("adaptor", i) * folds) for i in ids], int)


def user_texts(items: np.ndarray, dataset: Dataset, lists: Lists, users: np.ndarray | None = None) -> np.ndarray:
    """float[n_users, d]: the users' own texts, or the mean of their liked items' before the window; NaN for none."""
    return profiles(np.asarray(items, float), liked_matrix(dataset, lists.before)) if users is None else users


def adapted_columns(
    adapted: Adapted, source: str, items: np.ndarray, users: np.ndarray | None, dataset: Dataset, lists: Lists
) -> Columns:
    """Columns `<source>.adapted`, the score, `<source>.match`, and by `adapted.columns` x0.., u0.., i0.. ."""
    told, k = user_texts(items, dataset, lists, users), adapted.folds
    user_fold, item_fold = fold_of(dataset.user_ids, k), fold_of(dataset.item_ids, k)
    of_row = user_fold[lists.user][lists.list_of_row] * k + item_fold[lists.item_of_row]
    names, matrix = ["adapted", "match"], None
    for number, adaptor in enumerate(adapted.adaptors):
        rows = np.flatnonzero(of_row == number)
        u, i = adaptor.adapt("user", told), adaptor.adapt("item", items)
        if matrix is None:
            short = range(u.shape[1])
            names += [f"x{c}" for c in short] if adapted.columns != "pair" else []
            names += [f"{side}{c}" for side in "ui" for c in short] if adapted.columns == "vectors" else []
            matrix = np.empty((len(of_row), len(names)), np.float32)
        matrix[rows, :2] = _scores(adaptor, told, items, u, i, lists, rows, np.flatnonzero(item_fold == number % k))
        if adapted.columns != "pair":
            mine, its = u[lists.user[lists.list_of_row[rows]]], i[lists.item_of_row[rows]]
            made = [mine * its, *([mine, its] if adapted.columns == "vectors" else [])]
            matrix[rows, 2:] = np.concatenate(made, axis=1)
    return Columns(source, [f"{source}.{name}" for name in names], matrix)


def _scores(adaptor, told, items, u, i, lists: Lists, rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """float32[len(rows), 2]: the score and the cosine of `rows`, whose items are all among `codes`."""
    out = np.empty((len(rows), 2), np.float32)
    towards, its = unit(u).astype(np.float32), unit(i[codes]).astype(np.float32).T
    place = np.zeros(len(items), int)
    place[codes] = np.arange(len(codes))
    of_list = lists.list_of_row[rows]
    among = np.unique(of_list)
    step = max(1, CELLS // max(len(codes), 1))
    for start in range(0, len(among), step):
        some = among[start : start + step]
        users, at = lists.user[some], slice(*np.searchsorted(of_list, [some[0], some[-1] + 1]))
        cell = np.searchsorted(some, of_list[at]), place[lists.item_of_row[rows[at]]]
        out[at, 0] = adaptor.score(told[users], items[codes])[cell]
        out[at, 1] = (towards[users] @ its)[cell]
    return out
