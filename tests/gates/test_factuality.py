"""Closed world: what a text claims must follow from its record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenrec.gates.factuality.catalogue import catalogue_terms
from tokenrec.gates.factuality.names import contradicted, entities, names
from tokenrec.gates.factuality.numbers import numbers, quantities


def values(text):
    return [(round(q.value, 2), q.unit) for q in quantities(text)]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("half an hour", [(30, "time")]),
        ("an hour and a half", [(90, "time")]),
        ("1 hour and 20 minutes", [(80, "time")]),
        ("1 1/2 cups", [(360, "volume")]),
        ("1½ cups", [(360, "volume")]),
        ("20-30 minutes", [(20, "time"), (30, "time")]),
        ("twenty-five minutes", [(25, "time")]),
        ("350°F", [(176.67, "heat")]),
        ("1,500 g", [(1500, "mass")]),
        ("30分钟", [(30, "time")]),
        ("the 1980s", [(80, "decade")]),
        ("a 9x13 pan", [(9, ""), (13, "")]),
        ("three quarters of an hour", [(45, "time")]),
        ("vitamin B12, the 3rd best", []),
        ("1/0 cup", []),
        ("9" * 400, []),
    ],
)
def test_quantities(text, expected):
    assert values(text) == expected


RECORD = {
    "name": "Braise",
    "minutes": 90,
    "method": "Sear 10 minutes, braise 60-75 minutes at 160 C with 250 ml wine.",
    "ingredients": ["beef", "wine", "thyme", "salt"],
}


@pytest.mark.parametrize(
    "text",
    [
        "Ninety minutes well spent.",
        "An hour and a half of patience.",
        "Braised 70 minutes at 320°F.",
        "Seared for ten minutes.",
        "Done in under two hours.",
        "About an hour in the oven.",
        "With a cup of wine.",
        "Just four ingredients.",
        "Two ways to love beef, a one-pot wonder.",
        "No numbers at all.",
    ],
)
def test_numbers_that_follow(text):
    assert numbers(text, RECORD).passed


@pytest.mark.parametrize(
    "text, quote",
    [
        ("Ready in 20 minutes.", "20 minutes"),
        ("Braised for half a day.", "half a day"),
        ("At 250 degrees C.", "250 degrees C"),
        ("Only 90 g of beef.", "90 g"),
        ("A recipe from 1946.", "1946"),
        ("Feeds 25 people.", "25"),
        ("In under 15 minutes.", "15 minutes"),
    ],
)
def test_numbers_that_do_not(text, quote):
    found = numbers(text, RECORD)
    assert not found.passed and found.quote == quote


@given(st.integers(1, 2000), st.sampled_from(["minutes", "g", "ml", "cups", "hours"]))
def test_a_number_follows_from_itself(n, unit):
    assert numbers(f"It takes {n} {unit}.", {"text": f"needs {n} {unit}"}).passed
    assert not numbers(f"It takes {3 * n + 7} {unit}.", {"text": f"needs {n} {unit}"}).passed


@given(st.text(max_size=120))
def test_numbers_never_break(text):
    assert numbers(text, {"a": text}).quote in text


def dish(name, ingredients, method, diet):
    return {"name": name, "ingredients": ingredients, "method": method, "diet": diet}


ITEMS = [
    dish(
        "Mapo Tofu",
        ["soft tofu", "minced beef", "scallions"],
        "Fry the beef, add tofu and a piece of ginger.",
        "omnivore",
    ),
    dish("Chicken Soup", ["chicken", "carrots", "feta"], "Simmer the chicken with a piece of carrot.", "omnivore"),
    dish("Minced Pork Buns", ["minced pork", "flour"], "Mix pork; shape each piece.", "omnivore"),
    dish("Greek Salad", ["feta cheese", "tomatoes", "olive oil"], "Slice tomatoes into a piece each.", "vegetarian"),
    dish("Tomato Toast", ["tomatoes", "bread"], "Toast bread, rub with tomato.", "vegan"),
    dish("Fried Tofu", ["tofu", "oil"], "Fry tofu in oil.", "vegan"),
    dish("Carrot Slaw", ["carrots", "vinegar"], "Grate carrots, add vinegar.", "vegan"),
    dish("Beef Stew", ["beef", "onion"], "Stew the beef with onion.", "omnivore"),
    dish("Omelette", ["eggs", "butter"], "Beat eggs, fry in butter.", "vegetarian"),
    dish("Shrimp Rice", ["shrimp", "rice"], "Cook rice, add shrimp.", "omnivore"),
    dish("Cheese Toast", ["cheese", "bread"], "Toast bread with cheese.", "vegetarian"),
    dish("Pork Chop", ["pork", "salt"], "Salt and fry the pork.", "omnivore"),
]
TERMS = catalogue_terms(ITEMS)
MAPO, SOUP, TOAST, SHRIMP = ITEMS[0], ITEMS[1], ITEMS[4], ITEMS[9]


def test_terms_are_things_not_process_words():
    assert {("chicken",), ("pork",), ("tofu",), ("soft", "tofu"), ("tomato",)} <= TERMS.things
    assert ("piece",) not in TERMS.things
    assert catalogue_terms(ITEMS).digest == TERMS.digest != catalogue_terms(ITEMS[:5]).digest


@pytest.mark.parametrize(
    "record, text",
    [
        (MAPO, "Soft tofu with beef and a scatter of scallion."),
        (MAPO, "Tofu and beef with green onions."),
        (MAPO, "Tofu without any pork, no chicken, and egg-free."),
        (MAPO, "Tofu as smooth as butter."),
        (SOUP, "Chicken and carrot soup under crumbled cheese."),
        (SHRIMP, "Prawns over rice, a piece of luck."),
    ],
)
def test_named_things_that_follow(record, text):
    assert names(text, record, TERMS).passed


@pytest.mark.parametrize(
    "record, text, quote",
    [
        (MAPO, "Soft tofu with minced pork.", "minced pork"),
        (MAPO, "Tofu with Pork.", "Pork"),
        (SOUP, "Chicken soup with buttered bread and tomatoes.", "bread"),
        (TOAST, "Toast with tomatoes and feta cheese.", "feta cheese"),
    ],
)
def test_named_things_that_do_not(record, text, quote):
    found = names(text, record, TERMS)
    assert not found.passed and found.quote == quote and found.score > 0


def test_chinese_lists_are_learnt_too():
    items = [{"name": "麻婆豆腐", "料": ["嫩豆腐", "牛肉末"]}, {"name": "宫保鸡丁", "料": ["鸡胸肉", "花生"]}]
    terms = catalogue_terms(items)
    found = names("嫩豆腐配花生", items[0], terms)
    assert not found.passed and found.quote == "花生"


def test_a_category_can_be_contradicted():
    assert not contradicted("A vegan pleasure.", MAPO, TERMS).passed
    assert contradicted("A vegetarian, even vegan pleasure.", TOAST, TERMS).passed
    assert contradicted("Not vegan, and proud of it.", MAPO, TERMS).passed


def test_proper_names_come_from_the_record():
    record = {"name": "Mapo Tofu", "cuisine": "sichuan"}
    assert entities("The best of Sichuan on a plate, as I know it.", record).passed
    found = entities("Tofu as they make it in Chengdu.", record)
    assert not found.passed and found.quote == "Chengdu"
    assert entities("Silky Tofu In Chengdu Style", record).passed  # a title: capitals say nothing
    assert entities("Der Tofu kommt mit Reis auf den Tisch.", record, language="de").passed


@given(st.text(max_size=120))
def test_names_never_break_and_quote_verbatim(text):
    for found in (names(text, MAPO, TERMS), contradicted(text, MAPO, TERMS), entities(text, MAPO)):
        assert found.quote in text
    catalogue_terms([{"a": [text], "b": text}] * 3)
