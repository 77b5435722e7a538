"""The grammar of a lexicon allows its own texts and nothing else."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tokenrec.lm.plain import value_text
from tokenrec.recipe.outputs import Lexicon
from tokenrec.tasks.lexicon import entries, pattern

odd = st.text(st.sampled_from("ab7 .*+?()[]{}|^$\\\"'&#~-,éß豆😀\n\u202e"), min_size=1, max_size=8)


def lexicon(**more):
    return Lexicon(**({"from": ["parts"], "words": ["with", ",", "and"], "most": 3} | more))


@given(st.lists(odd, max_size=5), st.data())
def test_a_text_of_entries_and_joining_words_is_allowed(parts, data):
    words = entries(lexicon(), {"parts": parts})
    allowed = pattern(lexicon(), {"parts": parts})
    if not words:
        assert allowed is None
        return
    n = data.draw(st.integers(min(2, len(words)), min(3, len(words))))
    said = [data.draw(st.sampled_from(words)) for _ in range(n)]
    glue = [data.draw(st.sampled_from([" with ", ", ", " and "])) for _ in said[1:]]
    text = said[0][0].upper() + said[0][1:] + "".join(g + w for g, w in zip(glue, said[1:], strict=True))
    assert re.fullmatch(allowed, text + ".")
    assert not re.fullmatch(allowed, text) and not re.fullmatch(allowed, text + " with Zebra.")
    assert not re.fullmatch(allowed, text + ".\n" + text + ".")


@given(st.lists(odd, max_size=6))
def test_entries_are_single_lines_once_each(parts):
    found = entries(lexicon(), {"parts": parts})
    assert found == list(dict.fromkeys(t for p in parts if (t := value_text(p))))


@given(odd.filter(value_text), st.lists(odd.filter(value_text), min_size=1, max_size=4))
def test_a_text_begins_as_it_should(name, parts):
    rule = lexicon(begin="name", words=["is made of", "and"])
    allowed, words = pattern(rule, {"name": name, "parts": parts}), entries(rule, {"parts": parts})
    assert re.fullmatch(allowed, f"{value_text(name)} is made of {words[0]}.")
    assert not re.fullmatch(allowed, f"{value_text(name)} and {words[0]}.")
    assert not re.fullmatch(allowed, f"X{value_text(name)} is made of {words[0]}.")


def test_words_of_a_plain_text_are_entries():
    assert entries(lexicon(**{"from": ["note"]}), {"note": "Well-known, 2 o'clock!"}) == ["Well-known", "2", "o'clock"]
    assert pattern(lexicon(**{"from": ["gone"]}), {"note": "x"}) is None
