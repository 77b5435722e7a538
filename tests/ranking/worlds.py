"""Small made-up data sets and lists for the tests of features, ranking and evidence."""

import numpy as np

from tokenrec.dataset.types import FIT, TEST, TUNE_A, TUNE_B, Dataset, Events, Lists


def dataset(user, item, window, n_users, n_items, positive=None, split="time"):
    """Events in the order given; their time is their row."""
    n = len(user)
    events = Events(
        np.asarray(user, np.int32), np.asarray(item, np.int32), np.arange(n, dtype=float),
        np.full(n, np.nan, np.float32), np.ones(n, bool) if positive is None else np.asarray(positive, bool),
        np.asarray(window, np.int8),
    )
    ids = [f"i{j:04d}" for j in range(n_items)]
    users = [f"u{j:04d}" for j in range(n_users)]
    return Dataset("toy", ids, [{"id": i} for i in ids], users, [{"id": u} for u in users], events, "hash", split)


def make_lists(data, window):
    """The lists of CONTRACT over the whole catalogue, written as plainly as possible."""
    e = data.events
    before = (e.window < window) if window != TUNE_B else (e.window < TUNE_A)
    seen = np.zeros((len(data.user_ids), len(data.item_ids)), bool)
    seen[e.user[before], e.item[before]] = True
    liked = np.zeros_like(seen)
    now = (e.window == window) & e.positive
    liked[e.user[now], e.item[now]] = True
    liked &= ~seen
    users = np.flatnonzero(liked.any(1))
    of_list, items = np.nonzero(~seen[users])
    positives = np.bincount(e.item[before & e.positive], minlength=len(data.item_ids))
    active = np.bincount(e.user[before], minlength=len(data.user_ids))
    return Lists(
        window, users.astype(np.int32), np.concatenate([[0], np.cumsum(np.bincount(of_list, minlength=len(users)))]),
        of_list.astype(np.int32), items.astype(np.int32), liked[users][of_list, items].astype(np.uint8),
        np.zeros(len(users), np.int32), before, (positives <= 2)[items], (active <= 5)[users],
    )


def flat_lists(rng, n_lists=12, n_items=15, relevant=0.2, missed=0):
    """Random lists of random candidates, each with at least one relevant item."""
    keep = rng.random((n_lists, n_items)) < 0.8
    sure = rng.integers(0, n_items, n_lists)
    keep[np.arange(n_lists), sure] = True
    of_list, items = np.nonzero(keep)
    label = (rng.random(len(items)) < relevant) | (items == sure[of_list])
    cold = rng.random(n_items) < 0.4
    return Lists(
        TEST, np.arange(n_lists, dtype=np.int32), np.concatenate([[0], np.cumsum(keep.sum(1))]),
        of_list.astype(np.int32), items.astype(np.int32), label.astype(np.uint8),
        rng.integers(0, missed + 1, n_lists).astype(np.int32), np.zeros(0, bool), cold[items],
        rng.random(n_lists) < 0.5,
    )


def taste_world(seed=0, n_users=400, n_items=150, n_events=4000, taste=3.0, d=6):
    """Users who choose by popularity and `taste` x what an item tastes like; (dataset, tastes[n_items, d])."""
    rng = np.random.default_rng(seed)
    tastes = np.eye(d)[rng.integers(0, d, n_items)] + rng.normal(0, 0.1, (n_items, d))
    wants = np.eye(d)[rng.integers(0, d, n_users)]
    popular = rng.normal(0, 1, n_items)
    late = rng.random(n_items) < 0.2
    user = rng.integers(0, n_users, n_events)
    noise = rng.gumbel(size=(n_events, n_items))
    when = np.arange(n_events) / n_events
    utility = popular + taste * (wants[user] @ tastes.T) + noise - 20 * (late & (when[:, None] < 0.7))
    item = utility.argmax(1)
    window = np.searchsorted([0.5, 0.7, 0.85], when, side="right").astype(np.int8)
    half = rng.random(n_users) < 0.5
    window = np.where(window == 2, np.where(half[user], TUNE_A, TUNE_B), np.where(window == 3, TEST, window))
    return dataset(user, item, window, n_users, n_items), tastes.astype(np.float32)


def windows(data):
    """The fit, tune-A and test lists."""
    return tuple(make_lists(data, w) for w in (FIT, TUNE_A, TEST))
