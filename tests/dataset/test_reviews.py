"""Reviews and requests from files: coded, cleaned, counted, and history told from later."""

import json

import numpy as np
import pytest

from tokenrec.dataset.load import load_dataset
from tokenrec.dataset.queries import load_queries
from tokenrec.errors import InputError
from tokenrec.recipe.models import Recipe

ITEMS = [{"id": f"i{n}", "name": f"Item {n}"} for n in range(20)]


def recipe(**data):
    items, events = {"path": "items.jsonl", "id": "id", "text": ["name"]}, {"path": "events.csv", "user": "u", "item": "i", "time": "t", "value": "v", "none_value": 0}
    task = {"for": "set", "write": "Ask.", "evidence": {}, "outputs": {"q": {"type": "text", "grounding": "none"}}}
    return Recipe.model_validate({"name": "r", "data": {"items": items, "events": events} | data, "tasks": {"ask": task}})


def write(folder, **files):
    (folder / "items.jsonl").write_text("".join(json.dumps(i) + "\n" for i in ITEMS))
    rows = [f"u{n % 2},i{n},{n},{1 + n % 5}" for n in range(20)]
    (folder / "events.csv").write_text("u,i,t,v\n" + "\n".join(rows) + "\n")
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")


REVIEWS = {"path": "reviews.csv", "user": "u", "item": "i", "text": "say", "time": "t", "value": "v"}


def test_reviews_are_coded_cleaned_and_told_from_later_ones(tmp_path):
    write(tmp_path, reviews_csv="u,i,say,t,v\nu0,i2,It&#039;s good<br/>Truly,2,4\nu1,i3,first,3,5\nu1,i3,second,4,1\nu0,i18,late,18,5\nu1,i5,early words about another,5,0\nu0,i4,,4,5\nu9,i4,who,4,5\n")
    data = load_dataset(recipe(reviews=REVIEWS), tmp_path)
    found = data.reviews
    said = {(data.user_ids[u], data.item_ids[i]): (t, p) for u, i, t, p in zip(found.user, found.item, found.text, found.history.tolist())}
    assert said == {
        ("u0", "i2"): ("It's good\nTruly", True), ("u1", "i3"): ("second", True), ("u0", "i18"): ("late", False),
        ("u1", "i5"): ("early words about another", True),
    }  # fmt: skip
    rated = {(data.user_ids[u], data.item_ids[i]): v for u, i, v in zip(found.user, found.item, found.value)}
    assert np.isnan(rated["u1", "i5"]) and rated["u1", "i3"] == 1  # 0: none given; of two, the later one
    notes = " ".join(data.notes)
    assert "1 reviews of users without events" in notes and "1 reviews without text" in notes


def test_without_times_a_review_is_history_when_its_event_is(tmp_path):
    write(tmp_path, reviews_csv="u,i,say,v\n" + "\n".join(f"u{n % 2},i{n},words {n},5" for n in range(20)) + "\nu0,i19,never bought,5\n")
    file = {k: v for k, v in REVIEWS.items() if k != "time"}
    made = recipe(reviews=file)
    data = load_dataset(made, tmp_path)
    past = {(e, i) for e, i, w in zip(data.events.user, data.events.item, data.events.window) if w == 0}
    for u, i, known in zip(data.reviews.user, data.reviews.item, data.reviews.history):
        assert known == ((u, i) in past)
    assert 0 < data.reviews.history.sum() < len(data.reviews)


def test_held_out_items_have_no_history_in_reviews_either(tmp_path):
    write(tmp_path, reviews_csv="u,i,say,t,v\n" + "\n".join(f"u{n % 2},i{n},words {n},{n},5" for n in range(20)) + "\n")
    made = recipe(reviews=REVIEWS, split={"by": "item_holdout"})
    data = load_dataset(made, tmp_path)
    assert data.held.any() and not data.reviews.history[data.held[data.reviews.item]].any()
    assert data.reviews.history.any()


def test_what_cannot_be_read_is_counted_with_its_place_and_too_much_of_it_stops(tmp_path):
    good = "\n".join(f"u{n % 2},i{n},words {n},{n},5" for n in range(20))
    write(tmp_path, reviews_csv=f"u,i,say,t,v\n{good}\nu0,nowhere,x,1,5\nu0,i1,x,soon,5\nu0,i1,x,1,many\n")
    notes = " ".join(load_dataset(recipe(reviews=REVIEWS), tmp_path).notes)
    assert all(p in notes for p in ("reviews.csv:22", "reviews.csv:23", "reviews.csv:24"))
    write(tmp_path, reviews_csv="u,i,say,t,v\n" + "u0,nowhere,x,1,5\n" * 30)
    with pytest.raises(InputError, match="30 of 30 rows can't be used"):
        load_dataset(recipe(reviews=REVIEWS), tmp_path)
    with pytest.raises(InputError, match="no column 'sai'"):
        load_dataset(recipe(reviews=REVIEWS | {"text": "sai"}), tmp_path)


def test_reviews_are_not_read_where_no_task_needs_them(tmp_path):
    write(tmp_path)
    made = recipe(reviews=REVIEWS).model_copy(update={"tasks": {}})
    assert load_dataset(made, tmp_path).reviews is None


@pytest.mark.parametrize("name, text, file", [
    ("q.csv", 'text,item,grade\n"cold, sour",i1,2\n"cold, sour",i2,1\nhot,i3,0\nhot,i4,1\n', {"grade": "grade"}),
    ("q.jsonl", '{"text": "cold, sour", "item": {"i1": 2, "i2": 1}}\n{"text": "hot", "item": {"i3": 0, "i4": 1}}\n', {}),
    ("q.csv", 'text,item\n"cold, sour","{""i1"": 2, ""i2"": 1}"\nhot,"{""i3"": 0, ""i4"": 1}"\n', {}),
])  # fmt: skip
def test_requests_in_several_forms_are_the_same(tmp_path, name, text, file):
    write(tmp_path)
    (tmp_path / name).write_text(text)
    made, notes = recipe(queries={"path": name, "text": "text", "relevant": "item", **file}), []
    data = load_dataset(made, tmp_path)
    found = load_queries(made, tmp_path, data, notes)
    said = {(found.texts[q], data.item_ids[i]): int(g) for q, i, g in zip(found.query, found.item, found.grade)}
    assert said == {("cold, sour", "i1"): 2, ("cold, sour", "i2"): 1, ("hot", "i3"): 0, ("hot", "i4"): 1}
    assert found.ids == sorted(found.ids) and not notes


def test_a_list_of_items_and_ids_of_ones_own(tmp_path):
    write(tmp_path, q_jsonl='{"id": 7, "text": "hot", "item": ["i1", "i2"]}\n{"id": 8, "text": "gone", "item": "elsewhere"}\n{"id": 9, "text": "none", "item": {"i1": 0}}\n')
    made, notes = recipe(queries={"path": "q.jsonl", "text": "text", "relevant": "item", "id": "id"}), []
    found = load_queries(made, tmp_path, load_dataset(made, tmp_path), notes)
    assert found.ids == ["7"] and found.grade.tolist() == [1, 1]
    assert "left out 2 requests" in " ".join(notes) and "not in the catalogue" in " ".join(notes)


def test_faults_of_requests(tmp_path):
    file = {"path": "q.csv", "text": "text", "relevant": "item", "id": "id", "grade": "grade"}
    write(tmp_path, q_csv="id,text,item,grade\n1,hot,i1,1\n1,cold,i2,1\n")
    made = recipe(queries=file)
    data = load_dataset(made, tmp_path)
    with pytest.raises(InputError, match=r"q.csv:3: request '1' was already given with another text at q.csv:2"):
        load_queries(made, tmp_path, data, [])
    write(tmp_path, q_csv="id,text,item,grade\n1,hot,elsewhere,1\n")
    with pytest.raises(InputError, match="no request is answered"):
        load_queries(made, tmp_path, data, [])
    write(tmp_path, q_csv="id,text,item,grade\n1,hot,i1,1\n2,cold,i1,0.5\n2,cold,i2,-1\n,warm,i1,1\n3,,i1,1\n")
    notes = []
    assert load_queries(made, tmp_path, data, notes).ids == ["1"]
    assert "whole number" in " ".join(notes) and "without id" in " ".join(notes) and "without text" in " ".join(notes)
    assert load_queries(recipe(), tmp_path, data, []) is None
