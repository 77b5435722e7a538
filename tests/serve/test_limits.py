"""Limits in requests: what is read as one, what stays a wish, and which facts keep or break it."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenrec.recipe.load import load_recipe
from tokenrec.serve.limits import groups, holds, names, phrase
from tokenrec.serve.wording import parse

ROOT = Path(__file__).parents[2]
DISHES = [json.loads(line) for line in (ROOT / "recipes/kitchen/dishes.jsonl").read_text("utf-8").splitlines()]
KNOWN = {phrase(w) for d in DISHES for i in d["ingredients"] for w in (i, *i.split())}


def read(request):
    made = parse(request, ["minutes"], KNOWN.__contains__)
    return [(x.name, x.most) if x.most else x.name for x in made.limits], made.rest, made.unkept


@pytest.mark.parametrize("request_, limits, rest", [
    ("sour and spicy, no pork, under 30 minutes, nut allergy", [("minutes", 30), "pork", "nut"], "sour and spicy"),
    ("something warm without garlic or kiwi", ["garlic", "kiwi"], "something warm"),
    ("gluten-free pasta in 20 minutes or less", [("minutes", 20), "gluten"], "pasta"),
    ("allergic to kiwi and peanuts, a dessert", ["kiwi", "peanut"], "a dessert"),
    ("nut and egg allergy, a cake", ["nut", "egg"], "a cake"),
    ("no fuss dinner in half an hour", [("minutes", 30)], "no fuss dinner"),
    ("less than 1 hour, creamy dairy free soup", [("minutes", 60), "dairy"], "creamy soup"),
    ("vegan and crispy", ["vegan"], "crispy"),
    ("I don't eat beef, lamb or shellfish; noodles", ["beef", "lamb", "shellfish"], "I noodles"),
    ("no more than 15 minutes", [("minutes", 15)], ""),
    ("not too spicy", [], "not too spicy"),
    ("a stew, but not beef", ["beef"], "a stew"),
    ("nothing with nuts or dairy, something cold", ["nut", "dairy"], "something cold"),
    ("I'm coeliac and like noodles", ["gluten"], "I'm like noodles"),
    ("pescatarian dinner", ["pescatarian"], "dinner"),
    ("everything except shellfish", ["shellfish"], "everything"),
    ("no pork, spicy noodles", ["pork"], "spicy noodles"),
    ("no mushrooms, onions or garlic", ["mushroom", "onions", "garlic"], ""),
    ("allergies: nuts, dairy", ["nut", "dairy"], ""),
    ("non-dairy dessert", ["dairy"], "dessert"),
    ("no red meat", ["red meat"], ""),
    ("soup in thirty minutes", [("minutes", 30)], "soup"),
    ("anaphylactic to sesame", ["sesame"], ""),
    ("an eggless cake", ["egg"], "an cake"),
    ("nut, egg and dairy free", ["nut", "egg", "dairy"], ""),
    ("sour fish, nut free", ["nut"], "sour fish"),
    ("no pork, chicken rice", ["pork"], "chicken rice"),
    ("no dairy, noodles", ["dairy"], "noodles"),
    ("neither pork nor beef", ["pork", "beef"], ""),
    ("I’m not too keen on lamb", ["lamb"], "I'm"),
    ("anything but fish", ["fish"], ""),
    ("everyone hates mushrooms", ["mushroom"], "everyone"),
    ("pork? no thanks", ["pork"], ""),
    ("prawns and crab are out", ["prawn", "crab"], ""),
    ("w/o nuts", ["nut"], ""),
    ("nothing spicy", ["chilli"], ""),
    ("I dont eat pork & beef", ["pork", "beef"], "I"),
    ("a glutten-free soup", ["gluten"], "a soup"),
    ("alergic to penuts", ["peanut"], ""),
    ("no diary", ["dairy"], ""),
    ("nuts ❌, 🚫 dairy", ["nut", "dairy"], ""),
    ("allergic to egg whites", ["egg"], ""),  # a record may say eggs
    ("no allergies, something sour", [], "something sour"),
    ("I can't go wrong with chicken", [], "I can not go wrong with chicken"),
    ("not too much garlic", [], "not too much garlic"),
    ("no-bake dessert", [], "no bake dessert"),
])
def test_what_is_a_limit_and_what_stays_a_wish(request_, limits, rest):
    assert read(request_) == (limits, rest, [])


@pytest.mark.parametrize("request_", [
    "her allergist says dairy is out", "never serve us pork", "I get an allergic reaction", "soup 无 pork", "avoid all nuts",
    "peanuts could kill me", "shrimp makes me sick", "garlic does not agree with me", "no 🥜", "gluten, please don't",
    "allergic to latex", "allergic to nuts and kumara", "I'm not allergic to nuts", "can't live without cheese",
    "don't leave out the garlic", "not only vegan", "it doesn't have to be vegan",
])
def test_what_sounds_like_a_limit_is_read_or_said(request_):
    made = parse(request_, ["minutes"], KNOWN.__contains__)
    assert made.unread or made.limits


@pytest.mark.parametrize("request_, most", [
    ("30-45 min", 45), ("an hour tops", 60), ("I only have 20 minutes", 20), ("a 20 minute soup", 20), ("1h30 max", 90),
    ("nothing over an hour", 60), ("it shouldn't take longer than half an hour", 30), ("¾ hour", 45), ("10min", 10),
    ("an hour and a half at most", 90), ("no more than twenty-five minutes", 25), ("1.5 hours", 90),
])
def test_a_time_is_a_limit_however_it_is_said(request_, most):
    limits, _, unkept = read(request_)
    assert limits == [("minutes", most)] and unkept == []


def test_the_least_time_and_numbers_of_no_field_are_said_to_be_no_limit():
    for request_ in ("at least 2 hours", "more than 90 minutes", "not under 30 minutes", "no more than 5 ingredients",
                     "under 500 calories", "low carb", "no fried food", "without durian"):  # fmt: skip
        limits, _, unkept = read(request_)
        assert limits == [] and len(unkept) == 1, request_


def test_what_no_fact_can_keep_is_said():
    assert read("halal stew") == (["halal"], "stew", ["halal"])  # no pork and no wine, which is not all of it
    assert read("keto stew") == ([], "stew", ["keto"])
    assert parse("under 20 minutes", [], KNOWN.__contains__).unkept == ["under 20 minutes"]


@pytest.mark.parametrize("group, text, named", [
    ("nut", "nutmeg", False), ("nut", "butternut squash", False), ("nut", "coconut milk", False),
    ("nut", "water chestnuts", False), ("nut", "ground almonds", True), ("nut", "roasted peanuts", True),
    ("pork", "smoked bacon", True), ("pork", "Lard", True), ("pork", "pork belly", True), ("pork", "portobello", False),
    ("dairy", "coconut milk", False), ("dairy", "whole milk", True), ("dairy", "peanut butter", False),
    ("gluten", "rice flour", False), ("gluten", "plain flour", True), ("gluten", "soy sauce", True),
    ("egg", "eggplant", False), ("egg", "2 egg yolks", True), ("vegetarian", "fish sauce", True),
    ("vegan", "honey", True), ("pescatarian", "bacon", True), ("pescatarian", "salmon", False), ("shellfish", "oyster mushrooms", False), ("seafood", "prawns", True),
])  # fmt: skip
def test_what_belongs_to_a_group(group, text, named):
    assert names(groups()[phrase(group)], text) is named


def test_limits_go_by_facts_and_silence_is_no_promise():
    [nuts] = parse("nut allergy", [], KNOWN.__contains__).limits
    [vegan] = parse("vegan", [], KNOWN.__contains__).limits
    [quick] = parse("under 30 minutes", ["minutes"], KNOWN.__contains__).limits
    assert holds(nuts, {"ingredients": ["tofu", "almond"]}, ["ingredients"], None) is False
    assert holds(nuts, {"ingredients": ["tofu"]}, ["ingredients"], None) is True
    assert holds(nuts, {"ingredients": []}, ["ingredients"], None) is None
    assert holds(nuts, {"line": "surely no nuts"}, ["ingredients"], None) is None
    assert holds(nuts, {"name": "Tofu", "ingredients": []}, ["name", "ingredients"], None) is None  # a name is no list
    assert holds(quick, {"minutes": 30}, [], None) is True and holds(quick, {"minutes": 31}, [], None) is False
    assert holds(quick, {"minutes": None}, [], None) is None and holds(quick, {"minutes": "a while"}, [], None) is None
    assert holds(vegan, {"ingredients": ["tofu"], "diet": "omnivore"}, ["ingredients"], "diet") is False
    assert holds(vegan, {"ingredients": ["ghee"], "diet": "vegan"}, ["ingredients"], "diet") is False  # facts at odds


def test_the_kitchens_own_diets_agree_with_its_ingredients():
    """Of 305 dishes: none called vegan or vegetarian names what it may not have."""
    wrong = [
        (d["dish_id"], i) for d in DISHES for said, group in (("vegan", "vegan"), ("vegetarian", "vegetarian"))
        if d["diet"] == said for i in d["ingredients"] if names(groups()[group], i)
    ]  # fmt: skip
    assert wrong == []


def test_what_the_methods_tell_is_held_against_too():
    """An oil, a lard, a wine that only the method names is in the dish all the same."""
    dishes = {d["dish_id"]: d for d in DISHES}
    contains = load_recipe(ROOT / "recipes/recipe_app.yaml").recipe.recommend.contains
    for dish, group in (("hot-and-sour-soup", "sesame"), ("mole-poblano", "pork"), ("kung-pao-chicken", "alcohol"),
                        ("kharcho", "gluten"), ("singapore-chilli-crab", "gluten")):  # fmt: skip
        assert holds(groups()[phrase(group)], dishes[dish], contains, "diet") is False, dish
    assert holds(groups()["gluten"], dishes["idli"], contains, "diet") is True  # its batter is of rice


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=120) | st.lists(st.sampled_from(
    ["no", "without", "pork", "nut", "allergy", "allergic", "to", "or", "and", ",", "-", "free", "vegan", "under", "30",
     "minutes", "in", "half an", "hour", "spicy", "halal"]), max_size=15).map(" ".join))  # fmt: skip
def test_any_request_is_read(request_):
    made = parse(request_, ["minutes"], KNOWN.__contains__)
    for limit in made.limits:
        assert limit.most is not None if limit.kind == "at_most" else limit.terms and limit.name not in ("or", "and", ",")
    said = set(request_.lower().split())
    if "allergy" in said and not said & {"no", "without"} and not made.limits:
        assert made.unread


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(
    ["no", "not", "too", "never", "mind", "with", "without", "fish", "nuts", "allergy", "vegan", "hold the", "anything but", "free", "is out",
     "react", "low", "half an", "hour", "30", "spicy", ",", "?", "but", "and", "🥜", "enough", "idea", "salad"]), max_size=12).map(" ".join))  # fmt: skip
def test_no_beginning_hides_a_limit_in_a_later_sentence(beginning):
    made = parse(f"{beginning}. No pork. I am allergic to sesame", ["minutes"], KNOWN.__contains__)
    assert made.unread or {"pork", "sesame"} <= {x.name for x in made.limits}


@pytest.mark.parametrize("request_, limits, rest", [
    ("no spicy or pork dishes", ["chilli", "pork"], "dishes"),
    ("nothing spicy or with fish", ["chilli", "fish"], ""),
    ("no pork or spicy food, tofu", ["pork", "chilli"], "tofu"),
    ("not spicy or sour, tofu", ["chilli"], "not sour, tofu"),
    ("not spicy, tofu", ["chilli"], "tofu"),
])  # fmt: skip
def test_what_is_denied_with_spicy_is_denied_too(request_, limits, rest):
    assert read(request_) == (limits, rest, [])


def test_food_behind_a_wish_that_denies_is_asked_about():
    for said in ("nothing too fishy or with peanuts", "not too heavy or with pork, noodles"):
        assert parse(said, [], KNOWN.__contains__).unread
    for said in ("not too spicy noodles or rice", "nothing too heavy or too rich", "not too spicy, rice or noodles"):
        assert not parse(said, [], KNOWN.__contains__).unread
