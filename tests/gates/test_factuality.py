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
        ("two thirds of an hour", [(40, "time")]),
        ("half a dozen", [(6, "")]),
        ("two hundred grams", [(200, "mass")]),
        ("half a terabyte", [(500, "data")]),
        ("46 km/h", [(46, "speed")]),
        ("10 metres per second", [(36, "speed")]),
        ("4200 mAh", [(4200, "charge")]),
        ("the seventies", [(70, "decade")]),
        ("at 06:05", [(365, "clock")]),
        ("at 8 pm", [(1200, "clock")]),
        ("half past six", [(390, "clock")]),
        ("2024-07-19", [(2024, ""), (7, ""), (19, "")]),
        ("蒸30分钟", [(30, "time")]),
        ("半小时", [(30, "time")]),
        ("一刻钟", [(15, "time")]),
        ("两千多元", [(2000, "yuan")]),
        ("五千毫安时", [(5000, "charge")]),
        ("2019年", [(2019, "")]),
        ("十分美味，一把吉他", []),
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


SHEET = {
    "weight_g": 312, "battery_mah": 8000, "year": 1974, "tracks": 11, "minutes": 43, "storage_gb": 512, "rain_mm": 12,
    "price_eur": 449, "sunset": "18:20", "date": "2024-07-19", "high_c": 38, "colours": ["sand", "blue"],
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "Over 300 grams.", "Under 450 euros.", "From the seventies.", "A 1974 record.", "Eleven tracks, a little over forty minutes.",
        "Half a terabyte.", "Over a centimetre of rain: 1.2 cm.", "Dark by half past six.", "Sunset at 6:20 pm.", "Close to 40 °C.",
        "A hundred degrees Fahrenheit.", "The first five tracks.", "About 8,000 mAh.",
    ],
)  # fmt: skip
def test_keys_give_units_and_counts(text):
    assert numbers(text, SHEET).passed, numbers(text, SHEET)


@pytest.mark.parametrize(
    "text",
    [
        "312 kg.", "Under 400 euros.", "From the eighties.", "A 1984 record.", "A 1975 record.", "A record from 1964.", "43 tracks.", "12 cm of rain.",
        "Sunset at 20:18.", "48 degrees.", "Spread over 21 tracks.", "Half a gigabyte.", "43 hours.", "12 colours.",
    ],
)  # fmt: skip
def test_numbers_of_another_unit_or_key(text):
    assert not numbers(text, SHEET).passed


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


def test_classes_follow_from_their_members_and_are_denied_by_them():
    oyster = {"name": "Soup", "ingredients": ["oysters", "coconut milk"]}
    assert contradicted("A dairy-free seafood soup.", oyster, TERMS).passed
    assert contradicted("Good without meat, and no cheese.", oyster, TERMS).passed
    assert not contradicted("Seafood under melted cheese.", oyster, TERMS).passed
    assert not contradicted("A dairy-free toast.", ITEMS[10], TERMS).passed
    assert not contradicted("Without any gluten.", ITEMS[10] | {"ingredients": ["bread flour"]}, TERMS).passed
    assert contradicted("Gluten-free.", {"ingredients": ["rice flour", "eggs"]}, TERMS).passed
    assert contradicted("A cheese of a song.", {"instruments": ["fiddle"]}, catalogue_terms([])).passed


def test_peoples_follow_from_their_countries():
    assert entities("It is a British film.", {"country": "United Kingdom"}).passed
    assert entities("It comes from France.", {"cuisine": "french"}).passed
    assert not entities("It is a Japanese film.", {"country": "United Kingdom"}).passed


def test_greens_are_a_thing_and_green_is_not():
    items = [dish(f"Dish {i}", ["collard greens", "green and red peppers"], "Cook.", "vegan") for i in range(4)]
    assert ("green",) not in catalogue_terms(items).things


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


SERIES = {
    "name": "Mongolia, vaccinated",
    "facts": ["date,value", "2021-02-25,0.09", "2021-03-02,1.42", "1979,40.5", "1985,77.29", "1986,78"],
}


@pytest.mark.parametrize(
    "text",
    [
        "From February 25, 2021 on it rose to 1.42 by March 2021.",
        "On Tuesday, March 2 it stood at 1.42.",
        "In the 1970s it was about 40.5, in 1985 already 77.29 and 78 in 1986.",
    ],
)
def test_dates_and_cells_of_a_record_bear_out_what_a_text_calls_them(text):
    assert numbers(text, SERIES).passed
    assert entities(text, SERIES).passed


@pytest.mark.parametrize(
    "text, quote",
    [
        ("It began in mid June of that year, they say.", "June"),
        ("It began on a quiet Sunday, they say.", "Sunday"),
        ("It rose on the February 26 count.", "February"),
    ],
)
def test_dates_that_a_record_does_not_have(text, quote):
    assert entities(text, SERIES).quote == quote


def test_a_decimal_comma_is_read_but_not_across_cells():
    assert [q.bare for q in quantities("1970,38.8")] == [1970, 38.8]
    assert [q.bare for q in quantities("1986,78")] == [1986, 78]
    assert [q.bare for q in quantities("3,5 kg")] == [3.5]
