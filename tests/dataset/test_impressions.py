"""`data.impressions:` as people's files are: what is refused, what is estimated, and that a planted bias is undone."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tokenrec.dataset.impressions import position_bias, weigh
from tokenrec.dataset.lists import make_lists
from tokenrec.dataset.load import load_dataset
from tokenrec.dataset.types import FIT, TUNE_A, TUNE_B, Impressions
from tokenrec.errors import InputError
from tokenrec.ranking.ranker import GRID, sample_rows, weighted_rows
from tokenrec.recipe.load import load_recipe

spec = importlib.util.spec_from_file_location("position", Path(__file__).parents[2] / "evals/benchmarks/position.py")
position = sys.modules["position"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(position)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("page")
    made = position.page_world()
    position.write_world(root, made)
    return root, made


def load(root, impressions="", **changed):
    """The dataset of the world in `root`, with the impressions: line given."""
    (root / "recipe.yaml").write_text(position.RECIPE + (f"  impressions: {impressions}\n" if impressions else ""))
    loaded = load_recipe(root / "recipe.yaml")
    return load_dataset(loaded.recipe, loaded.folder, **changed)


LOG = "{path: shown.csv, user: user, item: item, position: place, time: at}"


def test_how_many_look_at_a_position_is_found(tmp_path):
    position.write_world(tmp_path, position.page_world(seed=2, knows=2))
    data = load(tmp_path, LOG)
    truth = np.arange(1, 11.0) ** -1
    assert np.abs(data.impressions.looked_at[1:] - truth).max() < 0.06
    assert np.corrcoef(data.impressions.looked_at[1:], truth)[0, 1] > 0.98
    # the naive answer, clicks by position, is another here: what stands on top is also better
    shown = data.impressions
    rate = np.bincount(shown.position, shown.clicked) / np.maximum(np.bincount(shown.position), 1)
    assert np.abs(rate[1:] / rate[1] - truth).max() > 0.12
    assert any("look at a position" in note for note in data.notes)
    assert (shown.clicked.sum() / data.events.positive.sum()) > 0.9  # nearly every like has its impression


def test_planted_position_bias_is_undone(world):
    """A ranker that knows the log finds what is truly wanted, better than one that takes the likes as they are. The
    plain metric sees it the other way round, the weighed one less so."""
    for settings in (replace(GRID[0], rounds=60), replace(GRID[3], rounds=60)):  # logistic and a ranking objective
        found = position.measure(*world, settings)
        plain, weighed, alone = found["plain"], found["weighed"], found["weights alone"]
        assert weighed["wanted"] > plain["wanted"] + 0.1 and alone["wanted"] > plain["wanted"] + 0.05, found
        assert weighed["ndcg"] < plain["ndcg"]  # who repeats the page's order foretells the page's clicks
        by, flat = "ndcg_by_position", "ndcg"
        assert weighed[by] / plain[by] > weighed[flat] / plain[flat]


def test_weights_and_negatives_of_the_fit_lists(world):
    data = load(world[0], LOG)
    lists, shown = make_lists(data, FIT), data.impressions
    relevant = lists.label == 1
    assert lists.weight[relevant].mean() == pytest.approx(1, abs=1e-5) and (lists.weight[~relevant] == 1).all()
    assert lists.weight[relevant].max() / lists.weight[relevant].min() <= shown.most + 1e-4
    # a like by hand: all its impressions in the window
    row = np.flatnonzero(relevant & lists.shown)[7]
    user, item = lists.user[lists.list_of_row[row]], lists.item_of_row[row]
    mine = (shown.user == user) & (shown.item == item) & (shown.window == FIT)
    looked = 1 - np.prod(1 - shown.looked_at[shown.position[mine]])
    scale = (1 / np.maximum(looked, 1 / shown.most)) / lists.weight[row]
    top = np.flatnonzero(relevant & ~lists.shown)
    if len(top):  # what the log does not have counts as surely looked at
        assert lists.weight[top[0]] * scale == pytest.approx(1, abs=1e-4)
    rows = sample_rows(lists, 20, seed=0)
    assert lists.shown[rows][lists.label[rows] == 0].all() and np.isin(np.flatnonzero(relevant), rows).all()
    assert np.bincount(lists.list_of_row[rows], lists.label[rows] == 0).max() <= 20
    assert load(world[0]).impressions is None and make_lists(load(world[0]), FIT).weight is None


def test_lists_that_the_log_does_not_know_get_sampled_negatives(world):
    data = load(world[0], LOG)
    shown = data.impressions
    cut = shown.user % 2 == 0
    half = Impressions(*(getattr(shown, f)[cut] for f in ("user", "item", "position", "window", "clicked")), shown.looked_at, 10)
    lists = weigh(replace(make_lists(data, FIT), weight=None, shown=None), half, len(data.item_ids))
    rows = sample_rows(lists, 30, seed=3)
    negatives = np.bincount(lists.list_of_row[rows], lists.label[rows] == 0, minlength=len(lists))
    odd = lists.user % 2 == 1
    assert (negatives[odd] == 30).all() and not lists.shown[rows][odd[lists.list_of_row[rows]]].any()
    logged = np.bincount(lists.list_of_row, lists.shown & (lists.label == 0), minlength=len(lists)) > 0
    even = lists.shown[rows][(logged[lists.list_of_row] & ~odd[lists.list_of_row])[rows] & (lists.label[rows] == 0)]
    assert even.all() and len(even)


def test_groups_of_one_like_carry_its_weight(world):
    """XGBoost weighs groups: each relevant row of a list stands in one of its own, beside all the others."""
    lists = make_lists(load(world[0], LOG), FIT)
    rows = sample_rows(lists, 5, seed=0)
    again, group, weight = weighted_rows(rows, lists)
    assert (np.diff(group) >= 0).all() and len(weight) == group.max() + 1 == lists.label.sum()
    assert (np.bincount(group, lists.label[again]) == 1).all()
    for g in (0, len(weight) // 2, len(weight) - 1):
        mine = again[group == g]
        like = mine[lists.label[mine] == 1][0]
        beside = rows[(lists.list_of_row[rows] == lists.list_of_row[like]) & (lists.label[rows] == 0)]
        assert set(mine) == {like, *beside} and weight[g] == lists.weight[like]


def test_later_impressions_and_clicks_are_not_learnt_from(world):
    root, made = world
    data = load(root, LOG)
    shown = data.impressions
    later = data.events.time[data.events.window > FIT].min()
    rows = [r for r in made.shown if r[3] < later]
    (root / "early.csv").write_text("user,item,place,at\n" + "".join(f"{u},{i},{k},{t}\n" for u, i, k, t in rows))
    early = load(root, LOG.replace("shown.csv", "early.csv"))
    assert np.array_equal(early.impressions.looked_at, shown.looked_at)
    a, b = make_lists(data, FIT), make_lists(early, FIT)
    assert np.array_equal(a.weight, b.weight) and np.array_equal(a.shown, b.shown)
    assert data.data_hash != early.data_hash != load(root).data_hash
    for window in (TUNE_A, TUNE_B):
        lists = make_lists(data, window)
        assert lists.shown.any() and (lists.weight[lists.label == 1] != 1).any()


def test_a_stated_power_and_a_log_that_says_too_little(world):
    root, made = world
    data = load(root, LOG.replace("}", ", examined: 0.5, most: 3}"))
    assert np.allclose(data.impressions.looked_at[1:], np.arange(1, 11) ** -0.5)
    lists = make_lists(data, FIT)
    relevant = lists.weight[lists.label == 1]
    assert relevant.max() / relevant.min() <= 3 + 1e-4
    fixed = {item: 1 + n % 10 for n, item in enumerate(sorted({r[1] for r in made.shown}))}
    (root / "fixed.csv").write_text("user,item,place,at\n" + "".join(f"{u},{i},{fixed[i]},{t}\n" for u, i, _, t in made.shown))
    data = load(root, LOG.replace("shown.csv", "fixed.csv"))
    assert np.allclose(data.impressions.looked_at[1:], 1 / np.arange(1, 11))
    assert any("too few clicks" in note and "several positions" in note for note in data.notes)
    assert position_bias(np.zeros(0, int), np.zeros(0, int), np.zeros(0, bool)) is None


def test_clicks_of_the_log_are_taken_where_it_has_them(world):
    root, made = world
    (root / "clicked.jsonl").write_text("".join(
        json.dumps({"user": u, "item": i, "place": k, "at": t, "taken": k == 2}) + "\n" for u, i, k, t in made.shown))
    data = load(root, LOG.replace("shown.csv", "clicked.jsonl").replace("time: at", "time: at, clicked: taken"))
    assert np.array_equal(data.impressions.clicked, data.impressions.position == 2)


HEAD = "user,item,place,at,taken\n"


@pytest.mark.parametrize(("text", "line", "words"), [
    ("", LOG, "the file is empty"),
    ("user,item,at\nu0001,i001,3\n", LOG, "no column 'place'"),
    (HEAD + "u0001,i001,0,3,1\n" * 40, LOG, r"40 of 40 rows can't be used: 40 rows whose place is no position \(1 is the top, 2 the next\) \(first: bad.csv:2, bad.csv:3"),
    (HEAD + "u0001,i001,1.5,3,1\n" * 40, LOG, "no position"),
    (HEAD + "u0001,nothing,1,3,1\n" * 40, LOG, "whose item is no item"),
    (HEAD + ",i001,1,3,1\n" * 40, LOG, "rows without user"),
    (HEAD + "u0001,i001,1,soon,1\n" * 40, LOG, "whose at is no date or number"),
    (HEAD + "u0001,i001,1,3,maybe\n" * 40, LOG.replace("}", ", clicked: taken}"), "whose taken is neither 0 nor 1"),
    (HEAD + "nobody,i001,1,3,1\n", LOG, "Are the ids the same"),
    (HEAD + "u0001,i001,1,2024-05-01,1\nu0001,i001,1,2024-05-02,1\n", LOG, "in the same unit"),
    (HEAD + "u0001,i001,1,2024-05-01,1\nu0001,i001,1,3,1\n", LOG, "dates and plain numbers"),
])  # fmt: skip
def test_a_log_that_can_not_be_used_says_where_and_why(world, text, line, words):
    (world[0] / "bad.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        load(world[0], line.replace("shown.csv", "bad.csv"))


@pytest.mark.parametrize(("line", "words"), [
    (LOG.replace(", time: at", ""), "data.impressions: lacks time"), (LOG.replace("position: place, ", ""), "position"),
    (LOG.replace("shown.csv", "shwn.csv"), "shwn.csv is not there. did you mean shown.csv"),
    (LOG.replace("}", ", examined: -1}"), "examined"), (LOG.replace("}", ", most: 0.5}"), "most"),
])  # fmt: skip
def test_the_recipe_is_checked(world, line, words):
    with pytest.raises(InputError, match=words):
        load(world[0], line)


def test_without_times_a_pair_falls_in_its_events_window_or_by_hash(world):
    root, made = world
    (root / "timeless.yaml").write_text(
        position.RECIPE.replace(", time: at", "") + "  split: {by: user}\n"
        "  impressions: {path: shown.csv, user: user, item: item, position: place}\n")
    loaded = load_recipe(root / "timeless.yaml")
    data = load_dataset(loaded.recipe, loaded.folder)
    shown, events = data.impressions, data.events
    own = {(u, i): w for u, i, w in zip(events.user, events.item, events.window, strict=True)}
    for u, i, w in zip(shown.user[:3000], shown.item[:3000], shown.window[:3000], strict=True):
        window = own.get((u, i), w)
        assert w == (TUNE_B if window == TUNE_A else window)
    rest = np.array([(u, i) not in own for u, i in zip(shown.user, shown.item, strict=True)])
    assert np.bincount(shown.window[rest], minlength=5)[[0, 1, 3, 4]] / rest.sum() == pytest.approx([0.5, 0.2, 0.15, 0.15], abs=0.02)
    assert (make_lists(data, FIT).weight != 1).any()
