"""Windows partition events, never leak, and lists equal a slow, plain reading of CONTRACT.md."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tokenrec.dataset.lists import list_users, make_lists
from tokenrec.dataset.split import assign_windows, events_before, held_items, posed_items
from tokenrec.dataset.stats import summary
from tokenrec.dataset.types import FIT, HISTORY, TEST, TUNE_A, TUNE_B, WINDOWS, Dataset, Events
from tokenrec.errors import InputError
from tokenrec.recipe.data import Split

USERS, ITEMS = [f"u{n}" for n in range(5)], [f"i{n}" for n in range(6)]


def dataset(user, item, time, positive, window, by="time") -> Dataset:
    n = len(user)
    events = Events(np.array(user, np.int32), np.array(item, np.int32), np.array(time, np.float64),
                    np.full(n, np.nan, np.float32), np.array(positive, bool), np.array(window, np.int8))  # fmt: skip
    return Dataset("t", ITEMS, [{} for _ in ITEMS], USERS, [{} for _ in USERS], events, "", by)


@st.composite
def event_rows(draw):
    """Sorted times with ties; users and items from small pools, so that pairs repeat."""
    row = st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 40), st.booleans())
    return sorted(draw(st.lists(row, min_size=8, max_size=70)), key=lambda r: r[2])


def split_up(rows, **split):
    user, item, time, positive = (np.array(c) for c in zip(*rows, strict=True))
    try:
        window, keep = assign_windows(user, item, time.astype(float), USERS, ITEMS, Split(**split))
    except InputError as error:
        assert "without events" in str(error)
        return None
    return dataset(user[keep], item[keep], time[keep], positive[keep], window[keep], split.get("by", "time")), keep


@settings(max_examples=150, deadline=None)
@given(event_rows(), st.integers(0, 5))
def test_time_windows_partition_in_order_without_straddling(rows, seed):
    found = split_up(rows, seed=seed)
    if found is None:
        return
    data, keep = found
    assert keep.all() and len(data.events) == len(rows)
    coarse = np.array([0, 1, 2, 2, 3])[data.events.window]
    assert (np.diff(coarse) >= 0).all()
    for moment in np.unique(data.events.time):
        assert len(set(coarse[data.events.time == moment])) == 1
    for half in (TUNE_A, TUNE_B):
        other = TUNE_A + TUNE_B - half
        assert not set(data.events.user[data.events.window == half]) & set(
            data.events.user[data.events.window == other]
        )


@settings(max_examples=150, deadline=None)
@given(event_rows(), st.sampled_from(["time", "item_holdout"]))
def test_nothing_seen_is_as_late_as_what_is_measured(rows, by):
    found = split_up(rows, by=by)
    if found is None:
        return
    data, _ = found
    for window in range(5):
        before, inside = events_before(data, window), data.events.window == window
        assert not (before & inside).any()
        if before.any() and inside.any():
            assert data.events.time[before].max() < data.events.time[inside].min()


def test_each_window_sees_what_it_should():
    data = dataset([0] * 5, range(5), range(5), [True] * 5, range(5))
    seen = {WINDOWS[w]: np.flatnonzero(events_before(data, w)).tolist() for w in range(5)}
    assert seen == {"history": [], "fit": [0], "tune_a": [0, 1], "tune_b": [0, 1], "test": [0, 1, 2, 3]}


def brute_lists(data, window, candidates=None):
    """{user: ({candidate: label}, missed)} by loops."""
    e, before = data.events, events_before(data, window)
    found = {}
    for user in range(len(USERS)):
        had = {int(i) for u, i, b in zip(e.user, e.item, before, strict=True) if u == user and b}
        liked = {
            int(i)
            for u, i, p, w in zip(e.user, e.item, e.positive, e.window, strict=True)
            if u == user and p and w == window
        } - had
        if liked:
            pool = set(range(len(ITEMS)) if candidates is None else candidates[user]) - had
            found[user] = ({i: int(i in liked) for i in sorted(pool)}, len(liked - pool))
    return found


@settings(max_examples=200, deadline=None)
@given(event_rows(), st.integers(0, 4), st.lists(st.sets(st.integers(0, 5)), min_size=5, max_size=5), st.data())
def test_lists_equal_brute_force(rows, window, pools, draw):
    user, item, time, positive = zip(*rows, strict=True)
    windows = sorted(draw.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows))))
    data = dataset(user, item, time, positive, windows)
    users = list_users(data, window)
    padded = np.array([sorted(pools[u]) + [-1] * (6 - len(pools[u])) for u in users], np.int32).reshape(-1, 6)
    matrix = np.zeros((5, 6), np.int8)
    for u, pool in enumerate(pools):
        matrix[u, list(pool)] = 1
    shared = np.array(sorted(pools[0]), np.int32)
    for given_, plain in (
        (None, None), (padded, pools), (sparse.csr_array(matrix), pools), (shared, [pools[0]] * 5),
    ):  # fmt: skip
        lists, want = make_lists(data, window, given_), brute_lists(data, window, plain)
        assert lists.user.tolist() == users.tolist() == sorted(want)
        assert len(lists.indptr) == len(lists) + 1 and lists.indptr[-1] == len(lists.item_of_row)
        liked = np.bincount(np.array(item)[lists.before & np.array(positive)], minlength=6)
        for n, u in enumerate(lists.user):
            rows_ = slice(lists.indptr[n], lists.indptr[n + 1])
            assert (lists.list_of_row[rows_] == n).all()
            assert dict(zip(lists.item_of_row[rows_], lists.label[rows_], strict=True)) == want[u][0]
            assert list(lists.item_of_row[rows_]) == list(want[u][0]) and lists.missed[n] == want[u][1]
            assert lists.sparse_list[n] == ((np.array(user)[lists.before] == u).sum() <= 5)
            assert (lists.cold_row[rows_] == (liked[lists.item_of_row[rows_]] <= 2)).all()


def test_a_repeat_is_neither_candidate_nor_relevant():
    data = dataset([0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 2, 3], [False, True, True, False], [HISTORY, FIT, FIT, FIT])
    lists = make_lists(data, FIT)
    assert lists.user.tolist() == [0]
    assert lists.item_of_row.tolist() == [1, 2, 3, 4, 5] and lists.label.tolist() == [1, 0, 0, 0, 0]


def test_large_catalogues_are_done_in_parts_alike(monkeypatch):
    rng = np.random.default_rng(2)
    data = dataset(rng.integers(0, 5, 40), rng.integers(0, 6, 40), range(40), [True] * 40, np.arange(40) // 15)
    pools = np.array([[0, 2, 5, -1]] * len(list_users(data, FIT)))
    whole = [make_lists(data, FIT), make_lists(data, FIT, pools)]
    monkeypatch.setattr("tokenrec.dataset.lists._CHUNK", 7)
    for one, other in zip(whole, [make_lists(data, FIT), make_lists(data, FIT, pools)], strict=True):
        assert len(one) > 1
        for field in ("user", "indptr", "list_of_row", "item_of_row", "label", "missed", "cold_row", "sparse_list"):
            assert (getattr(one, field) == getattr(other, field)).all()
            assert getattr(one, field).dtype == getattr(other, field).dtype


def test_wrong_number_of_candidate_rows_is_refused():
    data = dataset([0], [0], [0], [True], [TEST])
    with pytest.raises(ValueError, match="2 rows for 1 lists"):
        make_lists(data, TEST, np.zeros((2, 3), np.int32))
    assert len(make_lists(data, FIT)) == 0


def triples(data):
    e = data.events
    return sorted(zip(e.user.tolist(), e.item.tolist(), e.window.tolist(), strict=True))


@settings(max_examples=60, deadline=None)
@given(event_rows(), st.permutations(range(5)))
def test_user_split_is_by_user_and_blind_to_row_order(rows, order):
    found = split_up(rows, by="user")
    if found is None:
        return
    shuffled = sorted(rows, key=lambda r: order[r[0]])
    again, _ = split_up(shuffled, by="user")
    assert triples(found[0]) == triples(again)


def test_shares_come_out_as_asked():
    rng = np.random.default_rng(0)
    user, item = np.sort(rng.integers(0, 400, 4000)), rng.integers(0, 50, 4000)
    names, dishes = [f"u{n}" for n in range(400)], [str(n) for n in range(50)]
    for by, time, want in (
        ("time", np.arange(4000.0), (0.5, 0.2, 0.075, 0.075, 0.15)),
        ("user", None, (0.5, 0.2, 0.075, 0.075, 0.15)),
        ("given", None, (0.65, 0.2, 0.075, 0.075, 0)),
    ):
        in_test = np.arange(4000) < (800 if by == "given" else 0)
        window, _ = assign_windows(user, item, time, names, dishes, Split(by=by), in_test)
        train = window[~in_test]
        share = np.bincount(train, minlength=5) / len(train)
        assert np.allclose(share, want, atol=0.04 if by == "time" else 0.02), (by, share)
        assert (window[in_test] == TEST).all()


def test_item_holdout_takes_only_history_events_of_a_fifth_of_the_items():
    rng = np.random.default_rng(1)
    user, item = rng.integers(0, 40, 6000), rng.integers(0, 300, 6000)
    names, dishes = [f"u{n}" for n in range(40)], [str(n) for n in range(300)]
    window, keep = assign_windows(user, item, np.arange(6000.0), names, dishes, Split(by="item_holdout"))
    assert (window[~keep] == HISTORY).all()
    held = np.unique(item[~keep])
    assert 0.12 < len(held) / 300 < 0.28
    assert not np.isin(item[keep & (window == HISTORY)], held).any()
    assert np.isin(item[window == TEST], held).any()


def test_a_cold_objective_is_chosen_on_items_that_pose_as_cold():
    """Nothing is learnt of their events in fit and tune, and those that are held out for test are not seen before."""
    rng = np.random.default_rng(1)
    user, item = rng.integers(0, 40, 6000), rng.integers(0, 300, 6000)
    names, dishes = [f"u{n}" for n in range(40)], [str(n) for n in range(300)]
    for by in ("time", "item_holdout"):
        split = Split(by=by)
        window, keep = assign_windows(user, item, np.arange(6000.0), names, dishes, split)
        held = held_items(dishes, split) if by == "item_holdout" else None
        posed = posed_items(dishes, split)
        assert 0.1 < posed.mean() < 0.3 and (held is None or not (held & posed).any())
        n = keep.sum()
        events = Events(user[keep].astype(np.int32), item[keep].astype(np.int32), np.arange(n, dtype=float),
                        np.full(n, np.nan, np.float32), np.ones(n, bool), window[keep])  # fmt: skip
        data = Dataset("t", dishes, [{}] * 300, names, [{}] * 40, events, "", by, held=held, posed=posed)
        for w in (FIT, TUNE_A, TUNE_B, TEST):
            lists = make_lists(data, w)
            cold, inside = np.zeros(300, bool), np.unique(lists.item_of_row)
            cold[lists.item_of_row[lists.cold_row]] = True
            assert not posed[events.item[lists.before]].any() or w == TEST
            if w == TEST:
                assert not cold[posed].any() and (held is None or cold[held].all())
            else:
                assert cold[posed].all() and (held is None or not held[inside].any())
                assert lists.label[posed[lists.item_of_row]].any()
            seen = events_before(data, w)  # what a user had before is no candidate, posing or not
            had = set(zip(events.user[seen].tolist(), events.item[seen].tolist(), strict=True))
            assert not had & set(zip(lists.user[lists.list_of_row].tolist(), lists.item_of_row.tolist(), strict=True))


def test_summary_says_what_was_planted():
    user, item = [0] * 6 + [1] * 4, [0, 0, 0, 0, 1, 2, 0, 1, 3, 4]
    data = dataset(user, item, range(10), [True] * 9 + [False], [0, 0, 0, 0, 1, 2, 0, 3, 4, 4])
    told = summary(data)
    assert (told["users"], told["items"], told["events"], told["positives"]) == (5, 6, 10, 9)
    assert told["events_per_user"] == [0, 0, 0, 4, 6]
    assert told["repeat_rate"] == pytest.approx(0.3)
    assert told["top_decile_share"] == 0.5
    # counts 5 2 1 1 1 0, sorted 0 1 1 1 2 5: (-5*0 - 3*1 - 1*1 + 1*1 + 3*2 + 5*5) / (6 * 10)
    assert told["gini_items"] == pytest.approx(28 / 60)
    assert told["cold_test_positives_share"] == 1.0
    assert told["lists_per_window"] == {"history": 2, "fit": 1, "tune_a": 1, "tune_b": 1, "test": 1}
