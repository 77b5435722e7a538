"""Strict pydantic on the raw text decides what is malformed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tokenrec.errors import InputError
from tokenrec.gates.schema import MAX_CHARS, output_model, parse, shape_model
from tokenrec.gates.text import count_words
from tokenrec.recipe.tasks import Task

TASK = Task.model_validate(
    {
        "for": "item",
        "inputs": ["name"],
        "write": "Describe it.",
        "outputs": {
            "taste": {"type": "tags", "choices": ["sour", "hot", "sweet"], "max": 2},
            "course": {"type": "choice", "choices": ["main", "dessert"]},
            "line": {"type": "text", "max_words": 6},
            "heat": {"type": "number", "min": 0, "max": 5},
        },
    }
)
GOOD = {"taste": ["hot"], "course": "main", "line": "Silky tofu, numbing sauce", "heat": 4}
SHAPE = shape_model(TASK)


def raw(**changes) -> str:
    return json.dumps({**GOOD, **changes}, ensure_ascii=False)


def test_a_good_answer_comes_back_typed():
    assert parse(SHAPE, raw()).output == {**GOOD, "heat": 4.0}


def test_off_vocabulary_and_long_text_are_well_formed():
    assert parse(SHAPE, raw(taste=["salty", "salty", "hot"], line="one two three four five six seven")).output


OWN = Task.model_validate({"for": "user", "write": "Say what they read for.", "outputs": {
    "interests": {"type": "tags", "words_each": 1, "max": 5}, "places": {"type": "tags", "words_each": 2, "or_none": True}}})  # fmt: skip


@pytest.mark.parametrize("interests, reason, quote", [
    (["crime", "coming of age"], "interests.1: 3 words in one tag, at most 1 asked for", "coming of age"),
    (["war, love"], "interests.0: 2 words", "war, love"),
    (["crime", ""], "interests.1: a tag without a word", ""), (["crime", " - "], "interests.1: a tag without a word", " - "),
    (["crime", 3], "valid string", "3"), ("crime", "valid list", "crime"),
])  # fmt: skip
def test_a_tag_of_too_many_words_is_malformed_and_quoted(interests, reason, quote):
    raw = json.dumps({"interests": interests, "places": []})
    found = parse(shape_model(OWN), raw)
    assert found.output is None and reason in found.reason.replace("array", "list")
    assert found.quote == quote if quote else found.quote


@pytest.mark.parametrize("good", [["crime"], ["self-discovery", "O'Brien"], ["科幻"], ["a", "b", "c", "d", "e", "f"], ["crime", "Crime"], []])
def test_tags_in_ones_own_words_are_well_formed_how_many_they_are(good):
    assert parse(shape_model(OWN), json.dumps({"interests": good, "places": ["New York"]})).output["interests"] == good


def test_the_whole_contract_of_tags_in_ones_own_words():
    model = output_model(OWN, {})
    assert model.model_validate({"interests": ["crime", "war"], "places": []})
    for bad in (["coming of age"], [], list("abcdef"), ["war", "war"]):
        with pytest.raises(ValidationError):
            model.model_validate({"interests": bad, "places": []})
    assert model.model_json_schema()["properties"]["interests"]["maxItems"] == 5


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "empty"),
        ("Silky tofu", "no valid JSON"),
        (raw()[:-9], "no valid JSON"),
        (raw() + raw(), "no valid JSON"),
        ("[]", "object"),
        ("null", "object"),
        (raw(extra=1), "not an output"),
        ('{"taste": ["hot"], "course": "main", "line": "x"}', "missing"),
        (raw(line=7), "valid string"),
        (raw(taste="hot"), "valid array"),
        (raw(taste=[1]), "valid string"),
        (raw(heat="4"), "valid number"),
        (raw(heat=True), "valid number"),
        (raw(heat=9), "less than or equal"),
        (raw().replace("4}", "NaN}"), "finite"),
        (raw().replace("4}", "-Infinity}"), ""),
        (raw().replace("4}", "1e999}"), ""),
        (raw()[:-1] + ', "heat": 3}', "twice"),
        ("[" * 50_000, "no valid JSON"),
        ('{"line":' * 10_000, "no valid JSON"),
        ("x" * 1_000_000, "characters"),
        (raw(line="x" * MAX_CHARS), "characters"),
        ('{"line": "\\ud800"}', "no valid JSON"),
        ("\ud800", "unicode"),
    ],
)
def test_malformed_says_why_and_quotes_the_answer(text, reason):
    found = parse(SHAPE, text)
    assert found.output is None
    assert reason in found.reason and found.reason
    assert found.quote in text and len(found.quote) <= 80


@given(st.text(max_size=300))
def test_no_text_breaks_the_parser(text):
    found = parse(SHAPE, text)
    assert found.output is None and found.quote in text


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9),
        lambda x: st.lists(x) | st.dictionaries(st.text(max_size=5), x),
        max_leaves=9,
    )
)
def test_only_the_declared_shape_passes(value):
    assert parse(SHAPE, json.dumps(value)).output is None


def test_the_output_model_is_the_whole_contract():
    model = output_model(TASK, {})
    assert model.model_validate(GOOD).model_dump() == {**GOOD, "heat": 4.0}
    wrong = [
        {"taste": ["salty"]},
        {"taste": []},
        {"taste": ["hot", "hot"]},
        {"taste": ["hot", "sour", "sweet"]},
        {"course": "soup"},
        {"line": "one two three four five six seven"},
        {"line": ""},
        {"heat": float("nan")},
        {"more": 1},
    ]
    for change in wrong:
        with pytest.raises(ValidationError):
            model.model_validate({**GOOD, **change})


def test_json_schema_carries_vocabulary_and_limits_but_no_text_length():
    schema = output_model(TASK, {}).model_json_schema()
    assert schema["properties"]["taste"]["items"]["enum"] == ["sour", "hot", "sweet"]
    assert schema["properties"]["taste"]["maxItems"] == 2 and schema["properties"]["taste"]["minItems"] == 1
    assert "maxLength" not in schema["properties"]["line"]
    assert schema["additionalProperties"] is False


def test_choices_of_another_task_must_be_resolved():
    task = Task.model_validate(
        {"for": "user", "write": "x", "outputs": {"likes": {"type": "tags", "choices": "$flavour.taste.choices"}}}
    )
    with pytest.raises(InputError, match="likes"):
        output_model(task, {})
    assert output_model(task, {"likes": ["hot", "sour"]}).model_validate({"likes": ["hot"]})


def test_words_are_counted_as_people_do():
    assert count_words("Slow-cooked beef, 1,000 days old: it's done.") == 7
    assert count_words("麻婆豆腐又麻又辣") == 4
    assert count_words("麻婆豆腐 mapo tofu") == 4
    assert count_words("") == 0
