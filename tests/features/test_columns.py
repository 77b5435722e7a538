"""Token columns: right numbers, right gaps, no events from the window itself."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ranking.worlds import dataset, make_lists, taste_world, windows
from tokenrec.dataset.types import TEST
from tokenrec.features.columns import join_columns, shuffle_vectors, token_columns
from tokenrec.features.profiles import factors, liked_matrix, mapped_factors, profiles, recent_likes
from tokenrec.features.types import Vectors


def named(matrix, subject="item", space="taste", source="flavour"):
    columns = [f"c{j}" for j in range(matrix.shape[1])]
    return Vectors(source, "taste", subject, np.asarray(matrix, np.float32), columns, True, space)


def encoded(matrix, subject="item", source="raw_text"):
    return Vectors(source, "text", subject, np.asarray(matrix, np.float32), [""] * matrix.shape[1], False, "enc")


def column(columns, what):
    return columns.matrix[:, [n.split(".", 2)[2] for n in columns.names].index(what)]


@pytest.fixture(scope="module")
def world():
    data, tastes = taste_world(seed=1, n_users=60, n_items=30, n_events=1500, d=4)
    return data, tastes, make_lists(data, TEST)


def test_profile_and_closest_are_the_cosines_they_say(world):
    data, tastes, lists = world
    got = token_columns(named(tastes), data, lists)
    assert got.names == ["flavour.taste.profile", "flavour.taste.closest", "flavour.taste.mapped"]
    e, centred = data.events, tastes - tastes.mean(0)

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    for row in range(0, len(lists.item_of_row), 37):
        user, item = lists.user[lists.list_of_row[row]], lists.item_of_row[row]
        mine = np.flatnonzero(lists.before & e.positive & (e.user == user))
        liked, latest = np.unique(e.item[mine]), e.item[mine][-50:]
        assert column(got, "profile")[row] == pytest.approx(cosine(centred[liked].mean(0), centred[item]), abs=1e-5)
        best = max(cosine(centred[j], centred[item]) for j in latest)
        assert column(got, "closest")[row] == pytest.approx(best, abs=1e-5)


def test_a_single_number_is_the_distance_to_the_user_s_usual_one(world):
    data, tastes, lists = world
    minutes = 10 + 50 * tastes[:, :1]
    minutes[3] = np.nan
    got = token_columns(named(minutes), data, lists)
    assert got.names == ["flavour.taste.distance"]
    e = data.events
    for row in range(0, len(lists.item_of_row), 37):
        user, item = lists.user[lists.list_of_row[row]], lists.item_of_row[row]
        liked = np.unique(e.item[lists.before & e.positive & (e.user == user)])
        usual = np.nanmean(minutes[liked, 0])
        assert got.matrix[row, 0] == pytest.approx(abs(minutes[item, 0] - usual), rel=1e-4, abs=1e-3, nan_ok=True)
    assert np.isnan(got.matrix[lists.item_of_row == 3]).all() and np.isfinite(got.matrix).any()


@pytest.mark.parametrize("width", [1, 2, 4, 40])
def test_no_column_is_constant_for_an_item_or_a_user(width, world):
    """Such a column lets trees learn the fit window's popularity by heart."""
    data, _, lists = world
    rng = np.random.default_rng(width)
    for subject, n in (("item", 30), ("user", 60)):
        vectors = named(rng.normal(size=(n, width)), subject)
        other = named(rng.normal(size=(n if subject == "user" else 30, width)))
        got = token_columns(vectors, data, lists, item_vectors=other if subject == "user" else None)
        of = lists.item_of_row if subject == "item" else lists.list_of_row
        for j, name in enumerate(got.names):
            spread = [np.ptp(got.matrix[of == k, j]) for k in np.unique(of) if (of == k).sum() > 5]
            assert max(spread) > 1e-3, name


def test_a_subject_without_a_token_is_nan_in_every_column(world):
    data, tastes, lists = world
    gap = tastes.copy()
    gap[::3] = np.nan
    for vectors in (named(gap), encoded(np.tile(gap, 6))):
        got = token_columns(vectors, data, lists).matrix
        without = np.isnan(gap[lists.item_of_row]).any(axis=1)
        assert np.isnan(got[without]).all()
        assert not np.isnan(got[~without]).any()


def test_the_window_itself_is_never_looked_at(world):
    data, tastes, lists = world
    e = data.events
    changed = np.where(lists.before, e.item, (e.item + 7) % len(data.item_ids)).astype(np.int32)
    other = replace(data, events=replace(e, item=changed, positive=e.positive & lists.before))
    for vectors in (named(tastes), encoded(tastes)):
        a, b = token_columns(vectors, data, lists), token_columns(vectors, other, lists)
        assert np.array_equal(a.matrix, b.matrix)


def test_mapping_predicts_warm_items_without_their_own_factors():
    rng = np.random.default_rng(0)
    liked = liked_matrix(*_clicks(rng))
    x, target = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))
    place = mapped_factors(x, target, liked)
    for i in (0, 17):
        moved = target.copy()
        moved[i] += 100
        assert np.isfinite(place).all()
        same_penalty = mapped_factors(x, moved, liked)
        assert abs(same_penalty[i] - place[i]).max() < 20  # ridge with the item inside would move by its leverage
    linear = x @ rng.normal(size=(5, 3)) + 2
    assert np.abs(mapped_factors(x, linear, liked) - linear).mean() < 0.2


@pytest.mark.parametrize("width", [3, 40, 384])
def test_leave_one_out_in_closed_form_equals_refitting(width):
    rng = np.random.default_rng(3)
    liked = liked_matrix(*_clicks(rng))
    x, target = rng.normal(size=(40, width)), rng.normal(size=(40, 1))
    place = mapped_factors(x, target, liked)
    i, rest = 5, np.arange(40) != 5
    refits = []
    scale = np.linalg.eigvalsh((x - x.mean(0)).T @ (x - x.mean(0))).mean()
    for penalty in scale * np.array([0.03, 0.1, 0.3, 1, 3, 10, 100]):
        c = x[rest] - x[rest].mean(0)
        w = np.linalg.solve(c.T @ c + penalty * np.eye(width), c.T @ (target[rest] - target[rest].mean(0)))
        refits.append(((x[i] - x[rest].mean(0)) @ w + target[rest].mean(0))[0])
    assert np.abs(np.array(refits) - place[i]).min() < 1e-6


def _clicks(rng):
    user, item = np.nonzero(rng.random((30, 40)) < 0.5)
    data = dataset(user, item, np.zeros(len(user)), 30, 40)
    return data, np.ones(len(user), bool)


def test_users_and_items_of_one_space_overlap(world):
    data, tastes, lists = world
    rng = np.random.default_rng(5)
    palate = rng.normal(size=(60, 4))
    palate[:10] = np.nan
    got = token_columns(named(palate, "user", source="palate"), data, lists, item_vectors=named(tastes))
    assert got.names == ["palate.taste.overlap"]
    row = np.flatnonzero(lists.user[lists.list_of_row] >= 10)[0]
    u = palate[lists.user[lists.list_of_row[row]]] - palate[10:].mean(0)
    v = tastes[lists.item_of_row[row]] - tastes.mean(0)
    assert got.matrix[row, 0] == pytest.approx(u @ v / np.linalg.norm(u) / np.linalg.norm(v), abs=1e-5)
    assert np.isnan(got.matrix[lists.user[lists.list_of_row] < 10]).all()
    both = token_columns(named(tastes), data, lists, user_vectors=named(palate, "user"))
    assert np.array_equal(column(both, "overlap"), got.matrix[:, 0], equal_nan=True)
    elsewhere = token_columns(named(palate, "user"), data, lists, item_vectors=named(tastes, space="other"))
    assert elsewhere.names == [] and elsewhere.matrix.shape == (len(lists.label), 0)
    assert token_columns(encoded(palate, "user"), data, lists).matrix.shape == (len(lists.label), 0)


@pytest.mark.parametrize("case", ["all_nan", "constant", "one_token", "no_history", "no_lists"])
def test_poor_inputs_give_gaps_without_noise(case, world):
    data, tastes, lists = world
    if case == "all_nan":
        tastes = np.full_like(tastes, np.nan)
    if case == "constant":
        tastes = np.ones_like(tastes)
    if case == "one_token":
        tastes = np.where(np.arange(len(tastes))[:, None] == 3, tastes, np.nan)
    if case == "no_history":
        lists = replace(lists, before=np.zeros_like(lists.before))
    if case == "no_lists":
        none = np.zeros(0, np.int32)
        lists = replace(lists, user=none, indptr=np.zeros(1, np.int64), list_of_row=none, item_of_row=none,
                        label=none, missed=none, cold_row=none, sparse_list=none)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for vectors in (named(tastes), encoded(tastes), encoded(np.repeat(tastes, 10, axis=1))):
            got = token_columns(vectors, data, lists)
            assert got.matrix.shape == (len(lists.label), len(got.names))
            assert not np.isinf(got.matrix).any()
    if case == "no_history":
        assert np.isnan(column(got, "profile")).all() and np.isnan(column(got, "mapped")).all()


def test_the_text_of_a_taste_finds_who_likes_it_cold_or_warm():
    data, tastes = taste_world(seed=2)
    for lists in windows(data):
        got = token_columns(named(tastes), data, lists)
        for rows in (np.ones(len(lists.label), bool), lists.cold_row):
            if lists.label[rows].sum() < 30:
                continue
            for what in ("profile", "closest", "mapped"):
                score = column(got, what)
                yes, no = score[rows & (lists.label == 1)], score[rows & (lists.label == 0)]
                assert np.nanmean(yes) > np.nanmean(no) + 0.1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_placebo_deals_the_same_tokens_to_the_same_holders(seed, draw):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(12, 3)).astype(np.float32)
    matrix[rng.random(12) < 0.4] = np.nan
    dealt = shuffle_vectors(named(matrix), draw).matrix
    assert np.array_equal(np.isnan(dealt), np.isnan(matrix))
    assert np.array_equal(np.sort(dealt, axis=0), np.sort(matrix, axis=0), equal_nan=True)
    assert np.array_equal(dealt, shuffle_vectors(named(matrix), draw).matrix, equal_nan=True)


def test_blocks_join_and_repeat_exactly(world):
    data, tastes, lists = world
    a, b = token_columns(named(tastes), data, lists), token_columns(encoded(tastes), data, lists)
    both = join_columns("task", [a, b])
    assert both.names == a.names + b.names and both.matrix.shape[1] == len(both.names)
    assert np.array_equal(token_columns(encoded(tastes), data, lists).matrix, b.matrix, equal_nan=True)


def test_factor_model_and_profiles_on_empty_data():
    data = dataset([0], [0], [TEST], 3, 4)
    liked = liked_matrix(data, np.zeros(1, bool))
    left, right = factors(liked)
    assert left.shape == (3, 0) and right.shape == (4, 0)
    assert np.isnan(profiles(np.ones((4, 2)), liked)).all()
    ptr, likes = recent_likes(data, np.zeros(1, bool), np.ones(4, bool))
    assert ptr.tolist() == [0, 0, 0, 0] and len(likes) == 0
