"""Which sentences stand for a review, an item, or many reviews of one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenrec.gates.text import count_words, sentences
from tokenrec.recipe.tasks import Evidence
from tokenrec.tasks.evidence import common_stems, quotes, quotes_of_many, within

REVIEW = "Thanks for posting this one here! The roasted garlic made the chicken sing. My dog barked at the postman all day."
ABOUT = ["roasted garlic chicken", "chicken thighs, garlic, butter"]
WORDS = st.sampled_from(["garlic", "chicken", "sweet", "lemon", "crisp", "oven", "butter", "pan", "quick", "dinner", "kids", "salad", "hot", "very", "good"])
TEXT = st.lists(st.lists(WORDS, min_size=1, max_size=25).map(" ".join), max_size=8).map(lambda s: ". ".join(s))


def test_the_sentence_about_the_item_stands_for_the_review():
    assert quotes(REVIEW, Evidence(), ABOUT) == ["The roasted garlic made the chicken sing."]


def test_without_the_item_it_is_the_sentence_that_the_others_share_words_with():
    text = "The crust was crisp and buttery. We all loved that crisp buttery crust. Grandfather walked to the harbour again."
    assert quotes(text, Evidence(), [])[0] != "Grandfather walked to the harbour again."


def test_what_every_fifth_review_says_is_no_content():
    texts = ["Great recipe, thanks for posting it here!"] * 3 + ["The lemon sauce was sharp."] * 1 + ["Crisp skin."] * 8
    common = common_stems(texts)
    assert {"great", "recipe"} <= common and "lemon" not in common
    text = "Great recipe, thanks for this great recipe! The lemon sauce was sharp and thin."
    assert quotes(text, Evidence(), ["my great recipe"]) == ["Great recipe, thanks for this great recipe!"]
    assert quotes(text, Evidence(), ["my great recipe"], common) == ["The lemon sauce was sharp and thin."]


@settings(max_examples=80)
@given(TEXT, st.integers(1, 6), st.integers(6, 20), st.integers(1, 4), st.sampled_from(["representative", "first", "random"]))
def test_quotes_are_own_sentences_of_the_right_length_in_order(text, least, most, n, pick):
    rule = Evidence(min_words=least, max_words=most, sentences=n, pick=pick)
    found, own = quotes(text, rule, ABOUT), sentences(text)
    assert found == quotes(text, rule, ABOUT) and len(found) <= n
    assert all(least <= count_words(q) <= most and q in own for q in found)
    assert len(found) == min(n, sum(least <= count_words(s) <= most for s in own))
    if pick == "first":
        assert found == [s for s in own if least <= count_words(s) <= most][:n]


@settings(max_examples=60)
@given(st.lists(TEXT, max_size=6), st.integers(1, 4), st.integers(1, 3))
def test_many_reviews_give_some_of_each_and_no_more(texts, reviews, each):
    rule = Evidence(min_words=1, reviews=reviews, sentences=each)
    found = quotes_of_many(texts, rule, ABOUT)
    assert len({i for i, _ in found}) <= reviews and found == sorted(found, key=lambda f: f[0])
    assert all(s in sentences(texts[i]) and count_words(s) <= 20 for i, s in found)
    assert all([i for i, _ in found].count(i) <= each for i, _ in found)


def test_reviewers_who_say_the_same_are_quoted_once_before_another_thing():
    same = "The garlic chicken was very tender tonight."
    texts = [same, same, same, "A squeeze of lemon woke the whole dish up."]
    assert [i for i, _ in quotes_of_many(texts, Evidence(reviews=2), ["garlic chicken with lemon"])] == [0, 3]


def test_pieces_that_an_abbreviation_broke_are_not_quoted():
    text = "I put in two tsp. of the lemon sauce as we like it. We ate it all up at once. I would not use 16 oz."
    rule = Evidence(sentences=5)
    assert quotes(text, rule) == ["We ate it all up at once.", "I would not use 16 oz."]
    assert quotes_of_many([text, "Ask Mrs. Brown about lemon sauce and pie."], rule) == [
        (0, "We ate it all up at once."), (0, "I would not use 16 oz."),
    ]  # fmt: skip


@pytest.mark.parametrize("most, kept", [(200, 3), (12, 2), (5, 0), (6, 1)])
def test_the_budget_of_words_is_kept_to(most, kept):
    assert within(["one two three four five six"] * 3, Evidence(total_words=most)) == kept
