"""From tokens to one row of numbers a subject."""

import numpy as np

from tests.tasks.worlds import dataset, line, recipe
from tokenrec.encoders.encoder import _bundled
from tokenrec.features.vectors import task_vectors
from tokenrec.store.store import open_store
from tokenrec.tasks.spec import task_spec


def test_a_factor_without_a_value_is_nan_and_the_others_are_not():
    text = {"type": "text", "grounding": "open", "or_unknown": True}
    spec = task_spec(recipe(line=line(outputs={"origin": text, "mood": text})), "line")
    rows = [
        ("p0", {"origin": "A shrub of the north.", "mood": "calm"}, None),
        ("p1", {"origin": None, "mood": "proud"}, None),
        ("p2", {"origin": "A vine of the south.", "mood": None}, None),
    ]
    origin, mood = task_vectors(open_store(":memory:"), dataset(4), spec, rows, _bundled(), {})
    known = lambda v: (~np.isnan(v.matrix)).all(axis=1).tolist()  # noqa: E731
    assert known(origin) == [True, False, True, False] and known(mood) == [True, True, False, False]
    assert np.isnan(origin.matrix[1]).all()
    all_unknown = [(s, {"origin": None, "mood": "calm"}, None) for s in ("p0", "p1")]
    origin, _ = task_vectors(open_store(":memory:"), dataset(4), spec, all_unknown, _bundled(), {})
    assert np.isnan(origin.matrix).all()


def test_texts_that_know_later_events_are_no_vectors():
    """`window: all` is for retrievers that are measured elsewhere: the ranker of these users never sees it."""
    of = {"of": ["parts"]}
    late, past = (task_spec(recipe(line=line(evidence=of, window=w)), "line") for w in ("all", "history"))
    rows = [("p0", {"line": "A shrub of the north."}, None)]
    assert task_vectors(open_store(":memory:"), dataset(4), late, rows, _bundled(), {}) == []
    assert len(task_vectors(open_store(":memory:"), dataset(4), past, rows, _bundled(), {})) == 1
