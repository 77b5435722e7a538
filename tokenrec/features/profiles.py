"""Users and items as vectors, from the events before a window: profiles, liked items, latent factors.

Everything here is linear algebra over whole matrices; `gather` turns user x item scores into list rows.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import sparse

from tokenrec.dataset.types import Dataset, Lists

CELLS = 8_000_000  # cells of a dense user x item block held at a time (32 MB)
RANK = 32  # latent factors
RECENT = 50  # liked items a user is compared with
SQUARE = 5000  # items up to which all pairs are compared at once (100 MB)


def liked_matrix(dataset: Dataset, before: np.ndarray) -> sparse.csr_matrix:
    """float32[users, items], 1 where the user has a positive event among `before` (bool[len(events)])."""
    e = dataset.events
    keep = before & e.positive
    shape = (len(dataset.user_ids), len(dataset.item_ids))
    matrix = sparse.csr_matrix((np.ones(keep.sum(), np.float32), (e.user[keep], e.item[keep])), shape=shape)
    matrix.data[:] = 1  # repeats count once
    return matrix


def gather(lists: Lists, n_items: int, block: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """float32[n_rows]: the cells that `lists` needs of block(users) -> float[len(users), n_items]."""
    out = np.empty(len(lists.item_of_row), np.float32)
    step = max(1, CELLS // max(n_items, 1))
    for start in range(0, len(lists), step):
        users = lists.user[start : start + step]
        rows = slice(lists.indptr[start], lists.indptr[start + len(users)])
        out[rows] = block(users)[lists.list_of_row[rows] - start, lists.item_of_row[rows]]
    return out


def standardise(score: np.ndarray, lists: Lists) -> np.ndarray:
    """float32[n_rows]: score minus its list's mean, over its list's deviation; NaN stays, a constant list is 0.

    Windows differ in how much was seen before them, which stretches the scores of learned models: within a
    list the order is all that counts, and this keeps what a ranker learns on one window true on the next.
    """
    known = ~np.isnan(score)
    value = np.where(known, score, 0).astype(float)
    n = np.maximum(np.bincount(lists.list_of_row, known, minlength=len(lists)), 1)
    centre = np.bincount(lists.list_of_row, value, minlength=len(lists)) / n
    value = np.where(known, value - centre[lists.list_of_row], 0)
    spread = np.sqrt(np.bincount(lists.list_of_row, value**2, minlength=len(lists)) / n)
    spread[spread <= 1e-6 * np.maximum(np.abs(centre), 1e-6)] = np.inf
    return np.where(known, value / spread[lists.list_of_row], np.nan).astype(np.float32)


def factors(liked: sparse.csr_matrix, rank: int = RANK) -> tuple[np.ndarray, np.ndarray]:
    """PureSVD (Cremonesi et al. 2010): (float[users, r], float[items, r]) whose product is the score; r may be 0.

    `liked` is a matrix of ones (`liked_matrix`). The last few answers are kept, as every text source asks again.
    """
    rank = min(rank, min(liked.shape) - 1)
    if rank < 1 or liked.nnz == 0:
        return np.zeros((liked.shape[0], 0)), np.zeros((liked.shape[1], 0))
    return _svd(liked.indptr.tobytes(), liked.indices.tobytes(), liked.indptr.dtype.str, liked.shape, rank)


@lru_cache(maxsize=4)
def _svd(indptr: bytes, indices: bytes, kind: str, shape: tuple[int, int], rank: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse.linalg import svds

    places = np.frombuffer(indices, kind)
    matrix = sparse.csr_matrix((np.ones(len(places)), places, np.frombuffer(indptr, kind)), shape=shape)
    start = np.random.default_rng(0).normal(size=min(shape))
    left, size, right = svds(matrix, rank, v0=start)
    left, right = left * size, right.T.copy()
    left.flags.writeable = right.flags.writeable = False  # shared between callers
    return left, right


def unit(matrix: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; a row of zeros, or with a NaN, becomes NaN: it has no direction."""
    length = np.linalg.norm(matrix, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(length > 1e-6, matrix / np.where(length > 0, length, 1), np.nan)


def profiles(items: np.ndarray, liked: sparse.csr_matrix) -> np.ndarray:
    """float[users, d]: mean vector of the items a user liked (rows of NaN among `items` left out); NaN for none."""
    known = ~np.isnan(items).any(axis=1)
    total = liked @ np.where(known[:, None], items, 0)
    n = liked @ known.astype(float)
    return np.where(n[:, None] > 0, total / np.maximum(n, 1)[:, None], np.nan)


def recent_likes(dataset: Dataset, before: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int64[users + 1], int32[m]): each user's latest liked items among `known` (bool[items]), RECENT at most."""
    e = dataset.events
    rows = np.flatnonzero(before & e.positive & known[e.item])
    rows = rows[np.argsort(e.user[rows], kind="stable")]  # events come in time order
    count = np.bincount(e.user[rows], minlength=len(dataset.user_ids))
    from_end = np.repeat(np.cumsum(count), count) - np.arange(len(rows))
    kept = np.minimum(count, RECENT)
    return np.concatenate([[0], np.cumsum(kept)]), e.item[rows[from_end <= RECENT]]


def closest_like(items: np.ndarray, dataset: Dataset, lists: Lists) -> np.ndarray:
    """float32[n_rows]: cosine to the nearest of the user's latest liked items; NaN where either is unknown."""
    directions = unit(items).astype(np.float32)
    known = ~np.isnan(directions).any(axis=1)
    directions[~known] = 0
    among = directions @ directions.T if len(items) <= SQUARE else None
    ptr, likes = recent_likes(dataset, lists.before, known)
    out = np.full(len(lists.item_of_row), np.nan, np.float32)
    has = np.flatnonzero(ptr[lists.user + 1] > ptr[lists.user])  # lists of users with something to compare
    step = max(1, CELLS // (RECENT * max(len(items), 1)))
    for start in range(0, len(has), step):
        some = has[start : start + step]
        user = lists.user[some]
        mine = likes[_spans(ptr[user], ptr[user + 1])]
        similar = directions[mine] @ directions.T if among is None else among[mine]
        first = np.concatenate([[0], np.cumsum(ptr[user + 1] - ptr[user])[:-1]])
        best = np.maximum.reduceat(similar, first, axis=0)
        best[:, ~known] = np.nan
        rows = _spans(lists.indptr[some], lists.indptr[some + 1])
        place = np.repeat(np.arange(len(some)), lists.indptr[some + 1] - lists.indptr[some])
        out[rows] = best[place, lists.item_of_row[rows]]
    return out


def _spans(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """int64: start[0]..stop[0]-1, start[1]..stop[1]-1, ... in one array."""
    n = stop - start
    return np.repeat(start - np.cumsum(n) + n, n) + np.arange(n.sum())


def mapped_factors(items: np.ndarray, item_factors: np.ndarray, liked: sparse.csr_matrix) -> np.ndarray:
    """float[items, r]: item factors predicted from item vectors by ridge regression; NaN rows stay NaN.

    Attribute-to-factor mapping (Gantner et al. 2010), which gives an item without events a place. Fitted on
    items with at least 3 positives; each of those gets its leave-one-out prediction (in closed form), so that
    the column means the same for a warm item as for a cold one. The penalty is chosen by leave-one-out error.
    """
    out = np.full((len(items), item_factors.shape[1]), np.nan)
    known = ~np.isnan(items).any(axis=1)
    warm = known & (np.asarray(liked.sum(axis=0)).ravel() >= 3)
    if warm.sum() < 5 or not item_factors.shape[1]:
        return out
    x_mean, y_mean = items[warm].mean(axis=0, dtype=float), item_factors[warm].mean(axis=0)
    x, y = items[warm] - x_mean, item_factors[warm] - y_mean
    eigen, turn = _directions(x)
    turned = x @ turn
    scale = eigen.sum() / x.shape[1] or 1.0
    best, chosen = np.inf, None
    for penalty in scale * np.array([0.03, 0.1, 0.3, 1, 3, 10, 100]):
        weights = turned / (eigen + penalty)
        fit = turned @ (weights.T @ y)
        leverage = np.minimum((weights * turned).sum(axis=1) + 1 / len(x), 0.999)[:, None]
        left_out = (fit - leverage * y) / (1 - leverage)
        error = ((left_out - y) ** 2).sum()
        if error < best:
            best, chosen = error, (left_out + y_mean, turn @ (weights.T @ y))
    out[known] = (items[known] - x_mean) @ chosen[1] + y_mean
    out[warm] = chosen[0]
    return out


def _directions(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(float[k], float[d, k]): squared singular values and right vectors of x[n, d], from its smaller Gram matrix."""
    if len(x) >= x.shape[1]:
        eigen, turn = np.linalg.eigh(x.T @ x)
        return np.maximum(eigen, 0), turn
    eigen, left = np.linalg.eigh(x @ x.T)
    keep = eigen > 1e-12 * eigen[-1]
    return eigen[keep], x.T @ left[:, keep] / np.sqrt(eigen[keep])
