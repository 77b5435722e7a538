"""What a prompt is told: the history window only, pseudonyms, tokens of other tasks, who is chosen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tasks.worlds import dataset, flavour, history, line, palate, recipe
from tokenrec.dataset.types import FIT, HISTORY, TEST, TUNE_A, TUNE_B
from tokenrec.tasks.inputs import prompts
from tokenrec.tasks.spec import task_spec


def asked(made, data, name, tokens=None):
    return list(prompts(made, data, task_spec(made, name), tokens or {}))


def test_an_item_is_told_with_its_fields_and_empty_ones_left_out():
    made, data = recipe(), dataset(2)
    data.items[1]["parts"] = []
    first, second = asked(made, data, "flavour")
    assert first.inputs == {"name": "Plant 0", "parts": ["leaf 0", "stem"]} and first.name == "Plant 0"
    assert second.inputs == {"name": "Plant 1"} and first.newest is None


def test_equal_inputs_have_equal_hashes_and_any_change_another():
    data = dataset(3)
    data.items[1].update(name="Plant 0", parts=["leaf 0", "stem"])
    a, b, c = asked(recipe(), data, "flavour")
    assert a.hash == b.hash != c.hash and a.subject != b.subject


def test_tokens_of_another_task_are_shown_where_they_were_accepted():
    made = recipe(flavour=flavour(), card=line(inputs=["name", "$flavour.taste"]))
    first, second = asked(made, dataset(2), "card", {"flavour": {"p0": {"taste": ["sour"]}}})
    assert first.inputs == {"name": "Plant 0", "taste": ["sour"]} and second.inputs == {"name": "Plant 1"}


def test_references_with_one_name_do_not_cover_each_other():
    made = recipe(flavour=flavour(), scent=flavour(), card=line(inputs=["name", "$flavour.taste", "$scent.taste"]))
    names = [r.name for r in task_spec(made, "card").inputs]
    assert len(set(names)) == 3, names


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 5), st.sampled_from([HISTORY, FIT, TUNE_A, TUNE_B, TEST]), st.booleans()
        ),
        min_size=1, max_size=40,
    ),
    st.integers(1, 5), st.integers(1, 3), st.sampled_from(["recent", "first", "diverse", "random"]),
    st.sampled_from([0.3, 0.5, 1.0]),
)  # fmt: skip
def test_a_user_is_told_only_of_likes_in_the_history_window(rows, most, least, sample, share):
    rows = sorted(rows, key=lambda r: r[2] not in (HISTORY,))
    events = [(u, i, float(t), w, p) for t, (u, i, w, p) in enumerate(rows)]
    data = dataset(6, events)
    made = recipe(flavour=flavour(), palate=palate(history={"most": most, "min": least, "sample": sample, "share": share}))
    likes = {}
    for u, i, t, w, p in events:
        if w == HISTORY and p:
            likes.setdefault(f"u{u}", {}).setdefault(f"Plant {i}", t)
    found = {p.subject: p for p in asked(made, data, "palate")}
    assert set(found) == {u for u, seen in likes.items() if len(seen) >= least}
    first_fit = min((t for _, _, t, w, _ in events if w == FIT), default=np.inf)
    for user, prompt in found.items():
        shown, early = prompt.inputs["liked"], list(likes[user])[: -int(-share * len(likes[user]) // 1)]
        assert len(shown) == len(set(shown)) == min(most, len(early)) and set(shown) <= set(early)
        assert shown == sorted(shown, key=likes[user].get)  # oldest first
        assert prompt.newest == max(likes[user][s] for s in shown) < first_fit
        if sample == "recent":
            assert shown == early[-most:]
        if sample == "first":
            assert shown == early[:most]


def test_diverse_spans_a_users_time_and_random_ignores_the_order_of_rows():
    data = dataset(30, [(0, i, i, HISTORY) for i in range(30)])

    def shown(sample):
        made = recipe(flavour=flavour(), palate=palate(history={"most": 4, "sample": sample}))
        return asked(made, data, "palate")[0].inputs["liked"]

    assert shown("diverse")[0] == "Plant 0" and shown("diverse")[-1] == "Plant 29"
    assert shown("random") == shown("random") != shown("diverse")


def test_names_to_be_hidden_are_hidden_everywhere():
    """In item prompts, in user prompts and in the lines of a history."""
    data = dataset(6, history())
    made = recipe(
        flavour=flavour(), shop=line(inputs=["name", "seller"]),
        palate=palate(inputs=["uid", "town"], history={"show": ["name", "seller"], "most": 2}),
    )  # fmt: skip
    items, users = asked(made, data, "shop"), asked(made, data, "palate")
    assert not any("Shop" in str(p.inputs) for p in [*items, *users])
    assert not any(p.inputs["uid"] == p.subject for p in users) and users[0].inputs["town"] == "Town 0"
    assert len({p.inputs["seller"] for p in items}) == 6
    assert items[0].inputs["seller"] == asked(made, data, "shop")[0].inputs["seller"]
    assert items[0].inputs["seller"] in users[0].inputs["liked"][0] or users[0].inputs["liked"][0][:7] != "Plant 0"


def test_a_history_line_shows_the_items_tokens():
    made = recipe(flavour=flavour(), palate=palate(history={"show": ["name", "$flavour.taste"], "most": 2}))
    told = {"flavour": {"p3": {"taste": ["hot", "sour"]}}}
    first = asked(made, dataset(6, history()), "palate", told)[0]
    assert first.inputs["liked"] == ["Plant 2", "Plant 3 (hot, sour)"]


@pytest.mark.parametrize("order,kept", [("popular", {"p0", "p1"}), ("cold", {"p4", "p5"})])
def test_subjects_by_popularity_count_history_only(order, kept):
    """Item 5 is the favourite of the test window, which nobody may know."""
    events = [(u, i, u + i, HISTORY) for i, n in enumerate([4, 3, 2, 1]) for u in range(n)]
    events += [(u, 5, 100, TEST) for u in range(9)]
    made = recipe(flavour=flavour(subjects={"most": 2, "order": order}))
    assert {p.subject for p in asked(made, dataset(6, events), "flavour")} == kept


def test_random_subjects_stay_when_the_catalogue_grows_at_its_end():
    made = recipe(flavour=flavour(subjects={"most": 5, "order": "random"}))
    small, large = ([p.subject for p in asked(made, dataset(n), "flavour")] for n in (20, 21))
    assert len(small) == 5 and len(set(small) & set(large)) >= 4 and small == sorted(small, key=lambda s: int(s[1:]))


def test_no_likes_no_prompts():
    made = recipe(flavour=flavour(), palate=palate())
    assert asked(made, dataset(3, [(0, 1, 1.0, HISTORY, False)]), "palate") == []
