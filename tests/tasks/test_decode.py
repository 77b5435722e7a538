"""From likelihoods to tags."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tasks.test_program import program
from tokenrec.recipe.outputs import Output
from tokenrec.tasks.program import calibrate, decode, weights_of

chance = st.floats(1e-6, 1)


@st.composite
def scored(draw):
    choices = [f"c{i}" for i in range(draw(st.integers(2, 8)))]
    raw = [draw(chance) for _ in choices]
    weights = draw(st.none() | st.fixed_dictionaries({c: st.floats(0.01, 100) for c in choices}))
    return choices, {c: r / sum(raw) for c, r in zip(choices, raw, strict=True)}, weights


@given(scored(), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_tags_keep_to_their_limits(given_, most, least, or_none):
    choices, chances, weights = given_
    least = min(least, most)
    output = Output(type="tags", choices=choices, max=most, min=least, or_none=or_none)
    tags, likely = decode(output, choices, chances, weights)
    assert len(set(tags)) == len(tags) <= most and set(tags) <= set(choices)
    assert len(tags) >= min(least, len(choices)) or (or_none and tags == [])
    assert sum(likely.values()) == pytest.approx(1) and list(likely) == choices
    left = [likely[c] for c in choices if c not in tags]
    assert not tags or not left or min(likely[t] for t in tags) >= max(left) - 1e-12


@given(scored())
def test_without_or_none_there_is_a_tag_and_a_choice_is_the_likeliest(given_):
    choices, chances, weights = given_
    assert decode(Output(type="tags", choices=choices), choices, chances, weights)[0]
    best, likely = decode(Output(type="choice", choices=choices), choices, chances, weights)
    assert likely[best] == max(likely.values())


def test_or_none_says_nothing_when_nothing_stands_out():
    output = Output(type="tags", choices=["a", "b", "c", "d"], or_none=True)
    assert decode(output, output.choices, {"a": 0.26, "b": 0.25, "c": 0.25, "d": 0.24}, None)[0] == []
    assert decode(output, output.choices, {"a": 0.7, "b": 0.1, "c": 0.1, "d": 0.1}, None)[0] == ["a"]


@settings(max_examples=25)
@given(st.lists(st.tuples(chance, chance, chance), min_size=20, max_size=30))
def test_calibrated_batches_favour_no_choice(rows):
    """Batch calibration: over the batch each choice has the same mean, weights included."""
    batch = []
    for row in rows:
        batch.append({"taste": {c: r / sum(row) for c, r in zip(["sour", "sweet", "hot"], row, strict=True)}})
    spec, made, _ = program()
    calibrate(made, spec, batch)
    weights = weights_of(made, "taste")
    for c in ("sour", "sweet", "hot"):
        mean = sum(b["taste"][c] for b in batch) / len(batch)
        assert mean * weights[c] == pytest.approx(1 / 3, rel=1e-2)
