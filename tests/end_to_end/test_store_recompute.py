"""The figures of a run, computed again from the store's documented tables alone: nothing of tokenrec is imported."""

import hashlib
import json
import math
import re
import sqlite3
from collections import defaultdict

import pytest

SHARES = {"history": 0.5, "fit": 0.2, "tune": 0.15, "test": 0.15}
BEFORE = {
    "fit": {"history"}, "tune_a": {"history", "fit"}, "tune_b": {"history", "fit"},
    "test": {"history", "fit", "tune_a", "tune_b"},
}  # fmt: skip


@pytest.fixture(scope="module")
def db(finished):
    found = sqlite3.connect(finished.root / ".tokenrec/store.db")
    found.row_factory = sqlite3.Row
    return found


@pytest.fixture(scope="module")
def events(db):
    return [dict(r) for r in db.execute("select * from windows where recipe = 'small' order by at")]


@pytest.fixture(scope="module")
def catalogue(finished):
    lines = (finished.root / "data/dishes.jsonl").read_text(encoding="utf-8").splitlines()
    return {json.loads(line)["dish_id"] for line in lines}


@pytest.fixture(scope="module")
def scores(db, finished):
    """list → its rows (dicts of item, label, one score an arm), and the names of the arms."""
    import pyarrow.parquet as parquet

    file = db.execute("select * from files where kind = 'scores'").fetchone()
    path = finished.root / ".tokenrec" / file["path"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
    rows = parquet.read_table(path).to_pylist()
    lists = defaultdict(list)
    for row in rows:
        lists[row["list"]].append(row)
    return lists, [name for name in rows[0] if name not in ("list", "item", "label")]


def pairs(events, windows, positive=False):
    return {(e["user"], e["item"]) for e in events if e["window"] in windows and (e["positive"] or not positive)}


def test_windows_hold_the_events_of_the_file_cut_by_share(finished, events):
    lines = (finished.root / "data/events.csv").read_text(encoding="utf-8").splitlines()[1:]
    asked = sorted((u, i, float(t), float(v)) for u, i, t, v in (line.split(",") for line in lines))
    assert sorted((e["user"], e["item"], e["at"], e["value"]) for e in events) == asked
    assert all(e["positive"] == (e["value"] >= 4) for e in events)
    edges, total = [], 0.0
    for share in SHARES.values():
        edges.append(round(total, 9))
        total += share
    first = {}
    for place, e in enumerate(events):
        first.setdefault(e["at"], place)
    for e in events:
        expected = [w for w, edge in zip(SHARES, edges, strict=True) if first[e["at"]] >= edge * len(events)][-1]
        assert e["window"].split("_")[0] == expected
    half = defaultdict(set)
    for e in events:
        if e["window"].startswith("tune"):
            half[e["user"]].add(e["window"])
    assert all(len(windows) == 1 for windows in half.values())  # tune is halved by user
    assert 0.25 < sum("tune_a" in w for w in half.values()) / len(half) < 0.75


def test_no_text_knows_of_an_event_in_or_after_fit(db, events):
    fit_begins = min(e["at"] for e in events if e["window"] == "fit")
    names = {r["subject"]: r["name"] for r in db.execute("select subject, name from subjects where kind = 'item'")}
    liked = defaultdict(set)
    for user, item in pairs(events, {"history"}, positive=True):
        liked[user].add(names[item])
    tokens = list(db.execute("select * from tokens join completions using (completion_id) where kind = 'user'"))
    assert len(tokens) == 10
    for token in tokens:
        assert token["newest_event_time"] < fit_begins
        shown = {re.sub(r" \([^()]*\)$", "", line) for line in json.loads(token["inputs"])["liked"]}
        assert shown and shown <= liked[token["subject"]]
    others = db.execute("select count(*) from tokens where kind = 'item' and newest_event_time is not null")
    assert others.fetchone()[0] == 0


def test_lists_are_the_users_with_a_new_like_and_leave_out_what_they_had(db, events, catalogue, scores, finished):
    for window, earlier in BEFORE.items():
        new = pairs(events, {window}, positive=True) - pairs(events, earlier)
        stored = db.execute("select user from lists where run = ? and window = ?", [finished.second["run"], window])
        assert [r["user"] for r in stored] == sorted({u for u, _ in new})
    had = pairs(events, BEFORE["test"])
    new = pairs(events, {"test"}, positive=True) - had
    users = dict(db.execute("select list, user from lists where run = ? and window = 'test'", [finished.second["run"]]))
    lists, _ = scores
    assert set(lists) == set(users)
    for number, rows in lists.items():
        user = users[number]
        assert {r["item"] for r in rows} == {i for i in catalogue if (user, i) not in had}
        assert {r["item"] for r in rows if r["label"]} == {i for u, i in new if u == user}


def ndcg(rows, arm, k=10):
    order = sorted(rows, key=lambda r: (-r[arm], r["item"]))
    gain = sum(1 / math.log2(place + 2) for place, r in enumerate(order[:k]) if r["label"])
    return gain / sum(1 / math.log2(place + 2) for place in range(min(k, sum(r["label"] for r in rows))))


def test_ndcg_of_every_arm_follows_from_its_scores(db, scores, finished):
    lists, arms = scores
    run = finished.second["run"]
    evidence = [json.loads(r["document"]) for r in db.execute("select * from evidence where run = ?", [run])]
    said = {e["arm"]: e for e in evidence if e.get("slice") == "all" and e.get("metric") == "ndcg@10"}
    assert {"behaviour", "raw_text", "raw_text+tokens", "placebo", "ungated", "extractive"} <= set(arms)
    assert {f"raw_text+{t}" for t in ("flavour", "menu_line", "palate")} <= set(arms)
    assert set(said) == set(arms)
    for arm in arms:
        mine = {number: ndcg(rows, arm) for number, rows in lists.items()}
        stored = db.execute(
            "select list, value from metrics where run = ? and arm = ? and slice = 'all' and metric = 'ndcg@10'",
            [run, arm],
        )
        assert dict(stored.fetchall()) == pytest.approx(mine)
        assert said[arm]["n"] == len(mine)
        assert said[arm]["value"] == pytest.approx(sum(mine.values()) / len(mine))


def test_lift_is_the_difference_of_two_arms(scores, finished):
    lists, _ = scores
    assert {row["task"] for row in finished.second["leaderboard"]} == {"flavour", "menu_line", "palate"}
    for row in finished.second["leaderboard"]:
        paired = [ndcg(r, f"raw_text+{row['task']}") - ndcg(r, "raw_text") for r in lists.values()]
        left_out = [ndcg(r, "raw_text+tokens") - ndcg(r, f"raw_text+tokens-{row['task']}") for r in lists.values()]
        assert row["n"] == len(lists)
        assert row["lift"] == pytest.approx(sum(paired) / len(paired))
        assert row["lift_left_out"] == pytest.approx(sum(left_out) / len(left_out))
        assert row["low"] <= row["lift"] <= row["high"]
