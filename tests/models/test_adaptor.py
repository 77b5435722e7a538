"""The adaptor finds what cosines can't see, keeps folds apart, and is the same after a round trip."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.ranking.worlds import dataset, make_lists
from tokenrec.dataset.types import FIT, TUNE_A
from tokenrec.errors import InputError
from tokenrec.models.adaptor import AdaptorSettings, fit_adaptor, fit_folds, load_adaptor, save_adaptor

SMALL = AdaptorSettings(dedicated=2, shared=1, hidden=32, out=8, lists=32, epochs=30, negatives=10, learning_rate=3e-3)


def world(seed: int = 0, n_users: int = 240, n_items: int = 80, d: int = 12, signal: float = 4.0):
    """Users who want what a hidden matrix makes of their text: (data, user texts, item texts)."""
    rng = np.random.default_rng(seed)
    users, items = rng.normal(size=(n_users, d)), rng.normal(size=(n_items, d))
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    utility = signal * (users @ turn @ items.T) / np.sqrt(d)
    user, item, window = [], [], []
    for w in (FIT, TUNE_A):
        for u in range(n_users):
            best = np.argsort(-(utility[u] + rng.gumbel(size=n_items)))[:3]
            user += [u] * 3
            item += list(best)
            window += [w] * 3
    return dataset(user, item, window, n_users, n_items), users, items


def auc(lists, scores: np.ndarray) -> float:
    return roc_auc_score(lists.label, scores[lists.user[lists.list_of_row], lists.item_of_row])


def test_it_learns_a_match_that_no_cosine_sees():
    data, users, items = world(n_users=400, n_items=200)
    fit, later = make_lists(data, FIT), make_lists(data, TUNE_A)
    made = fit_adaptor(users, items, fit, SMALL)
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    assert auc(later, unit(users) @ unit(items).T) < 0.6 < 0.7 < auc(later, made.score(users, items))
    assert made.adapt("user", users).shape == (400, 8) and len(made.losses) <= 30
    again = fit_adaptor(users, items, fit, SMALL)
    assert np.array_equal(again.score(users, items), made.score(users, items))


def folds(n_users: int = 240, n_items: int = 80, k: int = 2):
    return np.arange(n_users) % k, np.arange(n_items) // 2 % k


def test_out_of_fold_scores_know_nothing_of_what_items_were_liked():
    """Texts are noise and items differ in how often they are liked: what has seen the items knows, what has not doesn't."""
    rng = np.random.default_rng(3)
    users, items = rng.normal(size=(240, 12)), rng.normal(size=(80, 12))
    utility, user, item = 2 * rng.normal(size=80), [], []
    for u in range(240):
        user += [u] * 3
        item += list(np.argsort(-(utility + rng.gumbel(size=80)))[:3])
    fit = make_lists(dataset(user, item, [FIT] * len(user), 240, 80), FIT)
    user_fold, item_fold = folds()
    made = fit_folds(users, items, fit, user_fold, item_fold, SMALL)
    of_row = user_fold[fit.user[fit.list_of_row]] * 2, item_fold[fit.item_of_row]
    scores = [a.score(users, items)[fit.user[fit.list_of_row], fit.item_of_row] for a in made]
    own = np.choose(of_row[0] + of_row[1], scores)
    seen_item = np.choose(of_row[0] + 1 - of_row[1], scores)  # neither has seen the user
    assert abs(roc_auc_score(fit.label, own) - 0.5) < 0.08 < 0.15 < roc_auc_score(fit.label, seen_item) - 0.5


def test_folds_speak_one_language():
    data, users, items = world()
    first, other, *_ = fit_folds(users, items, make_lists(data, FIT), *folds(), SMALL)
    laid, apart = other.adapt("item", items), other._raw("item", items)
    goal = first.adapt("item", items)
    assert np.linalg.norm(goal - laid) < np.linalg.norm(goal - apart)


def test_a_subject_without_a_text_has_no_vector():
    data, users, items = world(n_users=80)
    users[3], items[5, 2] = np.nan, np.nan
    made = fit_adaptor(users, items, make_lists(data, FIT), SMALL)
    score = made.score(users, items)
    assert np.isnan(score[3]).all() and np.isnan(score[:, 5]).all()
    assert np.isfinite(np.delete(np.delete(score, 3, 0), 5, 1)).all()
    with pytest.raises(InputError, match="needs lists"):
        fit_adaptor(np.full_like(users, np.nan), items, make_lists(data, FIT), SMALL)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    data, users, items = world(n_users=80)
    adaptors = fit_folds(users, items, make_lists(data, FIT), *folds(80), SMALL)
    save_adaptor(adaptors[1], tmp_path / "made")
    back = load_adaptor(tmp_path / "made")
    assert np.array_equal(back.score(users, items), adaptors[1].score(users, items))
    assert np.array_equal(back.adapt("item", items), adaptors[1].adapt("item", items))
    about = json.loads((tmp_path / "made.json").read_text())
    assert about["settings"]["out"] == 8 and sorted(p.name for p in tmp_path.iterdir()) == ["made.json", "made.safetensors"]
    (tmp_path / "made.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="made.json with made.safetensors is no adaptor"):
        load_adaptor(tmp_path / "made")
    with pytest.raises(InputError, match="other.json"):
        load_adaptor(tmp_path / "other")
