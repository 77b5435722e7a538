"""The bundled kitchen: its facts are whole, its labels kept apart, its simulated events reproducible."""

import csv
import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

KITCHEN = Path(__file__).resolve().parents[2] / "recipes" / "kitchen"
TASTE = {"sweet", "spicy", "sour", "savory", "rich", "fresh", "smoky", "herbal"}
TEXTURE = {"crispy", "creamy", "chewy", "tender", "brothy", "fluffy", "crunchy", "sticky"}
OCCASION = {"breakfast", "weeknight", "feast", "snack", "dessert"}
SEASON = {"spring", "summer", "autumn", "winter", "any"}
FACTS = ["dish_id", "name", "native_name", "name_zh", "cuisine", "ingredients", "method", "minutes", "diet"]
MEAT = r"\b(beef|pork|chicken|lamb|duck|bacon|ham|lard|veal|sausages?|chorizo|chouriço|goat|rabbit|salo|pancetta)\b"
FISH = r"\b(fish sauce|oyster sauce|anchov\w+|dashi|shrimps?|prawns?|tuna|salmon|cod|squid|crab|mussels|clams)\b"
ANIMAL = r"\b(eggs?|butter|milk|cream|cheese|yogurt|ghee|honey|paneer|feta|smetana|parmesan|mascarpone)\b"
PLANT_MILK = r"coconut (milk|cream)|(peanut|cocoa) butter|butter (lettuce|beans)"


def read(name):
    return [json.loads(line) for line in (KITCHEN / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def dishes():
    return read("dishes.jsonl")


@pytest.fixture(scope="module")
def labels():
    return {row["dish_id"]: row for row in read("labels.jsonl")}


@pytest.fixture(scope="module")
def simulator():
    spec = importlib.util.spec_from_file_location("kitchen_simulate", KITCHEN / "simulate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows(simulator):
    return simulator.simulate()


def test_there_are_enough_dishes_and_none_twice(dishes):
    assert len(dishes) >= 240
    for field in ("dish_id", "name", "native_name", "name_zh"):
        assert [v for v, n in Counter(d[field] for d in dishes).items() if n > 1] == []


def test_every_fact_is_there_and_sane(dishes):
    for d in dishes:
        assert list(d) == FACTS
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", d["dish_id"])
        words = [d[k] for k in FACTS if k not in ("ingredients", "minutes")]
        assert all(isinstance(w, str) and w == w.strip() != "" for w in words)
        assert re.search("[\u4e00-\u9fff]", d["name_zh"])
        assert len(set(d["ingredients"])) == len(d["ingredients"]) >= 4
        assert isinstance(d["minutes"], int) and 5 <= d["minutes"] <= 14 * 24 * 60
        assert 45 <= len(d["method"].split()) <= 180
    assert min(Counter(d["cuisine"] for d in dishes).values()) >= 3


def test_a_night_of_soaking_counts_in_the_minutes(dishes):
    choice = r"(or|better) overnight|overnight if"  # a night that one may take is not counted
    for d in dishes:
        if "overnight" in d["method"] and not re.search(choice, d["method"]):
            assert d["minutes"] >= 480, d["dish_id"]


def test_diet_agrees_with_the_ingredients(dishes):
    for d in dishes:
        text = re.sub(PLANT_MILK, "", " ; ".join(d["ingredients"]).lower())
        diet = d["diet"]
        assert diet in ("vegan", "vegetarian", "pescatarian", "omnivore")
        if diet != "omnivore":
            assert not re.search(MEAT, text), d["dish_id"]
        if diet in ("vegan", "vegetarian"):
            assert not re.search(FISH, text), d["dish_id"]
        if diet == "vegan":
            assert not re.search(ANIMAL, text), d["dish_id"]


def test_labels_cover_the_dishes_in_their_vocabularies(dishes, labels):
    assert set(labels) == {d["dish_id"] for d in dishes}
    for row in labels.values():
        assert 1 <= len(row["taste"]) <= 3 and set(row["taste"]) <= TASTE
        assert 1 <= len(row["texture"]) <= 2 and set(row["texture"]) <= TEXTURE
        assert row["occasion"] in OCCASION and row["season"] in SEASON
    for word in TASTE:
        assert sum(word in row["taste"] for row in labels.values()) >= 20


def test_the_facts_do_not_say_the_labels(dishes):
    told = TASTE | TEXTURE | OCCASION | SEASON - {"any"}
    told |= {"savoury", "delicious", "tangy", "fiery", "silky", "velvety", "aromatic"}
    for d in dishes:
        assert set(re.findall("[a-z]+", d["method"].lower())) & told == set(), d["dish_id"]
        assert not {"taste", "texture", "occasion", "season"} & set(d)


def test_the_committed_events_are_reproduced_byte_by_byte(simulator, rows, tmp_path):
    simulator.write_events(rows, tmp_path / "events.csv")
    assert (tmp_path / "events.csv").read_bytes() == (KITCHEN / "events.csv").read_bytes()


def test_a_world_depends_on_its_seed_alone(simulator):
    assert simulator.simulate(3, users=60) == simulator.simulate(3, users=60)
    assert simulator.simulate(3, users=60) != simulator.simulate(4, users=60)
    assert {user for user, *_ in simulator.simulate(3, users=1)} == {"u0001"}


def test_events_are_in_time_order_and_about_known_dishes(rows, dishes):
    assert [at for *_, at, _ in rows] == sorted(at for *_, at, _ in rows)
    assert {dish for _, dish, *_ in rows} <= {d["dish_id"] for d in dishes}
    assert {rating for *_, rating in rows} == {1, 2, 3, 4, 5}
    assert 0.90 <= np.mean([rating >= 4 for *_, rating in rows]) <= 0.96
    assert len({row[:2] for row in rows}) >= 0.97 * len(rows)


def test_dishes_arrive_late_and_some_stay_cold(rows):
    first, liked_before, cut = {}, Counter(), int(0.85 * len(rows))
    for i, (_, dish, _, rating) in enumerate(rows):
        first.setdefault(dish, i)
        liked_before[dish] += i < cut and rating >= 4
    late = np.mean([i >= 0.65 * len(rows) for i in first.values()])
    cold = sum(liked_before[dish] <= 2 for dish in first)
    assert 0.15 <= late <= 0.30
    assert 15 <= cold <= 60


def shared(rows, property_of):
    """How often two dishes of one user share a property, over how often dishes of two users do."""
    by_user = {}
    for user, dish, *_ in rows:
        by_user.setdefault(user, set()).add(dish)
    users = [sorted(dishes) for _, dishes in sorted(by_user.items())]

    def share(pairs):
        return np.mean([bool(property_of[a] & property_of[b]) for a, b in pairs if a != b])

    own = share([(a, b) for mine in users for a in mine for b in mine])
    return own / share([(a, b) for mine, theirs in zip(users, users[1:], strict=False) for a in mine for b in theirs])


def test_taste_and_cuisine_count_in_the_world_and_not_in_its_twin(simulator, dishes, labels):
    cuisine = {d["dish_id"]: {d["cuisine"]} for d in dishes}
    true, twin = simulator.simulate(5, users=400), simulator.simulate(5, twin=True, users=400)
    assert true != twin and [r[0] for r in true] == [r[0] for r in twin]
    for property_of in ({dish: set(row["taste"]) for dish, row in labels.items()}, cuisine):
        assert shared(true, property_of) > 1.05
        assert abs(shared(twin, property_of) - 1) < 0.05


def test_the_command_writes_where_it_is_told_and_prints_the_table(tmp_path):
    out = tmp_path / "twin.csv"
    command = [sys.executable, str(KITCHEN / "simulate.py"), "--twin", "--users", "50", "--seed", "2"]
    said = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, check=True).stdout
    assert "SIMULATED" in said
    with open(out, encoding="utf-8", newline="") as file:
        assert csv.DictReader(file).fieldnames == ["user_id", "dish_id", "at", "rating"]
    shown = subprocess.run([*command, "--stats"], capture_output=True, text=True, check=True).stdout
    assert "Gini" in shown and "twin (SIMULATED)" in shown
