"""Ranking lists: who is ranked what in a window (CONTRACT, "Windows and lists")."""

import numpy as np
from scipy import sparse

from tokenrec.dataset.impressions import weigh
from tokenrec.dataset.split import events_before, usable_before, yet_to_come
from tokenrec.dataset.types import NEXT, Dataset, Lists, Slates

COLD_POSITIVES = 2
SPARSE_EVENTS = 5
_CHUNK = 1 << 24  # list × item cells held at a time

Candidates = np.ndarray | sparse.csr_array | sparse.csr_matrix | None


def list_users(dataset: Dataset, window: int) -> np.ndarray:
    """int32[L]: users with at least one positive in `window` on an item they had no event with before."""
    return np.unique(_relevant(dataset, events_before(dataset, window), window)[0])


def make_lists(dataset: Dataset, window: int, candidates: Candidates = None) -> Lists:
    """The lists of `window`, users and items in code order.

    `candidates`: None for the whole catalogue; int[C] for one set of items for everybody; int[L, C]
    for a set a list, in the order of `list_users`, padded with -1; or scipy CSR [n_users, n_items],
    non-zero where the item is a candidate. Items of the user's events before the window are never
    candidates nor relevant, nor are items that are yet to come. A list whose relevant items are all missed stays:
    that is the ceiling. Where the data has slates, they are the lists, and `candidates` have no part.
    """
    if dataset.slates is not None:
        return slate_lists(dataset, dataset.slates, window)
    liked = _relevant(dataset, events_before(dataset, window), window)
    return _lists(dataset, window, np.unique(liked[0]), liked, candidates)


def serving_lists(dataset: Dataset, users: np.ndarray, candidates: Candidates = None) -> Lists:
    """The lists of `users` (sorted codes) after all events: what they may be shown next. Nobody knows the labels.

    `candidates` as in `make_lists`; a list without candidates stays, empty.
    """
    none = np.zeros(0, np.int32)
    return _lists(dataset, NEXT, np.asarray(users, np.int32), (none, none), candidates)


def _lists(dataset: Dataset, window: int, users: np.ndarray, liked: tuple, candidates: Candidates) -> Lists:
    """The lists of `users` in a window; `liked` are the (users, items) that are relevant."""
    events, n_items, (rel_user, rel_item) = dataset.events, len(dataset.item_ids), liked
    before, later = events_before(dataset, window), yet_to_come(dataset, window)
    position = np.full(len(dataset.user_ids), -1, np.int64)
    position[users] = np.arange(len(users))
    relevant = _matrix(position[rel_user], rel_item, len(users), n_items)
    had = before & (position[events.user] >= 0)
    seen = _matrix(position[events.user[had]], events.item[had], len(users), n_items)
    allowed = _allowed(candidates, users, n_items)

    lists_, items_, labels_, missed = [], [], [], np.zeros(len(users), np.int32)
    step = max(1, _CHUNK // max(1, n_items))
    for start in range(0, len(users), step):
        part = slice(start, start + step)
        mask = allowed(part)
        mask[seen[part].nonzero()] = False
        if later is not None:
            mask[:, later] = False
        truth = relevant[part].toarray()
        row, column = np.nonzero(mask)
        lists_.append((row + start).astype(np.int32))
        items_.append(column.astype(np.int32))
        labels_.append(truth[mask].astype(np.uint8))
        missed[part] = (truth & ~mask).sum(axis=1)
    list_of_row = _joined(lists_, np.int32)
    item_of_row = _joined(items_, np.int32)
    usable = usable_before(dataset, window)
    likes = np.bincount(events.item[usable & events.positive], minlength=n_items)
    active = np.bincount(events.user[usable], minlength=len(dataset.user_ids))
    made = Lists(
        window=window,
        user=users,
        indptr=np.r_[0, np.cumsum(np.bincount(list_of_row, minlength=len(users)))].astype(np.int64),
        list_of_row=list_of_row,
        item_of_row=item_of_row,
        label=_joined(labels_, np.uint8),
        missed=missed,
        before=usable,
        cold_row=(likes <= COLD_POSITIVES)[item_of_row],
        sparse_list=active[users] <= SPARSE_EVENTS,
    )
    return weigh(made, dataset.impressions, n_items) if dataset.impressions and window != NEXT else made


def slate_lists(dataset: Dataset, slates: Slates, window: int) -> Lists:
    """The slates of `window` as lists: what was shown is what is ranked, known items too, as the published protocol has
    it; those without a click, or with nothing else, say nothing and are left out."""
    n_items, n = len(dataset.item_ids), np.diff(slates.indptr)
    clicks = np.add.reduceat(slates.clicked.astype(int), slates.indptr[:-1]) if len(slates) else n
    kept = (slates.window == window) & (clicks > 0) & (clicks < n)
    rows = np.repeat(kept, n)
    usable, events = usable_before(dataset, window), dataset.events
    liked = np.bincount(events.item[usable & events.positive], minlength=n_items)
    active = np.bincount(events.user[usable], minlength=len(dataset.user_ids))
    user, item = slates.user[kept], slates.item[rows]
    return Lists(
        window=window,
        user=user,
        indptr=np.r_[0, np.cumsum(n[kept])].astype(np.int64),
        list_of_row=np.repeat(np.arange(len(user), dtype=np.int32), n[kept]),
        item_of_row=item,
        label=slates.clicked[rows].astype(np.uint8),
        missed=np.zeros(len(user), np.int32),
        before=usable,
        cold_row=(liked <= COLD_POSITIVES)[item],
        sparse_list=active[user] <= SPARSE_EVENTS,
    )


def _relevant(dataset: Dataset, before: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """(user int32[r], item int32[r]): distinct pairs liked in `window` and without an event before it."""
    events, n_items = dataset.events, len(dataset.item_ids)
    pair = events.user.astype(np.int64) * n_items + events.item
    liked = (events.window == window) & events.positive
    if (later := yet_to_come(dataset, window)) is not None:
        liked &= ~later[events.item]
    new = np.setdiff1d(pair[liked], pair[before])
    return (new // n_items).astype(np.int32), (new % n_items).astype(np.int32)


def _matrix(row: np.ndarray, column: np.ndarray, n_rows: int, n_columns: int) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(row), bool), (row, column)), shape=(n_rows, n_columns))


def _allowed(candidates: Candidates, users: np.ndarray, n_items: int):
    """A function: slice of lists → bool[lists, n_items], a fresh array."""
    if candidates is None:
        return lambda part: np.ones((len(users[part]), n_items), bool)
    if sparse.issparse(candidates):
        return lambda part: candidates[users[part]].toarray() != 0
    candidates = np.asarray(candidates)
    if candidates.ndim == 2 and len(candidates) != len(users):
        raise ValueError(f"candidates has {len(candidates)} rows for {len(users)} lists")

    def mask(part: slice) -> np.ndarray:
        chosen = np.zeros((len(users[part]), n_items), bool)
        if candidates.ndim == 1:
            chosen[:, candidates] = True
        else:
            row, column = np.nonzero(candidates[part] >= 0)
            chosen[row, candidates[part][row, column]] = True
        return chosen

    return mask


def _joined(parts: list[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, kind)
