"""Which items are ranked for a user: the whole catalogue, or above WHOLE items the union of generators."""

import numpy as np
from scipy import sparse

from tokenrec.dataset.split import usable_before
from tokenrec.dataset.types import Dataset
from tokenrec.features.profiles import liked_matrix, profiles, unit
from tokenrec.features.types import Vectors
from tokenrec.recipe.models import Recipe

WHOLE = 5000
EACH = 200  # candidates a generator


def candidates(recipe: Recipe, dataset: Dataset, window: int, raw: Vectors | None) -> sparse.csr_matrix | None:
    """bool CSR [n_users, n_items] of what may be ranked in `window`, None for the whole catalogue (CONTRACT).

    Generators: the most liked items, item-kNN neighbours of the user's likes, and the items whose raw text
    is nearest to the user's likes. All see only events before the window.
    """
    n_users, n_items = len(dataset.user_ids), len(dataset.item_ids)
    if n_items <= WHOLE:
        return None
    liked = liked_matrix(dataset, usable_before(dataset, window)).tocsr()
    kinds, parts = recipe.ranker.candidates, []
    popularity = np.asarray(liked.sum(axis=0)).ravel()
    if "popular" in kinds:
        top = np.argsort(-popularity, kind="stable")[:EACH]
        rows = np.arange(n_users + 1) * len(top)
        everybody = (np.ones(len(top) * n_users, bool), np.tile(np.sort(top), n_users), rows)
        parts.append(sparse.csr_matrix(everybody, shape=(n_users, n_items)))
    if "item_knn" in kinds:
        norm = sparse.diags(1 / np.sqrt(np.maximum(popularity, 1)))
        unit_items = (liked @ norm).tocsr()
        alike = (unit_items.T @ unit_items).tocsr()
        parts.append(_top_rows(lambda part: unit_items[part] @ alike, n_users))
    if "text" in kinds and raw is not None:
        items = np.nan_to_num(raw.matrix)
        tastes = np.nan_to_num(unit(profiles(items, liked)))
        parts.append(_top_rows(lambda part: tastes[part] @ items.T, n_users))
    total = sum((p.astype(np.int8) for p in parts), sparse.csr_matrix((n_users, n_items), dtype=np.int8))
    return total.astype(bool).tocsr()


def _top_rows(block, n_users: int, size: int = 256) -> sparse.csr_matrix:
    """The EACH best items of every user, users in blocks so that no dense users × items matrix is held."""
    rows, columns, width = [], [], 0
    for start in range(0, n_users, size):
        part = slice(start, min(start + size, n_users))
        score = block(part)
        score = score.toarray() if sparse.issparse(score) else np.asarray(score)
        width = score.shape[1]
        best = np.argpartition(-score, min(EACH, width - 1), axis=1)[:, :EACH]
        keep = np.take_along_axis(score, best, axis=1) > 0
        r = np.repeat(np.arange(part.start, part.stop), best.shape[1]).reshape(best.shape)
        rows.append(r[keep])
        columns.append(best[keep])
    row, column = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_matrix((np.ones(len(row), bool), (row, column)), shape=(n_users, width))
