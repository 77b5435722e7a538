"""Values are data: nothing in a record can end its own block or begin another."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tokenrec.lm.plain import MOST_CHARACTERS, block, head, label, value_text

nasty = st.text(st.one_of(st.sampled_from("\n\r\t\v\f\x1c\x85\u2028\u2029\u200f\u202e\u2066\x00:"), st.characters()))
values = st.recursive(
    st.one_of(nasty, st.integers(), st.floats(), st.none(), st.booleans()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(nasty, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(values)
def test_a_value_is_one_line(value):
    text = value_text(value)
    assert text == text.strip() and len(text.splitlines()) <= 1 and len(text) <= MOST_CHARACTERS
    assert not set(text) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200e\u200f\x00\x1b")


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["name", "ingredients", "long_method"]), values))
def test_a_record_is_one_block_with_its_own_labels(record):
    lines = block(record).split("\n")
    assert lines.pop() == ""
    shown = [label(k) for k, v in record.items() if value_text(v)]
    assert [line.split(":")[0] for line in lines] == shown and all(lines)


@settings(max_examples=50)
@given(st.lists(st.fixed_dictionaries({"name": values, "taste": values}), max_size=4))
def test_each_demo_is_one_paragraph(demos):
    full = [d for d in demos if block(d)]
    assert head("  Say it. ", full).split("\n\n") == ["Say it.", *[block(d)[:-1] for d in full], ""]


def test_lists_read_as_people_write_them():
    assert block({"ingredients": ["lemons", "double\ncream"], "note": "", "is_new": True}) == (
        "Ingredients: lemons, double cream\nIs new: True\n"
    )
    assert value_text({"value": "sweet", "confidence": 0.5}) == "sweet"
