"""Tokens to ranker columns: what a text says of an item or a user, for every row of the lists.

A subject without an accepted token has NaN in all of its columns, never 0. Nothing here looks at events
outside `lists.before`.
"""

import zlib
from dataclasses import replace

import numpy as np

from tokenrec.dataset.types import Dataset, Lists
from tokenrec.features.profiles import (
    closest_like,
    factors,
    gather,
    liked_matrix,
    mapped_factors,
    profiles,
    standardise,
    unit,
)
from tokenrec.features.types import Columns, Vectors


def token_columns(
    vectors: Vectors,
    dataset: Dataset,
    lists: Lists,
    user_vectors: Vectors | None = None,
    item_vectors: Vectors | None = None,
) -> Columns:
    """Columns of one source, float32[n_rows, k], named source.output.what.

    Items: `profile`, cosine to the mean of the user's liked items (all centred on the catalogue's mean);
    `closest`, cosine to the nearest of the latest liked items; `mapped`, the text's place in the factor model
    times the user's factors (`profiles.mapped_factors`), standardised within the list; a single number gives
    `distance` to the user's usual one instead. Where the other side shares the `space`, `overlap`, their
    centred cosine: give `item_vectors` for a user source, or `user_vectors` for an item source. Invented items
    (`Vectors.augment`) give `profile` alone, see `_augmented`.

    Every column says something of the pair. A column that is constant for an item (a tag, a component)
    lets trees tell the items of the fit window apart and learn their popularity there by heart: on the
    kitchen, three columns of pure noise an item cost .02 NDCG@10, the four first components .02.
    """
    if vectors.subject == "user":
        return _user_columns(vectors, dataset, lists, item_vectors)
    return _item_columns(vectors, dataset, lists, user_vectors)


def join_columns(source: str, parts: list[Columns]) -> Columns:
    """One block of columns out of several, for a task with more than one output."""
    return Columns(source, [name for p in parts for name in p.names], np.concatenate([p.matrix for p in parts], axis=1))


def shuffle_vectors(vectors: Vectors, seed: int) -> Vectors:
    """The placebo: the same tokens dealt at random among the subjects that have one; who has none stays so."""
    rows = np.flatnonzero(~np.isnan(vectors.matrix).all(axis=1))
    rng = np.random.default_rng([seed, zlib.crc32(f"{vectors.source}.{vectors.output}".encode())])
    matrix = vectors.matrix.copy()
    matrix[rows] = vectors.matrix[rng.permutation(rows)]
    return replace(vectors, matrix=matrix)


def _item_columns(vectors: Vectors, dataset: Dataset, lists: Lists, users: Vectors | None) -> Columns:
    items = _centred(vectors.matrix)
    liked = liked_matrix(dataset, lists.before)
    if items.shape[1] == 1:
        return _columns(vectors, ["distance"], [_distance(items, liked, lists)], len(lists.item_of_row))
    likers = unit(profiles(items, liked))
    made = {
        "profile": _cosine(likers, items, lists),
        "closest": closest_like(items, dataset, lists),
        "mapped": _mapped(items, liked, lists),
    }
    if users is not None and users.space == vectors.space:
        made["overlap"] = _cosine(_centred(users.matrix), items, lists)
    return _columns(vectors, list(made), list(made.values()), len(lists.item_of_row))


def _user_columns(vectors: Vectors, dataset: Dataset, lists: Lists, items: Vectors | None) -> Columns:
    names, columns = [], []
    if vectors.augment and items is not None:
        names.append("profile")
        columns.append(_augmented(vectors, dataset, lists, items))
    elif items is not None and items.space == vectors.space:
        names.append("overlap")
        columns.append(_cosine(_centred(vectors.matrix), _centred(items.matrix), lists))
    return _columns(vectors, names, columns, len(lists.item_of_row))


def _augmented(vectors: Vectors, dataset: Dataset, lists: Lists, items: Vectors) -> np.ndarray:
    """float32[n_rows]: cosine to the user's profile, in which an invented item counts `weight` likes: (sum of the liked
    items + weight * invented) / (n + weight). Users with more events than `under` before the window, and those without
    an invented item, keep their own profile: the column means the same for all."""
    weight, under = vectors.augment
    centre = np.nanmean(items.matrix.astype(float), axis=0)
    texts, invented = _centred(items.matrix), vectors.matrix.astype(float) - centre
    liked = liked_matrix(dataset, lists.before)
    own = profiles(texts, liked)
    n = np.asarray(liked @ (~np.isnan(texts).any(axis=1)).astype(float))[:, None]
    active = np.bincount(dataset.events.user[lists.before], minlength=len(own))
    gets = (active <= under) & ~np.isnan(invented).any(axis=1) & bool(weight)
    filled = (np.nan_to_num(own) * n + weight * np.nan_to_num(invented)) / np.maximum(n + weight, 1e-9)
    return _cosine(np.where(gets[:, None], filled, own), texts, lists)


def _columns(vectors: Vectors, names: list[str], columns: list[np.ndarray], n_rows: int) -> Columns:
    matrix = np.empty((n_rows, len(columns)), np.float32)
    for j, column in enumerate(columns):
        matrix[:, j] = column
    return Columns(vectors.source, [f"{vectors.source}.{vectors.output}.{name}" for name in names], matrix)


def _centred(matrix: np.ndarray) -> np.ndarray:
    """float64, less the mean of the subjects that have a token; a row with any NaN is all NaN."""
    matrix = matrix.astype(float)
    matrix[~np.isfinite(matrix).all(axis=1)] = np.nan
    known = ~np.isnan(matrix).any(axis=1)
    return matrix - matrix[known].mean(axis=0) if known.any() else matrix


def _cosine(users: np.ndarray, items: np.ndarray, lists: Lists) -> np.ndarray:
    """float32[n_rows] cosine of user and item rows; NaN where either has no direction."""
    users, items = unit(users).astype(np.float32), unit(items).astype(np.float32).T
    return gather(lists, items.shape[1], lambda u: users[u] @ items)


def _distance(items: np.ndarray, liked, lists: Lists) -> np.ndarray:
    """float32[n_rows]: how far a number lies from the mean of the user's liked items."""
    usual = profiles(items, liked)[:, 0]
    return np.abs(items[lists.item_of_row, 0] - usual[lists.user][lists.list_of_row]).astype(np.float32)


def _mapped(items: np.ndarray, liked, lists: Lists) -> np.ndarray:
    left, right = factors(liked)
    place = mapped_factors(items, right, liked)
    if not right.shape[1]:
        return np.full(len(lists.item_of_row), np.nan, np.float32)
    left = np.where((np.diff(liked.indptr) > 0)[:, None], left, np.nan)
    return standardise(gather(lists, len(items), lambda u: left[u] @ place.T), lists)
