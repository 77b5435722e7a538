"""Above 5,000 items: the union of generators, checked against a plain reading, and blind to the future."""

import numpy as np
import pytest

from tests.ranking.worlds import dataset
from tests.tasks.worlds import recipe
from tokenrec.dataset.types import FIT, HISTORY, TEST, TUNE_A, TUNE_B
from tokenrec.features.types import Vectors
from tokenrec.ranking.candidates import EACH, candidates

N_ITEMS, N_USERS = 5200, 40


def world(seed=0):
    rng = np.random.default_rng(seed)
    n = 3000
    user = rng.integers(0, N_USERS, n)
    item = np.minimum((rng.pareto(0.7, n) * 30).astype(int), N_ITEMS - 1)
    window = np.sort(rng.choice([HISTORY, FIT, TUNE_A, TUNE_B, TEST], n, p=[0.5, 0.2, 0.1, 0.1, 0.1]))
    data = dataset(user, item, window, N_USERS, N_ITEMS, rng.random(n) < 0.8)
    text = rng.normal(size=(N_ITEMS, 8))
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    text[::500] = np.nan
    raw = Vectors("raw_text", "text", "item", text.astype(np.float32), [f"e{i}" for i in range(8)], False, "e")
    return data, raw


def with_kinds(*kinds):
    made = recipe()
    return made.model_copy(update={"ranker": made.ranker.model_copy(update={"candidates": list(kinds)})})


def plain(data, raw, window, kind):
    """bool[users, items] by definition; `edge` marks cells at the cut, where ties may fall either way."""
    e = data.events
    before = e.window < (TUNE_A if window in (TUNE_A, TUNE_B) else window)
    liked = np.zeros((N_USERS, N_ITEMS))
    liked[e.user[before & e.positive], e.item[before & e.positive]] = 1
    count = liked.sum(axis=0)
    if kind == "popular":
        score = np.tile(count + 1, (N_USERS, 1))
    elif kind == "item_knn":
        columns = liked / np.sqrt(np.maximum(count, 1))
        score = (columns @ columns.T) @ columns
    else:
        items = np.nan_to_num(raw.matrix).astype(float)
        score = liked @ items @ items.T
    cut = np.sort(score, axis=1)[:, -EACH][:, None]
    return (score > cut + 1e-6) & (score > 1e-9), (np.abs(score - cut) <= 1e-5) & (score > -1e-6), score


def test_a_small_catalogue_is_ranked_whole():
    data = dataset([0, 1], [0, 1], [HISTORY, FIT], 2, 5000)
    assert candidates(recipe(), data, FIT, None) is None


@pytest.mark.parametrize("kind", ["popular", "item_knn", "text"])
@pytest.mark.parametrize("window", [FIT, TUNE_B, TEST])
def test_each_generator_gives_its_best(kind, window):
    data, raw = world()
    found = candidates(with_kinds(kind), data, window, raw).toarray()
    sure, edge, _ = plain(data, raw, window, kind)
    assert found.dtype == bool and found.shape == (N_USERS, N_ITEMS)
    assert found[sure].all() and not found[~sure & ~edge].any()
    assert found.sum(axis=1).max() <= EACH


def test_the_generators_are_united():
    data, raw = world()
    union = candidates(with_kinds("popular", "item_knn", "text"), data, TEST, raw).toarray()
    parts = [candidates(with_kinds(k), data, TEST, raw).toarray() for k in ("popular", "item_knn", "text")]
    assert (union == (parts[0] | parts[1] | parts[2])).all()


@pytest.mark.parametrize("window", [FIT, TUNE_A, TUNE_B])
def test_nothing_comes_from_the_future(window):
    """Whatever happens in the window and after it, the candidates are the same."""
    data, raw = world()
    e = data.events
    late = e.window >= (TUNE_A if window == TUNE_B else window)
    e.item[late] = N_ITEMS - 1 - e.item[late]
    e.positive[late] = True
    changed = candidates(recipe(), data, window, raw)
    data, _ = world()
    assert (candidates(recipe(), data, window, raw) != changed).nnz == 0


def test_tune_halves_see_the_same_past():
    data, raw = world()
    assert (candidates(recipe(), data, TUNE_A, raw) != candidates(recipe(), data, TUNE_B, raw)).nnz == 0


def test_without_events_and_text_only_the_popular_are_left():
    data = dataset([0], [0], [TEST], 2, N_ITEMS)
    assert candidates(recipe(), data, FIT, None).toarray().sum(axis=1).tolist() == [EACH, EACH]
