"""What a data set looks like, in figures that can stand beside another's."""

import numpy as np

from tokenrec.dataset.lists import COLD_POSITIVES, list_users
from tokenrec.dataset.split import usable_before
from tokenrec.dataset.types import TEST, WINDOWS, Dataset


def summary(dataset: Dataset) -> dict:
    """Plain numbers, JSON-ready.

    Quantiles are [min, 25%, median, 75%, max]. `gini_items` is the Gini coefficient of events an item,
    items without events included. `repeat_rate` is the share of events whose user had the item before.
    `cold_*` speak of items with at most 2 positives before test.
    """
    events, n_items = dataset.events, len(dataset.item_ids)
    n = max(1, len(events))
    per_item = np.bincount(events.item, minlength=n_items)
    per_user = np.bincount(events.user, minlength=len(dataset.user_ids))
    top = max(1, round(n_items / 10))
    pairs = np.unique(events.user.astype(np.int64) * n_items + events.item)
    liked = np.bincount(events.item[usable_before(dataset, TEST) & events.positive], minlength=n_items)
    cold = liked <= COLD_POSITIVES
    in_test = events.item[(events.window == TEST) & events.positive]
    return {
        "users": len(dataset.user_ids),
        "items": n_items,
        "events": len(events),
        "positives": int(events.positive.sum()),
        "density": len(pairs) / max(1, len(dataset.user_ids) * n_items),
        "events_per_user": _quantiles(per_user),
        "events_per_item": _quantiles(per_item),
        "gini_items": _gini(per_item),
        "top_decile_share": float(np.sort(per_item)[::-1][:top].sum() / n),
        "repeat_rate": 1 - len(pairs) / n,
        "cold_items_share": float(cold.mean()),
        "cold_test_positives_share": float(cold[in_test].mean()) if len(in_test) else 0.0,
        "events_per_window": {w: int((events.window == k).sum()) for k, w in enumerate(WINDOWS)},
        "lists_per_window": {w: len(list_users(dataset, k)) for k, w in enumerate(WINDOWS)},
    }


def _quantiles(counts: np.ndarray) -> list[float]:
    return [float(q) for q in np.quantile(counts, (0, 0.25, 0.5, 0.75, 1))]


def _gini(counts: np.ndarray) -> float:
    """0 where all are equal, near 1 where one has all: sum((2i - n - 1) x_i) / (n sum x), x sorted, i from 1."""
    total, n = counts.sum(), len(counts)
    if not total:
        return 0.0
    return float(((2 * np.arange(1, n + 1) - n - 1) * np.sort(counts)).sum() / (n * total))
