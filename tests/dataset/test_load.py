"""Files → Dataset: what is read, mended, skipped and refused, and that the message says where."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenrec.dataset.load import load_dataset, load_labels
from tokenrec.dataset.types import TEST, TUNE_A, TUNE_B
from tokenrec.errors import InputError
from tokenrec.recipe.models import Recipe

ITEMS = [{"id": str(n), "name": f"dish {n}", "minutes": n} for n in range(12)]
EVENTS = [
    {"user": f"u{n % 7}", "item": str((n * 5 + n // 12) % 12), "at": f"2024-01-{1 + n // 4:02d}", "stars": 1 + n % 5}
    for n in range(100)
]


def recipe(items="items.jsonl", events="events.csv", users=None, split=None, most_users=None, labels=None, **keys):
    event_keys = {"user": "user", "item": "item", "time": "at", "value": "stars", "positive": ">= 4"}
    event_keys |= keys.pop("events_keys", {})
    data = {
        "items": {"path": items, "id": "id", "text": ["name"], "facts": ["minutes"]} | keys.pop("items_keys", {}),
        "events": {"path": events} | {k: v for k, v in event_keys.items() if v is not None},
        "split": split or {}, "users": users, "most_users": most_users, "labels": labels,
    }  # fmt: skip
    return Recipe.model_validate({"name": "test", "data": data, **keys})


def write_csv(path, rows, end="\n", delimiter=","):
    lines = [delimiter.join(rows[0])] + [delimiter.join(str(v) for v in row.values()) for row in rows]
    path.write_bytes((end.join(lines) + end).encode())


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    write_jsonl(tmp_path / "items.jsonl", ITEMS)
    write_csv(tmp_path / "events.csv", EVENTS)
    return tmp_path


def refused(recipe_, folder) -> str:
    with pytest.raises(InputError) as caught:
        load_dataset(recipe_, folder)
    return str(caught.value)


def test_codes_follow_sorted_ids_and_events_follow_time(folder):
    data = load_dataset(recipe(), folder)
    assert data.item_ids == sorted(str(n) for n in range(12))
    assert data.items[data.item_ids.index("10")] == {"name": "dish 10", "minutes": 10}
    assert data.user_ids == [f"u{n}" for n in range(7)]
    assert len(data.events) == 100 and data.notes == []
    assert (np.diff(data.events.time) >= 0).all()
    assert data.events.time[4] - data.events.time[0] == 86400
    assert (data.events.positive == (data.events.value >= 4)).all()


def test_every_format_gives_the_same_data_hash(folder):
    """The hash is of what the files say, not of how they spell it."""
    want = load_dataset(recipe(), folder).data_hash
    write_csv(folder / "items.csv", ITEMS, end="\r\n")
    (folder / "items.json").write_text(json.dumps(ITEMS))
    (folder / "items.jsonl.gz").write_bytes(gzip.compress((folder / "items.jsonl").read_bytes()))
    pq.write_table(pa.Table.from_pylist([i | {"id": int(i["id"]), "minutes": float(i["minutes"])} for i in ITEMS]),
                   folder / "items.parquet")  # fmt: skip
    (folder / "bom.csv").write_bytes(b"\xef\xbb\xbf" + (folder / "events.csv").read_bytes().replace(b"\n", b"\r\n"))
    write_csv(folder / "events.tsv", EVENTS, delimiter="\t")
    write_csv(folder / "semicolons.csv", EVENTS, delimiter=";")
    write_csv(folder / "floats.csv", [e | {"item": f"{e['item']}.0"} for e in EVENTS])
    table = pa.Table.from_pylist([e | {"item": float(e["item"])} for e in EVENTS])
    table = table.set_column(2, "at", table["at"].cast(pa.timestamp("ns")))
    pq.write_table(table, folder / "events.parquet")
    for items in ("items.csv", "items.json", "items.jsonl.gz", "items.parquet"):
        assert load_dataset(recipe(items), folder).data_hash == want, items
    for events in ("bom.csv", "events.tsv", "semicolons.csv", "floats.csv", "events.parquet"):
        assert load_dataset(recipe(events=events), folder).data_hash == want, events
    assert load_dataset(recipe(split={"seed": 8}), folder).data_hash != want
    write_jsonl(folder / "items.jsonl", [*ITEMS[:-1], ITEMS[-1] | {"name": "another"}])
    assert load_dataset(recipe(), folder).data_hash != want


def test_shuffled_rows_change_nothing_where_times_differ(folder):
    rows = [e | {"at": n} for n, e in enumerate(EVENTS)]
    write_csv(folder / "events.csv", rows)
    write_csv(folder / "mixed.csv", [rows[(n * 37) % 100] for n in range(100)])
    write_jsonl(folder / "mixed.jsonl", ITEMS[::-1])
    one, other = load_dataset(recipe(), folder), load_dataset(recipe("mixed.jsonl", "mixed.csv"), folder)
    assert one.data_hash == other.data_hash
    assert (one.events.window == other.events.window).all()


def test_chinese_and_bidirectional_text_is_data(folder):
    items = [{"id": "麻婆豆腐", "name": "麻婆豆腐 \u202emapo\u202c", "minutes": 20}, *ITEMS]
    write_jsonl(folder / "items.jsonl", items)
    write_csv(folder / "events.csv", [*EVENTS, EVENTS[-1] | {"user": "李雷", "item": "麻婆豆腐"}])
    data = load_dataset(recipe(), folder)
    assert "李雷" in data.user_ids
    assert data.items[data.item_ids.index("麻婆豆腐")]["name"] == "麻婆豆腐 \u202emapo\u202c"


def test_what_breaks_a_prompt_or_a_store_is_mended_and_told(folder):
    odd = [
        {"id": "a", "name": "nul\x00 and bell\x07", "minutes": float("nan")},
        {"id": "b", "name": "half a pair \ud800", "minutes": float("inf")},
        {"id": "c", "name": "x" * 100_001, "minutes": 3},
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*ITEMS, *odd]))
    data = load_dataset(recipe(), folder)
    a, b, c = (data.items[data.item_ids.index(i)] for i in "abc")
    assert a == {"name": "nul and bell", "minutes": None}
    assert b == {"name": "half a pair \ufffd", "minutes": None}
    assert len(c["name"]) == 100_000
    assert [n.split(" (first")[1] for n in data.notes] == [f": items.jsonl:{n})." for n in (13, 14, 15)]


def test_lists_in_cells_are_parsed_and_never_run(folder):
    cells = {
        "0": """['salt', "cook's", 'it\\'s']""",
        "1": 'c("rice", "soy sauce")',
        "2": '["a", "b"]',
        "3": "[__import__('os').getcwd()]",
        "4": "[unknown] artist",
        "5": "character(0)",
        "6": "[" * 5000 + "]" * 5000,
    }
    quoted = {k: '"' + v.replace('"', '""') + '"' for k, v in cells.items()}
    write_csv(folder / "items.csv", [{"id": n, "name": quoted.get(str(n), "x"), "minutes": "007"} for n in range(12)])
    data = load_dataset(recipe("items.csv"), folder)
    got = {i: r["name"] for i, r in zip(data.item_ids, data.items, strict=True)}
    assert got["0"] == ["salt", "cook's", "it's"]
    assert got["1"] == ["rice", "soy sauce"]
    assert got["2"] == ["a", "b"]
    assert got["3"] == cells["3"] and got["4"] == cells["4"] and got["6"] == cells["6"]
    assert got["5"] == []
    assert data.items[0]["minutes"] == "007"
    assert any("no text" in n for n in data.notes)


def test_a_few_bad_rows_are_skipped_counted_and_placed(folder):
    bad = [
        "u1,999,2024-01-09,5", ",3,2024-01-09,5", "u1,3,soon,5", "u1,3,2024-01-09,lots", "u1,3,2024-01-09,inf",
        "u1,3", "u1,3,2024-02-30,4", "u1,3,1704067200,4",
    ]  # fmt: skip
    with (folder / "events.csv").open("a") as f:
        f.write("\n".join(bad) + "\n\n")
    data = load_dataset(recipe(), folder)
    assert len(data.events) == 100
    told = "\n".join(data.notes)
    for words in (
        "1 rows whose item is not in items.jsonl (first: events.csv:102)", "without user (first: events.csv:103)",
        "2 rows whose at is no date or number (first: events.csv:104, events.csv:108)",
        "2 rows whose stars is no number (first: events.csv:105, events.csv:106)",
        "2 cells where the header has 4 (first: events.csv:107)",
        "at is a number where most are dates (first: events.csv:109)",
    ):  # fmt: skip
        assert words in told


def test_many_bad_rows_are_refused(folder):
    write_csv(folder / "events.csv", [*EVENTS, *({**e, "item": "x"} for e in EVENTS[:25])])
    said = refused(recipe(), folder)
    assert "25 of 125 rows" in said and "events.csv:102" in said and "not in items.jsonl" in said


def test_empty_cells_and_the_none_value_are_no_likes(folder):
    write_csv(folder / "events.csv", [e | {"stars": ["", 0, "nan", 5][n % 4]} for n, e in enumerate(EVENTS)])
    keys = {"positive": ">= 0", "none_value": 0}
    data = load_dataset(recipe(events_keys=keys), folder)
    assert data.events.positive.sum() == 25 and np.isnan(data.events.value).sum() == 75
    data = load_dataset(recipe(events_keys={"positive": None, "value": None}), folder)
    assert data.events.positive.all()


@pytest.mark.parametrize("scale", [1, 1e3, 1e6, 1e9])
def test_unix_times_in_any_unit_become_seconds(folder, scale):
    write_csv(folder / "events.csv", [e | {"at": int((1_700_000_000 + n) * scale)} for n, e in enumerate(EVENTS)])
    time = load_dataset(recipe(), folder).events.time
    assert time[0] == pytest.approx(1_700_000_000) and time[-1] - time[0] == pytest.approx(99, abs=1e-3)


def test_zones_are_honoured_and_naive_dates_are_utc(folder):
    spelled = ["2024-03-01T12:00:00Z", "2024-03-01T13:00:00+02:00", "2024/3/1", "2024-03-01 11:30:00"]
    rows = [e | {"at": spelled[n]} for n, e in enumerate(EVENTS[:4])]
    write_csv(folder / "events.csv", [*rows, *(e | {"at": f"2024-04-{n + 1:02d}"} for n, e in enumerate(EVENTS[:28]))])
    time = load_dataset(recipe(), folder).events.time
    assert [t - time[0] for t in time[:4]] == [0, 11 * 3600, 11.5 * 3600, 12 * 3600]


def test_one_id_with_two_records_is_refused_naming_both(folder):
    write_jsonl(folder / "items.jsonl", [*ITEMS, ITEMS[3]])
    assert "kept once (first: items.jsonl:13)" in load_dataset(recipe(), folder).notes[0]
    write_jsonl(folder / "items.jsonl", [*ITEMS, ITEMS[3] | {"name": "other"}])
    said = refused(recipe(), folder)
    assert "items.jsonl:13" in said and "items.jsonl:4" in said and "another name" in said


def test_missing_column_is_refused_with_a_guess(folder):
    said = refused(recipe(events_keys={"value": "star"}), folder)
    assert "no column 'star'" in said and "Did you mean 'stars'?" in said and "user, item, at, stars" in said
    assert "Did you mean 'name'?" in refused(recipe(items_keys={"text": ["Name"]}), folder)
    pq.write_table(pa.Table.from_pylist(EVENTS), folder / "events.parquet")
    assert "Did you mean 'item'" in refused(recipe(events="events.parquet", events_keys={"item": "items"}), folder)
    task = {"for": "item", "inputs": ["nam"], "write": "x", "outputs": {"o": {"type": "text"}}}
    assert "Did you mean 'name'?" in refused(recipe(tasks={"t": task}), folder)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("events.csv", b"", "empty"),
        ("events.csv", b"\xef\xbb\xbf\r\n", "empty"),
        ("events.csv", b"user,item,at,stars\n", "no rows"),
        ("events.csv", b"user,item,at,stars\n\xff\xfe,1,2,3\n", "events.csv:2: not UTF-8"),
        ("events.csv", b'user,item,at,stars\nu,1,2024-01-01,5\nu,"1,2024-01-01,5\nu,1,2024-01-01,5\n', "events.csv:3: a quote"),
        ("events.csv", b"user,item,at,at,stars\nu,1,2,2,3\n", "twice"),
        ("items.jsonl", b"\n", "no rows"),
        ("items.jsonl", b"", "empty"),
        ("items.jsonl", b'{"id": 1, "name": "x", "minutes": 1}\n' * 9 + b"{oops\n" * 30, "items.jsonl:10"),
        ("items.json", b'{"id": 1}', "list of objects"),
        ("items.json", b"[", "not JSON"),
        ("items.parquet", b"PAR1", "Parquet"),
        ("items.jsonl.gz", b"not gzip", "broken .gz"),
        ("items.xlsx", b"", "unknown kind"),
    ],
)  # fmt: skip
def test_unusable_files_are_refused_saying_where(folder, name, content, words):
    (folder / name).write_bytes(content)
    assert words in refused(recipe(**{"events" if name.startswith("events") else "items": name}), folder)


def test_a_file_that_is_not_there_is_named_with_its_neighbour(folder):
    assert "Did you mean events.csv?" in refused(recipe(events="event.csv"), folder)
    assert "does not exist" in refused(recipe(events="nowhere/events.csv"), folder)


def test_no_like_at_all_is_refused(folder):
    said = refused(recipe(events_keys={"positive": "> 5"}), folder)
    assert "'> 5'" in said and "1 to 5" in said


def test_where_leaves_out_items_and_their_events(folder):
    write_jsonl(folder / "items.jsonl", [i | {"note": "" if i["id"] == "3" else "yes"} for i in ITEMS])
    data = load_dataset(recipe(items_keys={"where": "note"}), folder)
    gone = sum(e["item"] == "3" for e in EVENTS)
    assert "3" not in data.item_ids and len(data.events) == 100 - gone
    assert f"left out {gone} events" in "\n".join(data.notes)


def test_most_users_keeps_the_same_users_whatever_the_order(folder):
    one = load_dataset(recipe(most_users=3), folder)
    write_csv(folder / "events.csv", EVENTS[::-1])
    other = load_dataset(recipe(), folder, most_users=3)
    assert len(one.user_ids) == 3 and one.user_ids == other.user_ids
    assert len(one.events) == sum(e["user"] in one.user_ids for e in EVENTS) and one.events.user.min() == 0
    assert set(load_dataset(recipe(), folder, most_users=2).user_ids) < set(one.user_ids)


def test_user_facts_join_by_id_and_the_rest_is_told(folder):
    write_jsonl(folder / "users.jsonl", [{"uid": f"u{n}", "age": 30 + n} for n in range(1, 9)])
    data = load_dataset(recipe(users={"path": "users.jsonl", "id": "uid", "facts": ["age"]}), folder)
    assert data.users[:2] == [{}, {"age": 31}]
    assert "2 users have no events" in data.notes[0] and "first: u0" in data.notes[1]


def test_labels_are_apart_from_the_data(folder):
    write_jsonl(folder / "labels.jsonl", [{"id": "1", "taste": ["sour"]}])
    asked = recipe(labels={"path": "labels.jsonl", "id": "id", "fields": ["taste"]})
    assert load_labels(asked, folder) == {"1": {"taste": ["sour"]}}
    assert "taste" not in load_dataset(asked, folder).items[1]


def test_given_takes_the_published_test_file(folder):
    write_csv(folder / "test.csv", [{"user": "u1", "item": n, "at": "2001-01-01", "stars": 5} for n in (7, 8)])
    data = load_dataset(recipe(split={"by": "given"}, events_keys={"time": None, "test": "test.csv"}), folder)
    assert (data.events.window == TEST).sum() == 2
    assert {data.item_ids[i] for i in data.events.item[data.events.window == TEST]} == {"7", "8"}
    assert np.isin([TUNE_A, TUNE_B], data.events.window).all()
    assert "data.events.test" in refused(recipe(split={"by": "given"}), folder)


def test_time_split_without_times_says_what_to_do(folder):
    assert "split: {by: user}" in refused(recipe(events_keys={"time": None}), folder)
    made = load_dataset(recipe(split={"by": "user"}, events_keys={"time": None}), folder)
    assert made.split == "user" and any("cut by hash, not by time" in note for note in made.notes)
    assert not any("by hash" in note for note in load_dataset(recipe(), folder).notes)
    write_csv(folder / "events.csv", [e | {"at": "2024-01-01"} for e in EVENTS])
    assert "without events (history 100, fit 0" in refused(recipe(), folder)


def test_held_out_items_are_cold_in_every_window_and_can_still_be_found(folder):
    import numpy as np

    from tokenrec.dataset.lists import make_lists
    from tokenrec.dataset.types import FIT, TEST, TUNE_A

    items = [{"id": f"i{n}", "name": f"thing {n}", "minutes": n} for n in range(40)]
    write_jsonl(folder / "items.jsonl", items)
    draw = np.random.default_rng(2)
    rows = [{"user": f"u{draw.integers(30)}", "item": f"i{draw.integers(40)}", "at": t, "stars": 5} for t in range(1200)]
    write_csv(folder / "events.csv", rows)
    data = load_dataset(recipe(split={"by": "item_holdout"}), folder)
    assert 0 < data.held.sum() < 20
    found = 0
    for window in (FIT, TUNE_A, TEST):
        lists = make_lists(data, window)
        held = data.held[lists.item_of_row]
        assert lists.cold_row[held].all() and not data.held[data.events.item[lists.before]].any()
        found += int(lists.label[held].sum())
        # what a user has already taken is no candidate, held out or not
        earlier = {(u, i) for u, i, w in zip(data.events.user, data.events.item, data.events.window) if w < window}
        assert not earlier & set(zip(lists.user[lists.list_of_row], lists.item_of_row)) or window == TUNE_A
    assert found > 0
