"""Sets of liked items: who takes part, how they are dealt, what their prompts hold, and that it is history."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tasks.worlds import dataset, flavour, line, recipe
from tokenrec.dataset.load import load_dataset
from tokenrec.dataset.types import FIT, HISTORY, TEST, Dataset, Reviews
from tokenrec.gates.text import count_words
from tokenrec.ids import content_id
from tokenrec.recipe.models import Recipe
from tokenrec.tasks.inputs import prompts, spooled, subject_ids
from tokenrec.tasks.sets import item_sets
from tokenrec.tasks.spec import task_spec

FOODCOM = Path(__file__).parents[3] / "shared/data/foodcom_small"


def craving(**more):
    outputs = {"query": {"type": "text", "grounding": "none"}}
    return {"for": "set", "write": "Say what they ask for.", "outputs": outputs} | more


def reviewed(rows, n_items=40, n_users=3) -> Dataset:
    """`rows`: (user, item, value, time, in history, text)."""
    events = [(u, i, t, HISTORY if past else FIT) for u, i, _, t, past, _ in sorted(rows, key=lambda r: r[3])]
    data = dataset(n_items, events or [(0, 0, 0.0, HISTORY)])
    cut = sorted(rows, key=lambda r: r[:2])
    columns = [np.array([r[k] for r in cut], kind) for k, kind in enumerate((np.int32, np.int32, np.float32, float, bool))]
    users = [f"u{i}" for i in range(n_users)]
    return replace(data, user_ids=users, reviews=Reviews(*columns, [r[5] for r in cut]))


def asked(data, tokens=None, **task):
    made = recipe(flavour=flavour(), craving=craving(**task))
    return list(spooled(prompts(made, data, task_spec(made, "craving"), tokens or {})))


def says(i):
    return f"Plant number {i} grew so well beside the kitchen window. Hm."


def user(u, values, start=0, past=True):
    """Reviews of items start, start + 1, ... with these values."""
    return [(u, start + i, v, 10.0 * i + u, past, says(start + i)) for i, v in enumerate(values)]


def test_those_take_part_who_liked_enough_by_their_own_measure():
    rows = user(0, [5] * 10) + user(1, [5] * 9 + [1] * 5) + user(2, [3] * 8 + [2] * 2 + [5] * 4)
    found = asked(reviewed(rows))
    # u0: ten at their own mean; u1: nine above 3.57; u2: four above 3.14
    assert [p.sources[0][0] for p in found] == ["u0"]
    assert [p.sources[0][0] for p in asked(reviewed(rows), sets={"min_liked": 4, "max_liked": 9})] and {
        p.sources[0][0] for p in asked(reviewed(rows), sets={"min_liked": 4, "max_liked": 9})
    } == {"u1", "u2"}
    assert asked(reviewed(user(0, [5] * 31))) == [] and len(asked(reviewed(user(0, [5] * 30)))) == 1
    assert asked(reviewed(user(0, [5] * 9)), sets={"min_liked": 5}) == []  # nine reviews
    rated_ten = user(0, [5] * 9) + [(0, 20, np.nan, 900.0, True, says(20))]
    assert asked(reviewed(rated_ten), sets={"min_liked": 5}) == []  # ten, one without a rating


def test_a_set_is_called_by_its_items_and_holds_a_sentence_of_each():
    [one] = asked(reviewed(user(0, [5] * 12)), evidence={})
    items = one.sources[0][1]
    assert one.subject == content_id(sorted(items)) and len(set(items)) == 10
    assert one.inputs["liked"] == [f"Plant {i[1:]}: {says(i[1:])[:-4]}" for i in items]
    assert one.newest == max(10.0 * int(i[1:]) for i in items)
    assert one == asked(reviewed(user(0, [5] * 12)), evidence={})[0]


def test_what_is_shown_of_an_item_can_be_chosen():
    data = reviewed(user(0, [5] * 10))
    assert "Shop" not in str(asked(data)[0].inputs) and asked(data, evidence={}, sets={"show": []})[0].inputs["liked"][0].startswith("Plant number")
    told = {"flavour": {f"p{i}": {"taste": ["hot"]} for i in range(10)}}
    assert asked(data, told, sets={"show": ["name", "$flavour.taste"]})[0].inputs["liked"][0].endswith("(hot)")


def test_words_are_kept_to_and_items_without_a_sentence_come_last():
    rows = user(0, [5] * 12)
    rows[:4] = [(*r[:5], "Yum!") for r in rows[:4]]
    [one] = asked(reviewed(rows), evidence={})
    assert sum(": " not in line for line in one.inputs["liked"]) == 2  # eight of ten can be quoted
    [one] = asked(reviewed(rows), evidence={"total_words": 33})
    assert sum(": " in line for line in one.inputs["liked"]) == 3 and len(one.inputs["liked"]) == 10


@pytest.mark.parametrize("liked, each, sets, dealt", [(30, 10, 3, 3), (20, 5, 4, 4), (12, 10, 1, 1), (10, 10, 3, 1), (12, 5, 3, 3)])
def test_several_sets_of_a_user_share_items_only_where_they_must(liked, each, sets, dealt):
    found = asked(reviewed(user(0, [5] * liked)), sets={"items": each, "per_user": sets})
    items = [set(p.sources[0][1]) for p in found]
    assert len(found) == dealt and all(len(s) == each for s in items)
    if liked >= each * sets:
        assert len(set().union(*items)) == each * sets
    else:
        assert len(set().union(*items)) >= min(liked, each)


def test_a_set_that_two_users_share_is_written_about_once():
    rows = user(0, [5] * 10) + user(1, [5] * 10)
    [one] = asked(reviewed(rows))
    assert one.sources[0][0] == "u0"


def test_without_reviews_rated_events_will_do_and_likes_where_nothing_is_rated():
    rated = dataset(30, [(0, i, float(i), HISTORY) for i in range(12)] + [(0, 20, 99.0, TEST)])
    rated.events.value[:] = 4
    assert len(asked(rated)) == 1 and len(asked(rated)[0].inputs["liked"]) == 10
    unrated = dataset(30, [(0, i, float(i), HISTORY, i > 0) for i in range(12)])
    assert asked(unrated) == []
    [one] = asked(unrated, sets={"liked": "positive", "items": 11})
    assert one.inputs["liked"][0] == "Plant 1" and len(one.inputs["liked"]) == 11


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 39), st.sampled_from([1, 3, 5]), st.booleans()),
             min_size=1, max_size=80, unique_by=lambda r: r[:2]),
    st.integers(1, 6), st.integers(1, 3), st.booleans(),
)  # fmt: skip
def test_prompts_hold_history_alone(rows, items, sets, quoting):
    """For every world: later reviews are neither shown nor counted, and the newest time lies before fit."""
    rows = sorted(rows, key=lambda r: not r[3])
    rows = [(u, i, v, float(t), past, says(i)) for t, (u, i, v, past) in enumerate(rows)]
    rule = {"min_reviews": 2, "min_liked": 1, "max_liked": 99, "items": items, "per_user": sets}
    task = {"sets": rule} | ({"evidence": {}} if quoting else {})
    found = asked(reviewed(rows), **task)
    assert [p.subject for p in found] == sorted({p.subject for p in found})
    assert [replace(p) for p in asked(reviewed([r for r in rows if r[4]]), **task)] == found
    late = min((t for *_, t, past, _ in rows if not past), default=np.inf)
    past = {(f"u{u}", f"p{i}"): v for u, i, v, _, known, _ in rows if known}
    for p in found:
        [(who, shown)] = p.sources
        assert p.newest < late and len(shown) <= items and all((who, i) in past for i in shown)
        mean = np.mean([v for (u, _), v in past.items() if u == who])
        assert all(past[who, i] >= mean - 1e-6 for i in shown)


def test_a_window_of_all_shows_later_reviews_too():
    rows = user(0, [5] * 5) + user(0, [5] * 5, start=5, past=False)
    assert asked(reviewed(rows)) == [] and len(asked(reviewed(rows), window="all")) == 1


def test_ways_to_write_are_dealt_by_subject_and_shown():
    rows = [r for u in range(3) for r in user(u, [5] * 12, start=12 * u)]
    found = asked(reviewed(rows), styles=["short", "long", "rude"], sets={"items": 3, "per_user": 4})
    styles = [p.inputs["style"] for p in found]
    assert len(set(styles)) == 3 and styles == [p.inputs["style"] for p in asked(reviewed(rows), styles=["short", "long", "rude"], sets={"items": 3, "per_user": 4})]


def test_an_item_is_told_of_with_what_its_reviewers_said_who_liked_it():
    rows = user(0, [5, 5, 1]) + [(1, i, v, 50.0 + i, True, f"My plant {i} brought the whole room a scent of mint.") for i, v in enumerate([5, 1, 5])]
    rows += [(2, 0, 5.0, 900.0, False, "I bought this plant number zero far too late.")]
    made = recipe(ask=line(inputs=["name"], evidence={"reviews": 2}))
    data = reviewed(rows)
    found = list(spooled(prompts(made, data, task_spec(made, "ask"), {})))
    assert found[0].inputs["said"] == [says(0)[:-4], "My plant 0 brought the whole room a scent of mint."]
    assert found[0].sources == (("u0", ("p0",)), ("u1", ("p0",))) and found[0].newest == 50.0
    assert found[1].inputs["said"] == [says(1)[:-4]] and found[2].sources == (("u1", ("p2",)),)
    assert "said" not in found[3].inputs and found[3].newest is None and found[3].sources == ()


def test_an_item_is_quoted_from_its_own_fields_where_the_recipe_says_so():
    data = dataset(2)
    data.items[0]["parts"] = "It grows slowly in the deepest shade. It is green."
    made = recipe(ask=line(inputs=["name"], evidence={"of": ["parts"]}))
    first = next(iter(prompts(made, data, task_spec(made, "ask"), {})))
    assert first.inputs["said"] == ["It grows slowly in the deepest shade."]


def test_the_published_setting_on_real_people():
    """146 users of foodcom_small, ten items of each with a sentence of 5 to 20 words, 200 words at most."""
    if not FOODCOM.is_dir():
        pytest.skip(f"{FOODCOM} is not there")
    events = {"path": str(FOODCOM / "ratings.parquet"), "user": "user_id", "item": "recipe_id", "time": "date", "value": "rating"}
    made = Recipe.model_validate({
        "name": "foodcom",
        "data": {
            "items": {"path": str(FOODCOM / "recipes.parquet"), "id": "id", "text": ["name", "description", "ingredients"]},
            "events": {**events, "none_value": 0}, "reviews": {**events, "text": "review"},
        },
        "tasks": {"craving": craving(evidence={}, window="all"), "past": craving(evidence={})},
    })  # fmt: skip
    data = load_dataset(made, Path("/"))
    found = list(prompts(made, data, task_spec(made, "craving"), {}))
    assert len(found) == 146 and subject_ids(made, data, task_spec(made, "craving")) == [p.subject for p in found]
    lines = [line for p in found for line in p.inputs["liked"]]
    quoted = [s.told for s in item_sets(made, data, made.tasks["craving"])]
    words = [[count_words(q) for t in told for q in t.quoted] for told in quoted]
    assert len(lines) == 1460 and all(5 <= n <= 20 for one in words for n in one) and all(sum(one) <= 200 for one in words)
    assert np.mean([len(one) for one in words]) > 9.8
    past = list(prompts(made, data, task_spec(made, "past"), {}))
    last = data.events.time[data.events.window == HISTORY].max()
    assert 100 < len(past) < 146 and all(p.newest <= last < data.events.time[data.events.window == FIT].min() for p in past)
