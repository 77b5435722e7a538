"""`extract: true`: a text is made of the source's own sentences, or it is rejected."""

import pytest

from tokenrec.gates.factuality.extract import extracted

RECORD = {"method": "Wash the rice. Boil it for 20 minutes, then rest.", "notes": ["Serve hot.", "煮十分钟。 盛出。"]}


@pytest.mark.parametrize("text", [
    "Wash the rice.", "Boil it for 20 minutes, then rest.", "wash the RICE! Serve hot", "煮十分钟。", "Serve hot. Wash the rice.", "",
])  # fmt: skip
def test_own_sentences_pass(text):
    assert extracted(text, RECORD).passed


@pytest.mark.parametrize(("text", "quote"), [
    ("The dog's favourite food is rice.", "The dog's favourite food is rice."),
    ("Wash the rice. Fry it.", "Fry it."),
    ("Wash rice.", "Wash rice."),
    ("Boil it for 30 minutes, then rest.", "Boil it for 30 minutes, then rest."),
    ("Rest. Serve. Wash it for 20 minutes.", "Wash it for 20 minutes."),
])  # fmt: skip
def test_anything_else_is_quoted(text, quote):
    found = extracted(text, RECORD)
    assert not found.passed and found.quote == quote and found.quote in text
