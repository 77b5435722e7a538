"""A small recipe and data set that the tests of tasks and generation share."""

import numpy as np

from tokenrec.dataset.types import FIT, HISTORY, TEST, TUNE_A, Dataset, Events
from tokenrec.lm.writer import Writer
from tokenrec.recipe.models import Recipe

TASTES = ["sour", "sweet", "hot"]


def recipe(**tasks):
    """A recipe of plants; `tasks` as in YAML."""
    return Recipe.model_validate({
        "name": "plants",
        "data": {
            "items": {"path": "p.jsonl", "id": "pid", "name": "name", "text": ["name"], "facts": ["seller", "parts"]},
            "users": {"path": "u.jsonl", "id": "uid", "facts": ["town"]},
            "events": {"path": "e.csv", "user": "uid", "item": "pid", "time": "t"},
        },
        "tasks": tasks or {"flavour": flavour()},
        "privacy": {"pseudonymise": ["seller", "uid"]},
    })  # fmt: skip


def flavour(**more):
    outputs = {"taste": {"type": "tags", "choices": TASTES, "max": 2}}
    return {"for": "item", "inputs": ["name", "parts"], "write": "Say the taste.", "outputs": outputs} | more


def line(**more):
    """A text task."""
    outputs = {"line": {"type": "text", "max_words": 12, "grounding": "none"}}
    return {"for": "item", "inputs": ["name"], "write": "Say a line.", "outputs": outputs} | more


def palate(**more):
    outputs = {"likes": {"type": "tags", "choices": "$flavour.taste.choices", "max": 2}}
    return {"for": "user", "write": "Say what they like.", "outputs": outputs} | more


def dataset(n_items=6, events=()):
    """`events`: (user, item, time, window[, positive]) in time order."""
    rows = [(*e, True)[:5] for e in events]
    user, item, time, window, positive = (np.array([r[i] for r in rows]) for i in range(5)) if rows else [[]] * 5
    n_users = int(max(user, default=-1)) + 1
    items = [
        {"pid": f"p{i}", "name": f"Plant {i}", "seller": f"Shop {i}", "parts": [f"leaf {i}", "stem"]}
        for i in range(n_items)
    ]
    users = [{"uid": f"u{i}", "town": f"Town {i}"} for i in range(n_users)]
    made = Events(
        np.array(user, np.int32), np.array(item, np.int32), np.array(time, float), np.full(len(rows), np.nan),
        np.array(positive, bool), np.array(window, np.int8),
    )  # fmt: skip
    return Dataset("plants", [i["pid"] for i in items], items, [u["uid"] for u in users], users, made, "data", "time")


def history(n=4):
    """Two users with n history likes each, a dislike, and later likes."""
    past = [(u, i, 10 * i + u, HISTORY) for i in range(n) for u in (0, 1)]
    return [*past, (0, 5, 90, HISTORY, False), (0, 4, 100, FIT), (1, 5, 101, TUNE_A), (2, 5, 102, TEST)]


def writer(**more):
    from tokenrec.lm.plain import make_adapter

    return Writer("test", "test/lm", None, make_adapter(), free=True, **more)
