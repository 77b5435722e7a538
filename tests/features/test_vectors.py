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
