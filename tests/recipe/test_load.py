"""A sound recipe loads; order, vocabularies, identity; and no file at all brings a traceback."""

import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.recipe.recipe_samples import GOOD
from tokenrec.errors import InputError
from tokenrec.evidence.suite import suite_schema
from tokenrec.recipe.load import choices_of, load_recipe, task_order
from tokenrec.recipe.schema import FOLDER, project_schema, recipe_schema, schema_text


def test_good_recipe_loads(write, folder):
    loaded = load_recipe(write(GOOD))
    assert loaded.folder == folder.resolve() and loaded.recipe.tasks["mood"].for_ == "item"
    assert task_order(loaded.recipe) == ["mood", "card", "liking"]
    assert loaded.recipe.tasks["mood"].examples[0]["feel"] == ["calm"]


def test_words_of_yaml_1_1_stay_words(write):
    recipe = load_recipe(write(GOOD)).recipe
    assert choices_of(recipe, "mood", "feel") == ["calm", "wild", "on", "off"]
    assert choices_of(recipe, "liking", "likes") == ["calm", "wild", "on", "off"]


def test_a_language_model_may_encode_and_an_encoder_may_not_write(write):
    assert load_recipe(write(GOOD + "lm: {encoder: embedded}\n")).recipe.lm.encoder == "embedded"
    with pytest.raises(InputError, match="minilm is of kind encoder. name a language model"):
        load_recipe(write(GOOD + "lm: {writer: minilm}\n"))


@pytest.mark.parametrize("line", ["retriever: {}", "retriever: {from: mood}", "retriever: {from: [card], los: x}", "retriever: true", "reward: 3"])
def test_a_fault_in_an_optional_section_is_named_with_its_line(write, line):
    with pytest.raises(InputError) as caught:
        load_recipe(write(GOOD + line + "\n"))
    assert f":{GOOD.count(chr(10)) + 1}: {line.split(':')[0]}" in str(caught.value), caught.value


def test_hash_sees_meaning_only(write):
    first = load_recipe(write(GOOD)).recipe_hash
    assert load_recipe(write("# remark\n" + GOOD.replace("max: 2", "max: 2.0") + "ranker: {k: 10}\n")).recipe_hash == first
    assert load_recipe(write(GOOD.replace("max: 2", "max: 1"))).recipe_hash != first
    assert load_recipe(write(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())).recipe_hash == first


def test_chinese_text_keeps_the_lines(write):
    text = GOOD.replace("House plants.", "家里的植物，很好").replace("ndcg@10", "ndgc@10")
    path = write(text)
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}:7: objective.metric")


def test_anchors_are_fine(write):
    text = GOOD.replace("[calm, wild, on, off]", "&moods [calm, wild, on, off]").replace("$mood.feel.choices", "*moods")
    assert load_recipe(write(text)).recipe.tasks["liking"].outputs["likes"].choices == ["calm", "wild", "on", "off"]


def test_order_follows_references_not_the_file(write):
    rows = GOOD.split("\n")
    mood, card = rows[8:25], rows[25:30]
    swapped = "\n".join([*rows[:8], *card, *mood, *rows[30:]])
    assert list(load_recipe(write(swapped)).recipe.tasks) == ["card", "mood", "liking"]
    assert task_order(load_recipe(write(swapped)).recipe) == ["mood", "card", "liking"]


def test_files_need_not_exist_unchecked(write):
    text = GOOD.replace("plants.jsonl", "later.jsonl") + "lm: {writer: not_yet}\n"
    assert load_recipe(write(text), check_files=False).recipe.lm.writer == "not_yet"
    with pytest.raises(InputError, match="later.jsonl is not there"):
        load_recipe(write(text))


def test_data_outside_only_when_the_project_says_so(write, folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("data") / "plants.jsonl"
    other.write_text("{}")
    path = write(GOOD.replace("plants.jsonl", str(other)))
    with pytest.raises(InputError, match="absolute path"):
        load_recipe(path)
    (folder / "inside.jsonl").symlink_to(other)
    with pytest.raises(InputError, match="leaves the project's folder"):
        load_recipe(write(GOOD.replace("plants.jsonl", "inside.jsonl"), "s.yaml"))
    (folder / "tokenrec.yaml").write_text("allow_outside: true\n")
    assert load_recipe(path).recipe.data.items.path == str(other)


def test_example_may_be_empty_only_with_or_none(write):
    text = GOOD.replace("        feel: [calm]", "        feel: []")
    with pytest.raises(InputError, match=r"feel: has 0 tags"):
        load_recipe(write(text))
    assert load_recipe(write(text.replace("        max: 2", "        max: 2\n        or_none: true")))


def test_example_may_show_a_token_and_a_history(write):
    card = '    write: "A line for the label."\n    examples: [{name: Fern, feel: [calm], label: A quiet fern.}]'
    liking = '    write: "What the buyer likes."\n    examples: [{history: [Fern], likes: [calm]}]'
    text = GOOD.replace('    write: "A line for the label."', card).replace('    write: "What the buyer likes."', liking)
    assert load_recipe(write(text))
    with pytest.raises(InputError, match="label: must be a text"):
        load_recipe(write(text.replace("label: A quiet fern.", "label: 3")))


def test_committed_schemas_are_the_generated_ones():
    for name, schema in (("recipe", recipe_schema()), ("project", project_schema()), ("suite_file", suite_schema())):
        committed = (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
        assert committed == schema_text(schema), "run: tokenrec recipe schema --write"


def test_schema_agrees_with_the_loader():
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(recipe_schema())
    assert check.is_valid(yaml.safe_load(GOOD.replace("on, off", "'on', 'off'")))
    assert not check.is_valid(yaml.safe_load(GOOD.replace("max_words: 5", "max_word: 5")))
    assert not check.is_valid(yaml.safe_load(GOOD.replace("for: user", "for: users")))


def loads_or_explains(path) -> None:
    """Anything but a recipe or an InputError that begins with file:line fails the test."""
    try:
        load_recipe(path)
    except InputError as error:
        for row in str(error).split("\n"):
            assert row.startswith(f"{path}:") and row.removeprefix(f"{path}:").split(":")[0].isdigit(), row


PIECES = st.sampled_from([*"{}[]:,-#&*!|>'\"%@`\\\t\n ?~<=$", ": ", "\n  ", "- ", "&a ", "*a", "!!int ", "<<: *a", "---\n", "\\ud800",
                          "null", "true", ".nan", "0x1", "1e999", "$mood.feel", "家", "\u2028", "\x85", "\ufeff", "\0"])
EDITS = st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 30), PIECES), min_size=1, max_size=4)
ODD = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) |
                   st.sampled_from(["$mood.feel", "$mood.feel.choices", "$x", "tags", "", "../..", "> 1", "a/b", "x.gguf"]),
                   lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
                   max_leaves=5)
SETTINGS = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SETTINGS
@given(EDITS)
def test_no_edit_of_the_text_brings_a_traceback(write, edits):
    text = GOOD
    for place, cut, piece in edits:
        text = text[:place] + piece + text[place + cut:]
    loads_or_explains(write(text.encode("utf-8", "surrogatepass")))


def _paths(value, path=()):
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _paths(inner, (*path, key))


TREE = yaml.safe_load(GOOD.replace("on, off", "'on', 'off'"))


@SETTINGS
@given(st.lists(st.tuples(st.sampled_from([p for p in _paths(TREE) if p]), ODD), min_size=1, max_size=3))
def test_no_value_brings_a_traceback(write, swaps):
    tree = json.loads(json.dumps(TREE))
    for path, value in swaps:
        node = tree
        try:
            for part in path[:-1]:
                node = node[part]
            node[path[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue
    loads_or_explains(write(yaml.safe_dump(tree, allow_unicode=True)))


@SETTINGS
@given(st.binary(max_size=200))
def test_no_bytes_bring_a_traceback(write, raw):
    loads_or_explains(write(raw))
